"""One saturated neuron: the recursion by hand."""

import numpy as np
import pytest

from experiments.saturation import saturated_neuron


def test_saturated_neuron_is_the_exact_recursion():
    """The outputs are those of the recursion written by hand in float64, for both costs and for the animation."""
    slopes = {"quadratic": lambda a: a * a * (1 - a), "cross_entropy": lambda a: a, "animation": lambda a: 1 / (1 - a)}
    for name, by_hand in slopes.items():
        slope = saturated_neuron.animation_slope if name == "animation" else saturated_neuron.true_slope
        found = saturated_neuron.outputs(slope, name, 2.0, 2.0, 0.05)
        w = b = 2.0
        for a in found:
            expected = 1 / (1 + np.exp(-(w + b)))
            assert a == pytest.approx(expected, rel=1e-4)
            w, b = w - 0.05 * by_hand(expected), b - 0.05 * by_hand(expected)
