"""From which rate on does descent diverge? Found by running it: lanes of a grid of rates, each some steps of descent on
all examples of a set.

Above 2 / lambda a step along the sharpest direction is longer than the one before, and the cost may climb; yet where it
climbs the curvature may give way, so that descent comes back from rates that are many times as high (the catapult of
Lewkowycz et al. 2020). On a quadratic cost the two are one. What optimizer it is does not matter. Dropout is left out:
its noise would count as a climb.

K sets, R rates, M steps.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

import input_pipeline
import train
from experiments.advising.estimates import Estimate, brief, geometric
from experiments.advising.measuring import SETS, Measured, Parts, Point, seed_after
from experiments.engine import executors, results, space
from training.config import FIELDS, Config
from training.schedules import SCHEDULES

# Steps of descent on all of a set, how many of the last ones say where it ends, and which share of the best rate's gain
# it comes back to where it does not diverge: of the gain below its start, or below the cost of knowing nothing where
# that is less, since there every net ends whose units the first steps have killed.
RATE_STEPS, LAST_STEPS, BACK = 60, 10, 0.5
# Of how many examples of a probe set; the time is in proportion.
RUN_EXAMPLES = 250
ROUNDING = 1e-5
# The rates of the first set, from half of 2 / lambda on; those of every set, about the last one that comes back there.
COARSE, FINE = 2.0, math.sqrt(2)
COARSE_FACTORS, FINE_FACTORS = tuple(COARSE**i for i in range(-1, 11)), tuple(FINE**i for i in range(-2, 5))
# How often as many rates are added above where none diverges, or below where all do; and how far from the first ones.
EXTENSIONS = 2
FARTHEST = 2.0**17
# The seconds that the running may take, and again that along which noise is measured (`along.py`); and of how many
# steps on how many sets it is, whichever fits first.
BUDGET = 120.0
SIZES = ((RATE_STEPS, SETS), (RATE_STEPS, 3), (30, 3), (30, 2), (20, 2))
# Steps that are timed, and at which rate at most: descent at a higher one may diverge, and end.
TIMED_STEPS, SMALL_RATE = 4, 1e-6
# Where the best rate ends no lower than this share of the cost of knowing nothing, that says nothing of what came back.
LEARNS = 0.99


class Sample(NamedTuple):
    """Examples with the seed of the draw that descends on them."""

    images: np.ndarray
    labels: np.ndarray
    seed: int


class Edges(NamedTuple):
    """The edge of divergence on each set, found in so many steps on so many examples of each; `steps` is 0 where it was
    not run, since it would have taken too long, and `is_cut` says whether fewer steps or sets were run for that."""

    of_sets: list[Estimate]
    steps: int = RATE_STEPS
    examples: int = RUN_EXAMPLES
    is_cut: bool = False


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


def stability(config: Config) -> float | None:
    """f of the stable rate f / lambda of the config's descent; None where there is none, as for Adam."""
    if config.optimizer != "sgd":
        return None
    kept = config.momentum
    return 2 * (1 + kept) / (1 + 2 * kept) if config.nesterov else 2 * (1 + kept)


def rate_of(point: Point, l2: float, factor: float) -> Estimate:
    """factor / lambda over the probe sets; infinite where nothing is curved upwards."""
    top_K = point.measured["curvature/top_eigenvalue"] + l2
    return Estimate(math.inf) if np.all(top_K <= 0) else geometric(factor / np.where(top_K > 0, top_K, np.nan))


# ---------------------------------------------------------------------------------------------------------------------
# Running.


def plain(config: Config, **fields: Any) -> Config:
    """The config at a constant rate, without dropout, measured by nothing, that ends by itself, with other fields."""
    of_schedules = {name for schedule in SCHEDULES.values() for name in schedule.takes} | {"schedule", "warmup"}
    reset = {name: FIELDS[name].default for name in (*of_schedules, "stop_at", "patience", "dropout")}
    return config.replace(**{**reset, "probes": (), "train_examples": 0, "validation": "test", **fields})


