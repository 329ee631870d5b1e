"""How many steps does a larger batch save, and from which batch size on does it save no more?

    python -m experiments.batches.steps_to_target [--budget=full] [--workdir=runs/steps_to_target]

75 seconds on 2 cores, 4 minutes for full.

Sources: Shallue et al. 2019, Measuring the effects of data parallelism: the steps to a target fall as 1 / B, then ever
less, then stay flat. McCandlish et al. 2018, An empirical model of large-batch training: S(B) = S_min (1 + B_crit / B),
the rate that is best follows rate_max / (1 + B_crit / B), and the knee B_crit is about the gradient noise scale
B_simple = tr(Sigma) / |G|^2.

The lecture's intermediate net (two layers of 64 ReLUs, cross-entropy), plain SGD on MNIST but for the last 2,000
training images, which are held out. Examples are drawn with replacement, so that nothing but the noise tells batches
apart. The held-out cost is looked at after every 256 examples, or every step of a larger batch, and its logarithm is
interpolated between. The target is a held-out cost of .3 nats; .7, met on the way, shows whether the knee moves.
Batches of 1 to 4,096; for each size and target its own best of 5 rates, in factors of 2 around a rule in proportion to
the batch up to a ceiling, which was chosen with two other seeds. 4 seeds (full: 8), which share the initial draw; a
seed is judged at the rate that takes the fewest steps in the mean of the others. B_simple is measured on 2,000 training
images where a seed meets the target, and averaged (geometric mean) over all batch sizes.

Bands, set before the run. Log-log slope of the steps over B <= 32: -1 +- .15, and from -.3 to .1 over the largest
sizes, from 1,024 on (two of them in quick), so that there is a knee. The fit of S(B) within 30 % of the steps at every
size. Fitted knee within a factor of 4 of B_simple, at both targets, and larger at .3 than at .7. Log-log slope of the
best rate over B <= 32: 1 +- .25.

Measured: 7 of 7 (full, 2026-11-25, 2 cores). Steps to each cost, geometric mean of 8 seeds with its 95 % interval:

    batch size    to .7                 to .3
             1    550 (489 to 619)      3,470 (2,890 to 4,150)
             4    139 (129 to 150)      830 (667 to 1,030)
            16    64 (55 to 75)         233 (197 to 276)
            64    28 (25 to 32)         88 (79 to 97)
           256    22 (18 to 26)         48 (46 to 50)
         4,096    20 (18 to 21)         44 (40 to 49)

To .3 the steps fall as B^-.96 (-1.02 to -.89) up to 32 and as B^-.05 (-.18 to +.08) from 1,024 on. The best rate grows
as B^.85 (.81 to .89) up to 32. The law misses the mean steps by 10 % at most. The knee is 79 (69 to 91), which is .28
(.26 to .31) times B_simple = 282 (257 to 310); at .7 it is 27 (26 to 29), .46 (.39 to .53) times 60 (55 to 66). So it
moves with the noise scale, 2.9-fold (2.4 to 3.5), but lies below it, at .3 not far from the edge of the band. One
reason is that the knee is a matter of the whole way and this noise scale that of its end, where it is largest: it is
4.7 times smaller at .7, where a large batch has made half of its steps. The quick size, 4 seeds, gives 7 of 7 too, with
a knee of 86 (63 to 116).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict
from tqdm import tqdm

import input_pipeline
import nets
import train
from configs import intermediate
from experiments import studies
from experiments.batches import batch_size
from experiments.engine import lanes, space, statistics
from training import figures
from training.compiling import compiled, epoch_options
from training.screen import uniform_guess_cost

HELD_OUT, TARGETS = 2_000, (0.7, 0.3)
SMALL, LARGE = 32, 1_024  # Up to the first one the steps should fall as 1 / B, from the second one on no more.
SEEDS = {"quick": 4, "full": 8}
SIZES = {"quick": (1, 4, 16, 32, 64, 256, 1_024, 4_096), "full": tuple(2**i for i in range(13))}
# The rates are powers of 2: that of batches of 1 is the first power, which doubles with the batch up to the second.
FIRST, MOST, BESIDE = -6, -1, 2
# Between two looks, and in all: so many examples, or where they are more so many steps.
LOOK, EXAMPLES, STEPS = 256, 16_384, 160
NOISE_EXAMPLES = 2_000
SHALLUE, MCCANDLISH = "Shallue et al. 2019", "McCandlish et al. 2018"
SLOPE_BAND, FLAT_BAND, RATE_BAND, KNEE_BAND = (-1.15, -0.85), (-0.3, 0.1), (0.75, 1.25), (0.25, 4.0)
MOST_MISFIT = 0.3


class Courses(NamedTuple):
    """Held-out cost of every seed at every rate after each look, [S, L, R], NaN where a run has diverged; and the
    parameters at the first look that meets each target, a tree of [S, T, R, ...]."""

    cost_SxLxR: Any
    met_SxTxR: Any


class Tuned(NamedTuple):
    """Each size's steps to a target at the best rate of every seed, that rate's power of 2, and whether a best one
    lies at its grid's edge."""

    steps_BxS: np.ndarray
    power_BxS: np.ndarray
    at_edge_B: np.ndarray


