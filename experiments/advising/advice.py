"""What is made of the measures of a net: the largest stable rate and the largest one from which descent comes back, the
useful batch, the initial scale at which slopes survive, the layers that are saturated or dying, and what makes each of
them unsure.

    stable rate   f / lambda, lambda being the largest eigenvalue of the Hessian of the training cost, L2 included; f is
                  2 for plain descent, 2 (1 + m) with momentum m, 2 (1 + m) / (1 + 2 m) with Nesterov's. Above it a step
                  along that eigenvector is longer than the one before, so that the cost may rise. Of all examples at
                  once: noise lowers it.
    largest rate  the edge of divergence, found by running descent (`experiments/advising/edges.py`): above it the cost
                  climbs above its start and does not come back. Of any optimizer.
    useful batch  the gradient noise scale along descent at its best rate (`experiments/advising/along.py`): steps to a
                  cost are in proportion to 1 + it / batch, so that a batch beyond it saves less than half of the steps
                  that a doubling could. That of the state alone, tr(Sigma) / |G|^2, is said beside it.
    initial scale slopes survive where every layer keeps half of the slope mass that it has at the smallest scale; among
                  these scales the one at which layers learn most evenly: the highest ratio of the slowest layer's speed
                  to the fastest one's.

K probe sets, F factors on the initial scale, S draws.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.advising.along import Along
from experiments.advising.edges import BUDGET, RATE_STEPS, Edges, over_sets, rate_of, stability
from experiments.advising.estimates import Estimate, mean, ratio
from experiments.advising.measuring import Measured, Point
from training.config import Config

# From which share on a layer's outputs count as saturated, its units as dying, and below which its slopes as gone.
SATURATED, DYING, GONE = 0.5, 0.1, 0.1
SURVIVING = 0.5
UNSURE_EIGENVALUE, MOVED = 0.05, 2.0


class Layer(NamedTuple):
    """A hidden layer after the last epoch: its measures, its slope mass at the start, and what is wrong with it."""

    name: str
    measures: dict[str, Estimate]
    slope_at_start: Estimate
    faults: list[str]


class Scale(NamedTuple):
    """Of the initial scales that were tried: the one that is advised, with those that single draws would choose, and
    the largest one at which slopes survive; the least slope mass of a layer and the evenness of speeds at each."""

    advised: Estimate
    survives_to: float
    tried: list[float]
    slope_mass: list[float]
    evenness: list[float]


class Advice(NamedTuple):
    """What is advised, each part with its doubts; a part that does not apply is None."""

    epochs: list[int]
    losses: list[float]
    sharpness: list[Estimate]
    rates: list[Estimate]
    rate: Estimate | None
    rate_doubts: list[str]
    edges: Edges
    largest: Estimate
    largest_doubts: list[str]
    batches: list[Estimate]
    along: Along
    batch: Estimate
    batch_doubts: list[str]
    scale: Scale | None
    scale_doubts: list[str]
    layers: list[Layer]
    diverged: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, by parts."""
        layers = {
            layer.name: layer.measures | {"slope_mass_at_start": layer.slope_at_start, "faults": layer.faults}
            for layer in self.layers
        }
        return {
            "epochs": self.epochs,
            "losses": self.losses,
            "diverged_in_epoch": self.diverged or None,
            "stable_rate": {
                "advised": self.rate,
                "by_point": self.rates,
                "top_eigenvalue_by_point": self.sharpness,
                "doubts": self.rate_doubts,
            },
            "largest_rate": {
                "advised": self.largest,
                "by_set": self.edges.of_sets,
                "steps": self.edges.steps,
                "doubts": self.largest_doubts,
            },
            "useful_batch": {
                "advised": self.batch,
                "steps": self.along.steps,
                "rate": self.along.rate or None,
                "left_out": self.along.left_out,
                "noise_scale_by_point": self.batches,
                "doubts": self.batch_doubts,
            },
            "init_scale": (self.scale._asdict() if self.scale else {"advised": None}) | {"doubts": self.scale_doubts},
            "layers": layers,
        }


def advise(config: Config, found: Measured, edges: Edges, along: Along) -> Advice:
    """The advice for a net that was measured: from which rates on descent was found to diverge, and how noisy its
    gradients are along it."""
    sharpness = [mean(point.measured["curvature/top_eigenvalue"] + config.l2) for point in found.points]
    factor = stability(config)
    rates = [rate_of(point, config.l2, factor or 2.0) for point in found.points]
    batches = [noise_scale(point) for point in found.points]
    scale, scale_doubts = scale_of(config, found)
    return Advice(
        epochs=[point.epoch for point in found.points],
        losses=[point.loss for point in found.points],
        sharpness=sharpness,
        rates=rates,
        rate=None if factor is None else rates[0],
        rate_doubts=rate_doubts(config, found, rates),
        edges=edges,
        largest=over_sets(edges.of_sets),
        largest_doubts=largest_doubts(config, found, edges),
        batches=batches,
        along=along,
        batch=along.scale if along.steps else batches[-1],
        batch_doubts=batch_doubts(config, found, along, batches),
        scale=scale,
        scale_doubts=scale_doubts,
        layers=layers_of(found.points[0], found.points[-1]),
        diverged=found.diverged,
    )


