"""Does gradient descent on all examples at once drive the largest curvature up to 2 / rate, and does it stay there?

    python -m experiments.batches.edge_of_stability [--budget=full] [--workdir=runs/edge_of_stability]

2.5 minutes on 2 cores; 11 for full.

Source: Cohen, Kaur, Li, Kolter & Talwalkar 2021, Gradient descent on neural networks typically occurs at the edge of
stability: the sharpness, which is the largest eigenvalue of the Hessian of the training cost, rises up to just above
2 / rate and hovers there, while the cost goes on falling, no longer in every step. Two of their problems, by plain
gradient descent at three rates each:
    Chebyshev: the polynomial T_5 at 20 points evenly spaced in [-1, 1], one hidden layer of 100 tanh, squared error;
    MNIST: the first 1,000 images (full: 5,000), hidden layers of 200 and 200 tanh, identity outputs, squared error.
The cost is the mean over outputs and examples, and the sharpness that of the same cost: with MNIST's ten outputs both
are a fifth of what they are for 1/2 of the sum over outputs. Glorot's weights, zero biases.

Bands, set before the run. Per rate: rate x sharpness / 2, the median over the last half of what is measured since it
has risen to 1, in .95 to 1.15, the mean over the seeds; a run that does not reach 1 makes the line not reproduced. Per
problem: between that moment and the end the cost falls to less than .8 times what it was (median over rates and seeds),
and in at least 90 % of the runs it rises in some of these steps.

The rates were chosen afterwards, by short runs, as those whose 2 / rate is reached within these steps; on MNIST .5 and
1 diverge at once. These runs also gave the word "risen": on MNIST the sharpness starts above 2 / rate and falls below.

Measured: 10 of 10 (full, 2026-11-25, 2 cores; quick too). Chebyshev, 4 seeds, mean with its 95 % interval: 1.04 (1.02
to 1.06), 1.00 (.985 to 1.010) and 1.00 (.996 to 1.010) at rates .2, .1 and .05, reached after 3,000 to 20,000 steps
from a sharpness of 6, below all three lines: each smaller rate passes the lines of the larger ones. From then on the
cost rises in 41 % of the steps, and ends at .35 times what it was (11 of 12 runs at .18 to .53, one during a jump at
1.26). MNIST, 2 seeds: 1.015, 1.012 and 1.013 (each of the six runs 1.009 to 1.017) at rates .25, .2 and .15, reached
after 320 to 660 steps. There the sharpness overshoots by up to a tenth, until the cost jumps and takes it down again.
The cost rises in 26 % of the steps, and ends at .65 times what it was.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import nets
import train
from configs import shallow
from experiments import studies
from experiments.engine import executors, results, space, statistics
from training import figures
from training.batches import scale

SOURCE = "Cohen et al. 2021"
BAND, FALL, RISING_RUNS = (0.95, 1.15), 0.8, 0.9
EIGENVALUE_STEPS, TOLERANCE = 30, 1e-2

POINTS, UNITS, DEGREE = 20, 100, 5
TOY_RATES, TOY_SEEDS = (0.2, 0.1, 0.05), 4
LOOKS, STEPS_A_LOOK = 500, 80

HIDDEN, RATES = (200, 200), (0.25, 0.2, 0.15)
IMAGES, IMAGE_SEEDS, IMAGE_STEPS, LOOK_EVERY = {"quick": 1_000, "full": 5_000}, 2, 1_500, 20
# Every run is validated after every step, and nothing here reads it: few images.
VALIDATION = "100"


class Course(NamedTuple):
    """What the runs of a problem measure, R rates and S seeds: the cost before each of E steps, and the sharpness after
    as many steps as each of T looks says."""

    rates_R: np.ndarray
    cost_RxSxE: np.ndarray
    looks_T: np.ndarray
    sharpness_RxSxT: np.ndarray


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


def toy() -> Course:
    """The Chebyshev polynomial: rates and seeds as lanes of one program."""
    x_N = jnp.linspace(-1, 1, POINTS)
    data = x_N[:, None], jnp.cos(DEGREE * jnp.arccos(x_N))[:, None]
    net = nets.MLP(hidden=(UNITS,), classes=1, activation="tanh", output="identity")

    def cost(params: Any, batch: Any) -> jax.Array:
        return nets.costs.quadratic(net.apply({"params": params}, batch[0])[0], batch[1], "identity")

    def run(key: jax.Array, rate: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Sharpness at each look and cost before each step, [T, steps a look]."""

        def step(params: Any, _: None) -> tuple[Any, jax.Array]:
            value, gradient = jax.value_and_grad(lambda params: jnp.mean(cost(params, data)))(params)
            return jax.tree.map(lambda w, g: w - rate * g, params, gradient), value

        def look(params: Any, _: None) -> tuple[Any, tuple[jax.Array, jax.Array]]:
            after, cost_E = jax.lax.scan(step, params, length=STEPS_A_LOOK)
            return after, (sharpness(cost, params, data), cost_E)

        return jax.lax.scan(look, net.init(key, data[0])["params"], length=LOOKS)[1]

    seeds_S = jax.random.split(jax.random.key(0), TOY_SEEDS)
    both: Callable = jax.vmap(jax.vmap(run, in_axes=(0, None)), in_axes=(None, 0))
    sharpness_RxSxT, cost_RxSxTxE = jax.device_get(jax.jit(both)(seeds_S, jnp.array(TOY_RATES)))
    cost_RxSxE = cost_RxSxTxE.reshape(len(TOY_RATES), TOY_SEEDS, -1)
    return Course(np.array(TOY_RATES), cost_RxSxE, STEPS_A_LOOK * np.arange(LOOKS), sharpness_RxSxT)


