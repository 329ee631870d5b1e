"""Tables of cells judged as a whole: a table can be off although each of its cells is in its band."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from experiments.study.claims import OF_TABLE, Band, Claim, Kind, exact_claim

LEVEL = 0.05


class Joint(NamedTuple):
    """Pearson's chi-squared over the cells of a table, its degrees of freedom, and the probability of as much."""

    chi_squared: float
    degrees: int
    p: float


def against_runs(successes_C: ArrayLike, counts_C: ArrayLike, published_C: ArrayLike, runs: int) -> Joint:
    """Shares of counted trials against published shares of so many runs: each cell's two-by-two table, added up. A cell
    that is all success, or none, on both sides says nothing and counts no degree of freedom."""
    share_C, count_C = np.asarray(successes_C, float) / np.asarray(counts_C), np.asarray(counts_C, float)
    published_C = np.asarray(published_C, float)
    pooled_C = (share_C * count_C + published_C * runs) / (count_C + runs)
    variance_C = pooled_C * (1 - pooled_C) * (1 / count_C + 1 / runs)
    return _joint((share_C - published_C) ** 2, variance_C)


def against_bands(successes_C: ArrayLike, counts_C: ArrayLike, bands: Sequence[Band]) -> Joint:
    """Shares of counted trials against the bands of their cells: each share's distance from its band, in the standard
    deviations that it has at the band's end. Shares within their bands add nothing to what they have a degree of
    freedom for, so that the probability is at least what it should be."""
    share_C, count_C = np.asarray(successes_C, float) / np.asarray(counts_C), np.asarray(counts_C, float)
    ends = [(0.0 if low is None else low, 1.0 if high is None else high) for low, high in bands]
    nearest_C = np.clip(share_C, *np.array(ends).T)
    return _joint((share_C - nearest_C) ** 2, nearest_C * (1 - nearest_C) / count_C, len(bands))


def _joint(squared_C: np.ndarray, variance_C: np.ndarray, degrees: int | None = None) -> Joint:
    from scipy.stats import chi2

    counts = variance_C > 0
    impossible = bool(np.any(squared_C[~counts] > 0))
    total = np.inf if impossible else float(np.sum(squared_C[counts] / variance_C[counts]))
    degrees = int(counts.sum()) if degrees is None else degrees
    return Joint(total, degrees, float(chi2.sf(total, degrees)) if degrees else 1.0)


def joint_claim(
    key: str,
    name: str,
    kind: Kind,
    source: str,
    found: Joint,
    cells: int,
    published: ArrayLike | None = None,
    note: str = "",
    exploratory: str = "",
) -> Claim:
    """A claim that a whole table is as it was published: reproduced where the probability of being at least as far off
    by chance is .05 or more, which a table fails whose cells lean one way. Its cells were drawn, so that other seeds
    give another probability."""
    words = f"chi-squared {found.chi_squared:.1f} on {found.degrees}"
    claim = exact_claim(
        key,
        f"{name}, jointly: probability of as much by chance",
        kind,
        source,
        found.p,
        (LEVEL, 1.0),
        count=cells,
        sample="cells",
        published=published,
        rival=f"a table that is off, below {LEVEL:g}",
        rival_at=0.0,
        exploratory=exploratory,
        note=f"{words}; {note}" if note else words,
    )
    return dataclasses.replace(claim, rule=OF_TABLE)
