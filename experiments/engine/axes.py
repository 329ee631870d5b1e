"""The algebra of a sweep: what is to be tried, as lists of some fields of a config, and how a command line says it.

Points are lists of {field: value}. `axis` makes them of one field, `product` takes every point of one list with every
one of another, `zipped` the first with the first and so on, `chain` one list after the other. Nothing here knows a
base config, a trial or a seed; `experiments.engine.space` makes trials of points.

    --axis learning_rate=0.01,0.1,1            values
    --axis learning_rate=log:0.001:10:9        9 of them, evenly spaced in the logarithm, both ends included
    --axis momentum=lin:0:0.9:4,0.95           4 evenly spaced ones, and one more
    --axis batch_size=int:8:512:log            whole numbers: 8, 16, 32, ..., 512
    --axis batch_size=int:8:512:log:4          4 of them, evenly spaced in the logarithm, rounded
    --axis hidden=64,64-64                     one layer, and two
    --axis activation,kernel_init=tanh:glorot_uniform,relu:he_normal      two fields that change together
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from nets.tables import near_match
from training.config import AXES, FIELDS, ConfigError
from training.console import shown
from training.fields import Field, with_commas

Point: TypeAlias = dict[str, Any]  # Some fields of a config.
Points: TypeAlias = list[Point]
RANGES = ("log", "lin", "int")
SYNTAX = "log:LOW:HIGH:COUNT, lin:LOW:HIGH:COUNT, int:LOW:HIGH, int:LOW:HIGH:COUNT, int:LOW:HIGH:log[:COUNT]"
# Names of trials hold their numbers: the last bits of a power or of a quotient are not to be part of them.
DIGITS = 12
MOST_VALUES = 10_000


# ---------------------------------------------------------------------------------------------------------------------
# The algebra.


def axis(name: str, values: Sequence[Any]) -> Points:
    """A point a value of the field."""
    return [{name: value} for value in values]


def product(*parts: Sequence[Mapping[str, Any]]) -> Points:
    """Every point of each part with every one of the others, the last part's going round first; where two parts have
    the same field, the later one has its say. Of no parts: the point without fields."""
    return [merged(*points) for points in itertools.product(*parts)]


def zipped(*parts: Sequence[Mapping[str, Any]]) -> Points:
    """The first point of each part as one, the second of each as one, and so on; ValueError for parts of different
    lengths."""
    return [merged(*points) for points in zip(*parts, strict=True)]


def chain(*parts: Sequence[Mapping[str, Any]]) -> Points:
    """The points of one part after those of another."""
    return [dict(point) for point in itertools.chain(*parts)]


def merged(*points: Mapping[str, Any]) -> Point:
    """One point of several, the later ones having their say."""
    return {name: value for point in points for name, value in point.items()}


# ---------------------------------------------------------------------------------------------------------------------
# What a command line says.


class Axis(NamedTuple):
    """An axis as it was given: its field, or the fields that change together, and its points."""

    names: tuple[str, ...]
    points: Points


def parse_axis(text: str) -> Axis:
    """The axis in NAME=v1,v2 or NAME1,NAME2=v1:w1,v2:w2; ConfigError for what is none."""
    given_names, equals, given = text.partition("=")
    names = tuple(name.strip() for name in given_names.split(","))
    for name in names:
        check_name(name, f"--axis {text!r}")
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise ConfigError(f"--axis {text!r} has {twice[0]} twice; accepted: different fields")
    words = [word.strip() for word in given.split(",") if word.strip()]
    if not equals or not words:
        raise ConfigError(
            f"--axis {text!r} has no values; accepted: NAME=v1,v2, such as learning_rate=0.01,0.1, or {SYNTAX}"
        )
    if len(names) == 1:
        return Axis(names, chain(*(axis(names[0], parse_word(names[0], word)) for word in words)))
    return Axis(names, [together(names, word) for word in words])


def check_name(name: str, given: str) -> None:
    """ConfigError for a name that is no field which a sweep may vary."""
    if name not in AXES:
        because = " says what is recorded, not what is trained" if name in FIELDS else " is no config field"
        raise ConfigError(f"{given}: {name!r}{because}{near_match(name, AXES)}; accepted: {', '.join(AXES)}")


def parse_word(name: str, word: str) -> list[Any]:
    """The values of a word between commas: one, or those of a range, as log:0.001:10:9."""
    if is_number(FIELDS[name]) and word.partition(":")[0] in RANGES:
        return spaced(name, word)
    return [parse_value(name, word)]


def is_number(field: Field) -> bool:
    """Whether the field's values are numbers."""
    return field.type in (int, float)


def parse_value(name: str, word: str) -> Any:
    """A word of the command line as the type of that field."""
    field = FIELDS[name]
    if name == "activation":
        return with_commas(word)
    try:
        if field.type is bool:
            return {"true": True, "false": False}[word.lower()]
        if field.type is tuple:
            return () if word == "()" else tuple(map(field.item, word.split("-")))
        return field.type(word)
    except (ValueError, KeyError) as error:
        kind = f"tuple of {field.item.__name__}" if field.type is tuple else field.type.__name__
        ranges = f", or {SYNTAX}" if is_number(field) else ""
        raise ConfigError(
            f"--axis {name}: {shown(word)} is no {kind}; accepted: {field.accepted_on_axis}{ranges}"
        ) from error


