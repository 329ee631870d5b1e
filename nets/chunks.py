"""The mean of a cost over a data set, chunk by chunk, with its gradient and its Hessian's products with vectors.

N examples of the data set, B examples of a batch, P parameters.

Everywhere `cost(params, batch) -> cost_B`, `params` is any pytree of floats, and `data` any pytree of arrays with a
leading axis N. The function that is measured is the mean of the cost over all N examples; it is gone through `chunk`
examples at a time, none counted twice, and the chunks' sums are added with compensation, so that
the result depends on the chunk by rounding alone. Everything works under jit, with `cost` and the whole numbers
static, and under vmap over lanes of params. A cost made anew for each call compiles anew: define it once.

An example's cost must not depend on the examples beside it, as it does with statistics of the batch. Outside jit and
vmap that is tried with a few examples in two companies: a cost that fails is a ValueError where the data are cut into
chunks, and a UserWarning where a single chunk holds them all, so that the result is that of the whole batch.
"""

import inspect
import warnings
from collections.abc import Callable
from functools import partial, wraps
from typing import ParamSpec, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from nets import canary
from nets.trees import CostOfFloats, Tree, check_no_statistics, floats_of, is_mixed

Cost: TypeAlias = Callable[[Tree, Tree], jax.Array]
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# Chunks of a few hundred to a few thousand images of 784 pixels take about the same time on a CPU.
CHUNK = 1000
# Examples that are tried in two companies.
TRIED = 8
# Arguments that are trees like params.
LIKE_PARAMS = {"params", "params_after", "vector", "direction", "directions"}

dot = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


# ---------------------------------------------------------------------------------------------------------------------
# What is given.


def check_whole(name: str, value: object, least: int) -> None:
    """ValueError unless the value is a whole number and at least the least."""
    whole = hasattr(value, "__index__") and not isinstance(value, bool | np.bool_)
    if not whole or int(value) < least:  # pyright: ignore[reportArgumentType]
        raise ValueError(f"{name} is {value!r}; accepted: a whole number >= {least}")


def check_hash(cost: object) -> None:
    """ValueError for a cost that jit cannot tell from another."""
    if getattr(cost, "__hash__", None) is None:
        raise ValueError(f"cost is a {type(cost).__name__} without a hash; accepted: a function, or one with it")


def check_params(params: Tree) -> None:
    """ValueError unless the params are a tree of floats, and at least one."""
    leaves = jax.tree.leaves(params)
    if not sum(np.size(leaf) for leaf in leaves):
        raise ValueError("params hold no number; accepted: a pytree of floats")
    for leaf in leaves:
        numbers = hasattr(leaf, "dtype") or isinstance(leaf, int | float | complex)
        kind = jnp.result_type(leaf) if numbers else type(leaf).__name__
        if not numbers or not jnp.issubdtype(kind, jnp.floating):
            raise ValueError(f"params hold {'an array of ' * numbers}{kind}; accepted: a pytree of floats")


def _short(text: object) -> str:
    """The text in a hundred characters."""
    return text if len(text := " ".join(str(text).split())) <= 100 else f"{text[:97]}..."


def check_like(name: str, tree: Tree, params: Tree) -> None:
    """ValueError unless the tree has the structure and the shapes of the params."""
    if (given := jax.tree.structure(tree)) != (accepted := jax.tree.structure(params)):
        raise ValueError(f"{name} has the tree {_short(given)}; accepted: that of params, {_short(accepted)}")
    for leaf, like in zip(jax.tree.leaves(tree), jax.tree.leaves(params), strict=True):
        if jnp.shape(leaf) != jnp.shape(like):
            raise ValueError(f"{name} has a leaf of shape {jnp.shape(leaf)} where params have {jnp.shape(like)}")


def count_examples(data: Tree, least: int = 1) -> int:
    """The number of examples N; ValueError where the data are no arrays with one leading axis, or N is too small."""
    leaves = jax.tree.leaves(data)
    accepted = "accepted: a pytree of arrays with one leading axis N"
    for other in (leaf for leaf in leaves if not hasattr(leaf, "shape")):
        hint = ", as numpy.asarray makes them of lists" if isinstance(other, int | float) else ""
        raise ValueError(f"data holds a bare {type(other).__name__}, {_short(repr(other))}; {accepted}{hint}")
    shapes = [jnp.shape(leaf) for leaf in leaves]
    if not shapes or () in shapes or len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"data has arrays of shapes {_short(shapes)}; {accepted}")
    if shapes[0][0] < least:
        raise ValueError(f"data has {shapes[0][0]} examples; accepted: at least {least}")
    return shapes[0][0]


