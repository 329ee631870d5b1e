"""Numbers with the 95 % interval that several probe sets, draws or seeds give them."""

import math
from typing import Any, NamedTuple

import numpy as np

from experiments.engine.statistics import CONFIDENCE, interval, student_quantile


class Estimate(NamedTuple):
    """A number and its 95 % interval, NaN where nobody can tell, infinite where there is no upper end."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def times(self, factor: float) -> "Estimate":
        """The estimate of a multiple."""
        return Estimate(*(factor * x for x in self))

    def to_dict(self) -> dict[str, float | None]:
        """As JSON takes it, None for what is not finite."""
        return {name: x if math.isfinite(x) else None for name, x in self._asdict().items()}

    def __str__(self) -> str:
        return f"{brief(self.value)} ({self.within})" if self.within else brief(self.value)

    @property
    def within(self) -> str:
        """`11.8 to 12.9`, `11.8 or more`, '' where there is no interval."""
        if math.isnan(self.low) or math.isnan(self.high):
            return ""
        if math.isinf(self.high):
            return f"{brief(self.low)} or more"
        return f"{brief(self.low)} to {brief(self.high)}"


def brief(number: float, digits: int = 3) -> str:
    """Three digits, whole numbers from 100 on; `unknown` for what is none."""
    if math.isnan(number):
        return "unknown"
    if math.isinf(number):
        return "without limit"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.{digits}g}"


def as_json(value: Any) -> Any:
    """A tree of dicts, lists, estimates and numbers as JSON takes it."""
    if isinstance(value, Estimate):
        return value.to_dict()
    if isinstance(value, dict):
        return {name: as_json(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def mean(values_K: np.ndarray, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Estimate:
    """Their mean with Student's interval."""
    found = interval(values_K, bounds=bounds)
    return Estimate(float(found.mean), float(found.low), float(found.high))


def geometric(values_K: np.ndarray) -> Estimate:
    """Their geometric mean with Student's interval of the logarithms; NaN where one of them is not above 0."""
    if not np.all(values_K > 0) or not np.all(np.isfinite(values_K)):
        return Estimate(math.nan)
    return Estimate(*(math.exp(x) for x in mean(np.log(values_K))))


def ratio(top_K: np.ndarray, bottom_K: np.ndarray) -> Estimate:
    """The ratio of two means that are estimated on the same sets, with Fieller's interval (1954), which has no upper
    end where the lower mean cannot be told from 0."""
    top, bottom, count = float(np.mean(top_K)), float(np.mean(bottom_K)), len(top_K)
    if not (math.isfinite(top) and math.isfinite(bottom)):
        return Estimate(math.nan)
    if count < 2:
        return Estimate(top / bottom if bottom > 0 else math.inf)
    (var_top, both), (_, var_bottom) = np.cov(top_K, bottom_K) / count
    square = student_quantile(count - 1, CONFIDENCE) ** 2
    a, b, c = bottom**2 - square * var_bottom, top * bottom - square * both, top**2 - square * var_top
    root = math.sqrt(max(b * b - a * c, 0.0))
    if bottom <= 0 or a <= 0:
        return Estimate(
            top / bottom if bottom > 0 else math.inf, max(c / (b + root), 0.0) if b + root > 0 else 0.0, math.inf
        )
    return Estimate(top / bottom, max((b - root) / a, 0.0), (b + root) / a)
