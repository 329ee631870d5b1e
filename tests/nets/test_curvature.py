"""Eigenvalues, density and trace against exact float64 Hessians, closed forms and identities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from small_net import CHUNK, KEY, PAIRS, D, N, any_cost, bowl, bowl_of, exact, net_cost, picked, small_problem

import nets
from nets import curvature

pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.mark.parametrize(("cost", "output"), PAIRS)
def test_derivatives_and_eigenvalues_of_every_cost(cost, output):
    """The gradient, the five largest eigenvalues to 1e-4, and their vectors by H v, against float64."""
    function, (params, data) = any_cost, small_problem()
    data = (*data, picked((cost, output)))
    _, slope_P, hessian_PxP = exact((cost, output))
    got_P = ravel_pytree(curvature.gradient(function, params, data, chunk=CHUNK))[0]
    np.testing.assert_allclose(got_P, slope_P, rtol=1e-5, atol=1e-6 * np.abs(slope_P).max())
    top = curvature.top_eigenvalues(function, params, data, KEY, chunk=CHUNK)
    np.testing.assert_allclose(top.values_K, np.linalg.eigvalsh(hessian_PxP)[::-1][:5], rtol=1e-4)
    vectors_KxP = np.concatenate([np.reshape(x, (5, -1)) for x in jax.tree.leaves(top.vectors)], axis=1).astype(float)
    np.testing.assert_allclose(vectors_KxP @ vectors_KxP.T, np.eye(5), atol=2e-6)
    residuals_K = np.linalg.norm(vectors_KxP @ hessian_PxP - np.asarray(top.values_K)[:, None] * vectors_KxP, axis=1)
    assert (residuals_K <= np.asarray(top.residuals_K) + 2e-6 * top.values_K[0]).all()
    assert (np.asarray(top.residuals_K) <= 1e-4 * np.abs(top.values_K)).all()


def test_multiple_eigenvalues_are_found_as_often_as_they_occur():
    """Linear regression with three outputs: H = (2/3) X'X/N for each output, so that each eigenvalue comes thrice."""
    images_NxD = jax.random.normal(KEY, (N, D)) * jnp.array([1.0, 2.0, 3.0, 4.0])[None]
    cost = lambda w_DxC, x_BxD: nets.costs.quadratic(x_BxD @ w_DxC, jnp.zeros((len(x_BxD), 3)), "identity")  # noqa: E731
    top = curvature.top_eigenvalues(cost, jnp.ones((D, 3)), images_NxD, KEY, k=7, chunk=CHUNK)
    x_NxD = np.asarray(images_NxD, np.float64)
    expected = np.repeat(np.linalg.eigvalsh(2 / 3 * x_NxD.T @ x_NxD / N)[::-1], 3)[:7]
    np.testing.assert_allclose(top.values_K, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "eigenvalues",
    [[3.0, 1.0, -1.0, -2.0, -5.0], [2.0] * 5, [0.0] * 5, [-1.0, -1.0, -1.0, -2.0, -3.0], [1e-22, 3e-22, 0.0, 0.0, 0.0]],
)
@pytest.mark.parametrize("k", [2, 5])
def test_eigenvalues_of_a_bowl(eigenvalues, k):
    """Algebraically the largest, also negative, zero, tiny or all equal ones, and as many as there are dimensions."""
    top = curvature.top_eigenvalues(bowl, jnp.ones(5), bowl_of(eigenvalues), KEY, k=k)
    scale = np.abs(eigenvalues).max()
    np.testing.assert_allclose(top.values_K, sorted(eigenvalues, reverse=True)[:k], atol=3e-6 * scale)
    assert (np.asarray(top.residuals_K) <= 1e-4 * scale).all()


def test_steps_bound_the_work_and_residuals_say_what_is_missing():
    """After one pass the values are lower bounds that are too low, and their residuals are large."""
    eigenvalues = np.linspace(1.0, 30.0, 30)
    run = lambda steps, tolerance: curvature.top_eigenvalues(  # noqa: E731
        bowl, jnp.ones(30), bowl_of(eigenvalues), KEY, k=2, steps=steps, tolerance=tolerance
    )
    short, full = run(1, 1e-4), run(30, 1e-4)
    assert int(short.steps) == 1 < int(full.steps) <= 15
    assert (np.asarray(short.values_K) < [29.0, 28.0]).all() and (np.asarray(short.residuals_K) > 1).all()
    np.testing.assert_allclose(full.values_K, [30.0, 29.0], rtol=1e-5)
    assert int(run(30, 1e-2).steps) < int(full.steps)


