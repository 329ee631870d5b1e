"""Is a batch size larger than 128 not recommended? What should I set mine to?

    python -m experiments.batches.batch_size [--budget=full]

The run time is in docs/results.md. A command that was killed goes on with what WORKDIR holds.

Source: a lecture's claim, "a batch size larger than 128 is not recommended", of which is tested what it says of
accuracy, against Shallue et al. 2019, Measuring the effects of data parallelism: no inherent penalty of large batches
once the rate is retuned. The lecture's shallow net (quadratic cost) and intermediate net (ReLU, cross-entropy), plain
SGD, with two budgets:
    equal epochs: 5 passes over 50,000 images of MNIST, so that larger batches make fewer steps;
    equal steps: 512 steps on the first 4,096 images, so that larger batches see more images, and the largest one is all
        of them at every step.
The learning rate is tuned for each batch size, budget and net as `sweep --tune` does it (experiments/engine/tuning.py),
on the 10,000 training images that are left: three rates around a rule, half a decade apart, then more while a best one
lies at the edge; full: at the sizes that the bands compare, then one more on both sides of the best. 3 seeds choose,
each for the others; rates at which any of them breaks down, to 20 % or less, are left out. Then 4 fresh seeds, which
share the initial draw between batch sizes, run at what was chosen, and are measured on the 10,000 test images; in full
80, since four had left three lines open that 13, 31 and 68 were said to decide. Nets are evaluated once, at their end.
Quick trains the sizes that the bands compare, and one beside; full more of them.

On a smaller data set no batch is larger than what is left to train on, all of which is the largest one, and there are
as many more passes as make the steps that batches of 128 make of MNIST. One without a test set holds out a third of its
examples: half of these choose, the others are what is measured on.

Bands, set before the run, for a gap between paired seeds. The lecture's rule, at equal epochs: 128 is ahead of 8,192.
Shallue et al.: at equal steps all images are not more than .3 points behind 128. Ours, after them, at equal epochs: 32
is not more than .2 points behind 128, and 8,192 gains by a rate of its own over the rate of 128.
That breakdowns rule a rate out was added after a run with six seeds, 20 epochs and 1,024 steps of 8,192 images, where
one shallow net of six broke down at rate 50 with all images at equal steps, which is the best rate of the other five;
without the rule that gap is a wide one. So every claim is marked exploratory. A seed that breaks down at the rate that
the others chose counts, and how many do is said; one that diverges has no accuracy.

What the lecture's rule gets right: in a fixed number of epochs 8,192 is far behind 128, at rates that are tuned for
each. What keeps its rate down may be the edge of stability. What the rule leaves out is the steps: what all examples at
once lose where they make as many, and what 32 gains, is in docs/results.md.

So set 32 or 128, with a rate tuned for it: a smaller one takes longer for an epoch, and a far larger one costs accuracy
unless it is given the steps that it saves.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from configs import intermediate, shallow
from experiments.engine import plan, space, statistics, tuning
from experiments.engine.axes import clean
from experiments.engine.searching import SHORT, Rule
from experiments.engine.sweeping import run_here
from experiments.study import command, toolkit
from experiments.study.claims import Claim, Kind, Words, above, by_key, mean_claim
from experiments.study.elsewhere import Elsewhere, fitted, load
from experiments.study.measured_ends import METRICS, run_and_measure
from experiments.study.scoreboard import markdown
from experiments.study.study import FRESHER_SEEDS, Study
from experiments.study.toolkit import BROKEN
from training import figures
from training.config import Config, ConfigError, as_config

LECTURE, OF_MNIST = 128, 50_000  # Examples that are trained on.
EPOCHS, STEPS = "equal epochs", "equal steps"
HALF = 2  # Half a decade in quarter decades.
LECTURE_SOURCE, SHALLUE = "lecture: not larger than 128 (P)", "Shallue et al. 2019: no inherent penalty (P)"
OURS = "ours"
EXPLORATORY = (
    "the rule that leaves out rates at which a seed breaks down was added after a run of 6 seeds, 20 epochs, 1,024 "
    "steps of 8,192 images and more sizes; that full is quick with 80 seeds, once 4 had left three lines undecided"
)


class Net(NamedTuple):
    """A net's config and the rates of its first grid.

    Rates are numbered by quarter decades: ..., -2 is .32, -1 is .56, 0 is 1, 1 is 1.8, 2 is 3.2, ... A grid starts as
    three, half a decade apart, around `first` times the batch size, but not above `most`, beyond which descent
    diverges.
    """

    config: Config
    first: int
    most: int


class Size(NamedTuple):
    """How much is trained, by nets: passes over so many images (`epochs_examples`, 0: all that are not held out), or
    steps on the first so many (`examples`); by how many seeds a rate is chosen, and how many others are measured; which
    batch sizes are compared with LECTURE's; from which seed on all are drawn."""

    name: str  # Of the folder that keeps what has finished.
    nets: Mapping[str, Net]
    choosing_seeds: int
    seeds: int
    epochs: int
    epochs_sizes: tuple[int, ...]
    steps: int
    examples: int
    steps_sizes: tuple[int, ...]
    is_finer: bool = False  # Whether the sizes that the bands compare have quarter decades about their best rates.
    small: int = 32
    large: int = 8_192
    epochs_examples: int = 0
    most_extensions: int = 6
    seeds_from: int = 0


