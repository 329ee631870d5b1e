"""The lanes that test advice: rates about the advised ones, batches about the noise scale, initial scales, each trained
on examples that were no part of the probe sets, and judged on examples of the training set. The test set is not looked
at.

B batch, R rates, S seeds, M steps.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import train
from experiments.advising import edges
from experiments.advising.advice import Advice, Scale, stability
from experiments.advising.edges import as_dataset, edge_in_words, edge_of, over_sets, plain
from experiments.advising.estimates import Estimate, brief, geometric, mean
from experiments.advising.measuring import DRAWS, Parts, Point, seed_after
from experiments.engine import executors, lanes, results, space
from experiments.study.claims import judged
from training.compiling import compiled, options_for
from training.config import Config

# How far below 2 / lambda and above the largest rate that comes back rates are tried.
BELOW, ABOVE = 7.0, 5.0
# By which factors rate and batch may be off.
RATE_OFF, BATCH_OFF = 2.0, 3.0
BATCH_FACTORS, MOST_BATCH = (1 / 16, 1 / 4, 1, 4, 16), 2048
BATCH_RATES, BATCH_STEPS, SEEDS = tuple(2.0**power for power in range(-3, 2)), 32, 8
SCALE_FACTORS, SCALE_RATES, SCALE_STEPS = (1 / 16, 1 / 4, 1, 4, 16), tuple(4.0**power for power in range(-4, 2)), 150
# How many sets of other examples, each with a draw of its own, the largest rate is judged on.
OTHER_SETS = 5
# The share of the progress of the best scale that the advised one may lack.
LACKING = 0.1
HELD_OUT, MOST_EXAMPLES = 1_000, 10_000
NOT_CHECKED = "not checked"
CostsOf = Callable[[Sequence[float]], np.ndarray]
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


def checks_of(config: Config, advice: Advice, parts: Parts, point: Point, guess: float) -> Iterator[Check]:
    """All three checks, each as it ends; `point` is the last one that was measured, `guess` the cost of knowing
    nothing."""
    yield check_rate(config, advice, parts, guess)
    yield check_batch(config, largest_at_last(config, advice), advice.batch.value, parts, point)
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
    rates, steps = rates_about(stable.value, largest.value), advice.edges.steps
    others = [
        edges.Sample(*one, seed_after(config, len(parts.labels_KxP) + number))
        for number, one in enumerate(parts.other_sets(config.seed, OTHER_SETS, edges.RUN_EXAMPLES))
    ]
    costs_KxR = [edges.descend(config, sample, rates, steps) for sample in others]
    edges_K = [edges.Courses(rates, costs_R, guess).edge() for costs_R in costs_KxR]
    edge = over_sets(edges_K)
    climbing, rising = (
        over_sets([edge_of(rates, list(map(is_so, costs_R))) for costs_R in costs_KxR])
        for is_so in (edges.climbs, edges.rises)
    )
    said = (
        f"on {len(others)} sets of {len(others[0].labels):,} other examples, each from another draw, of {len(rates)} "
        f"rates the first at which {steps} steps of descent climb above the cost of the start and do not come back "
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


def largest_at_last(config: Config, advice: Advice) -> float:
    """The largest rate where the last state is, NaN where nobody knows it: it moves as 2 / lambda does, by which the
    optimizer's has to be told. The best rate of large batches mostly lies between the two."""
    if stability(config) is None or not advice.largest.low:
        return math.nan
    return advice.largest.value * advice.rates[-1].value / advice.rates[0].value


def check_batch(config: Config, largest: float, predicted: float, parts: Parts, point: Point) -> Check:
    """From the last state on, where that rate is the largest, some steps with batches about the useful one, each at its
    best rate: which K of steps in proportion to 1 + K / batch fits best? At it they take twice the least."""
    if not (math.isfinite(predicted) and predicted > 0):
        return Check("batch", "there is no finite useful batch", NOT_CHECKED)
    batches = batches_about(predicted, len(parts.rest[0]))
    if len(batches) < 3:
        few = f"{len(parts.rest[0]):,} examples are too few for batches about {brief(predicted)}"
        return Check("batch", few, NOT_CHECKED)
    held_out = parts.pooled(HELD_OUT)
    costs: dict[int, np.ndarray] = {}
    for size in batches:
        # Of the largest batches every step is looked at, of the others the last one.
        costs_of = make_costs(config, parts.rest, held_out, point.state, size, every_step=size == batches[-1])
        costs[size] = costs_about(costs_of, rates_for(config, largest, predicted, size))
    steps_SxB = steps_of(costs, batches)
    knees_S = np.array([knee_of(batches, steps_B) for steps_B in steps_SxB])
    knee = within_search(geometric(knees_S), knees_S, batches)
    verdict = WORDS[judged(knee.low, knee.high, (predicted / BATCH_OFF, predicted * BATCH_OFF))]
    notes: list[str] = []
    if knee.low == 0 or math.isinf(knee.high):
        notes.append("the knee lies beyond the batches that were tried")
    if sizes := at_edge(costs):
        verdict = WORDS["undecided"]
        notes.append(
            f"with batches of {', '.join(map(str, sizes))} the best rate is the least or the largest one tried"
        )
    said = (
        f"with batches of {batches[0]:,} to {batches[-1]:,}, each at its best of {len(BATCH_RATES)} rates or more, "
        f"{BATCH_STEPS} steps from there on gain what a fit of 1 + K / batch gives with K {knee}, at which twice the "
        f"least steps are taken; {brief(predicted)} was the advice"
    )
    return Check("batch", said, verdict, predicted, knee, tuple(notes))


