"""Curvature of a mean cost: Hessian-vector products, eigenvalues, spectral density, trace, sharpness, gradient noise.

N examples of the data set, B examples of a batch, P parameters, K eigenvalues, S steps, R rows of a basis, Q random
vectors, G points of a grid, M pairs of memory, A and B coordinates.

    def cost(params, batch):                                                    # per-example costs [B]
        images_BxD, labels_B = batch
        logits_BxC, _ = net.apply({"params": params}, images_BxD * (1 / 255))
        return nets.costs.get("quadratic", "softmax").per_example(logits_BxC, jax.nn.one_hot(labels_B, 10))

    top = nets.curvature.top_eigenvalues(cost, params, (images_NxD, labels_N), jax.random.key(0))
    top.values_K                                                                # the five largest, descending

Everywhere `cost(params, batch) -> cost_B`, `params` is any pytree of floats, and `data` any pytree of arrays with a
leading axis N. The function that is measured is the mean of the cost over all N examples; it is gone through `chunk`
examples at a time, none counted twice, and the chunks' sums are added with compensation, so that
the result depends on the chunk by rounding alone. Everything works under jit, with `cost` and the whole numbers
static, and under vmap over lanes of params. A cost made anew for each call compiles anew: define it once.

ValueError, in one line, names what does not fit: params that are no floats, data without examples or of several
lengths, a cost of another shape than [B], trees that do not match, whole numbers out of their range. Numbers that are
not finite raise nothing: what depends on them comes out as nan.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

Cost = Callable[[Any, Any], jax.Array]

# Chunks of a few hundred to a few thousand images of 784 pixels take about the same time on a CPU.
CHUNK = 1000
# Gradients of single examples take B x P numbers at a time.
EXAMPLES_CHUNK = 100
# Random vectors that share one pass over the data, at most.
VECTORS = 4

_dot = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


# ---------------------------------------------------------------------------------------------------------------------
# The mean over a data set.


def _whole(name: str, value: Any, least: int) -> None:
    """ValueError unless the value is a whole number and at least the least."""
    if not hasattr(value, "__index__") or value < least:
        raise ValueError(f"{name} is {value!r}; accepted: a whole number >= {least}")


def _check_params(params: Any) -> None:
    """ValueError unless the params are a tree of floats."""
    leaves = jax.tree.leaves(params)
    if not leaves:
        raise ValueError("params hold no array; accepted: a pytree of floats")
    for leaf in leaves:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise ValueError(f"params hold an array of {jnp.result_type(leaf)}; accepted: a pytree of floats")


def _check_like(name: str, tree: Any, params: Any) -> None:
    """ValueError unless the tree has the structure and the shapes of the params."""
    if (given := jax.tree.structure(tree)) != (accepted := jax.tree.structure(params)):
        raise ValueError(f"{name} has the tree {given}; accepted: that of params, {accepted}")
    for leaf, like in zip(jax.tree.leaves(tree), jax.tree.leaves(params), strict=True):
        if jnp.shape(leaf) != jnp.shape(like):
            raise ValueError(f"{name} has a leaf of shape {jnp.shape(leaf)} where params have {jnp.shape(like)}")


def _check(cost: Cost, params: Any, data: Any, chunk: int, least: int = 1) -> int:
    """The number of examples N; ValueError where the four do not fit each other or N is below the least."""
    _whole("chunk", chunk, 1)
    _check_params(params)
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


def _widen(x: jax.Array) -> jax.Array:
    """At least float32."""
    return jnp.asarray(x, jnp.promote_types(x.dtype, jnp.float32))


def _flatten(tree: Any) -> tuple[jax.Array, Callable[[jax.Array], Any]]:
    """The leaves as one vector, at least float32, and the way back."""
    flat_P, unravel = ravel_pytree(tree)
    return _widen(flat_P), lambda vector_P: unravel(vector_P.astype(flat_P.dtype))


def _sum_over_chunks(function: Callable[[Any, jax.Array], Any], data: Any, chunk: int) -> Any:
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
        value = _widen(ravel_pytree(term(first))[0]) - lost
        larger = total + value
        return (larger, (larger - total) - value), None

    shapes = jax.eval_shape(lambda: term(0))
    zero, unflatten = _flatten(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes))
    return unflatten(jax.lax.scan(add, (zero, zero), jnp.arange(0, count, chunk))[0][0])


def _mean(function: Callable[[Any, jax.Array], Any], data: Any, chunk: int) -> Any:
    """The sum over all chunks by the number of examples."""
    count = len(jax.tree.leaves(data)[0])
    return jax.tree.map(lambda x: x / count, _sum_over_chunks(function, data, chunk))


def _summed(cost: Cost, batch: Any, weights_B: jax.Array) -> Callable[[Any], jax.Array]:
    """The cost of a batch as a function of the params, summed over its examples."""

    def summed(params: Any) -> jax.Array:
        cost_B = cost(params, batch)
        return jnp.sum(cost_B * weights_B.astype(cost_B.dtype))

    return summed


def _value_and_gradient(cost: Cost, params: Any, data: Any, chunk: int) -> tuple[jax.Array, Any]:
    """The mean cost and its gradient from one pass over the data."""
    return _mean(lambda *batch: jax.value_and_grad(_summed(cost, *batch))(params), data, chunk)


@partial(jax.jit, static_argnames=("cost", "chunk"))
def mean_cost(cost: Cost, params: Any, data: Any, chunk: int = CHUNK) -> jax.Array:
    """The mean of the cost over all N examples, a scalar in the cost's unit."""
    _check(cost, params, data, chunk)
    return _mean(lambda *batch: _summed(cost, *batch)(params), data, chunk)


