"""What several seeds say of a number."""

import functools
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95


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


def interval(values_Sx: np.ndarray, confidence: float = CONFIDENCE) -> Interval:
    """Mean, sample standard deviation, count and Student's t interval of the mean over the first axis, NaN left out."""
    n = np.sum(np.isfinite(values_Sx), axis=0)
    values_Sx = np.where(np.isfinite(values_Sx), values_Sx, np.nan)
    quantile = np.vectorize(lambda n: student_quantile(max(n - 1, 1), confidence), otypes=[float])(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.nansum(values_Sx, axis=0) / n
        std = np.sqrt(np.nansum((values_Sx - mean) ** 2, axis=0) / np.where(n > 1, n - 1, np.nan))
        half = quantile * std / np.sqrt(n)
    return Interval(mean, std, n, mean - half, mean + half)


def interval_in_words(values_S: np.ndarray, form: str = ".3g", log: bool = False) -> str:
    """The 95 % interval of the mean over the seeds, of ratios (log) that of the geometric mean."""
    found = interval(np.log(values_S) if log else values_S)
    low, high = (np.exp(bound) if log else bound for bound in (found.low, found.high))
    return f"95 % interval {low:{form}} to {high:{form}}"
