"""Saturation before training: the closed form."""

import pytest

from experiments.saturation import init_saturation


def test_closed_form_of_the_saturated_fraction():
    """P(|N(0, 784/3)| > ln 19), as published."""
    assert init_saturation.closed_form("nielsen_large") == pytest.approx(0.8555, abs=5e-5)
    assert init_saturation.closed_form("glorot_uniform") == pytest.approx(3.3e-5, abs=5e-7)
