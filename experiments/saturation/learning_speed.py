"""Do early layers learn more slowly than late ones, before training has begun and through it?

    python -m experiments.saturation.learning_speed [--budget=full]

The run time is in docs/results.md.

Source: Nielsen, Neural Networks and Deep Learning, chapter 5: |delta^l|, the norm of the mean of dC/db^l over the first
1,000 training images, in nets of 2, 3 and 4 hidden layers of 30 sigmoid units with cross-entropy, N(0, 1 / n_in)
weights and N(0, 1) biases. The book prints one draw of each before training, and draws its course over 500 epochs of
gradient descent on all of the 1,000 images at once (eta .1, lambda 5); the numbers of that figure are in the book's
repository (fig/norms_during_training_*_layers.json, whose last line is after 499 epochs).

Bands, set before the run. Before training: each printed number inside the 5-95 % range of 80 seeds, and a speed that
rises from layer to layer in at least 95 % of the seeds, which fewer than 72 that all rise do not decide. Through
training, 6 seeds, and 80 in the full budget (40 until these had decided), as fewer than 36 do not decide 90 %: the
median seed has its first hidden layer slower than its last one in at least 90 % of the epochs; in at least 90 % of the
seeds all layers are slower at the end than after 5 epochs. (The course with 2 hidden layers had been seen when these
bands were set, those with 3 and 4 had not.)

The book's draws of the first and of the last hidden layer through training are judged by the 2.5-97.5 % range of the
seeds: after 20 epochs and at the end each lies in it, and the other layer's does not. At first the seeds' median was to
be within a factor of 2 of the draw, which a single draw need not satisfy, and 40 seeds left one line undecided; so
these lines are exploratory, and the full budget trains 400 seeds for the first 20 epochs.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import input_pipeline
import nets
from configs import nielsen
from experiments.engine import executors, space
from experiments.study import command, elsewhere, toolkit
from experiments.study.claims import Claim, Words, draw_claim, interval_claim, share_claim
from experiments.study.elsewhere import Elsewhere, fitted
from experiments.study.study import FRESHER_SEEDS, Study
from training import figures
from training.compiling import LARGE_PRODUCTS, compiled
from training.config import Config, as_config

# By the number of hidden layers: the speed of each of them before training, and after so many epochs.
PUBLISHED = {
    2: (0.06574, 0.30922),
    3: (0.01184, 0.05997, 0.28314),
    4: (0.00298, 0.01708, 0.06954, 0.28514),
}
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
SOURCE = "Nielsen, chapter 5 (P)"
SEEDS, UNITS, ETA, PROBE_EVERY = 80, 30, 0.1, 5
EPOCH_TICKS = (5, 10, 20, 50, 100, 200, 500)
# Every run is validated after every epoch, and nothing here reads it: few images.
VALIDATION = "100"
SEEN_BEFORE = "the course with 2 hidden layers had been seen when the bands were set"
# After so many epochs, and at the end, speeds are compared with the book's.
EARLY = 20
RESTATED = (
    "the range of the seeds took the place of a factor of 2 about their median once 40 seeds had been seen, with 2 "
    "layers those from 1,000 on as well; that 80 are trained, and 400 to epoch 20, was chosen then"
)


NIELSEN = as_config(nielsen.get_config())


class Size(NamedTuple):
    """How many hidden layers the nets have, how many seeds are drawn and how many are trained, for how many epochs, on
    how many images; units a layer, Nielsen's lambda, every how many epochs the speed is measured, and from which seed
    on they are drawn; what else the nets' config says; how many seeds are trained for EARLY epochs, those of the whole
    course where 0."""

    layers: tuple[int, ...]
    seeds: int
    course_seeds: int
    epochs: int
    images: int = 1_000
    units: int = UNITS
    decay: float = 5.0
    probe_every: int = PROBE_EVERY
    seeds_from: int = 0
    config: Config = NIELSEN
    early_seeds: int = 0


QUICK, TINY = Size((2, 3, 4), SEEDS, 6, 500), Size((2,), 3, 2, 20)


def speeds(
    layers: int,
    images_BxD: np.ndarray,
    labels_B: np.ndarray,
    seeds: int = SEEDS,
    seeds_from: int = 0,
    classes: int = 10,
) -> np.ndarray:
    """|delta| of each hidden layer for each seed, [seeds, layers]."""
    hidden = (UNITS,) * layers
    net = nets.MLP(hidden=hidden, classes=classes, output="sigmoid", kernel_init="nielsen_small", bias_init="normal")
    cost = nets.costs.get("cross_entropy", "sigmoid")

    def all_seeds(keys: jax.Array, x_BxD: jax.Array, targets_BxC: jax.Array) -> jax.Array:
        def one_seed(key: jax.Array) -> jax.Array:
            params = net.init(key, x_BxD[:1])["params"]

            def mean_cost(params: Any) -> jax.Array:
                return jnp.mean(cost.per_example(net.apply({"params": params}, x_BxD)[0], targets_BxC))

            norms = nets.speed.bias_gradient_norms(jax.grad(mean_cost)(params))
            return jnp.stack([norms[f"hidden_{i}"] for i in range(layers)])

        return jax.lax.map(one_seed, keys)

    keys = jax.random.split(jax.random.key(seeds_from + layers), seeds)
    x_BxD = jnp.float32(images_BxD) / 255 if images_BxD.dtype == np.uint8 else jnp.asarray(images_BxD)
    arguments = keys, x_BxD, jax.nn.one_hot(labels_B, classes)
    return np.asarray(compiled(all_seeds, *arguments, cpu_options=LARGE_PRODUCTS)(*arguments))


def course_config(layers: int, size: Size) -> Config:
    """Nielsen's run of so many hidden layers: gradient descent on all images at once, lambda / n being `l2` here."""
    return size.config.replace(
        train_examples=size.images,
        validation=VALIDATION,
        hidden=(size.units,) * layers,
        kernel_init="nielsen_small",
        cost="cross_entropy",
        learning_rate=ETA,
        l2=size.decay / size.images,
        batch_size=size.images,
        epochs=size.epochs,
        probes=("speed",),
        probe_every=size.probe_every,
        probe_examples=size.images,
    )


