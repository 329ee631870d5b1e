"""The gradient noise scale along descent: of some steps from the last state on, at their best rate.

A step at rate r with a batch of b changes the cost, to second order, by -r |G|^2 + r^2 / 2 (G' H G + tr(H Sigma) / b)
in the mean (McCandlish et al. 2018). Over steps at one rate these add up, so that with the best rate batches of b gain
what all examples gain divided by 1 + K / b, where

    K = sum over the steps of tr(H Sigma) / sum over the steps of G' H G.

A state that was reached at a low rate lies on the floor of a valley, where little gradient is left: its own noise scale
is that of descent at such a rate, and many times that of descent at the best one. The second order says nothing of a
cost that is thrown up and comes back, so that the steps at which it lies above its start are left out.

K sets, R rates, M steps.
"""

import math
import time
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

import train
from experiments.advising import edges, steps
from experiments.advising.estimates import Estimate, ratio
from experiments.advising.measuring import Measured, Parts
from nets import noise
from training import models
from training.batches import scale
from training.config import Config
from training.metrics import targets_of

# Random vectors a step: their mean is that over all steps.
SIGNS = 2


class Along(NamedTuple):
    """The noise scale of so many steps at a rate, which is 0 where they were not run; whether that rate is the least or
    the largest one tried; and which share of the steps is left out, since the cost lies above its start there."""

    scale: Estimate
    rate: float = 0.0
    steps: int = steps.STEPS
    at_edge: bool = False
    left_out: float = 0.0


def largest_at_last(config: Config, found: Measured, largest: Estimate) -> float:
    """The largest rate where the last state is, NaN where nobody knows it: it moves as 2 / lambda does, by which the
    optimizer's has to be told. The best rate of large batches mostly lies between the two."""
    if edges.stability(config) is None or not largest.low:
        return math.nan
    first, last = (edges.rate_of(point, config.l2, 2.0).value for point in (found.points[0], found.points[-1]))
    return largest.value * last / first


def noise_look(config: Config) -> steps.Look:
    """G' H G and tr(H Sigma) of a state."""
    model, cost = models.make_model(config), models.cost_of(config)

    def look(state: train.TrainState, images: jax.Array, labels: jax.Array, key: jax.Array) -> Any:
        def cost_of(params: Any, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
            return cost.per_example(model.apply(params, state.batch_stats, batch[0]), batch[1])

        batch = scale(images), targets_of(labels, config.classes)
        found = noise.curved_noise_scale(cost_of, state.params, batch, key, SIGNS)
        return found.gradient_curvature, found.covariance_curvature

    return look


def noise_along(config: Config, parts: Parts, found: Measured, run: edges.Edges, budget: float = math.inf) -> Along:
    """The noise scale along STEPS steps from the last state on. Each probe set measures descent that draws its batches,
    MOST_BATCH examples or as many as there are, from the others; the rate is one for all. It is not run where running
    descent to its edge had to be cut short, nor where it would take more seconds than the budget."""
    if run.is_cut:
        return Along(Estimate(math.nan), steps=0)
    state, sets = found.points[-1].state, range(len(parts.labels_KxP))
    folds = [(parts.without(number), parts.probe_set(number)) for number in sets]
    batch_size = min(steps.MOST_BATCH, len(folds[0][0][1]))
    make = partial(steps.make_run, config, state, batch_size, folds[0], seeds=1)
    run_costs, run_noise = make(steps.cost_look(config)), make(noise_look(config), count=1)

    def costs_of(rates: Any) -> np.ndarray:
        return np.concatenate([run_costs([number], rates, *fold) for number, fold in enumerate(folds)])

    largest = largest_at_last(config, found, edges.over_sets(run.of_sets))
    tried = steps.rates_for(config, largest, 0.0, batch_size)
    if math.isfinite(budget):
        start = time.perf_counter()
        run_costs([0], tried, *folds[0])
        # With all rates that may be added; the noise takes about as long as the costs of one grid of rates.
        if (time.perf_counter() - start) * len(folds) * (2 + edges.EXTENSIONS) > budget:
            return Along(Estimate(math.nan), steps=0)
    rates, cost_KxMxR = steps.costs_about(costs_of, tried)
    best = steps.best_of(cost_KxMxR)
    counts_KxM = steps.gains(cost_KxMxR)[:, :-1, best] >= 0
    seen = [run_noise([number], [rates[best]], *fold) for number, fold in enumerate(folds)]
    curved_K, noise_K = (
        np.sum(np.where(counts_KxM, np.concatenate(part)[:, :-1, 0], 0.0), axis=1) for part in zip(*seen, strict=True)
    )
    found_scale = ratio(noise_K, curved_K)
    # A negative one says that noise gains by curvature, and one of no step says nothing.
    is_known = found_scale.value >= 0 and bool(counts_KxM.any())
    return Along(
        found_scale if is_known else Estimate(math.nan),
        rates[best],
        at_edge=best in (0, len(rates) - 1),
        left_out=1 - float(np.mean(counts_KxM)),
    )
