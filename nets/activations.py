"""Activation functions with what saturation needs to know of them: their range and their asymptotes."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nets.tables import look_up


class Activation(NamedTuple):
    """A neuron's output a = function(z) of its weighted input z = w.x + b, elementwise on arrays of any shape.

    `range` is (infimum, supremum) of a; `asymptotes` is (the limit of a for z -> -inf, for z -> +inf), None where
    the output grows without bound. `max_slope` is the supremum of |da/dz| (infinite for the step).
    """

    function: Callable[[jax.Array], jax.Array]
    range: tuple[float, float]
    asymptotes: tuple[float | None, float | None]
    max_slope: float


LEAKY_SLOPE = 0.01
# The minimum of z Phi(z) lies where Phi(z) + z phi(z) = 0, at z = -0.7517915; there gelu is -0.1699712. Its largest
# slope, Phi(z) + z phi(z) at z = sqrt 2, is 1.1289042.
GELU_MINIMUM = -0.16997120747990369
GELU_MAX_SLOPE = 1.1289042
INF = math.inf


def step(z: jax.Array) -> jax.Array:
    """Rosenblatt's threshold: 1 where z > 0, else 0; its derivative is 0 everywhere, so nothing learns through it."""
    return jnp.where(z > 0, jnp.ones_like(z), jnp.zeros_like(z))


def gelu(z: jax.Array) -> jax.Array:
    """z Phi(z) with the exact normal distribution, as in Keras and PyTorch (Hendrycks & Gimpel 2016)."""
    return jax.nn.gelu(z, approximate=False)


def leaky_relu(z: jax.Array) -> jax.Array:
    """max(0, z) with slope 0.01 below zero (Maas, Hannun & Ng 2013)."""
    return jax.nn.leaky_relu(z, negative_slope=LEAKY_SLOPE)


def identity(z: jax.Array) -> jax.Array:
    """z itself: a linear neuron."""
    return z


ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": Activation(jax.nn.sigmoid, (0.0, 1.0), (0.0, 1.0), 0.25),
    "tanh": Activation(jnp.tanh, (-1.0, 1.0), (-1.0, 1.0), 1.0),
    "relu": Activation(jax.nn.relu, (0.0, INF), (0.0, None), 1.0),
    "softplus": Activation(jax.nn.softplus, (0.0, INF), (0.0, None), 1.0),
    "softsign": Activation(jax.nn.soft_sign, (-1.0, 1.0), (-1.0, 1.0), 1.0),
    "leaky_relu": Activation(leaky_relu, (-INF, INF), (None, None), 1.0),
    "gelu": Activation(gelu, (GELU_MINIMUM, INF), (0.0, None), GELU_MAX_SLOPE),
    "identity": Activation(identity, (-INF, INF), (None, None), 1.0),
    "step": Activation(step, (0.0, 1.0), (0.0, 1.0), INF),
}


def get(name: str) -> Activation:
    """The activation of that name; ValueError listing the names where there is none."""
    return look_up(ACTIVATIONS, name, "activation")
