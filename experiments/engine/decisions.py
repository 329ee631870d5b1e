"""Which settings are better than which, as far as paired seeds tell.

C settings, S seeds. The same seed means the same initial draw and the same batches in every setting, so that what a
seed adds to all of them cancels in differences, each of which has Student's interval with its own spread: settings
differ much in how far their seeds are apart, so that nothing is pooled.

The set of those that cannot be told from the best, of C settings, leaves one out where another is ahead of it with a
two-sided paired p of at most .05 / (C - 1). This is multiple comparisons with the best (Hsu, 1984; Edwards and Hsu,
1983, for unequal variances) with Bonferroni's inequality in the place of a distribution that would need equal ones, so
that it holds however settings depend on each other. Each of the others is ahead of the best one with such a p in at
most 2.5 % / (C - 1) of all sweeps, so that the best one is in the set in at least 97.5 % of them. Where several are
equally good, all but one of them are left out in at most 5 %, whatever their number (Markov's inequality): a winner by
chance is that rare. The p-values of single differences are adjusted by Holm over all pairs, since the first of a
ranking was chosen after looking.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.engine.statistics import CONFIDENCE, holm, seeds_to_tell

LEVEL = 1 - CONFIDENCE
# Each setting is held against so many that are ahead in the mean; all others count in the correction all the same.
MOST_RIVALS = 100
# The differences of all pairs of so many are adjusted together; beyond, each by the number of all pairs.
MOST_IN_PAIRS = 200


class Pairs(NamedTuple):
    """What differences of seeds say of each of several comparisons, arrays of one shape: mean, standard deviation and
    number of the differences, the 95 % interval of the mean, the two-sided p of a mean of zero."""

    mean: np.ndarray
    std: np.ndarray
    n: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


class Difference(NamedTuple):
    """By how much a setting is ahead of another one, by their places in the table of scores; below zero, behind."""

    setting: int
    other: int
    mean: float
    std: float
    n: int
    low: float
    high: float
    p: float
    p_holm: float


class Best(NamedTuple):
    """The settings that cannot be told from the best one, the first in the mean first; of how many; and for each
    setting the p at which it would be left out, 1 where nothing is ahead of it, NaN where it was not compared."""

    settings: tuple[int, ...]
    among: int
    p_C: np.ndarray


def pairs_of(differences_xS: np.ndarray) -> Pairs:
    """What the differences say over their last axis, NaN left out; NaN for what fewer than two do not tell.

    Where all differences are the same, as accuracies over few examples may be, Student's t has no scale; there p is
    that of the sign test.
    """
    from scipy.special import stdtr, stdtrit

    n = np.sum(np.isfinite(differences_xS), axis=-1)
    known = np.where(np.isfinite(differences_xS), differences_xS, 0.0)
    size = np.max(np.abs(known), axis=-1, initial=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = known.sum(axis=-1) / n
        residual = np.where(np.isfinite(differences_xS), differences_xS - mean[..., None], 0.0)
        std = np.where(n > 1, np.sqrt(np.sum(residual**2, axis=-1) / np.maximum(n - 1, 1)), np.nan)
        std = np.where(std <= 1e-12 * size, 0.0, std)
        error, degrees = std / np.sqrt(n), np.maximum(n - 1.0, 1.0)
        p = 2 * stdtr(degrees, -np.abs(mean / error))
    p = np.where(std == 0, np.where(mean == 0, 1.0, np.minimum(2.0 ** (1.0 - n), 1.0)), p)
    half = stdtrit(degrees, 0.5 + CONFIDENCE / 2) * error
    return Pairs(mean, std, n, mean - half, mean + half, np.where(n > 1, p, np.nan))


def best_of(values_CxS: np.ndarray, sign: int = 1, compared_C: np.ndarray | None = None) -> Best:
    """The set of settings that cannot be told from the best among those that are compared, by default all that have a
    value; sign -1 where lower is better."""
    values_CxS = sign * values_CxS
    has_value_C = np.any(np.isfinite(values_CxS), axis=1)
    is_compared_C = np.logical_and(has_value_C, has_value_C if compared_C is None else compared_C)
    order = by_mean(values_CxS, is_compared_C)
    least_C = np.full(len(values_CxS), 1.0)
    for rival in order[:MOST_RIVALS]:
        found = pairs_of(values_CxS[rival] - values_CxS)
        is_ahead_C = (found.mean > 0) & np.isfinite(found.p)
        least_C = np.where(is_ahead_C, np.minimum(least_C, found.p), least_C)
    p_C = np.where(is_compared_C, np.minimum(least_C * max(len(order) - 1, 1), 1.0), np.nan)
    return Best(tuple(int(c) for c in order if p_C[c] > LEVEL), len(order), p_C)


def by_mean(values_CxS: np.ndarray, compared_C: np.ndarray) -> list[int]:
    """The settings that are compared, the highest mean first."""
    counts_C = np.isfinite(values_CxS).sum(axis=1)
    means_C = np.nansum(values_CxS, axis=1) / np.maximum(counts_C, 1)
    return [int(c) for c in np.argsort(-means_C, kind="stable") if compared_C[c]]


def differences(
    values_CxS: np.ndarray, first: int, others: Sequence[int], sign: int = 1, compared: Sequence[int] | None = None
) -> list[Difference]:
    """By how much the first setting is ahead of each of the others, p adjusted over all pairs of those that are
    compared, by default these; sign -1 where lower is better."""
    values_CxS, family = sign * values_CxS, list(compared) if compared is not None else [first, *others]
    adjusted = _holm_of_pairs(values_CxS, family)
    pairs = len(family) * (len(family) - 1) // 2
    found = pairs_of(values_CxS[first] - values_CxS[list(others)])
    rows: list[Difference] = []
    for i, other in enumerate(others):
        mean, std, low, high, p = (float(of[i]) for of in (found.mean, found.std, found.low, found.high, found.p))
        alone = min(p * pairs, 1.0)
        p_holm = adjusted.get((min(first, other), max(first, other)), alone)
        rows.append(Difference(first, int(other), mean, std, int(found.n[i]), low, high, p, p_holm))
    return rows


def _holm_of_pairs(values_CxS: np.ndarray, family: Sequence[int]) -> dict[tuple[int, int], float]:
    """The adjusted p of every pair that has one; none where the settings are too many for that."""
    if len(family) > MOST_IN_PAIRS:
        return {}
    places = np.array(sorted(family))
    upper = np.triu_indices(len(places), 1)
    first, second = places[upper[0]], places[upper[1]]
    p = pairs_of(values_CxS[first] - values_CxS[second]).p
    told = np.isfinite(p)
    adjusted = np.full(len(p), np.nan)
    # Pairs that share fewer than two seeds count: they might be asked for.
    adjusted[told] = holm(np.where(told, p, 1.0))[told]
    return dict(zip(zip(first.tolist(), second.tolist(), strict=True), adjusted.tolist(), strict=True))


def seeds_that_decide(of: Difference, among: int) -> int | None:
    """About how many seeds would tell the two settings apart where so many settings are compared, in four of five
    sweeps, were the difference and its spread what they are here; None where they are more than 10,000 or not known."""
    if not (math.isfinite(of.std) and of.mean):
        return None
    if not of.std:
        level = LEVEL / max(among - 1, 1)
        return max(2, math.ceil(1 - math.log2(level)))
    return seeds_to_tell(of.mean / of.std, LEVEL / max(among - 1, 1))
