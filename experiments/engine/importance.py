"""Which swept fields matter: shares of the variance of the scores, as in a functional analysis of variance.

C settings, S seeds, G factors, N settings as points. A factor is a swept field, or several that only vary together.
In a grid of all combinations the variance of the settings' means falls apart exactly into main effects, pairs and what
only more fields together do, each freed of what the spread of the seeds adds to it in the mean; the rest of the
variance of all trials is the seeds'. Settings that are scattered, as a random search has them, are fitted by
polynomials of the fields' ranks and their products (Sudret, 2008): a share is then one of what the fit predicts of
settings that it has not seen, and where it predicts little nothing is said. A seed that diverged counts as the worst
that ended.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.engine.finals import Finals
from training.config import FIELDS

# Of a fit: degree of a number, settings a term, and what it has to explain of settings that were left out of it.
DEGREE, SETTINGS_A_TERM, LEAST_EXPLAINED = 3, 2.0, 0.3


class Share(NamedTuple):
    """What a factor, or a pair of them, has of the variance."""

    factors: tuple[str, ...]
    share: float


class Importance(NamedTuple):
    """The shares, the largest first; that of the seeds, NaN where nobody can tell it from the rest; that of the rest;
    how they were found, `grid` or `fit`, or '' with the reason why they were not."""

    shares: tuple[Share, ...]
    seeds: float
    rest: float
    method: str
    reason: str = ""


def nothing(reason: str) -> Importance:
    """What is said where there are no shares."""
    return Importance((), math.nan, math.nan, "", reason)


class Factor(NamedTuple):
    """Fields that vary together: their names, the number of the level that each setting has, and the levels' values."""

    name: str
    code_C: np.ndarray
    values: list[Any]

    @property
    def is_number(self) -> bool:
        """Whether its values lie on a line."""
        return not isinstance(self.values[0], (str, bool))


def importance_of(finals: Finals) -> Importance:
    """The shares of the fields of a sweep, by the last scores of its trials."""
    if finals.cut_CxS.any():
        return nothing("settings were cut after unlike numbers of epochs")
    values_CxS = with_worst(finals)
    has_value_C: np.ndarray = np.any(np.isfinite(values_CxS), axis=1)
    settings = [setting for setting, there in zip(finals.settings, has_value_C.tolist(), strict=True) if there]
    values_CxS, factors = values_CxS[has_value_C], factors_of(finals.fields, settings)
    if not factors:
        return nothing("there is one setting" if len(settings) else "no trial ended")
    counts_C = np.isfinite(values_CxS).sum(axis=1)
    means_C = np.nansum(values_CxS, axis=1) / counts_C
    if not np.ptp(means_C):
        return nothing("all settings score the same")
    if math.prod(len(factor.values) for factor in factors) == len(settings):
        return of_grid(factors, values_CxS)
    return of_fit(factors, means_C)


def with_worst(finals: Finals) -> np.ndarray:
    """The scores, where a seed diverged the worst that any has ended with."""
    worst = finals.sign * np.min(finals.sign * finals.values_CxS, initial=np.inf, where=np.isfinite(finals.values_CxS))
    return np.where(finals.diverged_CxS & math.isfinite(worst), worst, finals.values_CxS)


def factors_of(fields: Sequence[str], settings: Sequence[tuple[Any, ...]]) -> list[Factor]:
    """The fields as factors; those of which one says the other are one."""
    found: list[Factor] = []
    for i, name in enumerate(fields):
        of_field = [setting[i] for setting in settings]
        values = sorted(set(of_field), key=str if FIELDS[name].type in (str, tuple, bool) else float)
        place = {value: j for j, value in enumerate(values)}
        code_C = np.array([place[value] for value in of_field])
        if len(values) < 2:
            continue
        factor = Factor(name, code_C, values)
        for j, other in enumerate(found):
            # Numbers that are drawn anew for every setting do not vary together.
            if factor.is_number and other.is_number and len(values) == len(settings):
                continue
            together = len(np.unique(np.stack([code_C, other.code_C]), axis=1).T)
            if together == len(values) == len(other.values):
                found[j] = other._replace(name=f"{other.name},{name}")
                break
        else:
            found.append(factor)
    return found


def of_grid(factors: Sequence[Factor], values_CxS: np.ndarray) -> Importance:
    """The shares in a grid of all combinations, one setting each."""
    shape = tuple(len(factor.values) for factor in factors)
    counts_C = np.isfinite(values_CxS).sum(axis=1)
    means_C = np.nansum(values_CxS, axis=1) / counts_C
    within_C = np.nansum((values_CxS - means_C[:, None]) ** 2, axis=1) / counts_C
    cells = np.empty(shape)
    cells[tuple(factor.code_C for factor in factors)] = means_C
    total = float(np.var(cells) + np.mean(within_C))
    # What chance adds to the sum of squares of an effect, per degree of freedom and cell.
    chance = error_of(values_CxS) * float(np.mean(1 / counts_C)) / cells.size
    effects = effects_of(cells)
    parts: dict[tuple[int, ...], float] = {}
    for axes, effect in effects.items():
        degrees = math.prod(shape[axis] - 1 for axis in axes)
        parts[axes] = max(float(np.mean(effect**2)) - degrees * chance, 0.0) / total
    left = np.var(cells) - sum(float(np.mean(effect**2)) for effect in effects.values())
    degrees = cells.size - 1 - sum(math.prod(shape[axis] - 1 for axis in axes) for axes in effects)
    rest = max(float(left) - degrees * chance, 0.0) / total if degrees else 0.0
    has_seeds = bool((counts_C > 1).all())
    seeds = max(1 - rest - sum(parts.values()), 0.0) if has_seeds else math.nan
    return Importance(in_order(factors, parts), seeds, rest, "grid")


