"""Does a start at a bad minimum cost accuracy for good, and which training gets away from it?

    python -m experiments.escape.bad_start [--budget=full]      1.5 minutes on 2 cores, 12 full

Source: Liu, Papailiopoulos & Achlioptas 2020, Bad global minima exist and SGD can reach them: networks that have first
learned random labels, and then the true ones, fit the training set and test far worse ("up to 40 %" on CIFAR) unless
the training is regularized: without momentum, L2 and augmentation SGD stays near, with them it gets away. Here with the
lecture's intermediate net (784-64-64 relu-10, cross-entropy) on the first 1,000 images of MNIST. It first learns one
random labelling of them (the same for all seeds, which differ in initial draw and batches; batches of 32, rate .1, 300
epochs), and then, from there and from its random initial draw alike, the true labels: gradient descent on all images at
once (500 epochs), and SGD with batches of 128 and 8, at several rates; batches of 8 with momentum .9, with L2 .003 and
with both. The full size has descent on all images for 2,500 epochs as well, without and with L2 .003. 4 seeds, full 40.
The gap is between the accuracies on the 10,000 test images from the random and from the bad start, in the same seed.

Bands, set before the run, for the whole 95 % interval over the seeds where it is a gap. The random labels are learned:
accuracy on them at least .99 (mean). Both starts fit the true labels with gradient descent at either rate: training
accuracy at least .99 (the lowest mean). The gap of gradient descent, at its lower rate: at least 2 points (the paper's
direction; its size is ours). It travels less far from the bad minimum than that lies from the initial draw. Of that
gap, batches of 8 at their highest rate make good at least half (and at most twice all of it), and so do momentum and L2
together (the mean over the seeds; ours, as the paper's nets have augmentation as well). The same band is asked of
batches of 8 at their lower rates, and of descent for longer in the full size: exploratory lines, added after a look; of
the other ways the command prints a table. The highest rate of batches of 8 throws nets out of the bad minimum and into
a worse place, where most hidden units are dead. The curvature at the bad start is not larger than at the random one,
the gradient is: all random labels are fitted and the true ones wrong; no line tests that this is the cause. Descent for
as much of rate x steps as batches of 8 at rate .1 stands beside what these make good.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import input_pipeline
import nets
import train
from configs import intermediate
from experiments.engine import executors, results, space, statistics
from experiments.study import command, toolkit
from experiments.study.claims import Claim, Words, below, by_key, interval_claim, mean_claim
from experiments.study.scoreboard import markdown
from experiments.study.study import FRESHER_SEEDS, Study
from training import figures, models
from training.batches import scale
from training.config import Config, as_config

SOURCE, OURS = "Liu et al. 2020 (S)", "ours, no published number"
EXAMPLES = 1_000
LABELLING, LEARNED_BATCH, LEARNED_RATE = 0, 32, 0.1
LEARNED, FITTED, LEAST_GAP, LEAST_SHARE = 0.99, 0.99, 2.0, 0.5
STARTS = ("random", "bad")
ADDED = "added once the highest rate had been seen to fail, and the others not; 40 seeds, as 10 left one line undecided"


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
    "all, 5 x longer, L2 .003": Setting(EXAMPLES, (0.3,), 2_500, l2=0.003),
    "batches of 128": Setting(128, (0.1, 0.3), 200),
    "batches of 8": Setting(8, (0.03, 0.1, 0.3), 60),
    "8, momentum .9": Setting(8, (0.003, 0.01), 60, momentum=0.9),
    "8, L2 .003": Setting(8, (0.03, 0.1), 60, l2=0.003),
    "8, both": Setting(8, (0.003, 0.01), 60, momentum=0.9, l2=0.003),
}
DESCENT, SMALL, REGULARIZED = "descent on all", "batches of 8", "8, both"
LONGER = {"longer": "all, 5 x longer", "longer_l2": "all, 5 x longer, L2 .003"}
MOST_GAP, COLOURS = 8.0, ("tab:blue", "tab:red")


class Size(NamedTuple):
    """How much is trained, and on what. `settings` has the ways to train by name, of which that with small
    batches, the regularized one and LONGER are judged beside descent."""

    examples: int
    seeds: int
    learned_epochs: int  # for the random labels
    seen: int  # test images that are looked at in training; the accuracies of the claims are those on all
    settings: dict[str, Setting]
    small: str
    regularized: str
    drawn: tuple[tuple[str, int], ...]  # whose courses are drawn, and the place of the rate
    is_steepness_measured: bool  # it is said in a note
    seeds_from: int = 0


FULL = Size(
    examples=EXAMPLES,
    seeds=40,
    learned_epochs=300,
    seen=500,
    settings=SETTINGS,
    small=SMALL,
    regularized=REGULARIZED,
    drawn=((DESCENT, 0), (SMALL, 1), (SMALL, 2), (REGULARIZED, -1)),
    is_steepness_measured=True,
)
QUICK = FULL._replace(seeds=4, settings={name: way for name, way in SETTINGS.items() if name not in LONGER.values()})
TINY = Size(64, 2, 2, 50, {DESCENT: Setting(32, (0.1, 0.2), 2)}, DESCENT, DESCENT, ((DESCENT, 0),), False)


class Ended(NamedTuple):
    """What runs from both of STARTS end with, by start, rate and seed, [2, R, S]: accuracies, the distance travelled,
    the share of hidden units that are dead. `course` is the accuracy on some test images after each of E epochs, [2, R,
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


def config_of(setting: Setting) -> Config:
    """The intermediate net's config, trained so."""
    fields = {"batch_size": setting.batch_size, "epochs": setting.epochs, "momentum": setting.momentum}
    return as_config(intermediate.get_config()).replace(**fields, l2=setting.l2, probes=())


def initial_states(config: Config, seeds: Sequence[int]) -> list[train.TrainState]:
    """The states before training, their weights being the draws that runs with those seeds start from."""
    init, numbers = train.make_train(config).init, train.hyperparameters(config)
    return [jax.device_get(init(numbers, train.run_keys(seed)[0])) for seed in seeds]


@functools.cache
def accuracy_of_net() -> Any:
    """(state, images, labels) -> the accuracy, compiled once for all ways of training."""
    evaluate = train.make_train(intermediate.get_config()).evaluate
    return lambda state, *data: float(evaluate(state._replace(opt_state=()), *data)["accuracy"])


def bad_starts(size: Size, seeds: range, dataset: input_pipeline.Dataset) -> tuple[dict[int, Any], np.ndarray]:
    """The weights by seed once the random labels are learned, and the accuracies on these labels, [seeds]."""
    config = config_of(Setting(LEARNED_BATCH, (), size.learned_epochs)).replace(learning_rate=LEARNED_RATE)
    trials = space.make_trials(config, None, {"seed": seeds})
    relabelled = random_labels(dataset)
    _, states = executors.train_states(trials, relabelled, "random labels")
    learned = [accuracy_of_net()(states[name], relabelled.images, relabelled.labels) for name in trials]
    return {trial.seed: states[name].params for name, trial in trials.items()}, np.array(learned)


def distance(before: Any, after: Any) -> float:
    """The Euclidean distance of two trees of weights."""
    return float(np.linalg.norm(ravel_pytree(after)[0] - ravel_pytree(before)[0]))


@functools.cache
def dead_of_net() -> Any:
    """(parameters, images) -> the share of hidden units that are 0 on all of them."""
    model = models.make_mlp(intermediate.get_config())

    def dead(params, images_BxD):
        named: Any = model.apply({"params": params}, scale(images_BxD))[1]
        layers = [nets.saturation.dead_units(named[f"{layer}/a"]) for layer in nets.mlp.hidden_layers(named)]
        return jnp.mean(jnp.concatenate(layers).astype(jnp.float32))

    return jax.jit(dead)


def steepness(params: Any, dataset: input_pipeline.Dataset, batch_size: int) -> tuple[float, float]:
    """Of the cost of the true labels: the largest eigenvalue of its Hessian, and the root mean square norm of the
    gradient of a batch of that size."""
    config, data = intermediate.get_config(), dataset[:2]
    noise = nets.curvature.gradient_noise_scale(toolkit.cost_of(config), params, data)
    squared = noise.gradient_squared + noise.covariance_trace / batch_size
    return toolkit.sharpness_of(config, params, *data), float(jnp.sqrt(squared))


def train_from_both(
    name: str, setting: Setting, bad: dict[int, Any], dataset: input_pipeline.Dataset, whole: input_pipeline.Dataset
) -> Ended:
    """The true labels learned from both starts of each seed at each rate; `bad` has the weights to start from by seed,
    `whole` all the test images."""
    config = config_of(setting)
    given = space.make_trials(config, None, {"learning_rate": setting.rates, "seed": list(bad)})
    initial = dict(zip(bad, initial_states(config, list(bad)), strict=True))
    trials: dict[str, Config] = {}
    starts: dict[str, train.TrainState] = {}
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


def share_made_good(gap_S: np.ndarray, descent_S: np.ndarray) -> tuple[float, tuple[float, float]]:
    """How much of descent's mean gap is made good where the gap is another, the mean over the seeds, and the 95 %
    interval of one less the ratio of two means over the same seeds."""
    share_S = 1 - gap_S / descent_S.mean()
    share = float(share_S.mean())
    # How far each seed's pair is off the ratio: the noise of both means is in it.
    off_S = (gap_S - (1 - share) * descent_S) / descent_S.mean()
    half = statistics.student_quantile(len(off_S) - 1, 0.95) * float(off_S.std(ddof=1)) / len(off_S) ** 0.5
    return share, (share - half, share + half)


def share_claim(key: str, name: str, gap_S: np.ndarray, descent_S: np.ndarray, **words: Unpack[Words]) -> Claim:
    """How much of descent's mean gap a way makes good."""
    words |= {"rival": "nothing made good, 0", "rival_at": 0.0}
    return interval_claim(
        f"made_good/{key}",
        f"{name}: share of that gap made good",
        "ours",
        OURS,
        *share_made_good(gap_S, descent_S),
        (LEAST_SHARE, 2.0),
        count=len(descent_S),
        values=1 - gap_S / descent_S.mean(),
        **words,
    )


def share_claims(size: Size, ended: Mapping[str, Ended], thrown_out: str) -> list[Claim]:
    """What small batches make good, the regularized ones, and those that were added; of the first at their highest
    rate `thrown_out` is said."""
    descent_S, gap_RxS, regularized_S = (gaps(ended[way]) for way in (DESCENT, size.small, size.regularized))
    of_rates = zip(size.settings[size.small].rates, gap_RxS, strict=True)
    added = {f"small_batches/rate{rate:g}": (f"{size.small}, rate {rate:g}", gap_S) for rate, gap_S in of_rates}
    _, highest = added.popitem()
    added |= {key: (f"descent on {way}", gaps(ended[way])[-1]) for key, way in LONGER.items() if way in ended}
    return [
        share_claim("small_batches", *highest, descent_S[0], note=thrown_out),
        share_claim("regularized", "momentum and L2", regularized_S[-1], descent_S[0]),
        *(share_claim(key, *named, descent_S[0], exploratory=ADDED) for key, named in added.items()),
    ]


def thrown(ended: Ended, rate: float, steepness_2x2: np.ndarray) -> str:
    """What the highest rate does to both starts, in words."""
    dead_2, (half_2, step_2) = 100 * ended.dead[:, -1].mean(axis=1), rate * steepness_2x2.T
    return (
        f"at rate {rate:g}, from the bad start and from the random one: first step of length {step_2[1]:.2g} and "
        f"{step_2[0]:.2g}; dead hidden units at the end {dead_2[1]:.0f} % and {dead_2[0]:.0f} %; rate x largest "
        f"eigenvalue of the Hessian / 2 at the start {half_2[1] / 2:.2g} and {half_2[0] / 2:.2g}"
    )


def fit_claim(fit_2xRxS: np.ndarray) -> Claim:
    """The training accuracies of descent from both starts at each rate: their lowest mean, with an interval for all of
    the means at once."""
    seeds = fit_2xRxS.shape[-1]
    errors = fit_2xRxS.std(axis=-1, ddof=1) / seeds**0.5
    least, (low, high) = toolkit.farthest(fit_2xRxS.mean(axis=-1).ravel(), errors.ravel(), degrees=seeds - 1)
    return interval_claim(
        "descent/fit",
        "descent on all: least training accuracy of either start at either rate",
        "direction",
        SOURCE,
        least,
        (max(low, 0.0), high),
        (FITTED, 1.0),
        count=seeds,
        published=1.0,
        **Words(rival="a guess, .1", rival_at=0.1),
        values=fit_2xRxS.min(axis=(0, 1)),
    )


def claims_of(
    size: Size, ended: Mapping[str, Ended], learned_S: np.ndarray, far_S: np.ndarray, steepness_2x2: np.ndarray
) -> list[Claim]:
    """What the bad start costs, and who gets away from it; far_S is how far it lies from the initial draw,
    steepness_2x2 the mean of both STARTS."""
    descent, rate = ended[DESCENT], f"{size.settings[DESCENT].rates[0]:g}"
    name, guess = "accuracy on the random labels", {"bounds": (0.0, 1.0), "rival": "a guess, .1", "rival_at": 0.1}
    costs = f"descent on all, rate {rate}: random start ahead of the bad one, points of test accuracy"
    stays = f"descent on all, rate {rate}: way from the bad minimum, over its distance from the initial draw"
    ratio_S = descent.travelled[1, 0] / far_S
    near: Any = {"bounds": (0.0, np.inf), "rival": "as far as the initial draw lies, 1", "rival_at": 1.0}
    note = thrown(ended[size.small], size.settings[size.small].rates[-1], steepness_2x2)
    return [
        mean_claim("learned", name, "direction", SOURCE, learned_S, (LEARNED, 1.0), published=1.0, **guess),
        fit_claim(descent.training),
        mean_claim(
            "descent/gap",
            costs,
            "direction",
            SOURCE,
            gaps(descent)[0],
            (LEAST_GAP, None),
            rival="no gap, 0",
            rival_at=0.0,
        ),
        mean_claim("descent/way", stays, "ours", OURS, ratio_S, (0.0, below(1.0)), **near),
        *share_claims(size, ended, note),
    ]


def table_of(size: Size, ended: Mapping[str, Ended]) -> str:
    """Every way and rate in numbers, means over the seeds."""
    columns = ("way", "rate", "random start", "bad start", "gap", "interval", "least training accuracy", "travelled")
    rows: list[list[str]] = []
    for name, of_way in ended.items():
        for r, rate in enumerate(size.settings[name].rates):
            gap = statistics.interval(gaps(of_way)[r])
            test = [f"{100 * of_way.test[s, r].mean():.2f}" for s in range(len(STARTS))]
            travelled = " and ".join(f"{of_way.travelled[s, r].mean():.1f}" for s in range(len(STARTS)))
            interval = f"{gap.low:.2f} to {gap.high:.2f}"
            least = f"{of_way.training[:, r].mean(axis=1).min():.4f}"
            rows.append([name, f"{rate:g}", *test, f"{gap.mean:.2f}", interval, least, travelled])
    return markdown(columns, rows)


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def draw_gaps(axis: Any, size: Size, ended: Mapping[str, Ended]) -> None:
    """The gap of every way and rate, with its 95 % interval; an arrow for one beyond the axis."""
    labels: list[str] = []
    for i, (name, of_way) in enumerate(ended.items()):
        for rate, gap_S in zip(size.settings[name].rates, gaps(of_way), strict=True):
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
    # Below the last one there is room for the legend.
    axis.set_ylim(len(labels) + 0.3, -0.7)
    axis.set(xlim=(-3, MOST_GAP), xlabel="random start ahead of the bad one, points of test accuracy")
    axis.legend(fontsize=9, loc="lower right")


def draw_course(axis: Any, size: Size, name: str, of_way: Ended, rate_index: int) -> None:
    """The accuracy on test images by epoch from both starts, a line a seed."""
    epochs = np.arange(1, of_way.course.shape[-1] + 1)
    for start, colour, course_RxSxE in zip(STARTS, COLOURS, of_way.course, strict=True):
        axis.plot(epochs, 100 * course_RxSxE[rate_index].T, color=colour, alpha=0.5, linewidth=1)
        axis.plot([], [], color=colour, label=f"from the {start} start")
    gap = gaps(of_way)[rate_index].mean()
    axis.set(xlabel="epoch", ylabel=f"accuracy on {size.seen} test images, %", xscale="log", ylim=(0, 112))
    axis.set_title(f"{name}, rate {size.settings[name].rates[rate_index]:g}: bad start {gap:.1f} points lower")
    ticks = [tick for tick in (1, 3, 10, 30, 100, 300, 1_000, 3_000) if tick <= len(epochs)]
    axis.set_xticks(ticks, [f"{tick}" for tick in ticks])
    axis.minorticks_off()
    axis.legend(loc="upper left", fontsize=9, ncols=2)


def draw_travelled(axis: Any, ended: Mapping[str, Ended], far_S: np.ndarray) -> None:
    """How far runs from the bad start go, and the gap that is left, a mark a rate."""
    for i, (name, of_way) in enumerate(ended.items()):
        travelled_R, gap_R = of_way.travelled[1].mean(axis=-1), gaps(of_way).mean(axis=-1)
        shown_R = gap_R <= MOST_GAP
        axis.plot(travelled_R[shown_R], gap_R[shown_R], "o", color=f"C{i}", label=name)
    axis.axvline(far_S.mean(), color="gray", linestyle="--", label="as far as the initial draw")
    axis.axhline(0, color="black", linewidth=1)
    axis.set(xlabel="distance travelled from the bad minimum", ylabel="gap, points of test accuracy")
    axis.set_title("The way travelled, and the gap that is left")
    axis.set_ylim(top=1.4 * axis.get_ylim()[1])
    axis.legend(fontsize=8, loc="upper center", ncols=2)


def draw(size: Size, ended: Mapping[str, Ended], far_S: np.ndarray, claims: list[Claim]) -> Any:
    """The gaps, the distances, and four courses."""
    figure, axes = figures.new_figure(16, 9.5, 3, 2)
    gap, left = by_key(claims)["descent/gap"].measured, gaps(ended[size.regularized])[-1].mean()
    title = (
        f"Random labels first cost descent {gap:.1f} points of test accuracy; regularized SGD keeps {left:.1f} of them"
    )
    figure.suptitle(title, fontsize=13)
    draw_gaps(axes[0], size, ended)
    axes[0].set_title("What the bad start costs")
    draw_travelled(axes[3], ended, far_S)
    for axis, (name, rate_index) in zip((axes[1], axes[2], axes[4], axes[5]), size.drawn, strict=False):
        draw_course(axis, size, name, ended[name], rate_index)
    for axis in axes:
        axis.set_visible(axis.has_data())
        axis.grid(alpha=0.3)
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    whole = input_pipeline.load("mnist")
    dataset = input_pipeline.split(whole, size.examples)
    seen = dataset.validation_images[: size.seen], dataset.validation_labels[: size.seen]
    dataset = input_pipeline.Dataset(dataset.images, dataset.labels, *seen)
    seeds = range(size.seeds_from, size.seeds_from + size.seeds)
    bad, learned_S = bad_starts(size, seeds, dataset)
    initial = [state.params for state in initial_states(config_of(size.settings[DESCENT]), seeds)]
    far_S = np.array([distance(*pair) for pair in zip(initial, bad.values(), strict=True)])
    steep_2x2 = np.ones((2, 2))
    if size.is_steepness_measured:
        batch_size, starts = size.settings[size.small].batch_size, (initial, bad.values())
        steep_2xSx2 = [[steepness(params, dataset, batch_size) for params in of_start] for of_start in starts]
        steep_2x2 = np.array(steep_2xSx2).mean(axis=1)
    ended = {name: train_from_both(name, way, bad, dataset, whole) for name, way in size.settings.items()}
    print(table_of(size, ended), flush=True)
    claims = claims_of(size, ended, learned_S, far_S, steep_2x2)
    return draw(size, ended, far_S, claims), claims


STUDY = Study(
    question="Does a start at a bad minimum cost accuracy for good, and which training gets away from it?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
    fresh_seeds=FRESHER_SEEDS,
)

if __name__ == "__main__":
    command.main(STUDY)