# ---------------------------------------------------------------------------------------------------------------------
# The rate.


def rate_doubts(config: Config, found: Measured, rates: list[Estimate]) -> list[str]:
    """What makes the stable rate unsure, or no rate of this run."""
    doubts: list[str] = []
    if stability(config) is None:
        doubts.append(
            f"{config.optimizer} divides each step by the gradient's own size, so that 2 / lambda says nothing of "
            "its rate; that number is of plain descent"
        )
    if found.has_statistics:
        doubts.append(
            "the net keeps running statistics (batch normalization), with which it is measured, while descent sees "
            "those of the batch: the rate is a guess"
        )
    if config.is_scheduled:
        doubts.append("the rate is that of a schedule, which may pass it: compare it with the peak, after the warm-up")
    if config.dropout:
        doubts.append("dropout is left out of what is measured")
    top_K, residual_K = (found.points[0].measured[f"curvature/top_{name}"] for name in ("eigenvalue", "residual"))
    if np.any(residual_K > UNSURE_EIGENVALUE * np.abs(top_K)):
        worst = float(np.max(residual_K / np.maximum(np.abs(top_K), 1e-30)))
        doubts.append(f"the eigenvalue did not settle: it may be off by {100 * worst:.0f} %")
    values = [rate.value for rate in rates if math.isfinite(rate.value)]
    if values and max(values) > MOVED * min(values):
        doubts.append(
            f"2 / lambda moves by a factor of {max(values) / min(values):.2g} in these epochs; a run above it goes on "
            "only where the curvature gives way"
        )
    return doubts


def largest_doubts(config: Config, found: Measured, edges: Edges) -> list[str]:
    """What makes the largest rate unsure, or none of this run."""
    doubts: list[str] = []
    sets, all_sets = len(edges.of_sets), len(found.points[0].measured["curvature/top_eigenvalue"])
    for words, count in (
        ("every rate", sum(math.isinf(edge.high) for edge in edges.of_sets)),
        ("no rate", sum(not edge.low for edge in edges.of_sets)),
    ):
        if count:
            doubts.append(
                f"on {f'{count} of' if count < sets else 'all'} {sets} sets descent came back from {words} tried"
            )
    if edges.is_cut and sets:
        doubts.append(
            f"to end within {BUDGET / 60:g} minutes, {edges.steps} steps on {sets} sets were run instead of "
            f"{RATE_STEPS} on {all_sets}"
        )
    if config.has_own_model and found.has_statistics:
        doubts.append("noise that the model makes itself, as dropout does, may count as divergence")
    if config.is_scheduled:
        doubts.append("it was run at constant rates: a warm-up may bear more")
    return doubts


# ---------------------------------------------------------------------------------------------------------------------
# The batch.


def noise_scale(point: Point) -> Estimate:
    """The gradient noise scale tr(Sigma) / |G|^2 of a state over the probe sets, in examples: the ratio of its two
    means."""
    return ratio(point.measured["noise/covariance_trace"], point.measured["noise/gradient_squared"])


def batch_doubts(config: Config, found: Measured, along: Along, batches: list[Estimate]) -> list[str]:
    """What makes the useful batch unsure."""
    doubts: list[str] = []
    if not along.steps:
        doubts.append(
            f"to end within {BUDGET / 60:g} minutes, it is of this state alone: along descent at a higher rate it may "
            "be many times smaller"
        )
    if along.at_edge:
        doubts.append("the best rate is the least or the largest one tried: a better one may lie beyond it")
    if math.isinf((along.scale if along.steps else batches[-1]).high):
        doubts.append("noise hides the gradient on sets of this size: it is known from below alone")
    if config.optimizer != "sgd":
        doubts.append(f"it is that of plain descent; {config.optimizer} weighs parameters otherwise")
    if config.l2:
        doubts.append("what l2 adds to the cost that is descended is left out of it")
    if found.has_statistics:
        doubts.append(
            "batch normalization mixes the examples of a batch, which single gradients do not show, and its running "
            "statistics, with which they are taken, lag behind the steps"
        )
    values = [batch.value for batch in batches if math.isfinite(batch.value) and batch.value > 0]
    if len(values) > 1 and values[-1] > MOVED * values[0]:
        doubts.append("it grows as the cost falls: measure again (--epochs) where the run is later")
    return doubts