def together(names: Sequence[str], word: str) -> Point:
    """The values of fields that change together, joined by ':', as tanh:glorot_uniform.

    A value may itself have a ':', as FILE.py:NAME and idx:FOLDER. Of the ways to part the word, that one is taken in
    which every field accepts its part; ConfigError where there is none or more than one.
    """
    parts = word.split(":")
    found: Points = []
    for cuts in itertools.combinations(range(1, len(parts)), len(names) - 1):
        bounds = itertools.pairwise((0, *cuts, len(parts)))
        pieces = [":".join(parts[low:high]) for low, high in bounds]
        if len(parts) == len(names):  # No other way: what a field does not accept is said by itself.
            return {name: parse_value(name, piece) for name, piece in zip(names, pieces, strict=True)}
        if all(is_accepted(name, piece) for name, piece in zip(names, pieces, strict=True)):
            found.append({name: parse_value(name, piece) for name, piece in zip(names, pieces, strict=True)})
    if len(found) != 1:
        fault = "can be parted in more than one way" if found else f"has not a value of each of {len(names)} fields"
        example = ":".join(["VALUE"] * len(names))
        raise ConfigError(f"--axis {','.join(names)}: {shown(word)} {fault}; accepted: {example}, one of each field")
    return found[0]


def is_accepted(name: str, word: str) -> bool:
    """Whether the field accepts the word as a value."""
    try:
        value = parse_value(name, word)
    except ConfigError:
        return False
    return bool(FIELDS[name].spec.test(value))


# ---------------------------------------------------------------------------------------------------------------------
# Ranges of numbers.


def spaced(name: str, word: str) -> list[Any]:
    """The values of a range, as log:LOW:HIGH:COUNT, as the type of the field; ConfigError for what is none."""
    kind, *rest = word.split(":")
    given = f"--axis {name}={word}"
    is_log = kind == "log" or (kind == "int" and rest[2:3] == ["log"])
    if kind == "int" and is_log:
        rest = [*rest[:2], *rest[3:]]
    if len(rest) not in ((2, 3) if kind == "int" else (3,)):
        raise ConfigError(f"{given} is no range; accepted: {SYNTAX}")
    is_whole = kind == "int" or FIELDS[name].type is int
    low, high = (number(text, given, is_whole) for text in rest[:2])
    check_bounds(low, high, is_log, given)
    if len(rest) == 2:
        values = doubled(low, high, given) if is_log else [low + i for i in range(counted(high - low + 1, given))]
    else:
        count = counted(number(rest[2], given, True), given)
        values = between(low, high, count, is_log)
    # Both ends are as they were given.
    return [FIELDS[name].type(round(value) if is_whole else clean(value)) for value in values]


def number(text: str, given: str, is_whole: bool, syntax: str = SYNTAX) -> float:
    """The finite number in a text, a whole one where it has to be."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (is_whole and (value != round(value) or abs(value) >= 2**53)):
        raise ConfigError(f"{given}: {shown(text)} is no {'whole ' if is_whole else ''}number; accepted: {syntax}")
    return value


def check_bounds(low: float, high: float, is_log: bool, given: str) -> None:
    """ConfigError for bounds that are no range."""
    if low >= high:
        raise ConfigError(f"{given}: {low:g} is not below {high:g}; accepted: the lower number first")
    if is_log and low <= 0:
        raise ConfigError(f"{given}: {low:g} has no logarithm; accepted with log: numbers above 0")


def counted(count: float, given: str) -> int:
    """How many values there are to be."""
    if not 2 <= count <= MOST_VALUES:
        raise ConfigError(f"{given} asks for {count:,.0f} values; accepted: 2 to {MOST_VALUES:,}")
    return int(count)


def doubled(low: float, high: float, given: str) -> list[float]:
    """The numbers from low to high of which each is twice the one before; ConfigError where they miss high."""
    doublings = max(1, round(math.log2(high / low)))
    if low * 2**doublings != high:
        raise ConfigError(
            f"{given}: {low:g} doubled again and again never is {high:g}; accepted: "
            f"int:{low:g}:{low * 2**doublings:g}:log, or a count, as int:{low:g}:{high:g}:log:{doublings + 1}"
        )
    return [low * 2**i for i in range(doublings + 1)]


def between(low: float, high: float, count: int, is_log: bool) -> list[float]:
    """So many numbers from low to high, both included, evenly spaced, or in their logarithms."""
    spaced_N = np.geomspace(low, high, count) if is_log else np.linspace(low, high, count)
    return [low, *map(float, spaced_N[1:-1]), high]


def clean(value: float, digits: int = DIGITS) -> float:
    """The number with so many digits."""
    return float(f"{value:.{digits}g}")
