"""Do large batches end in sharp minima, and does sharpness tell how well a net generalizes?

    python -m experiments.batches.sharp_minima [--budget=full] [--workdir=runs/sharp_minima]

75 seconds on 2 cores, half an hour for full.

Source: Keskar, Mudigere, Nocedal, Smelyanskiy & Tang 2017, On large-batch training for deep learning, net F1 on MNIST:
5 layers of 512 ReLU with batch normalization, Adam, batches of 256 against 10 % of the training images. Sharpness is
100 (max f(x + y) - f(x)) / (1 + f(x)) over |y_i| <= .001 (|x_i| + 1), the maximum being the one that 10 steps of
L-BFGS-B reach (`nets.curvature.sharpness`). Published: 1.23 +- .83 against 205.14 +- 69.52, and of test accuracy 98.03
+- .07 % against 97.81 +- .07 %.

Here a reduced net: 5 layers of 64 (full: 512), the first 20,000 images (full: all 60,000), batches of 256 against 2,000
(full: 6,000), 60 epochs (full: 30) at Adam's rate .001, 5 seeds that share the initial draw. All measures are of the
net as in evaluation, with frozen statistics of batch normalization: those of all training images with the final
weights, since the running ones of momentum .99 lag behind where an epoch has ten steps. f is the cost on the first
10,000 training images, x all parameters, scales and shifts included.

Bands, set before the run. Keskar et al.: mean sharpness with large batches more than 10 times that with small ones; in
at least 4 of 5 seeds the small batch has the better test accuracy. Dinh et al. 2017, Sharp minima can generalize: the
small-batch nets with every hidden neuron's incoming weights times .1, which their normalization undoes, are the same
functions, and more than 10 times as sharp. Li et al. 2018: along random directions with the norms of the filters, which
no such rescaling changes, the cost rises more about the large-batch nets, in at least 4 of 5 seeds.

Measured: 4 of 4 (full, 2026-11-25, 2 cores), 5 seeds, mean +- standard deviation, small against large batches.
Sharpness 11.8 +- 2.1 % against 1,690 +- 160 %, 143 times (95 % interval of the mean ratio 118 to 176; published 167,
with both sharpnesses about a tenth of these). Training costs .0047 and .0002 nats. Test accuracy is .48 points lower
(.33 to .62; published .22). Rescaled by .1, the same small-batch functions have sharpness 20,800 %, 1,760 times as much
and far beyond the large batches': sharpness in this box says little by itself. Nor does the Hessian's largest
eigenvalue, .55 +- .18 against .27 +- .03, say the same. Relative to the filters' norms the large-batch minima stay the
sharper ones: half a norm away the cost rises by .357 +- .023 nats against .006 +- .001.

The quick size, 4 of 4 too, does not decide the ratio of sharpness: 11 times, 7.4 to 16.9; its batches are 8 times apart
in size, not 23, and its net is narrower. There the gap in test accuracy is 1.46 points (1.31 to 1.62).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import input_pipeline
import nets
import train
from configs import shallow
from experiments import studies
from experiments.engine import executors, space, statistics
from training import figures
from training.batches import scale

KESKAR, DINH, LI = "Keskar et al. 2017", "Dinh et al. 2017", "Li et al. 2018"
PUBLISHED_SHARPNESS, PUBLISHED_ACCURACY = (1.23, 205.14), (98.03, 97.81)
SMALL, LARGE_SHARE = 256, 0.1
LEAST_RATIO, LEAST_SEEDS = 10.0, 0.8
EPSILON, MEASURED_ON = 1e-3, 10_000
ALPHA = 0.1  # What a rescaled net's hidden weights are multiplied by.
DIRECTIONS, COORDINATES, DISTANCE = 3, np.linspace(-1, 1, 9), 0.5


class Budget(NamedTuple):
    """How much is trained."""

    seeds: int
    images: int
    hidden: tuple[int, ...]
    epochs: int


BUDGETS = {"quick": Budget(5, 20_000, (64,) * 5, 60), "full": Budget(5, 60_000, (512,) * 5, 30)}

# What is measured of a net: a number a name, an array over seeds where there are several.
Measures = Mapping[str, np.ndarray]


# ---------------------------------------------------------------------------------------------------------------------
# Nets.


def config_of(size: Budget) -> ConfigDict:
    """Net F1 with as many units as the budget has."""
    config = shallow.get_config()
    config.update(probes=(), train_examples=size.images, hidden=size.hidden, activation="relu", batch_norm=True)
    config.update(cost="cross_entropy", optimizer="adam", learning_rate=0.001, epochs=size.epochs)
    return config


def with_statistics_of(model: nets.MLP, state: train.TrainState, images_NxD: jax.Array) -> train.TrainState:
    """The net normalized by mean and variance of all of these images, in place of the running statistics.

    In training a batch is normalized by its own statistics and moves the running ones by 1 - momentum towards these:
    from zero, all images as one batch move them there but for that factor.
    """
    from_zero = state._replace(batch_stats=jax.tree.map(jnp.zeros_like, state.batch_stats))
    _, moved = train.apply_in_training(model, from_zero, images_NxD, jnp.ones(len(images_NxD)))
    return state._replace(
        batch_stats=jax.tree.map(lambda statistic: statistic / (1 - nets.mlp.BATCH_NORM_MOMENTUM), moved)
    )


def rescaled(state: train.TrainState, alpha: float) -> train.TrainState:
    """The same function with the incoming weights and biases of all hidden neurons multiplied by alpha > 0.

    A ReLU's output is then alpha times what it was; its mean is too, and its scale takes the factor back.
    """
    params, batch_stats = dict(state.params), dict(state.batch_stats)
    for name in batch_stats:
        layer = name.replace("batch_norm", "hidden")
        params[layer] = {leaf: alpha * value for leaf, value in params[layer].items()}
        params[name] = params[name] | {"scale": params[name]["scale"] / alpha}
        batch_stats[name] = batch_stats[name] | {"mean": alpha * batch_stats[name]["mean"]}
    return state._replace(params=params, batch_stats=batch_stats)


def cost_of(model: nets.MLP, batch_stats: Any) -> nets.curvature.Cost:
    """Cross-entropy as a function of the parameters alone, the statistics frozen."""
    cost = nets.costs.get("cross_entropy", "softmax")

    def per_example_cost(params: Any, batch: Any) -> jax.Array:
        logits_BxC, _ = model.apply({"params": params, "batch_stats": batch_stats}, scale(batch[0]))
        return cost.per_example(logits_BxC, jax.nn.one_hot(batch[1], logits_BxC.shape[-1]))

    return per_example_cost


def make_measures(model: nets.MLP) -> dict[str, Callable[[train.TrainState, Any], jax.Array]]:
    """What is measured of a state on data, each compiled once for all nets: the sharpness in percent, the largest
    eigenvalue of the Hessian, and the cost at COORDINATES, the mean over random directions."""

    def sharpness(state: train.TrainState, data: Any) -> jax.Array:
        return nets.curvature.sharpness(cost_of(model, state.batch_stats), state.params, data, EPSILON)[0]

    def eigenvalue(state: train.TrainState, data: Any) -> jax.Array:
        cost, key = cost_of(model, state.batch_stats), jax.random.key(0)
        top = nets.curvature.top_eigenvalues(cost, state.params, data, key, k=1, steps=20, tolerance=1e-2)
        return top.values_K[0]

    def line(state: train.TrainState, data: Any) -> jax.Array:
        cost, coordinates_A = cost_of(model, state.batch_stats), jnp.asarray(COORDINATES, jnp.float32)

        def along(key: jax.Array) -> jax.Array:
            direction = nets.curvature.filter_normalised_direction(key, state.params)
            return nets.curvature.cost_on_line(cost, state.params, direction, coordinates_A, data)

        return jnp.mean(jax.lax.map(along, jax.random.split(jax.random.key(1), DIRECTIONS)), axis=0)

    return {function.__name__: jax.jit(function) for function in (sharpness, eigenvalue, line)}


def trained(budget: Budget, dataset: input_pipeline.Dataset) -> tuple[list[train.TrainState], list[train.TrainState]]:
    """The nets of all seeds with small batches, and with large ones."""
    config, sizes = config_of(budget), (SMALL, int(LARGE_SHARE * budget.images))
    trials = space.make_trials(config, None, {"batch_size": sizes, "seed": range(budget.seeds)})
    _, states = executors.train_states(trials, dataset, f"batches of {sizes[0]:,} and {sizes[1]:,}")
    normalize = jax.jit(lambda state, images: with_statistics_of(train.make_model(config), state, images))
    found = {name: jax.device_get(normalize(states[name], dataset.images)) for name in trials}
    small_S, large_S = ([found[n] for n, trial in trials.items() if trial.batch_size == size] for size in sizes)
    return small_S, large_S


def measure(
    small_S: list[train.TrainState],
    large_S: list[train.TrainState],
    config: ConfigDict,
    dataset: input_pipeline.Dataset,
) -> tuple[Measures, Measures]:
    """Everything about the nets of either batch size, an array over the seeds each; of the small one's also the
    sharpness when rescaled."""
    measures = make_measures(train.make_model(config))
    evaluate = train.make_train(config).evaluate
    data = dataset.images[:MEASURED_ON], dataset.labels[:MEASURED_ON]

    def of_net(state: train.TrainState) -> dict[str, np.ndarray]:
        found = {name: function(state, data) for name, function in measures.items()}
        found |= {f"train_{name}": value for name, value in evaluate(state, *dataset[:2]).items()}
        found |= {f"test_{name}": value for name, value in evaluate(state, *dataset[2:4]).items()}
        return jax.device_get(found)

    def of_nets(states_S: list[train.TrainState]) -> dict[str, np.ndarray]:
        rows = [of_net(state) for state in states_S]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    rescaled_S = np.array([measures["sharpness"](rescaled(state, ALPHA), data) for state in small_S])
    return of_nets(small_S) | {"rescaled": rescaled_S}, of_nets(large_S)


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def rise(measures: Measures) -> np.ndarray:
    """How much the cost rises at DISTANCE along the random directions, on both sides and in the mean of them, [S]."""
    at_zero, at_distance = (np.isclose(np.abs(COORDINATES), distance) for distance in (0, DISTANCE))
    line_SxA = measures["line"]
    return line_SxA[:, at_distance].mean(axis=1) - line_SxA[:, at_zero].mean(axis=1)


def ratio_claim(
    name: str, published: float | None, source: str, above_S: np.ndarray, below_S: np.ndarray
) -> dict[str, Any]:
    """How many times as large the mean of the first is, above LEAST_RATIO; the seeds' own ratios in the note."""
    measured = float(np.mean(above_S) / np.mean(below_S))
    found = statistics.interval(np.log(above_S / below_S))
    low, high = np.exp(found.low), np.exp(found.high)
    note = (
        f"{plus_minus(above_S)} against {plus_minus(below_S)}; 95 % interval of the mean ratio {low:.3g} to {high:.3g}"
    )
    note += f", which holds {LEAST_RATIO:g}: these seeds do not decide." if low < LEAST_RATIO < high else "."
    line = studies.claim(name, published, source, above_S / below_S, measured, (LEAST_RATIO, studies.OPEN))
    return line | {"note": note}