# ---------------------------------------------------------------------------------------------------------------------
# The initial scale.


def scale_of(config: Config, found: Measured) -> tuple[Scale | None, list[str]]:
    """The initial scale that is advised, None where there is nothing to choose it by; and what makes it unsure."""
    slopes, speeds = (
        np.array([values for name, values in found.scales.items() if name.startswith(f"{measure}/")])
        for measure in ("slope_mass", "speed")
    )
    if not len(slopes):
        return None, ["no layer has an activation whose slope is measured"]
    if config.init_scale == 0:
        return None, ["config.init_scale=0.0 leaves nothing to scale"]
    kept_FxS = np.min(slopes / np.maximum(slopes[:, :1], 1e-30), axis=0)
    survives_F = np.logical_and.accumulate(np.mean(kept_FxS, axis=1) >= SURVIVING)
    with np.errstate(divide="ignore", invalid="ignore"):
        even_FxS = np.log(np.min(speeds, axis=0) / np.max(speeds, axis=0))
    even_FxS = np.where(np.isfinite(even_FxS), even_FxS, -np.inf)
    among = np.flatnonzero(survives_F)
    chosen_S = [found.factors[among[np.argmax(even_F[among])]] for even_F in even_FxS.T]
    with np.errstate(invalid="ignore"):
        best = found.factors[among[np.argmax(np.mean(even_FxS, axis=1)[among])]]
    doubts = []
    if survives_F.all():
        doubts.append("slopes survive at every scale that was tried" + relu_words(slopes))
    if len(speeds) < 2:
        doubts.append("with one layer there is no evenness to choose by")
    if found.has_statistics or config.batch_norm:
        doubts.append("normalization undoes the scale of what it follows: it matters less than it seems")
    own = config.init_scale
    return (
        Scale(
            Estimate(own * best, own * min(chosen_S), own * max(chosen_S)),
            own * found.factors[int(among[-1])],
            [own * factor for factor in found.factors],
            [float(x) for x in np.mean(np.min(slopes, axis=0), axis=1)],
            [float(x) for x in np.exp(np.mean(even_FxS, axis=1))],
        ),
        doubts,
    )


def relu_words(slopes: np.ndarray) -> str:
    """Why that is so where slopes do not depend on the scale at all."""
    spread = float(np.max(np.ptp(np.mean(slopes, axis=2), axis=1)))
    return ", since they do not depend on it (as those of ReLUs without biases)" if spread < 0.02 else ""


# ---------------------------------------------------------------------------------------------------------------------
# The layers.


def layers_of(first: Point, last: Point) -> list[Layer]:
    """The hidden layers after the last epoch, in their order, each with its faults."""
    found: dict[str, dict[str, Estimate]] = {}
    for name, values_K in last.measured.items():
        measure, _, layer = name.partition("/")
        if measure in ("saturation", "slope_mass", "zero_fraction", "dead_units", "dormant_units"):
            found.setdefault(layer, {})[measure] = mean(values_K, (0.0, 1.0))
    layers: list[Layer] = []
    for name, measures in found.items():
        before = first.measured.get(f"slope_mass/{name}")
        at_start = mean(before, (0.0, 1.0)) if before is not None else Estimate(math.nan)
        layers.append(Layer(name, measures, at_start, faults_of(measures)))
    return layers


def faults_of(measures: Mapping[str, Estimate]) -> list[str]:
    """What is wrong with a layer, in words, each with its number."""
    faults: list[str] = []
    if "saturation" in measures and measures["saturation"].value >= SATURATED:
        faults.append(f"saturated: {percent(measures['saturation'])} of its outputs lie within 5 % of an asymptote")
    if "dead_units" in measures and measures["dead_units"].value >= DYING:
        faults.append(f"dying: {percent(measures['dead_units'])} of its units give 0 on every example")
    elif "dormant_units" in measures and measures["dormant_units"].value >= DYING:
        faults.append(f"dormant: {percent(measures['dormant_units'])} of its units give a tenth of the layer's mean")
    if "slope_mass" in measures and measures["slope_mass"].value <= GONE:
        faults.append(f"slopes gone: {percent(measures['slope_mass'])} of the largest slope is left")
    return faults


def percent(share: Estimate) -> str:
    """`62 % (60 to 64)`."""
    value, low, high = (100 * x for x in share)
    within = "" if math.isnan(low) or f"{low:.0f}" == f"{high:.0f}" else f" ({low:.0f} to {high:.0f})"
    return f"{value:.0f} %{within}"