def test_spectral_density_is_a_density_with_the_moments_of_the_spectrum():
    """It integrates to 1; its mean is tr H / P and its second moment tr H^2 / P, within the spread of the samples."""
    function, (params, data) = net_cost(), small_problem()
    eigenvalues = np.linalg.eigvalsh(exact()[2])
    result = curvature.spectral_density(function, params, data, KEY, steps=43, samples=200, chunk=CHUNK)
    grid, density = np.asarray(result.grid_G, np.float64), np.asarray(result.density_G, np.float64)
    assert grid.shape == density.shape == (1024,)
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-4) and (density >= 0).all()
    nodes, weights = np.asarray(result.nodes_QxS, np.float64), np.asarray(result.weights_QxS, np.float64)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    for power in (1, 2):
        samples = (weights * nodes**power).sum(1)
        assert abs(samples.mean() - (eigenvalues**power).mean()) < 4 * samples.std() / 200**0.5
    assert np.trapezoid(density * grid, grid) == pytest.approx((weights * nodes).sum(1).mean(), rel=1e-3)
    # All steps taken, the smallest and largest nodes are the spectrum's ends.
    np.testing.assert_allclose([nodes.min(), nodes.max()], eigenvalues[[0, -1]], rtol=1e-3)


def test_spectral_density_resolves_two_peaks():
    """A quarter of the eigenvalues at 3, the rest at 1; and a single eigenvalue, or none but 0, is a narrow peak."""
    result = curvature.spectral_density(bowl, jnp.ones(16), bowl_of([3.0] * 4 + [1.0] * 12), KEY, 8, 400)
    grid, density = np.asarray(result.grid_G), np.asarray(result.density_G)
    upper = np.where(grid > 2, density, 0)
    assert np.trapezoid(upper, grid) == pytest.approx(0.25, abs=0.03)
    assert grid[np.argmax(upper)] == pytest.approx(3, abs=5e-3)
    # The peak of a Gaussian of .01 times the range of 2.
    assert density.max() == pytest.approx(0.75 / (0.02 * (2 * np.pi) ** 0.5), rel=0.1)
    for value in (2.0, 0.0):
        result = curvature.spectral_density(bowl, jnp.ones(16), bowl_of([value] * 16), KEY, 8, 400)
        assert np.trapezoid(result.density_G, result.grid_G) == pytest.approx(1, abs=1e-3)
        assert result.grid_G[np.argmax(result.density_G)] == pytest.approx(value, abs=1e-3)


def test_trace_is_the_sum_of_the_eigenvalues():
    """Within 4 standard errors, which have their exact size 2 (|H|^2 - |diag H|^2); exact where H is diagonal."""
    function, (params, data) = net_cost(), small_problem()
    hessian = exact()[2]
    trace, error = curvature.hessian_trace(function, params, data, KEY, samples=500, chunk=CHUNK)
    assert abs(float(trace) - np.linalg.eigvalsh(hessian).sum()) < 4 * float(error)
    variance = 2 * (np.square(hessian).sum() - np.square(np.diag(hessian)).sum())
    assert float(error) == pytest.approx((variance / 500) ** 0.5, rel=0.15)
    diagonal = jnp.diag(jnp.array([1.0, 2.0, -4.0]))[None]
    trace, error = curvature.hessian_trace(bowl, jnp.ones(3), (diagonal, jnp.zeros((1, 3))), KEY, samples=2)
    assert (float(trace), float(error)) == pytest.approx((-1, 0), abs=1e-6)


def test_lanes_under_vmap_are_the_runs_alone():
    """Jitted, over lanes that stop after different numbers of steps: the Hessian of sum s x^4 is diag 12 s x^2."""
    cost = lambda x_P, s_BxP: jnp.sum(s_BxP * x_P[None] ** 4, axis=1)  # noqa: E731
    lanes_LxP = np.linspace(-2, 3, 24, dtype=np.float32).reshape(2, 12)
    lanes_LxP[1] = 1
    data = jnp.ones((5, 12)) * jnp.arange(1.0, 6)[:, None]

    def measures(x_P):
        top = curvature.top_eigenvalues(cost, x_P, data, KEY, k=3, chunk=2)
        return top.values_K, top.steps, curvature.sharpness(cost, x_P, data, 0.1, chunk=2)[0]

    values_LxK, steps_L, sharpness_L = jax.jit(jax.vmap(measures))(lanes_LxP)
    np.testing.assert_allclose(values_LxK, np.sort(36 * lanes_LxP**2)[:, ::-1][:, :3], rtol=1e-5)
    for lane, x_P in enumerate(lanes_LxP):
        values_K, steps, sharpness = measures(x_P)
        np.testing.assert_allclose(values_LxK[lane], values_K, rtol=1e-5)
        assert steps_L[lane] == steps
        assert float(sharpness_L[lane]) == pytest.approx(float(sharpness), rel=1e-5)
        # Convex, and even in every coordinate: the farthest corner.
        before, after = (3 * np.sum(x**4) for x in (x_P, np.abs(x_P) + 0.1 * (np.abs(x_P) + 1)))
        assert float(sharpness) == pytest.approx(100 * (after - before) / (1 + before), rel=1e-4)
    assert steps_L[0] != steps_L[1]