SHALLOW = as_config(shallow.get_config()).replace(probes=(), validation="10000")
NETS = {
    "shallow": Net(SHALLOW, 0, 6),
    "intermediate": Net(as_config(intermediate.get_config()).replace(probes=(), validation="10000"), -10, -2),
}
TINY = Size(
    "tiny",
    {"shallow": Net(SHALLOW.replace(dataset="synthetic", validation="128"), 0, 6)},
    choosing_seeds=2,
    seeds=2,
    epochs=1,
    epochs_sizes=(128,),
    steps=3,
    examples=384,
    steps_sizes=(128,),
    # Both budgets are the same trials, which are compiled once.
    small=128,
    large=128,
    epochs_examples=384,
    most_extensions=0,
)
QUICK = Size("quick", NETS, 3, 4, 5, (32, 128, 2_048, 8_192), 512, 4_096, (8, 128, 4_096))
FULL = QUICK._replace(
    name="full",
    seeds=80,
    epochs_sizes=(32, 128, 512, 2_048, 8_192, 50_000),
    steps_sizes=(8, 32, 128, 512, 4_096),
    is_finer=True,
)


class Setting(NamedTuple):
    """What has a rate of its own."""

    net: str
    budget: str  # EPOCHS or STEPS
    batch_size: int


class Tuned(NamedTuple):
    """A setting at the rate that was chosen: METRICS of each fresh seed, NaN where one has diverged, the rate, and
    whether its grid goes beyond it on both sides."""

    metrics: dict[str, np.ndarray]
    rate: float
    inside: bool


# ---------------------------------------------------------------------------------------------------------------------
# Trials.


def rate(index: int) -> float:
    """The rate of a quarter decade, as 1, 1.778, 3.162, 5.623, 10."""
    return clean(10.0 ** (index / 4), SHORT)


def first_grid(setting: Setting, size: Size) -> list[int]:
    """The numbers of the rates that are tried first."""
    net = size.nets[setting.net]
    middle = min(net.most, HALF * round(net.first / HALF + 2 * math.log10(setting.batch_size)))
    return [middle - HALF, middle, middle + HALF]


def config_of(setting: Setting, size: Size) -> Config:
    """The config of a setting, at no rate of its own."""
    examples, epochs = size.epochs_examples, size.epochs
    if setting.budget == STEPS:
        examples, epochs = size.examples, size.steps * setting.batch_size // size.examples
    config, batch_size = size.nets[setting.net].config, setting.batch_size
    return config.replace(batch_size=batch_size, train_examples=examples, epochs=epochs)


def choosing_seeds(size: Size) -> range:
    """The seeds that choose a rate."""
    return range(size.seeds_from, size.seeds_from + size.choosing_seeds)


def fresh_seeds(size: Size) -> range:
    """The seeds that are measured: those after the ones that choose."""
    return range(choosing_seeds(size).stop, choosing_seeds(size).stop + size.seeds)


def execute_for(size: Size) -> Callable[..., Iterator[tuple[plan.Pack, pa.Table]]]:
    """The executor that measures the nets of fresh seeds."""
    return partial(run_and_measure, measured_seeds=fresh_seeds(size))


def measured(names: Sequence[str], table: pa.Table) -> dict[str, np.ndarray]:
    """METRICS of those trials, an array over them each."""
    last = {row["trial"]: row for row in table.to_pylist() if row["epoch"] == row["epochs"] and not row["diverged"]}
    # What is not finite is null, and becomes NaN here.
    number = lambda name, metric: last.get(name, {}).get(metric)  # noqa: E731
    return {metric: np.array([number(name, metric) for name in names], float) for metric in METRICS}


# ---------------------------------------------------------------------------------------------------------------------
# Rates.