# ---------------------------------------------------------------------------------------------------------------------
# Training.


def grid(size: int) -> list[int]:
    """The powers of 2 that are tried as rates of that batch size."""
    middle = min(MOST, FIRST + round(math.log2(size)))
    return list(range(middle - BESIDE, middle + BESIDE + 1))


def config_of(size: int) -> ConfigDict:
    """The config of a batch size."""
    config = intermediate.get_config()
    config.update(probes=(), validation=str(HELD_OUT), batch_size=size)
    return config


def make_course(config: Any) -> Callable[..., Courses]:
    """course(seed, numbers_R, training, validation) of runs that share a seed: `train.Train.epoch` on examples that are
    drawn with replacement, and `evaluate` after each."""
    functions, look = train.make_train(config), max(LOOK, config.batch_size)
    looks = math.ceil(max(EXAMPLES, STEPS * config.batch_size) / look)
    target_Tx1 = jnp.array(TARGETS)[:, None]

    def course(seed, numbers_R, training, validation):
        initial_key, key = train.run_keys(seed)
        states_R = jax.vmap(functions.init, in_axes=(0, None))(numbers_R, initial_key)
        met_TxR = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(TARGETS)), states_R.params)

        def go_on(carry, number):
            states_R, met_TxR, least_R = carry
            draw_key, order_key = jax.random.split(jax.random.fold_in(key, number))
            drawn = jax.random.randint(draw_key, (look,), 0, len(training[0]))
            batch = training[0][drawn], training[1][drawn]
            states_R, _ = jax.vmap(functions.epoch, in_axes=(0, 0, None, None))(states_R, numbers_R, batch, order_key)
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


def run(size: int, seeds: int, dataset: input_pipeline.Dataset) -> Courses:
    """The courses of a batch size at every rate of its grid, the seeds spread over the local devices."""
    config = config_of(size)
    mesh = lanes.make_mesh(seeds)
    trials = space.make_trials(config, None, {"learning_rate": [2.0**power for power in grid(size)]})
    numbers = lanes.numbers_of([list(trials.values())], optional=())
    numbers_R = jax.tree.map(lambda leaf: leaf[0], numbers)
    of_rows = jax.device_put(np.arange(seeds, dtype=np.uint32), NamedSharding(mesh, PartitionSpec("rows")))
    shared = jax.device_put((numbers_R, dataset[:2], dataset[2:]), NamedSharding(mesh, PartitionSpec()))
    arguments = of_rows, *shared
    course = lanes.over_rows(make_course(config), mesh, same=3)
    return jax.device_get(compiled(course, *arguments, cpu_options=epoch_options(size))(*arguments))


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


def tune(t: int, courses: Mapping[int, Courses], start: float) -> Tuned:
    """The steps to the target of that number, each size at its best rate."""
    rows, powers, edges = [], [], []
    for size, of_size in courses.items():
        steps_a_look, powers_R = max(1.0, LOOK / size), grid(size)
        steps_RxS = np.array(
            [
                [steps_a_look * looks_until(TARGETS[t], cost_L, start) for cost_L in cost_LxS.T]
                for cost_LxS in of_size.cost_SxLxR.transpose(2, 1, 0)
            ]
        )
        best_S = batch_size.best_rates(1 / steps_RxS)  # What never meets the target has speed 0 there.
        rows.append(steps_RxS[best_S, np.arange(steps_RxS.shape[1])])
        powers.append(np.array(powers_R)[best_S])
        edges.append(batch_size.extended(powers_R, best_S) != powers_R)
    return Tuned(np.array(rows), np.array(powers), np.array(edges))


