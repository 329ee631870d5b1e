"""Least actions against closed forms: of walks, of Gaussian noise in one and two dimensions, of the two wells."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import nets
from nets.theory import wells

CURVATURES = np.array([1.0, 3.0])


def slope(w, batch):
    """Every example pulls w by itself."""
    return w * batch


def bowl(params, batch):
    """A quadratic form with curvatures 1 and 3, and targets that shift its minimum."""
    return jnp.sum(jnp.asarray(CURVATURES) * params**2) / 2 - batch @ params


@pytest.fixture(scope="module")
def normal_targets():
    """Two independent y ~ N(0, 1), by Gauss and Hermite: [64, 2] and their probabilities."""
    node_Q, weight_Q = np.polynomial.hermite_e.hermegauss(8)
    y_NxP = np.stack(np.meshgrid(node_Q, node_Q), axis=-1).reshape(-1, 2)
    return y_NxP, np.outer(weight_Q, weight_Q).ravel() / weight_Q.sum() ** 2


def test_walk_of_two_values():
    """Up with probability p, else down: E exp(-k g) = 1 at k = ln((1 - p) / p), everywhere; downhill it is free."""
    signs, weights = jnp.array([-1.0, 1.0]), [0.2, 0.8]
    assert nets.escape.action(slope, signs, 0.0, 5.0, weights=weights).value == pytest.approx(5 * math.log(4), rel=1e-9)
    assert nets.escape.action(slope, signs, 5.0, 0.0, weights=weights).value == 0
    by_diffusion = nets.escape.action(slope, signs, 0.0, 5.0, weights=weights, noise="diffusion").value
    assert by_diffusion == pytest.approx(5 * 2 * 0.6 / 0.64, rel=1e-9)
    assert nets.escape.action(slope, jnp.array([1.0, 2.0]), 0.0, 5.0).value == math.inf


def test_two_wells():
    """Three theories, and on beyond the barrier at no cost."""
    well = wells.line()
    act = lambda end, noise="examples": nets.escape.action(  # noqa: E731
        well.cost, well.kinds, well.minimum, end, weights=well.shares, noise=noise
    )
    found = act(well.saddle)
    assert found.value == pytest.approx(42.217, abs=5e-4)
    assert act(well.saddle, "diffusion").value == pytest.approx(32.0265, abs=1e-4)
    assert act(well.saddle, "constant").value == pytest.approx(3.2373, abs=1e-4)
    assert act(8.0).value == pytest.approx(found.value, rel=1e-7)
    gradient_MxNxP = nets.draws.gradients(well.cost, 0.0, found.path_MxP, well.kinds)
    root_M = np.exp(-gradient_MxNxP[..., 0] * found.momentum_MxP) @ well.shares
    np.testing.assert_allclose(root_M, 1, atol=1e-12)


def test_gaussian_noise_in_one_dimension():
    """The quasi-potential of u' = (1 - eta) u + eta xi is u^2, by both theories."""
    node_N, weight_N = np.polynomial.hermite_e.hermegauss(40)
    cost = lambda u, y_B: (u - y_B) ** 2 / 2  # noqa: E731
    for noise in ("examples", "diffusion", "constant"):
        value = nets.escape.action(cost, node_N, 0.0, 0.8, weights=weight_N / weight_N.sum(), noise=noise).value
        assert value == pytest.approx(0.64, rel=1e-6)


@pytest.mark.parametrize("noise", ["examples", "constant"])
def test_gaussian_noise_in_two_dimensions(normal_targets, noise):
    """The quasi-potential is the sum of h u^2, and its path is bent: u_2 goes as u_1^3, as curvatures are 1 and 3."""
    (y_NxP, weights), end = normal_targets, jnp.array([0.6, 0.5])
    found = nets.escape.action(bowl, y_NxP, jnp.zeros(2), end, weights=weights, noise=noise, points=24)
    assert found.value == pytest.approx(0.36 + 0.75, rel=4e-3)
    u_M, v_M = found.path_MxP.T
    far = u_M > 0.3
    np.testing.assert_allclose(v_M[far], 0.5 * (u_M[far] / 0.6) ** 3, atol=0.02)


def test_what_does_not_fit(normal_targets):
    """An unknown noise, two ends that differ, and examples all of whose gradients point one way."""
    y_NxP, weights = normal_targets
    with pytest.raises(ValueError, match="accepted: examples, diffusion, constant"):
        nets.escape.action(bowl, y_NxP, jnp.zeros(2), jnp.ones(2), noise="white")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="2 and 1 numbers"):
        nets.escape.action(bowl, y_NxP, jnp.zeros(2), jnp.ones(1))
    one_way = np.abs(y_NxP) * [1.0, 0.0]
    with pytest.raises(ValueError, match="span"):
        nets.escape.action(bowl, one_way, jnp.zeros(2), jnp.ones(2), weights=weights)