def batches_about(predicted: float, examples: int) -> list[int]:
    """Powers of 2 about the useful batch, no larger than the examples."""
    most = min(MOST_BATCH, examples)
    middle = min(max(predicted, 16.0), most / 4)
    powers = [2 ** round(math.log2(max(middle * factor, 1.0))) for factor in BATCH_FACTORS]
    return sorted({min(size, 2 ** int(math.log2(most))) for size in powers})


def make_costs(
    config: Config,
    training: Sequence[np.ndarray],
    held_out: Sequence[np.ndarray],
    state: train.TrainState,
    batch_size: int,
    every_step: bool = True,
    count: int = len(BATCH_RATES),
) -> CostsOf:
    """costs(rates), of so many rates, [S, M + 1, R]: the held-out cost of BATCH_STEPS steps from the state on, at each
    rate, before the first and after each; without `every_step` before the first and after the last, [S, 2, R]. Seeds
    draw their batches with replacement, which all rates share."""
    config = plain(config, batch_size=batch_size)
    functions = train.make_train(config)

    def numbers_at(rates: Sequence[float]) -> Any:
        lanes_1xR = [[config.replace(learning_rate=rate) for rate in rates]]
        return jax.tree.map(lambda leaf: leaf[0], lanes.numbers_of(lanes_1xR, optional=()))

    # As many devices as share the seeds out evenly.
    mesh = lanes.make_mesh(1 if config.has_own_model else math.gcd(SEEDS, len(jax.local_devices())))

    def course(seed: Any, numbers_R: Any, state: Any, training: Any, held_out: Any) -> jax.Array:
        states_R = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *jnp.shape(leaf))), state)

        def cost_of(states_R: Any) -> jax.Array:
            return lanes.over_lanes(config, functions.evaluate, same=2)(states_R, *held_out)["loss"]

        def go_on(states_R: Any, key: jax.Array) -> tuple[Any, jax.Array | None]:
            drawn_B = jax.random.randint(key, (batch_size,), 0, len(training[0]))
            batch = training[0][drawn_B], training[1][drawn_B], jnp.ones(batch_size)
            states_R, _ = lanes.over_lanes(config, functions.step, same=1)(states_R, numbers_R, batch)
            return states_R, cost_of(states_R) if every_step else None

        keys_M = jax.random.split(jax.random.key(seed), BATCH_STEPS)
        last_R, cost_MxR = jax.lax.scan(go_on, states_R, keys_M)
        after_MxR = cost_of(last_R)[None] if cost_MxR is None else cost_MxR
        return jnp.concatenate([cost_of(states_R)[None], after_MxR])

    everywhere = NamedSharding(mesh, PartitionSpec())
    seeds_S = jax.device_put(np.arange(SEEDS, dtype=np.uint32), NamedSharding(mesh, PartitionSpec("rows")))
    shared = jax.device_put((state, tuple(training), tuple(held_out)), everywhere)
    numbers_R = jax.device_put(numbers_at([config.learning_rate] * count), everywhere)
    options = options_for(max(batch_size, len(held_out[1])), config.has_own_model)
    run = compiled(lanes.over_rows(course, mesh, same=4), seeds_S, numbers_R, *shared, cpu_options=options)

    def costs_of(rates: Sequence[float]) -> np.ndarray:
        numbers_R = jax.device_put(numbers_at(rates), everywhere)
        return np.asarray(jax.device_get(run(seeds_S, numbers_R, *shared)), np.float64)

    return costs_of


def costs_about(costs_of: CostsOf, rates: Sequence[float]) -> np.ndarray:
    """The costs at the rates and, where the best of the last step is the first or the last one, at as many beyond it in
    the same ratio, at most EXTENSIONS times: [S, M + 1, more R], in the order of the rates."""
    rates, cost_SxMxR, count = list(rates), costs_of(rates), len(rates)
    for _ in range(edges.EXTENSIONS):
        best = best_of(cost_SxMxR)
        if best not in (0, len(rates) - 1):
            break
        is_above = best > 0
        added = edges.more_rates(rates, count, is_above)
        both, costs = ((rates, added), [cost_SxMxR, costs_of(added)])
        if not is_above:
            both, costs = both[::-1], costs[::-1]
        rates, cost_SxMxR = both[0] + both[1], np.concatenate(costs, axis=2)
    return cost_SxMxR


def best_of(cost_SxMxR: np.ndarray) -> int:
    """Which rate gains most by the last step, in the mean over the seeds."""
    return int(np.argmax(np.mean(gains(cost_SxMxR)[:, -1], axis=0)))


