"""How many steps does a larger batch save, and from which batch size on does it save no more?

    python -m experiments.batches.steps_to_target [--budget=full]      2 to 3 minutes on 2 cores, full 9

Sources: Shallue et al. 2019, Measuring the effects of data parallelism: the steps to a target fall as 1 / B, then ever
less, then stay flat. McCandlish et al. 2018, An empirical model of large-batch training: S(B) = S_min (1 + B_crit / B),
the best rate follows rate_max / (1 + B_crit / B), and the knee B_crit is about B_simple = tr(Sigma) / |G|^2.

The lecture's intermediate net (two layers of 64 ReLUs, cross-entropy), plain SGD on MNIST but for the last 2,000
training images, which are held out. Examples are drawn with replacement, so that nothing but the noise tells batches
apart. The held-out cost is looked at after every 256 examples, or every step of a larger batch, and its logarithm is
interpolated between. The target is a held-out cost of .3 nats; .7, met on the way, shows whether the knee moves.
Batches of 1 to 4,096; for each size and target its own best rate, searched for (experiments/engine/searching.py) in
factors of 2: 5 around a rule in proportion to the batch up to a ceiling, which was chosen with two other seeds, and up
to 2 more while a best one lies at the edge. 4 seeds (full: 24, as 8 left lines open), which share the initial draw; a
seed is judged at the rate of the highest mean speed of the others, among those at which all arrive. B_simple is taken
on 2,000 training images where a seed meets the target, and averaged (geometric mean) over all batch sizes.

Bands, set before the run. Log-log slope of the steps over B <= 32: -1 +- .15, and from -.3 to .1 over the largest
sizes, from 1,024 on (two of them in quick), so that there is a knee. The fit of S(B) within 30 % of the steps at every
size, which steps in proportion to 1 / B, fitted as well, are not. Fitted knee within a factor of 4 of B_simple, at both
targets, where neither end of the batch sizes lies, and larger at .3 than at .7. Log-log slope of the best rate over B
<= 32: 1 +- .25. The bands are of before, but the grids' ceiling, with which all lines are measured, is not, and neither
is the number of steps of a larger batch, 96, twice what the best rates take: every line is exploratory. On another data
set the small batches are those up to half of its fitted knee, in each run its own, as 32 nearly is on MNIST; that was
chosen once the digits' lines had failed up to 32, beyond their knee of 19, also on seeds from 1,000 on. It leaves two.

The knee moves with the noise scale but lies below it. One reason is that the knee is a matter of the whole way and this
noise scale that of its end, where it is largest: it is several times smaller at .7, where a large batch has made half
of its steps. The misfit is the largest of the batch sizes', and its interval a joint one over them.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from tqdm import tqdm

import input_pipeline
import nets
import train
from configs import intermediate, shallow
from experiments.engine import lanes, space, statistics
from experiments.engine.searching import Rule, decide, search
from experiments.study import batch_law, command, toolkit
from experiments.study.claims import Claim, Words, above, against, by_key, interval_claim, mean_claim
from experiments.study.elsewhere import Elsewhere, dataset_of, fitted
from experiments.study.scoreboard import markdown
from experiments.study.study import FRESHER_SEEDS, Study
from training import figures
from training.compiling import compiled, options_for
from training.config import Config, as_config
from training.screen import uniform_guess_cost

SHALLUE, MCCANDLISH = "Shallue et al. 2019 (P)", "McCandlish et al. 2018 (S)"
SLOPE_BAND, FLAT_BAND, RATE_BAND, KNEE_BAND = (-1.15, -0.85), (-0.3, 0.1), (0.75, 1.25), (0.25, 4.0)
MISFIT_BAND = (0.0, 0.3)
EXPLORATORY = (
    "the rates' ceiling was chosen with two other seeds, the number of steps with the targets' in view, and how many "
    "seeds once 8 had left four lines open"
)
BY_KNEE = "; that the small batches go to half of the knee was chosen once the digits' lines had failed, of any seeds"


class Size(NamedTuple):
    """How much is trained, and what is compared.

    Up to `small` the steps should fall as 1 / B, None for half of the fitted knee, from `large` on no more. The rates
    are powers of 2: that of batches of 1 is `first`, which doubles with the batch up to `most`, with so many `beside`
    it on both sides. Between two looks, `look`, and in all, `examples`, there are so many examples, or where they are
    more one and `steps` steps. Seeds are those from `seeds_from` on.
    """

    config: Config
    seeds: int
    batches: tuple[int, ...]
    small: int | None
    large: int
    targets: tuple[float, ...]
    first: int
    most: int
    beside: int
    look: int
    examples: int
    steps: int
    noise_examples: int
    extensions: int = 2
    seeds_from: int = 0

    def grid(self, batch_size: int) -> list[int]:
        """The powers of 2 that are tried first as rates of that batch size."""
        middle = min(self.most, self.first + round(math.log2(batch_size)))
        return list(range(middle - self.beside, middle + self.beside + 1))


QUICK = Size(
    as_config(intermediate.get_config()).replace(probes=(), validation="2000"),
    seeds=4,
    batches=(1, 4, 16, 32, 64, 256, 1_024, 4_096),
    small=32,
    large=1_024,
    targets=(0.7, 0.3),
    first=-6,
    most=-1,
    beside=2,
    look=256,
    examples=16_384,
    steps=96,
    noise_examples=2_000,
)
SYNTHETIC = as_config(shallow.get_config()).replace(dataset="synthetic", probes=(), validation="50")
SIZES = {
    "tiny": Size(SYNTHETIC, 2, (32, 64), 64, 32, (0.0899, 0.0895), -1, 4, 1, 32, 256, 8, 40, 0),
    "quick": QUICK,
    "full": QUICK._replace(seeds=24, batches=tuple(2**i for i in range(13))),
}


class Courses(NamedTuple):
    """Held-out cost of every seed at every rate after each look, [S, L, R], NaN where a run has diverged; and the
    parameters at the first look that meets each target, a tree of [S, T, R, ...]."""

    cost_SxLxR: Any
    met_SxTxR: Any


class Course(NamedTuple):
    """The same at one rate: [S, L], and a tree of [S, T, ...]."""

    cost_SxL: Any
    met_SxT: Any


Found = dict[tuple[int, float], Course]  # By batch size and power of 2.


class Tuned(NamedTuple):
    """Each size's steps to a target at the best rate of every seed, that rate's power of 2, and whether a best one
    lies at its grid's edge."""

    steps_BxS: np.ndarray
    power_BxS: np.ndarray
    at_edge_B: np.ndarray


