"""The mean cost and its derivatives, whatever the chunk."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from small_net import CHUNK, KEY, D, N, exact, net_cost, small_problem

from nets import curvature

pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.mark.parametrize("chunk", [1, 12, 1000])
def test_the_chunk_does_not_matter(chunk):
    """For chunks that divide 37 examples, chunks that do not and one that is longer, against all at once."""
    function, (params, data) = net_cost(), small_problem()
    whole = jax.jit(jax.grad(lambda params: jnp.mean(function(params, data))))(params)
    parts = curvature.gradient(function, params, data, chunk=chunk)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7), parts, whole)


def test_sixty_thousand_examples_lose_no_digits():
    """One by one and in chunks, the mean is float64's to the last digits; added plainly it would lose three more."""
    x_N = np.random.default_rng(0).uniform(0, 1, 60_000).astype(np.float32)
    # With the optimizations that might undo the compensation, which these tests are otherwise compiled without.
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        for chunk, options in itertools.product((1, 7, 1000), ({"xla_backend_optimization_level": 3}, {})):
            mean = jax.jit(
                lambda x_N, chunk=chunk: curvature.mean_cost(lambda w, x_B: w * x_B, jnp.float32(1), x_N, chunk),
                compiler_options=options,
            )
            assert float(mean(x_N)) == pytest.approx(x_N.astype(np.float64).mean(), rel=2e-7)
    finally:
        jax.config.update("jax_disable_most_optimizations", True)


def test_images_may_be_bytes():
    """uint8 images that the cost scales itself give what their floats give."""
    function, (params, (_, labels_N)) = net_cost(), small_problem()
    images_NxD = np.random.default_rng(0).integers(0, 256, (N, D), dtype=np.uint8)
    scaled = lambda params, batch: function(params, (batch[0] / jnp.float32(255), batch[1]))  # noqa: E731
    as_bytes = curvature.mean_cost(scaled, params, (images_NxD, labels_N), CHUNK)
    as_floats = curvature.mean_cost(function, params, (images_NxD / np.float32(255), labels_N), CHUNK)
    assert float(as_bytes) == pytest.approx(float(as_floats), rel=1e-6)


def test_data_are_an_argument_of_the_program():
    """Not a constant of it: the program for a hundred times the data is no longer."""
    function, (params, data) = net_cost(), small_problem()
    many = jax.tree.map(lambda x: jnp.concatenate([x] * 100), data)
    length = lambda data: len(curvature.gradient.lower(function, params, data, chunk=5).as_text())  # noqa: E731
    assert length(many) < 1.05 * length(data)


def test_cost_and_hessian_vector_products():
    """Against float64, and u.H v = v.H u."""
    function, (params, data) = net_cost(), small_problem()
    value, _, hessian_PxP = exact()
    assert float(curvature.mean_cost(function, params, data, chunk=CHUNK)) == pytest.approx(value, rel=1e-6)
    flat_P, unravel = ravel_pytree(params)
    u_P, v_P = jax.random.normal(KEY, (2, flat_P.size))
    hu_P, hv_P = (
        ravel_pytree(curvature.hessian_vector_product(function, params, data, unravel(x_P), chunk=CHUNK))[0]
        for x_P in (u_P, v_P)
    )
    product_P = hessian_PxP @ np.asarray(v_P, np.float64)
    np.testing.assert_allclose(hv_P, product_P, rtol=1e-5, atol=2e-6 * np.abs(product_P).max())
    assert float(u_P @ hv_P) == pytest.approx(float(v_P @ hu_P), rel=1e-5)
