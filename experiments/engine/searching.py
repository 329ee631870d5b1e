"""The search for the best value of a number: a coarse grid, extended while the best lies at an edge, refined about it.

`search` is a generator that yields the values which it wants to know of, is sent what these score, and returns its
choice. It depends on nothing else, so that a search that goes on with the scores of before takes the way of before.

R values (rates, as a rule), S seeds. Scores are better the higher they are, NaN where a run has diverged.
"""

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.engine.axes import DIGITS, clean

EXTENSIONS, REFINEMENTS = 6, 2
# Of values that the search makes itself: 1, 1.778, 3.162, ... with places in a scale of that many decimals.
SHORT, DECIMALS = 4, 3
TIED = 1e-9


class Scale(NamedTuple):
    """On what scale values are evenly spaced: the place of a value, and the value at a place."""

    place: Callable[[float], float]
    value: Callable[[float], float]


SCALES = {
    "lin": Scale(float, float),
    "log": Scale(lambda x: math.log10(x) if x > 0 else -math.inf, lambda place: 10.0**place),
    # Of a momentum: 0, .9, .99, .999 are as far from each other, as their steps last 1, 10, 100, 1,000 times as long.
    "gap": Scale(lambda x: -math.log10(1 - x) if x < 1 else math.inf, lambda place: 1 - 10.0**-place),
}


class Rule(NamedTuple):
    """How a value is searched for: on which scale, how often its grid may be extended by a step on each side, how often
    the spacing about the best is halved, and at which score a seed counts as broken."""

    scale: str
    is_whole: bool = False
    extensions: int = EXTENSIONS
    refinements: int = REFINEMENTS
    broken: float = -math.inf


class Choice(NamedTuple):
    """What a search came to: the value that is best in the mean of the other seeds for the most seeds; all values that
    were tried, in order, with their scores; for each seed the place of the one that the others choose; whether a best
    one lies at an edge beyond which there is more; and whether there is a value at which no seed broke down."""

    value: float
    values: tuple[float, ...]
    score_RxS: np.ndarray
    place_S: np.ndarray
    at_edge: bool
    is_sound: bool

    @property
    def score(self) -> float:
        """What the seeds score in the mean, each at the value that the others choose; NaN where one has diverged."""
        return float(np.mean(self.score_RxS[self.place_S, np.arange(len(self.place_S))]))

    @property
    def of_seeds(self) -> np.ndarray:
        """For each seed the value that the others choose."""
        return np.array(self.values)[self.place_S]


Search = Generator[list[float], Mapping[float, np.ndarray], Choice]


def search(start: Iterable[float], rule: Rule, accepts: Callable[[float], bool] = lambda _: True) -> Search:
    """The search from the values of its first grid, two or more, which goes on to such that are accepted. It yields the
    values it wants, each once, and is sent their scores, an array over the seeds each."""
    wanted, extended, refined = sorted({*start}), 0, 0
    step, scores = spacing(wanted, rule), dict[float, np.ndarray]()
    while True:
        scores |= yield wanted
        values = sorted(scores)
        score_RxS = np.array([scores[value] for value in values])
        place_S, is_sound = best_of_others(score_RxS, rule.broken), bool(sound(score_RxS, rule.broken).any())
        chosen = most_chosen(place_S, score_RxS)
        best = sorted({*place_S.tolist(), chosen}) if is_sound else [0, len(values) - 1]
        outside = beyond(values, best, step, rule, accepts)
        if outside and extended < rule.extensions:
            wanted, extended = outside, extended + 1
            continue
        wanted, refined = halfway(values, best, rule, accepts) if refined < rule.refinements else [], refined + 1
        if not (wanted and is_sound):
            return Choice(values[chosen], tuple(values), score_RxS, place_S, bool(outside), is_sound)


def decide(going: Search, scores_of: Callable[[list[float]], Mapping[float, np.ndarray]]) -> Choice:
    """The choice of a search whose scores can be had at once."""
    wanted = next(going)
    while True:
        try:
            wanted = going.send(scores_of(wanted))
        except StopIteration as end:
            return end.value


def spacing(values: Sequence[float], rule: Rule) -> float:
    """The mean distance of the values on the scale, without what has no place on it, as 0 on that of logarithms;
    ValueError for fewer than two."""
    places = [place for place in map(SCALES[rule.scale].place, values) if math.isfinite(place)]
    if len(places) < 2:
        raise ValueError("a grid of fewer than two values")
    return (places[-1] - places[0]) / (len(places) - 1)


