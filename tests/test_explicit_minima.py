"""The published minima of tiny ReLU nets are minima."""

import pytest

from experiments import explicit_minima
from nets import relu_cells


def test_published_minima_are_certified_and_points_beside_them_are_not():
    """The paper's two minima, at corners of two cells each; with another output bias they are none."""
    for problem in (explicit_minima.D1, explicit_minima.D2):
        x_NxD, y_N = problem.points_Nx2[:, :1], problem.points_Nx2[:, 1]
        found = relu_cells.certify(problem.minimum, x_NxD, y_N)
        assert found.cells == 2 and found.radius > 0.05
        assert found.cost == pytest.approx(problem.cost, rel=1e-12)
        assert found.bound == pytest.approx(problem.cost, rel=1e-12)
        beside = relu_cells.certify(problem.minimum._replace(c=problem.minimum.c + 0.01), x_NxD, y_N)
        assert beside.cost > beside.bound + 1e-4