# ---------------------------------------------------------------------------------------------------------------------
# Training.


def make_course(config: Config, size: Size) -> Callable[..., Courses]:
    """course(seed, numbers_R, training, validation) of runs that share a seed: `train.Train.epoch` on examples that are
    drawn with replacement, and `evaluate` after each."""
    functions, look = train.make_train(config), max(size.look, config.batch_size)
    looks = math.ceil(max(size.examples, size.steps * config.batch_size) / look)
    target_Tx1 = jnp.array(size.targets)[:, None]
    # Products of a single example's vector and a matrix a lane leave the fast path of a CPU where lanes run at once.
    is_alone = config.batch_size == 1 and jax.default_backend() == "cpu"

    def epoch_of(states_R, numbers_R, batch, key):
        if is_alone:
            return jax.lax.map(lambda lane: functions.epoch(*lane, batch, key), (states_R, numbers_R))
        return jax.vmap(functions.epoch, in_axes=(0, 0, None, None))(states_R, numbers_R, batch, key)

    def course(seed, numbers_R, training, validation):
        initial_key, key = train.run_keys(seed)
        states_R = jax.vmap(functions.init, in_axes=(0, None))(numbers_R, initial_key)
        met_TxR = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(size.targets)), states_R.params)

        def go_on(carry, number):
            states_R, met_TxR, least_R = carry
            draw_key, order_key = jax.random.split(jax.random.fold_in(key, number))
            drawn = jax.random.randint(draw_key, (look,), 0, len(training[0]))
            batch = training[0][drawn], training[1][drawn]
            states_R, _ = epoch_of(states_R, numbers_R, batch, order_key)
            cost_R = jax.vmap(functions.evaluate, in_axes=(0, None, None))(states_R, *validation)["loss"]
            first_TxR = (cost_R[None, :] <= target_Tx1) & (least_R[None, :] > target_Tx1)

            def keep(met, now):
                return jnp.where(first_TxR.reshape(*first_TxR.shape, *[1] * (now.ndim - 1)), now[None], met)

            met_TxR = jax.tree.map(keep, met_TxR, states_R.params)
            return (states_R, met_TxR, jnp.fmin(least_R, cost_R)), cost_R

        start = states_R, met_TxR, jnp.full(len(numbers_R.learning_rate), jnp.inf)
        (_, met_TxR, _), cost_LxR = jax.lax.scan(go_on, start, jnp.arange(looks))
        return Courses(cost_LxR, met_TxR)

    return course


