"""Does a start at a bad minimum cost accuracy for good, and which training gets away from it?

    python -m experiments.escape.bad_start [--budget=full]      3 minutes on 2 cores, 8 full

Source: Liu, Papailiopoulos & Achlioptas 2020, Bad global minima exist and SGD can reach them: networks that have first
learned random labels, and then the true ones, fit the training set and test far worse ("up to 40 %" on CIFAR) unless
the training is regularized: without momentum, L2 and augmentation SGD stays near, with them it gets away. Here with the
lecture's intermediate net (784-64-64 relu-10, cross-entropy) on the first 1,000 images of MNIST. It first learns one
random labelling of them (the same for all seeds, which differ in initial draw and batches; batches of 32, rate .1, 300
epochs), and then, from there and from its random initial draw alike, the true labels: gradient descent on all images at
once (500 epochs, and at the higher rate also 2,500, without and with L2 .003), and SGD with batches of 128 and 8, at
several rates; batches of 8 with momentum .9, with L2 .003 and with both. 4 seeds (full: 10). The gap is that between
the accuracies on the 10,000 test images from the random and from the bad start, in the same seed.

Bands, set before the run, for the whole 95 % interval over the seeds where it is a gap. The random labels are learned:
accuracy on them at least .99 (mean). Both starts fit the true labels with gradient descent at either rate: training
accuracy at least .99 (the lowest mean). The gap of gradient descent, at its lower rate: at least 2 points (the paper's
direction; its size is ours). It travels less far from the bad minimum than that lies from the initial draw. Of that
gap, batches of 8 at their highest rate make good at least half (and at most twice all of it), and so do momentum and L2
together (the mean over the seeds; ours, as the paper's nets have augmentation as well).

Measured: 5 of 6 (full budget, 10 seeds, 2026-11-25, 2 cores). Means with 95 % intervals; everything but the .3 of
batches of 8 fits all labels from either start:

    training            rate    random start, %   bad start, %   gap, points
    descent on all      .1           87.0             82.5       4.5 (4.0 to 5.0)
                        .3           87.7             84.5       3.2 (2.5 to 3.9)
    all, 5 x longer     .3           87.8             85.2       2.5 (1.9 to 3.1)
    all, L2 .003        .3           88.5             89.2       -.8 (-1.0 to -.5)
    batches of 128      .1           87.2             84.4       2.8 (2.4 to 3.1)
                        .3           88.1             84.7       3.4 (2.6 to 4.1)
    batches of 8        .03          87.7             85.6       2.1 (1.6 to 2.7)
                        .1           88.8             87.3       1.5 (1.2 to 1.9)
                        .3           88.5             29.9       59 (42 to 75)
    8, momentum .9      .003         87.5             85.8       1.6 (1.2 to 2.1)
                        .01          88.6             87.3       1.3 (1.0 to 1.6)
    8, L2 .003          .03          87.9             88.4       -.5 (-.8 to -.2)
                        .1           89.0             89.0       -.1 (-.5 to .3)
    8, both             .003         87.9             88.4       -.5 (-.8 to -.2)
                        .01          88.8             89.2       -.4 (-.8 to .0)

Gradient descent at rate .1 ends close to the bad minimum, .26 times as far from it as the initial draw is. Batches of 8
make good .53 (.41 to .65) and .66 (.58 to .73) of its gap at the rates .03 and .1, but nothing at the highest one, .3,
which the claim is about: they throw nine nets of ten out of the bad minimum, and into a worse place, where 79 % of the
hidden units are dead (6 % from the random start). Curvature at the start is not the reason: the rate times the largest
eigenvalue of the Hessian over 2 is .39 at the bad start and .43 at the random one. The size of the gradient is: a first
step is 11 long from the bad start, where all random labels are fitted and the true ones wrong, and .71 from the random
one.

Of what batches of 8 make good at the lower rates, a part is not their noise but their many steps: descent on all images
with as much of rate x steps as batches of 8 have at rate .1 leaves 2.5 points (1.9 to 3.1), where these leave 1.5 (1.2
to 1.9), so that about one point is the noise's. With L2 for as many steps, descent on all images makes good all of the
gap, as L2 does with batches of 8, momentum or not; in most of these settings the bad start even ends a little ahead. So
L2 needs no noise, and without it noise and steps make good a half to two thirds; momentum adds next to nothing to
batches of 8, with a rate a tenth as high.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from ml_collections import ConfigDict

import input_pipeline
import nets
import train
from configs import intermediate
from experiments import studies
from experiments.engine import executors, results, space, statistics
from training import figures, probes
from training.batches import scale

SOURCE, OURS = "Liu et al. 2020, direction", "ours, no published number"
EXAMPLES, SEEDS = 1_000, {"quick": 4, "full": 10}
LABELLING, LEARNED_EPOCHS, LEARNED_BATCH, LEARNED_RATE = 0, 300, 32, 0.1
# So many test images are looked at in training; the accuracies of the claims are those on all.
SEEN = 500
LEARNED, FITTED, LEAST_GAP, LEAST_SHARE = 0.99, 0.99, 2.0, 0.5
STARTS = ("random", "bad")


class Setting(NamedTuple):
    """A way to train: as many epochs as it needs to fit the labels."""

    batch_size: int
    rates: tuple[float, ...]
    epochs: int
    momentum: float = 0.0
    l2: float = 0.0


SETTINGS = {
    "descent on all": Setting(EXAMPLES, (0.1, 0.3), 500),
    # As much of rate x steps as batches of 8 at rate .1.
    "all, 5 x longer": Setting(EXAMPLES, (0.3,), 2_500),
    "all, L2 .003": Setting(EXAMPLES, (0.3,), 2_500, l2=0.003),
    "batches of 128": Setting(128, (0.1, 0.3), 200),
    "batches of 8": Setting(8, (0.03, 0.1, 0.3), 60),
    "8, momentum .9": Setting(8, (0.003, 0.01), 60, momentum=0.9),
    "8, L2 .003": Setting(8, (0.03, 0.1), 60, l2=0.003),
    "8, both": Setting(8, (0.003, 0.01), 60, momentum=0.9, l2=0.003),
}
DESCENT, SMALL, REGULARIZED = "descent on all", "batches of 8", "8, both"
# Whose courses are drawn, and the place of the rate.
DRAWN = ((DESCENT, 0), (SMALL, 1), (SMALL, 2), (REGULARIZED, -1))
MOST_GAP, COLOURS = 8.0, ("tab:blue", "tab:red")


class Ended(NamedTuple):
    """What runs from both of STARTS end with, by start, rate and seed, [2, R, S]: accuracies, the distance travelled,
    the share of hidden units that are dead. `course` is the accuracy on SEEN test images after each of E epochs, [2, R,
    S, E]."""

    test: np.ndarray
    training: np.ndarray
    travelled: np.ndarray
    dead: np.ndarray
    course: np.ndarray


def random_labels(dataset: input_pipeline.Dataset) -> input_pipeline.Dataset:
    """The data set with uniformly random labels to train on."""
    classes = int(dataset.labels.max()) + 1
    labels = np.random.default_rng(LABELLING).integers(0, classes, len(dataset.labels), dtype=np.int32)
    return dataset._replace(labels=labels)


def config_of(setting: Setting) -> ConfigDict:
    """The intermediate net's config, trained so."""
    config = intermediate.get_config()
    config.update(batch_size=setting.batch_size, epochs=setting.epochs, momentum=setting.momentum, l2=setting.l2)
    config.probes = ()
    return config