# ---------------------------------------------------------------------------------------------------------------------
# Which is best.


def sound(score_RxS: np.ndarray, broken: float = -math.inf) -> np.ndarray:
    """Of each value whether no seed has diverged or ended at no more than what counts as broken."""
    return np.all(np.isfinite(score_RxS) & (score_RxS > broken), axis=1)


def best_of_others(score_RxS: np.ndarray, broken: float = -math.inf) -> np.ndarray:
    """For each seed the place of the value that is best in the mean of the other seeds, so that no seed is judged at a
    value that was chosen for its own luck.

    A value at which a seed diverges or ends broken is left out for all seeds; where there is no other, those at which
    the fewest do are compared, a diverged seed with score 0, or the worst one where that is lower. Of values that are
    equally good it is the middle one. A single seed chooses for itself.
    """
    bad_R = np.sum(~(np.isfinite(score_RxS) & (score_RxS > broken)), axis=1)
    finite = score_RxS[np.isfinite(score_RxS)]
    known_RxS = np.where(np.isfinite(score_RxS), score_RxS, min(0.0, finite.min(initial=0.0)))
    alone = score_RxS.shape[1] == 1
    others_RxS = known_RxS if alone else known_RxS.sum(axis=1, keepdims=True) - known_RxS
    others_RxS = np.where((bad_R == bad_R.min())[:, None], others_RxS, -np.inf)
    return np.array([middle_of_best(others_R) for others_R in others_RxS.T])


def middle_of_best(score_R: np.ndarray) -> int:
    """The place of the highest score, of equal ones the middle one."""
    top = score_R.max()
    tied = np.flatnonzero(score_R >= top - TIED * max(1.0, abs(top)))
    return int(tied[(len(tied) - 1) // 2])


def most_chosen(place_S: np.ndarray, score_RxS: np.ndarray) -> int:
    """The place that is chosen for the most seeds; of several the one with the higher mean score."""
    places, counts = np.unique(place_S, return_counts=True)
    leading = places[counts == counts.max()]
    means = np.nan_to_num(score_RxS[leading].mean(axis=1), nan=-np.inf)
    return int(leading[middle_of_best(means)]) if np.isfinite(means).any() else int(leading[0])


# ---------------------------------------------------------------------------------------------------------------------
# Where to look next.


def beyond(
    values: Sequence[float], best: Sequence[int], step: float, rule: Rule, accepts: Callable[[float], bool]
) -> list[float]:
    """The values a step beyond an edge at which a best one lies, as far as they are accepted."""
    place = SCALES[rule.scale].place
    below = [place(values[0]) - step] if 0 in best else []
    above = [place(values[-1]) + step] if len(values) - 1 in best else []
    return new_values([*below, *above], step, values, rule, accepts)


def halfway(values: Sequence[float], best: Sequence[int], rule: Rule, accepts: Callable[[float], bool]) -> list[float]:
    """The values halfway between the best ones and their neighbours."""
    places = [SCALES[rule.scale].place(value) for value in values]
    pairs = {(low, low + 1) for place in best for low in (place - 1, place) if 0 <= low < len(values) - 1}
    halves = [((places[low] + places[high]) / 2, (places[high] - places[low]) / 2) for low, high in sorted(pairs)]
    found: list[float] = []
    for place, half in halves:
        found += new_values([place], half, [*values, *found], rule, accepts)
    return found


def new_values(
    places: Sequence[float], step: float, known: Sequence[float], rule: Rule, accepts: Callable[[float], bool]
) -> list[float]:
    """The values at those places of the scale, in few digits where the step is wide enough, that are accepted and not
    known yet."""
    found: list[float] = []
    for place in places:
        if not math.isfinite(place):
            continue
        if rule.scale == "lin":
            value = clean(place)
        elif step > 10.0 ** (1 - DECIMALS):
            value = clean(SCALES[rule.scale].value(round(place, DECIMALS)), SHORT)
        else:
            value = clean(SCALES[rule.scale].value(place), DIGITS)
        value = round(value) if rule.is_whole else value
        if value not in known and value not in found and accepts(value):
            found.append(value)
    return found