def courses_of(size: Size, dataset: input_pipeline.Dataset, batch_size: int, powers: Sequence[int]) -> Found:
    """The courses of a batch size at those powers of 2 as rates, the seeds spread over the local devices."""
    config = size.config.replace(batch_size=batch_size)
    mesh = lanes.make_mesh(math.gcd(size.seeds, len(jax.local_devices())))
    trials = space.make_trials(config, None, {"learning_rate": [2.0**power for power in powers]})
    numbers = lanes.numbers_of([list(trials.values())], optional=())
    numbers_R = jax.tree.map(lambda leaf: leaf[0], numbers)
    seeds_S = np.arange(size.seeds_from, size.seeds_from + size.seeds, dtype=np.uint32)
    of_rows = jax.device_put(seeds_S, NamedSharding(mesh, PartitionSpec("rows")))
    shared = jax.device_put((numbers_R, dataset[:2], dataset[2:4]), NamedSharding(mesh, PartitionSpec()))
    arguments = of_rows, *shared
    course = lanes.over_rows(make_course(config, size), mesh, same=3)
    made = jax.device_get(compiled(course, *arguments, cpu_options=options_for(batch_size, False))(*arguments))
    met = [jax.tree.map(lambda leaf: leaf[:, :, r], made.met_SxTxR) for r in range(len(powers))]  # noqa: B023
    return {(batch_size, power): Course(made.cost_SxLxR[:, :, r], met[r]) for r, power in enumerate(powers)}


def looks_until(target: float, cost_L: Sequence[float], start: float) -> float:
    """Looks until the cost first meets the target, NaN where it never does; between two looks, or the start and the
    first one, its logarithm is taken as a straight line."""
    before = start
    for done, cost in enumerate(cost_L):
        if cost <= target:
            return done + math.log(before / target) / math.log(before / cost)
        before = cost
    return math.nan


# ---------------------------------------------------------------------------------------------------------------------
# Steps, rates and the knee.


def tune(size: Size, t: int, found: Found, more: Callable[[int, Sequence[int]], Found], start: float) -> Tuned:
    """The steps to the target of that number, each batch size at its best rate; where the search goes beyond the rates
    that were found, `more` courses are added to them."""
    return Tuned(*map(np.array, zip(*(tune_size(size, t, b, found, more, start) for b in size.batches), strict=True)))


def tune_size(size: Size, t: int, batch_size: int, found: Found, more: Any, start: float) -> tuple[Any, Any, bool]:
    """A batch size's part of `tune`: steps and power of 2 of each seed, and whether a best rate lies at an edge."""
    looks: dict[float, np.ndarray] = {}

    def speeds(wanted: list[float]) -> dict[float, np.ndarray]:
        if missing := [int(power) for power in wanted if (batch_size, power) not in found]:
            found.update(more(batch_size, missing))
        for power in wanted:
            cost_SxL = found[batch_size, power].cost_SxL
            looks[power] = np.array([looks_until(size.targets[t], cost_L, start) for cost_L in cost_SxL])
        return {power: 1 / looks[power] for power in wanted}  # NaN where the target is not met.

    choice = decide(search(size.grid(batch_size), Rule("lin", True, size.extensions, 0)), speeds)
    looks_S = np.array([looks[power][s] for s, power in enumerate(choice.of_seeds)])
    return max(1.0, size.look / batch_size) * looks_S, choice.of_seeds, choice.at_edge


# ---------------------------------------------------------------------------------------------------------------------
# The gradient noise scale.


