"""Do early layers learn more slowly than late ones, before training has begun and through it?

    python -m experiments.saturation.learning_speed [--workdir=runs/learning_speed]      40 seconds on 2 cores

Source: Nielsen, Neural Networks and Deep Learning, chapter 5: |delta^l|, the norm of the mean of dC/db^l over the first
1,000 training images, in nets of 2, 3 and 4 hidden layers of 30 sigmoid units with cross-entropy, N(0, 1 / n_in)
weights and N(0, 1) biases. The book prints one draw of each before training, and draws its course over 500 epochs of
gradient descent on all of the 1,000 images at once (eta .1, lambda 5); the numbers of that figure are in the book's
repository (fig/norms_during_training_*_layers.json, whose last line is after 499 epochs).

Bands, set before the run. Before training: each printed number inside the 5-95 % range of 60 seeds, and a speed that
rises from layer to layer in at least 95 % of the seeds. Through training, 6 seeds: the median seed has its first hidden
layer slower than its last one in at least 90 % of the epochs; in at least 90 % of the seeds all layers are slower at
the end than after 5 epochs; the medians of the first and the last hidden layer lie within a factor of 2 of the book's
draw after 20 epochs and at the end. (Draws before training spread less: 90 % of them lie within a factor of 1.4 to 1.8
of their median. The course with 2 hidden layers had been seen when these bands were set, those with 3 and 4 had not.)

Measured: 30 of 30 (2026-11-25, 2 cores). Before training all 9 speeds inside, and rising in every one of the 180 nets;
the last hidden layer's is 5, 23 and 122 times the first one's in the median. Through training, medians over 6 seeds:
with 2 hidden layers both speeds fall about a hundredfold within 50 epochs and rise again, the last layer's being 1.1 to
5 times the first one's; in 3 of the 6 seeds the first layer is even the faster one for a while between epochs 95 and
225, which in the book's one net it never is. With 3 and 4 they fall and stay there, the last layer's 9 to 24 and 49 to
106 times the first one's. After 20 epochs and at the end they are .80 to 1.61 times the book's draw.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import input_pipeline
import nets
from configs import nielsen
from experiments import studies
from experiments.engine import executors, space
from training import figures
from training.compiling import LARGE_PRODUCTS, compiled

PUBLISHED = ((0.06574, 0.30922), (0.01184, 0.05997, 0.28314), (0.00298, 0.01708, 0.06954, 0.28514))
# By the number of hidden layers: the speed of each of them after so many epochs.
PUBLISHED_COURSE = {
    2: {10: (8.930e-3, 4.038e-2), 20: (2.505e-3, 1.070e-2), 499: (3.435e-3, 9.630e-3)},
    3: {
        10: (2.004e-3, 1.042e-2, 5.962e-2),
        20: (4.555e-4, 2.437e-3, 1.391e-2),
        499: (8.556e-5, 2.182e-4, 1.261e-3),
    },
    4: {
        10: (2.659e-4, 1.475e-3, 8.404e-3, 3.657e-2),
        20: (6.369e-5, 3.198e-4, 1.838e-3, 7.906e-3),
        499: (8.212e-6, 2.614e-5, 1.825e-4, 9.247e-4),
    },
}
SOURCE = "Nielsen, chapter 5"
IMAGES, SEEDS, UNITS = 1_000, 60, 30
ETA, LAMBDA = 0.1, 5.0
EPOCHS, COURSE_SEEDS, PROBE_EVERY = 500, 6, 5
EPOCH_TICKS = (5, 10, 20, 50, 100, 200, 500)
# Every run is validated after every epoch, and nothing here reads it: few images.
VALIDATION = "100"


def speeds(layers: int, images_BxD: np.ndarray, labels_B: np.ndarray) -> np.ndarray:
    """|delta| of each hidden layer for each seed, [seeds, layers]."""
    hidden = (UNITS,) * layers
    net = nets.MLP(hidden=hidden, output="sigmoid", kernel_init="nielsen_small", bias_init="normal")
    cost = nets.costs.get("cross_entropy", "sigmoid")

    def all_seeds(keys, x_BxD, targets_BxC):
        def one_seed(key: jax.Array) -> jax.Array:
            params = net.init(key, x_BxD[:1])["params"]

            def mean_cost(params) -> jax.Array:
                return jnp.mean(cost.per_example(net.apply({"params": params}, x_BxD)[0], targets_BxC))

            norms = nets.speed.bias_gradient_norms(jax.grad(mean_cost)(params))
            return jnp.stack([norms[f"hidden_{i}"] for i in range(layers)])

        return jax.lax.map(one_seed, keys)

    keys = jax.random.split(jax.random.key(layers), SEEDS)
    arguments = keys, jnp.float32(images_BxD) / 255, jax.nn.one_hot(labels_B, 10)
    return np.asarray(compiled(all_seeds, *arguments, cpu_options=LARGE_PRODUCTS)(*arguments))


def course_config(layers: int) -> ConfigDict:
    """Nielsen's run of so many hidden layers: gradient descent on all images at once, lambda / n being `l2` here."""
    config = nielsen.get_config()
    config.train_examples, config.validation = IMAGES, VALIDATION
    config.hidden, config.kernel_init, config.cost = (UNITS,) * layers, "nielsen_small", "cross_entropy"
    config.learning_rate, config.l2, config.batch_size, config.epochs = ETA, LAMBDA / IMAGES, IMAGES, EPOCHS
    config.probes, config.probe_every, config.probe_examples = ("speed",), PROBE_EVERY, IMAGES
    return config