def as_dataset(training: Sequence[np.ndarray], held_out: Sequence[np.ndarray]) -> input_pipeline.Dataset:
    """A data set of those images and labels."""
    return input_pipeline.Dataset(training[0], training[1], held_out[0], held_out[1])


def descend(config: Config, sample: Sample, rates: Sequence[float], steps: int = RATE_STEPS) -> list[np.ndarray]:
    """The cost before each of so many steps of descent on all examples of a sample, [M], at each rate; NaN from where
    on it left the numbers. Of a model of one's own it is evaluated, and after the last step as well: it may drop units
    that no config tells of. With running statistics, which lag behind, it is that of the training after all."""
    base = plain(config, batch_size=len(sample.labels), epochs=steps, seed=sample.seed)
    trials = space.make_trials(base, None, {"learning_rate": rates})
    table = executors.train_all(trials, as_dataset(sample[:2], sample[:2]), "rates")
    if not is_evaluated(base):
        courses = results.by_epoch(table, "loss")
        return [courses[name] for name in trials]
    first = train.make_train(base).evaluate(train.initial_state(base), sample.images, sample.labels)["loss"]
    courses = results.by_epoch(table, "val_loss")
    return [np.array([float(first), *courses[name]]) for name in trials]


def is_evaluated(config: Config) -> bool:
    """Whether descent is judged by the cost as in evaluation."""
    return config.has_own_model and not jax.tree.leaves(train.state_shapes(config).batch_stats)


def seconds_of_step(config: Config, sample: Sample, rate: float) -> float:
    """How long a step takes, whatever the rate: the least of a few after the first one, at one where none diverges."""
    rate = min(rate, SMALL_RATE)
    base = plain(config, batch_size=len(sample.labels), epochs=TIMED_STEPS, seed=sample.seed, learning_rate=rate)
    ends: list[float] = []
    trials, dataset = space.make_trials(base, None, {}), as_dataset(sample[:2], sample[:2])
    executors.train_states(trials, dataset, "a step", watch=lambda *_: ends.append(time.perf_counter()))
    return float(np.min(np.diff(ends))) if len(ends) > 1 else math.inf


def size_within(seconds: float, seconds_of_step: float) -> tuple[int, int]:
    """Of how many steps and sets the running fits into the seconds, all rates that may be added included; (0, 0) where
    none does."""
    for steps, sets in SIZES:
        rates = (1 + EXTENSIONS) * (len(COARSE_FACTORS) + sets * len(FINE_FACTORS)) + sets
        if rates * steps * seconds_of_step <= seconds:
            return steps, sets
    return 0, 0


def find_edges(config: Config, parts: Parts, found: Measured, guess: float, budget: float = math.inf) -> Edges:
    """The edge of divergence on each of the probe sets, each from a draw of its own: of the config's seed and of those
    after it; `guess` is the cost of knowing nothing. Narrow nets differ by their draws more than by their examples. In
    fewer steps, on fewer sets or not at all where it would take more seconds than the budget.

    The first set's is looked for at rates of twice each other, from half of 2 / lambda on, of other optimizers than
    plain descent from half of the config's rate on; then all at finer ones about that.
    """
    samples = [
        Sample(images_PxD[:RUN_EXAMPLES], labels_P[:RUN_EXAMPLES], seed_after(config, number))
        for number, (images_PxD, labels_P) in enumerate(zip(parts.images_KxPxD, parts.labels_KxP, strict=True))
    ]
    start, steps, examples = first_rate(config, found), RATE_STEPS, len(samples[0].labels)
    sets = len(samples)
    if math.isfinite(budget):
        steps, sets = size_within(budget, seconds_of_step(config, samples[0], start))
        if not steps:
            return Edges([], 0, examples, is_cut=True)
    is_cut = steps < RATE_STEPS or sets < len(samples)
    runs = [partial(descend, config, sample, steps=steps) for sample in samples[:sets]]
    rates = [start * factor for factor in COARSE_FACTORS]
    coarse = extended(Courses(rates, runs[0](rates), guess), runs[0])
    edge = coarse.edge()
    rates = [(edge.low or edge.high) * factor for factor in FINE_FACTORS]
    # What a rate has to come back to is said by the best one, which may be much lower than these.
    best = min(zip(map(end_of, coarse.costs), coarse.rates, strict=True), key=lambda pair: (math.isnan(pair[0]), pair))
    lower = [best[1]] if best[1] < rates[0] / FINE else []
    found_K: list[Estimate] = []
    for run in runs:
        costs = run(lower + rates)
        end = end_of(costs[0]) if lower else math.nan
        found_K.append(extended(Courses(rates, costs[len(lower) :], guess, end), run).edge())
    return Edges(found_K, steps, examples, is_cut)