def noise_scales(size: Size, found: Found, tuned: Sequence[Tuned], dataset: input_pipeline.Dataset) -> np.ndarray:
    """The gradient noise scale where each seed meets each target with batches of each size, [T, B, S]; NaN where it
    does not, or where the estimate of |G|^2 is not positive."""
    cost, count = toolkit.cost_of(size.config), size.noise_examples
    batch = jax.device_put((dataset.images[:count], dataset.labels[:count]))
    scale_TxBxS = np.full((len(tuned), *tuned[0].steps_BxS.shape), np.nan)
    for t, b, s in np.ndindex(scale_TxBxS.shape):
        if np.isfinite(tuned[t].steps_BxS[b, s]):
            course = found[size.batches[b], tuned[t].power_BxS[b, s]]
            params = jax.tree.map(lambda leaf: leaf[s, t], course.met_SxT)  # noqa: B023
            scale_TxBxS[t, b, s] = nets.curvature.gradient_noise_scale(cost, params, batch).noise_scale
    return np.where(scale_TxBxS > 0, scale_TxBxS, np.nan)


# ---------------------------------------------------------------------------------------------------------------------
# Claims and the figure.


def small_up_to(size: Size, main: Tuned) -> int:
    """The largest of the small batches: at least the second size, so that there is a slope."""
    if size.small is not None:
        return size.small
    sizes_B = np.array(size.batches, float)
    knee = batch_law.fit(sizes_B, np.exp(np.mean(np.log(main.steps_BxS), axis=1)))[1]
    return max([b for b in size.batches if b <= knee / 2] + sorted(size.batches)[:2])


def law_claims(size: Size, main: Tuned) -> list[Claim]:
    """What Shallue et al. and McCandlish et al. say of the steps and the rates, at the main target."""
    sizes_B, most_small = np.array(size.batches, float), small_up_to(size, main)
    small, large = sizes_B <= most_small, sizes_B >= size.large
    slope_S, flat_S = (batch_law.log_slope(sizes_B[part], main.steps_BxS[part]) for part in (small, large))
    rate_S = batch_law.log_slope(sizes_B[small], 2.0 ** main.power_BxS[small])
    where, edges = f"B <= {most_small}", sizes_B[main.at_edge_B]
    small_too = EXPLORATORY + BY_KNEE * (size.small is None)
    at_edge = f"a best rate lies at its grid's edge for B = {', '.join(f'{b:,.0f}' for b in edges)}"
    words: Words = {"rival": "steps that do not fall: 0", "rival_at": 0.0, "note": at_edge if edges.size else ""}
    words["exploratory"] = small_too
    name = f"log-log slope of the steps, {where}"
    falls = mean_claim("slope/small", name, "direction", SHALLUE, slope_S, SLOPE_BAND, **words)
    name = f"log-log slope of the steps, B >= {size.large:,}"
    words = Words(rival="steps that fall on: -1", rival_at=-1.0, exploratory=EXPLORATORY)
    stays = mean_claim("slope/large", name, "direction", SHALLUE, flat_S, FLAT_BAND, **words)
    misfit_B = batch_law.misfit(sizes_B, main.steps_BxS)
    of_rival = batch_law.misfit_in_proportion(sizes_B, main.steps_BxS)
    name, within = "largest misfit of S_min (1 + B_crit / B)", batch_law.misfit_interval(sizes_B, main.steps_BxS)
    more: Any = {"count": main.steps_BxS.shape[1], "values": misfit_B, "exploratory": EXPLORATORY}
    note = "its values are those of the batch sizes, and its interval is joint over them; steps in proportion to 1 / B"
    more["note"] = f"{note} have one of {of_rival:.3g}"
    most = float(misfit_B.max())
    worst = interval_claim("misfit", name, "direction", MCCANDLISH, most, within, MISFIT_BAND, **more)
    worst = against(worst, "steps in proportion to 1 / B", of_rival)
    name = f"log-log slope of the best rate, {where}"
    words = Words(rival="the root of the batch: 1/2", rival_at=0.5, exploratory=small_too)
    grows = mean_claim("slope/rate", name, "direction", MCCANDLISH, rate_S, RATE_BAND, **words)
    return [falls, stays, worst, grows]


