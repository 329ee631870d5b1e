"""First passage of SGD on one weight under a cost of the residual, exactly and as far out as one likes.

N nodes, Q places of a quadrature, M places that are asked for.

The model is a neuron u x with examples x, y ~ N(0, 1), one a step, and a cost of the residual r = u x - y whose slope
psi(r) is odd and rises: the minimum is u = 0, and a step is u' = u - eta psi(r) x. As r ~ N(0, s^2) with s^2 = 1 + u^2
and x given r is N(u r / s^2, 1 / s^2), so is the step given r: normal, with mean -eta psi(r) u r / s^2 and deviation
eta |psi(r)| / s. All that follows are integrals over r.

    nets.residual_passage.RESIDUAL_COSTS["huber"]                    # psi, the cost: quadratic, huber and log_cosh
    levels_N, log_N = nets.residual_passage.log_mean_steps("huber", 0.1, radius=3.0)
    nets.residual_passage.laplace_exponent("huber", 0.1, 3.0)        # d ln (mean steps) / du, far out
    nets.residual_passage.relative_loss("huber", np.array([3.0]))    # the mean cost at u by that at the minimum

With the quadratic cost steps grow with u, and the mean steps to the first |u| >= radius are a power of the radius
(`nets.exit_time.tail_exponent`). With a psi that stays bounded, a far step that leads outwards needs an x of about 1 /
u, or the residual's sign is right: outward steps fall as 1 / u, the Laplace exponent grows faster than u, and the
logarithm of the mean steps faster than u^2.

ValueError, in one line, names what is out of range. Computed in float64 by NumPy; mean steps come as logarithms.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nets.tables import look_up


class ResidualCost(NamedTuple):
    """A cost of the residual r and its slope psi(r), elementwise; for both, only r >= 0 is asked for."""

    cost: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]


RESIDUAL_COSTS: dict[str, ResidualCost] = {
    "quadratic": ResidualCost(lambda r: r**2 / 2, lambda r: r),
    # Huber's, with the threshold 1; and ln cosh, its smooth relative, whose slope is tanh.
    "huber": ResidualCost(lambda r: np.where(r < 1, r**2 / 2, r - 0.5), lambda r: np.minimum(r, 1.0)),
    "log_cosh": ResidualCost(lambda r: r + np.log1p(np.exp(-2 * r)) - math.log(2), np.tanh),
}
# Beyond this many residuals' deviations there is no weight left, nor within 40 of a step's.
FAR = 9
# Panels narrow towards r = 0, where the step's deviation vanishes; a kink of psi is an edge.
NEAR = (0.0, 0.01, 0.03, 0.1, 0.3, 0.65)
NODES_A_PANEL = 6
MOST_NODES = 1_500
# Mean steps are rescaled where they come near the largest float.
LARGE = 1e200


def _check(cost: str, learning_rate: float) -> ResidualCost:
    """The cost of that name; ValueError for what is out of range."""
    if not 0 < learning_rate < 2:
        raise ValueError(f"learning_rate is {learning_rate}; accepted: more than 0 and less than 2")
    return look_up(RESIDUAL_COSTS, cost, "cost of the residual")


@lru_cache(maxsize=4_096)
def _residuals(u: float) -> tuple[np.ndarray, np.ndarray]:
    """Residuals r_Q > 0 and weights by which functions that are even in r are averaged over r ~ N(0, 1 + u^2)."""
    s = math.hypot(1, u)
    edges = np.array([*NEAR, *range(1, 1 + math.ceil(FAR * s))], float)
    node, weight = np.polynomial.legendre.leggauss(NODES_A_PANEL)
    half_Px1, middle_Px1 = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    r_Q, weight_Q = (middle_Px1 + half_Px1 * node).ravel(), (half_Px1 * weight).ravel()
    return r_Q, weight_Q * 2 / (s * math.sqrt(2 * math.pi)) * np.exp(-((r_Q / s) ** 2) / 2)


class _Steps(NamedTuple):
    """The steps from a place: a mixture of normal ones, with their weights, means and deviations."""

    weight_Q: np.ndarray
    mean_Q: np.ndarray
    deviation_Q: np.ndarray

    def density(self, d_M: np.ndarray) -> np.ndarray:
        """Of a step of d != 0; it has a logarithmic pole at 0."""
        z_MxQ = (d_M[:, None] - self.mean_Q) / self.deviation_Q
        return np.exp(-(z_MxQ**2) / 2) @ (self.weight_Q / self.deviation_Q) / math.sqrt(2 * math.pi)

    def above(self, d: float) -> float:
        """The probability of a step of more than d, with all its digits however small it is."""
        from scipy.special import ndtr

        return float(ndtr((self.mean_Q - d) / self.deviation_Q) @ self.weight_Q)

    def below(self, d: float) -> float:
        """That of a step of less than d."""
        from scipy.special import ndtr

        return float(ndtr((d - self.mean_Q) / self.deviation_Q) @ self.weight_Q)


def _steps(cost: str, learning_rate: float, u: float) -> _Steps:
    """The steps from u."""
    r_Q, weight_Q = _residuals(u)
    s, size_Q = math.hypot(1, u), learning_rate * RESIDUAL_COSTS[cost].slope(r_Q)
    return _Steps(weight_Q, -size_Q * r_Q * u / s**2, size_Q / s)


def _grid(cost: str, radius: float, nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes [N] in the middles of cells, their weights [N], and the cells' upper edges [N].

    Cells are even in a t that stretches as outward steps do: they grow with u for the quadratic cost, u = sinh t, and
    fall as 1 / (1 + u) for the others, u + u^2 / 2 = t.
    """
    share = np.arange(2 * nodes + 1) / (2 * nodes)
    if cost == "quadratic":
        t = math.asinh(radius) * share
        u, by_share = np.sinh(t), math.asinh(radius) * np.cosh(t)
    else:
        end = radius + radius**2 / 2
        u = np.sqrt(1 + 2 * end * share) - 1
        by_share = end / (1 + u)
    return u[1::2], by_share[1::2] / nodes, u[2::2]