def tuning_of(settings: Sequence[Setting], size: Size) -> tuning.Tuning:
    """The tuning of the rate of every setting; where the size asks for it, of those that the bands compare, refined."""
    compared = {(EPOCHS, batch) for batch in (size.small, LECTURE, size.large)}
    compared |= {(STEPS, LECTURE), (STEPS, size.examples)}
    tuned: list[tuning.Setting] = []
    for setting in settings:
        start = tuple(rate(index) for index in first_grid(setting, size))
        refinements = int(size.is_finer and setting[1:] in compared)
        rule = Rule("log", extensions=size.most_extensions, refinements=refinements, broken=BROKEN)
        tuned.append(tuning.Setting(config_of(setting, size), start, rule))
    return tuning.Tuning("learning_rate", tuned, choosing_seeds(size), fresh_seeds(size))


def tune(settings: Sequence[Setting], size: Size, workdir: Path) -> dict[Setting, Tuned]:
    """Every setting at its best rate; what the folder holds is not run again."""
    made, base = tuning_of(settings, size), next(iter(size.nets.values())).config
    table = run_here(base, made.next_trials(None), workdir, execute_for(size), made.next_trials)
    tuned: dict[Setting, Tuned] = {}
    for i, (setting, outcome) in enumerate(zip(settings, made.outcomes(table), strict=True)):
        chosen = outcome.choice.value
        names = [made.trial(i, chosen, seed)[0] for seed in fresh_seeds(size)]
        tuned[setting] = Tuned(measured(names, table), chosen, not outcome.choice.at_edge)
    return tuned


def at_rate_of_lecture(tuned: Mapping[Setting, Tuned], size: Size, workdir: Path) -> dict[str, Tuned]:
    """Each net's large batches at equal epochs, but at the rate of the lecture's batch size."""
    kept: dict[str, Tuned] = {}
    for net in size.nets:
        of_lecture = tuned[Setting(net, EPOCHS, LECTURE)]
        config = config_of(Setting(net, EPOCHS, size.large), size).replace(learning_rate=of_lecture.rate)
        trials = space.make_trials(config, None, {"seed": fresh_seeds(size)})
        table = run_here(next(iter(size.nets.values())).config, trials, workdir, execute_for(size))
        kept[net] = of_lecture._replace(metrics=measured(list(trials), table))
    return kept


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def gap_claim(
    key: str, name: str, source: str, better: Tuned, other: Tuned, least: float, rival: str, note: str = ""
) -> Claim:
    """How many points of accuracy one setting is ahead of another with the same seeds at the rates that were chosen,
    mean of the pairs: more than the least, which is the rival."""
    gap_S = 100 * (better.metrics["test_accuracy"] - other.metrics["test_accuracy"])
    at_edge = "" if better.inside and other.inside else "; a best rate lies at its grid's edge"
    note = f"at rates {better.rate:g} and {other.rate:g}{at_edge}{lost(better, other)}{note}"
    words: Words = {"rival": rival, "rival_at": least, "exploratory": EXPLORATORY, "note": note}
    kind: Kind = "ours" if source == OURS else "direction"
    return mean_claim(key, name, kind, source, gap_S, (above(least), 100.0), bounds=(-100.0, 100.0), **words)


def lost(better: Tuned, other: Tuned) -> str:
    """How many of the seeds break down at the rates that others chose, or diverge; nothing where none does."""
    accuracies_2xS = np.array([better.metrics["test_accuracy"], other.metrics["test_accuracy"]])
    broken, diverged = np.sum(accuracies_2xS <= BROKEN), np.isnan(accuracies_2xS).sum()
    words = ((broken, f"end at {BROKEN:.0%} or less"), (diverged, "diverge and are left out with their pair"))
    said = [f"; {count} of {accuracies_2xS.size} nets {what}" for count, what in words if count]
    return "".join(said)


def edge_of_stability(setting: Tuned) -> float:
    """Rate times largest eigenvalue of the Hessian over 2, mean over the seeds: plain descent is stable below 1."""
    return float(np.nanmean(setting.rate * setting.metrics["end/top_eigenvalue"])) / 2


