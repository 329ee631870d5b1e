"""A small net with its exact float64 Hessian, and quadratic functions: what the tests of curvature measure."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import nets

PAIRS = [(c, o) for c in nets.costs.COSTS for o in nets.costs.OUTPUTS if (c, o) != ("cross_entropy", "identity")]
NET = nets.MLP(hidden=(5,), classes=3, activation="tanh", bias_init="normal")
N, D, CHUNK = 37, 4, 10
KEY = jax.random.key(0)


@cache
def net_cost(cost="quadratic", output="softmax"):
    """The cost of the small net, one function a pair so that nothing compiles twice."""
    per_example = nets.costs.get(cost, output).per_example

    def of_batch(params, batch):
        return per_example(NET.apply({"params": params}, batch[0])[0], jax.nn.one_hot(batch[1], 3))

    return of_batch


def any_cost(params, batch):
    """The costs of all pairs, of which the third array picks one: a single program for all of them."""
    costs_BxA = jnp.stack([net_cost(*pair)(params, batch[:2]) for pair in PAIRS], axis=1)
    return jnp.sum(costs_BxA * batch[2], axis=1)


@cache
def exact_of_any_cost():
    """pick_NxA -> the value, gradient and Hessian of the small problem in float64."""
    params, (images_NxD, labels_N) = small_problem()
    with jax.enable_x64(True):
        unravel = ravel_pytree(jax.tree.map(lambda x: np.asarray(x, np.float64), params))[1]
        images_NxD, labels_N = np.asarray(images_NxD, np.float64), np.asarray(labels_N)
        mean = lambda flat_P, pick: jnp.mean(any_cost(unravel(flat_P), (images_NxD, labels_N, pick)))  # noqa: E731
        return jax.jit(lambda flat_P, pick: (*jax.value_and_grad(mean)(flat_P, pick), jax.hessian(mean)(flat_P, pick)))


def picked(pair):
    """pick_NxA of that pair."""
    return np.tile(np.eye(len(PAIRS), dtype=np.float32)[PAIRS.index(pair)], (N, 1))


def exact(pair=("quadratic", "softmax")):
    """The value, gradient and Hessian of the small problem's mean cost in float64, flat."""
    function = exact_of_any_cost()
    with jax.enable_x64(True):
        flat_P = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(small_problem()[0])]).astype(np.float64)
        return tuple(np.asarray(x) for x in function(flat_P, picked(pair).astype(np.float64)))


@cache
def small_problem():
    """(params, data) of the small net: 43 parameters, 37 examples."""
    params = jax.jit(NET.init)(KEY, np.zeros((1, D), np.float32))["params"]
    images_NxD = jax.random.normal(jax.random.key(1), (N, D))
    return params, (images_NxD, jax.random.randint(jax.random.key(2), (N,), 0, 3))


def bowl(params, batch):
    """x.A x / 2 - b.x for each example, with its own A and b: any quadratic function."""
    x_P = ravel_pytree(params)[0]
    matrix_BxPxP, b_BxP = batch
    return 0.5 * jnp.einsum("i,bij,j->b", x_P, matrix_BxPxP, x_P) - jnp.einsum("bi,i->b", b_BxP, x_P)


def bowl_of(eigenvalues, examples=3):
    """Data of a bowl with that Hessian's eigenvalues, in random directions."""
    size = len(eigenvalues)
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))[0]
    matrix = np.broadcast_to((q * np.asarray(eigenvalues)) @ q.T, (examples, size, size))
    return jnp.asarray(matrix, jnp.float32), jnp.asarray(np.zeros((examples, size), np.float32))