def check_cost(cost: Cost, params: Tree, data: Tree, chunk: int, least: int = 1) -> int:
    """The number of examples N; ValueError where the four do not fit each other or N is below the least."""
    canary.warn_once()
    check_whole("chunk", chunk, 1)
    check_params(params)
    count = count_examples(data, least)
    size = min(chunk, count)
    batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct((size, *jnp.shape(x)[1:]), x.dtype), data)
    costs = jax.tree.leaves(jax.eval_shape(cost, params, batch))
    if [leaf.shape for leaf in costs] != [(size,)]:
        given = ", ".join(str(leaf.shape) for leaf in costs)
        raise ValueError(f"cost gives {_short(given)} for {size} examples; accepted: one cost an example, [B]")
    return count


# ---------------------------------------------------------------------------------------------------------------------
# Costs that mix examples.


@partial(jax.jit, static_argnames="cost")
def _costs(cost: Cost, params: Tree, batch: Tree) -> jax.Array:
    """The costs of a batch; one program, so that the same example in the same place costs the same to the bit."""
    return cost(params, batch)


def _two_companies(cost: Cost, params: Tree, data: Tree) -> tuple[np.ndarray, np.ndarray] | None:
    """The costs of the same few examples beside some others and beside none but themselves; None where none can be had.

    The places stay the same, so that a cost which draws its own noise by place passes.
    """
    count = len(jax.tree.leaves(data)[0])
    rows = np.linspace(0, count - 1, min(count, TRIED)).astype(int)
    kept = -(-len(rows) // 2)
    try:
        beside_B, alone_B = (
            _costs(cost, params, jax.tree.map(lambda x, rows=rows: x[rows], data))
            for rows in (rows, rows[np.arange(len(rows)) % kept])
        )
    except Exception:  # A cost that is written for batches of one size cannot be asked for another.
        return None
    # A cost may close over an array of a program around us.
    if isinstance(beside_B, Tracer) or not jnp.issubdtype(beside_B.dtype, jnp.floating):
        return None
    return np.asarray(beside_B[:kept]), np.asarray(alone_B[:kept])


def check_apart(cost: Cost, params: Tree, data: Tree, whole: bool) -> None:
    """ValueError where an example's cost depends on the examples beside it; a warning where they are `whole`, in one
    chunk. Nothing under jit or vmap, where there are no values."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((params, data))):
        return
    if (pair := _two_companies(cost, params, data)) is None:
        return
    tolerance = float(jnp.finfo(pair[0].dtype).eps) ** 0.5
    beside_B, alone_B = (np.asarray(costs_B, np.float64) for costs_B in pair)
    differ_B = ~np.isclose(beside_B, alone_B, rtol=tolerance, atol=0, equal_nan=True)
    if not differ_B.any():
        return
    first = int(np.argmax(differ_B))
    told = f"an example costs {beside_B[first]:.4g} beside some examples and {alone_B[first]:.4g} beside others"
    if not whole:
        accepted = "accepted: a cost that does not mix examples, as batch statistics do, or a chunk of all of them"
        raise ValueError(f"{told}; {accepted}")
    warnings.warn(f"{told}: the result is that of all of them at once, and no sum over examples", stacklevel=3)


def measure(
    *static: str, singles: bool = False
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Compiles a function of cost, params, data, chunk and others, with `cost`, `chunk` and those named static.

    What can be seen of the arguments' values alone is checked around the program. With `singles` the function takes
    examples one by one, so that no chunk makes a cost right that mixes them.
    """

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        compiled = jax.jit(function, static_argnames=("cost", "chunk", *static))
        signature = inspect.signature(function)

        @wraps(function)
        def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            cost, params, data, chunk = (bound.arguments[name] for name in ("cost", "params", "data", "chunk"))
            check_hash(cost)
            check_whole("chunk", chunk, 1)
            check_no_statistics(params)
            if is_mixed(params):
                cost = bound.arguments["cost"] = CostOfFloats(cost, params)
                for name in LIKE_PARAMS & bound.arguments.keys():
                    bound.arguments[name] = floats_of(bound.arguments[name])
                params = bound.arguments["params"]
            check_params(params)
            count = count_examples(data)
            result = compiled(*bound.args, **bound.kwargs)
            check_apart(cost, params, data, whole=count <= chunk and not singles)
            return result

        return call

    return decorate


# ---------------------------------------------------------------------------------------------------------------------
# Sums over chunks.


def widen(x: jax.Array) -> jax.Array:
    """At least float32."""
    return jnp.asarray(x, jnp.promote_types(x.dtype, jnp.float32))


def flatten(tree: Tree) -> tuple[jax.Array, Callable[[jax.Array], Tree]]:
    """The leaves as one vector, at least float32, and the way back."""
    flat_P, unravel = ravel_pytree(tree)
    return widen(flat_P), lambda vector_P: unravel(vector_P.astype(flat_P.dtype))


def sum_over_chunks(function: Callable[[Tree, jax.Array], Tree], data: Tree, chunk: int) -> Tree:
    """The sum of function(batch, weights_B), a pytree of arrays, over all chunks of the data.

    The last chunk reaches back to be as long as the others, and what it repeats has weight 0: nothing is padded, and
    the function is compiled once. Kahan's summation carries along what each addition loses, so that many small chunks
    add up to as many digits as one.
    """
    count = len(jax.tree.leaves(data)[0])
    chunk = min(chunk, count)

    def term(first: ArrayLike) -> Tree:
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


def mean_over_chunks(function: Callable[[Tree, jax.Array], Tree], data: Tree, chunk: int) -> Tree:
    """The sum over all chunks by the number of examples."""
    count = len(jax.tree.leaves(data)[0])
    return jax.tree.map(lambda x: x / count, sum_over_chunks(function, data, chunk))


def summed(cost: Cost, batch: Tree, weights_B: jax.Array) -> Callable[[Tree], jax.Array]:
    """The cost of a batch as a function of the params, summed over its examples."""

    def summed(params: Tree) -> jax.Array:
        cost_B = cost(params, batch)
        return jnp.sum(cost_B * weights_B.astype(cost_B.dtype))

    return summed


def value_and_gradient(cost: Cost, params: Tree, data: Tree, chunk: int) -> tuple[jax.Array, Tree]:
    """The mean cost and its gradient from one pass over the data."""
    return mean_over_chunks(lambda *batch: jax.value_and_grad(summed(cost, *batch))(params), data, chunk)


@measure()
def mean_cost(cost: Cost, params: Tree, data: Tree, chunk: int = CHUNK) -> jax.Array:
    """The mean of the cost over all N examples, a scalar in the cost's unit."""
    check_cost(cost, params, data, chunk)
    return mean_over_chunks(lambda *batch: summed(cost, *batch)(params), data, chunk)


@measure()
def gradient(cost: Cost, params: Tree, data: Tree, chunk: int = CHUNK) -> Tree:
    """The gradient of the mean cost: a tree like params, in the cost's unit per parameter."""
    check_cost(cost, params, data, chunk)
    return value_and_gradient(cost, params, data, chunk)[1]


@measure()
def hessian_vector_product(cost: Cost, params: Tree, data: Tree, vector: Tree, chunk: int = CHUNK) -> Tree:
    """The Hessian of the mean cost times a vector, both trees like params.

    Exact, forward over reverse (Pearlmutter 1994); it takes memory for one chunk, whatever N is.
    """
    check_cost(cost, params, data, chunk)
    check_like("vector", vector, params)
    return hessian_product(cost, params, data, chunk)(vector)


def hessian_product(cost: Cost, params: Tree, data: Tree, chunk: int) -> Callable[[Tree], Tree]:
    """vector -> Hessian times vector; under vmap over vectors the passes through the network itself are shared."""
    params = jax.tree.map(jnp.asarray, params)

    def product(vector: Tree) -> Tree:
        tangent = jax.tree.map(lambda v, x: jnp.asarray(v, x.dtype), vector, params)
        return mean_over_chunks(
            lambda *batch: jax.jvp(jax.grad(summed(cost, *batch)), (params,), (tangent,))[1], data, chunk
        )

    return product
