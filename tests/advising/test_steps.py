"""Steps from a state on, and the rates at which they are tried."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

import train
from experiments.advising import checking, steps
from training.config import Config, hyperparameters

LINEAR = Config(dataset="synthetic", inputs=3, classes=2, hidden=(), output="identity", batch_size=8)


def examples(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random ones of two classes."""
    random = np.random.default_rng(seed)
    return random.normal(size=(count, 3)).astype(np.float32), random.integers(0, 2, count).astype(np.int32)


def test_steps_go_on_from_the_state(monkeypatch):
    """The cost before the first step is that of the state, in every lane; seeds draw batches of their own, and all
    examples at once are plain descent."""
    monkeypatch.setattr(steps, "STEPS", 3)
    state, training, held_out = train.initial_state(LINEAR), examples(40, 0), examples(50, 1)
    make = partial(steps.make_run, LINEAR, state, like=(training, held_out), look=steps.cost_look(LINEAR), count=2)
    cost_SxMxR = make(8, seeds=3)([0, 1, 2], [0.01, 0.5], training, held_out)
    assert cost_SxMxR.shape == (3, 4, 2) and len(np.unique(cost_SxMxR[:, -1, 1])) == 3
    params: Any = jax.device_get(state.params)["output"]
    kernel, bias, targets_NxC = params["kernel"], params["bias"], np.eye(2)[training[1]]

    def cost() -> float:
        return float(np.mean((held_out[0] @ kernel + bias - np.eye(2)[held_out[1]]) ** 2))

    np.testing.assert_allclose(cost_SxMxR[:, 0], cost(), rtol=1e-5)
    np.testing.assert_allclose(
        make(8, seeds=3, every_step=False)([0, 1, 2], [0.01, 0.5], training, held_out),
        cost_SxMxR[:, [0, -1]],
        rtol=1e-5,
    )
    expected = [cost()]
    for _ in range(3):
        error_NxC = (training[0] @ kernel + bias - targets_NxC) / len(targets_NxC)
        kernel, bias = kernel - 0.5 * training[0].T @ error_NxC, bias - 0.5 * error_NxC.sum(0)
        expected.append(cost())
    whole_1xMxR = make(40, seeds=1)([0], [0.01, 0.5], training, held_out)
    np.testing.assert_allclose(whole_1xMxR[0, :, 1], expected, rtol=1e-5)


@pytest.mark.parametrize("fields", [{}, {"hidden": (4,), "batch_norm": True}])
def test_cost_is_that_which_is_descended(fields):
    """Its gradient is by what a step at the rate 1 moves the parameters, with batch normalization as well, whose
    running statistics would give another one."""
    config = LINEAR.replace(**fields, learning_rate=1.0)
    state, (images, labels) = train.initial_state(config), examples(40, 0)
    look = steps.cost_look(config)
    gradient = jax.grad(lambda params: look(state._replace(params=params), images, labels, jax.random.key(0)))
    numbers = hyperparameters(config)
    after, _ = train.make_train(config).step(state, numbers, (images, labels, np.ones(len(labels), np.float32)))
    for before, then, slope in zip(
        *map(jax.tree.leaves, (state.params, after.params, gradient(state.params))), strict=True
    ):
        np.testing.assert_allclose(before - then, slope, rtol=1e-4, atol=1e-6)


def test_rates_beyond_the_best_one_that_was_tried():
    """Where the best of the first three lies at their end, three more are tried; then none that lies within."""
    asked: list[list[float]] = []

    def costs_of(rates: Sequence[float], best: float) -> np.ndarray:
        asked.append(list(rates))
        ends_R = np.log(np.array(rates) / best) ** 2
        return np.broadcast_to(np.stack([np.full(len(rates), 9.0), ends_R]), (2, 2, len(rates)))

    assert steps.best_of(steps.costs_about(partial(costs_of, best=2.0), [1.0, 2.0, 4.0])[1]) == 1 and len(asked) == 1
    rates, cost_SxMxR = steps.costs_about(partial(costs_of, best=16.0), [1.0, 2.0, 4.0])
    assert asked[1:] == [[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]] and steps.best_of(cost_SxMxR) == 4
    assert rates == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert checking.at_edge({8: cost_SxMxR, 16: cost_SxMxR[:, :, :5]}) == [16]
    assert steps.costs_about(partial(costs_of, best=0.0625), [1.0, 2.0, 4.0])[1].shape == (2, 2, 9)
    assert asked[-2:] == [[0.125, 0.25, 0.5], [0.015625, 0.03125, 0.0625]]


def test_rates_of_batches():
    """Up to twice the largest rate, lowered for noise; about the config's own where it is not known."""
    assert steps.rates_for(LINEAR, 4.0, 30.0, 10) == [0.125, 0.25, 0.5, 1.0, 2.0]
    adam = LINEAR.replace(optimizer="adam", learning_rate=0.01)
    assert steps.rates_for(adam, math.nan, 30.0, 10) == pytest.approx([0.0025, 0.005, 0.01, 0.02, 0.04])
