"""Trials drawn from ranges: the points of a scrambled Sobol sequence, which fill a space more evenly than a grid or
independent draws (Bergstra and Bengio 2012; the tuning playbook's quasi-random search).

    --trials=64 --range learning_rate=log:0.001:10 --range momentum=0:0.95 --range batch_size=log:8:512

P points, F fields. The points depend on the seed of the search and on the fields, not on how many there are: more of
them extend the set and replace none. Powers of 2 fill the space most evenly.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.engine.axes import DIGITS, Points, check_bounds, check_name, clean, is_number, number
from training.config import FIELDS, ConfigError

SYNTAX = "NAME=LOW:HIGH, NAME=lin:LOW:HIGH or NAME=log:LOW:HIGH"
# Digits of a number that is drawn, all of them only in a range that is narrower than this share of its upper end.
SHORT, NARROW = 6, 1e-3
MOST_TRIALS = 100_000


class Range(NamedTuple):
    """A field and between which values it is drawn, evenly or evenly in the logarithm, both ends included."""

    name: str
    low: float
    high: float
    is_log: bool

    @property
    def is_whole(self) -> bool:
        """Whether the field takes whole numbers."""
        return FIELDS[self.name].type is int


def parse_range(text: str) -> Range:
    """The range in NAME=LOW:HIGH or NAME=log:LOW:HIGH; ConfigError for what is none, and for a field that is no
    number or does not accept both ends."""
    name, _, given = text.partition("=")
    check_name(name, f"--range {text!r}")
    said = f"--range {name}={given}"
    if name not in numbered():
        numbers = ", ".join(numbered())
        raise ConfigError(
            f"{said}: {name} is no number to draw; accepted: {numbers}; of other fields --axis {name}=v1,v2"
        )
    kind, *rest = given.split(":") if given.startswith(("log:", "lin:")) else ("lin", *given.split(":"))
    if len(rest) != 2:
        raise ConfigError(f"{said} is no range; accepted: {SYNTAX}")
    low, high = (number(end, said, FIELDS[name].type is int, SYNTAX) for end in rest)
    check_bounds(low, high, kind == "log", said)
    for end in (low, high):
        if not FIELDS[name].spec.test(FIELDS[name].type(end)):
            raise ConfigError(f"{said}: {end:g} is not accepted; accepted: {FIELDS[name].accepted}")
    return Range(name, low, high, kind == "log")


def numbered() -> list[str]:
    """The fields that may have a range: those whose values are numbers, but the seed, which says what is repeated."""
    return [name for name, field in FIELDS.items() if is_number(field) and not field.spec.recorded and name != "seed"]


def draw(ranges: Sequence[Range], count: int, seed: int = 0) -> Points:
    """So many points within the ranges, whatever the order in which these are given; the first ones are those of any
    other count."""
    from scipy.stats import qmc

    ordered = sorted(ranges, key=lambda one: list(FIELDS).index(one.name))
    # A power of 2 is what the sequence is balanced for; of it the first ones are taken.
    unit_PxF = qmc.Sobol(len(ordered), rng=seed).random_base2(math.ceil(math.log2(count)))[:count]
    columns = [placed(one, unit_P) for one, unit_P in zip(ordered, unit_PxF.T, strict=True)]
    names = [one.name for one in ordered]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def placed(one: Range, unit_P: np.ndarray) -> list[int] | list[float]:
    """Numbers of [0, 1) as values of the range. Each whole number of it is as likely as its neighbours (log: as it is
    wide in the logarithm), the ends too."""
    low, high = (one.low - 0.5, one.high + 0.5) if one.is_whole else (one.low, one.high)
    if one.is_log:
        value_P = np.exp(math.log(low) + unit_P * (math.log(high) - math.log(low)))
    else:
        value_P = low + unit_P * (high - low)
    if one.is_whole:
        return [int(value) for value in np.clip(np.round(value_P), one.low, one.high)]
    digits = SHORT if one.high - one.low > NARROW * abs(one.high) else DIGITS
    return [min(max(clean(value, digits), one.low), one.high) for value in value_P]