def image_cost(params: Any, batch: Any) -> jax.Array:
    """The squared error of the net of MNIST, an image each."""
    net = nets.MLP(hidden=HIDDEN, activation="tanh", output="identity")
    logits_BxC, _ = net.apply({"params": params}, scale(batch[0]))
    return nets.costs.quadratic(logits_BxC, jax.nn.one_hot(batch[1], logits_BxC.shape[-1]), "identity")


def image_config(count: int) -> ConfigDict:
    """Gradient descent on all images: an epoch is a step."""
    config = shallow.get_config()
    config.update(probes=(), hidden=HIDDEN, activation="tanh", output="identity", cost="quadratic")
    config.update(train_examples=count, validation=VALIDATION, batch_size=count, epochs=IMAGE_STEPS)
    return config


def images(count: int) -> Course:
    """MNIST: rates and seeds as the trials of one table, the sharpness taken as their steps go by."""
    config = image_config(count)
    trials = space.make_trials(config, None, {"learning_rate": RATES, "seed": range(IMAGE_SEEDS)})
    places = {name: place for place, name in enumerate(trials)}
    dataset = train.load_dataset(config, "")
    # A run that diverges leaves the rest of its row empty.
    sharpness_LxT = np.full((len(trials), IMAGE_STEPS // LOOK_EVERY), np.nan)

    def watch(name: str, epoch: int, state: train.TrainState) -> None:
        look, steps_since = divmod(epoch, LOOK_EVERY)
        if not steps_since:
            sharpness_LxT[places[name], look - 1] = sharpness(image_cost, state.params, dataset[:2])

    table, _ = executors.train_states(trials, dataset, "MNIST", watch=watch)
    courses = results.by_epoch(table, "loss")
    cost_LxE = np.array([courses[name] for name in trials])
    shape, looks_T = (len(RATES), IMAGE_SEEDS, -1), LOOK_EVERY * np.arange(1, 1 + sharpness_LxT.shape[1])
    return Course(np.array(RATES), cost_LxE.reshape(shape), looks_T, sharpness_LxT.reshape(shape))


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
    between at which the cost rises; NaN for a run that never reached it."""
    costs_LxE = course.cost_RxSxE.reshape(-1, course.cost_RxSxE.shape[-1])
    first_L = [reached(ratio_T) for ratio_T in ratios(course).reshape(len(costs_LxE), -1)]
    shares_L, rises_L = np.full((2, len(costs_LxE)), np.nan)
    for run, first in enumerate(first_L):
        if first is not None:
            cost_E = costs_LxE[run, min(course.looks_T[first], costs_LxE.shape[1] - 2) :]
            shares_L[run], rises_L[run] = cost_E[-1] / cost_E[0], np.mean(np.diff(cost_E) > 0)
    return shares_L, rises_L


def claims_of(name: str, course: Course) -> list[dict[str, Any]]:
    """Where the sharpness of each rate hovers, and what the cost does meanwhile."""
    claims = []
    for rate, ratio_SxT in zip(course.rates_R, ratios(course), strict=True):
        values_S = np.array([hovers_at(ratio_T) for ratio_T in ratio_SxT])
        line = studies.claim(
            f"{name}, rate {rate:g}: rate x sharpness / 2", 1.0, SOURCE, values_S, values_S.mean(), BAND
        )
        first = [reached(ratio_T) for ratio_T in ratio_SxT]
        steps = [int(course.looks_T[look]) for look in first if look is not None]
        when = " to ".join(f"{step:,}" for step in sorted({min(steps), max(steps)})) if steps else ""
        note = f"reached after {when} steps" if steps else "never reached"
        note += f"; {statistics.interval_in_words(values_S, '.3f')}" if len(values_S) > 1 else ""
        claims.append(line | {"note": f"{note}."})
    shares_L, rises_L = since_edge(course)
    name_of_share = f"{name}, since the edge: cost at the end, share of that before"
    fall = float(np.median(shares_L))
    claims.append(studies.claim(name_of_share, None, SOURCE, shares_L, fall, (0.0, FALL)))
    name_of_rises = f"{name}, since the edge: share of runs whose cost rises in some steps"
    line = studies.claim(name_of_rises, 1.0, SOURCE, rises_L > 0, float(np.mean(rises_L > 0)), (RISING_RUNS, 1.0))
    note = f"it rises in {100 * np.mean(rises_L):.0f} % of the steps in the mean of the runs of all rates."
    claims.append(line | {"note": note})
    return claims


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def draw_course(axes, name: str, course: Course) -> None:
    """Against the step: sharpness with the lines of 2 / rate, a colour a rate and a line a seed; cost of one seed."""
    for r, rate in enumerate(course.rates_R):
        style = {"color": f"C{r}", "linewidth": 0.8}
        hovers = np.mean([hovers_at(ratio_T) for ratio_T in ratios(course)[r]])
        for s, sharpness_T in enumerate(course.sharpness_RxSxT[r]):
            label = None if s else f"rate {rate:g}, hovers at {hovers:.2f} times 2 / rate"
            axes[0].plot(course.looks_T, sharpness_T, label=label, **style)
        axes[0].axhline(2 / rate, color=f"C{r}", linestyle="--")
        axes[1].plot(course.cost_RxSxE[r, 0], label=f"rate {rate:g}", **style)
    axes[0].plot([], [], "k--", label="2 / rate, published")
    axes[0].set(ylabel="largest Hessian eigenvalue, cost / weight$^2$", ylim=(0, 2.8 / min(course.rates_R)))
    axes[1].set(ylabel="training cost, squared error", yscale="log")
    axes[0].set_title(f"{name}: sharpness, a line a seed")
    axes[1].set_title(f"{name}: cost, first seed")
    for axis in axes:
        axis.set_xlabel("step of gradient descent")
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=9)


def draw(courses: dict[str, Course], claims: list[dict[str, Any]]):
    """A row a problem."""
    figure, axes = figures.new_figure(14, 9, 2, len(courses))
    hovering = [claim["measured"] for claim in claims if "rate x sharpness" in claim["name"]]
    figure.suptitle(
        f"On the edge of stability: at every rate the sharpness hovers at {min(hovering):.2f} to {max(hovering):.2f} "
        "times 2 / rate",
        fontsize=13,
    )
    for i, (name, course) in enumerate(courses.items()):
        draw_course(axes[2 * i : 2 * i + 2], name, course)
    return figure


def study(budget: str) -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    count = IMAGES[budget]
    courses = {"Chebyshev": toy(), f"MNIST, {count:,} images": images(count)}
    claims = [claim for name, course in courses.items() for claim in claims_of(name, course)]
    return draw(courses, claims), claims


if __name__ == "__main__":
    studies.main(study)
