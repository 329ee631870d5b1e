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
    program = jax.jit(curvature.gradient, static_argnames=("cost", "chunk"))
    length = lambda data: len(program.lower(function, params, data, chunk=5).as_text())  # noqa: E731
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


def normalised(params, batch):
    """Batch statistics: each example's cost depends on all the others."""
    z_B = batch[0] * params["w"]
    return ((z_B - z_B.mean()) / jnp.sqrt(z_B.var() + 1e-3) - batch[1]) ** 2


SORTED = (jnp.linspace(-1, 1, 200), 3 * jnp.linspace(-1, 1, 200))
WEIGHT = {"w": jnp.float32(1)}


def test_a_cost_that_mixes_examples_is_refused():
    """The chunk would decide the result, of the mean and of every measure."""
    for measured in (
        lambda: curvature.mean_cost(normalised, WEIGHT, SORTED, chunk=10),
        lambda: curvature.mean_cost(normalised, WEIGHT, SORTED, chunk=100),
        lambda: curvature.gradient(normalised, WEIGHT, SORTED, 100),
        lambda: curvature.top_eigenvalues(normalised, WEIGHT, SORTED, KEY, k=1, chunk=100),
        lambda: curvature.cost_on_line(normalised, WEIGHT, WEIGHT, [0.0, 1.0], SORTED, 100),
        lambda: curvature.sharpness(normalised, WEIGHT, SORTED, chunk=100),
        # Takes its examples one by one, whatever the chunk.
        lambda: curvature.gradient_noise_scale(normalised, WEIGHT, SORTED, chunk=200),
    ):
        with pytest.raises(ValueError, match=r"an example costs .* beside others; accepted: a cost that does not mix"):
            measured()


def test_a_cost_that_mixes_all_examples_at_once_is_told():
    """In one chunk the number is the one that the cost means, and a word says so; under jit there is nothing to see."""
    expected = float(jnp.mean(normalised(WEIGHT, SORTED)))
    with pytest.warns(UserWarning, match="the result is that of all of them at once"):
        found = curvature.mean_cost(normalised, WEIGHT, SORTED, chunk=200)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    jitted = jax.jit(lambda params: curvature.mean_cost(normalised, params, SORTED, chunk=200))
    assert float(jitted(WEIGHT)) == pytest.approx(expected, rel=1e-5)


def test_costs_that_mix_nothing_pass():
    """Noise that is drawn by place, costs for batches of one size, costs of rounding alone, nan, and one example."""
    noisy = lambda p, b: (p["w"] * b[0] - b[1]) ** 2 + jax.random.normal(KEY, b[0].shape)  # noqa: E731
    of_ten = lambda p, b: jnp.broadcast_to(p["w"], (10,)) * b[0]  # noqa: E731
    rounding = lambda p, b: (jnp.sin(p["w"] * b[0]) / 3 * 3 - jnp.sin(b[0])) ** 2  # noqa: E731
    for cost in (noisy, of_ten, rounding):
        curvature.mean_cost(cost, WEIGHT, SORTED, chunk=10)
    assert np.isnan(curvature.mean_cost(noisy, {"w": jnp.float32(np.nan)}, SORTED, chunk=10))
    with pytest.warns(UserWarning, match="beside others"):
        curvature.mean_cost(normalised, WEIGHT, jax.tree.map(lambda x: x[:2], SORTED))
    curvature.mean_cost(normalised, WEIGHT, jax.tree.map(lambda x: x[:1], SORTED))


class Unhashable:
    """A cost that is an object."""

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __call__(self, params, batch):
        return params["w"] * batch[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": ([1.0, 2.0], [3.0, 4.0])}, r"data holds a bare float, 1.0; accepted: a pytree of arrays .*asarray"),
        ({"params": {"w": jnp.zeros((0, 3))}}, r"params hold no number; accepted: a pytree of floats"),
        ({"params": {"w": "one"}}, r"params hold str; accepted"),
        ({"cost": Unhashable()}, r"cost is a Unhashable without a hash; accepted: a function"),
        ({"chunk": True}, r"chunk is True; accepted: a whole number >= 1"),
        (
            {"data": tuple(np.zeros((i, 3)) for i in range(1, 99))},
            r"data has arrays of shapes \[\(1, 3\), .*\.\.\.; accepted",
        ),
    ],
)
def test_what_is_no_cost_params_or_data_is_refused(change, message):
    """In one line of at most 300 characters."""
    arguments = {"cost": lambda p, b: p["w"] * b[0], "params": WEIGHT, "data": SORTED, "chunk": 10} | change
    with pytest.raises(ValueError, match=message) as caught:
        curvature.mean_cost(**arguments)
    assert "\n" not in str(caught.value) and len(str(caught.value)) <= 300
