"""Keskar's sharpness against SciPy's L-BFGS-B and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jax.flatten_util import ravel_pytree
from small_net import CHUNK, bowl, bowl_of, net_cost, small_problem

from nets import curvature

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def scipy_sharpness(negative, flat_P, epsilon):
    """Keskar et al.'s measure with SciPy's L-BFGS-B and ten iterations; negative(flat) -> (-cost, -gradient)."""
    radius_P = epsilon * (np.abs(flat_P) + 1)
    bounds = list(zip(-radius_P, radius_P, strict=True))
    around = lambda y_P: negative(flat_P + y_P)  # noqa: E731
    best = scipy.optimize.minimize(
        around, 0 * flat_P, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 10}
    )
    before = -around(0 * flat_P)[0]
    return 100 * (-best.fun - before) / (1 + before)


def test_sharpness_is_at_least_scipys():
    """To 2 %, at random and at trained weights, inside the box, and it is the cost at the returned point."""
    function, (params, data) = net_cost(), small_problem()
    wide = (np.asarray(data[0], np.float64), np.asarray(data[1]))
    flat_of = lambda tree: np.asarray(ravel_pytree(tree)[0], np.float64)  # noqa: E731
    with jax.enable_x64(True):
        unravel = ravel_pytree(jax.tree.map(lambda x: np.asarray(x, np.float64), params))[1]
        compiled = jax.jit(jax.value_and_grad(lambda flat_P: -jnp.mean(function(unravel(flat_P), wide))))
        negative = lambda flat_P: tuple(np.asarray(x) for x in compiled(flat_P))  # noqa: E731
        trained_P = scipy.optimize.minimize(
            lambda x: tuple(-part for part in negative(x)), flat_of(params), jac=True, options={"maxiter": 30}
        ).x
        for flat_P in (flat_of(params), flat_of(trained_P)):
            weights = jax.tree.map(lambda x: np.asarray(x, np.float32), unravel(flat_P))
            for epsilon in (1e-3, 1e-2, 0.1):
                with jax.enable_x64(False):
                    value, y = curvature.sharpness(function, weights, data, epsilon, chunk=CHUNK)
                value, y_P, flat_P = float(value), flat_of(y), flat_of(weights)
                assert value >= 0.98 * scipy_sharpness(negative, flat_P, epsilon) > 0
                assert (np.abs(y_P) <= epsilon * (np.abs(flat_P) + 1) * 1.000001).all()
                before, after = -negative(flat_P)[0], -negative(flat_P + y_P)[0]
                assert value == pytest.approx(100 * (after - before) / (1 + before), rel=1e-3, abs=2e-5)


def test_sharpness_in_closed_form():
    """Linear: all bounds, by the gradient's sign. Concave, its maximum inside: that. Convex: a corner."""
    x = jnp.array([1.0, -3.0])
    linear = lambda x, g_BxP: jnp.einsum("bi,i->b", g_BxP, x) + 10  # noqa: E731
    value, y = curvature.sharpness(linear, x, jnp.array([[2.0, -1.0]]), 0.01)
    np.testing.assert_allclose(y, [0.02, -0.04], rtol=1e-6)
    assert float(value) == pytest.approx(100 * 0.08 / 16, rel=1e-4)
    # -(x - t).A(x - t)/2 has its maximum at t, which may lie inside the box of 1 around 0; where it does not, one
    # bound is active and the other coordinate is optimal along it.
    a = jnp.array([[3.0, 1.0], [1.0, 50.0]])
    concave = lambda x, t_BxP: 100 - 0.5 * jnp.einsum("bi,ij,bj->b", x[None] - t_BxP, a, x[None] - t_BxP)  # noqa: E731
    for t, best in ([0.3, -0.2], [0.3, -0.2]), ([3.0, -0.2], [1.0, -0.2 + 2 / 50]):
        y = curvature.sharpness(concave, jnp.zeros(2), jnp.array([t]), 1.0)[1]
        np.testing.assert_allclose(y, best, atol=1e-4)
    # At x = 1 the bowl x^2 / 2 rises by 1.2^2 / 2 - 1 / 2 to the bound 1 + .1 (1 + 1).
    value, y = curvature.sharpness(bowl, jnp.ones(1), bowl_of([1.0]), 0.1)
    assert (float(value), float(y[0])) == pytest.approx((100 * 0.22 / 1.5, 0.2), rel=1e-5)


def test_sharpness_is_never_negative():
    """0 at a maximum and wherever the gradient vanishes, and for a box of no size; nan for a negative one."""
    # A peak with a kink, whose one-sided gradient points where the cost falls: no step is accepted.
    peak = lambda x, s_B: s_B * jnp.where(x >= 0, -x, 2 * x)  # noqa: E731
    assert float(curvature.sharpness(peak, jnp.float32(0), jnp.ones(1))[0]) == 0
    for data in (bowl_of([-1.0, -1.0]), bowl_of([1.0, 2.0])):
        assert float(curvature.sharpness(bowl, jnp.zeros(2), data)[0]) == 0
    function, (params, data) = net_cost(), small_problem()
    assert float(curvature.sharpness(function, params, data, 0.0, chunk=CHUNK)[0]) == 0
    assert np.isnan(curvature.sharpness(function, params, data, -1e-3, chunk=CHUNK)[0])


def test_a_cost_below_zero_has_no_sharpness():
    """At a cost of -10.5, 100 rise / (1 + cost) is negative: an error, and nan where there are no values to see."""
    below = lambda x, b: 0.5 * jnp.sum(x**2) - b  # noqa: E731
    for cost_there, data in ((-10.5, jnp.array([11.0])), (-0.5, jnp.array([1.0])), (-1.0, jnp.array([1.5]))):
        with pytest.raises(ValueError, match=rf"the mean cost is {cost_there:g}; accepted: 0 or more"):
            curvature.sharpness(below, jnp.ones(1), data)
        assert np.isnan(jax.jit(lambda x, data=data: curvature.sharpness(below, x, data)[0])(jnp.ones(1)))
    assert float(curvature.sharpness(below, jnp.ones(1), jnp.array([0.5]))[0]) == pytest.approx(0.2, rel=1e-2)