def initial_states(config: Any, seeds: int) -> list[train.TrainState]:
    """The states before training, their weights being the draws that runs with those seeds start from."""
    init, numbers = train.make_train(config).init, train.hyperparameters(config)
    return [jax.device_get(init(numbers, train.run_keys(seed)[0])) for seed in range(seeds)]


@functools.cache
def accuracy_of_net() -> Any:
    """(state, images, labels) -> the accuracy, compiled once for all ways of training."""
    evaluate = train.make_train(intermediate.get_config()).evaluate
    return lambda state, *data: float(evaluate(state._replace(opt_state=()), *data)["accuracy"])


def bad_starts(dataset: input_pipeline.Dataset, seeds: int) -> tuple[list[Any], np.ndarray]:
    """The weights of each seed once the random labels are learned, and the accuracies on these labels, [seeds]."""
    config = config_of(Setting(LEARNED_BATCH, (), LEARNED_EPOCHS))
    config.learning_rate = LEARNED_RATE
    trials = space.make_trials(config, None, {"seed": range(seeds)})
    relabelled = random_labels(dataset)
    _, states = executors.train_states(trials, relabelled, "random labels")
    learned = [accuracy_of_net()(states[name], relabelled.images, relabelled.labels) for name in trials]
    return [states[name].params for name in trials], np.array(learned)


