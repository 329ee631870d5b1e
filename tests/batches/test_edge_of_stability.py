"""The edge of stability: where a known course hovers, descent against numpy, sharpness against the whole Hessian."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import nets
import train
from experiments.batches import edge_of_stability
from experiments.batches.edge_of_stability import Course


def test_median_of_the_last_half_since_the_edge():
    """What came before does not count, nor does the first half since; a run that stays below, or falls, has none."""
    ratio_T = np.array([3.0, 0.5, 1.0, 1.4, 1.1, 1.02, 1.04, 1.03])
    assert edge_of_stability.reached(ratio_T) == 2
    assert edge_of_stability.hovers_at(ratio_T) == pytest.approx(1.03)
    assert np.isnan(edge_of_stability.hovers_at(ratio_T - 0.5))
    assert np.isnan(edge_of_stability.hovers_at(np.array([3.0, 2.0, 0.9])))


def known_course(ratio=1.05, last=0.1, rises=True):
    """Two rates and two seeds that reach the edge at step 20 of 50, at cost 1."""
    looks_T, rates_R = np.arange(0, 50, 10), np.array([0.5, 0.25])
    ratio_T = np.array([0.2, 0.9, ratio, ratio, ratio])
    cost_E = np.concatenate([np.linspace(9, 1, 20, endpoint=False), np.linspace(1, last, 30)])
    if rises:
        cost_E[30] = cost_E[29] + 0.01
    sharpness_RxSxT = np.broadcast_to(2 * ratio_T / rates_R[:, None, None], (2, 2, 5)).copy()
    return Course(rates_R, np.broadcast_to(cost_E, (2, 2, 50)).copy(), looks_T, sharpness_RxSxT)


def verdicts(course):
    """Whether each claim is reproduced: the rates', the fall, the rising."""
    return [claim["reproduced"] for claim in edge_of_stability.claims_of("net", course)]


def test_claims_hold_where_the_sharpness_hovers():
    """All four, with the step at which the edge was reached."""
    claims = edge_of_stability.claims_of("net", known_course())
    assert [claim["measured"] for claim in claims] == pytest.approx([1.05, 1.05, 0.1, 1.0])
    assert all(claim["reproduced"] for claim in claims) and "after 20 steps" in claims[0]["note"]


def test_each_claim_can_miss():
    """Above or below the band, a cost that stays, one that falls in every step; never at the edge, nothing holds."""
    assert verdicts(known_course(ratio=1.16)) == [False, False, True, True]
    assert verdicts(known_course(last=0.81)) == [True, True, False, True]
    assert verdicts(known_course(rises=False)) == [True, True, True, False]
    assert verdicts(known_course(ratio=0.99)) == [False] * 4
    one_stays_below = known_course()
    one_stays_below.sharpness_RxSxT[0, 1] /= 2
    assert verdicts(one_stays_below) == [False, True, False, False]


def test_sharpness_is_the_largest_eigenvalue():
    """Of the mean of two bowls whose Hessians are diagonal: 3, 5 and 2 in the mean."""
    cost = lambda w_3, h_Bx3: jnp.sum(h_Bx3 * w_3[None] ** 2, axis=1) / 2  # noqa: E731
    h_2x3 = jnp.array([[6.0, 2.0, 1.0], [0.0, 8.0, 3.0]])
    assert edge_of_stability.sharpness(cost, jnp.ones(3), h_2x3) == pytest.approx(5, rel=1e-5)


def test_toy_is_gradient_descent_on_the_polynomial(monkeypatch):
    """Costs of 9 steps by hand in float64; with the mean cost in the place of its sharpness, looks find every third."""
    small = {"UNITS": 5, "LOOKS": 3, "STEPS_A_LOOK": 3, "TOY_SEEDS": 2, "TOY_RATES": (0.2, 0.05)}
    for name, value in (small | {"sharpness": nets.curvature.mean_cost}).items():
        monkeypatch.setattr(edge_of_stability, name, value)
    course = edge_of_stability.toy()
    assert course.cost_RxSxE.shape == (2, 2, 9) and course.looks_T.tolist() == [0, 3, 6]
    np.testing.assert_allclose(course.sharpness_RxSxT, course.cost_RxSxE[:, :, ::3], rtol=1e-5)
    net = nets.MLP(hidden=(5,), classes=1, activation="tanh", output="identity")
    x_N = np.linspace(-1, 1, 20)
    y_N = 16 * x_N**5 - 20 * x_N**3 + 5 * x_N
    for s, key in enumerate(jax.random.split(jax.random.key(0), 2)):
        params = jax.device_get(net.init(key, np.zeros((1, 1), np.float32))["params"])
        leaves = [params[layer][leaf] for layer in ("hidden_0", "output") for leaf in ("kernel", "bias")]
        for r, rate in enumerate((0.2, 0.05)):
            w, costs = np.concatenate([np.float64(leaf).ravel() for leaf in leaves]), []
            for _ in range(9):
                value, slope = cost_and_gradient(w, x_N, y_N)
                costs.append(value)
                w = w - rate * slope
            np.testing.assert_allclose(course.cost_RxSxE[r, s], costs, rtol=1e-4)


def cost_and_gradient(w, x_N, y_N):
    """The mean squared error of a net of one hidden layer of 5 tanh with weights w = (kernel, bias, kernel, bias)."""
    k, b, v, c = w[:5], w[5:10], w[10:15], w[15]
    h_NxH = np.tanh(np.outer(x_N, k) + b)
    error_N = h_NxH @ v + c - y_N
    delta_NxH = 2 / len(x_N) * np.outer(error_N, v) * (1 - h_NxH**2)
    slope = [x_N @ delta_NxH, delta_NxH.sum(axis=0), 2 / len(x_N) * error_N @ h_NxH, [2 * error_N.mean()]]
    return np.mean(error_N**2), np.concatenate(slope)


def test_images_are_measured_by_the_cost_that_is_descended(synthetic_config, monkeypatch):
    """With the mean cost in the place of its sharpness, a look after 2 steps finds the cost before the third one, and
    the cost falls as the gradient promises."""
    stand_in = SimpleNamespace(get_config=synthetic_config.copy_and_resolve_references)
    small = {"HIDDEN": (3,), "RATES": (1e-3, 2e-3), "shallow": stand_in, "sharpness": nets.curvature.mean_cost}
    small |= {"IMAGE_STEPS": 5, "LOOK_EVERY": 2, "IMAGE_SEEDS": 1}
    for name, value in small.items():
        monkeypatch.setattr(edge_of_stability, name, value)
    course = edge_of_stability.images(40)
    assert course.looks_T.tolist() == [2, 4] and course.sharpness_RxSxT.shape == (2, 1, 2)
    np.testing.assert_allclose(course.sharpness_RxSxT, course.cost_RxSxE[:, :, [2, 4]], rtol=1e-6)
    config = edge_of_stability.image_config(40)
    dataset, params = train.load_dataset(config, ""), train.initial_state(config).params
    slope_P, _ = ravel_pytree(nets.curvature.gradient(edge_of_stability.image_cost, params, dataset[:2]))
    falls_R = course.cost_RxSxE[:, 0, 0] - course.cost_RxSxE[:, 0, 1]
    np.testing.assert_allclose(falls_R / course.rates_R, float(slope_P @ slope_P), rtol=0.05)