def course(layers: int, size: Size, dataset: input_pipeline.Dataset) -> np.ndarray:
    """|delta| of each hidden layer after every so many epochs of training, [seeds, epochs, layers]."""
    seeds = range(size.seeds_from, size.seeds_from + size.course_seeds)
    trials = space.make_trials(course_config(layers, size), None, {"seed": seeds})
    table = executors.train_all(trials, dataset, f"{layers} hidden layers")
    columns = [table[f"speed/hidden_{i}"].drop_null().to_numpy() for i in range(layers)]
    return np.stack([column.reshape(size.course_seeds, -1) for column in columns], axis=-1)


def start_claims(speed_SxL: np.ndarray, published: tuple[float, ...]) -> list[Claim]:
    """The layers' speeds against the book's draw, and whether they rise."""
    layers = len(published)
    name, key = f"{layers} hidden layers", f"{layers}/start"
    lines: list[Claim] = []
    for i, own in enumerate(published):
        other = i + 1 if i + 1 < layers else i - 1
        words: Words = {"rival": f"layer {other + 1}, {published[other]:g}", "rival_at": published[other]}
        title = f"{name}: speed of layer {i + 1}"
        lines.append(draw_claim(f"{key}/layer{i + 1}", title, SOURCE, own, speed_SxL[:, i], (5, 95), **words))
    rises_S, title = np.all(np.diff(speed_SxL, axis=1) > 0, axis=1), f"{name}: share of seeds whose speed rises"
    chance = 1 / math.factorial(layers)
    words = {"rival": f"no order, {chance:.2g}", "rival_at": chance}
    title = f"{title} with the layer"
    rises = share_claim(f"{key}/rises", title, "direction", SOURCE, rises_S, (0.95, 1.0), **words)
    return [*lines, rises]