def distance(before: Any, after: Any) -> float:
    """The Euclidean distance of two trees of weights."""
    return float(np.linalg.norm(ravel_pytree(after)[0] - ravel_pytree(before)[0]))


@functools.cache
def dead_of_net() -> Any:
    """(parameters, images) -> the share of hidden units that are 0 on all of them."""
    model = train.make_model(intermediate.get_config())

    def dead(params, images_BxD):
        named: Any = model.apply({"params": params}, scale(images_BxD))[1]
        layers = [nets.saturation.dead_units(named[f"{layer}/a"]) for layer in probes.hidden_layers(named)]
        return jnp.mean(jnp.concatenate(layers).astype(jnp.float32))

    return jax.jit(dead)


def steepness(params: Any, dataset: input_pipeline.Dataset) -> tuple[float, float]:
    """Of the cost of the true labels: the largest eigenvalue of its Hessian, and the root mean square norm of the
    gradient of a batch as small as SMALL's."""
    cost, data = studies.cost_of(intermediate.get_config()), dataset[:2]
    key = jax.random.key(0)
    top = nets.curvature.top_eigenvalues(cost, params, data, key, k=1, steps=20, tolerance=1e-2)
    noise = nets.curvature.gradient_noise_scale(cost, params, data)
    squared = noise.gradient_squared + noise.covariance_trace / SETTINGS[SMALL].batch_size
    return float(top.values_K[0]), float(jnp.sqrt(squared))


def run(name: str, setting: Setting, bad: list[Any], dataset: input_pipeline.Dataset, whole: Any) -> Ended:
    """The true labels learned from both starts of each seed at each rate; `whole` has all the test images."""
    config = config_of(setting)
    given = space.make_trials(config, None, {"learning_rate": setting.rates, "seed": range(len(bad))})
    initial = initial_states(config, len(bad))
    trials, starts = {}, {}
    for start in STARTS:
        for key, trial in given.items():
            state = initial[trial.seed]
            trials[f"{start} {key}"] = trial
            starts[f"{start} {key}"] = state if start == "random" else state._replace(params=bad[trial.seed])
    table, states = executors.train_states(trials, dataset, name, starts)
    accuracy, tests = accuracy_of_net(), (whole.validation_images, whole.validation_labels)
    test = [accuracy(states[key], *tests) for key in trials]
    training = [accuracy(states[key], dataset.images, dataset.labels) for key in trials]
    travelled = [distance(starts[key].params, states[key].params) for key in trials]
    dead = [dead_of_net()(states[key].params, dataset.images) for key in trials]
    seen = results.by_epoch(table, "val_accuracy")
    shape = len(STARTS), len(setting.rates), len(bad)
    course = np.array([seen[key] for key in trials]).reshape(*shape, setting.epochs)
    by_start = [np.array(values).reshape(shape) for values in (test, training, travelled, dead)]
    return Ended(by_start[0], by_start[1], by_start[2], by_start[3], course)


def gaps(ended: Ended) -> np.ndarray:
    """How many points of test accuracy the random start is ahead of the bad one, [R, S]."""
    return 100 * (ended.test[0] - ended.test[1])


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def share_claim(name: str, ended: Mapping[str, Ended], way: str) -> dict[str, Any]:
    """How much of descent's mean gap a way makes good at its highest rate, and in the note at the others."""
    share_RxS, rates = 1 - gaps(ended[way]) / gaps(ended[DESCENT])[0].mean(), SETTINGS[way].rates
    line = studies.claim(name, None, OURS, share_RxS[-1], float(share_RxS[-1].mean()), (LEAST_SHARE, 2.0))
    shares = "; ".join(
        f"at rate {rate:g} {share_S.mean():.2f}, {statistics.interval_in_words(share_S, '.2f')}"
        for rate, share_S in zip(rates, share_RxS, strict=True)
    )
    return line | {"note": f"shares of {way}: {shares}"}


