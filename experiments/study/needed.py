"""How large a sample would decide what is undecided, if what was measured is so.

Each function gives the least count at which the 95 % interval would lie in the band, or wholly outside, and None where
none up to MOST does: the number lies on an end of its band, or so near that it is as good as on it.
"""

import math
from collections.abc import Callable

from experiments.engine.statistics import seeds_to_tell

MOST = 1_000_000
CHANCE = 0.025  # On either side of a 95 % interval.


def distance(measured: float, band: tuple[float | None, float | None]) -> float:
    """How far a number is from the nearest end of its band: that is what the interval has to stay clear of. Infinite
    for a band without ends, NaN of a number that is none."""
    return (
        math.nan
        if math.isnan(measured)
        else min((abs(measured - end) for end in band if end is not None and math.isfinite(end)), default=math.inf)
    )


def of_mean(mean: float, std: float, band: tuple[float | None, float | None]) -> int | None:
    """Independent values with that mean and deviation: as many as find the distance in a t-test with 80 % power."""
    apart = distance(mean, band)
    if not (math.isfinite(apart) and apart > 0 and std > 0):
        return None
    return seeds_to_tell(apart / std, most=MOST)


def of_share(share: float, band: tuple[float | None, float | None]) -> int | None:
    """Trials of which that share succeeds, by the exact binomial interval."""
    from scipy.stats import beta

    def is_decided(count: int) -> bool:
        successes = round(share * count)
        low = float(beta.ppf(CHANCE, successes, count - successes + 1)) if successes else 0.0
        high = float(beta.ppf(1 - CHANCE, successes + 1, count - successes)) if successes < count else 1.0
        least, most = (0.0 if band[0] is None else band[0]), (1.0 if band[1] is None else band[1])
        return (least <= low and high <= most) or high < least or low > most

    return None if math.isnan(share) else least_count(is_decided)


def of_interval(
    measured: float, low: float, high: float, band: tuple[float | None, float | None], count: int
) -> int | None:
    """An estimate of so many whose interval narrows as one over the root of their number: the wider half counts."""
    apart, half = distance(measured, band), max(high - measured, measured - low)
    if not (math.isfinite(apart) and apart > 0 and math.isfinite(half)):
        return None
    needed = math.ceil(count * (half / apart) ** 2)
    return needed if needed <= MOST else None


def of_draw(published: float, mean: float, std: float, below: float = 1 - CHANCE) -> int | None:
    """Seeds, normal ones, by which their range up to that share, and from as far below, is known well enough to say on
    which side of its end a published draw lies."""
    from scipy.stats import norm

    quantile = float(norm.ppf(below))
    apart = abs(abs(published - mean) - quantile * std)
    if not (math.isfinite(apart) and apart > 0 and std > 0):
        return None
    needed = math.ceil((1.96 * std / apart) ** 2 * (1 + quantile**2 / 2))
    return needed if needed <= MOST else None


def least_count(is_decided: Callable[[int], bool]) -> int | None:
    """The least count that decides, found by doubling and halving; None where none up to MOST does."""
    high = 1
    while not is_decided(high):
        high *= 2
        if high > MOST:
            return None
    low = high // 2 + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_decided(middle) else (middle + 1, high)
    return high
