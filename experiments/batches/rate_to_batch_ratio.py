"""Does only the ratio of learning rate to batch size matter?

    python -m experiments.batches.rate_to_batch_ratio [--budget=full] [--workdir=runs/rate_to_batch_ratio]

1 minute on 2 cores, 2.5 for full.

Source: Jastrzebski et al. 2018, Three factors influencing minima in SGD: runs of equal learning rate / batch size have
equal curves of the cost by epoch and end in minima of equal largest eigenvalue of the Hessian, which is the smaller the
larger the ratio is; the equality ends where the batch is too large.

The lecture's intermediate net (two layers of 64 ReLUs, cross-entropy), plain SGD without momentum, on the first 8,192
images of MNIST for 20 epochs. Two ratios a factor of 4 apart, .1 / 16 and .1 / 64, each with batches of 4 to 1,024; 4
seeds (full: 8), which share the initial draw. Batches of 4 and 16 are the small ones that should agree. The eigenvalue
is that at the end, on 2,000 training images. The equality has to end where plain descent is no longer stable, at rate x
eigenvalue / 2 = 1, so at a batch of about 2 / (ratio x eigenvalue).

Equal ratios also mean equal rate x steps by epoch, so that gradient descent with small steps and no noise at all would
have equal curves too. To tell this apart, the smaller ratio with batches of 16 goes on for 4 times as many epochs: if
rate x steps is all that matters, it ends where the larger ratio does, and if noise flattens minima, it ends sharper.

Bands, set before the run; a difference of curves is the largest one of the epochs, |a / b - 1|, of the training cost as
its running mean over the epoch, of each seed. At either ratio batches of 4 and 16 differ by less than 10 %, while the
two ratios differ by more than 30 % (batches of 16). Eigenvalue: batches of 4 and 16 within 15 % at either ratio,
while the smaller ratio's is more than 30 % above the larger one's (batches of 16). Batches of 1,024 differ from 16 by
more than 30 % at either ratio. At equal rate x steps the smaller ratio ends more than 30 % sharper.

Measured: 8 of 9 (full, 2026-11-25, 2 cores). Mean of 8 seeds with its 95 % interval, after 20 epochs, and how far the
curve is from that of batches of 16 at its worst epoch:

    batch size    ratio .1 / 16                               ratio .025 / 16 (= .1 / 64)
                  cost      apart   eigenvalue                cost     apart   eigenvalue
             4    .00108    .29     .27 (.26 to .28)          .0336    .025    6.4 (5.2 to 7.7)
            16    .00112            .27 (.25 to .29)          .0342            6.3 (5.2 to 7.5)
            32    .00115    .45     .25 (.23 to .28)          .0344    .026    6.2 (5.0 to 7.3)
            64    .00137    1.04    .26 (.24 to .29)          .0343    .046    5.6 (4.7 to 6.4)
           128    .09       55      2.0 (1.1 to 2.8)          .0340    .14     5.2 (3.9 to 6.5)
           256    2.3       100     dead                      .0376    .54     3.8 (2.6 to 5.0)
         1,024    2.3       100     dead                      2.3      71      dead

Batches of 4 and 16 have eigenvalues within 2 % in the mean, at either ratio (-10 to +6 % and -6 to +3 %), and the
smaller ratio's curves are 2.5 % (2 to 3) apart. The miss is the larger ratio's curve, 45 % (17 to 73) apart at its
worst epoch (16 over 4; 4 over 16 is the table's .29), although its last epoch differs by 4 %: on its way from .1 to
.001 the cost of a single run is noisy. Batches of 16 are themselves 82 % apart from another seed, and 9 % at the
smaller ratio, so that the band asks there for more than two runs can give.

Ratios 4 times apart differ 30-fold in cost. The equality ends between 32 and 64, and between 128 and 256. The
eigenvalue of the end, where the cost is nearly 0, would have it end at 1,200 for the larger ratio; the largest one
after 1, 2 or 4 epochs, taken once that was seen, gives 51 and 86.

It is not rate x steps alone: after 80 epochs the smaller ratio has about the cost of the larger one (.0013 against
.0011), at which it arrives sooner (.77 apart on the way), and is 3.3 times (3.0 to 3.7) as sharp. So noise slows
descent here and flattens where it ends. The quick size, 4 seeds, gives 8 of 9 too, with the same miss, and leaves the
equality of the eigenvalues undecided.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

import input_pipeline
import nets
import train
from configs import intermediate
from experiments import studies
from experiments.engine import executors, results, space, statistics
from training import figures
from training.config import Config

EXAMPLES, EPOCHS = 8_192, 20
SEEDS = {"quick": 4, "full": 8}
RATIOS, FACTOR = (0.1 / 16, 0.1 / 64), 4  # The second one is the first one by that factor.
SMALLEST, MIDDLE, LARGEST = 4, 16, 1_024
SIZES = {"quick": (4, 16, 32, 64, 256, 1_024), "full": (4, 8, 16, 32, 64, 128, 256, 512, 1_024)}
MEASURED_ON, EIGENVALUE_STEPS = 2_000, 20
EARLY = (1, 2, 4)
SAME_CURVE, SAME_EIGENVALUE, OTHER = 0.1, 0.15, 0.3
MOST = 100.0  # No difference of curves counts as more than that, nor that from a curve that has diverged.
SOURCE = "Jastrzebski et al. 2018"


class Runs(NamedTuple):
    """Training costs by epoch, the largest eigenvalue of the Hessian at the end and, of MIDDLE, the largest of those
    after EARLY epochs, over the seeds; NaN where a run has diverged."""

    cost_ExS: np.ndarray
    eigenvalue_S: np.ndarray
    early_S: np.ndarray


Key = tuple[float, int, int]  # Ratio, batch size, epochs.


def name_of(ratio: float) -> str:
    """The ratio as the rate by MIDDLE examples."""
    return f"{ratio * MIDDLE:g} / {MIDDLE}"


# ---------------------------------------------------------------------------------------------------------------------
# Training.


def config_of(ratio: float, size: int, epochs: int) -> ConfigDict:
    """The config of a run."""
    config = intermediate.get_config()
    config.update(probes=(), train_examples=EXAMPLES, batch_size=size, learning_rate=ratio * size, epochs=epochs)
    return config


def run(keys: list[Key], seeds: int) -> dict[Key, Runs]:
    """The runs of each ratio, batch size and number of epochs."""
    names, trials = {}, {}
    for key in keys:
        of_key = space.make_trials(config_of(*key), None, {"seed": range(seeds)})
        names[key] = list(of_key)
        trials |= of_key
    dataset = train.load_dataset(config_of(*keys[0]), "")
    early = {name: [] for name in trials}

    def look(name: str, epoch: int, state: train.TrainState) -> None:
        if epoch in EARLY and trials[name]["batch_size"] == MIDDLE:
            early[name].append(largest_eigenvalue(trials[name], state, dataset))

    table, states = executors.train_states(trials, dataset, "rate to batch ratio", watch=look)
    costs = results.by_epoch(table, "loss")
    eigenvalues = {name: largest_eigenvalue(trials[name], states[name], dataset) for name in trials}
    most = {name: max(seen, default=math.nan) for name, seen in early.items()}
    of = lambda values, names: np.array([values[name] for name in names])  # noqa: E731
    return {key: Runs(of(costs, of_key).T, of(eigenvalues, of_key), of(most, of_key)) for key, of_key in names.items()}


def largest_eigenvalue(trial: Config, state: train.TrainState, dataset: input_pipeline.Dataset) -> float:
    """The largest eigenvalue of the Hessian of the training cost, NaN of weights that are not finite."""
    if not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state.params)):
        return math.nan
    cost = studies.cost_of(trial)
    batch = dataset.images[:MEASURED_ON], dataset.labels[:MEASURED_ON]
    top = nets.curvature.top_eigenvalues(
        cost, state.params, batch, jax.random.key(0), k=1, steps=EIGENVALUE_STEPS, tolerance=1e-2
    )
    return float(top.values_K[0])


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def apart(a: Runs, b: Runs) -> np.ndarray:
    """The largest relative difference of the cost over the epochs, of each seed; at most MOST."""
    return np.fmin(np.max(np.abs(a.cost_ExS / b.cost_ExS - 1), axis=0), MOST)


def curve_claim(name: str, a: Runs, b: Runs, band: tuple[float, float]) -> dict[str, Any]:
    """How far two curves are apart, mean over the seeds."""
    apart_S, ends = apart(a, b), [np.mean(runs.cost_ExS[-1]) for runs in (a, b)]
    note = f"{statistics.interval_in_words(apart_S, '+.2f')}; the last epoch's cost {ends[0]:.3g} against {ends[1]:.3g}"
    if band[0] == 0:
        other_seeds = a._replace(cost_ExS=np.roll(a.cost_ExS, 1, axis=1))
        note += f"; other seeds of B {MIDDLE} itself are {np.mean(apart(a, other_seeds)):.2f} apart"
    published = 0.0 if band[0] <= 0 else None
    return studies.claim(f"cost, {name}", published, SOURCE, apart_S, float(np.mean(apart_S)), band) | {"note": note}


def eigenvalue_claim(name: str, a: Runs, b: Runs, band: tuple[float, float]) -> dict[str, Any]:
    """By what share the first eigenvalue is larger than the second one, mean over the seeds."""
    larger_S = a.eigenvalue_S / b.eigenvalue_S - 1
    ends = [np.mean(runs.eigenvalue_S) for runs in (a, b)]
    note = f"{statistics.interval_in_words(larger_S, '+.2f')}; {ends[0]:.3g} against {ends[1]:.3g}"
    published = 0.0 if band[0] <= 0 else None
    return studies.claim(f"eigenvalue, {name}", published, SOURCE, larger_S, float(np.mean(larger_S)), band) | {
        "note": note
    }


def binned(runs: Runs) -> Runs:
    """Runs of FACTOR times as many epochs, by as many of them as make one epoch of the larger ratio's rate x steps."""
    cost_ExFxS = runs.cost_ExS.reshape(-1, FACTOR, runs.cost_ExS.shape[1])
    return runs._replace(cost_ExS=cost_ExFxS.mean(axis=1))


