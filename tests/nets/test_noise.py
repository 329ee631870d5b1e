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


def test_curved_noise_scale_of_a_quadratic_cost():
    """For (w - x)' H (w - x) / 2 the gradients are H (w - x): Sigma is H C H, C the sample covariance of x, whatever H
    is; where H is the identity it is the plain noise scale."""
    random = np.random.default_rng(0)
    half_DxD = random.normal(size=(D, D))
    x_NxD, w_D = random.normal(size=(N, D)) * [1, 2, 3, 4], np.array([2.0, -1.0, 0.5, 3.0])
    for hessian_DxD in (half_DxD @ half_DxD.T + np.diag([0.0, 1.0, 4.0, 9.0]), np.eye(D)):

        def cost(w, x_BxD, h_DxD=hessian_DxD):
            apart_BxD = w[None] - x_BxD
            return 0.5 * jnp.sum(apart_BxD @ jnp.asarray(h_DxD, jnp.float32) * apart_BxD, axis=-1)

        sigma_DxD = hessian_DxD @ np.cov(x_NxD.T) @ hessian_DxD
        mean_D = hessian_DxD @ (w_D - x_NxD.mean(0))
        trace = np.trace(hessian_DxD @ sigma_DxD)
        curved = mean_D @ hessian_DxD @ mean_D - trace / N
        arguments = cost, jnp.asarray(w_D, jnp.float32), jnp.asarray(x_NxD, jnp.float32)
        result = curvature.curved_noise_scale(*arguments, jax.random.key(0), samples=4_000, chunk=CHUNK)
        assert float(result.covariance_curvature) == pytest.approx(trace, rel=0.1)
        assert float(result.gradient_curvature) == pytest.approx(curved, rel=0.02)
        assert float(result.noise_scale) == pytest.approx(trace / curved, rel=0.1)
    plain = curvature.gradient_noise_scale(*arguments, CHUNK)
    assert float(result.noise_scale) == pytest.approx(float(plain.noise_scale), rel=0.1)


def test_curved_noise_scale_takes_off_what_noise_adds():
    """Over many draws of few examples both parts come out at their values of the distribution."""
    draws, size, w_D = 4_000, 6, jnp.array([1.0, 0.5])
    h_D, spread_D = np.array([4.0, 1.0]), np.array([1.0, 3.0])
    cost = lambda w, x_BxD: 0.5 * jnp.square(w[None] - x_BxD) @ jnp.array(h_D, jnp.float32)  # noqa: E731
    x_RxNxD = jnp.asarray(np.random.default_rng(0).normal(size=(draws, size, 2)) * spread_D, jnp.float32)
    keys_R = jax.random.split(jax.random.key(0), draws)
    found = jax.vmap(lambda x_NxD, key: curvature.curved_noise_scale(cost, w_D, x_NxD, key, samples=2))(x_RxNxD, keys_R)
    assert float(jnp.mean(found.covariance_curvature)) == pytest.approx(np.sum(h_D**3 * spread_D**2), rel=0.05)
    assert float(jnp.mean(found.gradient_curvature)) == pytest.approx(np.sum(h_D**3 * np.square(w_D)), rel=0.15)


def test_curved_noise_scale_needs_examples():
    """Two at least, and a vector."""
    cost = lambda w, x_BxD: x_BxD @ w  # noqa: E731
    with pytest.raises(ValueError, match="at least 2"):
        curvature.curved_noise_scale(cost, jnp.ones(D), jnp.ones((1, D)), jax.random.key(0))
    with pytest.raises(ValueError, match="samples is 0"):
        curvature.curved_noise_scale(cost, jnp.ones(D), jnp.ones((3, D)), jax.random.key(0), samples=0)
