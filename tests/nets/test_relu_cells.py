"""Certificates of a ReLU net's minima: a regression by hand, random points nearby, what is certified and what not."""

import numpy as np
import pytest

from nets import relu_cells
from nets.theory.relu_cells import Weights


def cost_of(weights, x_NxD, y_N):
    """The summed squared error, by NumPy."""
    z_NxH = x_NxD @ weights.w_DxH + weights.b_H
    return np.sum((np.maximum(z_NxH, 0) @ weights.v_H + weights.c - y_N) ** 2)


def random_problem(seed, corner):
    """A net of 3 units on 8 examples of 2 inputs, with one example where a unit begins if there is to be a corner."""
    rng = np.random.default_rng(seed)
    weights = Weights(rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=3), rng.normal())
    x_NxD, y_N = rng.normal(size=(8, 2)), rng.normal(size=8)
    if corner:
        weights.b_H[1] = -(x_NxD[4] @ weights.w_DxH[:, 1])
    return weights, x_NxD, y_N


def moved(weights, rng, radius):
    """Each unit's (w, b) moved by less than the radius, everything else anywhere."""
    step_ExH = rng.normal(size=(3, 3))
    step_ExH *= 0.999 * radius * rng.random(3) / np.linalg.norm(step_ExH, axis=0)
    return Weights(weights.w_DxH + step_ExH[:2], weights.b_H + step_ExH[2], rng.normal(size=3) * 3, rng.normal())


@pytest.mark.parametrize("corner", [False, True])
def test_bound_holds_in_the_neighbourhood(corner):
    """No point within the radius has a lower cost than the bound, and few random points come near it."""
    for seed in range(5):
        weights, x_NxD, y_N = random_problem(seed, corner)
        found = relu_cells.certify(weights, x_NxD, y_N)
        assert found.cells == (2 if corner else 1)
        assert found.cost == pytest.approx(cost_of(weights, x_NxD, y_N), rel=1e-12)
        rng = np.random.default_rng(100 + seed)
        costs = [cost_of(moved(weights, rng, found.radius), x_NxD, y_N) for _ in range(500)]
        assert found.bound <= found.cost and found.bound <= min(costs)


def test_units_change_just_beyond_the_radius():
    """In the worst direction a unit changes between silent and active there, and not before."""
    weights, x_NxD, y_N = random_problem(0, corner=False)
    radius = relu_cells.certify(weights, x_NxD, y_N).radius
    x_NxE = np.hstack([x_NxD, np.ones((8, 1))])
    wb_ExH = np.vstack([weights.w_DxH, weights.b_H])
    distance_NxH = np.abs(x_NxE @ wb_ExH) / np.linalg.norm(x_NxE, axis=1)[:, None]
    n, h = np.unravel_index(np.argmin(distance_NxH), distance_NxH.shape)
    towards_E = -np.sign(x_NxE[n] @ wb_ExH[:, h]) * x_NxE[n] / np.linalg.norm(x_NxE[n])
    for factor, changes in ((0.999, False), (1.001, True)):
        after = x_NxE @ (wb_ExH[:, h] + factor * radius * towards_E)
        assert np.any((after > 0) != (x_NxE @ wb_ExH[:, h] > 0)) == changes


def test_bound_of_one_unit_is_a_linear_regression():
    """Three points seen by one unit: the bound is the residual of the straight line through them, 8/3."""
    x_NxD, y_N = np.array([[-1.0], [0.0], [1.0]]), np.array([5.0, 0.0, -1.0])
    line = Weights(np.array([[-3.0]]), np.array([13 / 3]), np.array([1.0]), -3.0)
    found = relu_cells.certify(line, x_NxD, y_N)
    assert found.cost == pytest.approx(8 / 3, rel=1e-12) and found.bound == pytest.approx(8 / 3, rel=1e-12)
    # Anything else that all three are seen by has the same bound, and costs more.
    found = relu_cells.certify(line._replace(c=-2.9), x_NxD, y_N)
    assert found.bound == pytest.approx(8 / 3, rel=1e-12) and found.cost == pytest.approx(8 / 3 + 3 * 0.01, rel=1e-9)


@pytest.mark.parametrize(
    ("x", "y", "others"),
    [
        # Silent at 0, the first two have one output between them; active, every point has its own.
        ((-1.0, 0.0, 1.0), (1.0, 3.0, 7.0), 2.0),
        # Active at 0, all three lie on a line; silent, the first has an output of its own.
        ((0.0, 1.0, 2.0), (0.0, 0.0, 1.0), 1 / 6),
    ],
)
def test_bound_is_the_least_of_the_cells_at_a_corner(x, y, others):
    """One unit begins at 0: the bound is that of the cell that fits, not the other's."""
    x_NxD, y_N = np.array(x)[:, None], np.array(y)
    weights = Weights(np.array([[1.0]]), np.array([0.0]), np.array([2.0]), 1.0)
    found = relu_cells.certify(weights, x_NxD, y_N)
    assert found.cells == 2 and found.bound == pytest.approx(0, abs=1e-12)
    bounds = [relu_cells.certify(weights._replace(b_H=np.array([b])), x_NxD, y_N).bound for b in (-1e-6, 1e-6)]
    assert sorted(bounds) == pytest.approx([0, others], abs=1e-12)


def test_refusals():
    """Shapes that do not fit, and too many corners, in one line."""
    weights, x_NxD, y_N = random_problem(0, corner=False)
    for arguments in (
        (weights._replace(v_H=np.ones(2)), x_NxD, y_N),
        (weights, x_NxD[:, :1], y_N),
        (weights, x_NxD, y_N[:-1]),
        (weights, x_NxD[:0], y_N[:0]),
    ):
        with pytest.raises(ValueError, match=r"shapes are .*; accepted: \[D, H\]"):
            relu_cells.certify(*arguments)
    silent = Weights(np.zeros((2, 3)), np.zeros(3), np.ones(3), 0.0)
    with pytest.raises(ValueError, match="24 weighted inputs are 0; accepted: at most 16"):
        relu_cells.certify(silent, x_NxD, y_N)