def log_mean_steps(cost: str, learning_rate: float, radius: float, nodes: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Places [N] up to the radius, and the logarithm of the mean steps from u = 0 until |u| is first beyond each, [N].

    The mean m(u) solves m(u) = 1 + integral of k(u, v) m(v) over |v| < radius, with k the density of a step, by
    Nystrom's method at the middles of N cells. The pole of k at v = u does no harm, since what is summed is
    k(u, v) (m(v) - m(u)): the chain's own elimination (Grassmann, Taksar & Heyman 1985, recalled) never asks for the
    chance to stay. It subtracts nothing either, so that each result has its digits however large it is, and one
    elimination from the minimum outwards passes all the places on its way. Halving the cells shows the error, about of
    second order.
    """
    _check(cost, learning_rate)
    if not 0 < radius < math.inf:
        raise ValueError(f"radius is {radius}; accepted: a number more than 0")
    if not 2 <= nodes <= MOST_NODES:
        raise ValueError(f"nodes are {nodes}; accepted: 2 to {MOST_NODES}")
    v_N, weight_N, edges_N = _grid(cost, radius, nodes)
    # The last column is whatever lies beyond the radius.
    jump_NxM, start_M = np.zeros((nodes, nodes + 1)), np.zeros(nodes + 1)
    for i, u in enumerate(v_N):
        steps, to_N = _steps(cost, learning_rate, u), v_N - u
        to_N[i] = 1.0  # Anything: to stay is not asked for.
        jump_NxM[i, :-1] = weight_N * (steps.density(to_N) + steps.density(-v_N - u))
        jump_NxM[i, -1] = steps.above(radius - u) + steps.below(-radius - u)
    steps = _steps(cost, learning_rate, 0.0)
    start_M[:-1], start_M[-1] = 2 * weight_N * steps.density(v_N), 2 * steps.above(radius)
    start_M[0] = 1 - start_M[1:].sum()
    return edges_N, log_passages(jump_NxM, start_M)


def log_passages(jump_NxM: np.ndarray, start_M: np.ndarray) -> np.ndarray:
    """ln of the mean steps until a chain is first beyond each of its N states, [N], from jumps to other states and out.

    `start_M` is where the first step leads. States are taken out from the first one on: whoever comes to one leaves it
    for a later one, after as many steps as that takes. The arrays are overwritten.
    """
    states = len(jump_NxM)
    # The mean steps from each state to one that is left, with those that were taken out on the way.
    held_N, total, log_scale, log_N = np.ones(states), 1.0, 0.0, np.zeros(states)
    for k in range(states):
        leaves = jump_NxM[k, k + 1 :].sum()
        onward_M, held = jump_NxM[k, k + 1 :] / leaves, held_N[k] / leaves
        total += start_M[k] * held
        start_M[k + 1 :] += start_M[k] * onward_M
        log_N[k] = math.log(total) + log_scale
        comes_N = jump_NxM[k + 1 :, k]
        held_N[k + 1 :] += comes_N * held
        jump_NxM[k + 1 :, k + 1 :] += comes_N[:, None] * onward_M
        if total > LARGE:
            # Single steps no longer count beside so many.
            held_N, total, log_scale = held_N / LARGE, total / LARGE, log_scale + math.log(LARGE)
    return log_N


def laplace_exponent(cost: str, learning_rate: float, u: float) -> float:
    """theta > 0 of E exp(theta (u' - u)) = 1 for the step from u > 0, in 1 / u's unit.

    Where the steps stay small beside the distance over which it changes, ln (mean steps) rises with u at this rate. The
    moment is convex in theta and 1 at 0; its root is found by bisection. With the quadratic cost it is 2 u / eta.
    """
    _check(cost, learning_rate)
    if not 0 < u < math.inf:
        raise ValueError(f"u is {u}; accepted: a number more than 0")
    s = math.hypot(1, u)
    r_Q, weight_Q = _residuals(u)
    size_Q = learning_rate * RESIDUAL_COSTS[cost].slope(r_Q) / s

    def log_moment(theta: float) -> float:
        power_Q = theta * size_Q * (theta * size_Q / 2 - r_Q * u / s)
        # The quadratic cost's moment is that of r^2: with it, weights far out count, which the panels still hold.
        return float(np.log(np.exp(power_Q - power_Q.max()) @ weight_Q) + power_Q.max())

    high = u / learning_rate
    while log_moment(high) < 0:
        high *= 2
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if log_moment(middle) < 0 else (low, middle)
    return high


def diffusion_exponent(cost: str, learning_rate: float, u: float) -> float:
    """2 m / v, the drift towards the minimum by half the variance of a step: what a diffusion has for theta."""
    _check(cost, learning_rate)
    steps = _steps(cost, learning_rate, u)
    mean = steps.weight_Q @ steps.mean_Q
    square = steps.weight_Q @ (steps.mean_Q**2 + steps.deviation_Q**2)
    return float(-2 * mean / (square - mean**2))


def relative_loss(cost: str, u_M: np.ndarray) -> np.ndarray:
    """c of the mean cost c L* at each u, with L* that of the minimum; [M] -> [M]. For the quadratic cost 1 + u^2."""
    function = look_up(RESIDUAL_COSTS, cost, "cost of the residual").cost

    def mean_cost(u: float) -> float:
        r_Q, weight_Q = _residuals(u)
        return float(function(r_Q) @ weight_Q)

    return np.array([mean_cost(float(u)) for u in u_M]) / mean_cost(0.0)


def radius_of_loss(cost: str, c: float) -> float:
    """The u > 0 at which the mean cost is c > 1 times that of the minimum, by bisection."""
    if not 1 < c < math.inf:
        raise ValueError(f"c is {c}; accepted: a number more than 1")
    low, high = 0.0, 1.0
    while relative_loss(cost, np.array([high]))[0] < c:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if relative_loss(cost, np.array([middle]))[0] < c else (low, middle)
    return high