def claims_of(runs: Mapping[Key, Runs]) -> list[dict[str, Any]]:
    """What agrees at equal ratios, what ends at large batches, and what differs between ratios."""
    claims, more, (high, low) = [], (OTHER, MOST), RATIOS
    for ratio in RATIOS:
        smallest, middle, largest = (runs[ratio, size, EPOCHS] for size in (SMALLEST, MIDDLE, LARGEST))
        name = f"B {MIDDLE} against {SMALLEST} at ratio {name_of(ratio)}"
        claims.append(curve_claim(name, middle, smallest, (0.0, SAME_CURVE)))
        claims.append(eigenvalue_claim(name, middle, smallest, (-SAME_EIGENVALUE, SAME_EIGENVALUE)))
        name = f"B {LARGEST:,} against {MIDDLE} at ratio {name_of(ratio)}"
        claims.append(curve_claim(name, largest, middle, more))
        claims[-1]["note"] += f"; 2 / (ratio x eigenvalue), from early in training, is {stable_size(runs, ratio):.0f}"
    name = f"ratio {name_of(low)} against {name_of(high)}"
    of_high, of_low = (runs[ratio, MIDDLE, EPOCHS] for ratio in RATIOS)
    claims.append(curve_claim(name, of_low, of_high, more))
    claims.append(eigenvalue_claim(name, of_low, of_high, more))
    longer = binned(runs[low, MIDDLE, FACTOR * EPOCHS])
    claims.append(eigenvalue_claim(f"{name}, at equal rate x steps", longer, of_high, more))
    of_cost = apart(longer, of_high)
    claims[-1]["note"] += (
        f"; their costs are {np.mean(of_cost):.2f} apart, {statistics.interval_in_words(of_cost, '+.2f')}"
    )
    return claims


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def stable_size(runs: Mapping[Key, Runs], ratio: float) -> float:
    """The batch at which the rate meets 2 / eigenvalue, the largest one of MIDDLE's nets early in training."""
    return 2 / (ratio * float(np.mean(runs[ratio, MIDDLE, EPOCHS].early_S)))


