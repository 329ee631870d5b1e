"""The construction by hand, and the box outside which there are no minima."""

import numpy as np
import pytest

from experiments.escape import many_minima


def test_end_to_end(tiny_claims):
    """Of two and of six examples, the theorem's counts; all are a theorem's."""
    claims = tiny_claims(many_minima.STUDY)
    assert {key: claim.measured for key, claim in claims.items()} == {
        "quadratic/n2/d1": 2,
        "quadratic/n6/d2": 9,
        "cross_entropy": 1,
    }
    assert all(claim.kind == "oracle" and claim.is_reproduced for claim in claims.values())


def test_a_minimum_too_many_is_not_reproduced():
    """Counts are points: three where two belong, and two with the cross-entropy on one of two sets."""
    found = {count: many_minima.Minima(np.zeros((count, 1)), np.zeros(count)) for count in (1, 2, 3)}
    claims = many_minima.claims_of({(2, 1): found[3]}, {(2, 1): found[1], (3, 1): found[2]})
    assert [claim.measured for claim in claims] == [3, 2] and not any(claim.is_reproduced for claim in claims)


def test_construction():
    """Two examples on each axis, a thousand times apart; a fifth one repeats the last."""
    x_NxD, y_N = many_minima.examples(5, 2)
    np.testing.assert_allclose(x_NxD, [[1e-3, 0], [1e-6, 0], [0, 1e-3], [0, 1e-6], [0, 1e-6]])
    np.testing.assert_allclose(y_N, [0.55, 0.9, 0.55, 0.9, 0.9])


def test_no_minima_outside_the_box():
    """The quadratic cost falls all the way to the box, from negative weights too, and rises all the way from it.

    The scan begins a decade before the box and ends a decade after it.
    """
    x_NxD, y_N = many_minima.examples(3, 1)
    low, high = (
        10 * np.exp(logs) for logs in many_minima.scan_axes((x_NxD, y_N), 50)[0][[0, -1]] + [0, -2 * np.log(10)]
    )
    np.testing.assert_allclose([low, high], [np.log(0.55 / 0.45) * 1e3, np.log(9) * 1e9])
    below = np.concatenate([-np.geomspace(1e5, 1, 400), np.geomspace(1, low, 400)[:-1]])
    for w_G, sign in ((below, -1), (np.geomspace(high, 10 * high, 400)[1:], 1)):
        a_NxG = 1 / (1 + np.exp(-x_NxD * w_G[None, :]))
        slope_G = np.sum((a_NxG - y_N[:, None]) * a_NxG * (1 - a_NxG) * x_NxD, axis=0)
        assert np.all(sign * slope_G > 0)


def test_lowest_points():
    """No higher than any neighbour: ties count, and a diagonal neighbour that is lower is one too many."""
    costs = np.array([[3.0, 3.0, 5.0, 2.0], [3.0, 1.0, 5.0, 5.0], [5.0, 5.0, 0.0, 5.0]])
    assert many_minima.lowest_points(costs).tolist() == [[0, 3], [2, 2]]
    assert many_minima.lowest_points(np.array([2.0, 1.0, 1.0, 3.0])).tolist() == [[1], [2]]


def test_minima_lie_at_each_example():
    """Where that example alone would have its own, to the pull of the others, a hundredth."""
    found = many_minima.minima(many_minima.quadratic, many_minima.examples(2, 1), 10_000)
    weights = np.exp(found.logs_MxD[:, 0])
    assert weights == pytest.approx([np.log(0.55 / 0.45) * 1e3, np.log(9) * 1e6], rel=1e-2)
    # The other example is flat at 1/2, or saturated.
    assert found.costs_M == pytest.approx([0.4**2 / 2, 0.45**2 / 2], rel=5e-3)
