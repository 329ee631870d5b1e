"""The lanes that test advice: rates about the advised ones, batches about the noise scale, initial scales, each trained
on examples that were no part of the probe sets, and judged on examples of the training set. The test set is not looked
at.

B batch, R rates, S seeds, M steps.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

import train
from experiments.advising import edges, steps
from experiments.advising.advice import Advice, Scale
from experiments.advising.along import largest_at_last
from experiments.advising.edges import as_dataset, edge_in_words, edge_of, over_sets, plain
from experiments.advising.estimates import Estimate, brief, mean
from experiments.advising.measuring import DRAWS, Measured, Parts, Point, seed_after
from experiments.engine import executors, results, space
from experiments.study.claims import judged
from training.config import Config

# How far below 2 / lambda and above the largest rate that comes back rates are tried.
BELOW, ABOVE = 7.0, 5.0
# By which factors rate and batch may be off.
RATE_OFF, BATCH_OFF = 2.0, 3.0
# The batches that are tried, by the advised one: the two between which it holds, and one beyond each.
BATCH_FACTORS = tuple(BATCH_OFF**power for power in range(-2, 3))
# How often as many rates are tried beyond the last one of a batch. Within the two ends there are as many seeds as draw
# so many examples a step, all batches together.
BATCH_EXTENSIONS, BATCH_SEEDS, SEED_EXAMPLES = 4, (8, 24), 20_000
SEEDS = 8
SCALE_FACTORS, SCALE_RATES, SCALE_STEPS = (1 / 16, 1 / 4, 1, 4, 16), tuple(4.0**power for power in range(-4, 2)), 150
# How many sets of other examples, each with a draw of its own, the largest rate is judged on.
OTHER_SETS = 5
# The share of the progress of the best scale that the advised one may lack.
LACKING = 0.1
HELD_OUT, MOST_EXAMPLES = 1_000, 10_000
NOT_CHECKED = "not checked"
WORDS = {"reproduced": "held", "not reproduced": "did not hold", "undecided": "undecided"}


class Check(NamedTuple):
    """What came of a check: `held`, `did not hold`, `undecided` or `not checked`, in words and numbers;
    `comparisons` has what else was measured, {name: {"measured", ...}}."""

    part: str
    said: str
    verdict: str
    predicted: float = math.nan
    measured: Estimate = Estimate(math.nan)
    notes: tuple[str, ...] = ()
    comparisons: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return self._asdict() | {"comparisons": {name: dict(one) for name, one in self.comparisons.items()}}


def checks_of(config: Config, advice: Advice, parts: Parts, found: Measured, guess: float) -> Iterator[Check]:
    """All three checks, each as it ends; `guess` is the cost of knowing nothing."""
    yield check_rate(config, advice, parts, guess)
    largest = largest_at_last(config, found, advice.largest)
    yield check_batch(config, largest, advice, parts, found.points[-1])
    yield check_scale(config, advice.largest, advice.scale, parts, guess)


# ---------------------------------------------------------------------------------------------------------------------
# The rate.


def check_rate(config: Config, advice: Advice, parts: Parts, guess: float) -> Check:
    """Descent on sets of examples that were in no probe set, each from another initial draw, at rates from below
    2 / lambda to above the largest rate: from which one on does it diverge? By that, made one number as the advice is,
    the largest rate is judged. 2 / lambda is held against it as well, and against the rates from which on the cost
    climbs above its start at all and a step raises it: between these and the edge of divergence the curvature gives
    way, and descent comes back."""
    largest, stable = advice.largest, advice.rate or Estimate(math.nan)
    if not advice.edges.steps:
        return Check("rate", "the largest rate was not looked for", NOT_CHECKED)
    if not largest.low:
        return Check("rate", f"no rate was found from which descent comes back, {edge_in_words(largest)}", NOT_CHECKED)
    rates, count = rates_about(stable.value, largest.value), advice.edges.steps
    others = [
        edges.Sample(*one, seed_after(config, len(parts.labels_KxP) + number))
        for number, one in enumerate(parts.other_sets(config.seed, OTHER_SETS, edges.RUN_EXAMPLES))
    ]
    costs_KxR = [edges.descend(config, sample, rates, count) for sample in others]
    edges_K = [edges.Courses(rates, costs_R, guess).edge() for costs_R in costs_KxR]
    edge = over_sets(edges_K)
    climbing, rising = (
        over_sets([edge_of(rates, list(map(is_so, costs_R))) for costs_R in costs_KxR])
        for is_so in (edges.climbs, edges.rises)
    )
    said = (
        f"on {len(others)} sets of {len(others[0].labels):,} other examples, each from another draw, of {len(rates)} "
        f"rates the first at which {count} steps of descent climb above the cost of the start and do not come back "
        f"lies {edge_in_words(edge)}, where {about(largest)} was the advice"
    )
    note = (
        f"the cost climbs above its start at all from a rate {edge_in_words(climbing)} on, and a step raises it from a "
        f"rate {edge_in_words(rising)} on"
    )
    comparisons: dict[str, dict[str, Any]] = {}
    if math.isfinite(stable.value):
        note += f", where 2 / lambda is {brief(stable.value)}"
        comparisons = {
            name: {"predicted": stable.value, "measured": found, "verdict": rate_verdict(found, stable)}
            for name, found in (("diverges", edge), ("climbs", climbing), ("rises", rising))
        }
    return Check("rate", said, rate_verdict(edge, largest), largest.value, edge, (note,), comparisons)


def about(largest: Estimate) -> str:
    """`12.3`, `above 98`."""
    return f"above {brief(largest.low)}" if math.isinf(largest.high) else brief(largest.value)


def rates_about(stable: float, largest: float) -> list[float]:
    """Rates in the ratio of the finer ones that were run, from a seventh of the lower one of the two to five times the
    largest rate, which lies midway between two of them."""
    lowest = min(stable, largest) if math.isfinite(stable) else largest
    below = math.ceil(math.log(BELOW * largest / lowest, edges.FINE))
    above = math.ceil(math.log(ABOVE, edges.FINE))
    return [largest * edges.FINE ** (i + 0.5) for i in range(-below, above)]


def rate_verdict(edge: Estimate, predicted: Estimate) -> str:
    """Whether the rate that was predicted is off by no more than it may be; one that is known from below alone is not
    off where the edge is higher."""
    most = None if math.isinf(predicted.high) else predicted.value * RATE_OFF
    return WORDS[judged(edge.low, edge.high, (predicted.value / RATE_OFF, most))]


# ---------------------------------------------------------------------------------------------------------------------
# The batch.


def check_batch(config: Config, largest: float, advice: Advice, parts: Parts, point: Point) -> Check:
    """From the last state on, where that rate is the largest, some steps with batches about the useful one and with all
    examples, each at its best rate: which batch comes as far as all examples do in half of the steps? The noise scale
    of the state alone is held against it as well."""
    predicted, alone = advice.batch.value, advice.batches[-1].value
    if not (math.isfinite(predicted) and predicted > 0):
        return Check("batch", "there is no finite useful batch", NOT_CHECKED)
    # Drawn at random, since a data set may be in the order of its classes.
    drawn_N = np.random.default_rng(config.seed).permutation(len(parts.rest[1]))[:MOST_EXAMPLES]
    training, held_out = (parts.rest[0][drawn_N], parts.rest[1][drawn_N]), parts.pooled(HELD_OUT)
    batches = batches_about(predicted, len(training[1]))
    if len(batches) < 3:
        few = f"{len(training[1]):,} examples are too few for batches about {brief(predicted)}"
        return Check("batch", few, NOT_CHECKED)
    costs: dict[int, np.ndarray] = {}
    for size in (*batches, len(training[1])):
        # All examples are looked at every step, and need no seeds; batches after the last one.
        is_all = size == len(training[1])
        noise = 0.0 if is_all else predicted
        seeds = 1 if is_all else seeds_of(batches)
        costs_of = costs_from(config, (training, held_out), point.state, size, seeds, every_step=is_all)
        _, costs[size] = steps.costs_about(
            costs_of, steps.rates_for(config, largest, noise, size), extensions=BATCH_EXTENSIONS
        )
    knee = knee_of(batches, [costs[size] for size in batches], costs[len(training[1])])
    notes: list[str] = []
    if knee.low == 0 or math.isinf(knee.high):
        notes.append("the knee may lie beyond the batches that were tried")
    # What the knee is interpolated between.
    below = max((size for size in batches if size <= knee.value), default=batches[0])
    above = min((size for size in batches if size >= knee.value), default=batches[-1])
    if sizes := [size for size in at_edge(costs) if below <= size <= above or size == len(training[1])]:
        notes.append(
            f"with batches of {', '.join(map(str, sizes))} the best rate is the least or the largest one tried"
        )
    said = (
        f"of batches of {batches[0]:,} to {batches[-1]:,}, each at its best of {len(steps.RATES)} rates or more, those "
        f"of {knee} come as far in {steps.STEPS} steps from there on as all {len(training[1]):,} examples do in "
        f"{steps.STEPS // 2}; {brief(predicted)} was the advice"
    )
    verdict, beside = (
        WORDS["undecided" if sizes else judged(knee.low, knee.high, (batch / BATCH_OFF, batch * BATCH_OFF))]
        for batch in (predicted, alone)
    )
    comparisons: dict[str, dict[str, Any]] = {}
    if math.isfinite(alone) and alone > 0:
        comparisons = {"alone": {"predicted": alone, "measured": knee, "verdict": beside}}
        notes.append(
            f"the noise scale of the state alone, {brief(alone)}, {beside if beside != 'undecided' else 'is undecided'}"
        )
    return Check("batch", said, verdict, predicted, knee, tuple(notes), comparisons)


def batches_about(predicted: float, examples: int) -> list[int]:
    """Batches in the ratio by which the useful one may be off, about it, at most half of the examples."""
    return sorted({min(max(round(predicted * factor), 1), examples // 2) for factor in BATCH_FACTORS})


def seeds_of(batches: Sequence[int]) -> int:
    """How many seeds draw these batches."""
    fewest, most = BATCH_SEEDS
    return min(max(SEED_EXAMPLES // sum(batches), fewest), most)


def costs_from(
    config: Config,
    examples: tuple[steps.Examples, steps.Examples],
    state: train.TrainState,
    batch_size: int,
    seeds: int,
    every_step: bool,
) -> steps.CostsOf:
    """costs(rates), of as many rates as `steps.RATES`: the cost on the second part of the examples, of steps from the
    state on with batches of the first, of so many seeds."""
    run = steps.make_run(config, state, batch_size, examples, steps.cost_look(config), seeds, every_step)
    return lambda rates: run(range(seeds), rates, *examples)


def at_edge(costs: Mapping[int, np.ndarray]) -> list[int]:
    """The batches whose best rate, of the last step, is the first or the last one: a better one may lie beyond it."""
    return [size for size, cost_SxMxR in costs.items() if steps.best_of(cost_SxMxR) in (0, cost_SxMxR.shape[2] - 1)]


def gain_of(cost_SxMxR: np.ndarray) -> np.ndarray:
    """The mean gain over the seeds at the rate that is best for it, at each step, [M]."""
    return np.max(np.mean(steps.gains(cost_SxMxR), axis=0), axis=1)


def knee_of(batches: Sequence[int], costs: Sequence[np.ndarray], of_all: np.ndarray) -> Estimate:
    """The batch that gains by its last step, in the mean over the seeds, what all examples gain in half of the steps:
    it takes twice the least of them. The jackknife's interval over the seeds; open at a side on which it may lie beyond
    the batches."""
    seeds = len(costs[0])
    log_S = np.array(
        [
            crossing(batches, [gain_of(np.delete(cost_SxMxR, left_out, axis=0))[-1] for cost_SxMxR in costs], of_all)
            for left_out in range(seeds)
        ]
    )
    log = crossing(batches, [gain_of(cost_SxMxR)[-1] for cost_SxMxR in costs], of_all)
    low, high = (math.log(end) for end in (batches[0], batches[-1]))
    # Clipped, so that a seed that decides whether the knee is within the batches makes the interval wide.
    found = mean(seeds * np.clip(log, low, high) - (seeds - 1) * np.clip(log_S, low, high))
    half = (found.high - found.low) / 2
    value = min(max(log, low), high)
    return Estimate(
        math.exp(value),
        0.0 if min(log, *log_S) < low else math.exp(value - half),
        math.inf if max(log, *log_S) > high else math.exp(value + half),
    )


def crossing(batches: Sequence[int], gains_B: Sequence[float], of_all: np.ndarray) -> float:
    """The logarithm of the batch that gains what all examples gain in half of their steps, minus infinity where the
    least one gains more, infinity where the largest gains less. In between the logarithm of the steps that all examples
    need for it is interpolated in that of the batch."""
    all_M = np.maximum.accumulate(gain_of(of_all))
    done_M = np.arange(len(all_M), dtype=float)
    # What rises no more tells no steps apart.
    rising = np.flatnonzero(np.diff(all_M, prepend=-np.inf) > 0)
    needed_B = np.interp(np.maximum.accumulate(gains_B), all_M[rising], done_M[rising])
    half = done_M[-1] / 2
    if needed_B[0] > half:
        return -math.inf
    if needed_B[-1] < half:
        return math.inf
    # Where no step of all examples gains as little, a quarter of one.
    above = np.log(np.maximum(needed_B, 0.25))
    above += np.arange(len(above)) * 1e-9  # Equal ones still have an order.
    return float(np.interp(math.log(half), above, np.log(batches)))


# ---------------------------------------------------------------------------------------------------------------------
# The scale.


def check_scale(config: Config, largest: Estimate, scale: Scale | None, parts: Parts, guess: float) -> Check:
    """Short runs from several initial scales, each at its best rate: how much of the progress of the best one does the
    advised one lack? From draws by which it was not chosen, and judged on other examples than it was."""
    if scale is None:
        return Check("scale", "no initial scale was advised", NOT_CHECKED)
    advised = scale.advised.value
    held = min(HELD_OUT, len(parts.rest[1]) // 4)
    order_N = np.random.default_rng(config.seed).permutation(len(parts.rest[1]))
    held_out = [part[order_N[:held]] for part in parts.rest]
    images, labels = (part[order_N[held : held + MOST_EXAMPLES]] for part in parts.rest)
    batch_size = min(config.batch_size, len(labels))
    epochs = max(1, round(SCALE_STEPS * batch_size / len(labels)))
    top = largest.value if largest.low else 64 * config.learning_rate
    scales = sorted({advised * factor for factor in SCALE_FACTORS} | {config.init_scale})
    axes = {
        "init_scale": scales,
        "learning_rate": [top * rate for rate in SCALE_RATES],
        "seed": [seed_after(config, DRAWS + number) for number in range(SEEDS)],
    }
    trials = space.make_trials(plain(config, batch_size=batch_size, epochs=epochs), None, axes)
    courses = results.by_epoch(
        executors.train_all(trials, as_dataset((images, labels), held_out), "scales"), "val_loss"
    )
    ends = np.array([courses[name][-1] for name in trials]).reshape(len(scales), len(SCALE_RATES), SEEDS)
    cost_FxS, chosen_F = best_rates(np.where(np.isfinite(ends), ends, np.inf))
    best = int(np.argmin(np.mean(cost_FxS, axis=1)))
    shown = ", ".join(
        f"{brief(float(np.mean(cost_S)))} at {brief(x)}" for x, cost_S in zip(scales, cost_FxS, strict=True)
    )
    said = (
        f"after {epochs * -(-len(labels) // batch_size)} steps, each scale at its best of {len(SCALE_RATES)} rates, "
        f"the cost on held-out examples is {shown}"
    )
    progress = guess - float(np.mean(cost_FxS[best]))
    if not progress > (1 - edges.LEARNS) * abs(guess):
        return Check("scale", f"{said}; that of knowing nothing is {brief(guess)}: at none does it learn", NOT_CHECKED)
    lacking = mean((cost_FxS[scales.index(advised)] - cost_FxS[best]) / progress)
    verdict = WORDS[judged(lacking.low, lacking.high, (None, LACKING))]
    notes: list[str] = []
    if sizes := sorted({scales[f] for f in (scales.index(advised), best) if chosen_F[f] in (0, len(SCALE_RATES) - 1)}):
        verdict = WORDS["undecided"]
        notes.append(f"at {', '.join(map(brief, sizes))} the best rate is the least or the largest one tried")
    said += f"; the advised {brief(advised)} lacks {brief(100 * lacking.value)} % of the best one's progress"
    if scales[best] != advised:
        said += f" ({100 * lacking.low:.0f} to {100 * lacking.high:.0f})"
    return Check("scale", said, verdict, advised, lacking, tuple(notes), {"best": {"measured": Estimate(scales[best])}})


def best_rates(cost_FxRxS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The costs of the rate with the lowest mean, [F, S], and which that is, [F]."""
    best_F = np.argmin(np.mean(cost_FxRxS, axis=2), axis=1)
    return np.take_along_axis(cost_FxRxS, best_F[:, None, None], axis=1)[:, 0], best_F
