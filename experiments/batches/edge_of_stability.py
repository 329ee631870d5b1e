"""Does gradient descent on all examples at once drive the largest curvature up to 2 / rate, and does it stay there?

    python -m experiments.batches.edge_of_stability [--budget=full]

About 1.5 minutes on 2 cores, 34 for full.

Source: Cohen, Kaur, Li, Kolter & Talwalkar 2021, Gradient descent on neural networks typically occurs at the edge of
stability: the sharpness, which is the largest eigenvalue of the Hessian of the training cost, rises up to just above
2 / rate and hovers there, while the cost goes on falling, no longer in every step. Two of their problems, by plain
gradient descent at three rates each:
    Chebyshev: the polynomial T_5 at 20 points evenly spaced in [-1, 1], one hidden layer of 100 tanh, squared error;
    MNIST: the first 1,000 images, hidden layers of 200 and 200 tanh, identity outputs, squared error.
The cost is the mean over outputs and examples, and the sharpness that of the same cost: with MNIST's ten outputs both
are a fifth of what they are for 1/2 of the sum over outputs. Glorot's weights, zero biases.

Bands, set before the run. Per rate: rate x sharpness / 2, the median over the last half of what is measured since it
has risen to 1, in .95 to 1.15, the mean over the seeds; a run that does not reach 1, or diverges after it, makes the
line not reproduced. Per problem: between that moment and the end the cost falls to less than .8 times what it was
(median over rates), and in at least 90 % of the runs it rises in some of these steps. Runs of one seed share their
initial draw and are no independent sample, so that both are judged by seeds: the mean of their medians, and the share
of those whose cost rises at every rate, which is stricter than what was set.

The rates were chosen afterwards, by short runs, as those whose 2 / rate is reached within these steps; on MNIST .5 and
1 diverge at once. These runs also gave the word "risen": on MNIST the sharpness starts above 2 / rate and falls below.
So every claim is marked exploratory. There the sharpness also overshoots, until the cost jumps and takes it down again.
A share of 90 % takes 36 seeds to decide, which the full budget has. Of these some diverge at MNIST's largest rate. A
run that diverges, or does not reach the edge, counts as one whose cost does not fall, which was chosen once that had
been seen, on seeds from 1,000 on as well; where most of a seed's runs are such, the line is unknown.

On another data set the rates are those of MNIST times the ratio of the two sharpnesses at the start, the largest of
seeds 0 and 1, and the steps longer or shorter by as much. That was chosen once the rates of MNIST had diverged on
Fashion-MNIST, whose sharpness is twice as large.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import nets
import train
from configs import shallow
from experiments.engine import executors, results, space, statistics
from experiments.study import command, elsewhere, toolkit
from experiments.study.claims import Claim, Words, exact_claim, mean_claim, share_claim
from experiments.study.elsewhere import Elsewhere, fitted
from experiments.study.study import FRESHER_SEEDS, Study
from training import figures
from training.config import Config, as_config

SOURCE = "Cohen et al. 2021 (P)"
BAND, FALL, RISING_SEEDS = (0.95, 1.15), 0.8, 0.9
EIGENVALUE_STEPS, TOLERANCE = 30, 1e-2
POINTS, DEGREE = 20, 5
EXPLORATORY = "the rates, and that the sharpness has to rise to 2 / rate from below, were chosen by short runs before"
AS_NO_FALL = (
    "; that a run that diverges, or does not reach the edge, counts as no fall was chosen once some of 36 seeds had "
    "diverged, on seeds from 1,000 on as well"
)
SCALED = "; that rates go by the sharpness at the start was chosen once those of MNIST had diverged on another data set"
SCALING_SEEDS = (0, 1)


class Toy(NamedTuple):
    """The Chebyshev problem: hidden units, rates, seeds, how often it is looked at and the steps between looks."""

    units: int
    rates: tuple[float, ...]
    seeds: int
    looks: int
    steps_a_look: int


class Images(NamedTuple):
    """The problem of images: descent on all of them, so that an epoch is a step; rates, seeds, steps between looks; and
    the config, where it is that of another data set, for which these rates are made."""

    config: Config
    rates: tuple[float, ...]
    seeds: int
    look_every: int
    made_for: Config | None = None


class Size(NamedTuple):
    """Both problems, on another data set that of images alone; and from which seed on their runs are drawn."""

    toy: Toy | None
    images: Images
    seeds_from: int = 0


def image_config(config: Config, count: int, hidden: tuple[int, ...], steps: int) -> Config:
    """Gradient descent on so many images: an epoch is a step."""
    config = config.replace(probes=(), hidden=hidden, activation="tanh", output="identity", cost="quadratic")
    # Every run is validated after every step, and nothing here reads it: few images.
    return config.replace(train_examples=count, validation="100", batch_size=count, epochs=steps)


TOY = Toy(units=100, rates=(0.2, 0.1, 0.05), seeds=4, looks=250, steps_a_look=160)
SHALLOW = as_config(shallow.get_config())
IMAGES = Images(image_config(SHALLOW, 1_000, (200, 200), 1_500), (0.25, 0.2, 0.15), 2, 40)
SIZES = {
    "tiny": Size(
        Toy(units=3, rates=(0.2, 0.1, 0.05), seeds=1, looks=2, steps_a_look=1),
        Images(image_config(SHALLOW.replace(dataset="synthetic"), 40, (3,), 2), (0.25, 0.2, 0.15), 1, 1),
    ),
    "quick": Size(TOY, IMAGES),
    "full": Size(TOY._replace(seeds=36), IMAGES._replace(seeds=36)),
}


class Course(NamedTuple):
    """What the runs of a problem measure, R rates and S seeds: the cost before each of E steps, and the sharpness after
    as many steps as each of T looks says, NaN once a run has diverged. The rates of MNIST that stand for these, where
    they are others."""

    rates_R: np.ndarray
    cost_RxSxE: np.ndarray
    looks_T: np.ndarray
    sharpness_RxSxT: np.ndarray
    made_from_R: tuple[float, ...] = ()


def ratios(course: Course) -> np.ndarray:
    """rate x sharpness / 2, [R, S, T]: descent on a quadratic cost is stable below 1."""
    return course.rates_R[:, None, None] * course.sharpness_RxSxT / 2


# ---------------------------------------------------------------------------------------------------------------------
# The problems.


def sharpness(cost: nets.curvature.Cost, params: Any, data: Any) -> jax.Array:
    """The largest eigenvalue of the Hessian of the mean cost, in the cost's unit per weight^2."""
    key = jax.random.key(0)
    top = nets.curvature.top_eigenvalues(cost, params, data, key, k=1, steps=EIGENVALUE_STEPS, tolerance=TOLERANCE)
    return top.values_K[0]


