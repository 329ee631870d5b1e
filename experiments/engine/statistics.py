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
    counts, place = np.unique(n, return_inverse=True)
    quantiles = np.array([student_quantile(max(int(count) - 1, 1), confidence) for count in counts])
    quantile = quantiles[place].reshape(np.shape(n))
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


def holm(p_N: np.ndarray) -> np.ndarray:
    """The p-values of a family, adjusted by Holm's step-down (1979): those at most as large as a level are false with
    at most that probability, all together, however they depend on each other."""
    order_N = np.argsort(p_N, kind="stable")
    factors_N = np.arange(len(p_N), 0, -1)
    adjusted_N = np.empty(len(p_N))
    adjusted_N[order_N] = np.minimum(np.maximum.accumulate(factors_N * p_N[order_N]), 1.0)
    return adjusted_N


def power_of(effect: float, n: int, level: float) -> float:
    """How often a two-sided paired t-test of n pairs at that level finds a difference of so many of its own standard
    deviations."""
    from scipy.special import nctdtr, stdtrit  # `scipy.stats.nct` and `t`, whose import takes half a second.

    shift, limit = abs(effect) * math.sqrt(n), float(stdtrit(n - 1, 1 - level / 2))
    # The noncentral t ends in NaN where the power is 1 to all digits, and in the tail of the wrong sign, which weighs
    # less than a normal number's beyond the shift.
    if shift - limit > 8 + limit / math.sqrt(n - 1):
        return 1.0
    wrong_sign = 0.0 if shift > 5 else float(nctdtr(n - 1, shift, -limit))
    return 1.0 - float(nctdtr(n - 1, shift, limit)) + wrong_sign


def seeds_to_tell(effect: float, level: float = 1 - CONFIDENCE, power: float = 0.8, most: int = 10_000) -> int | None:
    """How many paired seeds find a difference of so many of its own standard deviations, with that probability, in a
    two-sided t-test at that level; None where more than the most would be needed."""
    low, high = 2, 2
    while not power_of(effect, high, level) >= power:
        if high >= most:
            return None
        low, high = high + 1, min(2 * high, most)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(effect, middle, level) >= power else (middle + 1, high)
    return high


class Groups(NamedTuple):
    """Two groups among the values of several seeds, each in order."""

    low: tuple[float, ...]
    high: tuple[float, ...]


# Draws from the normal distribution that say how far apart two groups are by chance, and how rarely.
GROUP_DRAWS, GROUP_LEVEL, FEWEST_TO_GROUP = 50_000, 0.001, 4


def two_groups(values_S: np.ndarray) -> Groups | None:
    """The two groups into which the values fall at their widest gap, where these are farther apart, in standard
    deviations within them, than those of as many normal numbers are once in a thousand times; else None."""
    sorted_S = np.sort(values_S[np.isfinite(values_S)])
    if len(sorted_S) < FEWEST_TO_GROUP:
        return None
    (apart,), (split,) = _apart(sorted_S[None])
    if not apart > _farthest_by_chance(len(sorted_S)):
        return None
    low, high = sorted_S[:split].tolist(), sorted_S[split:].tolist()
    return Groups(tuple(low), tuple(high))


def _apart(sorted_NxS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the two groups on both sides of the widest gap of each row are apart, in standard deviations within them,
    and how many values are in the lower one."""
    split_N = np.argmax(np.diff(sorted_NxS, axis=1), axis=1) + 1
    is_low_NxS = np.arange(sorted_NxS.shape[1]) < split_N[:, None]
    means = [np.sum(sorted_NxS, axis=1, where=side) / side.sum(axis=1) for side in (is_low_NxS, ~is_low_NxS)]
    within_NxS = sorted_NxS - np.where(is_low_NxS, means[0][:, None], means[1][:, None])
    within_N = np.sqrt(np.sum(within_NxS**2, axis=1) / (sorted_NxS.shape[1] - 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (means[1] - means[0]) / within_N, split_N


@functools.cache
def _farthest_by_chance(n: int) -> float:
    draws_NxS = np.sort(np.random.default_rng(n).standard_normal((max(2_000, min(GROUP_DRAWS, 10**7 // n)), n)), axis=1)
    return float(np.quantile(_apart(draws_NxS)[0], 1 - GROUP_LEVEL))
