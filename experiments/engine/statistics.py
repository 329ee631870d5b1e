"""What several seeds say of a number."""

import functools
import math
from typing import NamedTuple

import numpy as np

from training.probes import measure_of

CONFIDENCE = 0.95
UNBOUNDED = (-math.inf, math.inf)


class Interval(NamedTuple):
    """What several seeds say of a number; the bounds are those of its mean, NaN for fewer than two seeds."""

    mean: np.ndarray
    std: np.ndarray
    n: np.ndarray
    low: np.ndarray
    high: np.ndarray


@functools.cache
def student_quantile(degrees: int, confidence: float) -> float:
    """Half the width of the interval that holds that share of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + confidence / 2))


def bounds_of(metric: str) -> tuple[float, float]:
    """Between what the values of a metric, `measure` or `measure/layer`, can lie, whatever Student's interval says."""
    measure = measure_of(metric)
    return (measure.low, measure.high) if measure else UNBOUNDED


def interval(
    values_Sx: np.ndarray, confidence: float = CONFIDENCE, bounds: tuple[float, float] = UNBOUNDED
) -> Interval:
    """Mean, sample standard deviation, count and Student's t interval of the mean over the first axis, NaN left out.

    Of the interval only what lies within the bounds is given: the mean that it is to hold cannot lie elsewhere, so that
    it holds it as often as the whole interval does.
    """
    n = np.sum(np.isfinite(values_Sx), axis=0)
    values_Sx = np.where(np.isfinite(values_Sx), values_Sx, np.nan)
    quantile = np.vectorize(lambda n: student_quantile(max(n - 1, 1), confidence), otypes=[float])(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.nansum(values_Sx, axis=0) / n
        std = np.sqrt(np.nansum((values_Sx - mean) ** 2, axis=0) / np.where(n > 1, n - 1, np.nan))
        half = quantile * std / np.sqrt(n)
    return Interval(mean, std, n, np.clip(mean - half, *bounds), np.clip(mean + half, *bounds))


def interval_in_words(values_S: np.ndarray, form: str = ".3g", log: bool = False) -> str:
    """The 95 % interval of the mean over the seeds, of ratios (log) that of the geometric mean."""
    found = interval(np.log(values_S) if log else values_S)
    low, high = (np.exp(bound) if log else bound for bound in (found.low, found.high))
    return f"95 % interval {low:{form}} to {high:{form}}"