def claims_of(size: Size, tuned: Sequence[Tuned], scale_TxBxS: np.ndarray) -> list[Claim]:
    """The laws of the steps and rates, and the knee beside the noise scale."""
    sizes_B, claims = np.array(size.batches, float), law_claims(size, tuned[-1])
    knee_TxS = np.array([batch_law.knees(sizes_B, of_target.steps_BxS) for of_target in tuned])
    for target, knee_S, scale_S in zip(size.targets, knee_TxS, mean_scale(scale_TxBxS), strict=True):
        key, name = f"knee/cost{target:g}", f"knee / B_simple at cost {target:g}"
        note = f"knee {geometric(knee_S)}, B_simple {geometric(scale_S)}"
        words: Words = {"exploratory": EXPLORATORY, "note": note}
        found = mean_claim(key, name, "direction", MCCANDLISH, knee_S / scale_S, KNEE_BAND, log=True, **words)
        ends = size.batches[0], size.batches[-1]
        rival = f"a knee where the batch sizes end: {ends[0]:,} or {ends[1]:,}"
        claims.append(against(found, rival, np.array(ends) / np.exp(np.mean(np.log(scale_S)))))
    name, moves_S = f"knee at cost {size.targets[-1]:g} / knee at {size.targets[0]:g}", knee_TxS[-1] / knee_TxS[0]
    words = Words(rival="a knee that stays: 1", rival_at=1.0, exploratory=EXPLORATORY)
    moves = mean_claim("knee/moves", name, "direction", MCCANDLISH, moves_S, (above(1.0), 100.0), log=True, **words)
    return [*claims, moves]


def mean_scale(scale_TxBxS: np.ndarray) -> np.ndarray:
    """The geometric mean over the batch sizes, [T, S]."""
    return np.exp(statistics.interval(np.log(scale_TxBxS).swapaxes(0, 1)).mean)


def geometric(value_S: np.ndarray) -> str:
    """The geometric mean of the seeds with its 95 % interval."""
    found = statistics.interval(np.log(value_S))
    return f"{np.exp(found.mean):.3g} ({np.exp(found.low):.3g} to {np.exp(found.high):.3g})"


def table_of(size: Size, tuned: Sequence[Tuned]) -> str:
    """Steps to each target and the rates, by batch size."""
    rows: list[list[str]] = []
    for b, batch_size in enumerate(size.batches):
        row = [f"{batch_size:,}"]
        for of_target in tuned:
            powers = ", ".join(f"2^{power}" for power in np.unique(of_target.power_BxS[b]))
            row += [geometric(of_target.steps_BxS[b]), powers + (" (edge)" if of_target.at_edge_B[b] else "")]
        rows.append(row)
    columns = [title for target in size.targets for title in (f"steps to {target:g}", "rates")]
    return markdown(("batch size", *columns), rows)


def draw_steps(axis: Any, size: Size, tuned: Sequence[Tuned]) -> None:
    """Steps against batch size with 95 % intervals, the fit and its knee, and what would be in proportion to 1 / B."""
    sizes_B = np.array(size.batches, float)
    fine = np.geomspace(sizes_B.min(), sizes_B.max(), 200)
    for i, (target, of_target) in enumerate(zip(size.targets, tuned, strict=True)):
        found = statistics.interval(np.log(of_target.steps_BxS).T)
        mean, low, high = (np.exp(x) for x in (found.mean, found.low, found.high))
        style = {"fmt": "o", "color": f"C{i}", "capsize": 3, "label": f"to a cost of {target:g}"}
        axis.errorbar(sizes_B, mean, [mean - low, high - mean], **style)
        least, knee = batch_law.fit(sizes_B, mean)
        axis.plot(fine, least * (1 + knee / fine), color=f"C{i}", label=f"{least:.0f} (1 + {knee:.0f} / B)")
        axis.plot(knee, 2 * least, "D", color=f"C{i}", markersize=9, markerfacecolor="white")
        in_proportion = mean[0] * sizes_B[0] / fine
        axis.plot(fine, np.where(in_proportion > least / 3, in_proportion, np.nan), ":", color=f"C{i}")
    axis.plot([], [], "kD", markerfacecolor="white", label="knee")
    axis.plot([], [], "k:", label="in proportion to 1 / B")
    axis.set(xscale="log", yscale="log", xlabel="batch size B, examples", ylabel="steps to the target")


