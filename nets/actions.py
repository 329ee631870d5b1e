"""How unlikely a way out of a minimum is: the action of SGD's least unlikely path, by three theories of its noise.

P parameters, N examples, M places of a path.

For a small learning rate eta the mean time to leave a minimum grows as exp(S B / eta), and S is the least action of the
paths from there over a saddle: the integral of p dx with p such that H(x, p) = 0 and dH/dp points along the path
(Freidlin & Wentzell's theory, read second-hand; of SGD's long-run distribution, Azizian et al. 2024, and of its time to
reach a minimum, Azizian et al. 2025, of which the abstracts were read). What theories differ in is what they take for
the noise of an example's gradient g, with the mean m and the covariance V:

    examples     H = ln E exp(-p g)             what SGD does
    diffusion    H = -p m + p V p / 2           a stochastic differential equation with the same covariance everywhere
    constant     the same with V as at the start of the path          Arrhenius' law

They agree for Gaussian gradients of a constant covariance. In one dimension p is the nonzero root of H: 2 m / V for
the latter two. Downhill p is 0, so that a path may go on beyond the saddle at no cost.

    well = nets.wells.line()
    nets.escape.action(well.cost, well.kinds, well.minimum, well.saddle, weights=well.shares).value        # 42.217

In more dimensions the path is found by a geometric minimum action method (the idea is Heymann & Vanden-Eijnden's, read
second-hand): the length of each piece is the largest p dx with H(x, p) <= 0, and the sum of the lengths is made least.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from nets import draws
from nets.chunks import Cost, Tree, check_cost, check_whole, count_examples

Noise: TypeAlias = Literal["examples", "diffusion", "constant"]
# In one dimension: places where the mean gradient's sign is looked at, and nodes between two of its zeros.
LOOKED, NODES = 2_000, 200
# Newton's steps to the p of a piece; none moves an example's p g by more than REACH.
NEWTON, REACH = 100, 2.0
# The p of a piece is found where dH/dp is off by less than this share of its length.
CLOSE = 1e-7
# Times that the places of a path are spread evenly anew, and steps of L-BFGS between two of them.
ROUNDS, STEPS = 60, 20
# Pieces of the first path, at least.
FEWEST = 8
MOST_PARAMETERS = 200
NO_WAY = "no mix of examples goes along the path; accepted: examples whose gradients span all directions"


class Action(NamedTuple):
    """The least action, S in the unit of a learning rate; the M places of its path and p there, [M, P] in the order in
    which JAX flattens the params.

    In one dimension the places are the nodes of the quadrature, in more the middles of the path's pieces.
    """

    value: float
    path_MxP: np.ndarray
    momentum_MxP: np.ndarray


class _Walk(NamedTuple):
    """What is walked in: the cost, how params are made of P numbers, the examples in float64, their probabilities, the
    theory of noise, and the covariance of an example's gradient at the start."""

    cost: Cost
    unravel: Callable[[jax.Array], Tree]
    data: Tree
    weights_N: np.ndarray
    noise: Noise
    covariance_PxP: np.ndarray

    def gradients(self, places_MxP: np.ndarray) -> np.ndarray:
        with jax.enable_x64(True):
            return np.asarray(draws.gradients_at(self.cost, self.unravel, places_MxP, self.data))

    def moments(self, gradient_MxNxP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean [M, P] and the covariance [M, P, P] that the theory has."""
        mean_MxP = np.einsum("n,mnp->mp", self.weights_N, gradient_MxNxP)
        if self.noise == "constant":
            return mean_MxP, np.broadcast_to(self.covariance_PxP, (len(mean_MxP), *self.covariance_PxP.shape))
        return mean_MxP, _covariance(self.weights_N, gradient_MxNxP, mean_MxP)


def _covariance(weights: np.ndarray, gradient_MxNxP: np.ndarray, mean_MxP: np.ndarray) -> np.ndarray:
    """The covariance [M, P, P] of the examples' gradients, with weights [N] or [M, N]."""
    away_MxNxP = gradient_MxNxP - mean_MxP[:, None]
    return np.swapaxes(away_MxNxP * weights[..., None], 1, 2) @ away_MxNxP


def action(
    cost: Cost,
    data: Tree,
    start: Tree,
    end: Tree,
    *,
    weights: ArrayLike | None = None,
    noise: Noise = "examples",
    points: int = 100,
    tolerance: float = 1e-5,
) -> Action:
    """The least action of a path from `start`, a minimum, to `end`, a saddle or a place beyond one.

    `start` and `end` are trees of params; the N examples of `data` are drawn with the probabilities `weights`, [N],
    equal ones for None. In one dimension it is an integral, good to about eight digits, and infinite where every
    example pulls back. In P dimensions the path has so many pieces, with an error of second order in their length; it
    is bent, from the straight line on, until the action changes by less than the tolerance as a share of itself, and so
    to a least action among the paths nearby. ValueError for more than 200 params, for an unknown noise, and where no
    mix of examples goes along the path: their gradients have to span all dimensions.
    """
    check_whole("points", points, 2)
    if noise not in get_args(Noise):
        raise ValueError(f"noise is {noise!r}; accepted: {', '.join(get_args(Noise))}")
    with jax.enable_x64(True):
        start, end, data = draws.doubled(start), draws.doubled(end), draws.doubled(data)
        check_cost(cost, start, data, count_examples(data))
        flat_P, unravel = ravel_pytree(start)
        start_P, end_P = np.asarray(flat_P), np.asarray(ravel_pytree(end)[0])
    if start_P.shape != end_P.shape or not 1 <= len(start_P) <= MOST_PARAMETERS:
        given = f"{len(start_P)} and {len(end_P)} numbers"
        raise ValueError(f"start and end have {given}; accepted: as many, and 1 to {MOST_PARAMETERS}")
    weights_N = draws.weights_of(weights, count_examples(data))
    gradient_1xNxP = draws.gradients(cost, start, start_P[None], data)
    mean_1xP = np.einsum("n,mnp->mp", weights_N, gradient_1xNxP)
    walk = _Walk(cost, unravel, data, weights_N, noise, _covariance(weights_N, gradient_1xNxP, mean_1xP)[0])
    if len(start_P) == 1:
        return _in_one_dimension(walk, float(start_P[0]), float(end_P[0]))
    return _path(walk, start_P, end_P, points, tolerance)


# ---------------------------------------------------------------------------------------------------------------------
# One dimension.


def _zero(function: Callable[[float], float], low: float, high: float) -> float:
    """Where it is 0 between two places at which its signs differ."""
    from scipy.optimize import brentq

    found: Any = brentq(function, low, high, xtol=1e-14 * max(abs(low), abs(high)))
    return float(found)


def _root(gradient_N: np.ndarray, weights_N: np.ndarray, guess: float) -> float:
    """The positive root of E exp(-p g) = 1 for a mean gradient above 0; infinite where no example has one below 0."""
    if not np.any((gradient_N < 0) & (weights_N > 0)):
        return np.inf

    def excess(p: float) -> float:
        return float(weights_N @ np.expm1(-p * gradient_N))

    low = high = guess
    # It is 0 at 0, falls, and rises beyond its least for ever.
    while excess(low) >= 0:
        low /= 2
    while excess(high) <= 0:
        high *= 1.5
    return _zero(excess, low, high)


def _in_one_dimension(walk: _Walk, start: float, end: float) -> Action:
    """The integral of p over the parts of the way that go uphill."""
    sign = 1.0 if end >= start else -1.0

    def slope(w_M: ArrayLike) -> np.ndarray:
        places_Mx1 = np.reshape(np.asarray(w_M, np.float64), (-1, 1))
        return sign * walk.gradients(places_Mx1)[..., 0] @ walk.weights_N

    w_M = np.linspace(start, end, LOOKED)
    slope_M = slope(w_M)
    turns = [w_M[i : i + 2] for i in np.flatnonzero(slope_M[:-1] * slope_M[1:] < 0)]
    zeros = [_zero(lambda w: float(slope(w)[0]), *turn) for turn in turns]
    node_Q, of_node_Q = np.polynomial.legendre.leggauss(NODES)
    places, momenta, total = list[np.ndarray](), list[np.ndarray](), 0.0
    for low, high in zip([start, *zeros], [*zeros, end], strict=True):
        place_Q = (low + high) / 2 + (high - low) / 2 * node_Q
        gradient_QxNx1 = walk.gradients(place_Q[:, None])
        mean_Qx1, variance_Qx1x1 = walk.moments(gradient_QxNx1)
        p_Q = np.where(sign * mean_Qx1[:, 0] > 0, 2 * mean_Qx1[:, 0] / variance_Qx1x1[:, 0, 0], 0.0)
        if walk.noise == "examples":
            pairs = zip(sign * gradient_QxNx1[..., 0], sign * p_Q, strict=True)
            p_Q = sign * np.array([_root(own_N, walk.weights_N, p) if p > 0 else 0.0 for own_N, p in pairs])
        total += float(p_Q @ of_node_Q) * (high - low) / 2
        places.append(place_Q)
        momenta.append(p_Q)
    return Action(total, np.concatenate(places)[:, None], np.concatenate(momenta)[:, None])


# ---------------------------------------------------------------------------------------------------------------------
# More dimensions.


def _hamiltonian(
    cost: Cost,
    unravel: Callable[[jax.Array], Tree],
    noise: Noise,
    place_P: jax.Array,
    p_P: jax.Array,
    data: Tree,
    weights_N: jax.Array,
    covariance_PxP: jax.Array,
) -> jax.Array:
    """H at a place."""
    gradient_NxP = jax.vmap(partial(draws.example_gradient, cost, unravel(place_P)))(data)
    if noise == "examples":
        return jnp.log1p(jnp.dot(weights_N, jnp.expm1(-jnp.dot(gradient_NxP, p_P))))
    mean_P = jnp.dot(weights_N, gradient_NxP)
    if noise == "constant":
        return -jnp.dot(p_P, mean_P) + jnp.dot(p_P, jnp.dot(covariance_PxP, p_P)) / 2
    away_N = jnp.dot(gradient_NxP - mean_P[None], p_P)
    return -jnp.dot(p_P, mean_P) + jnp.dot(weights_N, away_N**2) / 2


@partial(jax.jit, static_argnames=("cost", "unravel", "noise"))
def _forces(
    cost: Cost, unravel: Callable[[jax.Array], Tree], noise: Noise, place_MxP: jax.Array, p_MxP: jax.Array, *rest: Any
) -> jax.Array:
    """dH/dx at every place, [M, P]."""
    slope = jax.grad(partial(_hamiltonian, cost, unravel, noise))
    return jax.vmap(lambda place_P, p_P: slope(place_P, p_P, *rest))(place_MxP, p_MxP)


def _solved(matrix_MxPxP: np.ndarray, vector_MxP: np.ndarray) -> np.ndarray:
    """The solutions of M linear systems, [M, P]."""
    try:
        return np.linalg.solve(matrix_MxPxP, vector_MxP[..., None])[..., 0]
    except np.linalg.LinAlgError as error:
        raise ValueError(NO_WAY) from error


def _momenta(walk: _Walk, middle_MxP: np.ndarray, piece_MxP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The p [M, P] with the largest p dx among H(x, p) <= 0, and s [M] of dH/dp = s dx there.

    That of the diffusion is a closed form; that of the examples, whose H lies above it or below, is found from there by
    Newton's method on both equations.
    """
    gradient_MxNxP = walk.gradients(middle_MxP)
    mean_MxP, covariance_MxPxP = walk.moments(gradient_MxNxP)
    of_mean_MxP, of_piece_MxP = _solved(covariance_MxPxP, mean_MxP), _solved(covariance_MxPxP, piece_MxP)
    s_M = np.sqrt(np.sum(mean_MxP * of_mean_MxP, axis=1) / np.sum(piece_MxP * of_piece_MxP, axis=1))
    p_MxP = of_mean_MxP + s_M[:, None] * of_piece_MxP
    if walk.noise != "examples":
        return p_MxP, s_M
    for _ in range(NEWTON):
        exponent_MxN = -np.einsum("mnp,mp->mn", gradient_MxNxP, p_MxP)
        tilted_MxN = walk.weights_N * np.exp(exponent_MxN)
        total_M = tilted_MxN.sum(axis=1)
        tilted_MxN /= total_M[:, None]
        mean_MxP = np.einsum("mn,mnp->mp", tilted_MxN, gradient_MxNxP)
        off_MxP, h_M = s_M[:, None] * piece_MxP + mean_MxP, np.log(total_M)
        # dH/dp is the tilted mean with the other sign, and its derivative the tilted covariance.
        covariance_MxPxP = _covariance(tilted_MxN, gradient_MxNxP, mean_MxP)
        of_off_MxP, of_piece_MxP = _solved(covariance_MxPxP, off_MxP), _solved(covariance_MxPxP, piece_MxP)
        more_M = (h_M - np.sum(mean_MxP * of_off_MxP, axis=1)) / np.sum(mean_MxP * of_piece_MxP, axis=1)
        move_MxP = of_off_MxP + more_M[:, None] * of_piece_MxP
        farthest_M = np.abs(np.einsum("mnp,mp->mn", gradient_MxNxP, move_MxP)).max(axis=1)
        part_M = np.minimum(1.0, REACH / np.maximum(farthest_M, 1e-300))
        p_MxP, s_M = p_MxP + part_M[:, None] * move_MxP, s_M + part_M * more_M
        if np.max(farthest_M) < CLOSE:
            return p_MxP, s_M
    raise ValueError(NO_WAY)


def _evenly(path_MxP: np.ndarray, pieces: int) -> np.ndarray:
    """The same path cut into so many pieces of equal length."""
    lengths = np.linalg.norm(np.diff(path_MxP, axis=0), axis=1)
    along_M = np.concatenate([[0.0], np.cumsum(lengths)])
    even_M = np.linspace(0.0, along_M[-1], pieces + 1)
    return np.stack([np.interp(even_M, along_M, column_M) for column_M in path_MxP.T], axis=1)


def _normals(path_MxP: np.ndarray) -> np.ndarray:
    """Unit vectors that are orthogonal to the path at each place between its ends, [M - 2, P, P - 1]."""
    tangent_MxP = path_MxP[2:] - path_MxP[:-2]
    return np.linalg.svd(tangent_MxP[:, None, :])[2][:, 1:].swapaxes(1, 2)


def _measured(walk: _Walk, path_MxP: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """The action of a path, its gradient in the places [M, P], and the middles of the pieces with their p."""
    middle_MxP, piece_MxP = (path_MxP[1:] + path_MxP[:-1]) / 2, np.diff(path_MxP, axis=0)
    p_MxP, s_M = _momenta(walk, middle_MxP, piece_MxP)
    with jax.enable_x64(True):
        rest = walk.data, walk.weights_N, walk.covariance_PxP
        force_MxP = _forces(walk.cost, walk.unravel, walk.noise, middle_MxP, p_MxP, *rest)
    # A piece's action is the largest p dx under H = 0: its derivatives are p in dx, and - dH/dx / s in the middle.
    moved_MxP = -np.asarray(force_MxP) / s_M[:, None] / 2
    gradient_MxP = np.zeros_like(path_MxP)
    gradient_MxP[:-1] += moved_MxP - p_MxP
    gradient_MxP[1:] += moved_MxP + p_MxP
    return float(np.sum(p_MxP * piece_MxP)), gradient_MxP, middle_MxP, p_MxP


def _bent(walk: _Walk, path_MxP: np.ndarray) -> np.ndarray:
    """The path after some steps of L-BFGS, in which its places move orthogonally to it: along it they would change
    nothing but the error of the quadrature."""
    from scipy.optimize import minimize

    normal_MxPxQ = _normals(path_MxP)

    def moved(away: np.ndarray) -> np.ndarray:
        path = path_MxP.copy()
        path[1:-1] += np.einsum("mpq,mq->mp", normal_MxPxQ, away.reshape(len(normal_MxPxQ), -1))
        return path

    def measured(away: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient_MxP, _, _ = _measured(walk, moved(away))
        return value, np.einsum("mpq,mp->mq", normal_MxPxQ, gradient_MxP[1:-1]).ravel()

    start = np.zeros(normal_MxPxQ.shape[0] * normal_MxPxQ.shape[2])
    return moved(minimize(measured, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x)


def _least(walk: _Walk, path_MxP: np.ndarray, pieces: int, tolerance: float) -> tuple[np.ndarray, Action]:
    """The path in so many pieces that is bent until its action no longer changes, and the action."""
    before = np.inf
    for _ in range(ROUNDS):
        path_MxP = _evenly(_bent(walk, _evenly(path_MxP, pieces)), pieces)
        value, _, middle_MxP, p_MxP = _measured(walk, path_MxP)
        if abs(before - value) <= tolerance * abs(value):
            return path_MxP, Action(value, middle_MxP, p_MxP)
        before = value
    raise ValueError(f"the action still changes after {ROUNDS} rounds, at {before:g}; accepted: a larger tolerance")


def _path(walk: _Walk, start_P: np.ndarray, end_P: np.ndarray, points: int, tolerance: float) -> Action:
    """The least action of a path, first in few pieces, then in twice as many, and so on."""
    path_MxP, halvings = np.stack([start_P, end_P]), max(0, int(np.log2(points / FEWEST)))
    for halving in range(halvings, 0, -1):
        path_MxP, _ = _least(walk, path_MxP, points // 2**halving, tolerance)
    return _least(walk, path_MxP, points, tolerance)[1]