def plus_minus(values_S: np.ndarray) -> str:
    """Mean and standard deviation."""
    found = statistics.interval(values_S)
    return f"{found.mean:.4g} +- {found.std:.2g}"


def share_claim(name: str, source: str, ahead_S: np.ndarray, note: str) -> dict[str, Any]:
    """In which share of the seeds a difference is positive."""
    return studies.claim(name, 1.0, source, ahead_S > 0, float(np.mean(ahead_S > 0)), (LEAST_SEEDS, 1.0)) | {
        "note": note
    }


def claims_of(small: Measures, large: Measures) -> list[dict[str, Any]]:
    """Sharpness and test accuracy of Keskar et al., and what is said against the former."""
    published = PUBLISHED_SHARPNESS[1] / PUBLISHED_SHARPNESS[0]
    name = "sharpness with large batches, times that with small ones"
    sharper = ratio_claim(name, published, KESKAR, large["sharpness"], small["sharpness"])
    eigenvalues = f"top Hessian eigenvalue {plus_minus(large['eigenvalue'])} against {plus_minus(small['eigenvalue'])}"
    costs = f"training cost {plus_minus(large['train_loss'])} against {plus_minus(small['train_loss'])}"
    sharper["note"] += f" {eigenvalues[0].upper()}{eigenvalues[1:]}; {costs}."
    gap_S = 100 * (small["test_accuracy"] - large["test_accuracy"])
    note = f"gap {gap_S.mean():+.2f} points, {statistics.interval_in_words(gap_S, '+.2f')}; published +.22."
    name = "share of seeds with better test accuracy by small batches"
    better = share_claim(name, KESKAR, gap_S, note)
    name = "sharpness of the same function with rescaled weights, times that before"
    same = ratio_claim(name, None, DINH, small["rescaled"], small["sharpness"])
    name = "share of seeds with a steeper rise by large batches, relative to the filters' norms"
    note = f"rise at {DISTANCE:g} of the filters' norms {plus_minus(rise(large))} against {plus_minus(rise(small))}."
    return [sharper, better, same, share_claim(name, LI, rise(large) - rise(small), note)]


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def draw_pairs(axis, columns: Mapping[str, np.ndarray], published: tuple[float, ...]) -> None:
    """A column of points a name, the seeds joined by lines, with the published means as bars."""
    axis.plot(list(columns), np.array(list(columns.values())), "o-", color="tab:blue", alpha=0.6)
    axis.plot([], [], "o-", color="tab:blue", label="a seed")
    axis.plot(list(columns)[: len(published)], published, "k_", markersize=40, label="published, full net")
    axis.margins(x=0.25)
    axis.legend(fontsize=9, markerscale=0.4)