def log_slope(sizes_B: np.ndarray, values_BxS: np.ndarray) -> np.ndarray:
    """The log-log slope over the sizes by least squares, of each seed."""
    x_B = np.log(sizes_B) - np.mean(np.log(sizes_B))
    return x_B @ np.log(values_BxS) / (x_B @ x_B)


def fit(sizes_B: np.ndarray, steps_B: np.ndarray) -> tuple[float, float]:
    """(S_min, B_crit) of S(B) = S_min (1 + B_crit / B), least squares in log S (McCandlish et al. 2018, equation 2.11).

    For any B_crit the best S_min is the geometric mean of what the steps are in units of 1 + B_crit / B; that leaves
    one number, which is searched for between a tenth of the least and ten times the largest size. NaN where the target
    is missed at a size.
    """
    if not np.all(np.isfinite(steps_B)):
        return math.nan, math.nan
    knee_K = np.geomspace(min(sizes_B) / 10, max(sizes_B) * 10, 4_001)
    residual_KxB = np.log(steps_B) - np.log1p(knee_K[:, None] / sizes_B)
    best = np.argmin(np.var(residual_KxB, axis=1))
    return float(np.exp(np.mean(residual_KxB[best]))), float(knee_K[best])


def knees(sizes_B: np.ndarray, tuned: Tuned) -> np.ndarray:
    """The fitted knee of each seed."""
    return np.array([fit(sizes_B, steps_B)[1] for steps_B in tuned.steps_BxS.T])


def misfit(sizes_B: np.ndarray, tuned: Tuned) -> np.ndarray:
    """How far the mean steps are from the fit to them at each size, as a share of them."""
    steps_B = np.exp(np.mean(np.log(tuned.steps_BxS), axis=1))
    least, knee = fit(sizes_B, steps_B)
    return np.abs(least * (1 + knee / sizes_B) / steps_B - 1)


# ---------------------------------------------------------------------------------------------------------------------
# The gradient noise scale.


def noise_scales(courses: Mapping[int, Courses], tuned: Sequence[Tuned], dataset: input_pipeline.Dataset) -> np.ndarray:
    """The gradient noise scale where each seed meets each target with batches of each size, [T, B, S]; NaN where it
    does not, or where the estimate of |G|^2 is not positive."""
    config: Any = config_of(1)
    cost = studies.cost_of(config)
    batch = jax.device_put((dataset.images[:NOISE_EXAMPLES], dataset.labels[:NOISE_EXAMPLES]))
    scale_TxBxS = np.full((len(tuned), *tuned[0].steps_BxS.shape), np.nan)
    for t, b, s in np.ndindex(scale_TxBxS.shape):
        if np.isfinite(tuned[t].steps_BxS[b, s]):
            size, of_size = list(courses.items())[b]
            r = grid(size).index(tuned[t].power_BxS[b, s])
            params = jax.tree.map(lambda leaf: leaf[s, t, r], of_size.met_SxTxR)  # noqa: B023
            scale_TxBxS[t, b, s] = nets.curvature.gradient_noise_scale(cost, params, batch).noise_scale
    return np.where(scale_TxBxS > 0, scale_TxBxS, np.nan)


# ---------------------------------------------------------------------------------------------------------------------
# Claims and the figure.


def mean_claim(
    name: str, published: float | None, source: str, value_S: np.ndarray, band: tuple[float, float], log: bool = False
) -> dict[str, Any]:
    """A claim on the mean of the seeds, of a ratio on the geometric one, with its 95 % interval in the note."""
    mean = statistics.interval(np.log(value_S) if log else value_S).mean
    line = studies.claim(name, published, source, value_S, float(np.exp(mean) if log else mean), band)
    return line | {"note": statistics.interval_in_words(value_S, log=log)}