def effects_of(cells: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
    """The main effects of each axis and the interactions of each pair, by axes, broadcast over all others."""
    every = tuple(range(cells.ndim))
    mean = cells.mean()

    def marginal(axes: tuple[int, ...]) -> np.ndarray:
        return cells.mean(axis=tuple(axis for axis in every if axis not in axes), keepdims=True)

    found = {(axis,): marginal((axis,)) - mean for axis in every}
    pairs = {(i, j): marginal((i, j)) - found[i,] - found[j,] - mean for i, j in itertools.combinations(every, 2)}
    return found | pairs


def error_of(values_CxS: np.ndarray) -> float:
    """The variance of a score about its setting and its seed, the seeds' own effect left out where all have the same
    seeds; 0 where there is one seed, which tells nothing."""
    counts_C = np.isfinite(values_CxS).sum(axis=1)
    residual_CxS = values_CxS - (np.nansum(values_CxS, axis=1) / counts_C)[:, None]
    degrees = float(counts_C.sum() - len(values_CxS))
    if np.isfinite(values_CxS).all():
        residual_CxS = residual_CxS - residual_CxS.mean(axis=0)
        degrees = (len(values_CxS) - 1) * (values_CxS.shape[1] - 1)
    return float(np.nansum(residual_CxS**2)) / degrees if degrees > 0 else 0.0


def in_order(factors: Sequence[Factor], parts: dict[tuple[int, ...], float]) -> tuple[Share, ...]:
    """The shares by the names of their factors, the largest first."""
    shares = [Share(tuple(factors[axis].name for axis in axes), part) for axes, part in parts.items()]
    return tuple(sorted(shares, key=lambda share: -share.share))


def of_fit(factors: Sequence[Factor], means_N: np.ndarray) -> Importance:
    """The shares of settings that are scattered, by a fit of their means."""
    columns = [columns_of(factor) for factor in factors]
    terms = {(g,): basis for g, basis in enumerate(columns)}
    pairs = {
        (g, h): np.stack([columns[g][:, i] * columns[h][:, j] for i in range(g_most) for j in range(h_most)], axis=1)
        for g, h in itertools.combinations(range(len(factors)), 2)
        for g_most, h_most in [(most_in_pair(factors[g], columns[g]), most_in_pair(factors[h], columns[h]))]
    }
    for tried in (terms | pairs, terms):
        if 1 + sum(basis.shape[1] for basis in tried.values()) > len(means_N) / SETTINGS_A_TERM:
            continue
        parts, explained = fitted(tried, means_N)
        if explained >= LEAST_EXPLAINED:
            return Importance(in_order(factors, parts), math.nan, 1 - explained, "fit")
    return nothing(f"{len(means_N)} scattered settings are too few for what the fields do")


def columns_of(factor: Factor) -> np.ndarray:
    """What a factor does alone as orthonormal columns over the settings: polynomials of the rank of a number, the
    differences of the levels of all else."""
    if factor.is_number:
        counts = np.bincount(factor.code_C)
        rank_N = ((np.cumsum(counts) - (counts + 1) / 2) / len(factor.code_C))[factor.code_C]
        degree = min(DEGREE, len(factor.values) - 1)
        raw = np.polynomial.legendre.legvander(2 * rank_N - 1, degree)
    else:
        raw = np.concatenate(
            [np.ones((len(factor.code_C), 1)), np.eye(len(factor.values))[factor.code_C][:, 1:]], axis=1
        )
    return np.linalg.qr(raw)[0][:, 1:] * math.sqrt(len(raw))


def most_in_pair(factor: Factor, columns: np.ndarray) -> int:
    """How many of the columns of a factor are multiplied with those of another: of a number line and parabola."""
    return min(2, columns.shape[1]) if factor.is_number else columns.shape[1]


def fitted(terms: dict[tuple[int, ...], np.ndarray], means_N: np.ndarray) -> tuple[dict[tuple[int, ...], float], float]:
    """The shares of the terms in the variance, and how much of it the fit predicts of settings that are left out of
    it."""
    design = np.concatenate([np.ones((len(means_N), 1)), *terms.values()], axis=1)
    q, _ = np.linalg.qr(design)
    leverage_N = np.sum(q**2, axis=1)
    residual_N = means_N - q @ (q.T @ means_N)
    left_out_N = residual_N / np.maximum(1 - leverage_N, 1e-9)
    explained = 1 - float(np.sum(left_out_N**2) / np.sum((means_N - means_N.mean()) ** 2))
    weights, *_ = np.linalg.lstsq(design, means_N, rcond=None)
    ends = np.cumsum([1, *(basis.shape[1] for basis in terms.values())])
    variances = {
        axes: float(np.var(basis @ weights[start:end]))
        for (axes, basis), start, end in zip(terms.items(), ends[:-1], ends[1:], strict=True)
    }
    total = sum(variances.values()) or 1.0
    return {axes: explained * variance / total for axes, variance in variances.items()}, explained