def course(layers: int, dataset: input_pipeline.Dataset) -> np.ndarray:
    """|delta| of each hidden layer after every PROBE_EVERY epochs of training, [seeds, epochs, layers]."""
    trials = space.make_trials(course_config(layers), None, {"seed": range(COURSE_SEEDS)})
    table = executors.train_all(trials, dataset, f"{layers} hidden layers")
    columns = [table[f"speed/hidden_{i}"].drop_null().to_numpy() for i in range(layers)]
    return np.stack([column.reshape(COURSE_SEEDS, EPOCHS // PROBE_EVERY) for column in columns], axis=-1)


def claims_of(speed_SxL: np.ndarray, published: tuple[float, ...]) -> list[dict[str, Any]]:
    """The layers' speeds against the book's draw, and whether they rise."""
    layers = len(published)
    lines = [
        studies.range_claim(f"{layers} hidden layers: speed of layer {i + 1}", p, SOURCE, speed_SxL[:, i], (5, 95))
        for i, p in enumerate(published)
    ]
    rises_S = np.all(np.diff(speed_SxL, axis=1) > 0, axis=1)
    name = f"{layers} hidden layers: share of seeds whose speed rises with the layer"
    return [*lines, studies.claim(name, 1.0, SOURCE, rises_S.astype(float), rises_S.mean(), (0.95, 1.0))]


def course_claims(speed_SxExL: np.ndarray) -> list[dict[str, Any]]:
    """The course of the layers' speeds: who is slower, whether all fall, and how far, against the book's draw."""
    layers = speed_SxExL.shape[-1]
    title = f"{layers} hidden layers, training"
    slower_SxE = speed_SxExL[:, :, 0] < speed_SxExL[:, :, -1]
    slower_S, falls_S = slower_SxE.mean(axis=1), np.all(speed_SxExL[:, -1] < speed_SxExL[:, 0], axis=1)
    median, share = float(np.median(slower_S)), falls_S.mean()
    name = f"{title}: share of epochs with the first layer slower than the last"
    lines = [studies.claim(name, 1.0, SOURCE, slower_S, median, (0.9, 1.0))]
    if not slower_SxE.all():
        faster_E = PROBE_EVERY * (1 + np.flatnonzero(~slower_SxE.all(axis=0)))
        lines[0]["note"] = (
            f"the first layer is the faster one in {int((slower_S < 1).sum())} of {len(slower_S)} seeds for a while, "
            f"between epochs {faster_E[0]} and {faster_E[-1]}."
        )
    name = f"{title}: share of seeds with all layers slower at the end"
    lines.append(studies.claim(name, 1.0, SOURCE, falls_S.astype(float), share, (0.9, 1.0)))
    for epoch, row, when in ((20, 20 // PROBE_EVERY - 1, "after 20 epochs"), (499, -1, f"after {EPOCHS} epochs")):
        for layer in (0, layers - 1):
            published, values_S = PUBLISHED_COURSE[layers][epoch][layer], speed_SxExL[:, row, layer]
            name = f"{title}: speed of layer {layer + 1} {when}"
            band = (published / 2, 2 * published)
            lines.append(studies.claim(name, published, SOURCE, values_S, float(np.median(values_S)), band))
    return lines


def draw_start(axis, speed_SxL: np.ndarray, published: tuple[float, ...]) -> None:
    """Each seed's speeds before training as a line from layer to layer, with the book's draw."""
    layer = np.arange(1, speed_SxL.shape[1] + 1)
    axis.plot(layer, speed_SxL.T, color="tab:blue", alpha=0.2)
    axis.plot(layer, np.median(speed_SxL, axis=0), color="navy", linewidth=2, label=f"median of {len(speed_SxL)} seeds")
    axis.plot(layer, published, "ko", label="Nielsen, chapter 5")
    ratio = np.median(speed_SxL[:, -1] / speed_SxL[:, 0])
    axis.set(yscale="log", xlabel="hidden layer", ylabel="|delta|: norm of the mean dC/db", xticks=layer)
    title = f"{len(published)} hidden layers before training:"
    axis.set_title(f"{title}\nthe last learns {ratio:.0f} times as fast as the first")


def draw_course(axis, speed_SxExL: np.ndarray, published: dict[int, tuple[float, ...]]) -> None:
    """Each layer's speed by epoch, median and range of the seeds, with points of the book's curves."""
    epoch = PROBE_EVERY * np.arange(1, speed_SxExL.shape[1] + 1)
    for i in range(speed_SxExL.shape[-1]):
        low, median, high = np.percentile(speed_SxExL[:, :, i], (0, 50, 100), axis=0)
        axis.plot(epoch, median, color=f"C{i}", label=f"hidden layer {i + 1}")
        axis.fill_between(epoch, low, high, color=f"C{i}", alpha=0.15, linewidth=0)
        axis.plot(list(published), [of_layer[i] for of_layer in published.values()], "o", color=f"C{i}", mec="k")
    axis.fill_between([], [], color="gray", alpha=0.3, label=f"range of {len(speed_SxExL)} seeds")
    axis.plot([], [], "o", color="white", mec="k", label="Nielsen, chapter 5")
    ratio = np.median(speed_SxExL[..., -1] / speed_SxExL[..., 0], axis=0)
    axis.set(yscale="log", xscale="log", xlabel="epoch", ylabel="|delta|: norm of the mean dC/db")
    axis.set_xticks(EPOCH_TICKS, list(map(str, EPOCH_TICKS)))
    axis.xaxis.minorticks_off()
    title = f"{speed_SxExL.shape[-1]} hidden layers through training:"
    times = f"{ratio.min():.3g} to {ratio.max():.3g} times"
    axis.set_title(f"{title}\nthe last {times} as fast as the first")


def draw(starts: list[np.ndarray], courses: list[np.ndarray]):
    """Above the speeds before training, below their course, for each number of hidden layers."""
    figure, axes = figures.new_figure(15, 9, len(starts), 2)
    for axis, speed_SxL, published in zip(axes, starts, PUBLISHED, strict=False):
        draw_start(axis, speed_SxL, published)
    for axis, speed_SxExL in zip(axes[len(starts) :], courses, strict=True):
        draw_course(axis, speed_SxExL, PUBLISHED_COURSE[speed_SxExL.shape[-1]])
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend(fontsize=9)
    return figure


def study() -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    dataset = input_pipeline.split(input_pipeline.load("mnist"), IMAGES, VALIDATION)
    starts = [speeds(len(published), dataset.images, dataset.labels) for published in PUBLISHED]
    courses = [course(len(published), dataset) for published in PUBLISHED]
    claims = [line for speed_SxL, p in zip(starts, PUBLISHED, strict=True) for line in claims_of(speed_SxL, p)]
    claims += [line for speed_SxExL in courses for line in course_claims(speed_SxExL)]
    return draw(starts, courses), claims


if __name__ == "__main__":
    studies.main(study)
