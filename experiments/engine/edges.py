"""Whether the best value of a field lies at the edge of what was tried, and what to try beyond it."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from experiments.engine.space import text_of
from training.config import FIELDS

# More of these is better, or another question, wherever the best one lies.
UNBOUNDED_FIELDS = ("seed", "epochs", "patience", "train_examples", "inputs", "classes")
# Of so many values of which each is beside others of another field, the best is at the edge among this share of them.
FEWEST_SCATTERED, OUTERMOST = 20, 0.05
# Of values drawn from a range, so many or more, the best is at the edge in the outer tenth of it: fewer than one point
# in ten lies beyond, too few to see that scores fall again. Of a field that changes nothing the best is there in one
# sweep of five, which costs a look further on.
FEWEST_DRAWN, OUTER = 10, 0.1
# What is drawn has gaps of which one is so many times another one, on any scale; a grid's are more alike.
UNEVEN = 2.0
# A range that goes beyond has the half in which the best lies, and so much more of it.
BEYOND = 0.25
MOST_SHOWN = 12


class Edge(NamedTuple):
    """The best setting's value of a field, which is the largest, or the smallest, of those that were tried; and a value
    beyond, None where none is accepted or where values are scattered; of values drawn from a range, the range that goes
    beyond, as `--range` takes it."""

    field: str
    value: float
    is_largest: bool
    tried: tuple[float, ...]
    beyond: float | None
    range: str = ""

    @property
    def words(self) -> str:
        """`best learning_rate 10 is the largest tried: --axis learning_rate=1,3,10,30`."""
        end = "largest" if self.is_largest else "smallest"
        end = f"the {end}" if self.value in (self.tried[0], self.tried[-1]) else f"among the {end}"
        said = f"best {self.field} {self.value:g} is {end} tried"
        if self.range:
            return f"{said} ({self.tried[0]:g} to {self.tried[-1]:g}): --range {self.range} goes beyond"
        if self.beyond is None:
            return f"{said} ({self.tried[0]:g} to {self.tried[-1]:g})"
        if len(self.tried) > MOST_SHOWN:
            return f"{said}: {self.beyond:g} is further on"
        values = [*self.tried, self.beyond] if self.is_largest else [self.beyond, *self.tried]
        # Digits for digits: another value would be another trial.
        return f"{said}: --axis {self.field}={','.join(text_of(value) for value in values)}"


def edges_of(fields: Sequence[str], settings: Sequence[tuple[Any, ...]], best: int, tied: Sequence[int]) -> list[Edge]:
    """The edges at which the setting numbered `best` lies among all settings; of two values only, neither is an edge
    unless the other one was told apart from the best, which those numbered in `tied` were not."""
    found: list[Edge] = []
    for i, name in enumerate(fields):
        if FIELDS[name].type not in (int, float) or name in UNBOUNDED_FIELDS:
            continue
        value = settings[best][i]
        alike = {
            c: setting[i] for c, setting in enumerate(settings) if without(setting, i) == without(settings[best], i)
        }
        of_line, tried = sorted(set(alike.values())), tuple(sorted({setting[i] for setting in settings}))
        if is_drawn(tried):
            found += drawn_edge(name, value, tried)
            continue
        if len(of_line) == 1 and len(tried) >= FEWEST_SCATTERED:
            outer = max(int(OUTERMOST * len(tried)), 1)
            if value in (*tried[:outer], *tried[-outer:]):
                found.append(Edge(name, value, value in tried[-outer:], tried, None))
            continue
        if len(of_line) < 2 or value not in (of_line[0], of_line[-1]):
            continue
        if len(of_line) == 2 and any(c in tied for c, other in alike.items() if other != value):
            continue
        is_largest = value == of_line[-1]
        beyond = next_value(name, of_line if is_largest else of_line[::-1])
        if beyond is not None or is_largest:
            found.append(Edge(name, value, is_largest, tried, beyond))
    return found


def without(setting: tuple[Any, ...], i: int) -> tuple[Any, ...]:
    """The setting's values but for the one."""
    return setting[:i] + setting[i + 1 :]


def is_drawn(tried: Sequence[float]) -> bool:
    """Whether values that rise look as if drawn from a range: many, and at uneven distances on any scale."""
    if len(tried) < FEWEST_DRAWN:
        return False
    scales = [tried, [math.log(value) for value in tried]] if tried[0] > 0 else [tried]
    return all(spread([b - a for a, b in itertools.pairwise(on_scale)]) > UNEVEN for on_scale in scales)


def is_log(tried: Sequence[float]) -> bool:
    """Whether values that rise lie more evenly by their logarithms than by themselves."""

    def uneven(values: Sequence[float]) -> float:
        last, width = len(values) - 1, values[-1] - values[0]
        return max(abs((value - values[0]) / width - i / last) for i, value in enumerate(values))

    return tried[0] > 0 and uneven([math.log(value) for value in tried]) < uneven(tried)


