"""Proof that a point is a local minimum of a ReLU net's quadratic cost, where gradient and Hessian cannot tell.

N examples, D inputs, H hidden units. The net is c + sum_j v_j max(0, w_j.x + b_j), and the cost the sum over the
examples of (output - y)^2. Which units are active at which examples divides the space of the parameters into cells;
at a corner between cells the cost has no Hessian, and within one it has flat directions, as v_j may grow
as w_j shrinks.

    weights = nets.relu_cells.Weights(w_DxH, b_H, v_H, c)
    cost, bound, cells, radius = nets.relu_cells.certify(weights, x_NxD, y_N)
    cost - bound                            # 0: a local minimum, 1e-15 of rounding aside

All is computed in float64 by NumPy.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

# Each example at the corner of a unit doubles the cells that meet there.
MOST_CORNERS = 16
# A weighted input that is that small beside the terms it is the sum of is 0 but for rounding.
ROUNDING = 1e-12


class Weights(NamedTuple):
    """The parameters: input weights [D, H], biases [H], output weights [H], output bias."""

    w_DxH: np.ndarray
    b_H: np.ndarray
    v_H: np.ndarray
    c: float


class Certificate(NamedTuple):
    """The cost, and a lower bound of it for all parameters whose (w_j, b_j) are less than `radius` from these, for
    every unit j; `cells` is how many meet here. A cost equal to the bound is a local minimum, strict or not."""

    cost: float
    bound: float
    cells: int
    radius: float


def certify(weights: Weights, x_NxD: np.ndarray, y_N: np.ndarray) -> Certificate:
    """Bounds the summed squared error from below in a neighbourhood of the weights.

    Closer than the radius, no unit changes between silent and active at any example but where its weighted input is 0
    here. In each of the cells that this leaves, the output is linear in c, v_j w_j and v_j b_j, so that the cost is at
    least the minimum of a linear least squares problem, and the smallest of these minima is the bound. It is the
    largest that holds for all values of those products, but the neighbourhood may not have them all: a cost above the
    bound proves nothing. ValueError for shapes that do not fit and for more than 16 weighted inputs of 0.
    """
    w_DxH, b_H, v_H, c = (np.asarray(part, np.float64) for part in weights)
    x_NxD, y_N = np.asarray(x_NxD, np.float64), np.asarray(y_N, np.float64)
    shapes = [part.shape for part in (w_DxH, b_H, v_H, c, x_NxD, y_N)]
    units, examples, inputs = b_H.size, y_N.size, x_NxD.size // max(y_N.size, 1)
    if shapes != [(inputs, units), (units,), (units,), (), (examples, inputs), (examples,)] or not examples:
        raise ValueError(f"shapes are {shapes}; accepted: [D, H], [H], [H], [], [N, D], [N]")
    z_NxH = x_NxD @ w_DxH + b_H[None, :]
    corner_NxH = np.abs(z_NxH) <= ROUNDING * (np.abs(x_NxD) @ np.abs(w_DxH) + np.abs(b_H)[None, :])
    corners = np.argwhere(corner_NxH)
    if len(corners) > MOST_CORNERS:
        raise ValueError(f"{len(corners)} weighted inputs are 0; accepted: at most {MOST_CORNERS}")
    active_NxH, bound = (z_NxH > 0) & ~corner_NxH, math.inf
    for choice in itertools.product((False, True), repeat=len(corners)):
        active_NxH[corner_NxH] = choice
        bound = min(bound, least_squares(active_NxH, x_NxD, y_N))
    cost = float(np.sum((np.maximum(z_NxH, 0) @ v_H + c - y_N) ** 2))
    distance_NxH = np.abs(z_NxH) / np.sqrt(1 + np.sum(x_NxD**2, axis=1))[:, None]
    return Certificate(cost, bound, 2 ** len(corners), float(np.min(distance_NxH[~corner_NxH], initial=math.inf)))


def least_squares(active_NxH: np.ndarray, x_NxD: np.ndarray, y_N: np.ndarray) -> float:
    """The least summed squared error over all outputs of a cell, c + sum_j active_j (v_j w_j.x + v_j b_j)."""
    inputs_Nx1xE = np.concatenate([x_NxD, np.ones((len(x_NxD), 1))], axis=1)[:, None, :]
    terms = (active_NxH[:, :, None] * inputs_Nx1xE).reshape(len(x_NxD), -1)
    terms = np.concatenate([terms, np.ones((len(x_NxD), 1))], axis=1)
    solution = np.linalg.lstsq(terms, y_N, rcond=None)[0]
    return float(np.sum((terms @ solution - y_N) ** 2))