def first_rate(config: Config, found: Measured) -> float:
    """2 / lambda at the start; the config's rate where that says nothing."""
    top_K = found.points[0].measured["curvature/top_eigenvalue"] + config.l2
    return 2 / float(np.mean(top_K)) if config.optimizer == "sgd" and np.mean(top_K) > 0 else config.learning_rate


def more_rates(rates: Sequence[float], count: int, is_above: bool) -> list[float]:
    """So many rates in the ratio of those, above the last one or below the first one; ascending."""
    ratio = rates[1] / rates[0]
    if is_above:
        return [rates[-1] * ratio**i for i in range(1, count + 1)]
    return [rates[0] / ratio**i for i in range(count, 0, -1)]


def extended(found: Courses, run: Run) -> Courses:
    """The courses and, where none of them diverges, as many at rates above them in their ratio, or below them where the
    first one does; at most EXTENSIONS times, and none FARTHEST from the first ones."""
    first = found.rates
    least, most = first[0] / FARTHEST, first[0] * FARTHEST
    for _ in range(EXTENSIONS):
        edge = found.edge()
        if edge.low and math.isfinite(edge.high):
            break
        is_above = math.isinf(edge.high)
        added = [rate for rate in more_rates(found.rates, len(first), is_above) if least <= rate <= most]
        if not added:
            break
        costs = run(added)
        if is_above:
            found = found._replace(rates=found.rates + added, costs=found.costs + costs)
        else:
            found = found._replace(rates=added + found.rates, costs=costs + found.costs)
    return found


def over_sets(edges: Sequence[Estimate]) -> Estimate:
    """The geometric mean of the edges with its interval over the sets, wider by half a step between rates at either
    side. Where the edge of some sets alone is known from one side, the others decide: their mean, from the least to the
    largest of their rates. Where that of all is, it is open at that side; unknown without sets."""
    closed = [edge for edge in edges if edge.low and math.isfinite(edge.high)]
    if closed and len(closed) == len(edges):
        of_sets = geometric(np.array([edge.value for edge in edges]))
        if len(edges) == 1:
            return edges[0]
        return Estimate(of_sets.value, of_sets.low / math.sqrt(FINE), of_sets.high * math.sqrt(FINE))
    if closed:
        value = geometric(np.array([edge.value for edge in closed])).value
        return Estimate(value, min(edge.low for edge in closed), max(edge.high for edge in closed))
    if not edges:
        return Estimate(math.nan, 0.0, math.inf)
    value = geometric(np.array([edge.value for edge in edges])).value
    tried = [edge.value for edge in edges]
    low = min(tried) if any(edge.low for edge in edges) else 0.0
    high = max(tried) if any(not edge.low for edge in edges) else math.inf
    return Estimate(value, low, high)


# ---------------------------------------------------------------------------------------------------------------------
# Judging.


def diverges(cost_M: np.ndarray, best: float, guess: float) -> bool:
    """Whether descent left the numbers, or its cost climbs above its start and does not come back: ends above the
    middle between `best`, the end of the best rate, and its start, or the cost of knowing nothing where that is less: a
    net that was killed on the way ends there. Where the best one does so too, as on a plateau, the start says it."""
    knows_nothing = guess if best < LEARNS * guess else math.nan
    above = float(np.fmin(cost_M[0], knows_nothing))
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
        return f"above {brief(edge.low)}" if edge.low else "nowhere that is known"
    return f"between {brief(edge.low)} and {brief(edge.high)}" if edge.low else f"below {brief(edge.high)}"
