"""Do large batches end in sharp minima, and does sharpness tell how well a net generalizes?

    python -m experiments.batches.sharp_minima [--budget=full]

About 75 seconds on 2 cores, 40 minutes for full.

Source: Keskar, Mudigere, Nocedal, Smelyanskiy & Tang 2017, On large-batch training for deep learning, net F1 on MNIST:
5 layers of 512 ReLU with batch normalization, Adam, batches of 256 against 10 % of the training images. Sharpness is
100 (max f(x + y) - f(x)) / (1 + f(x)) over |y_i| <= .001 (|x_i| + 1), the maximum being the one that 10 steps of
L-BFGS-B reach (`nets.curvature.sharpness`). Published: 1.23 +- .83 against 205.14 +- 69.52, and of test accuracy 98.03
+- .07 % against 97.81 +- .07 %.

Here a reduced net: 5 layers of 64 (full: 512), the first 20,000 images (full: all 60,000), batches of 256 against 2,000
(full: 6,000), 60 epochs (full: 30) at Adam's rate .001, 6 seeds (full: 18) that share the initial draw. All measures
are of the net as in evaluation, with frozen statistics of batch normalization: those of all training images with the
final weights, since the running ones of momentum .99 lag behind where an epoch has ten steps. f is the cost on the
first 10,000 training images, x all parameters, scales and shifts included; the Hessian's largest eigenvalue is that on
2,000 of them.

Bands, set before the run. Keskar et al.: mean sharpness with large batches more than 10 times that with small ones; in
at least 80 % of the seeds the small batch has the better test accuracy. Dinh et al. 2017, Sharp minima can generalize:
the small-batch nets with every hidden neuron's incoming weights times .1, which their normalization undoes, are the
same functions, and more than 10 times as sharp. Li et al. 2018: along random directions with the norms of the filters,
which no such rescaling changes, the cost rises more about the large-batch nets, in at least 80 % of the seeds.

The published sharpnesses are not those found here, with the full net neither: the note of the first line has both, and
the Hessian's largest eigenvalues beside them. The rescaled nets show that sharpness in this box says little by itself.
The quick size's batches are 8 times apart in size, not 23, and its net is narrower. Shares of 6 seeds do not decide
whether they are above .8: all of 17 seeds do.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import input_pipeline
import nets
import train
from configs import shallow
from experiments.engine import executors, space, statistics
from experiments.study import command, toolkit
from experiments.study.claims import Claim, by_key, interval_claim, share_claim
from experiments.study.study import Study
from training import figures, models
from training.batches import scale
from training.config import Config, as_config

KESKAR, DINH, LI = "Keskar et al. 2017 (P)", "Dinh et al. 2017 (S)", "Li et al. 2018 (P)"
PUBLISHED_SHARPNESS, PUBLISHED_ACCURACY = (1.23, 205.14), (98.03, 97.81)
LEAST_RATIO, LEAST_SEEDS = 10.0, 0.8
EPSILON, MEASURED_ON, EIGENVALUE_ON = 1e-3, 10_000, 2_000
ALPHA = 0.1  # What a rescaled net's hidden weights are multiplied by.
DIRECTIONS, COORDINATES, DISTANCE = 3, np.linspace(-1, 1, 9), 0.5


class Size(NamedTuple):
    """What is trained, on how many seeds, and the two batch sizes."""

    config: Config
    seeds: int
    small: int
    large: int


def f1(images: int, units: tuple[int, ...], epochs: int) -> Config:
    """Net F1 with so many units, on so many images."""
    config = as_config(shallow.get_config()).replace(probes=(), train_examples=images, hidden=units, epochs=epochs)
    config = config.replace(activation="relu", batch_norm=True, cost="cross_entropy")
    return config.replace(optimizer="adam", learning_rate=0.001)


SIZES = {
    # Both batch sizes are the same trials.
    "tiny": Size(f1(256, (4,), 1).replace(dataset="synthetic"), 2, 64, 64),
    "quick": Size(f1(20_000, (64,) * 5, 60), 6, 256, 2_000),
    "full": Size(f1(60_000, (512,) * 5, 30), 18, 256, 6_000),
}

# What is measured of a net: a number a name, an array over seeds where there are several.
Measures = Mapping[str, np.ndarray]


# ---------------------------------------------------------------------------------------------------------------------
# Nets.


def with_statistics_of(model: nets.MLP, state: train.TrainState, images_NxD: jax.Array) -> train.TrainState:
    """The net normalized by mean and variance of all of these images, in place of the running statistics.

    In training a batch is normalized by its own statistics and moves the running ones by 1 - momentum towards these:
    from zero, all images as one batch move them there but for that factor.
    """
    from_zero = state._replace(batch_stats=jax.tree.map(jnp.zeros_like, state.batch_stats))
    _, moved = models.of_mlp(model, images_NxD.shape[1]).apply_in_training(
        from_zero.params, from_zero.batch_stats, images_NxD, jnp.ones(len(images_NxD)), jax.random.key(0)
    )
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

    first = lambda leaf: leaf[:EIGENVALUE_ON]  # noqa: E731

    def sharpness(state: train.TrainState, data: Any) -> jax.Array:
        return nets.curvature.sharpness(cost_of(model, state.batch_stats), state.params, data, EPSILON)[0]

    def eigenvalue(state: train.TrainState, data: Any) -> jax.Array:
        cost, key, few = cost_of(model, state.batch_stats), jax.random.key(0), jax.tree.map(first, data)
        top = nets.curvature.top_eigenvalues(cost, state.params, few, key, k=1, steps=20, tolerance=1e-2)
        return top.values_K[0]

    def line(state: train.TrainState, data: Any) -> jax.Array:
        cost, coordinates_A = cost_of(model, state.batch_stats), jnp.asarray(COORDINATES, jnp.float32)

        def along(key: jax.Array) -> jax.Array:
            direction = nets.curvature.filter_normalised_direction(key, state.params)
            return nets.curvature.cost_on_line(cost, state.params, direction, coordinates_A, data)

        return jnp.mean(jax.lax.map(along, jax.random.split(jax.random.key(1), DIRECTIONS)), axis=0)

    return {function.__name__: jax.jit(function) for function in (sharpness, eigenvalue, line)}


def trained(size: Size, dataset: input_pipeline.Dataset) -> tuple[list[train.TrainState], list[train.TrainState]]:
    """The nets of all seeds with small batches, and with large ones."""
    config, batches = size.config, (size.small, size.large)
    trials = space.make_trials(config, None, {"batch_size": batches, "seed": range(size.seeds)})
    # What runs are validated on after each epoch, nothing reads; the nets are measured on the whole test set below.
    few = toolkit.hardly_validated(dataset)
    _, states = executors.train_states(trials, few, f"batches of {size.small:,} and {size.large:,}")
    normalize = jax.jit(lambda state, images: with_statistics_of(models.make_mlp(config), state, images))
    found = {name: jax.device_get(normalize(states[name], dataset.images)) for name in trials}
    small_S, large_S = ([found[n] for n, trial in trials.items() if trial.batch_size == batch] for batch in batches)
    return small_S, large_S


def measure(
    small_S: list[train.TrainState], large_S: list[train.TrainState], config: Config, dataset: input_pipeline.Dataset
) -> tuple[Measures, Measures]:
    """Everything about the nets of either batch size, an array over the seeds each; of the small one's also the
    sharpness when rescaled."""
    measures = make_measures(models.make_mlp(config))
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


def ratio_of_means(above_S: np.ndarray, below_S: np.ndarray) -> tuple[float, tuple[float, float]]:
    """The mean of the first over that of the second, and its 95 % interval from paired seeds: Student's of the ratio's
    logarithm, whose deviation is to first order that of above / its mean - below / its mean."""
    ratio = float(np.mean(above_S) / np.mean(below_S))
    found = statistics.interval(above_S / np.mean(above_S) - below_S / np.mean(below_S))
    half = float(found.high - found.mean)
    return ratio, (ratio * np.exp(-half), ratio * np.exp(half))


def ratio_claim(key: str, name: str, source: str, above_S: np.ndarray, below_S: np.ndarray, note: str = "") -> Claim:
    """How many times as large the mean of the first is, above LEAST_RATIO."""
    measured, within = ratio_of_means(above_S, below_S)
    return interval_claim(
        key,
        name,
        "direction",
        source,
        measured,
        within,
        (LEAST_RATIO, None),
        count=len(above_S),
        values=above_S / below_S,
        rival="no effect: 1",
        rival_at=1.0,
        note=f"{plus_minus(above_S)} against {plus_minus(below_S)}{note}",
    )


def plus_minus(values_S: np.ndarray) -> str:
    """Mean and standard deviation."""
    found = statistics.interval(values_S)
    return f"{found.mean:.4g} +- {found.std:.2g}"


def ahead_claim(key: str, name: str, source: str, ahead_S: np.ndarray, note: str) -> Claim:
    """In which share of the seeds a difference is positive."""
    band, rival = (LEAST_SEEDS, 1.0), "chance: 1/2"
    return share_claim(key, name, "direction", source, ahead_S > 0, band, rival=rival, rival_at=0.5, note=note)


def claims_of(small: Measures, large: Measures) -> list[Claim]:
    """Sharpness and test accuracy of Keskar et al., and what is said against the former."""
    note = f"; published {PUBLISHED_SHARPNESS[1]:g} against {PUBLISHED_SHARPNESS[0]:g}, of the full net"
    note += f"; top Hessian eigenvalue {plus_minus(large['eigenvalue'])} against {plus_minus(small['eigenvalue'])}"
    note += f"; training cost {plus_minus(large['train_loss'])} against {plus_minus(small['train_loss'])}"
    name = "sharpness with large batches, times that with small ones"
    sharper = ratio_claim("sharpness", name, KESKAR, large["sharpness"], small["sharpness"], note)
    gap_S = 100 * (small["test_accuracy"] - large["test_accuracy"])
    note = f"gap {gap_S.mean():+.2f} points, {statistics.interval_in_words(gap_S, '+.2f')}; published +.22"
    name = "share of seeds with better test accuracy by small batches"
    better = ahead_claim("test_accuracy", name, KESKAR, gap_S, note)
    name = "sharpness of the same function with rescaled weights, times that before"
    same = ratio_claim("rescaled", name, DINH, small["rescaled"], small["sharpness"])
    name = "share of seeds with a steeper rise by large batches, relative to the filters' norms"
    note = f"rise at {DISTANCE:g} of the filters' norms {plus_minus(rise(large))} against {plus_minus(rise(small))}"
    return [sharper, better, same, ahead_claim("rise", name, LI, rise(large) - rise(small), note)]


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def draw_pairs(axis: Any, columns: Mapping[str, np.ndarray], published: tuple[float, ...]) -> None:
    """A column of points a name, the seeds joined by lines, with the published means as bars."""
    axis.plot(list(columns), np.array(list(columns.values())), "o-", color="tab:blue", alpha=0.6)
    axis.plot([], [], "o-", color="tab:blue", label="a seed")
    axis.plot(list(columns)[: len(published)], published, "k_", markersize=40, label="published, full net")
    axis.margins(x=0.25)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=9, markerscale=0.4, frameon=False)


def draw(small: Measures, large: Measures, size: Size, claims: Sequence[Claim]) -> Any:
    """Sharpness, test accuracy and the cost around the minima."""
    figure, axes = figures.new_figure(16, 5.6, 3)
    measured = {key: claim.measured for key, claim in by_key(claims).items()}
    before, after = f"small batches,\n{size.small:,}", f"large batches,\n{size.large:,}"
    columns = {before: small["sharpness"], after: large["sharpness"], "small batches,\nrescaled": small["rescaled"]}
    draw_pairs(axes[0], columns, PUBLISHED_SHARPNESS)
    title = f"Large batches: {measured['sharpness']:,.0f} times the sharpness;\nthe same function rescaled: "
    axes[0].set(yscale="log", ylabel="sharpness, %", title=f"{title}{measured['rescaled']:,.0f} times")
    accuracies = {before: 100 * small["test_accuracy"], after: 100 * large["test_accuracy"]}
    draw_pairs(axes[1], accuracies, PUBLISHED_ACCURACY)
    title = f"Small batches are better in {measured['test_accuracy']:.0%} of the seeds"
    axes[1].set(ylabel="test accuracy, %", title=title)
    for measures, label, colour in ((small, before, "tab:blue"), (large, after, "tab:orange")):
        for seed, line_A in enumerate(measures["line"]):
            axes[2].plot(COORDINATES, line_A, color=colour, label=None if seed else label.replace("\n", " "))
    title = f"Relative to the filters' norms, large batches\nare steeper in {measured['rise']:.0%} of the seeds"
    label = "distance along random directions, norms of the filters"
    axes[2].set(xlabel=label, ylabel="training cost, nats", title=title, yscale="log")
    axes[2].legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=9, frameon=False)
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    dataset = train.load_dataset(size.config, "")
    small, large = measure(*trained(size, dataset), size.config, dataset)
    claims = claims_of(small, large)
    return draw(small, large, size, claims), claims


STUDY = Study(
    question="Do large batches end in sharp minima, and does sharpness tell how well a net generalizes?",
    run=run,
    sizes=SIZES,
)

if __name__ == "__main__":
    command.main(STUDY)