def draw_rates(axis: Any, size: Size, main: Tuned) -> None:
    """The best rates against batch size, with what McCandlish et al. expect of them."""
    sizes_B, rate_BxS = np.array(size.batches, float), 2.0**main.power_BxS
    _, knee = batch_law.fit(sizes_B, np.exp(np.mean(np.log(main.steps_BxS), axis=1)))
    shape_B = 1 / (1 + knee / sizes_B)
    most = np.exp(np.mean(np.log(rate_BxS) - np.log(shape_B)[:, None]))
    axis.plot(np.repeat(sizes_B, rate_BxS.shape[1]), rate_BxS.ravel(), "o", color="C1", label="best rate of a seed")
    axis.plot(sizes_B, most * shape_B, color="C1", label=f"{most:.2g} / (1 + {knee:.0f} / B)")
    axis.set(xscale="log", yscale="log", xlabel="batch size B, examples", ylabel="learning rate")


def draw_noise(axis: Any, size: Size, scale_TxBxS: np.ndarray, tuned: Sequence[Tuned]) -> None:
    """The noise scale where each size meets the targets, and the knees."""
    sizes_B = np.array(size.batches, float)
    for t, (target, of_target) in enumerate(zip(size.targets, tuned, strict=True)):
        found = statistics.interval(np.log(scale_TxBxS[t]).T)
        mean, low, high = (np.exp(x) for x in (found.mean, found.low, found.high))
        style = {"fmt": "o", "color": f"C{t}", "capsize": 3, "label": f"B_simple at a cost of {target:g}"}
        axis.errorbar(sizes_B, mean, [mean - low, high - mean], **style)
        knee = float(np.exp(statistics.interval(np.log(batch_law.knees(sizes_B, of_target.steps_BxS))).mean))
        axis.axhline(knee, color=f"C{t}", label=f"knee of the steps to {target:g}: {knee:.0f}")
        axis.axhspan(knee / 4, knee * 4, color=f"C{t}", alpha=0.1)
    axis.set(xscale="log", yscale="log", xlabel="batch size B trained with, examples", ylabel="noise scale, examples")


def draw(size: Size, tuned: Sequence[Tuned], scale_TxBxS: np.ndarray, claims: Sequence[Claim]) -> Any:
    """Steps and rates against the batch size, and the knee beside the noise scale."""
    figure, axes = figures.new_figure(16, 6, 3)
    measured = {key: claim.measured for key, claim in by_key(claims).items()}
    draw_steps(axes[0], size, tuned)
    small, large, most_small = measured["slope/small"], measured["slope/large"], small_up_to(size, tuned[-1])
    axes[0].set_title(f"Steps fall as B^{small:.2f} up to {most_small}, as B^{large:.2f} from {size.large:,}")
    draw_rates(axes[1], size, tuned[-1])
    axes[1].set_title(f"The best rate grows as B^{measured['slope/rate']:.2f} up to {most_small}")
    draw_noise(axes[2], size, scale_TxBxS, tuned)
    target = f"{size.targets[-1]:g}"
    axes[2].set_title(
        f"The knee is {measured[f'knee/cost{target}']:.2g} times the noise scale at cost {target}\n"
        "(shaded: within a factor of 4 of a knee)"
    )
    for axis in axes:
        axis.grid(alpha=0.3)
        toolkit.legend_below(axis)
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    dataset, start = dataset_of(size.config), uniform_guess_cost(size.config)
    more, found = partial(courses_of, size, dataset), Found()
    for b in tqdm(size.batches, "batch sizes", leave=False, disable=None):
        found |= more(b, size.grid(b))
    tuned = [tune(size, t, found, more, start) for t in range(len(size.targets))]
    print(table_of(size, tuned), flush=True)
    scale_TxBxS = noise_scales(size, found, tuned, dataset)
    claims = claims_of(size, tuned, scale_TxBxS)
    return draw(size, tuned, scale_TxBxS, claims), claims


def on_dataset(size: Size, dataset: str) -> Size:
    """The same on another data set, whose targets are higher, and whose knee says which batches are small."""
    return size._replace(config=fitted(size.config, dataset), targets=(1.0, 0.7), small=None)


STUDY = Study(
    question="How many steps does a larger batch save, and from which batch size on does it save no more?",
    run=run,
    sizes=SIZES,
    elsewhere=Elsewhere(on_dataset),
    fresh_seeds=FRESHER_SEEDS,
)

if __name__ == "__main__":
    command.main(STUDY)