def claims_of(sizes: Sequence[int], tuned: Sequence[Tuned], scale_TxBxS: np.ndarray) -> list[dict[str, Any]]:
    """What Shallue et al. and McCandlish et al. say of the steps, the knee and the rates."""
    sizes_B, main = np.array(sizes, float), tuned[-1]
    small, large = sizes_B <= SMALL, sizes_B >= LARGE
    of_rate = log_slope(sizes_B[small], 2.0 ** main.power_BxS[small])
    knee_TxS = np.array([knees(sizes_B, of_target) for of_target in tuned])
    slope, flat = (log_slope(sizes_B[part], main.steps_BxS[part]) for part in (small, large))
    misfit_B = misfit(sizes_B, main)
    claims = [
        mean_claim(f"log-log slope of the steps, B <= {SMALL}", -1.0, SHALLUE, slope, SLOPE_BAND),
        mean_claim(f"log-log slope of the steps, B >= {LARGE:,}", 0.0, SHALLUE, flat, FLAT_BAND),
        studies.claim(
            "largest misfit of S_min (1 + B_crit / B)", 0.0, MCCANDLISH, misfit_B, misfit_B.max(), (0.0, MOST_MISFIT)
        ),
        mean_claim(f"log-log slope of the best rate, B <= {SMALL}", 1.0, MCCANDLISH, of_rate, RATE_BAND),
    ]
    for target, knee_S, scale_S in zip(TARGETS, knee_TxS, mean_scale(scale_TxBxS), strict=True):
        claim = mean_claim(
            f"knee / B_simple at cost {target:g}", 1.0, MCCANDLISH, knee_S / scale_S, KNEE_BAND, log=True
        )
        claim["note"] += f"; knee {geometric(knee_S)}, B_simple {geometric(scale_S)}"
        claims.append(claim)
    name = f"knee at cost {TARGETS[-1]:g} / knee at {TARGETS[0]:g}"
    claims.append(mean_claim(name, None, MCCANDLISH, knee_TxS[-1] / knee_TxS[0], (1.0, 100.0), log=True))
    claims[2]["note"] = "its values are those of the batch sizes, not of seeds"
    if (edges := sizes_B[main.at_edge_B]).size:
        claims[0]["note"] += f"; a best rate lies at its grid's edge for B = {', '.join(f'{b:,.0f}' for b in edges)}"
    return claims


def mean_scale(scale_TxBxS: np.ndarray) -> np.ndarray:
    """The geometric mean over the batch sizes, [T, S]."""
    return np.exp(statistics.interval(np.log(scale_TxBxS).swapaxes(0, 1)).mean)


def geometric(value_S: np.ndarray) -> str:
    """The geometric mean of the seeds with its 95 % interval."""
    found = statistics.interval(np.log(value_S))
    return f"{np.exp(found.mean):.3g} ({np.exp(found.low):.3g} to {np.exp(found.high):.3g})"


def table_of(sizes: Sequence[int], tuned: Sequence[Tuned]) -> str:
    """Steps to each target and the rates, by batch size."""
    rows = []
    for b, size in enumerate(sizes):
        row = [f"{size:,}"]
        for of_target in tuned:
            powers = ", ".join(f"2^{power}" for power in np.unique(of_target.power_BxS[b]))
            row += [geometric(of_target.steps_BxS[b]), powers + (" (edge)" if of_target.at_edge_B[b] else "")]
        rows.append(row)
    columns = [title for target in TARGETS for title in (f"steps to {target:g}", "rates")]
    return studies.markdown(("batch size", *columns), rows)


def draw_steps(axis, sizes_B: np.ndarray, tuned: Sequence[Tuned]) -> None:
    """Steps against batch size with 95 % intervals, the fit and its knee, and what would be in proportion to 1 / B."""
    fine = np.geomspace(sizes_B.min(), sizes_B.max(), 200)
    for i, (target, of_target) in enumerate(zip(TARGETS, tuned, strict=True)):
        found = statistics.interval(np.log(of_target.steps_BxS).T)
        mean, low, high = (np.exp(x) for x in (found.mean, found.low, found.high))
        style = {"fmt": "o", "color": f"C{i}", "capsize": 3, "label": f"to a cost of {target:g}"}
        axis.errorbar(sizes_B, mean, [mean - low, high - mean], **style)
        least, knee = fit(sizes_B, mean)
        axis.plot(fine, least * (1 + knee / fine), color=f"C{i}", label=f"{least:.0f} (1 + {knee:.0f} / B)")
        axis.plot(knee, 2 * least, "D", color=f"C{i}", markersize=9, markerfacecolor="white")
        in_proportion = mean[0] * sizes_B[0] / fine
        axis.plot(fine, np.where(in_proportion > least / 3, in_proportion, np.nan), ":", color=f"C{i}")
    axis.set(xscale="log", yscale="log", xlabel="batch size B, examples", ylabel="steps to the target")