def thrown(ended: Ended, rate: float, steepness_2x2: np.ndarray) -> str:
    """What the highest rate does to both starts, in words."""
    dead_2, (half_2, step_2) = 100 * ended.dead[:, -1].mean(axis=1), rate * steepness_2x2.T
    return (
        f"; at rate {rate:g}, from the bad start and from the random one: first step of length {step_2[1]:.2g} and "
        f"{step_2[0]:.2g}; dead hidden units at the end {dead_2[1]:.0f} % and {dead_2[0]:.0f} %; rate x largest "
        f"eigenvalue of the Hessian / 2 at the start {half_2[1] / 2:.2g} and {half_2[0] / 2:.2g}"
    )


def claims_of(
    ended: Mapping[str, Ended], learned_S: np.ndarray, far_S: np.ndarray, steepness_2x2: np.ndarray
) -> list[dict[str, Any]]:
    """What the bad start costs, and who gets away from it; far_S is how far it lies from the initial draw,
    steepness_2x2 the mean of both STARTS."""
    descent = ended[DESCENT]
    fit_2xRxS, gap_S, ratio_S = descent.training, gaps(descent)[0], descent.travelled[1, 0] / far_S
    fit, gap, ratio = float(fit_2xRxS.mean(axis=-1).min()), statistics.interval(gap_S), float(ratio_S.mean())
    rate = f"{SETTINGS[DESCENT].rates[0]:g}"
    fits = "descent on all: least training accuracy of either start at either rate"
    costs = f"descent on all, rate {rate}: random start ahead of the bad one, points of test accuracy"
    stays = f"descent on all, rate {rate}: way from the bad minimum, over its distance from the initial draw"
    lines = [
        studies.claim("accuracy on the random labels", 1.0, SOURCE, learned_S, float(learned_S.mean()), (LEARNED, 1.0)),
        studies.claim(fits, 1.0, SOURCE, fit_2xRxS.min(axis=(0, 1)), fit, (FITTED, 1.0)),
        studies.claim(costs, None, SOURCE, gap_S, float(gap.mean), (LEAST_GAP, 100.0)),
        studies.claim(stays, None, OURS, ratio_S, ratio, (0.0, 1.0))
        | {"note": statistics.interval_in_words(ratio_S, ".2f")},
        share_claim("small batches at a high rate: share of that gap made good", ended, SMALL),
        share_claim("momentum and L2: share of that gap made good", ended, REGULARIZED),
    ]
    inside = bool(gap.low >= LEAST_GAP)
    lines[2] |= {
        "reproduced": inside,
        "rule": "the 95 % interval inside the band",
        "note": statistics.interval_in_words(gap_S, ".2f"),
    }
    lines[4]["note"] += thrown(ended[SMALL], SETTINGS[SMALL].rates[-1], steepness_2x2)
    return lines


def table_of(ended: Mapping[str, Ended]) -> str:
    """Every way and rate in numbers, means over the seeds."""
    columns = ("way", "rate", "random start", "bad start", "gap", "interval", "least training accuracy", "travelled")
    rows = []
    for name, of_way in ended.items():
        for r, rate in enumerate(SETTINGS[name].rates):
            gap = statistics.interval(gaps(of_way)[r])
            test = [f"{100 * of_way.test[s, r].mean():.2f}" for s in range(len(STARTS))]
            travelled = " and ".join(f"{of_way.travelled[s, r].mean():.1f}" for s in range(len(STARTS)))
            interval = f"{gap.low:.2f} to {gap.high:.2f}"
            least = f"{of_way.training[:, r].mean(axis=1).min():.4f}"
            rows.append([name, f"{rate:g}", *test, f"{gap.mean:.2f}", interval, least, travelled])
    return studies.markdown(columns, rows)


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def draw_gaps(axis, ended: Mapping[str, Ended]) -> None:
    """The gap of every way and rate, with its 95 % interval; an arrow for one beyond the axis."""
    labels = []
    for i, (name, of_way) in enumerate(ended.items()):
        for rate, gap_S in zip(SETTINGS[name].rates, gaps(of_way), strict=True):
            gap, place = statistics.interval(gap_S), len(labels)
            if gap.mean > MOST_GAP:
                arrow = {"arrowstyle": "->", "color": f"C{i}"}
                axis.annotate("", (MOST_GAP, place), (MOST_GAP - 3, place), arrowprops=arrow)
                axis.text(MOST_GAP - 3.2, place, f"{gap.mean:.0f}: thrown out", ha="right", va="center", color=f"C{i}")
            else:
                axis.plot(gap_S, np.full(len(gap_S), place), ".", color="gray", alpha=0.6)
                axis.errorbar(gap.mean, place, xerr=gap.high - gap.mean, fmt="o", color=f"C{i}", capsize=4)
            labels.append(f"{name}, rate {rate:g}")
    axis.axvline(0, color="black", linewidth=1)
    axis.axvline(LEAST_GAP, color="gray", linestyle=":", label=f"band of descent: from {LEAST_GAP:g}")
    axis.set_yticks(range(len(labels)), labels)
    axis.invert_yaxis()
    axis.set(xlim=(-3, MOST_GAP), xlabel="random start ahead of the bad one, points of test accuracy")
    axis.legend(fontsize=9, loc="lower right")


