"""The mean of a cost over a data set, chunk by chunk, with its gradient and its Hessian's products with vectors.

N examples of the data set, B examples of a batch, P parameters.

Everywhere `cost(params, batch) -> cost_B`, `params` is any pytree of floats, and `data` any pytree of arrays with a
leading axis N. The function that is measured is the mean of the cost over all N examples; it is gone through `chunk`
examples at a time, none counted twice, and the chunks' sums are added with compensation, so that
the result depends on the chunk by rounding alone. Everything works under jit, with `cost` and the whole numbers
static, and under vmap over lanes of params. A cost made anew for each call compiles anew: define it once.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

Cost = Callable[[Any, Any], jax.Array]

# Chunks of a few hundred to a few thousand images of 784 pixels take about the same time on a CPU.
CHUNK = 1000

dot = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def check_whole(name: str, value: Any, least: int) -> None:
    """ValueError unless the value is a whole number and at least the least."""
    if not hasattr(value, "__index__") or value < least:
        raise ValueError(f"{name} is {value!r}; accepted: a whole number >= {least}")


def check_params(params: Any) -> None:
    """ValueError unless the params are a tree of floats."""
    leaves = jax.tree.leaves(params)
    if not leaves:
        raise ValueError("params hold no array; accepted: a pytree of floats")
    for leaf in leaves:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise ValueError(f"params hold an array of {jnp.result_type(leaf)}; accepted: a pytree of floats")


def check_like(name: str, tree: Any, params: Any) -> None:
    """ValueError unless the tree has the structure and the shapes of the params."""
    if (given := jax.tree.structure(tree)) != (accepted := jax.tree.structure(params)):
        raise ValueError(f"{name} has the tree {given}; accepted: that of params, {accepted}")
    for leaf, like in zip(jax.tree.leaves(tree), jax.tree.leaves(params), strict=True):
        if jnp.shape(leaf) != jnp.shape(like):
            raise ValueError(f"{name} has a leaf of shape {jnp.shape(leaf)} where params have {jnp.shape(like)}")


def check_cost(cost: Cost, params: Any, data: Any, chunk: int, least: int = 1) -> int:
    """The number of examples N; ValueError where the four do not fit each other or N is below the least."""
    check_whole("chunk", chunk, 1)
    check_params(params)
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(data)]
    if not shapes or () in shapes or len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"data has arrays of shapes {shapes}; accepted: a pytree of arrays with one leading axis N")
    count = shapes[0][0]
    if count < least:
        raise ValueError(f"data has {count} examples; accepted: at least {least}")
    batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct((min(chunk, count), *jnp.shape(x)[1:]), x.dtype), data)
    costs = jax.tree.leaves(jax.eval_shape(cost, params, batch))
    if [leaf.shape for leaf in costs] != [(min(chunk, count),)]:
        given = ", ".join(str(leaf.shape) for leaf in costs)
        raise ValueError(f"cost gives {given} for {min(chunk, count)} examples; accepted: one cost an example, [B]")
    return count


def widen(x: jax.Array) -> jax.Array:
    """At least float32."""
    return jnp.asarray(x, jnp.promote_types(x.dtype, jnp.float32))


def flatten(tree: Any) -> tuple[jax.Array, Callable[[jax.Array], Any]]:
    """The leaves as one vector, at least float32, and the way back."""
    flat_P, unravel = ravel_pytree(tree)
    return widen(flat_P), lambda vector_P: unravel(vector_P.astype(flat_P.dtype))


def sum_over_chunks(function: Callable[[Any, jax.Array], Any], data: Any, chunk: int) -> Any:
    """The sum of function(batch, weights_B), a pytree of arrays, over all chunks of the data.

    The last chunk reaches back to be as long as the others, and what it repeats has weight 0: nothing is padded, and
    the function is compiled once. Kahan's summation carries along what each addition loses, so that many small chunks
    add up to as many digits as one.
    """
    count = len(jax.tree.leaves(data)[0])
    chunk = min(chunk, count)

    def term(first: ArrayLike) -> Any:
        start = jnp.minimum(first, count - chunk)
        batch = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, chunk), data)
        return function(batch, (start + jnp.arange(chunk) >= first).astype(jnp.float32))

    def add(carry: tuple[jax.Array, jax.Array], first: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        total, lost = carry
        value = widen(ravel_pytree(term(first))[0]) - lost
        larger = total + value
        return (larger, (larger - total) - value), None

    shapes = jax.eval_shape(lambda: term(0))
    zero, unflatten = flatten(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes))
    return unflatten(jax.lax.scan(add, (zero, zero), jnp.arange(0, count, chunk))[0][0])


def mean_over_chunks(function: Callable[[Any, jax.Array], Any], data: Any, chunk: int) -> Any:
    """The sum over all chunks by the number of examples."""
    count = len(jax.tree.leaves(data)[0])
    return jax.tree.map(lambda x: x / count, sum_over_chunks(function, data, chunk))


def summed(cost: Cost, batch: Any, weights_B: jax.Array) -> Callable[[Any], jax.Array]:
    """The cost of a batch as a function of the params, summed over its examples."""

    def summed(params: Any) -> jax.Array:
        cost_B = cost(params, batch)
        return jnp.sum(cost_B * weights_B.astype(cost_B.dtype))

    return summed


def value_and_gradient(cost: Cost, params: Any, data: Any, chunk: int) -> tuple[jax.Array, Any]:
    """The mean cost and its gradient from one pass over the data."""
    return mean_over_chunks(lambda *batch: jax.value_and_grad(summed(cost, *batch))(params), data, chunk)


@partial(jax.jit, static_argnames=("cost", "chunk"))
def mean_cost(cost: Cost, params: Any, data: Any, chunk: int = CHUNK) -> jax.Array:
    """The mean of the cost over all N examples, a scalar in the cost's unit."""
    check_cost(cost, params, data, chunk)
    return mean_over_chunks(lambda *batch: summed(cost, *batch)(params), data, chunk)


@partial(jax.jit, static_argnames=("cost", "chunk"))
def gradient(cost: Cost, params: Any, data: Any, chunk: int = CHUNK) -> Any:
    """The gradient of the mean cost: a tree like params, in the cost's unit per parameter."""
    check_cost(cost, params, data, chunk)
    return value_and_gradient(cost, params, data, chunk)[1]


@partial(jax.jit, static_argnames=("cost", "chunk"))
def hessian_vector_product(cost: Cost, params: Any, data: Any, vector: Any, chunk: int = CHUNK) -> Any:
    """The Hessian of the mean cost times a vector, both trees like params.

    Exact, forward over reverse (Pearlmutter 1994); it takes memory for one chunk, whatever N is.
    """
    check_cost(cost, params, data, chunk)
    check_like("vector", vector, params)
    return hessian_product(cost, params, data, chunk)(vector)


def hessian_product(cost: Cost, params: Any, data: Any, chunk: int) -> Callable[[Any], Any]:
    """vector -> Hessian times vector; under vmap over vectors the passes through the network itself are shared."""
    params = jax.tree.map(jnp.asarray, params)

    def product(vector: Any) -> Any:
        tangent = jax.tree.map(lambda v, x: jnp.asarray(v, x.dtype), vector, params)
        return mean_over_chunks(
            lambda *batch: jax.jvp(jax.grad(summed(cost, *batch)), (params,), (tangent,))[1], data, chunk
        )

    return product