def overtaking(slower_SxE: np.ndarray, probe_every: int) -> str:
    """In how many seeds and when the first layer is the faster one; nothing where it never is."""
    if slower_SxE.all():
        return ""
    faster_E = probe_every * (1 + np.flatnonzero(~slower_SxE.all(axis=0)))
    seeds = f"{int((~slower_SxE.all(axis=1)).sum())} of {len(slower_SxE)} seeds"
    return f"the first layer is the faster one in {seeds} for a while, between epochs {faster_E[0]} and {faster_E[-1]}."


def course_claims(
    speed_SxExL: np.ndarray, probe_every: int = PROBE_EVERY, early_SxExL: np.ndarray | None = None
) -> list[Claim]:
    """The course of the layers' speeds: who is slower, whether all fall, and how far, against the book's draw; after
    EARLY epochs that of more seeds, where there are some."""
    _, epochs, layers = speed_SxExL.shape
    title, key = f"{layers} hidden layers, training", f"{layers}/course"
    shared: Any = {"count": len(speed_SxExL), "exploratory": SEEN_BEFORE if layers == 2 else ""}
    slower_SxE = speed_SxExL[:, :, 0] < speed_SxExL[:, :, -1]
    slower_S, falls_S = slower_SxE.mean(axis=1), np.all(speed_SxExL[:, -1] < speed_SxExL[:, 0], axis=1)
    lines = [
        interval_claim(
            f"{key}/slower",
            f"{title}: the median seed's share of epochs with the first layer slower than the last",
            "direction",
            SOURCE,
            float(np.median(slower_S)),
            toolkit.median_interval(slower_S),
            (0.9, 1.0),
            values=slower_S,
            rival="no order, .5",
            rival_at=0.5,
            note=overtaking(slower_SxE, probe_every),
            **shared,
        ),
        share_claim(
            f"{key}/falls",
            f"{title}: share of seeds with all layers slower at the end",
            "direction",
            SOURCE,
            falls_S,
            (0.9, 1.0),
            rival=f"each as often up as down, {0.5**layers:.2g}",
            rival_at=0.5**layers,
            exploratory=shared["exploratory"],
        ),
    ]
    early_SxL = (speed_SxExL if early_SxExL is None else early_SxExL)[:, EARLY // probe_every - 1]
    for place, after, epoch, speed_SxL in (
        (f"epoch{EARLY}", EARLY, EARLY, early_SxL),
        ("end", epochs * probe_every, 499, speed_SxExL[:, -1]),
    ):
        for layer in (0, layers - 1):
            own, other = (PUBLISHED_COURSE[layers][epoch][i] for i in (layer, layers - 1 - layer))
            words: Words = {"rival": f"layer {layers - layer}, {other:.3g}", "rival_at": other, "exploratory": RESTATED}
            name, path = f"{title}: speed of layer {layer + 1} after {after} epochs", f"{key}/{place}/layer{layer + 1}"
            lines.append(draw_claim(path, name, SOURCE, own, speed_SxL[:, layer], **words))
    return lines


def draw_start(axis: Any, speed_SxL: np.ndarray, published: tuple[float, ...], has_printed: bool = True) -> None:
    """The seeds' speeds before training from layer to layer, with the book's draw where it is of the data set."""
    layer = np.arange(1, speed_SxL.shape[1] + 1)
    low, median, high = np.percentile(speed_SxL, (5, 50, 95), axis=0)
    axis.plot(layer, median, color="tab:blue", label=f"median of {len(speed_SxL)} seeds")
    axis.fill_between(layer, low, high, color="tab:blue", alpha=0.25, linewidth=0, label="their 5-95 % range")
    if has_printed:
        axis.plot(layer, published, "ko", label="Nielsen, chapter 5")
    ratio = np.median(speed_SxL[:, -1] / speed_SxL[:, 0])
    axis.set(yscale="log", xlabel="hidden layer", ylabel="|delta|: norm of the mean dC/db", xticks=layer)
    title = f"{len(published)} hidden layers before training:"
    axis.set_title(f"{title}\nthe last learns {ratio:.0f} times as fast as the first")


def draw_course(
    axis: Any, speed_SxExL: np.ndarray, published: dict[int, tuple[float, ...]], probe_every: int, has_printed: bool
) -> None:
    """Each layer's speed by epoch, median and range of the seeds, with points of the book's curves where they are of
    the data set."""
    epoch = probe_every * np.arange(1, speed_SxExL.shape[1] + 1)
    for i in range(speed_SxExL.shape[-1]):
        low, median, high = np.percentile(speed_SxExL[:, :, i], (0, 50, 100), axis=0)
        axis.plot(epoch, median, color=f"C{i}", label=f"hidden layer {i + 1}")
        axis.fill_between(epoch, low, high, color=f"C{i}", alpha=0.15, linewidth=0)
        if has_printed:
            axis.plot(list(published), [of_layer[i] for of_layer in published.values()], "o", color=f"C{i}", mec="k")
    axis.fill_between([], [], color="gray", alpha=0.3, label=f"range of {len(speed_SxExL)} seeds")
    if has_printed:
        axis.plot([], [], "o", color="white", mec="k", label="Nielsen, chapter 5")
    ratio = np.median(speed_SxExL[..., -1] / speed_SxExL[..., 0], axis=0)
    axis.set(yscale="log", xscale="log", xlabel="epoch", ylabel="|delta|: norm of the mean dC/db")
    axis.set_xticks(EPOCH_TICKS, list(map(str, EPOCH_TICKS)))
    axis.xaxis.minorticks_off()
    title = f"{speed_SxExL.shape[-1]} hidden layers through training:"
    times = f"{ratio.min():.3g} to {ratio.max():.3g} times"
    axis.set_title(f"{title}\nthe last {times} as fast as the first")


def draw(starts: dict[int, np.ndarray], courses: dict[int, np.ndarray], probe_every: int, has_printed: bool) -> Any:
    """Above the speeds before training, below their course, for each number of hidden layers."""
    figure, axes = figures.new_figure(5 * len(starts), 9, len(starts), 2)
    for axis, (layers, speed_SxL) in zip(axes, starts.items(), strict=False):
        draw_start(axis, speed_SxL, PUBLISHED[layers], has_printed)
    for axis, (layers, speed_SxExL) in zip(axes[len(starts) :], courses.items(), strict=True):
        draw_course(axis, speed_SxExL, PUBLISHED_COURSE[layers], probe_every, has_printed)
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend(fontsize=9)
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    dataset = elsewhere.dataset_of(size.config.replace(train_examples=size.images, validation=VALIDATION))
    images, labels, classes = dataset.images, dataset.labels, size.config.classes
    starts = {layers: speeds(layers, images, labels, size.seeds, size.seeds_from, classes) for layers in size.layers}
    courses = {layers: course(layers, size, dataset) for layers in size.layers}
    claims = [line for layers, speed_SxL in starts.items() for line in start_claims(speed_SxL, PUBLISHED[layers])]
    has_printed, early = elsewhere.has_printed(size.config), dict[int, np.ndarray]()
    if size.early_seeds and has_printed:  # Elsewhere nothing is printed.
        shorter = size._replace(course_seeds=size.early_seeds, epochs=EARLY)
        early = {layers: course(layers, shorter, dataset) for layers in size.layers}
    for layers, speed_SxExL in courses.items():
        claims += course_claims(speed_SxExL, size.probe_every, early.get(layers))
    return draw(starts, courses, size.probe_every, has_printed), claims


STUDY = Study(
    question="Do early layers learn more slowly than late ones, before training has begun and through it?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": QUICK._replace(course_seeds=80, early_seeds=400)},
    elsewhere=Elsewhere(
        lambda size, dataset: size._replace(config=fitted(size.config, dataset)),
        {"*/start/rises": None, "*/course/slower": None, "*/course/falls": None},
    ),
    fresh_seeds=FRESHER_SEEDS,
)

if __name__ == "__main__":
    command.main(STUDY)
