"""Curvature against exact float64 Hessians, closed forms, identities and SciPy's L-BFGS-B."""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jax.flatten_util import ravel_pytree

import nets
from nets import curvature

PAIRS = [(c, o) for c in nets.costs.COSTS for o in nets.costs.OUTPUTS if (c, o) != ("cross_entropy", "identity")]
NET = nets.MLP(hidden=(5,), classes=3, activation="tanh", bias_init="normal")
N, D, CHUNK = 37, 4, 10
KEY = jax.random.key(0)


@pytest.fixture(autouse=True, scope="module")
def quick_to_compile():
    """Compilation is nearly all the time of these tests, and without optimization it takes half of it."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@cache
def net_cost(cost="quadratic", output="softmax"):
    """The cost of the small net, one function a pair so that nothing compiles twice."""
    per_example = nets.costs.get(cost, output).per_example

    def of_batch(params, batch):
        return per_example(NET.apply({"params": params}, batch[0])[0], jax.nn.one_hot(batch[1], 3))

    return of_batch


def any_cost(params, batch):
    """The costs of all pairs, of which the third array picks one: a single program for all of them."""
    costs_BxA = jnp.stack([net_cost(*pair)(params, batch[:2]) for pair in PAIRS], axis=1)
    return jnp.sum(costs_BxA * batch[2], axis=1)


@cache
def exact_of_any_cost():
    """pick_NxA -> the value, gradient and Hessian of the small problem in float64."""
    params, (images_NxD, labels_N) = small_problem()
    with jax.enable_x64(True):
        unravel = ravel_pytree(jax.tree.map(lambda x: np.asarray(x, np.float64), params))[1]
        images_NxD, labels_N = np.asarray(images_NxD, np.float64), np.asarray(labels_N)
        mean = lambda flat_P, pick: jnp.mean(any_cost(unravel(flat_P), (images_NxD, labels_N, pick)))  # noqa: E731
        return jax.jit(lambda flat_P, pick: (*jax.value_and_grad(mean)(flat_P, pick), jax.hessian(mean)(flat_P, pick)))


def picked(pair):
    """pick_NxA of that pair."""
    return np.tile(np.eye(len(PAIRS), dtype=np.float32)[PAIRS.index(pair)], (N, 1))


def exact(pair=("quadratic", "softmax")):
    """The value, gradient and Hessian of the small problem's mean cost in float64, flat."""
    function = exact_of_any_cost()
    with jax.enable_x64(True):
        flat_P = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(small_problem()[0])]).astype(np.float64)
        return tuple(np.asarray(x) for x in function(flat_P, picked(pair).astype(np.float64)))


@cache
def small_problem():
    """(params, data) of the small net: 43 parameters, 37 examples."""
    params = jax.jit(NET.init)(KEY, jnp.zeros((1, D)))["params"]
    images_NxD = jax.random.normal(jax.random.key(1), (N, D))
    return params, (images_NxD, jax.random.randint(jax.random.key(2), (N,), 0, 3))


def bowl(params, batch):
    """x.A x / 2 - b.x for each example, with its own A and b: any quadratic function."""
    x_P = ravel_pytree(params)[0]
    matrix_BxPxP, b_BxP = batch
    return 0.5 * jnp.einsum("i,bij,j->b", x_P, matrix_BxPxP, x_P) - jnp.einsum("bi,i->b", b_BxP, x_P)


def bowl_of(eigenvalues, examples=3):
    """Data of a bowl with that Hessian's eigenvalues, in random directions."""
    size = len(eigenvalues)
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))[0]
    matrix = np.broadcast_to((q * np.asarray(eigenvalues)) @ q.T, (examples, size, size))
    return jnp.asarray(matrix, jnp.float32), jnp.zeros((examples, size))


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


def lanczos(matvec, like, steps):
    """The iterations as one program."""
    return jax.jit(lambda like: curvature.lanczos(matvec, like, KEY, steps))(like)


def test_lanczos_is_an_orthonormal_tridiagonalisation():
    """V V' = 1, V A V' = T, and T has A's eigenvalues once the basis is complete; more steps than P are cut."""
    a = np.random.default_rng(0).normal(size=(12, 12))
    a = jnp.asarray(a + a.T, jnp.float32)
    like = {"u": jnp.zeros((2, 3)), "v": jnp.zeros(6)}
    unravel = ravel_pytree(like)[1]
    matvec = lambda tree: unravel(a @ ravel_pytree(tree)[0])  # noqa: E731
    for steps in (7, 20):
        run = lanczos(matvec, like, steps)
        size = min(steps, 12)
        assert run.alphas_S.shape == run.betas_S.shape == (size,) and run.basis_SxP.shape == (size, 12)
        t = np.diag(run.alphas_S) + np.diag(run.betas_S[:-1], 1) + np.diag(run.betas_S[:-1], -1)
        np.testing.assert_allclose(run.basis_SxP @ run.basis_SxP.T, np.eye(size), atol=2e-6)
        np.testing.assert_allclose(run.basis_SxP @ a @ run.basis_SxP.T, t, atol=2e-5)
    np.testing.assert_allclose(np.linalg.eigvalsh(t), np.linalg.eigvalsh(a), atol=2e-5)
    np.testing.assert_allclose(lanczos(lambda x: -3 * x, jnp.float32(1), 4).alphas_S, [-3.0], rtol=1e-6)


