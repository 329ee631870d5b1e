"""From which rate on does descent diverge? Found by running it: lanes of a grid of rates, each some steps of descent on
all examples of a set.

Above 2 / lambda a step along the sharpest direction is longer than the one before, and the cost may climb; yet where it
climbs the curvature may give way, so that descent comes back from rates that are many times as high (the catapult of
Lewkowycz et al. 2020). On a quadratic cost the two are one. What optimizer it is does not matter.

K sets, R rates, M steps.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import input_pipeline
from experiments.advising.estimates import Estimate, brief, geometric
from experiments.advising.measuring import Measured, Parts
from experiments.engine import executors, results, space
from training.config import FIELDS, Config
from training.schedules import SCHEDULES

# Steps of descent on all of a set, how many of the last ones say where it ends, and which share of the best rate's gain
# it comes back to where it does not diverge: of the gain below its start, or below the cost of knowing nothing where
# that is less, since there every net ends whose units the first steps have killed.
RATE_STEPS, LAST_STEPS, BACK = 60, 10, 0.5
# Of how many examples of a probe set: the edge moves little with more of them, the time in proportion.
RUN_EXAMPLES = 250
ROUNDING = 1e-5
# The rates of the first set, from half of 2 / lambda on; those of every set, about the last one that comes back there.
COARSE, FINE = 2.0, math.sqrt(2)
COARSE_FACTORS, FINE_FACTORS = tuple(COARSE**i for i in range(-1, 11)), tuple(FINE**i for i in range(-2, 5))
# How often as many rates are added above where none diverges, or below where all do.
EXTENSIONS = 2


class Set(NamedTuple):
    """Examples with the seed of the draw that descends on them."""

    images: np.ndarray
    labels: np.ndarray
    seed: int


class Courses(NamedTuple):
    """The cost before each step, [M], at each of the rates, which ascend; the cost of knowing nothing; and the end of
    the best of other rates on that set, NaN where there are none."""

    rates: list[float]
    costs: list[np.ndarray]
    guess: float
    best: float = math.nan

    def edge(self) -> Estimate:
        """Between which rates the first one lies that diverges."""
        ends = [end for end in (self.best, *map(end_of, self.costs)) if math.isfinite(end)]
        best = min(ends, default=math.nan)
        return edge_of(self.rates, [diverges(cost_M, best, self.guess) for cost_M in self.costs])


Run = Callable[[list[float]], list[np.ndarray]]

# ---------------------------------------------------------------------------------------------------------------------
# Running.


def plain(config: Config, **fields: Any) -> Config:
    """The config at a constant rate, measured by nothing, that ends by itself, with other fields."""
    of_schedules = {name for schedule in SCHEDULES.values() for name in schedule.takes} | {"schedule", "warmup"}
    reset = {name: FIELDS[name].default for name in (*of_schedules, "stop_at", "patience")}
    return config.replace(**{**reset, "probes": (), "train_examples": 0, "validation": "test", **fields})


def as_dataset(training: Sequence[np.ndarray], held_out: Sequence[np.ndarray]) -> input_pipeline.Dataset:
    """A data set of those images and labels."""
    return input_pipeline.Dataset(training[0], training[1], held_out[0], held_out[1])


def descend(
    config: Config, one: Set, rates: Sequence[float], runner: executors.Runner | None = None
) -> list[np.ndarray]:
    """The cost before each of RATE_STEPS steps of descent on all examples of a set, [M], at each rate; NaN from where
    on it left the numbers. A runner has the programs of sets as large."""
    base = plain(config, batch_size=len(one.labels), epochs=RATE_STEPS, seed=one.seed)
    trials = space.make_trials(base, None, {"learning_rate": rates})
    dataset = as_dataset(one[:2], (one.images[:1], one.labels[:1]))
    courses = results.by_epoch(executors.train_all(trials, dataset, "rates", runner), "loss")
    return [courses[name] for name in trials]


def find_edges(config: Config, parts: Parts, found: Measured, guess: float) -> list[Estimate]:
    """The edge of divergence on each of the probe sets, each from a draw of its own: of the config's seed and of those
    after it; `guess` is the cost of knowing nothing. Narrow nets differ by their draws more than by their examples.

    The first set's is looked for at rates of twice each other, from half of 2 / lambda on, of other optimizers than
    plain descent from half of the config's rate on; then all at finer ones about that.
    """
    sets = [
        Set(images_PxD[:RUN_EXAMPLES], labels_P[:RUN_EXAMPLES], config.seed + number)
        for number, (images_PxD, labels_P) in enumerate(zip(parts.images_KxPxD, parts.labels_KxP, strict=True))
    ]
    start, runner = first_rate(config, found), executors.Runner()
    runs = [partial(descend, config, one, runner=runner) for one in sets]
    rates = [start * factor for factor in COARSE_FACTORS]
    coarse = extended(Courses(rates, runs[0](rates), guess), runs[0], COARSE)
    edge = coarse.edge()
    rates = [(edge.low or edge.high) * factor for factor in FINE_FACTORS]
    # What a rate has to come back to is said by the best one, which may be much lower than these.
    best = min(zip(map(end_of, coarse.costs), coarse.rates, strict=True), key=lambda pair: (math.isnan(pair[0]), pair))
    lower = [best[1]] if best[1] < rates[0] / FINE else []
    found_K: list[Estimate] = []
    for run in runs:
        costs = run(lower + rates)
        end = end_of(costs[0]) if lower else math.nan
        found_K.append(extended(Courses(rates, costs[len(lower) :], guess, end), run, FINE).edge())
    return found_K


def first_rate(config: Config, found: Measured) -> float:
    """2 / lambda at the start; the config's rate where that says nothing."""
    top_K = found.points[0].measured["curvature/top_eigenvalue"] + config.l2
    return 2 / float(np.mean(top_K)) if config.optimizer == "sgd" and np.mean(top_K) > 0 else config.learning_rate