def drawn_edge(name: str, value: float, tried: tuple[float, ...]) -> list[Edge]:
    """The edge of a range at which the best of the values drawn from it lies, on the scale on which they were drawn;
    none where it lies further in, or at an end beyond which the field accepts nothing."""
    by_log = is_log(tried)
    low, high, at = (math.log(x) if by_log else x for x in (tried[0], tried[-1], value))
    width = high - low
    is_largest = at > (low + high) / 2
    if min(at - low, high - at) > OUTER * width:
        return []
    inverse = math.exp if by_log else float
    middle = between(name, inverse((low + high) / 2), inverse(low + 0.25 * width), inverse(high - 0.25 * width), by_log)
    beyond = outside(name, inverse(high + BEYOND * width if is_largest else low - BEYOND * width), tried)
    if beyond is None:
        beyond = other_end(name, tried, is_largest, by_log)
        by_log = by_log or (beyond is not None and 0 < beyond < tried[0])
    if beyond is None:
        return []
    ends = (middle, beyond) if is_largest else (beyond, middle)
    text = f"{name}={'log:' if by_log else ''}{text_of(ends[0])}:{text_of(ends[1])}"
    return [Edge(name, value, is_largest, tried, beyond, text)]


def outside(name: str, end: float, tried: Sequence[float]) -> float | None:
    """The end of a range in as few digits as leave it beyond what was tried, by half as much at least; None where the
    field does not accept it."""
    outermost = tried[-1] if end > tried[-1] else tried[0]
    shown = [clean_as(name, end, digits) for digits in (1, 2, 3, 6)]
    far = [value for value in shown if 0.5 <= (value - outermost) / (end - outermost) <= 1.5]
    return far[0] if far and FIELDS[name].spec.test(far[0]) else None


def between(name: str, middle: float, low: float, high: float, by_log: bool) -> float:
    """The middle of what was tried in as few digits as leave it between those numbers."""
    shown = [clean_as(name, middle, digits) for digits in (1 if by_log else 2, 2, 3, 6)]
    return next((value for value in shown if low <= value <= high), shown[-1])


def clean_as(name: str, value: float, digits: int) -> float:
    """The value in so many digits, whole where the field's values are."""
    short = float(f"{value:.{digits}g}")
    return round(short) if FIELDS[name].type is int else short


def other_end(name: str, tried: Sequence[float], is_largest: bool, by_log: bool) -> float | None:
    """The end of a range where the field does not accept what lies a share of the range beyond: half of what is left
    up to 1, or down to 0 where it is accepted and not as good as reached, else a tenth of the smallest value."""
    test, last = FIELDS[name].spec.test, tried[-1]
    if is_largest:
        # Two digits of what is left: of the number itself they might be those of 1.
        half = round(1 - float(f"{(1 - last) / 2:.2g}"), 12)
        return half if last < half < 1 and test(half) and not test(1.0) else None
    if by_log or FIELDS[name].type is int:
        return None
    if test(0.0):
        return 0.0 if tried[0] > OUTER * (last - tried[0]) else None
    return clean_as(name, tried[0] / 10, 1)


def next_value(name: str, values: Sequence[float]) -> float | None:
    """What comes next after the last of the values, which rise or fall, by the ratio or the step that they have; None
    where the field accepts none."""
    field = FIELDS[name]
    last, step = values[-1], values[-1] - values[-2]
    if is_geometric(values):
        # 1, 3, 10, 30: of steps that alternate, the one before the last.
        ratio = values[-2] / values[-3] if len(values) > 2 else last / values[-2]
        beyond = last * ratio if field.type is int else float(f"{last * ratio:.2g}")
    else:
        beyond = float(f"{last + step:.6g}")
    if field.type is int:
        beyond = round(beyond)
    if beyond != last and field.spec.test(beyond):
        return beyond
    if step > 0 and last < 1 and not field.spec.test(1.0):
        return float(f"{1 - (1 - last) / 2:.6g}")
    return None


def is_geometric(values: Sequence[float]) -> bool:
    """Whether the values are spaced by ratios rather than by steps; of two, whether one is twice the other or more."""
    if min(values) <= 0:
        return False
    ratios = [math.log(b / a) for a, b in itertools.pairwise(values)]
    steps = [b - a for a, b in itertools.pairwise(values)]
    if len(values) == 2:
        return abs(ratios[0]) >= math.log(2) - 1e-9
    return spread(ratios) < spread(steps)


def spread(numbers: Sequence[float]) -> float:
    """The largest number over the smallest one, of either sign."""
    sizes = [abs(number) for number in numbers]
    return max(sizes) / min(sizes)