def test_lanczos_keeps_orthogonality_where_the_plain_recurrence_loses_it():
    """One eigenvalue far out converges at once; without reorthogonalisation it would come back."""
    eigenvalues = jnp.concatenate([jnp.array([1e4]), jnp.linspace(0.0, 1.0, 199)])
    run = lanczos(lambda x_P: eigenvalues * x_P, eigenvalues, 60)
    np.testing.assert_allclose(run.basis_SxP @ run.basis_SxP.T, np.eye(60), atol=5e-6)


@pytest.mark.parametrize("eigenvalues", [[2.0] * 6, [0.0] * 6, [1.0, 1.0, 1.0, 4.0, 4.0, 4.0]])
def test_lanczos_goes_on_beyond_an_invariant_subspace(eigenvalues):
    """After one or two steps the Krylov space is exhausted; the basis stays orthonormal and T has A's spectrum."""
    diagonal = jnp.array(eigenvalues)
    run = lanczos(lambda x_P: diagonal * x_P, diagonal, 6)
    np.testing.assert_allclose(run.basis_SxP @ run.basis_SxP.T, np.eye(6), atol=2e-6)
    t = np.diag(run.alphas_S) + np.diag(run.betas_S[:-1], 1) + np.diag(run.betas_S[:-1], -1)
    np.testing.assert_allclose(np.linalg.eigvalsh(t), eigenvalues, atol=3e-6)


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
    concave = lambda x, t_BxP: -0.5 * jnp.einsum("bi,ij,bj->b", x[None] - t_BxP, a, x[None] - t_BxP)  # noqa: E731
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


def test_directions_have_the_norms_of_the_filters():
    """Column by column, [in, out]; also a convolution's; biases are left out; another key, another direction."""
    params = small_problem()[0] | {"conv": {"kernel": jax.random.normal(KEY, (3, 2, 4, 5)), "gain": jnp.float32(2)}}
    draw = jax.jit(curvature.filter_normalised_direction)
    direction = draw(KEY, params)
    for layer in ("hidden_0", "output"):
        kernel, drawn = params[layer]["kernel"], direction[layer]["kernel"]
        np.testing.assert_allclose(np.linalg.norm(drawn, axis=0), np.linalg.norm(kernel, axis=0), rtol=1e-5)
        assert abs(np.linalg.norm(drawn, axis=1) / np.linalg.norm(kernel, axis=1) - 1).max() > 0.05
        assert not direction[layer]["bias"].any()
    norms = [np.linalg.norm(tree["conv"]["kernel"].reshape(24, 5), axis=0) for tree in (params, direction)]
    np.testing.assert_allclose(*norms, rtol=1e-5)
    assert direction["conv"]["gain"] == 0
    other = draw(jax.random.key(1), params)
    assert abs(other["output"]["kernel"] - direction["output"]["kernel"]).max() > 0.01


def test_cost_on_a_line_and_a_plane():
    """Rows and columns in the order of the coordinates, and the cost itself where both are 0."""
    function, (params, data) = net_cost(), small_problem()
    draw = jax.jit(curvature.filter_normalised_direction)
    d = [draw(jax.random.key(i), params) for i in (0, 1)]
    a, b = jnp.array([-1.0, 0.0, 2.0]), jnp.array([0.0, 0.5])
    plane = curvature.cost_on_plane(function, params, tuple(d), a, b, data, CHUNK)

    def at(p, q):
        moved = jax.tree.map(lambda x, u, v: x + float(p) * u + float(q) * v, params, *d)
        return float(curvature.mean_cost(function, moved, data, chunk=CHUNK))

    expected = [[at(p, q) for q in b] for p in a]
    np.testing.assert_allclose(plane, expected, rtol=1e-5)
    np.testing.assert_allclose(curvature.cost_on_line(function, params, d[0], a, data, CHUNK), plane[:, 0], rtol=1e-6)


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
    top = curvature.top_eigenvalues(function, params, data, KEY, chunk=CHUNK)
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
        ({"data": (jnp.ones((5, D)), 1)}, r"data has arrays of shapes \[\(5, 4\), \(\)\]"),
        ({"params": {}}, r"params hold no array"),
        ({"params": {"w": jnp.ones(3, int)}}, r"params hold an array of int32; accepted: a pytree of floats"),
        ({"cost": lambda params, batch: jnp.float32(0)}, r"cost gives \(\) for 37 examples; accepted: one cost an"),
        ({"cost": lambda params, batch: batch[0]}, r"cost gives \(37, 4\) for 37 examples"),
        ({"k": 44}, r"k is 44; accepted: at most the number of parameters, 43"),
        ({"k": 0}, r"k is 0; accepted: a whole number >= 1"),
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
        (lambda: curvature.filter_normalised_direction(KEY, {}), r"params hold no array"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