def extended(found: Courses, run: Run, ratio: float) -> Courses:
    """The courses and, where none of them diverges, as many at rates above them in that ratio, or below them where the
    first one does; at most EXTENSIONS times."""
    count = len(found.rates)
    for _ in range(EXTENSIONS):
        edge = found.edge()
        if math.isinf(edge.high):
            beyond = [found.rates[-1] * ratio**i for i in range(1, count + 1)]
            found = found._replace(rates=found.rates + beyond, costs=found.costs + run(beyond))
        elif not edge.low:
            beyond = [found.rates[0] / ratio**i for i in range(count, 0, -1)]
            found = found._replace(rates=beyond + found.rates, costs=run(beyond) + found.costs)
        else:
            break
    return found


def over_sets(edges: Sequence[Estimate]) -> Estimate:
    """The geometric mean of the edges with its interval over the sets, wider by half a step between rates at either
    side; open where an edge is known from one side alone."""
    of_sets = geometric(np.array([edge.value for edge in edges]))
    low, high = of_sets.low / math.sqrt(FINE), of_sets.high * math.sqrt(FINE)
    if any(math.isinf(edge.high) for edge in edges):
        low, high = min(edge.low for edge in edges), math.inf
    if any(not edge.low for edge in edges):
        low, high = 0.0, max(edge.high for edge in edges)
    return Estimate(of_sets.value, low, high)


# ---------------------------------------------------------------------------------------------------------------------
# Judging.


def diverges(cost_M: np.ndarray, best: float, guess: float) -> bool:
    """Whether descent left the numbers, or its cost climbs above its start and does not come back: ends above the
    middle between `best`, the end of the best rate, and its start, or the cost of knowing nothing where that is less: a
    net that was killed on the way ends there."""
    above = float(np.fmin(cost_M[0], guess))
    return climbs(cost_M) and not end_of(cost_M) <= above + BACK * (best - above)


def end_of(cost_M: np.ndarray) -> float:
    """The mean cost of the last steps, NaN where one of all left the numbers."""
    return float(np.mean(cost_M[-LAST_STEPS:])) if np.all(np.isfinite(cost_M)) else math.nan


def rises(cost_M: np.ndarray) -> bool:
    """Whether a step raises the cost, by more than rounding; NaN is what left the numbers."""
    return not np.all(np.isfinite(cost_M)) or bool(np.any(np.diff(cost_M) > ROUNDING * cost_M[:-1]))


def climbs(cost_M: np.ndarray) -> bool:
    """Whether the cost is ever above its start, or left the numbers."""
    return not np.all(np.isfinite(cost_M)) or bool(np.max(cost_M) > cost_M[0] * (1 + ROUNDING))


def edge_of(rates: Sequence[float], is_beyond: Sequence[bool]) -> Estimate:
    """The two rates between which the first one lies that is beyond an edge, and their geometric mean."""
    first = list(is_beyond).index(True) if any(is_beyond) else len(rates)
    low = rates[first - 1] if first else 0.0
    high = rates[first] if first < len(rates) else math.inf
    return Estimate(math.sqrt(low * high) if low and math.isfinite(high) else low or high, low, high)


def edge_in_words(edge: Estimate) -> str:
    """`between 9.3 and 13.1`, `above 98`, `below 1.7`."""
    if math.isinf(edge.high):
        return f"above {brief(edge.low)}"
    return f"between {brief(edge.low)} and {brief(edge.high)}" if edge.low else f"below {brief(edge.high)}"