def draw_course(axis, name: str, of_way: Ended, rate_index: int) -> None:
    """The accuracy on test images by epoch from both starts, a line a seed."""
    epochs = np.arange(1, of_way.course.shape[-1] + 1)
    for start, colour, course_RxSxE in zip(STARTS, COLOURS, of_way.course, strict=True):
        axis.plot(epochs, 100 * course_RxSxE[rate_index].T, color=colour, alpha=0.5, linewidth=1)
        axis.plot([], [], color=colour, label=f"from the {start} start")
    gap = gaps(of_way)[rate_index].mean()
    axis.set(xlabel="epoch", ylabel=f"accuracy on {SEEN} test images, %", xscale="log", ylim=(0, 112))
    axis.set_title(f"{name}, rate {SETTINGS[name].rates[rate_index]:g}:\nthe bad start ends {gap:.1f} points lower")
    axis.legend(loc="upper left", fontsize=9, ncols=2)


def draw_travelled(axis, ended: Mapping[str, Ended], far_S: np.ndarray) -> None:
    """How far runs from the bad start go, and the gap that is left, a mark a rate."""
    for i, (name, of_way) in enumerate(ended.items()):
        travelled_R, gap_R = of_way.travelled[1].mean(axis=-1), gaps(of_way).mean(axis=-1)
        shown_R = gap_R <= MOST_GAP
        axis.plot(travelled_R[shown_R], gap_R[shown_R], "o-", color=f"C{i}", label=name)
    axis.axvline(far_S.mean(), color="gray", linestyle="--", label="as far as the initial draw")
    axis.axhline(0, color="black", linewidth=1)
    axis.set(xlabel="distance travelled from the bad minimum", ylabel="gap, points of test accuracy")
    axis.set_title("The way travelled from the bad minimum,\nand the gap that is left")
    axis.legend(fontsize=8, loc="upper right")


def draw(ended: Mapping[str, Ended], far_S: np.ndarray, claims: list[dict[str, Any]]):
    """The gaps, the distances, and four courses."""
    figure, axes = figures.new_figure(16, 9.5, 3, 2)
    figure.suptitle(
        f"A start that has learned random labels costs gradient descent {claims[2]['measured']:.1f} points of test "
        f"accuracy;\nwith batches of 8, momentum and L2 {gaps(ended[REGULARIZED])[-1].mean():.1f} points are left",
        fontsize=13,
    )
    draw_gaps(axes[0], ended)
    axes[0].set_title("What the bad start costs")
    draw_travelled(axes[3], ended, far_S)
    for axis, (name, rate_index) in zip((axes[1], axes[2], axes[4], axes[5]), DRAWN, strict=False):
        draw_course(axis, name, ended[name], rate_index)
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure


def study(budget: str) -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    whole = input_pipeline.load("mnist")
    dataset = input_pipeline.split(whole, EXAMPLES)
    seen = dataset.validation_images[:SEEN], dataset.validation_labels[:SEEN]
    dataset = input_pipeline.Dataset(dataset.images, dataset.labels, *seen)
    bad, learned_S = bad_starts(dataset, SEEDS[budget])
    initial = [state.params for state in initial_states(config_of(SETTINGS[DESCENT]), len(bad))]
    far_S = np.array([distance(*pair) for pair in zip(initial, bad, strict=True)])
    steepness_2x2 = np.array([[steepness(params, dataset) for params in of] for of in (initial, bad)]).mean(axis=1)
    ended = {name: run(name, setting, bad, dataset, whole) for name, setting in SETTINGS.items()}
    print(table_of(ended), flush=True)
    claims = claims_of(ended, learned_S, far_S, steepness_2x2)
    return draw(ended, far_S, claims), claims


if __name__ == "__main__":
    studies.main(study)