def claims_of_net(net: str, tuned: Mapping[Setting, Tuned], kept: Tuned, size: Size) -> list[Claim]:
    """What the lecture's rule says of a net, and what it leaves out."""
    of = lambda budget, batch: tuned[Setting(net, budget, batch)]  # noqa: E731
    lecture, small, large = (of(EPOCHS, batch) for batch in (LECTURE, size.small, size.large))
    steps = {setting.batch_size: t for setting, t in tuned.items() if setting[:2] == (net, STEPS)}
    most = max(steps)
    title = lambda words: f"{net}, {words}, points of accuracy"  # noqa: E731
    edges = f"; rate times sharpness over 2 ends at {edge_of_stability(large):.2f} with {size.large:,} and "
    edges += f"{edge_of_stability(lecture):.2f} with {LECTURE}, where 1 is the edge of stability"
    costs, sharpness = (
        " against ".join(f"{float(np.nanmean(steps[batch].metrics[metric])):.3g}" for batch in (most, LECTURE))
        for metric in ("end/cost", "end/top_eigenvalue")
    )
    ends = f"; training cost {costs}, largest eigenvalue of the Hessian {sharpness}"
    penalty, nothing = "a loss of {:g} points or more", "nothing gained or lost: 0"
    name = title(f"equal epochs: {LECTURE} ahead of {size.large:,}")
    claims = [gap_claim(f"{net}/epochs/large", name, LECTURE_SOURCE, lecture, large, 0.0, nothing)]
    name, rival = title(f"equal epochs: {size.small:,} ahead of {LECTURE}"), penalty.format(0.2)
    claims.append(gap_claim(f"{net}/epochs/small", name, OURS, small, lecture, -0.2, rival))
    edges += "; the rate that is best is the same, so that the runs are as well" * (large.rate == kept.rate)
    name = title(f"equal epochs: {size.large:,} retuned ahead of {LECTURE}'s rate")
    claims.append(gap_claim(f"{net}/epochs/retuned", name, OURS, large, kept, 0.0, nothing, edges))
    name, rival = title(f"equal steps: all {most:,} ahead of {LECTURE}"), penalty.format(0.3)
    claims.append(gap_claim(f"{net}/steps/all", name, SHALLUE, steps[most], steps[LECTURE], -0.3, rival, ends))
    return claims


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def summary(metric: str, values_xS: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the seeds and the bounds of its 95 % interval; of all but accuracies those of the logarithm, without
    seeds that are not positive, as an estimate of |G|^2, and with it the noise scale, may not be."""
    if metric == "test_accuracy":
        found = statistics.interval(100 * values_xS.T, bounds=(0.0, 100.0))
        return found.mean, found.low, found.high
    found = statistics.interval(np.log(np.where(values_xS > 0, values_xS, np.nan)).T)
    mean = np.where(found.n > 1, found.mean, np.nan)
    return np.exp(mean), np.exp(found.low), np.exp(found.high)


def table_of(tuned: Mapping[Setting, Tuned]) -> str:
    """Every setting in numbers: its rates, and METRICS with the 95 % intervals of their means."""
    rows: list[list[str]] = []
    for setting, t in tuned.items():
        found = [summary(metric, values_S) for metric, values_S in t.metrics.items()]
        numbers = [f"{mean:.4g} ({low:.4g} to {high:.4g})" for mean, low, high in found]
        edge = "" if t.inside else " (edge)"
        rows.append([setting.net, setting.budget, f"{setting.batch_size:,}", f"{t.rate:g}{edge}", *numbers])
    return markdown(("net", "budget", "batch size", "rate", *METRICS), rows)


def draw_lines(axis: Any, tuned: Mapping[Setting, Tuned], metric: str, net_names: Sequence[str]) -> None:
    """A metric against the batch size with its 95 % intervals: a colour a budget, a line style a net."""
    styles = dict(zip(dict.fromkeys(setting.net for setting in tuned), ("-o", "--s"), strict=False))
    for net in net_names:
        for budget, colour in ((EPOCHS, "tab:blue"), (STEPS, "tab:orange")):
            of_line = {setting.batch_size: t for setting, t in tuned.items() if setting[:2] == (net, budget)}
            mean, low, high = summary(metric, np.array([t.metrics[metric] for t in of_line.values()]))
            errors, label = np.nan_to_num([mean - low, high - mean]), f"{net}, {budget}"
            axis.errorbar(list(of_line), mean, errors, color=colour, fmt=styles[net], capsize=3, label=label)


def draw(tuned: Mapping[Setting, Tuned], size: Size, claims: Sequence[Claim]) -> Any:
    """Accuracy of each net, cost, rate, sharpness and noise scale against the batch size."""
    figure, axes = figures.new_figure(16, 10, 3, 2)
    measured = {key: claim.measured for key, claim in by_key(claims).items()}
    epochs = " and ".join(f"{-measured[f'{net}/epochs/large']:+.1f}" for net in size.nets)
    steps = " and ".join(f"{measured[f'{net}/steps/all']:+.2f}" for net in size.nets)
    figure.suptitle(
        f"Points of accuracy over batches of {LECTURE}, {' and '.join(size.nets)} net at best rates:\n"
        f"{size.large:,} in the same epochs {epochs}, all examples at once in the same steps {steps}",
        fontsize=13,
    )
    for axis, net in zip(axes, size.nets, strict=False):
        draw_lines(axis, tuned, "test_accuracy", [net])
        axis.set(ylabel="test accuracy, %", title=f"{net} net: {size.epochs} epochs, or {size.steps} steps")
    draw_rates(axes[2], tuned)
    panels = (
        ("end/cost", "training cost", "Training cost at the end"),
        ("end/top_eigenvalue", "largest Hessian eigenvalue, cost / weight^2", "Sharpness at the end"),
        ("end/noise_scale", "gradient noise scale, examples", "Gradient noise scale at the end"),
    )
    for axis, (metric, label, title) in zip(axes[3:], panels, strict=True):
        draw_lines(axis, tuned, metric, list(size.nets))
        axis.set(ylabel=label, yscale="log", title=title)
    for axis in axes:
        axis.axvline(LECTURE, color="gray", linestyle=":", label=f"{LECTURE}, the lecture's most")
        axis.set(xscale="log", xlabel="batch size, examples")
        axis.grid(alpha=0.3)
    for axis in axes[:3]:
        toolkit.legend_below(axis)
    return figure


def draw_rates(axis: Any, tuned: Mapping[Setting, Tuned]) -> None:
    """The best rates; from one example on, what they would be in proportion to the batch size."""
    with_rates = {
        setting: t._replace(metrics={"rate": np.full(len(t.metrics["test_accuracy"]), t.rate)})
        for setting, t in tuned.items()
    }
    net_names = list(dict.fromkeys(setting.net for setting in tuned))
    draw_lines(axis, with_rates, "rate", net_names)
    for net in net_names:
        smallest = min(setting for setting in tuned if setting[:2] == (net, EPOCHS))
        first = with_rates[smallest].metrics["rate"].mean() / smallest.batch_size
        highest = max(t.metrics["rate"].max() for setting, t in with_rates.items() if setting.net == net)
        sizes = np.array([smallest.batch_size, 3 * highest / first])
        axis.plot(sizes, first * sizes, "k-", alpha=0.4, label="in proportion" if net == net_names[0] else None)
    axis.set(yscale="log", ylabel="best learning rate", title="The best rate by batch size")


def run(size: Size, workdir: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims; WORKDIR/SIZE keeps the packs that have finished."""
    sizes = {EPOCHS: size.epochs_sizes, STEPS: size.steps_sizes}
    settings = [
        Setting(net, budget, batch) for net in size.nets for budget, of_budget in sizes.items() for batch in of_budget
    ]
    tuned = tune(settings, size, workdir / size.name)
    kept = at_rate_of_lecture(tuned, size, workdir / size.name)
    claims = [claim for net in size.nets for claim in claims_of_net(net, tuned, kept[net], size)]
    print(table_of(tuned), flush=True)
    return draw(tuned, size, claims), claims


def on_dataset(size: Size, dataset: str) -> Size:
    """The size on another data set, with batches as large as there are examples to train on, but no larger."""
    whole, nets_there = load(dataset), dict[str, Net]()
    for name, net in size.nets.items():
        config = fitted(net.config, dataset)
        held_out = int(config.validation) * (1 if len(whole.validation_labels) else 2)
        nets_there[name] = net._replace(config=config.replace(validation=str(held_out)))
    left = len(whole.labels) - max(int(net.config.validation) for net in nets_there.values())
    if left <= LECTURE:
        raise ConfigError(f"--dataset={dataset} leaves {left} examples to train on; accepted: more than {LECTURE}")
    # A power of 2, so that batches of 128 make as many steps as they are asked to.
    examples = min(size.examples, 2 ** int(math.log2(left)))
    capped = lambda sizes, most: tuple(dict.fromkeys(min(batch, most) for batch in sizes))  # noqa: E731
    more = {} if size.epochs_examples else {"epochs": max(size.epochs, round(size.epochs * OF_MNIST / left))}
    return size._replace(
        nets=nets_there,
        epochs_sizes=capped(size.epochs_sizes, left),
        large=min(size.large, left),
        examples=examples,
        steps_sizes=capped(size.steps_sizes, examples),
        epochs_examples=min(size.epochs_examples, left),
        **more,
    )


STUDY = Study(
    question="Is a batch size larger than 128 not recommended? What should I set mine to?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
    elsewhere=Elsewhere(on_dataset),
    fresh_seeds=FRESHER_SEEDS,
)

if __name__ == "__main__":
    command.main(STUDY)
