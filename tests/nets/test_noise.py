"""Gradient noise against sample covariances and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_net import CHUNK, D, N, net_cost, small_problem

from nets import curvature

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def test_gradient_noise_of_linear_functions_is_the_sample_covariance():
    """For w.x the examples' gradients are the x; also where noise is a thousandth of the gradient."""
    x_NxD = np.random.default_rng(0).normal(size=(N, D)) * [1, 2, 3, 4]
    for offset in (0.0, 1e4):
        data = jnp.asarray(x_NxD + offset, jnp.float32)
        trace = np.trace(np.cov(np.asarray(data, np.float64).T))
        cost = lambda w, x_BxD: x_BxD @ w  # noqa: E731
        assert float(curvature.gradient_covariance_trace(cost, jnp.ones(D), data, CHUNK)) == pytest.approx(
            trace, rel=1e-5 if offset == 0 else 1e-2
        )
        squared = np.square(np.asarray(data, np.float64).mean(0)).sum() - trace / N
        result = curvature.gradient_noise_scale(cost, jnp.ones(D), data, CHUNK)
        assert float(result.gradient_squared) == pytest.approx(squared, rel=1e-4)
        assert float(result.noise_scale) == pytest.approx(trace / squared, rel=1e-4 if offset == 0 else 1e-2)


def test_gradient_noise_of_linear_regression():
    """Inputs N(0, 1_D), noise s, weights off by e: G = e, tr Sigma = (D + 1) |e|^2 + D s^2, exact in the limit."""
    size, s = 20_000, 0.5
    random = np.random.default_rng(0)
    x_NxD, e = random.normal(size=(size, D)), np.array([0.5, -0.5, 0.5, 0.5])
    y_N = s * random.normal(size=size)
    data = (jnp.asarray(x_NxD, jnp.float32), jnp.asarray(y_N, jnp.float32))
    cost = lambda w, batch: 0.5 * jnp.square(batch[0] @ w - batch[1])  # noqa: E731
    result = curvature.gradient_noise_scale(cost, jnp.asarray(e, jnp.float32), data, chunk=3000)
    assert float(result.gradient_squared) == pytest.approx(1, rel=0.05)
    assert float(result.covariance_trace) == pytest.approx(5 + D * s**2, rel=0.05)
    assert float(result.noise_scale) == pytest.approx(5 + D * s**2, rel=0.08)


def test_noise_scale_from_two_batch_sizes():
    """|G_B|^2 = |G|^2 + tr(Sigma)/B gives both back; batches of 1 and N are gradient_noise_scale."""
    small, big = 3.0 + 60.0 / np.array([4, 32])
    np.testing.assert_allclose(curvature.noise_scale(small, big, 4, 32), (3.0, 60.0, 20.0), rtol=1e-5)
    function, (params, data) = net_cost(), small_problem()
    one = lambda params, image_D, label: function(params, (image_D[None], label[None]))[0]  # noqa: E731
    single = jax.jit(jax.vmap(jax.grad(one), (None, 0, 0)))(params, *data)
    square = lambda tree: sum(float(jnp.sum(jnp.square(leaf))) for leaf in jax.tree.leaves(tree))  # noqa: E731
    mean = jax.tree.map(lambda x: x.mean(0), single)
    pair = square(single) / N, square(mean)
    exactly = curvature.gradient_noise_scale(function, params, data, CHUNK)
    np.testing.assert_allclose(curvature.noise_scale(*pair, 1, N), exactly, rtol=1e-4)