def test_what_is_not_finite_comes_out_as_nan():
    """One such example in the last, partial chunk, or one such parameter, is enough; nothing hangs."""
    function, (params, (images_NxD, labels_N)) = net_cost(), small_problem()
    data = (images_NxD.at[-1].set(jnp.nan), labels_N)
    assert np.isnan(curvature.mean_cost(function, params, data, chunk=CHUNK))
    # This program is that of the tests of every cost.
    top = curvature.top_eigenvalues(any_cost, params, (*data, picked(PAIRS[0])), KEY, chunk=CHUNK)
    assert np.isnan(top.values_K).all() and np.isnan(top.residuals_K).all() and int(top.steps) == 1
    assert np.isnan(
        curvature.spectral_density(function, params, data, KEY, steps=43, samples=200, chunk=CHUNK).density_G
    ).all()
    assert np.isnan(curvature.hessian_trace(function, params, data, KEY, samples=500, chunk=CHUNK)).all()
    assert np.isnan(curvature.sharpness(function, params, data, 0.1, chunk=CHUNK)[0])
    assert np.isnan(curvature.gradient_noise_scale(function, params, data, CHUNK)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chunk": 0}, r"chunk is 0; accepted: a whole number >= 1"),
        ({"chunk": 2.5}, r"chunk is 2.5"),
        ({"data": ()}, r"data has arrays of shapes \[\]"),
        ({"data": (jnp.ones((0, D)), jnp.ones(0, int))}, r"data has 0 examples; accepted: at least 1"),
        ({"data": (jnp.ones((5, D)), jnp.ones(4, int))}, r"data has arrays of shapes \[\(5, 4\), \(4,\)\]"),
        ({"data": (jnp.ones((5, D)), jnp.float32(1))}, r"data has arrays of shapes \[\(5, 4\), \(\)\]"),
        ({"data": (jnp.ones((5, D)), 0)}, r"data holds a bare int, 0; accepted: a pytree of arrays"),
        ({"params": {}}, r"params hold no number"),
        ({"params": {"w": jnp.ones(3, int)}}, r"params hold an array of int32; accepted: a pytree of floats"),
        ({"cost": lambda params, batch: jnp.float32(0)}, r"cost gives \(\) for 37 examples; accepted: one cost an"),
        ({"cost": lambda params, batch: batch[0]}, r"cost gives \(37, 4\) for 37 examples"),
        ({"k": 44}, r"k is 44; accepted: at most the number of parameters, 43"),
        ({"k": 0}, r"k is 0; accepted: a whole number >= 1"),
        ({"k": True}, r"k is True; accepted: a whole number >= 1"),
        ({"steps": 0}, r"steps is 0"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    """In one line that names what was given and what is accepted."""
    params, data = small_problem()
    arguments = {"cost": net_cost(), "params": params, "data": data, "key": KEY} | change
    with pytest.raises(ValueError, match=message) as error:
        curvature.top_eigenvalues(**arguments)
    assert "\n" not in str(error.value)


def test_arguments_of_the_other_functions_are_checked():
    """Each that has one of its own."""
    function, (params, data) = net_cost(), small_problem()
    lacking = {"hidden_0": params["hidden_0"]}
    reshaped = jax.tree.map(lambda x: x[..., None], params)
    one = jax.tree.map(lambda x: x[:1], data)
    line = jnp.zeros(2)
    for call, message in [
        (lambda: curvature.hessian_vector_product(function, params, data, lacking), r"vector has the tree"),
        (lambda: curvature.hessian_vector_product(function, params, data, reshaped), r"vector has a leaf of shape"),
        (lambda: curvature.cost_on_line(function, params, lacking, line, data), r"direction has the tree"),
        (lambda: curvature.cost_on_line(function, params, params, line[None], data), r"coordinates have the shape"),
        (lambda: curvature.cost_on_plane(function, params, (params,), line, line, data), r"directions are 1"),
        (lambda: curvature.lanczos(lambda x: x, params, KEY, 0), r"steps is 0"),
        (lambda: curvature.hessian_trace(function, params, data, KEY, 1), r"samples is 1; .*>= 2"),
        (lambda: curvature.spectral_density(function, params, data, KEY, points=50), r"points for width 0.01 is 50"),
        (lambda: curvature.spectral_density(function, params, data, KEY, width=0.0), r"width is 0.0"),
        (lambda: curvature.sharpness(function, params, data, steps=0), r"steps is 0"),
        (lambda: curvature.gradient_covariance_trace(function, params, one), r"data has 1 examples; .*at least 2"),
        (lambda: curvature.noise_scale(1.0, 1.0, 8, 8), r"big is 8; accepted: a whole number >= 9"),
        (lambda: curvature.filter_normalised_direction(KEY, {}), r"params hold no number"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