def toy(size: Toy, seeds_from: int = 0) -> Course:
    """The Chebyshev polynomial: rates and seeds as lanes of one program."""
    x_N = jnp.linspace(-1, 1, POINTS)
    data = x_N[:, None], jnp.cos(DEGREE * jnp.arccos(x_N))[:, None]
    net = nets.MLP(hidden=(size.units,), classes=1, activation="tanh", output="identity")

    def cost(params: Any, batch: Any) -> jax.Array:
        return nets.costs.quadratic(net.apply({"params": params}, batch[0])[0], batch[1], "identity")

    def go_on(params: Any, rate: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        """The steps to the next look, and before them the sharpness, before each the cost, [steps a look]."""

        def step(params: Any, _: None) -> tuple[Any, jax.Array]:
            value, gradient = jax.value_and_grad(lambda params: jnp.mean(cost(params, data)))(params)
            return jax.tree.map(lambda w, g: w - rate * g, params, gradient), value

        after, cost_E = jax.lax.scan(step, params, length=size.steps_a_look)
        return after, (sharpness(cost, params, data), cost_E)

    # On one device: its small eigenproblems and those of a second one have been seen to wait for each other for ever.
    seeds_S, rates_R = jax.random.split(jax.random.key(seeds_from), size.seeds), jnp.array(size.rates)
    params_S = jax.jit(jax.vmap(lambda key: net.init(key, data[0])["params"]))(seeds_S)
    params_RxS = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(size.rates)), params_S)
    to_look = jax.jit(jax.vmap(jax.vmap(go_on, in_axes=(0, None))), donate_argnums=0)
    sharpness_T, cost_T = list[np.ndarray](), list[np.ndarray]()
    for _ in tqdm(range(size.looks), "Chebyshev", leave=False, disable=None):
        params_RxS, (sharpness_RxS, cost_RxSxE) = to_look(params_RxS, rates_R)
        sharpness_T.append(np.asarray(sharpness_RxS))
        cost_T.append(np.asarray(cost_RxSxE))
    sharpness_RxSxT, cost_RxSxE = np.stack(sharpness_T, axis=-1), np.concatenate(cost_T, axis=-1)
    return Course(np.array(size.rates), cost_RxSxE, size.steps_a_look * np.arange(size.looks), sharpness_RxSxT)


