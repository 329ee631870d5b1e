"""Is a batch size larger than 128 not recommended? What should I set mine to?

    python -m experiments.batches.batch_size [--budget=full] [--workdir=runs/batch_size]

6 minutes on 2 cores, 55 for full. A command that was killed goes on with what WORKDIR holds.

Source: a lecture's claim, "a batch size larger than 128 is not recommended", of which is tested what it says of
accuracy, against Shallue et al. 2019, Measuring the effects of data parallelism: no inherent penalty of large batches
once the rate is retuned. The lecture's shallow net (quadratic cost) and intermediate net (ReLU, cross-entropy), plain
SGD, with two budgets:
    equal epochs: 5 (full: 20) passes over the 60,000 images of MNIST, so that larger batches make fewer steps;
    equal steps: 512 (full: 1,024) steps on the first 4,096 (full: 8,192) images, so that larger batches see more
        images, and the largest one is all of them at every step.
The learning rate is tuned for each batch size, budget and net, in factors of about 3: three rates around a rule, then
more while a best one lies at the edge; full: at the sizes that the bands compare, then one more on both sides of the
best, about 1.7 times apart. A seed is judged at the rate that is best in the mean of the other seeds, on the 10,000
test images; rates at which any seed breaks down, to 20 % or less, are left out for all, so that accuracies do not hold
the risk of that. 4 seeds (full: 6), which share the initial draw between batch sizes.

Bands, set before the run, for the whole 95 % interval of a gap between paired seeds. The lecture's rule, at equal
epochs: 128 is ahead of 8,192, and 32 is not more than .2 points behind 128. Shallue et al.: 8,192 gains by a rate of
its own over the rate of 128 at equal epochs, and at equal steps all images are not more than .3 points behind 128.
That breakdowns rule a rate out was added after the first full run, where one shallow net of six broke down at rate 50
with all images at equal steps, which is the best rate of the other five: without the rule (BROKEN = -1) that gap is -14
points (-50 to +22), a miss.

Measured: 5 of 8 (full, 2026-11-25, 2 cores). Accuracy in %, mean of 6 seeds with its 95 % interval, and the rate at
which it is reached:

    equal epochs   shallow                          intermediate
             1     97.5 (97.4 to 97.6) at .3        97.5 (97.4 to 97.7) at .001 to .003
             8     97.5 (97.3 to 97.7) at 3         97.6 (97.4 to 97.9) at .03
            32     97.5 (97.4 to 97.7) at 17        97.7 (97.6 to 97.8) at .05 to .1
           128     97.5 (97.3 to 97.6) at 30        97.8 (97.6 to 98.0) at .3
           512     96.6 (96.5 to 96.7) at 30        96.7 (95.8 to 97.5) at .3
         2,048     94.4 (94.3 to 94.5) at 30        96.0 (95.7 to 96.3) at .3
         8,192     91.8 (91.6 to 92.0) at 30        94.0 (93.6 to 94.3) at .5
        60,000     66.7 (62.6 to 70.9) at 30        73.2 (64.7 to 81.8) at .3
    equal steps
             8     90.2 (89.8 to 90.6) at 10        90.5 (89.2 to 91.9) at .1
            32     92.8 (92.3 to 93.3) at 30        93.0 (92.3 to 93.7) at .3
           128     93.6 (93.3 to 93.8) at 30 to 50  94.5 (94.1 to 94.8) at .3 to .5
           512     93.6 (93.5 to 93.8) at 30        94.3 (94.0 to 94.5) at .3
         2,048     93.6 (93.4 to 93.7) at 30        94.2 (94.0 to 94.3) at .3
         8,192     93.5 (93.5 to 93.6) at 30        94.5 (94.4 to 94.6) at .5

What the lecture's rule gets right: with a fixed number of epochs, accuracy falls beyond 128, already at 512 (whose grid
was not refined), and from 1 to 128 it is within .3 points. Up to there the best rate grows with the batch, and steps
are saved; beyond, it meets a ceiling, and the rate times the Hessian's largest eigenvalue over 2 rises from .21 and .32
at 128 to 1.00 and .99 at 8,192, the edge of stability. So there is little to retune: 8,192 gains .9 points (.6 to 1.3)
in the intermediate net by rate .5 in place of .3, and is still 3.9 behind; in the shallow one nothing. What the
lecture's rule leaves out: it is the steps that are missing. With as many steps, all 8,192 images are .02 points behind
128 in the shallow net (-.25 to +.20), and .02 ahead in the intermediate net (-.35 to +.40, a little wider than the
band). Their training cost is lower (.0033 against .0038; .006 against .018), and their minimum is 1.5 times as sharp in
the shallow net, and as sharp as that of 128 in the intermediate one. That 32 is as good as 128 is shown for the shallow
net (+.04, -.13 to +.22); in the intermediate net it is -.14 (-.37 to +.10), which 6 seeds do not decide.

The quick size, 3 of 8, has steeper falls at equal epochs, as there are fewer of them, and nothing gained by retuning.
At equal steps it has all 4,096 images .6 points (.5 to .7) behind 128 in the intermediate net, where its grid lacks .5.

So set 32 to 128, with a rate tuned for it. Batches of 1 and 8 are no better, and take longer for an epoch. A larger
batch costs accuracy unless it is given the steps that it saves.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ml_collections import ConfigDict

import input_pipeline
import nets
import train
from configs import intermediate, shallow
from experiments import studies
from experiments.engine import executors, lanes, plan, space, statistics
from experiments.engine.space import Trials
from experiments.engine.sweeping import run_here
from training import figures
from training.config import Config

SMALL, LECTURE, LARGE = 32, 128, 8_192
EPOCHS, STEPS = "equal epochs", "equal steps"
EXAMPLES = 0  # Of an equal number of epochs: all of MNIST's.
# Rates are numbered by quarter decades: ..., -2 is .3, -1 is .5, 0 is 1, 1 is 1.7, 2 is 3, ... A grid starts as three,
# half a decade apart, around the first one times the batch size, but not above the second one, beyond which descent
# diverges.
RULE = {"shallow": (0, 6), "intermediate": (-10, -2)}
HALF = 2
MOST_EXTENSIONS = 6
BROKEN = 0.2  # An accuracy, twice that of a guess.
MEASURED_ON, COST_ON, EIGENVALUE_STEPS = 1_000, 10_000, 20
METRICS = ("val_accuracy", "end/cost", "end/top_eigenvalue", "end/noise_scale")
LECTURE_SOURCE, SHALLUE = "lecture: not larger than 128", "Shallue et al. 2019: no inherent penalty"


class Budget(NamedTuple):
    """How much is trained: passes over all of MNIST, or steps on the first so many of its images."""

    seeds: int
    epochs: int
    epochs_sizes: tuple[int, ...]
    steps: int
    examples: int
    steps_sizes: tuple[int, ...]
    is_finer: bool  # Whether the sizes that the bands compare have quarter decades about their best rates.


BUDGETS = {
    "quick": Budget(4, 5, (1, 32, 128, 512, 2_048, 8_192, 60_000), 512, 4_096, (8, 128, 512, 4_096), False),
    "full": Budget(
        6, 20, (1, 8, 32, 128, 512, 2_048, 8_192, 60_000), 1_024, 8_192, (8, 32, 128, 512, 2_048, 8_192), True
    ),
}


class Setting(NamedTuple):
    """What has a rate of its own."""

    net: str
    budget: str  # EPOCHS or STEPS
    batch_size: int


class Tuned(NamedTuple):
    """A setting at its best rate: METRICS of each seed, the number of each seed's rate, and whether its grid goes
    beyond these on both sides."""

    metrics: dict[str, np.ndarray]
    index_S: np.ndarray
    inside: bool


# METRICS of a setting at a rate, an array over the seeds each, NaN where one has diverged.
Found = Mapping[tuple[Setting, int], dict[str, np.ndarray]]


# ---------------------------------------------------------------------------------------------------------------------
# Trials.


def rate(index: int) -> float:
    """The rate of a quarter decade, as 1, 1.7, 3, 5, 10."""
    return float(f"{(1, 1.7, 3, 5)[index % 4]}e{index // 4}")


def first_grid(setting: Setting) -> list[int]:
    """Three rates around the rule's."""
    first, most = RULE[setting.net]
    middle = min(most, HALF * round(first / HALF + 2 * math.log10(setting.batch_size)))
    return [middle - HALF, middle, middle + HALF]