def table_of(runs: Mapping[Key, Runs]) -> str:
    """Every setting in numbers, with the 95 % intervals of their means."""
    rows = []
    for (ratio, size, epochs), of_key in runs.items():
        found = [statistics.interval(value_S) for value_S in (of_key.cost_ExS[-1], of_key.eigenvalue_S)]
        numbers = [f"{x.mean:.4g} ({x.low:.4g} to {x.high:.4g})" for x in found]
        edge = f"{ratio * size * float(found[1].mean) / 2:.3f}"
        far = f"{np.mean(apart(of_key, runs[ratio, MIDDLE, EPOCHS])):.3g}" if epochs == EPOCHS else ""
        rows.append([name_of(ratio), f"{size:,}", f"{ratio * size:.4g}", str(epochs), *numbers, edge, far])
    from_middle = f"curve's distance from B {MIDDLE}"
    columns = ("ratio", "batch size", "rate", "epochs", "cost", "eigenvalue", "rate x eigenvalue / 2", from_middle)
    return studies.markdown(columns, rows)


def draw_curves(axis, runs: Mapping[Key, Runs]) -> None:
    """Training cost by epoch: a colour a ratio, a line style a batch size; the longer run by its rate x steps."""
    epochs = np.arange(1, EPOCHS + 1)
    for i, ratio in enumerate(RATIOS):
        for size, style in ((SMALLEST, "-"), (MIDDLE, "--"), (LARGEST, ":")):
            cost_E = np.mean(runs[ratio, size, EPOCHS].cost_ExS, axis=1)
            axis.plot(epochs, cost_E, style, color=f"C{i}", label=f"{name_of(ratio)}, B = {size:,}")
    longer = binned(runs[RATIOS[1], MIDDLE, FACTOR * EPOCHS])
    label = f"{name_of(RATIOS[1])}, B = {MIDDLE}, {FACTOR} epochs as one"
    axis.plot(epochs, np.mean(longer.cost_ExS, axis=1), ".", color="black", label=label)
    # A run that blows up first leaves the picture.
    axis.set(yscale="log", xlabel="epoch", ylabel="training cost, nats", ylim=(None, 2 * np.log(10)))


