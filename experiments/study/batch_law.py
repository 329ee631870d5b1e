"""How the steps to a target depend on the batch size: S(B) = S_min (1 + B_crit / B), fitted, and how well it fits.

B batch sizes, S seeds.
"""

import math

import numpy as np

from experiments.engine import statistics


def log_slope(sizes_B: np.ndarray, values_BxS: np.ndarray) -> np.ndarray:
    """The log-log slope over the sizes by least squares, of each seed."""
    x_B = np.log(sizes_B) - np.mean(np.log(sizes_B))
    return x_B @ np.log(values_BxS) / (x_B @ x_B)


def fit(sizes_B: np.ndarray, steps_B: np.ndarray) -> tuple[float, float]:
    """(S_min, B_crit) of S(B) = S_min (1 + B_crit / B), least squares in log S (McCandlish et al. 2018, equation 2.11).

    For any B_crit the best S_min is the geometric mean of what the steps are in units of 1 + B_crit / B; that leaves
    one number, which is searched for between a tenth of the least and ten times the largest size. NaN where the target
    is missed at a size.
    """
    if not np.all(np.isfinite(steps_B)):
        return math.nan, math.nan
    knee_K = np.geomspace(min(sizes_B) / 10, max(sizes_B) * 10, 4_001)
    residual_KxB = np.log(steps_B) - np.log1p(knee_K[:, None] / sizes_B)
    best = np.argmin(np.var(residual_KxB, axis=1))
    return float(np.exp(np.mean(residual_KxB[best]))), float(knee_K[best])


def knees(sizes_B: np.ndarray, steps_BxS: np.ndarray) -> np.ndarray:
    """The fitted knee of each seed."""
    return np.array([fit(sizes_B, steps_B)[1] for steps_B in steps_BxS.T])


def misfit(sizes_B: np.ndarray, steps_BxS: np.ndarray) -> np.ndarray:
    """How far the mean steps are from the fit to them at each size, as a share of them."""
    steps_B = np.exp(np.mean(np.log(steps_BxS), axis=1))
    least, knee = fit(sizes_B, steps_B)
    return np.abs(least * (1 + knee / sizes_B) / steps_B - 1)


def misfit_in_proportion(sizes_B: np.ndarray, steps_BxS: np.ndarray) -> float:
    """The largest misfit of steps in proportion to 1 / B, fitted to the mean steps in their logarithm as well."""
    steps_B = np.exp(np.mean(np.log(steps_BxS), axis=1))
    one_B = np.exp(np.mean(np.log(steps_B * sizes_B))) / sizes_B
    return float(np.max(np.abs(one_B / steps_B - 1)))


def misfit_interval(sizes_B: np.ndarray, steps_BxS: np.ndarray) -> tuple[float, float]:
    """A joint 95 % interval of the largest misfit: Student's at each size with Bonferroni's share of 5 %, from
    what each seed's steps are apart from the fit to them."""
    logs_BxS = np.log(steps_BxS)
    fits = [fit(sizes_B, np.exp(log_B)) for log_B in (*logs_BxS.T, logs_BxS.mean(axis=1))]
    *seeds, mean_B = (np.log(least * (1 + knee / sizes_B)) for least, knee in fits)
    apart_SxB = np.array(seeds) - logs_BxS.T
    found = statistics.interval(apart_SxB, 1 - (1 - statistics.CONFIDENCE) / len(sizes_B))
    half_B, middle_B = found.high - found.mean, mean_B - logs_BxS.mean(axis=1)
    ends_2xB = np.abs(np.expm1([middle_B - half_B, middle_B + half_B]))
    least_B = np.where(np.abs(middle_B) <= half_B, 0.0, ends_2xB.min(axis=0))
    return float(least_B.max()), float(ends_2xB.max())