def config_of(setting: Setting, index: int, size: Budget) -> ConfigDict:
    """The config of a setting at a rate."""
    config = {"shallow": shallow, "intermediate": intermediate}[setting.net].get_config()
    config.update(probes=(), batch_size=setting.batch_size, learning_rate=rate(index))
    config.update(train_examples=EXAMPLES, epochs=size.epochs)
    if setting.budget == STEPS:
        config.update(train_examples=size.examples, epochs=size.steps * setting.batch_size // size.examples)
    return config


def run(grids: Mapping[Setting, Sequence[int]], size: Budget, workdir: Path) -> Found:
    """METRICS of each setting at each rate of its grid; what the folder holds is not run again."""
    trials, names = {}, {}
    for setting, grid in grids.items():
        for index in grid:
            found = space.make_trials(config_of(setting, index, size), None, {"seed": range(size.seeds)})
            names[setting, index] = list(found)
            trials |= found
    base = shallow.get_config()
    base.probes = ()
    table = run_here(base, trials, workdir, run_and_measure)
    last = {row["trial"]: row for row in table.to_pylist() if row["epoch"] == row["epochs"] and not row["diverged"]}
    number = lambda name, metric: last[name][metric] if name in last else math.nan  # noqa: E731
    return {
        key: {metric: np.array([number(name, metric) for name in of_seeds]) for metric in METRICS}
        for key, of_seeds in names.items()
    }


def run_and_measure(
    packs: Sequence[plan.Pack], trials: Trials, datasets: executors.Datasets, advance: Callable
) -> Iterator[tuple[plan.Pack, pa.Table]]:
    """`executors.run_locally`, with measures of the trained nets in their last rows."""
    runner = executors.Runner()
    for pack in packs:
        dataset, last = datasets[lanes.data_key(trials[pack.trials[0]])], {}
        keep = lambda name, _, state, last=last: last.update({name: state})  # noqa: E731
        table = runner.run(pack, trials, dataset, advance, watch=keep)
        ended = table.filter(pc.and_(pc.equal(table["epoch"], table["epochs"]), pc.invert(table["diverged"])))  # pyright: ignore
        found = {name: measure(trials[name], last[name], dataset) for name in ended["trial"].to_pylist()}
        at_end = np.array(table["epoch"]) == np.array(table["epochs"])
        for metric in METRICS[1:]:
            values = [
                found[name][metric] if end and name in found else None
                for name, end in zip(table["trial"].to_pylist(), at_end, strict=True)
            ]
            table = table.append_column(metric, pa.array(values, pa.float64()))
        yield pack, table


def measure(trial: Config, state: train.TrainState, dataset: input_pipeline.Dataset) -> dict[str, float]:
    """The cost on training images, and the sharpness and gradient noise scale on fewer of them, of a trained net."""
    cost = studies.cost_of(trial)
    few = dataset.images[:MEASURED_ON], dataset.labels[:MEASURED_ON]
    many = dataset.images[:COST_ON], dataset.labels[:COST_ON]
    top = nets.curvature.top_eigenvalues(
        cost, state.params, few, jax.random.key(0), k=1, steps=EIGENVALUE_STEPS, tolerance=1e-2
    )
    measured = {
        "end/cost": nets.curvature.mean_cost(cost, state.params, many),
        "end/top_eigenvalue": top.values_K[0],
        "end/noise_scale": nets.curvature.gradient_noise_scale(cost, state.params, few).noise_scale,
    }
    return {name: float(value) for name, value in measured.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Rates.


def best_rates(accuracy_RxS: np.ndarray, broken: float = -1.0) -> np.ndarray:
    """For each seed the rate, as its row, that is best in the mean of the other seeds, so that no seed is judged at a
    rate that was chosen for its own luck; a seed that diverged, NaN, counts as accuracy 0. A rate at which any seed
    ends at no more than what counts as broken is left out for all seeds, unless that is so at every rate."""
    accuracy_RxS = np.nan_to_num(accuracy_RxS)
    others_RxS = accuracy_RxS.sum(axis=1, keepdims=True) - accuracy_RxS
    is_sound_R = np.all(accuracy_RxS > broken, axis=1)
    if is_sound_R.any():
        others_RxS[~is_sound_R] = -np.inf
    return np.argmax(others_RxS, axis=0)


def extended(grid: Sequence[int], best_S: np.ndarray, step: int = 1) -> list[int]:
    """The grid with one more rate, a step away, on each side on which a best one lies at the edge."""
    below = [grid[0] - step] if best_S.min() == 0 else []
    above = [grid[-1] + step] if best_S.max() == len(grid) - 1 else []
    return [*below, *grid, *above]


def refined(grid: Sequence[int], best_S: np.ndarray) -> list[int]:
    """The grid with the quarter decades on both sides of its best rates."""
    return sorted({*grid, *(grid[place] + side for place in best_S for side in (-1, 1))})


def best_of(found: Found, setting: Setting, grid: Sequence[int]) -> np.ndarray:
    """For each seed the place of its best rate in the grid."""
    return best_rates(np.array([found[setting, index]["val_accuracy"] for index in grid]), BROKEN)


def tune(settings: Sequence[Setting], size: Budget, workdir: Path) -> dict[Setting, Tuned]:
    """Every setting at its best rate, its grid extended until that lies inside and then, where the budget asks for it,
    refined around it."""
    grids = {setting: first_grid(setting) for setting in settings}
    found = run(grids, size, workdir)
    for _ in range(MOST_EXTENSIONS):
        wider = {setting: extended(grid, best_of(found, setting, grid), HALF) for setting, grid in grids.items()}
        if wider == grids:
            break
        grids, found = wider, run(wider, size, workdir)
    if size.is_finer:
        compared = {(EPOCHS, SMALL), (EPOCHS, LECTURE), (EPOCHS, LARGE), (STEPS, LECTURE), (STEPS, size.examples)}
        grids |= {
            setting: refined(grid, best_of(found, setting, grid))
            for setting, grid in grids.items()
            if setting[1:] in compared
        }
        found = run(grids, size, workdir)
    return {setting: at_best(found, setting, grid) for setting, grid in grids.items()}


def at_best(found: Found, setting: Setting, grid: Sequence[int]) -> Tuned:
    """A setting at its best rate of the grid."""
    best_S = best_of(found, setting, grid)
    chosen = [found[setting, grid[place]] for place in best_S]
    metrics = {name: np.array([of_rate[name][s] for s, of_rate in enumerate(chosen)]) for name in METRICS}
    return Tuned(metrics, np.array(grid)[best_S], extended(grid, best_S) == list(grid))


def at_rate_of_lecture(tuned: Mapping[Setting, Tuned], size: Budget, workdir: Path) -> dict[str, Tuned]:
    """Each net's large batches at equal epochs, but at the best rate of the lecture's batch size."""
    kept = {}
    for net in RULE:
        of_lecture, large = tuned[Setting(net, EPOCHS, LECTURE)], Setting(net, EPOCHS, LARGE)
        values, counts = np.unique(of_lecture.index_S, return_counts=True)
        index = int(values[np.argmax(counts)])
        metrics = run({large: [index]}, size, workdir)[large, index]
        kept[net] = Tuned(metrics, np.full(size.seeds, index), of_lecture.inside)
    return kept


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def gap_claim(name: str, source: str, better: Tuned, other: Tuned, band: tuple[float, float]) -> dict[str, Any]:
    """How many points of accuracy one setting is ahead of another with the same seeds: reproduced where the whole 95 %
    interval of the mean lies in the band, and both rates inside their grids."""
    gap_S = 100 * (better.metrics["val_accuracy"] - other.metrics["val_accuracy"])
    gap = statistics.interval(gap_S)
    line = studies.claim(name, 0.0, source, gap_S, float(gap.mean), band)
    inside = better.inside and other.inside
    note = f"{statistics.interval_in_words(gap_S, '+.2f')}, at rates {rates_of(better)} and {rates_of(other)}"
    note += "" if inside else "; a best rate lies at its grid's edge"
    reaches_in = gap.high > band[0] and gap.low < band[1]
    note += "; wider than the band, so that these seeds do not decide" if reaches_in and gap.low < band[0] else ""
    reproduced = bool(inside and band[0] < gap.low and gap.high < band[1])
    return line | {"reproduced": reproduced, "rule": "the 95 % interval inside the band", "note": note}


def rates_of(setting: Tuned) -> str:
    """Its rates, one where all seeds have the same."""
    return ", ".join(f"{rate(int(index)):g}" for index in np.unique(setting.index_S))


def edge_of_stability(setting: Tuned) -> float:
    """Rate times largest eigenvalue of the Hessian over 2, mean over the seeds: plain descent is stable below 1."""
    rates_S = np.array([rate(int(index)) for index in setting.index_S])
    return float(np.nanmean(rates_S * setting.metrics["end/top_eigenvalue"])) / 2


def claims_of(tuned: Mapping[Setting, Tuned], kept: Mapping[str, Tuned]) -> list[dict[str, Any]]:
    """What the lecture's rule says of each net, and what it leaves out."""
    claims = []
    for net in RULE:
        epochs = {setting.batch_size: t for setting, t in tuned.items() if setting[:2] == (net, EPOCHS)}
        steps = {setting.batch_size: t for setting, t in tuned.items() if setting[:2] == (net, STEPS)}
        lecture, large, most = epochs[LECTURE], epochs[LARGE], max(steps)
        rows: list[tuple[str, str, Tuned, Tuned, float]] = [
            (f"equal epochs: {LECTURE:,} ahead of {LARGE:,}", LECTURE_SOURCE, lecture, large, 0.0),
            (f"equal epochs: {SMALL:,} ahead of {LECTURE:,}", LECTURE_SOURCE, epochs[SMALL], lecture, -0.2),
            (f"equal epochs: {LARGE:,} retuned ahead of {LECTURE:,}'s rate", SHALLUE, large, kept[net], 0.0),
            (f"equal steps: all {most:,} ahead of {LECTURE:,}", SHALLUE, steps[most], steps[LECTURE], -0.3),
        ]
        claims += [
            gap_claim(f"{net}, {name}, points of accuracy", source, better, other, (least, 100.0))
            for name, source, better, other, least in rows
        ]
        edges = f"{edge_of_stability(large):.2f} with {LARGE:,} and {edge_of_stability(lecture):.2f} with {LECTURE:,}"
        claims[-2]["note"] += f"; rate times sharpness over 2 ends at {edges}, where 1 is the edge of stability"
        costs, sharpness = (
            " against ".join(f"{float(np.mean(steps[size].metrics[metric])):.3g}" for size in (most, LECTURE))
            for metric in ("end/cost", "end/top_eigenvalue")
        )
        claims[-1]["note"] += f"; training cost {costs}, largest eigenvalue of the Hessian {sharpness}"
    return claims


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def summary(metric: str, values_xS: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the seeds and the bounds of its 95 % interval; of all but accuracies those of the logarithm, without
    seeds that are not positive, as an estimate of |G|^2, and with it the noise scale, may not be."""
    if metric == "val_accuracy":
        found = statistics.interval(100 * values_xS.T)
        return found.mean, found.low, found.high
    found = statistics.interval(np.log(np.where(values_xS > 0, values_xS, np.nan)).T)
    mean = np.where(found.n > 1, found.mean, np.nan)
    return np.exp(mean), np.exp(found.low), np.exp(found.high)


def table_of(tuned: Mapping[Setting, Tuned]) -> str:
    """Every setting in numbers: its rates, and METRICS with the 95 % intervals of their means."""
    rows = []
    for setting, t in tuned.items():
        found = [summary(metric, values_S) for metric, values_S in t.metrics.items()]
        numbers = [f"{mean:.4g} ({low:.4g} to {high:.4g})" for mean, low, high in found]
        edge = "" if t.inside else " (edge)"
        rows.append([setting.net, setting.budget, f"{setting.batch_size:,}", rates_of(t) + edge, *numbers])
    return studies.markdown(("net", "budget", "batch size", "rates", *METRICS), rows)


def draw_lines(axis, tuned: Mapping[Setting, Tuned], metric: str, net_names: Sequence[str]) -> None:
    """A metric against the batch size with its 95 % intervals: a colour a budget, a line style a net."""
    for net in net_names:
        for budget, colour in ((EPOCHS, "tab:blue"), (STEPS, "tab:orange")):
            of_line = {setting.batch_size: t for setting, t in tuned.items() if setting[:2] == (net, budget)}
            mean, low, high = summary(metric, np.array([t.metrics[metric] for t in of_line.values()]))
            style, errors = "-o" if net == next(iter(RULE)) else "--s", np.nan_to_num([mean - low, high - mean])
            label = f"{net}, {budget}"
            axis.errorbar(list(of_line), mean, errors, color=colour, fmt=style, capsize=3, label=label)


def draw(tuned: Mapping[Setting, Tuned], size: Budget, claims: list[dict[str, Any]]):
    """Accuracy of each net, cost, rate, sharpness and noise scale against the batch size."""
    figure, axes = figures.new_figure(16, 9, 3, 2)
    worse = " and ".join(f"{-claim['measured']:+.1f}" for claim in claims[0::4])
    no_worse = " and ".join(f"{claim['measured']:+.2f}" for claim in claims[3::4])
    figure.suptitle(
        f"Points of accuracy against batches of {LECTURE}, each size at its best rate (shallow and intermediate net):\n"
        f"batches of {LARGE:,} {worse} in the same epochs, all examples at once {no_worse} in the same steps",
        fontsize=13,
    )
    for axis, net in zip(axes, RULE, strict=False):
        draw_lines(axis, tuned, "val_accuracy", [net])
        axis.set(ylabel="validation accuracy, %", title=f"{net} net: {size.epochs} epochs, or {size.steps} steps")
    draw_rates(axes[2], tuned)
    panels = (
        ("end/cost", "training cost", "Training cost at the end"),
        ("end/top_eigenvalue", "largest Hessian eigenvalue, cost / weight^2", "Sharpness at the end"),
        ("end/noise_scale", "gradient noise scale, examples", "Gradient noise scale at the end"),
    )
    for axis, (metric, label, title) in zip(axes[3:], panels, strict=True):
        draw_lines(axis, tuned, metric, list(RULE))
        axis.set(ylabel=label, yscale="log", title=title)
    for axis in axes:
        axis.axvline(LECTURE, color="gray", linestyle=":", label=f"{LECTURE}, the lecture's most")
        axis.set(xscale="log", xlabel="batch size, examples")
        axis.grid(alpha=0.3)
    for axis in axes[:3]:
        axis.legend(fontsize=8)
    return figure


def draw_rates(axis, tuned: Mapping[Setting, Tuned]) -> None:
    """The best rates; from one example on, what they would be in proportion to the batch size."""
    with_rates = {
        setting: t._replace(metrics={"rate": np.array([rate(int(index)) for index in t.index_S])})
        for setting, t in tuned.items()
    }
    draw_lines(axis, with_rates, "rate", list(RULE))
    for net in RULE:
        smallest = min(setting for setting in tuned if setting[:2] == (net, EPOCHS))
        first = with_rates[smallest].metrics["rate"].mean() / smallest.batch_size
        highest = max(t.metrics["rate"].max() for setting, t in with_rates.items() if setting.net == net)
        sizes = np.array([smallest.batch_size, 3 * highest / first])
        axis.plot(sizes, first * sizes, "k-", alpha=0.4, label="in proportion" if net == next(iter(RULE)) else None)
    axis.set(yscale="log", ylabel="best learning rate", title="The best rate grows with the batch, up to a ceiling")


def study(budget: str, workdir: Path) -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims; WORKDIR/BUDGET keeps the packs that have finished."""
    size = BUDGETS[budget]
    sizes = {EPOCHS: size.epochs_sizes, STEPS: size.steps_sizes}
    settings = [
        Setting(net, budget, batch) for net in RULE for budget, of_budget in sizes.items() for batch in of_budget
    ]
    tuned = tune(settings, size, workdir / budget)
    kept = at_rate_of_lecture(tuned, size, workdir / budget)
    claims = claims_of(tuned, kept)
    print(table_of(tuned), flush=True)
    return draw(tuned, size, claims), claims


if __name__ == "__main__":
    studies.main(study)