@partial(jax.jit, static_argnames=("cost", "chunk"))
def gradient(cost: Cost, params: Any, data: Any, chunk: int = CHUNK) -> Any:
    """The gradient of the mean cost: a tree like params, in the cost's unit per parameter."""
    _check(cost, params, data, chunk)
    return _value_and_gradient(cost, params, data, chunk)[1]


@partial(jax.jit, static_argnames=("cost", "chunk"))
def hessian_vector_product(cost: Cost, params: Any, data: Any, vector: Any, chunk: int = CHUNK) -> Any:
    """The Hessian of the mean cost times a vector, both trees like params.

    Exact, forward over reverse (Pearlmutter 1994); it takes memory for one chunk, whatever N is.
    """
    _check(cost, params, data, chunk)
    _check_like("vector", vector, params)
    return _product(cost, params, data, chunk)(vector)


def _product(cost: Cost, params: Any, data: Any, chunk: int) -> Callable[[Any], Any]:
    """vector -> Hessian times vector; under vmap over vectors the passes through the network itself are shared."""
    params = jax.tree.map(jnp.asarray, params)

    def product(vector: Any) -> Any:
        tangent = jax.tree.map(lambda v, x: jnp.asarray(v, x.dtype), vector, params)
        return _mean(lambda *batch: jax.jvp(jax.grad(_summed(cost, *batch)), (params,), (tangent,))[1], data, chunk)

    return product


# ---------------------------------------------------------------------------------------------------------------------
# Lanczos.


class Lanczos(NamedTuple):
    """The symmetric tridiagonal matrix of an operator in an orthonormal basis that starts at a random vector.

    `alphas_S` is its diagonal, `betas_S` what lies beside it: betas_S[i] couples rows i and i + 1 of the basis, and the
    last one, which belongs to no element, is the norm of what the basis leaves over. `basis_SxP` has the vectors as
    rows, each flat as `jax.flatten_util.ravel_pytree` makes it. For an eigenvector s of the matrix, s @ basis_SxP
    approximates one of the operator, with residual norm betas_S[-1] |s[-1]|.
    """

    alphas_S: jax.Array
    betas_S: jax.Array
    basis_SxP: jax.Array


def lanczos(matvec: Callable[[Any], Any], like: Any, key: jax.Array, steps: int) -> Lanczos:
    """Lanczos iterations of a symmetric operator on trees like `like`, with full reorthogonalisation, done twice.

    The start is N(0, 1) in each direction, normalised. Where the Krylov space is exhausted, the basis goes on with
    another random direction and a beta of 0, so that nothing is divided by 0; S is the smaller of `steps` and P.
    Source: Lanczos 1950; Parlett, The Symmetric Eigenvalue Problem, chapter 13.
    """
    _whole("steps", steps, 1)
    _check_params(like)
    flat_P, unravel = _flatten(like)
    steps, dtype = min(steps, flat_P.size), flat_P.dtype

    def step(carry, i):
        basis_SxP, image_P, size = carry
        vector_P, beta = _next_vector(basis_SxP, image_P, jax.random.fold_in(key, i), size)
        basis_SxP = basis_SxP.at[i].set(vector_P)
        image_P = ravel_pytree(matvec(unravel(vector_P)))[0].astype(dtype)
        return (basis_SxP, image_P, jnp.maximum(size, _norm(image_P))), (_dot(vector_P, image_P), beta)

    # Nothing at all leaves a random direction to start with.
    start = (jnp.zeros((steps, flat_P.size), dtype), jnp.zeros_like(flat_P), dtype.type(0))
    (basis_SxP, image_P, _), (alphas_S, before_S) = jax.lax.scan(step, start, jnp.arange(steps))
    last = _norm(_without(basis_SxP, image_P))
    return Lanczos(alphas_S, jnp.concatenate([before_S[1:], last[None]]), basis_SxP)


