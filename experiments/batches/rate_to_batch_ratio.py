"""Does only the ratio of learning rate to batch size matter?

    python -m experiments.batches.rate_to_batch_ratio [--budget=full]

About 1 minute on 2 cores, 5 for full.

Source: Jastrzebski et al. 2018, Three factors influencing minima in SGD: runs of equal learning rate / batch size have
equal curves of the cost by epoch and end in minima of equal largest eigenvalue of the Hessian, which is the smaller the
larger the ratio is; the equality ends where the batch is too large.

The lecture's intermediate net (two layers of 64 ReLUs, cross-entropy), plain SGD without momentum, on the first 8,192
images of MNIST for 20 epochs. Two ratios a factor of 4 apart, .1 / 16 and .1 / 64, each with batches of 4 to 1,024; 8
seeds (full: 16), which share the initial draw. Batches of 4 and 16 are the small ones that should agree. The eigenvalue
is that at the end, on 2,000 training images. The equality has to end where plain descent is no longer stable, at rate x
eigenvalue / 2 = 1, so at a batch of about 2 / (ratio x eigenvalue).

Equal ratios also mean equal rate x steps by epoch, so that gradient descent with small steps and no noise at all would
have equal curves too. To tell this apart, the smaller ratio with batches of 16 goes on for 4 times as many epochs: if
rate x steps is all that matters, it ends where the larger ratio does, and if noise flattens minima, it ends sharper.

Bands. How far two curves of the training cost, as its running mean over the epoch, are apart is the mean over the
epochs of |ln a - ln b|, of each seed, in units of what two seeds of the second setting are apart. At either ratio
batches of 4 and 16 are at most twice as far apart as that, while the two ratios are at least 3 times as far (batches of
16), and so are batches of 1,024 from 16 at either ratio. Eigenvalue: batches of 4 and 16 within 15 % at either ratio,
while the smaller ratio's is more than 30 % above the larger one's (batches of 16). At equal rate x steps the smaller
ratio ends more than 30 % sharper.

The first band of the curves asked for a largest difference of 10 % over the epochs, which cannot be had: on its way to
a thousandth of where it started the cost of a single run is noisy, and two seeds of one setting were .52 apart. So the
curves are judged by that noise, and their lines are exploratory. The stable batch is computed from the largest
eigenvalue after 1, 2 or 4 epochs, taken once it was seen that the one of the end, where the cost is nearly 0, is too
small.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import train
from configs import intermediate, shallow
from experiments.engine import executors, results, space, statistics
from experiments.study import command, toolkit
from experiments.study.claims import Band, Claim, Kind, Words, by_key, interval_claim, mean_claim
from experiments.study.scoreboard import markdown
from experiments.study.study import Study
from training import figures
from training.config import Config, as_config

RATIOS, FACTOR = (0.1 / 16, 0.1 / 64), 4  # The second one is the first one by that factor.
MEASURED_ON, EIGENVALUE_STEPS = 2_000, 20
SAME_CURVE, OTHER_CURVE = 2.0, 3.0  # In units of what two seeds are apart.
SAME_EIGENVALUE, OTHER = 0.15, 0.3
MOST = 100.0  # No eigenvalue counts as larger by more, and no curve, nor one that has diverged, as by a larger factor.
SOURCE = "Jastrzebski et al. 2018 (S)"
LOOKED = (
    "how far curves are apart was restated, and its band set, once two seeds of one setting had been seen to differ"
)


class Size(NamedTuple):
    """The config but for what a run varies, seeds, the batch sizes and which of them are compared (the least two should
    agree, the largest one should not), after which epochs the middle one's eigenvalue is taken as well, and from which
    seed on runs are drawn."""

    config: Config
    seeds: int
    batches: tuple[int, ...]
    smallest: int
    middle: int
    largest: int
    early: tuple[int, ...]
    seeds_from: int = 0


INTERMEDIATE = as_config(intermediate.get_config()).replace(probes=(), train_examples=8_192, epochs=20)
# Runs are validated after every epoch, and nothing here reads it: few images.
INTERMEDIATE = INTERMEDIATE.replace(validation="100")
SYNTHETIC = as_config(shallow.get_config()).replace(dataset="synthetic", probes=(), train_examples=64, batch_size=64)
SIZES = {
    "tiny": Size(SYNTHETIC.replace(epochs=2), 2, (32, 64), 32, 64, 64, (1,)),
    "quick": Size(INTERMEDIATE, 8, (4, 16, 64, 1_024), 4, 16, 1_024, (1, 2, 4)),
    "full": Size(INTERMEDIATE, 16, (4, 8, 16, 32, 64, 128, 256, 512, 1_024), 4, 16, 1_024, (1, 2, 4)),
}


class Runs(NamedTuple):
    """Training costs by epoch, the largest eigenvalue of the Hessian at the end and, of the middle batch size, the
    largest of those early in training, over the seeds; NaN where a run has diverged."""

    cost_ExS: np.ndarray
    eigenvalue_S: np.ndarray
    early_S: np.ndarray


Key = tuple[float, int, int]  # Ratio, batch size, epochs.


def name_of(ratio: float, size: Size) -> str:
    """The ratio as the rate by the middle batch size."""
    return f"{ratio * size.middle:g} / {size.middle}"


# ---------------------------------------------------------------------------------------------------------------------
# Training.


def config_of(size: Size, key: Key) -> Config:
    """The config of a run."""
    ratio, batch_size, epochs = key
    return size.config.replace(batch_size=batch_size, learning_rate=ratio * batch_size, epochs=epochs)


def train_all(size: Size) -> dict[Key, Runs]:
    """The runs of each ratio and batch size, and those of the smaller ratio that go on for longer."""
    epochs = size.config.epochs
    keys = [(ratio, batch_size, epochs) for ratio in RATIOS for batch_size in size.batches]
    keys.append((RATIOS[1], size.middle, FACTOR * epochs))
    names: dict[Key, list[str]] = {}
    trials: dict[str, Config] = {}
    for key in keys:
        seeds = range(size.seeds_from, size.seeds_from + size.seeds)
        of_key = space.make_trials(config_of(size, key), None, {"seed": seeds})
        names[key] = list(of_key)
        trials |= of_key
    dataset = train.load_dataset(size.config, "")
    few = dataset.images[:MEASURED_ON], dataset.labels[:MEASURED_ON]
    eigenvalue = lambda name, state: toolkit.sharpness_of(trials[name], state.params, *few, EIGENVALUE_STEPS)  # noqa: E731
    early: dict[str, list[float]] = {name: [] for name in trials}

    watch = lambda name, _, state: early[name].append(eigenvalue(name, state))  # noqa: E731
    looks = lambda name, epoch: epoch in size.early and trials[name].batch_size == size.middle  # noqa: E731
    table, states = executors.train_states(trials, dataset, "rate to batch ratio", watch=watch, looks=looks)
    costs = results.by_epoch(table, "loss")
    eigenvalues = {name: eigenvalue(name, states[name]) for name in trials}
    lost = set(table.filter(table["diverged"])["trial"].to_pylist())
    most = {name: math.nan if name in lost else max(seen, default=math.nan) for name, seen in early.items()}
    of = lambda values, names: np.array([values[name] for name in names])  # noqa: E731
    return {key: Runs(of(costs, of_key).T, of(eigenvalues, of_key), of(most, of_key)) for key, of_key in names.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def distance(a_ExS: np.ndarray, b_ExS: np.ndarray) -> np.ndarray:
    """The mean over the epochs of |ln a - ln b|, of each seed; ln MOST at most in an epoch, and where one diverged."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.mean(np.fmin(np.abs(np.log(a_ExS / b_ExS)), np.log(MOST)), axis=0)