def draw_apart(axis, runs: Mapping[Key, Runs], sizes: tuple[int, ...]) -> None:
    """How far each batch size's curve is from MIDDLE's, and where descent should cease to be stable."""
    others = [size for size in sizes if size != MIDDLE]
    for i, ratio in enumerate(RATIOS):
        found = [apart(runs[ratio, size, EPOCHS], runs[ratio, MIDDLE, EPOCHS]) for size in others]
        axis.plot(others, np.mean(found, axis=1), "o-", color=f"C{i}", label=f"ratio {name_of(ratio)}")
        axis.axvline(stable_size(runs, ratio), color=f"C{i}", linestyle=":", label="B = 2 / (ratio x early eigenvalue)")
    axis.axhline(SAME_CURVE, color="gray", linestyle="--", label=f"{SAME_CURVE:.0%}")
    axis.axhline(MOST, color="gray", linestyle=":", label="this or more")
    axis.set(xscale="log", yscale="log", xlabel="batch size B, examples", ylabel="largest relative difference of cost")


def draw_eigenvalues(axis, runs: Mapping[Key, Runs], sizes: tuple[int, ...]) -> None:
    """The largest eigenvalue against the batch size with 95 % intervals, and the edge of stability."""
    seen = []
    for i, ratio in enumerate(RATIOS):
        found = statistics.interval(np.array([runs[ratio, size, EPOCHS].eigenvalue_S for size in sizes]).T)
        seen += list(found.mean)
        errors = [found.mean - found.low, found.high - found.mean]
        axis.errorbar(sizes, found.mean, errors, fmt="o-", color=f"C{i}", capsize=3, label=f"ratio {name_of(ratio)}")
        axis.plot(sizes, 2 / (ratio * np.array(sizes)), ":", color=f"C{i}", label="2 / rate, the edge of stability")
    longer = runs[RATIOS[1], MIDDLE, FACTOR * EPOCHS].eigenvalue_S
    label = f"ratio {name_of(RATIOS[1])}, {FACTOR * EPOCHS} epochs"
    axis.plot(MIDDLE, np.mean(longer), "k*", markersize=12, label=label)
    axis.set(xscale="log", yscale="log", ylim=(min(seen) / 2, max(seen) * 2))
    axis.set(xlabel="batch size B, examples", ylabel="largest Hessian eigenvalue, cost / weight^2")


def draw(runs: Mapping[Key, Runs], sizes: tuple[int, ...], claims: list[dict[str, Any]]):
    """Curves, how far they are apart, and eigenvalues."""
    figure, axes = figures.new_figure(16, 5.2, 3)
    draw_curves(axes[0], runs)
    draw_apart(axes[1], runs, sizes)
    draw_eigenvalues(axes[2], runs, sizes)
    axes[0].set_title(
        f"Costs of B = {SMALLEST} and {MIDDLE}: {claims[0]['measured']:.0%} and {claims[3]['measured']:.0%} apart,\n"
        f"those of ratios {FACTOR} times apart {claims[6]['measured']:.2g}-fold"
    )
    axes[1].set_title(f"How far a batch size is from {MIDDLE}\nat equal ratio")
    axes[2].set_title(
        f"The smaller ratio ends {1 + claims[7]['measured']:.2g} times as sharp\n"
        f"at equal epochs, {1 + claims[8]['measured']:.2g} times at equal rate x steps"
    )
    for axis, place in zip(axes, ("lower left", "upper left", "lower left"), strict=True):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc=place)
    return figure


def study(budget: str) -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    sizes = SIZES[budget]
    keys = [(ratio, size, EPOCHS) for ratio in RATIOS for size in sizes]
    runs = run([*keys, (RATIOS[1], MIDDLE, FACTOR * EPOCHS)], SEEDS[budget])
    print(table_of(runs), flush=True)
    claims = claims_of(runs)
    return draw(runs, sizes, claims), claims


if __name__ == "__main__":
    studies.main(study)
