"""Chains of SGD against walks whose times are known in closed form."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from nets import draws
from nets.theory import step_chain, wells

UP, PLACES = 0.1, 20
SIGNS = jnp.array([-1.0, 1.0])


def slope(w, batch):
    """Every example moves w by itself times the learning rate."""
    return w * batch


def slope_of_first(params, batch):
    """The same with a second param, that moves half as far the other way."""
    return (params[0] - params[1] / 2) * batch


def mean_steps(up: float, places: int) -> float:
    """From 0 until a walk that goes up one place with that probability and else down, but not below 0, is beyond the
    last place: h_k = (1 + (1 - up) h_(k - 1)) / up from place k to the next."""
    each = total = 1 / up
    for _ in range(1, places):
        each = (1 + (1 - up) * each) / up
        total += each
    return total


def walk(up=UP, places=PLACES, batch_size=1, tolerance=1e-12):
    """How long that walk stays."""
    axis, weights = np.arange(places, dtype=float), [up, 1 - up]
    out = lambda at_NxD: at_NxD[:, 0] > places - 0.5  # noqa: E731
    return step_chain.leave(
        step_chain.make_chain(slope, 0.0, SIGNS, [axis], 1.0, batch_size, out, weights), tolerance=tolerance
    )


def test_batches_are_multinomial():
    """Three kinds, four draws: 15 batches; the mean share of each kind is its probability."""
    share_JxK, probability_J = draws.batches([0.5, 0.3, 0.2], 4)
    assert share_JxK.shape == (15, 3) and probability_J.sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(probability_J @ share_JxK, [0.5, 0.3, 0.2], rtol=1e-14)
    (two_two,) = probability_J[(share_JxK == [0.5, 0.5, 0]).all(axis=1)]
    assert two_two == pytest.approx(6 * 0.25 * 0.09)


def test_walk_against_its_recursion():
    """A mean of 10^19 steps to nine digits, where a linear system would have none; and a short one from its start."""
    assert mean_steps(UP, PLACES) > 1e19
    assert walk().mean == pytest.approx(mean_steps(UP, PLACES), rel=1e-9)
    assert walk(0.4, 3).mean == pytest.approx(mean_steps(0.4, 3), rel=1e-9)


def test_survival_goes_on_from_the_steps_that_were_taken():
    """Of two places, left with probability .4 from the second: the shares of a 2 x 2 matrix to any power."""
    stay, to_from = walk(0.4, 2), np.array([[0.6, 0.6], [0.4, 0.0]])
    left = [np.linalg.matrix_power(to_from, n)[:, 0].sum() for n in range(600)]
    last = len(stay.survival_T) - 1
    for n in (0, 1, 5, last - 1, last, last + 50):
        assert stay.survival(n) == pytest.approx(left[n], rel=1e-8)
        assert stay.mean_until(n) == pytest.approx(sum(left[:n]), rel=1e-8)
    assert stay.median == np.argmax(np.array(left) <= 0.5)
    assert stay.steps_an_escape(5) == pytest.approx(sum(left[:5]) / (1 - left[5]), rel=1e-8)
    assert walk().median == pytest.approx(math.log(2) / walk().rate, rel=1e-6)


def test_two_params_and_shared_moves():
    """A second param, that is between places of its axis, changes nothing; a batch of two is a binomial draw."""
    axes, out = [np.arange(5.0), np.linspace(-9.0, 9.0, 26)], lambda at_NxD: at_NxD[:, 0] > 4.5
    chain = step_chain.make_chain(slope_of_first, jnp.zeros(2), SIGNS, axes, 1.0, 1, out, [0.4, 0.6])
    total_N = np.asarray(chain.to_from_NxN.sum(axis=0)).ravel() + chain.leave_N
    np.testing.assert_allclose(total_N, 1, rtol=1e-12)
    assert step_chain.leave(chain).mean == pytest.approx(mean_steps(0.4, 5), rel=1e-7)
    lazy = np.array([[0.84, 0.36], [0.16, 0.48]])  # Up with .16, down with .36, else still.
    expected = np.linalg.solve((np.eye(2) - lazy).T, np.ones(2))[0]
    assert walk(0.4, 2, batch_size=2).mean == pytest.approx(expected, rel=1e-9)


def test_two_wells():
    """What was computed beforehand on the same grid, to the step that is counted or not."""
    assert wells.stay_on_line(20.0, 4, 0.05).median == pytest.approx(681, abs=1)
    assert wells.stay_on_line(8.0, 1, 0.05).median == pytest.approx(5_107, abs=1)


@pytest.mark.parametrize(
    ("axes", "weights", "message"),
    [
        ([[0.0, 1.0, 3.0]], None, "rise evenly"),
        ([[0.0, 1.0], [0.0, 1.0]], None, "axes are 2; accepted: 1"),
        ([[0.0, 1.0]], [0.5, 0.6], "whose sum is 1"),
    ],
)
def test_what_does_not_fit(axes, weights, message):
    """One line that says what is accepted."""
    with pytest.raises(ValueError, match=message):
        step_chain.make_chain(slope, 0.0, SIGNS, list(map(np.array, axes)), 1.0, 1, lambda x: x[:, 0] > 1, weights)
    never = step_chain.make_chain(slope, 0.0, SIGNS, [np.arange(3.0)], 1.0, 1, lambda x: x[:, 0] > 9)
    with pytest.raises(ValueError, match="after 1,000 steps"):
        step_chain.leave(never, most=1_000)