def images(size: Images, seeds_from: int = 0) -> Course:
    """MNIST, or another data set: rates and seeds as the trials of one table, the sharpness taken as their steps go
    by."""
    rates, epochs = size.rates, size.config.epochs
    if size.made_for:
        scale = steepest_start(size.made_for) / steepest_start(size.config)
        rates = tuple(float(f"{rate * scale:.2g}") for rate in rates)
        epochs = size.look_every * max(1, round(epochs / scale / size.look_every))
    config, cost = size.config.replace(epochs=epochs), toolkit.cost_of(size.config)
    seeds = range(seeds_from, seeds_from + size.seeds)
    trials = space.make_trials(config, None, {"learning_rate": rates, "seed": seeds})
    places = {name: place for place, name in enumerate(trials)}
    dataset = elsewhere.dataset_of(config)
    # A run that diverges leaves the rest of its row empty.
    sharpness_LxT = np.full((len(trials), epochs // size.look_every), np.nan)

    def watch(name: str, epoch: int, state: train.TrainState) -> None:
        sharpness_LxT[places[name], epoch // size.look_every - 1] = sharpness(cost, state.params, dataset[:2])

    looks = lambda _, epoch: epoch % size.look_every == 0  # noqa: E731
    table, _ = executors.train_states(trials, dataset, elsewhere.title_of(config.dataset), watch=watch, looks=looks)
    courses = results.by_epoch(table, "loss")
    cost_LxE = np.array([courses[name] for name in trials])
    shape, looks_T = (len(rates), size.seeds, -1), size.look_every * np.arange(1, 1 + sharpness_LxT.shape[1])
    made_from = size.rates if size.made_for else ()
    return Course(np.array(rates), cost_LxE.reshape(shape), looks_T, sharpness_LxT.reshape(shape), made_from)


def steepest_start(config: Config) -> float:
    """The largest sharpness before the first step."""
    cost, dataset = toolkit.cost_of(config), elsewhere.dataset_of(config)
    starts = [train.initial_state(config.replace(seed=seed)).params for seed in SCALING_SEEDS]
    return max(float(sharpness(cost, params, dataset[:2])) for params in starts)


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def reached(ratio_T: np.ndarray) -> int | None:
    """The first look at which rate x sharpness / 2 has risen to 1 or more, from below."""
    below = np.maximum.accumulate(ratio_T < 1)
    found = np.flatnonzero(below & (ratio_T >= 1))
    return int(found[0]) if len(found) else None


def hovers_at(ratio_T: np.ndarray) -> float:
    """The median of rate x sharpness / 2 over the last half of the looks since it rose to 1; NaN if it never did."""
    first = reached(ratio_T)
    if first is None:
        return np.nan
    since_T = ratio_T[first:]
    return float(np.median(since_T[len(since_T) // 2 :]))


def since_edge(course: Course) -> tuple[np.ndarray, np.ndarray]:
    """For each run the cost at the end as a share of that when the edge was reached, and the share of the steps in
    between at which the cost rises, [R, S] each; NaN for a run that never reached it."""
    costs_LxE = course.cost_RxSxE.reshape(-1, course.cost_RxSxE.shape[-1])
    first_L = [reached(ratio_T) for ratio_T in ratios(course).reshape(len(costs_LxE), -1)]
    shares_L, rises_L = np.full((2, len(costs_LxE)), np.nan)
    for run, first in enumerate(first_L):
        if first is not None:
            cost_E = costs_LxE[run, min(course.looks_T[first], costs_LxE.shape[1] - 2) :]
            shares_L[run], rises_L[run] = cost_E[-1] / cost_E[0], np.mean(np.diff(cost_E) > 0)
    shape = course.cost_RxSxE.shape[:2]
    return shares_L.reshape(shape), rises_L.reshape(shape)


def hover_claim(key: str, title: str, exploratory: str, ratio_SxT: np.ndarray, looks_T: np.ndarray) -> Claim:
    """Where the sharpness hovers at a rate, mean over the seeds; not reproduced where a seed never reaches the edge, or
    diverges."""
    values_S = np.array([hovers_at(ratio_T) for ratio_T in ratio_SxT])
    first = [reached(ratio_T) for ratio_T in ratio_SxT]
    steps = [int(looks_T[look]) for look in first if look is not None]
    when = " to ".join(f"{step:,}" for step in sorted({min(steps), max(steps)})) if steps else ""
    note = f"reached after {when} steps" if steps else "never reached"
    if 0 < len(steps) < len(values_S):
        note += f", by {len(steps)} of {len(values_S)} seeds"
    if diverged := int(np.isnan(ratio_SxT[:, -1]).sum()):
        note += f"; {diverged} of {len(values_S)} diverged"
    rival = "a sharpness that does not depend on the rate: 2 or 1/2 at twice or half of it"
    words: Words = {"rival": rival, "rival_at": (0.5, 2.0), "exploratory": exploratory, "note": note}
    if not np.isfinite(values_S).all():
        count, staying_S = len(values_S), values_S[np.isfinite(values_S)]
        if len(staying_S) > 1:
            of = statistics.interval(staying_S)
            words["note"] = f"{note}; the others hover at {of.mean:.4f} ({of.low:.4f} to {of.high:.4f})"
        return exact_claim(key, title, "direction", SOURCE, np.nan, BAND, count=count, sample="seeds", **words)
    return mean_claim(key, title, "direction", SOURCE, values_S, BAND, **words)


def claims_of(name: str, course: Course) -> list[Claim]:
    """Where the sharpness of each rate hovers, and what the cost does meanwhile."""
    key, claims = key_of(name), list[Claim]()
    # A line has the key of the one on MNIST that it stands beside.
    named_R, exploratory = course.made_from_R or course.rates_R, EXPLORATORY + SCALED * bool(course.made_from_R)
    for named, rate, ratio_SxT in zip(named_R, course.rates_R, ratios(course), strict=True):
        title = f"{name}, rate {rate:g}: rate x sharpness / 2"
        claims.append(hover_claim(f"{key}/rate{named:g}/hovers", title, exploratory, ratio_SxT, course.looks_T))
    shares_RxS, rises_RxS = since_edge(course)
    # The runs of a seed share its draw: seeds are the sample. The cost of a run that is lost, which never reached the
    # edge or diverged, does not fall; of a seed most of whose runs are lost, nothing is known.
    lost_RxS = ~np.isfinite(shares_RxS)
    fall_S = np.median(np.where(lost_RxS, np.inf, shares_RxS), axis=0)
    if not np.isfinite(fall_S).all():
        fall_S = np.full(fall_S.shape, np.nan)
    title = f"{name}, since the edge: cost at the end, share of that before, median of the rates"
    words: Words = {"rival": "no fall: 1", "rival_at": 1.0, "exploratory": exploratory}
    if lost_RxS.any():
        words["exploratory"] = exploratory + AS_NO_FALL
        words["note"] = f"{lost_RxS.sum()} of {lost_RxS.size} runs never reached it, or diverged"
    fall = mean_claim(f"{key}/fall", title, "direction", SOURCE, fall_S, (0.0, FALL), log=True, **words)
    title = f"{name}, since the edge: share of seeds whose cost rises in some steps at every rate"
    # A run that is lost is one whose cost does not rise.
    seen_L = rises_RxS[np.isfinite(rises_RxS)]
    note = (
        f"it rises in {100 * seen_L.mean():.0f} % of the steps in the mean of these runs, and at all in "
        f"{np.sum(rises_RxS > 0)} of {rises_RxS.size}"
        if len(seen_L)
        else "never reached"
    )
    words = {"rival": "0, as of descent below the edge", "rival_at": 0.0, "exploratory": exploratory, "note": note}
    rises_S, band = (rises_RxS > 0).all(axis=0), (RISING_SEEDS, 1.0)
    rising = share_claim(f"{key}/rising", title, "direction", SOURCE, rises_S, band, **words)
    return [*claims, fall, rising]


def key_of(name: str) -> str:
    """The key of a problem; that of images is the same on every data set, so that they stand side by side."""
    return "mnist" if name.endswith(" images") else name.lower()


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def draw_course(axes: Any, name: str, course: Course) -> None:
    """Against the step: sharpness with the lines of 2 / rate, a colour a rate and a line a seed; cost of one seed."""
    for r, rate in enumerate(course.rates_R):
        style = {"color": f"C{r}", "linewidth": 0.8}
        hovers_S = np.array([hovers_at(ratio_T) for ratio_T in ratios(course)[r]])
        stays_S = np.isfinite(hovers_S)
        hover = "hovers" if stays_S.all() else f"{stays_S.sum()} of {len(stays_S)} hover"
        hovering = f", {hover} at {hovers_S[stays_S].mean():.2f} times 2 / rate" if stays_S.any() else ""
        for s, sharpness_T in enumerate(course.sharpness_RxSxT[r]):
            label = None if s else f"rate {rate:g}" + hovering
            axes[0].plot(course.looks_T, sharpness_T, label=label, **style)
        axes[0].axhline(2 / rate, color=f"C{r}", linestyle="--")
        axes[1].plot(course.cost_RxSxE[r, 0], label=f"rate {rate:g}", **style)
    axes[0].plot([], [], "k--", label="2 / rate, published")
    axes[0].set(ylabel="largest Hessian eigenvalue, cost / weight$^2$", ylim=(0, 2.4 / min(course.rates_R)))
    axes[1].set(ylabel="training cost, squared error", yscale="log")
    axes[0].set_title(f"{name}: sharpness, a line a seed")
    axes[1].set_title(f"{name}: cost, first seed")
    for axis in axes:
        axis.set_xlabel("step of gradient descent")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.grid(alpha=0.3)
        toolkit.legend_below(axis)


def draw(courses: Mapping[str, Course], claims: Sequence[Claim]) -> Any:
    """A row a problem."""
    figure, axes = figures.new_figure(14, 9.5, 2, len(courses))
    hovering = [claim for claim in claims if claim.key.endswith("/hovers")]
    measured = [claim.measured for claim in hovering if np.isfinite(claim.measured)]
    where = (
        f"hovers at {min(measured):.2f} to {max(measured):.2f} times 2 / rate"
        if measured
        else "does not hover at 2 / rate"
    )
    inside = sum(claim.is_reproduced for claim in hovering)
    figure.suptitle(f"The sharpness {where}: {inside} of {len(hovering)} rates reproduced", fontsize=13)
    for i, (name, course) in enumerate(courses.items()):
        draw_course(axes[2 * i : 2 * i + 2], name, course)
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    name = f"{elsewhere.title_of(size.images.config.dataset)}, {size.images.config.train_examples:,} images"
    toys = {"Chebyshev": toy(size.toy, size.seeds_from)} if size.toy else {}
    courses = toys | {name: images(size.images, size.seeds_from)}
    claims = [claim for name, course in courses.items() for claim in claims_of(name, course)]
    return draw(courses, claims), claims


def on_dataset(size: Size, dataset: str) -> Size:
    """The problem of images on another data set."""
    made_for = size.images.config
    return size._replace(toy=None, images=size.images._replace(config=fitted(made_for, dataset), made_for=made_for))


STUDY = Study(
    question="Does plain gradient descent drive the largest curvature up to 2 / rate, and does it stay there?",
    run=run,
    sizes=SIZES,
    elsewhere=Elsewhere(on_dataset),
    fresh_seeds=FRESHER_SEEDS,
)

if __name__ == "__main__":
    command.main(STUDY)
