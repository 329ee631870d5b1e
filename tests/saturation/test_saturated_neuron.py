"""One saturated neuron: the recursion by hand."""

import json

import numpy as np
import pytest

from experiments.saturation import saturated_neuron
from experiments.study import command


def test_study_at_its_tiny_size(tmp_path):
    """Two numbers that the book prints and eight of a recursion in float64, all of them met."""
    command.run(saturated_neuron.STUDY, "tiny", tmp_path)
    claims = json.loads((tmp_path / "results.json").read_text())
    assert [claim["kind"] for claim in claims] == ["number"] * 2 + ["oracle"] * 8
    assert len({claim["key"] for claim in claims}) == 10
    assert all(claim["verdict"] == "reproduced" for claim in claims)
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_claims_tell_the_gradient_from_the_animation():
    """Exchanged, both lines of the erratum fail, and nothing else does; so does a neuron that learns at once."""
    courses = [saturated_neuron.outputs(saturated_neuron.true_slope, *panel) for panel in saturated_neuron.PANELS]
    start, rate = (2.0, 2.0), saturated_neuron.ANIMATION_RATE
    true, animated = (
        saturated_neuron.outputs(slope, "cross_entropy", *start, rate)
        for slope in (saturated_neuron.true_slope, saturated_neuron.animation_slope)
    )
    failed = lambda *given: [c.key for c in saturated_neuron.claims_of(*given) if not c.is_reproduced]  # noqa: E731
    assert failed(courses, true, animated) == []
    assert failed(courses, animated, true) == ["erratum/true", "erratum/animated"]
    cured = [courses[0], courses[3], *courses[2:]]
    assert failed(cured, true, animated) == [f"quadratic/bad/{name}" for name in ("end", "fastest", "first_half")]


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
