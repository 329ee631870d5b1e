"""Convolutions and pooling in the order that a CPU is fast with: the same sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from training.convolutions import in_order


@pytest.mark.parametrize("layout", [("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NCHW")])
def test_convolutions_in_order_are_the_same_sums(layout):
    """Costs and gradients within loops, branches and calls, with strides, dilations and groups."""

    def cost(kernel, images):
        convolve = lambda x, k, **more: jax.lax.conv_general_dilated(  # noqa: E731
            x, k, (2, 1), "SAME", dimension_numbers=layout, **more
        )
        hidden = jax.nn.relu(convolve(images, kernel, rhs_dilation=(1, 2)))
        grouped = convolve(images, kernel[..., :1, :] if layout[1] == "HWIO" else kernel[:, :1], feature_group_count=2)
        return jnp.sum(hidden**2) + jnp.sum(jax.checkpoint(jnp.tanh)(grouped))

    def descend(kernel, images):
        def step(kernel, rate):
            gradient = jax.grad(cost)(kernel, images)
            return jax.lax.cond(rate > 0, lambda: kernel - rate * gradient, lambda: kernel), cost(kernel, images)

        return jax.lax.scan(jax.jit(step), kernel, jnp.array([1e-3, 0.0, 1e-3]))

    shape = {"HWIO": (3, 3, 2, 4), "OIHW": (4, 2, 3, 3)}[layout[1]]
    kernel = jax.random.normal(jax.random.key(0), shape)
    images = jax.random.normal(jax.random.key(1), (5, 6, 7, 2) if layout[0] == "NHWC" else (5, 2, 6, 7))
    with jax.default_matmul_precision("highest"):
        wanted, found = jax.jit(descend)(kernel, images), jax.jit(in_order(descend))(kernel, images)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), wanted, found)


@pytest.mark.parametrize("window", [(1, 2, 2, 1), (1, 3, 2, 1), (1, 2, 3, 2)])
def test_gradients_of_pooling_go_to_the_first_largest(window):
    """Also where several are equal, which XLA decides by their order; windows that overlap are left as they are."""
    images = jnp.round(jax.random.normal(jax.random.key(0), (3, 6, 6, 4)))
    weights = jnp.arange(3.0 * 6 * 6 * 4).reshape(images.shape)
    for strides in (window, (1, 1, 1, 1)):

        def cost(images, strides=strides):
            pooled = jax.lax.reduce_window(images, -jnp.inf, jax.lax.max, window, strides, "VALID")
            return jnp.sum(pooled * weights.ravel()[: pooled.size].reshape(pooled.shape))

        wanted, found = jax.jit(jax.grad(cost))(images), jax.jit(in_order(jax.grad(cost)))(images)
        np.testing.assert_array_equal(wanted, found)