def rates_for(config: Config, largest: float, noise: float, batch_size: int) -> list[float]:
    """The rates that are tried with a batch: up to twice the largest one, lowered as McCandlish et al. have it; where
    that is not known about the config's own."""
    if not (math.isfinite(largest) and largest > 0):
        return [config.learning_rate * factor * 2 for factor in BATCH_RATES]
    return [largest / (1 + noise / batch_size) * factor for factor in BATCH_RATES]


def at_edge(costs: Mapping[int, np.ndarray]) -> list[int]:
    """The batches whose best rate, of the last step, is the first or the last one: a better one may lie beyond it."""
    return [size for size, cost_SxMxR in costs.items() if best_of(cost_SxMxR) in (0, cost_SxMxR.shape[2] - 1)]


def gains(cost_SxMxR: np.ndarray) -> np.ndarray:
    """By how much costs fell below their start, minus infinity where they left the numbers."""
    return np.where(np.isfinite(cost_SxMxR), cost_SxMxR[:, :1] - cost_SxMxR, -np.inf)


def gain_of(cost_SxMxR: np.ndarray) -> np.ndarray:
    """The gain at the rate that is best in the mean over the seeds, at each step, [S, M]."""
    gain_SxMxR = gains(cost_SxMxR)
    best_M = np.argmax(np.mean(gain_SxMxR, axis=0), axis=1)
    return np.take_along_axis(gain_SxMxR, best_M[None, :, None], axis=2)[:, :, 0]


def steps_of(costs: Mapping[int, np.ndarray], batches: Sequence[int]) -> np.ndarray:
    """How many times the steps of the largest batches each takes to come as far in BATCH_STEPS steps, [S, B]; the best
    rate is that of the mean over the seeds, for the largest batches at every step."""
    largest_M = np.maximum.accumulate(np.mean(gain_of(costs[batches[-1]]), axis=0))
    steps = np.arange(len(largest_M), dtype=float)
    # What rises no more tells no steps apart.
    rising = np.flatnonzero(np.diff(largest_M, prepend=-np.inf) > 0)
    ends_SxB = np.stack([gain_of(costs[size])[:, -1] for size in batches], axis=1)
    equal_SxB = np.interp(ends_SxB, largest_M[rising], steps[rising])
    return (len(largest_M) - 1) / np.maximum(equal_SxB, 0.25)


def within_search(knee: Estimate, knees_S: np.ndarray, batches: Sequence[int]) -> Estimate:
    """The knee, open at the side on which a seed's lies at the end of where it is searched for."""
    low = 0.0 if np.min(knees_S) <= min(batches) / 8 else knee.low
    return knee._replace(low=low, high=math.inf if np.max(knees_S) >= max(batches) * 8 else knee.high)


def knee_of(batches: Sequence[int], steps_B: np.ndarray) -> float:
    """K of steps in proportion to 1 + K / B, by least squares in the logarithm; searched for between a sixteenth of the
    least and sixteen times the largest batch."""
    sizes_B = np.array(batches, float)
    knees_K = np.geomspace(sizes_B.min() / 16, sizes_B.max() * 16, 2_001)
    apart_KxB = np.log1p(knees_K[:, None] / sizes_B) - np.log(steps_B)
    return float(knees_K[np.argmin(np.var(apart_KxB, axis=1))])


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
    lacking_S = (cost_FxS[scales.index(advised)] - cost_FxS[best]) / np.maximum(guess - cost_FxS[best], 1e-30)
    lacking = mean(lacking_S)
    verdict = WORDS[judged(lacking.low, lacking.high, (None, LACKING))]
    notes: list[str] = []
    if sizes := sorted({scales[f] for f in (scales.index(advised), best) if chosen_F[f] in (0, len(SCALE_RATES) - 1)}):
        verdict = WORDS["undecided"]
        notes.append(f"at {', '.join(map(brief, sizes))} the best rate is the least or the largest one tried")
    shown = ", ".join(
        f"{brief(float(np.mean(cost_S)))} at {brief(x)}" for x, cost_S in zip(scales, cost_FxS, strict=True)
    )
    said = (
        f"after {epochs * -(-len(labels) // batch_size)} steps, each scale at its best of {len(SCALE_RATES)} rates, "
        f"the cost on held-out examples is {shown}; the advised {brief(advised)} lacks {brief(100 * lacking.value)} % "
        f"of the best one's progress"
        + (f" ({100 * lacking.low:.0f} to {100 * lacking.high:.0f})" if scales[best] != advised else "")
    )
    return Check("scale", said, verdict, advised, lacking, tuple(notes), {"best": {"measured": Estimate(scales[best])}})


def best_rates(cost_FxRxS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The costs of the rate with the lowest mean, [F, S], and which that is, [F]."""
    best_F = np.argmin(np.mean(cost_FxRxS, axis=2), axis=1)
    return np.take_along_axis(cost_FxRxS, best_F[:, None, None], axis=1)[:, 0], best_F