def draw_rates(axis, sizes_B: np.ndarray, main: Tuned) -> None:
    """The best rates against batch size, with what McCandlish et al. expect of them."""
    rate_BxS = 2.0**main.power_BxS
    _, knee = fit(sizes_B, np.exp(np.mean(np.log(main.steps_BxS), axis=1)))
    shape_B = 1 / (1 + knee / sizes_B)
    most = np.exp(np.mean(np.log(rate_BxS) - np.log(shape_B)[:, None]))
    axis.plot(np.repeat(sizes_B, rate_BxS.shape[1]), rate_BxS.ravel(), "o", color="C1", label="best rate of a seed")
    axis.plot(sizes_B, most * shape_B, color="C1", label=f"{most:.2g} / (1 + {knee:.0f} / B)")
    axis.set(xscale="log", yscale="log", xlabel="batch size B, examples", ylabel="learning rate")


def draw_noise(axis, sizes_B: np.ndarray, scale_TxBxS: np.ndarray, knee_TxS: np.ndarray) -> None:
    """The noise scale where each size meets the targets, and the knees."""
    for t, target in enumerate(TARGETS):
        found = statistics.interval(np.log(scale_TxBxS[t]).T)
        mean, low, high = (np.exp(x) for x in (found.mean, found.low, found.high))
        style = {"fmt": "o", "color": f"C{t}", "capsize": 3, "label": f"B_simple at a cost of {target:g}"}
        axis.errorbar(sizes_B, mean, [mean - low, high - mean], **style)
        knee = float(np.exp(statistics.interval(np.log(knee_TxS[t])).mean))
        axis.axhline(knee, color=f"C{t}", label=f"knee of the steps to {target:g}: {knee:.0f}")
        axis.axhspan(knee / 4, knee * 4, color=f"C{t}", alpha=0.1)
    axis.set(xscale="log", yscale="log", xlabel="batch size B trained with, examples", ylabel="noise scale, examples")


def draw(sizes: Sequence[int], tuned: Sequence[Tuned], scale_TxBxS: np.ndarray, claims: list[dict[str, Any]]):
    """Steps and rates against the batch size, and the knee beside the noise scale."""
    sizes_B, main = np.array(sizes, float), tuned[-1]
    figure, axes = figures.new_figure(16, 5.2, 3)
    knee_TxS = np.array([knees(sizes_B, of_target) for of_target in tuned])
    draw_steps(axes[0], sizes_B, tuned)
    axes[0].set_title(
        f"Steps fall as B^{claims[0]['measured']:.2f} up to {SMALL}, as B^{claims[1]['measured']:.2f} from {LARGE:,}"
    )
    draw_rates(axes[1], sizes_B, main)
    axes[1].set_title(f"The best rate grows as B^{claims[3]['measured']:.2f} up to {SMALL}, up to a ceiling")
    draw_noise(axes[2], sizes_B, scale_TxBxS, knee_TxS)
    axes[2].set_title(
        f"The knee is {claims[5]['measured']:.2g} times the noise scale at cost {TARGETS[-1]:g}\n"
        f"(shaded: within a factor of 4 of a knee)"
    )
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend(fontsize=9)
    return figure


def study(budget: str) -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    sizes = SIZES[budget]
    dataset, start = train.load_dataset(config_of(1), ""), uniform_guess_cost(config_of(1))
    courses = {}
    for size in tqdm(sizes, "batch sizes", leave=False, disable=None):
        courses[size] = run(size, SEEDS[budget], dataset)
    tuned = [tune(t, courses, start) for t in range(len(TARGETS))]
    print(table_of(sizes, tuned), flush=True)
    scale_TxBxS = noise_scales(courses, tuned, dataset)
    claims = claims_of(sizes, tuned, scale_TxBxS)
    return draw(sizes, tuned, scale_TxBxS, claims), claims


if __name__ == "__main__":
    studies.main(study)
