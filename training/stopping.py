"""When a run ends before its last epoch: at a number that is good enough, or when it has not become better for long."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from training.records import LOWEST_IS_BEST, METRICS, is_better, is_lost, lacks

COMPARISONS: dict[str, Callable[[float, float], bool]] = {">=": operator.ge, "<=": operator.le}
# Nothing is decided by the test set, so that its metrics are none of these.
ACCEPTED = f"a metric and what it has to reach, such as val_accuracy>=0.97 or val_loss<=0.1, of {', '.join(METRICS)}"
FORM = re.compile(rf"\s*({'|'.join(METRICS)})\s*(>=|<=)\s*(\d*\.?\d+(?:[eE][-+]?\d+)?|\d+\.)\s*")
EPOCHS, STOP_AT, PATIENCE = "epochs", "stop_at", "patience"
# What says when a run ends, and nothing of how it goes until then.
FIELDS = (EPOCHS, STOP_AT, PATIENCE)


class Stops(Protocol):
    """What is read of a config."""

    @property
    def epochs(self) -> int: ...

    @property
    def stop_at(self) -> str: ...

    @property
    def patience(self) -> int: ...


class Condition(NamedTuple):
    """A metric, and what it has to reach."""

    metric: str
    comparison: str
    bound: float

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether the epoch of that row has reached it; what is not finite reaches nothing."""
        value = row.get(self.metric)
        if value is None or lacks(row, self.metric):
            return False
        return COMPARISONS[self.comparison](value, self.bound)


def condition_of(text: str) -> Condition | None:
    """The condition in words such as `val_accuracy>=0.97`, None for none; ValueError for what is no such condition, or
    one that better training moves away from."""
    if not text:
        return None
    matched = FORM.fullmatch(text)
    if not matched:
        raise ValueError(f"{text!r} is no condition; accepted: {ACCEPTED}")
    metric, comparison, bound = matched.groups()
    if (comparison == "<=") != (metric in LOWEST_IS_BEST):
        raise ValueError(f"{text!r} holds from the start; accepted: {ACCEPTED}")
    return Condition(metric, comparison, float(bound))


def is_condition(text: str) -> bool:
    """Whether the text says when to stop; nothing says never."""
    try:
        condition_of(text)
    except ValueError:
        return False
    return True


class Course:
    """The epochs of one run so far, as they decide when it ends."""

    def __init__(self, config: Stops, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._epochs, self._patience, self._condition = config.epochs, config.patience, condition_of(config.stop_at)
        self._best: Mapping[str, Any] | None = None
        self._since = 0
        self.reason = ""
        for row in rows:
            self.add(row)

    @property
    def may_stop(self) -> bool:
        """Whether the run may be over before its last epoch, which nobody knows until an epoch is over."""
        return self._condition is not None or self._patience > 0

    def add(self, row: Mapping[str, Any]) -> str:
        """Why the run is over after the epoch of that row, as `after` says; the row counts from now on."""
        self.reason = self.after(row)
        if is_better(row, self._best):
            self._best, self._since = row, 0
        else:
            self._since += 1
        return self.reason

    def after(self, row: Mapping[str, Any]) -> str:
        """Why the run would be over after the epoch of that row: `stop_at` when the number is reached, `patience` when
        that many epochs in a row have brought no higher val_accuracy (of a regression no lower val_loss), `epochs`
        after the last one; '' where it goes on."""
        if self._condition and self._condition.holds(row):
            return STOP_AT
        if self._patience and not is_better(row, self._best) and self._since + 1 >= self._patience:
            return PATIENCE
        return EPOCHS if row["epoch"] >= self._epochs else ""

    def ends_with(self, row: Mapping[str, Any]) -> bool:
        """Whether the run would be over after the epoch of that row, and has not lost its cost there."""
        return not is_lost(row) and bool(self.after(row))


def reason(config: Stops, rows: Iterable[Mapping[str, Any]]) -> str:
    """Why the run with those rows is over, '' where it is not: `Course.add` of its last row."""
    return Course(config, rows).reason
