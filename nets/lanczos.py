"""Lanczos iterations of a symmetric operator: one vector at a time, and in blocks for multiple eigenvalues.

P parameters, K eigenvalues, S steps, R rows of a basis. `nets.curvature` runs them on the Hessian of a mean cost.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from nets.chunks import Tree, check_params, check_whole, dot, flatten


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


def lanczos(
    matvec: Callable[[Tree], Tree], like: Tree, key: jax.Array, steps: int, start: Tree | None = None
) -> Lanczos:
    """Lanczos iterations of a symmetric operator on trees like `like`, with full reorthogonalisation, done twice.

    The start is N(0, 1) in each direction, normalised, or the tree `start`, say a gradient: the squared first elements
    of the matrix's eigenvectors are then the shares of the eigenvalues in it (Gauss quadrature). Where the Krylov space
    is exhausted, the basis goes on with another random direction and a beta of 0, so that nothing is divided by 0; S is
    the smaller of `steps` and P.
    Source: Lanczos 1950; Parlett, The Symmetric Eigenvalue Problem, chapter 13.
    """
    check_whole("steps", steps, 1)
    check_params(like)
    flat_P, unravel = flatten(like)
    steps, dtype = min(steps, flat_P.size), flat_P.dtype

    def step(carry: tuple[jax.Array, jax.Array, jax.Array], i: jax.Array):
        basis_SxP, image_P, size = carry
        vector_P, beta = next_vector(basis_SxP, image_P, jax.random.fold_in(key, i), size)
        basis_SxP = basis_SxP.at[i].set(vector_P)
        image_P = ravel_pytree(matvec(unravel(vector_P)))[0].astype(dtype)
        return (basis_SxP, image_P, jnp.maximum(size, euclidean(image_P))), (dot(vector_P, image_P), beta)

    # Nothing at all leaves a random direction to start with.
    first_P = jnp.zeros_like(flat_P) if start is None else ravel_pytree(start)[0].astype(dtype)
    state = (jnp.zeros((steps, flat_P.size), dtype), first_P, dtype.type(0))
    (basis_SxP, image_P, _), (alphas_S, before_S) = jax.lax.scan(step, state, jnp.arange(steps))
    last = euclidean(_without(basis_SxP, image_P))
    return Lanczos(alphas_S, jnp.concatenate([before_S[1:], last[None]]), basis_SxP)


def euclidean(x_P: jax.Array) -> jax.Array:
    """The Euclidean norm, without the underflow of squares that a saturated net's Hessian would meet."""
    largest = jnp.max(jnp.abs(x_P))
    scale = jnp.where(largest > 0, largest, 1)
    return jnp.where(largest > 0, scale * jnp.linalg.norm(x_P / scale), largest)


def _without(basis_RxP: jax.Array, w_P: jax.Array) -> jax.Array:
    """What is left of w outside the basis; once leaves rounding errors of the size of w, twice does not."""
    for _ in range(2):
        w_P = w_P - dot(dot(basis_RxP, w_P), basis_RxP)
    return w_P


def next_vector(basis_RxP: jax.Array, w_P: jax.Array, key: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
    """w made orthonormal to the basis, and the norm of what was left of it.

    Where nothing but rounding of an operator of that size is left, a random direction and 0; the zero vector where the
    basis fills the space.
    """
    epsilon = jnp.finfo(w_P.dtype).eps
    rest_P = _without(basis_RxP, w_P)
    norm = euclidean(rest_P)
    exhausted = norm <= 16 * epsilon * size

    def other() -> jax.Array:
        random_P = jax.random.normal(key, w_P.shape, w_P.dtype)
        random_P = _without(basis_RxP, random_P / euclidean(random_P))
        left = euclidean(random_P)
        return jnp.where(left > 100 * epsilon, random_P / jnp.where(left > 0, left, 1), 0)

    return jax.lax.cond(exhausted, other, lambda: rest_P / norm), jnp.where(exhausted, 0, norm)


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


def block_lanczos(
    matvec: Callable[[jax.Array], jax.Array],
    flat_P: jax.Array,
    key: jax.Array,
    k: int,
    steps: int,
    tolerance: ArrayLike,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """(values_K, vectors_KxP, residuals_K, passes) of the operator, flat [K, P] -> [K, P]."""
    steps = min(steps, -(-flat_P.size // k))
    rows, dtype = k * steps, flat_P.dtype

    def step(state: _Blocks) -> _Blocks:
        first = state.step * k
        basis_RxP = _append(state, k, key)
        image_KxP = matvec(jax.lax.dynamic_slice_in_dim(basis_RxP, first, k))
        column_RxK = dot(basis_RxP, image_KxP.T)
        projected_RxR = jax.lax.dynamic_update_slice_in_dim(state.projected_RxR, column_RxK, first, 1)
        rest_KxP = image_KxP - dot(column_RxK.T, basis_RxP)
        values_K, ritz_RxK = _ritz(projected_RxR, jnp.any(basis_RxP != 0, axis=1), k)
        last_KxK = jax.lax.dynamic_slice_in_dim(ritz_RxK, first, k)
        residuals_K = jax.vmap(euclidean)(dot(last_KxK.T, rest_KxP))
        size = jnp.maximum(state.size, jnp.max(jax.vmap(euclidean)(image_KxP)))
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
    # Of a matrix with nan, rows that are not in use may give eigenvalues of their own.
    values_K = jnp.where(jnp.isnan(last.residuals_K), jnp.nan, last.values_K)
    return values_K, dot(last.ritz_RxK.T, last.basis_RxP), last.residuals_K, last.step


def _append(state: _Blocks, k: int, key: jax.Array) -> jax.Array:
    """The basis with its next k rows: the rest of the last block, made orthonormal one by one."""

    def one(basis_RxP: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
        row = state.step * k + i
        vector_P, _ = next_vector(basis_RxP, state.rest_KxP[i], jax.random.fold_in(key, row), state.size)
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
