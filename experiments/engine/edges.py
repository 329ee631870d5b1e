"""Whether the best value of a field lies at the edge of what was tried, and what to try beyond it."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from experiments.engine.space import text_of
from training.config import FIELDS

# More of these is better, or another question, wherever the best one lies.
UNBOUNDED_FIELDS = ("seed", "epochs", "patience", "train_examples", "inputs", "classes")
# Of scattered values, as many as this or more, the best is at the edge among this share of them.
FEWEST_SCATTERED, OUTERMOST = 20, 0.05
MOST_SHOWN = 12


class Edge(NamedTuple):
    """The best setting's value of a field, which is the largest, or the smallest, of those that were tried; and a value
    beyond, None where none is accepted or where values are scattered."""

    field: str
    value: float
    is_largest: bool
    tried: tuple[float, ...]
    beyond: float | None

    @property
    def words(self) -> str:
        """`best learning_rate 10 is the largest tried: --axis learning_rate=1,3,10,30`."""
        end = "largest" if self.is_largest else "smallest"
        if len(self.tried) >= FEWEST_SCATTERED and self.value not in (self.tried[0], self.tried[-1]):
            end = f"among the {end}"
        else:
            end = f"the {end}"
        said = f"best {self.field} {self.value:g} is {end} tried"
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
