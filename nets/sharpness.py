"""How far the mean cost rises within a small box around the parameters, by a box-constrained L-BFGS.

N examples of the data set, P parameters, M pairs of memory. `cost`, `params` and `data` are those of `nets.chunks`.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from nets.chunks import CHUNK, Cost, Tree, check_cost, check_whole, dot, flatten, measure, value_and_gradient

MEMORY = 10  # Pairs that L-BFGS remembers.
HALVINGS = 20  # Steps that its line search tries.
# What is minimised: y_P -> (value, gradient_P).
Function: TypeAlias = Callable[[jax.Array], tuple[jax.Array, jax.Array]]


# What a cost that is never negative may come out as by rounding.
ROUNDING = 1e-6


def sharpness(
    cost: Cost, params: Tree, data: Tree, epsilon: ArrayLike = 1e-3, steps: int = 10, chunk: int = CHUNK
) -> tuple[jax.Array, Tree]:
    """Keskar et al.'s (2017) sharpness, in percent, and the perturbation y, a tree like params, that attains it.

    100 (max f(x + y) - f(x)) / (1 + f(x)) over the box |y_i| <= epsilon (|x_i| + 1), f being the mean cost. The maximum
    is the one that `steps` iterations of a box-constrained L-BFGS reach from y = 0, as in the paper: a lower bound, and
    never negative. Without curvature to go by, an iteration heads for the corner of the box that the gradient points
    at, where the linear function with that gradient has its maximum. Exactly 0 where the gradient vanishes, and nan for
    a negative epsilon. The 1 + f measures the rise against the cost only where the cost is not negative: ValueError for
    a mean cost below 0 at x, and nan under jit and vmap; and ValueError as in `nets.curvature`.
    """
    value, y, before = _sharpness(cost, params, data, epsilon, steps, chunk)
    if not isinstance(before, Tracer) and before < -ROUNDING:
        raise ValueError(f"the mean cost is {float(before):.4g}; accepted: 0 or more, as sharpness divides by 1 + cost")
    return value, y


@measure("steps")
def _sharpness(
    cost: Cost, params: Tree, data: Tree, epsilon: ArrayLike, steps: int, chunk: int
) -> tuple[jax.Array, Tree, jax.Array]:
    """The program of `sharpness`, with f(x) as its third."""
    check_cost(cost, params, data, chunk)
    check_whole("steps", steps, 1)
    flat_P, unravel = flatten(params)
    epsilon = jnp.asarray(epsilon, flat_P.dtype)
    radius_P = jnp.where(epsilon >= 0, epsilon, jnp.nan) * (jnp.abs(flat_P) + 1)

    def negative(y_P: jax.Array) -> tuple[jax.Array, jax.Array]:
        value, slope = value_and_gradient(cost, unravel(flat_P + y_P), data, chunk)
        return -value, -ravel_pytree(slope)[0].astype(flat_P.dtype)

    start = negative(jnp.zeros_like(flat_P))
    y_P, value = _minimise_in_box(negative, start, radius_P, steps)
    # The box enters so that one which is not a number shows.
    increase = (start[0] - value) + 0 * jnp.sum(radius_P)
    before = -start[0]
    return jnp.where(before < -ROUNDING, jnp.nan, 100 * increase / (1 - start[0])), unravel(y_P), before


class _Descent(NamedTuple):
    """A point of the box with its value and gradient, and the last M moves with the gradient's changes, newest last."""

    iteration: jax.Array
    stalled: jax.Array
    y_P: jax.Array
    value: jax.Array
    gradient_P: jax.Array
    moves_MxP: jax.Array
    changes_MxP: jax.Array


def _minimise_in_box(
    function: Function, start: tuple[jax.Array, jax.Array], radius_P: jax.Array, steps: int
) -> tuple[jax.Array, jax.Array]:
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

    def back(q_P: jax.Array, pair: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        move_P, change_P, weight = pair
        share = weight * dot(move_P, q_P)
        return q_P - share * change_P, share

    def forth(z_P: jax.Array, pair: tuple[jax.Array, jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        move_P, change_P, weight, share = pair
        return z_P + (share - weight * dot(change_P, z_P)) * move_P, None

    pairs = (moves_MxP, changes_MxP, weights_M)
    q_P, shares_M = jax.lax.scan(back, gradient_P * free_P, pairs, reverse=True)
    newest = jnp.max(jnp.where(usable_M, jnp.arange(MEMORY), 0))
    scale = curvature_M[newest] / jnp.where(squares_M[newest] > 0, squares_M[newest], 1)
    z_P, _ = jax.lax.scan(forth, scale * q_P, (*pairs, shares_M))
    informed = jnp.any(usable_M) & (dot(z_P, gradient_P * free_P) > 0)
    corner_P = jnp.where(gradient_P == 0, y_P, -jnp.sign(gradient_P) * radius_P)
    return jnp.where(informed, -z_P * free_P, (corner_P - y_P) * free_P), informed


def _line_search(
    function: Function, state: _Descent, direction_P: jax.Array, radius_P: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """(y_P, value, gradient_P, moved): backtracking along the direction, each trial projected into the box.

    The step is halved until Armijo's condition holds on the projected path (Bertsekas 1976).
    """

    def trial(tries: jax.Array) -> jax.Array:
        share = jnp.power(radius_P.dtype.type(0.5), tries)
        return jnp.clip(state.y_P + share * direction_P, -radius_P, radius_P)

    def accepted(y_P: jax.Array, value: jax.Array) -> jax.Array:
        promised = 1e-4 * dot(state.gradient_P, y_P - state.y_P)
        return (value < state.value) & (value <= state.value + promised)

    def searches(carry: tuple[jax.Array, jax.Array, jax.Array, jax.Array]) -> jax.Array:
        tries, y_P, value, _ = carry
        return (tries < HALVINGS) & ~accepted(y_P, value) & jnp.any(direction_P != 0)

    def search(carry: tuple[jax.Array, jax.Array, jax.Array, jax.Array]):
        y_P = trial(carry[0])
        return carry[0] + 1, y_P, *function(y_P)

    start = (jnp.int32(0), state.y_P, state.value, state.gradient_P)
    _, y_P, value, gradient_P = jax.lax.while_loop(searches, search, start)
    moved = accepted(y_P, value)
    keep = lambda new, old: jnp.where(moved, new, old)  # noqa: E731
    return keep(y_P, state.y_P), keep(value, state.value), keep(gradient_P, state.gradient_P), moved