def _norm(x_P: jax.Array) -> jax.Array:
    """The Euclidean norm, without the underflow of squares that a saturated net's Hessian would meet."""
    largest = jnp.max(jnp.abs(x_P))
    scale = jnp.where(largest > 0, largest, 1)
    return jnp.where(largest > 0, scale * jnp.linalg.norm(x_P / scale), largest)


def _without(basis_RxP: jax.Array, w_P: jax.Array) -> jax.Array:
    """What is left of w outside the basis; once leaves rounding errors of the size of w, twice does not."""
    for _ in range(2):
        w_P = w_P - _dot(_dot(basis_RxP, w_P), basis_RxP)
    return w_P


def _next_vector(basis_RxP: jax.Array, w_P: jax.Array, key: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
    """w made orthonormal to the basis, and the norm of what was left of it.

    Where nothing but rounding of an operator of that size is left, a random direction and 0; the zero vector where the
    basis fills the space.
    """
    epsilon = jnp.finfo(w_P.dtype).eps
    rest_P = _without(basis_RxP, w_P)
    norm = _norm(rest_P)
    exhausted = norm <= 16 * epsilon * size

    def other() -> jax.Array:
        random_P = jax.random.normal(key, w_P.shape, w_P.dtype)
        random_P = _without(basis_RxP, random_P / _norm(random_P))
        left = _norm(random_P)
        return jnp.where(left > 100 * epsilon, random_P / jnp.where(left > 0, left, 1), 0)

    return jax.lax.cond(exhausted, other, lambda: rest_P / norm), jnp.where(exhausted, 0, norm)


# ---------------------------------------------------------------------------------------------------------------------
# The largest eigenvalues.


class Eigenvalues(NamedTuple):
    """The K largest eigenvalues, in descending order, with what they are worth.

    `vectors` is a tree like params with a leading axis K, orthonormal; `residuals_K` are the norms |H v - value v|, an
    eigenvalue of H lying within that of each value; `steps` is the number of passes over the data.
    """

    values_K: jax.Array
    vectors: Any
    residuals_K: jax.Array
    steps: jax.Array


@partial(jax.jit, static_argnames=("cost", "k", "steps", "chunk"))
def top_eigenvalues(
    cost: Cost,
    params: Any,
    data: Any,
    key: jax.Array,
    k: int = 5,
    steps: int = 30,
    tolerance: ArrayLike = 1e-4,
    chunk: int = CHUNK,
) -> Eigenvalues:
    """The k algebraically largest eigenvalues of the Hessian of the mean cost, in the cost's unit per parameter^2.

    Stops when every residual is below `tolerance` times its own eigenvalue (or below rounding, 16 times the machine
    epsilon times the largest |eigenvalue|), at the latest after `steps` passes over the data of k Hessian-vector
    products each; `residuals_K` says which. The memory is k steps P numbers. ValueError for k > P.

    The block Lanczos method with blocks of k (Golub & Underwood 1977) and full reorthogonalisation: unlike one random
    start, k of them find an eigenvalue as often as it occurs, and in a linear layer's Hessian each occurs C times.
    """
    _check(cost, params, data, chunk)
    _whole("k", k, 1)
    _whole("steps", steps, 1)
    flat_P, unravel = _flatten(params)
    if k > flat_P.size:
        raise ValueError(f"k is {k}; accepted: at most the number of parameters, {flat_P.size}")
    product = _product(cost, params, data, chunk)
    matvec = jax.vmap(lambda vector_P: ravel_pytree(product(unravel(vector_P)))[0].astype(flat_P.dtype))
    values_K, vectors_KxP, residuals_K, passes = _block_lanczos(matvec, flat_P, key, k, steps, tolerance)
    return Eigenvalues(values_K, jax.vmap(unravel)(vectors_KxP), residuals_K, passes)


class _Blocks(NamedTuple):
    """Blocks of k rows: the basis, V H V^T in it, the rows to append, a lower bound of |H|, and the best so far."""

    step: jax.Array
    basis_RxP: jax.Array
    projected_RxR: jax.Array
    rest_KxP: jax.Array
    size: jax.Array
    values_K: jax.Array
    ritz_RxK: jax.Array
    residuals_K: jax.Array


def _block_lanczos(matvec: Callable, flat_P: jax.Array, key: jax.Array, k: int, steps: int, tolerance: ArrayLike):
    """(values_K, vectors_KxP, residuals_K, passes) of the operator, flat [K, P] -> [K, P]."""
    steps = min(steps, -(-flat_P.size // k))
    rows, dtype = k * steps, flat_P.dtype

    def step(state: _Blocks) -> _Blocks:
        first = state.step * k
        basis_RxP = _append(state, k, key)
        image_KxP = matvec(jax.lax.dynamic_slice_in_dim(basis_RxP, first, k))
        column_RxK = _dot(basis_RxP, image_KxP.T)
        projected_RxR = jax.lax.dynamic_update_slice_in_dim(state.projected_RxR, column_RxK, first, 1)
        rest_KxP = image_KxP - _dot(column_RxK.T, basis_RxP)
        values_K, ritz_RxK = _ritz(projected_RxR, jnp.any(basis_RxP != 0, axis=1), k)
        last_KxK = jax.lax.dynamic_slice_in_dim(ritz_RxK, first, k)
        residuals_K = jax.vmap(_norm)(_dot(last_KxK.T, rest_KxP))
        size = jnp.maximum(state.size, jnp.max(jax.vmap(_norm)(image_KxP)))
        return _Blocks(state.step + 1, basis_RxP, projected_RxR, rest_KxP, size, values_K, ritz_RxK, residuals_K)

    def goes_on(state: _Blocks) -> jax.Array:
        rounding = 16 * jnp.finfo(dtype).eps * state.size
        small_K = state.residuals_K <= jnp.maximum(tolerance * jnp.abs(state.values_K), rounding)
        return (state.step < steps) & ~jnp.all(small_K) & ~jnp.any(jnp.isnan(state.residuals_K))

    initial = _Blocks(
        step=jnp.int32(0),
        basis_RxP=jnp.zeros((rows, flat_P.size), dtype),
        projected_RxR=jnp.zeros((rows, rows), dtype),
        rest_KxP=jnp.zeros((k, flat_P.size), dtype),  # Of which nothing is left: random directions start it.
        size=dtype.type(0),
        values_K=jnp.zeros(k, dtype),
        ritz_RxK=jnp.zeros((rows, k), dtype),
        residuals_K=jnp.full(k, jnp.inf, dtype),
    )
    last = jax.lax.while_loop(goes_on, step, initial)
    return last.values_K, _dot(last.ritz_RxK.T, last.basis_RxP), last.residuals_K, last.step


def _append(state: _Blocks, k: int, key: jax.Array) -> jax.Array:
    """The basis with its next k rows: the rest of the last block, made orthonormal one by one."""

    def one(basis_RxP: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
        row = state.step * k + i
        vector_P, _ = _next_vector(basis_RxP, state.rest_KxP[i], jax.random.fold_in(key, row), state.size)
        return basis_RxP.at[row].set(vector_P), None

    return jax.lax.scan(one, state.basis_RxP, jnp.arange(k))[0]


def _ritz(projected_RxR: jax.Array, used_R: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The k largest eigenvalues of the part in use, descending, and its eigenvectors [R, K]."""
    upper_RxR = jnp.triu(projected_RxR)
    matrix_RxR = upper_RxR + jnp.triu(upper_RxR, 1).T
    bound = jnp.max(jnp.sum(jnp.abs(matrix_RxR), axis=1))  # Gershgorin's, of every |eigenvalue|.
    # Rows that are not in use get an eigenvalue below all others.
    matrix_RxR = matrix_RxR + jnp.diag(jnp.where(used_R, 0, jnp.where(bound > 0, -2 * bound, -1)))
    values_R, vectors_RxR = jnp.linalg.eigh(matrix_RxR, symmetrize_input=False)
    return values_R[::-1][:k], vectors_RxR[:, ::-1][:, :k]


# ---------------------------------------------------------------------------------------------------------------------
# The whole spectrum.


class SpectralDensity(NamedTuple):
    """The density of eigenvalues on a grid, and the quadrature that it is drawn from.

    `density_G` at `grid_G` integrates to 1. Each of Q random vectors gives S `nodes_QxS`, of which `weights_QxS` sum to
    1 in every row: the mean over Q of sum_S weights f(nodes) estimates tr f(H) / P for any smooth f.
    """

    grid_G: jax.Array
    density_G: jax.Array
    nodes_QxS: jax.Array
    weights_QxS: jax.Array


def _together(samples: int) -> int:
    """How many of the samples go through the data at once: a divisor, since a remainder would be compiled apart."""
    return max(size for size in range(1, VECTORS + 1) if samples % size == 0)


@partial(jax.jit, static_argnames=("cost", "steps", "samples", "width", "points", "chunk"))
def spectral_density(
    cost: Cost,
    params: Any,
    data: Any,
    key: jax.Array,
    steps: int = 64,
    samples: int = 4,
    width: float = 0.01,
    points: int = 1024,
    chunk: int = CHUNK,
) -> SpectralDensity:
    """The density of the eigenvalues of the Hessian of the mean cost, per unit of eigenvalue.

    Stochastic Lanczos quadrature with `samples` random vectors of `steps` iterations each, broadened by Gaussians
    whose standard deviation is `width` times the range of the nodes (Ghorbani, Krishnan & Xiao 2019; Yao et al. 2020).
    The grid of `points` goes 6 deviations beyond the nodes. ValueError for fewer points than one a deviation, with
    which the density would not integrate to 1.
    """
    _check(cost, params, data, chunk)
    _whole("samples", samples, 1)
    if not 0 < width < float("inf"):
        raise ValueError(f"width is {width!r}; accepted: a share of the spectrum's range, > 0")
    _whole(f"points for width {width}", points, int(1 / width) + 14)
    product = _product(cost, params, data, chunk)

    def quadrature(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        run = lanczos(product, params, key, steps)
        beside_SxS = jnp.diag(run.betas_S[:-1], 1)
        values_S, vectors_SxS = jnp.linalg.eigh(jnp.diag(run.alphas_S) + beside_SxS + beside_SxS.T)
        return values_S, jnp.square(vectors_SxS[0])

    keys_Q = jax.random.split(key, samples)
    nodes_QxS, weights_QxS = jax.lax.map(quadrature, keys_Q, batch_size=_together(samples))
    return SpectralDensity(*_broadened(nodes_QxS, weights_QxS, width, points), nodes_QxS, weights_QxS)


def _broadened(nodes_QxS: jax.Array, weights_QxS: jax.Array, width: float, points: int):
    """(grid_G, density_G) of Gaussians at the nodes."""
    low, high = jnp.min(nodes_QxS), jnp.max(nodes_QxS)
    # A single eigenvalue has no range: its own size stands in, and 1 for that of zero.
    extent = jnp.maximum(high - low, 1e-3 * jnp.maximum(jnp.abs(low), jnp.abs(high)))
    deviation = width * jnp.where(extent == 0, 1, extent)
    grid_G = jnp.linspace(low - 6 * deviation, high + 6 * deviation, points)
    nodes_1xT, weights_T = nodes_QxS.reshape(1, -1), weights_QxS.reshape(-1) / len(nodes_QxS)
    density_GxT = jax.scipy.stats.norm.pdf((grid_G[:, None] - nodes_1xT) / deviation) / deviation
    return grid_G, _dot(density_GxT, weights_T)


@partial(jax.jit, static_argnames=("cost", "samples", "chunk"))
def hessian_trace(
    cost: Cost, params: Any, data: Any, key: jax.Array, samples: int = 32, chunk: int = CHUNK
) -> tuple[jax.Array, jax.Array]:
    """The trace of the Hessian of the mean cost, in the cost's unit per parameter^2, and its standard error.

    Hutchinson's estimate (1990): the mean of v.Hv over `samples` >= 2 vectors v of random signs.
    """
    _check(cost, params, data, chunk)
    _whole("samples", samples, 2)
    flat_P, unravel = _flatten(params)
    product = _product(cost, params, data, chunk)

    def sample(key: jax.Array) -> jax.Array:
        vector_P = jax.random.rademacher(key, flat_P.shape, flat_P.dtype)
        return _dot(vector_P, ravel_pytree(product(unravel(vector_P)))[0].astype(flat_P.dtype))

    traces_Q = jax.lax.map(sample, jax.random.split(key, samples), batch_size=_together(samples))
    return jnp.mean(traces_Q), jnp.std(traces_Q, ddof=1) / samples**0.5


# ---------------------------------------------------------------------------------------------------------------------
# Sharpness.

MEMORY = 10  # Pairs that L-BFGS remembers.
HALVINGS = 20  # Steps that its line search tries.


@partial(jax.jit, static_argnames=("cost", "steps", "chunk"))
def sharpness(
    cost: Cost, params: Any, data: Any, epsilon: ArrayLike = 1e-3, steps: int = 10, chunk: int = CHUNK
) -> tuple[jax.Array, Any]:
    """Keskar et al.'s (2017) sharpness, in percent, and the perturbation y, a tree like params, that attains it.

    100 (max f(x + y) - f(x)) / (1 + f(x)) over the box |y_i| <= epsilon (|x_i| + 1), f being the mean cost. The maximum
    is the one that `steps` iterations of a box-constrained L-BFGS reach from y = 0, as in the paper: a lower bound, and
    never negative. Without curvature to go by, an iteration heads for the corner of the box that the gradient points
    at, where the linear function with that gradient has its maximum. Exactly 0 where the gradient vanishes, and nan for
    a negative epsilon.
    """
    _check(cost, params, data, chunk)
    _whole("steps", steps, 1)
    flat_P, unravel = _flatten(params)
    radius_P = jnp.where(jnp.asarray(epsilon) >= 0, epsilon, jnp.nan) * (jnp.abs(flat_P) + 1)

    def negative(y_P: jax.Array) -> tuple[jax.Array, jax.Array]:
        value, slope = _value_and_gradient(cost, unravel(flat_P + y_P), data, chunk)
        return -value, -ravel_pytree(slope)[0].astype(flat_P.dtype)

    start = negative(jnp.zeros_like(flat_P))
    y_P, value = _minimise_in_box(negative, start, radius_P, steps)
    # The box enters so that one which is not a number shows.
    increase = (start[0] - value) + 0 * jnp.sum(radius_P)
    return 100 * increase / (1 - start[0]), unravel(y_P)


class _Descent(NamedTuple):
    """A point of the box with its value and gradient, and the last M moves with the gradient's changes, newest last."""

    iteration: jax.Array
    stalled: jax.Array
    y_P: jax.Array
    value: jax.Array
    gradient_P: jax.Array
    moves_MxP: jax.Array
    changes_MxP: jax.Array


def _minimise_in_box(function: Callable, start: tuple[jax.Array, jax.Array], radius_P: jax.Array, steps: int):
    """(y_P, value) after that many L-BFGS iterations from 0, where function(0) is `start`, in |y| <= radius."""

    def iterate(state: _Descent) -> _Descent:
        direction_P, informed = _direction(state, radius_P)
        y_P, value, gradient_P, moved = _line_search(function, state, direction_P, radius_P)

        def remember(old_MxP: jax.Array, new_P: jax.Array) -> jax.Array:
            # A search that found nothing forgets what led it.
            return jnp.where(moved, jnp.concatenate([old_MxP[1:], new_P[None]]), 0)

        moves_MxP = remember(state.moves_MxP, y_P - state.y_P)
        changes_MxP = remember(state.changes_MxP, gradient_P - state.gradient_P)
        stalled = ~moved & ~informed
        return _Descent(state.iteration + 1, stalled, y_P, value, gradient_P, moves_MxP, changes_MxP)

    none_MxP = jnp.zeros((MEMORY, radius_P.size), radius_P.dtype)
    state = _Descent(jnp.int32(0), jnp.bool(False), jnp.zeros_like(radius_P), *start, none_MxP, none_MxP)
    state = jax.lax.while_loop(lambda state: (state.iteration < steps) & ~state.stalled, iterate, state)
    return state.y_P, state.value


def _direction(state: _Descent, radius_P: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A direction of descent within the bounds that are not active, and whether the memory informs it.

    The two-loop recursion (Nocedal & Wright, algorithm 7.4) on the free variables. Pairs without positive curvature
    there are passed over by a weight of 0, which makes both loops leave the direction as it is.
    """
    y_P, gradient_P = state.y_P, state.gradient_P
    held_P = ((y_P >= radius_P) & (gradient_P < 0)) | ((y_P <= -radius_P) & (gradient_P > 0))
    free_P = (~held_P).astype(radius_P.dtype)
    moves_MxP, changes_MxP = state.moves_MxP * free_P[None], state.changes_MxP * free_P[None]
    curvature_M, squares_M = jnp.sum(moves_MxP * changes_MxP, axis=1), jnp.sum(jnp.square(changes_MxP), axis=1)
    usable_M = curvature_M > jnp.finfo(radius_P.dtype).eps * squares_M
    weights_M = jnp.where(usable_M, 1 / jnp.where(usable_M, curvature_M, 1), 0)

    def back(q_P, pair):
        move_P, change_P, weight = pair
        share = weight * _dot(move_P, q_P)
        return q_P - share * change_P, share

    def forth(z_P, pair):
        move_P, change_P, weight, share = pair
        return z_P + (share - weight * _dot(change_P, z_P)) * move_P, None

    pairs = (moves_MxP, changes_MxP, weights_M)
    q_P, shares_M = jax.lax.scan(back, gradient_P * free_P, pairs, reverse=True)
    newest = jnp.max(jnp.where(usable_M, jnp.arange(MEMORY), 0))
    scale = curvature_M[newest] / jnp.where(squares_M[newest] > 0, squares_M[newest], 1)
    z_P, _ = jax.lax.scan(forth, scale * q_P, (*pairs, shares_M))
    informed = jnp.any(usable_M) & (_dot(z_P, gradient_P * free_P) > 0)
    corner_P = jnp.where(gradient_P == 0, y_P, -jnp.sign(gradient_P) * radius_P)
    return jnp.where(informed, -z_P * free_P, (corner_P - y_P) * free_P), informed


def _line_search(function: Callable, state: _Descent, direction_P: jax.Array, radius_P: jax.Array):
    """(y_P, value, gradient_P, moved): backtracking along the direction, each trial projected into the box.

    The step is halved until Armijo's condition holds on the projected path (Bertsekas 1976).
    """

    def trial(tries: jax.Array) -> jax.Array:
        return jnp.clip(state.y_P + 0.5**tries * direction_P, -radius_P, radius_P)

    def accepted(y_P: jax.Array, value: jax.Array) -> jax.Array:
        promised = 1e-4 * _dot(state.gradient_P, y_P - state.y_P)
        return (value < state.value) & (value <= state.value + promised)

    def searches(carry) -> jax.Array:
        tries, y_P, value, _ = carry
        return (tries < HALVINGS) & ~accepted(y_P, value) & jnp.any(direction_P != 0)

    def search(carry):
        y_P = trial(carry[0])
        return carry[0] + 1, y_P, *function(y_P)

    start = (jnp.int32(0), state.y_P, state.value, state.gradient_P)
    _, y_P, value, gradient_P = jax.lax.while_loop(searches, search, start)
    moved = accepted(y_P, value)
    keep = lambda new, old: jnp.where(moved, new, old)  # noqa: E731
    return keep(y_P, state.y_P), keep(value, state.value), keep(gradient_P, state.gradient_P), moved


# ---------------------------------------------------------------------------------------------------------------------
# Gradient noise.


class NoiseScale(NamedTuple):
    """Estimates of |G|^2, G being the true gradient, of tr Sigma, the covariance of one example's, and their ratio.

    `noise_scale` = tr(Sigma) / |G|^2 in examples. All three are unbiased but the ratio, and |G|^2 may come out as 0 or
    below where noise hides the gradient: the ratio is then infinite or negative and says nothing but that.
    """

    gradient_squared: jax.Array
    covariance_trace: jax.Array
    noise_scale: jax.Array


def noise_scale(small_squared: ArrayLike, big_squared: ArrayLike, small: int, big: int) -> NoiseScale:
    """McCandlish et al.'s (2018, appendix A.1) estimates from the squared norms of gradients at two batch sizes.

    |G|^2 = (big |G_big|^2 - small |G_small|^2) / (big - small) and tr Sigma = (|G_small|^2 - |G_big|^2) / (1 / small -
    1 / big), where `small_squared` and `big_squared`, arrays of one shape, are the mean squared norms of the gradient
    of a random batch of `small` and of `big` examples. ValueError unless 1 <= small < big.
    """
    _whole("small", small, 1)
    _whole("big", big, small + 1)
    small_squared, big_squared = jnp.asarray(small_squared), jnp.asarray(big_squared)
    squared = (big * big_squared - small * small_squared) / (big - small)
    trace = (small_squared - big_squared) / (1 / small - 1 / big)
    return NoiseScale(squared, trace, trace / squared)


def _squared(tree: Any) -> jax.Array:
    """The sum of squares of all leaves."""
    return sum((jnp.sum(jnp.square(_widen(leaf))) for leaf in jax.tree.leaves(tree)), start=jnp.float32(0))


def _noise(cost: Cost, params: Any, data: Any, chunk: int) -> tuple[jax.Array, jax.Array]:
    """|g|^2 of the mean gradient g, and tr Sigma from the examples' distances to it, which cancels no digits."""
    count = _check(cost, params, data, chunk, least=2)
    mean = _value_and_gradient(cost, params, data, chunk)[1]

    def distances(batch: Any, weights_B: jax.Array) -> jax.Array:
        def one(example: Any) -> jax.Array:
            single = jax.tree.map(lambda x: x[None], example)
            slope = jax.grad(_summed(cost, single, jnp.ones(1)))(params)
            return _squared(jax.tree.map(jnp.subtract, slope, mean))

        return jnp.sum(jax.vmap(one)(batch) * weights_B)

    return _squared(mean), _sum_over_chunks(distances, data, chunk) / (count - 1)


@partial(jax.jit, static_argnames=("cost", "chunk"))
def gradient_covariance_trace(cost: Cost, params: Any, data: Any, chunk: int = EXAMPLES_CHUNK) -> jax.Array:
    """tr Sigma, the trace of the covariance of the examples' gradients, exactly, over all N >= 2 examples.

    Sum |g_i - g|^2 / (N - 1) = N / (N - 1) (mean |g_i|^2 - |g|^2), in the cost's unit per parameter, squared. Takes
    chunk x P numbers of memory.
    """
    return _noise(cost, params, data, chunk)[1]


@partial(jax.jit, static_argnames=("cost", "chunk"))
def gradient_noise_scale(cost: Cost, params: Any, data: Any, chunk: int = EXAMPLES_CHUNK) -> NoiseScale:
    """McCandlish et al.'s (2018) B_simple = tr(Sigma) / |G|^2, in examples, from every example's own gradient.

    The data are N >= 2 draws, so that their mean gradient g has |g|^2 = |G|^2 + tr(Sigma) / N in expectation; the
    second term is taken off. It is `noise_scale` with batches of 1 and of N, all of them.
    """
    squared, trace = _noise(cost, params, data, chunk)
    squared = squared - trace / len(jax.tree.leaves(data)[0])
    return NoiseScale(squared, trace, trace / squared)


# ---------------------------------------------------------------------------------------------------------------------
# The loss landscape.


def filter_normalised_direction(key: jax.Array, params: Any) -> Any:
    """A random direction, a tree like params, whose filters have the norms of the params' filters (Li et al. 2018).

    N(0, 1), rescaled filter by filter. A filter is what belongs to one output unit: for a Flax kernel [in, out] a
    column, and of any leaf with two axes or more everything at one index of the last. Biases, and other leaves of one
    axis or none, get 0.
    """
    _check_params(params)
    leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, params))

    def one(key: jax.Array, leaf: jax.Array) -> jax.Array:
        if leaf.ndim < 2:
            return jnp.zeros_like(leaf)
        random = jax.random.normal(key, leaf.shape, leaf.dtype)
        norms = partial(jnp.linalg.norm, axis=0, keepdims=True)
        filters = norms(leaf.reshape(-1, leaf.shape[-1])) / norms(random.reshape(-1, leaf.shape[-1]))
        return random * filters.reshape((1,) * (leaf.ndim - 1) + (-1,))

    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(structure, [one(key, leaf) for key, leaf in zip(keys, leaves, strict=True)])


def _moved(params: Any, coordinate: jax.Array, direction: Any) -> Any:
    """params + coordinate direction."""
    return jax.tree.map(lambda x, d: x + (coordinate * d).astype(x.dtype), params, direction)


def _check_coordinates(coordinates: jax.Array) -> None:
    """ValueError unless they are a vector."""
    if jnp.ndim(coordinates) != 1:
        raise ValueError(f"coordinates have the shape {jnp.shape(coordinates)}; accepted: one axis")


@partial(jax.jit, static_argnames=("cost", "chunk"))
def cost_on_line(
    cost: Cost, params: Any, direction: Any, coordinates_A: jax.Array, data: Any, chunk: int = CHUNK
) -> jax.Array:
    """The mean cost at params + a direction for each coordinate a: [A], in the cost's unit."""
    _check(cost, params, data, chunk)
    _check_like("direction", direction, params)
    _check_coordinates(coordinates_A)
    params = jax.tree.map(jnp.asarray, params)
    return jax.lax.map(lambda a: mean_cost(cost, _moved(params, a, direction), data, chunk), jnp.asarray(coordinates_A))


@partial(jax.jit, static_argnames=("cost", "chunk"))
def cost_on_plane(
    cost: Cost,
    params: Any,
    directions: tuple[Any, Any],
    coordinates_A: jax.Array,
    coordinates_B: jax.Array,
    data: Any,
    chunk: int = CHUNK,
) -> jax.Array:
    """The mean cost at params + a directions[0] + b directions[1]: [A, B], in the cost's unit."""
    _check_coordinates(coordinates_A)
    _check_params(params)
    if len(directions) != 2:
        raise ValueError(f"directions are {len(directions)}; accepted: two trees like params")
    _check_like("direction", directions[0], params)
    params = jax.tree.map(jnp.asarray, params)
    line = partial(cost_on_line, cost)
    return jax.lax.map(
        lambda a: line(_moved(params, a, directions[0]), directions[1], coordinates_B, data, chunk),
        jnp.asarray(coordinates_A),
    )
