"""The minimum that ships with the project is one of the population cost."""

import jax
import numpy as np
import pytest

from experiments import spurious_minima
from nets import student_teacher


def test_stored_minimum_read_by_rows_is_none():
    """As the study reads it, the cost is the computed one and nothing moves; by rows it is no critical point."""
    stored_KxD = spurious_minima.stored_minimum()
    value_and_slope = jax.jit(jax.value_and_grad(student_teacher.population_cost))
    with jax.enable_x64(True):
        found, slope_KxD = map(np.asarray, value_and_slope(stored_KxD, np.eye(7)))
        by_rows, slope_by_rows_KxD = map(np.asarray, value_and_slope(stored_KxD.T, np.eye(7)))
    assert found == pytest.approx(0.0232027, abs=1e-7) and np.linalg.norm(slope_KxD) < 1e-8
    assert by_rows > 0.06 and np.linalg.norm(slope_by_rows_KxD) > 0.3
