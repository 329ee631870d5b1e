"""What a batch draws: the probabilities of examples, every example's gradient, and all batches that there are.

N examples or K kinds of them, B examples of a batch, J batches that differ, P parameters, M places.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from nets.chunks import Cost, Tree, check_cost, check_whole, count_examples


def weights_of(weights: ArrayLike | None, count: int) -> np.ndarray:
    """The probabilities with which so many examples are drawn, equal ones for None; ValueError where they are none."""
    if weights is None:
        return np.full(count, 1 / count)
    weights_N = np.asarray(weights, np.float64)
    if weights_N.shape != (count,) or not np.all(weights_N >= 0) or abs(weights_N.sum() - 1) > 1e-9:
        given = f"shape {weights_N.shape} and sum {weights_N.sum():g}"
        raise ValueError(f"weights have {given}; accepted: {count} probabilities, whose sum is 1")
    return weights_N


def batches(weights: ArrayLike, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The share of each kind in every batch that can be drawn, [J, K], and its probability, [J], exactly.

    B draws with replacement from K kinds are a multinomial draw: J = (B + K - 1)! / B! (K - 1)!.
    """
    check_whole("batch_size", batch_size, 1)
    weights_K = weights_of(weights, np.size(weights))
    kinds = range(len(weights_K))
    drawn = itertools.combinations_with_replacement(kinds, batch_size)
    counts_JxK = np.array([[batch.count(kind) for kind in kinds] for batch in drawn])
    orders_J = np.array([math.prod(map(math.factorial, row)) for row in counts_JxK.tolist()], np.float64)
    return counts_JxK / batch_size, math.factorial(batch_size) / orders_J * (weights_K**counts_JxK).prod(axis=1)


def doubled(tree: Tree) -> Tree:
    """The tree with its floats as float64; under enable_x64."""

    def double(x: Tree) -> jax.Array:
        x = jnp.asarray(x)
        return x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(double, tree)


def example_gradient(cost: Cost, params: Tree, example: Tree) -> jax.Array:
    """The gradient of one example, that has no leading axis, [P]."""
    one = jax.tree.map(lambda x: x[None], example)
    return ravel_pytree(jax.grad(lambda params: jnp.sum(cost(params, one)))(params))[0]


@partial(jax.jit, static_argnames=("cost", "unravel"))
def gradients_at(cost: Cost, unravel: Callable[[jax.Array], Tree], places_MxP: jax.Array, data: Tree) -> jax.Array:
    """The gradient of every example at every place, [M, N, P], `unravel` making params of the P numbers of a place."""

    def at_place(place_P: jax.Array) -> jax.Array:
        return jax.vmap(partial(example_gradient, cost, unravel(place_P)))(data)

    return jax.vmap(at_place)(places_MxP)


def gradients(cost: Cost, like: Tree, places_MxP: np.ndarray, data: Tree) -> np.ndarray:
    """The gradient of every example at every place, [M, N, P] in float64.

    A place holds the P numbers of params that are a tree like `like`, in the order in which JAX flattens it.
    """
    with jax.enable_x64(True):
        like, data = doubled(like), doubled(data)
        check_cost(cost, like, data, count_examples(data))
        # As many places as a power of two: each other number would be compiled anew.
        more = (1 << (len(places_MxP) - 1).bit_length()) - len(places_MxP)
        padded = np.concatenate([places_MxP, np.repeat(places_MxP[:1], more, axis=0)])
        return np.asarray(gradients_at(cost, ravel_pytree(like)[1], padded, data))[: len(places_MxP)]
