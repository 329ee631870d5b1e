"""Rosenblatt's perceptron (1958): a threshold unit, its forward rule and its learning rule.

B batch, D inputs. Labels are 0 or 1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nets.activations import step as threshold_step


class Perceptron(NamedTuple):
    """weights_D and a scalar bias; the unit fires when weights . x + bias > 0, so the bias is minus the threshold."""

    weights_D: jax.Array
    bias: jax.Array


def from_threshold(weights_D: ArrayLike, threshold: float) -> Perceptron:
    """The unit that fires when weights . x exceeds the threshold."""
    return Perceptron(jnp.asarray(weights_D, jnp.float32), jnp.asarray(-threshold, jnp.float32))


def forward(unit: Perceptron, x_BxD: ArrayLike) -> jax.Array:
    """1 where weights . x + bias > 0, else 0: [B, D] -> [B], or [D] -> a scalar; TypeError where D does not fit."""
    x_BxD = jnp.asarray(x_BxD, unit.weights_D.dtype)
    return threshold_step(jnp.matmul(x_BxD, unit.weights_D, precision=jax.lax.Precision.HIGHEST) + unit.bias)


def learn(
    unit: Perceptron, learning_rate: ArrayLike, example: tuple[ArrayLike, ArrayLike]
) -> tuple[Perceptron, dict[str, jax.Array]]:
    """Rosenblatt's learning rule on one example (x_D, label): w += rate (label - output) x, b += rate (label - output).

    Returns the unit and `{"mistakes": 0. or 1.}`. On linearly separable points, started at zero, the number of mistakes
    is at most (R / margin)^2 with R the largest norm of (x, 1) (Novikoff 1962).
    """
    x_D, label = example
    x_D = jnp.asarray(x_D, unit.weights_D.dtype)
    error = label - forward(unit, x_D)
    updated = Perceptron(unit.weights_D + learning_rate * error * x_D, unit.bias + learning_rate * error)
    return updated, {"mistakes": jnp.abs(error)}


def learn_epoch(
    unit: Perceptron, learning_rate: ArrayLike, x_BxD: ArrayLike, labels_B: ArrayLike
) -> tuple[Perceptron, dict[str, jax.Array]]:
    """The learning rule on every example in turn; `mistakes` is their number in this pass, 0 once all are right."""
    unit, metrics = jax.lax.scan(lambda unit, example: learn(unit, learning_rate, example), unit, (x_BxD, labels_B))
    return unit, {"mistakes": jnp.sum(metrics["mistakes"])}