def draw(small: Measures, large: Measures, sizes: tuple[int, int], claims: list[dict[str, Any]]):
    """Sharpness, test accuracy and the cost around the minima."""
    figure, axes = figures.new_figure(16, 5, 3)
    before, after = (f"{name} batches,\n{size:,}" for name, size in zip(("small", "large"), sizes, strict=True))
    columns = {before: small["sharpness"], after: large["sharpness"], "small batches,\nrescaled": small["rescaled"]}
    draw_pairs(axes[0], columns, PUBLISHED_SHARPNESS)
    title = f"Large batches: {claims[0]['measured']:,.0f} times the sharpness;\nthe same function rescaled: "
    axes[0].set(yscale="log", ylabel="sharpness, %", title=f"{title}{claims[2]['measured']:,.0f} times")
    accuracies = {before: 100 * small["test_accuracy"], after: 100 * large["test_accuracy"]}
    draw_pairs(axes[1], accuracies, PUBLISHED_ACCURACY)
    title = f"Small batches are better in {claims[1]['measured']:.0%} of the seeds"
    axes[1].set(ylabel="test accuracy, %", title=title)
    for measures, label, colour in ((small, before, "tab:blue"), (large, after, "tab:orange")):
        for seed, line_A in enumerate(measures["line"]):
            axes[2].plot(COORDINATES, line_A, color=colour, label=None if seed else label.replace("\n", " "))
    title = f"Relative to the filters' norms, large batches\nare steeper in {claims[3]['measured']:.0%} of the seeds"
    axes[2].set(
        xlabel="distance along random directions, norms of the filters", ylabel="training cost, nats", title=title
    )
    axes[2].set_yscale("log")
    axes[2].legend()
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure


def study(budget: str) -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    size = BUDGETS[budget]
    config = config_of(size)
    dataset = train.load_dataset(config, "")
    small, large = measure(*trained(size, dataset), config, dataset)
    claims = claims_of(small, large)
    return draw(small, large, (SMALL, int(LARGE_SHARE * size.images)), claims), claims


if __name__ == "__main__":
    studies.main(study)