def apart(a: Runs, b: Runs) -> tuple[float, tuple[float, float]]:
    """How far two curves are apart in units of what two seeds of the second are, a ratio of two means over the seeds,
    and its 95 % interval: that of its logarithm, to first order, from how far each seed's parts are off their means."""
    apart_S = distance(a.cost_ExS, b.cost_ExS)
    of_seeds_S = distance(b.cost_ExS, np.roll(b.cost_ExS, 1, axis=1))
    if not np.any(apart_S):
        return 0.0, (0.0, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(np.mean(apart_S) / np.mean(of_seeds_S))
        found = statistics.interval(apart_S / np.mean(apart_S) - of_seeds_S / np.mean(of_seeds_S))
    factor = math.exp(float(found.high - found.mean))
    return ratio, (ratio / factor, ratio * factor)


def curve_claim(key: str, name: str, a: Runs, b: Runs, is_same: bool, rival: str) -> Claim:
    """Whether two curves are one, or are not: how far they are apart beside two seeds of one setting."""
    ends = [np.mean(runs.cost_ExS[-1]) for runs in (a, b)]
    of_curves = np.mean(distance(a.cost_ExS, b.cost_ExS))
    band: Band = (0.0, SAME_CURVE) if is_same else (OTHER_CURVE, None)
    words: Words = {"rival": rival, "rival_at": OTHER_CURVE if is_same else 1.0, "exploratory": LOOKED}
    words["note"] = f"{of_curves:.3g} in ln cost; the last epoch's cost is {ends[0]:.3g} against {ends[1]:.3g}"
    name = f"cost, {name}: distance by that of two seeds"
    count = a.cost_ExS.shape[1]
    return interval_claim(f"{key}/cost", name, "direction", SOURCE, *apart(a, b), band, count=count, **words)


def eigenvalue_claim(
    key: str,
    name: str,
    a: Runs,
    b: Runs,
    band: Band,
    rival: str,
    rival_at: float,
    kind: Kind = "direction",
    note: str = "",
) -> Claim:
    """By what share the first eigenvalue is larger than the second one, mean over the seeds."""
    larger_S = a.eigenvalue_S / b.eigenvalue_S - 1
    ends = [np.mean(runs.eigenvalue_S) for runs in (a, b)]
    note = f"{ends[0]:.3g} against {ends[1]:.3g}{note}"
    source, words = "ours" if kind == "ours" else SOURCE, Words(rival=rival, rival_at=rival_at, note=note)
    return mean_claim(f"{key}/eigenvalue", f"eigenvalue, {name}", kind, source, larger_S, band, **words)


def binned(runs: Runs) -> Runs:
    """Runs of FACTOR times as many epochs, by as many of them as make one epoch of the larger ratio's rate x steps."""
    cost_ExFxS = runs.cost_ExS.reshape(-1, FACTOR, runs.cost_ExS.shape[1])
    return runs._replace(cost_ExS=cost_ExFxS.mean(axis=1))


def equal_claims(runs: Mapping[Key, Runs], size: Size, ratio: float) -> list[Claim]:
    """What agrees at a ratio, and that it ends at large batches."""
    of_size = lambda batch_size: runs[ratio, batch_size, size.config.epochs]  # noqa: E731
    smallest, middle, largest = map(of_size, (size.smallest, size.middle, size.largest))
    place = "high" if ratio == RATIOS[0] else "low"
    key, name = f"equal/{place}", f"B {size.middle} against {size.smallest} at ratio {name_of(ratio, size)}"
    band, rival = (-SAME_EIGENVALUE, SAME_EIGENVALUE), f"the other ratio's, {OTHER:.0%} away or more"
    claims = [
        curve_claim(key, name, smallest, middle, True, f"the other ratio's, {OTHER_CURVE:g} or more"),
        eigenvalue_claim(key, name, middle, smallest, band, rival, OTHER),
    ]
    name = f"B {size.largest:,} against {size.middle} at ratio {name_of(ratio, size)}"
    ends = curve_claim(f"large/{place}", name, largest, middle, False, "equal curves at any batch size, 1")
    stable = stable_size(runs, size, ratio)
    note = f"{ends.note}; 2 / (ratio x eigenvalue), from early in training, is {stable:.0f}"
    return [*claims, dataclasses.replace(ends, note=note)]


def claims_of(runs: Mapping[Key, Runs], size: Size) -> list[Claim]:
    """What agrees at equal ratios, what ends at large batches, and what differs between ratios."""
    more, (high, low), epochs = (OTHER, MOST), RATIOS, size.config.epochs
    claims = [claim for ratio in RATIOS for claim in equal_claims(runs, size, ratio)]
    name = f"ratio {name_of(low, size)} against {name_of(high, size)}"
    of_high, of_low = (runs[ratio, size.middle, epochs] for ratio in RATIOS)
    claims.append(curve_claim("ratios", name, of_low, of_high, False, "no effect of the ratio, 1"))
    claims.append(eigenvalue_claim("ratios", name, of_low, of_high, more, "no effect of the ratio, 0", 0.0))
    longer = binned(runs[low, size.middle, FACTOR * epochs])
    of_cost, (low, high) = apart(longer, of_high)
    note = f"; their costs are {of_cost:.2f} times as far apart as two seeds, 95 % interval {low:.2f} to {high:.2f}"
    key, name, rival = "longer", f"{name}, at equal rate x steps", "rate x steps alone: 0"
    # The source compares at equal epochs: this control is ours.
    claims.append(eigenvalue_claim(key, name, longer, of_high, more, rival, 0.0, "ours", note))
    return claims


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def stable_size(runs: Mapping[Key, Runs], size: Size, ratio: float) -> float:
    """The batch at which the rate meets 2 / eigenvalue, the middle batch's largest early in training."""
    return 2 / (ratio * float(np.mean(runs[ratio, size.middle, size.config.epochs].early_S)))


def table_of(runs: Mapping[Key, Runs], size: Size) -> str:
    """Every setting in numbers, with the 95 % intervals of their means."""
    rows: list[list[str]] = []
    for (ratio, batch_size, epochs), of_key in runs.items():
        found = [statistics.interval(value_S) for value_S in (of_key.cost_ExS[-1], of_key.eigenvalue_S)]
        numbers = [f"{x.mean:.4g} ({x.low:.4g} to {x.high:.4g})" for x in found]
        edge = f"{ratio * batch_size * float(found[1].mean) / 2:.3f}"
        middle = runs[ratio, size.middle, size.config.epochs]
        far = f"{apart(of_key, middle)[0]:.3g}" if epochs == size.config.epochs else ""
        of_run = [name_of(ratio, size), f"{batch_size:,}", f"{ratio * batch_size:.4g}", str(epochs)]
        rows.append([*of_run, *numbers, edge, far])
    from_middle = f"curve's distance from B {size.middle}"
    columns = ("ratio", "batch size", "rate", "epochs", "cost", "eigenvalue", "rate x eigenvalue / 2", from_middle)
    return markdown(columns, rows)


def draw_curves(axis: Any, runs: Mapping[Key, Runs], size: Size) -> None:
    """Training cost by epoch: a colour a ratio, a line style a batch size; the longer run by its rate x steps."""
    count = size.config.epochs
    epochs = np.arange(1, count + 1)
    for i, ratio in enumerate(RATIOS):
        for batch_size, style in ((size.smallest, "-"), (size.middle, "--")):
            cost_E = np.mean(runs[ratio, batch_size, count].cost_ExS, axis=1)
            axis.plot(epochs, cost_E, style, color=f"C{i}", label=f"{name_of(ratio, size)}, B = {batch_size:,}")
    longer = binned(runs[RATIOS[1], size.middle, FACTOR * count])
    label = f"{name_of(RATIOS[1], size)}, B = {size.middle}, {FACTOR} epochs as one"
    axis.plot(epochs, np.mean(longer.cost_ExS, axis=1), ".", color="black", label=label)
    axis.set(yscale="log", xlabel="epoch", ylabel="training cost, nats")
    axis.xaxis.get_major_locator().set_params(integer=True)


def draw_apart(axis: Any, runs: Mapping[Key, Runs], size: Size) -> None:
    """How far each batch size's curve is from the middle one's, and where descent should cease to be stable."""
    others = [batch_size for batch_size in size.batches if batch_size != size.middle]
    for i, ratio in enumerate(RATIOS):
        of_size = lambda batch_size, ratio=ratio: runs[ratio, batch_size, size.config.epochs]  # noqa: E731
        found = [apart(of_size(batch_size), of_size(size.middle))[0] for batch_size in others]
        axis.plot(others, found, "o-", color=f"C{i}", label=f"ratio {name_of(ratio, size)}")
        label = "B = 2 / (ratio x early eigenvalue)"
        axis.axvline(stable_size(runs, size, ratio), color=f"C{i}", linestyle=":", label=label)
    axis.axhline(SAME_CURVE, color="gray", linestyle="--", label=f"{SAME_CURVE:g}: the same")
    axis.axhline(OTHER_CURVE, color="gray", linestyle=":", label=f"{OTHER_CURVE:g}: another")
    axis.set(
        xscale="log", yscale="log", xlabel="batch size B, examples", ylabel="distance of ln cost by that of two seeds"
    )


def draw_eigenvalues(axis: Any, runs: Mapping[Key, Runs], size: Size) -> None:
    """The largest eigenvalue against the batch size with 95 % intervals, and the edge of stability."""
    seen, epochs = list[float](), size.config.epochs
    for i, ratio in enumerate(RATIOS):
        eigenvalue_SxB = np.array([runs[ratio, batch_size, epochs].eigenvalue_S for batch_size in size.batches]).T
        found = statistics.interval(eigenvalue_SxB)
        seen += list(found.mean)
        # On a logarithmic axis an interval that reaches 0 goes down to the frame.
        errors = [np.minimum(found.mean - found.low, 0.999 * np.abs(found.mean)), found.high - found.mean]
        style = {"fmt": "o-", "color": f"C{i}", "capsize": 3, "label": f"ratio {name_of(ratio, size)}"}
        axis.errorbar(size.batches, found.mean, errors, **style)
        axis.plot(size.batches, 2 / (ratio * np.array(size.batches)), ":", color=f"C{i}", label="2 / rate, the edge")
    longer = runs[RATIOS[1], size.middle, FACTOR * epochs].eigenvalue_S
    label = f"ratio {name_of(RATIOS[1], size)}, {FACTOR * epochs} epochs"
    axis.plot(size.middle, np.mean(longer), "k*", markersize=12, label=label)
    axis.set(xscale="log", yscale="log", ylim=(np.nanmin(seen) / 2, np.nanmax(seen) * 2))
    axis.set(xlabel="batch size B, examples", ylabel="largest Hessian eigenvalue, cost / weight^2")


def draw(runs: Mapping[Key, Runs], size: Size, claims: Sequence[Claim]) -> Any:
    """Curves, how far they are apart, and eigenvalues."""
    figure, axes = figures.new_figure(16, 6, 3)
    draw_curves(axes[0], runs, size)
    draw_apart(axes[1], runs, size)
    draw_eigenvalues(axes[2], runs, size)
    measured = {key: claim.measured for key, claim in by_key(claims).items()}
    axes[0].set_title(
        f"B = {size.smallest} and {size.middle} are {measured['equal/high/cost']:.2g} and "
        f"{measured['equal/low/cost']:.2g} times as\nfar apart as two seeds, ratios {measured['ratios/cost']:.2g} times"
    )
    axes[1].set_title(f"How far a batch size is from {size.middle}\nat equal ratio")
    axes[2].set_title(
        f"The smaller ratio ends {1 + measured['ratios/eigenvalue']:.2g} times as sharp\n"
        f"at equal epochs, {1 + measured['longer/eigenvalue']:.2g} times at equal rate x steps"
    )
    for axis in axes:
        axis.grid(alpha=0.3)
        toolkit.legend_below(axis)
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    runs = train_all(size)
    print(table_of(runs, size), flush=True)
    claims = claims_of(runs, size)
    return draw(runs, size, claims), claims


STUDY = Study(question="Does only the ratio of learning rate to batch size matter?", run=run, sizes=SIZES)

if __name__ == "__main__":
    command.main(STUDY)
