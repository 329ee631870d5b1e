"""Cockpit's quantities against numpy's formulas on explicit gradients of single examples, and on quadratic bowls."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from small_net import CHUNK, KEY, NET, N, bowl, exact, net_cost, small_problem

import nets
from nets import cockpit

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def linear(w_P, g_BxP):
    """A cost whose gradients are the data."""
    return g_BxP @ w_P


def signal_of(g_NxP, epsilon=0.0):
    """The six numbers from the gradients of all examples, by numpy in float64."""
    count, g_P = len(g_NxP), g_NxP.mean(0)
    gsnr_P = g_P**2 / (g_NxP.var(0) + epsilon)
    early_stopping = 1 - count * np.mean(g_P**2 / (g_NxP.var(0, ddof=1) + epsilon))
    projections_N, squared = g_NxP @ g_P, g_P @ g_P
    across_NxP = g_NxP - np.outer(projections_N / squared, g_P)
    norm = np.sqrt(g_NxP.var(0, ddof=1).sum() / count / squared)
    inner = np.sqrt(projections_N.var(ddof=1) / count) / squared
    orthogonal = np.sqrt(np.sum(across_NxP**2) / (count - 1) / count / squared)
    return gsnr_P, gsnr_P.mean(), early_stopping, norm, inner, orthogonal


@cache
def observed_in_float64():
    """(params, step) -> costs [N], gradients [N, P] of the small problem, both in float64."""
    params, (images_NxD, labels_N) = small_problem()
    cost = nets.costs.get("quadratic", "softmax").per_example
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
        unravel, data = ravel_pytree(wide)[1], (np.asarray(images_NxD, np.float64), np.asarray(labels_N))
        costs = lambda flat_P: cost(  # noqa: E731
            NET.apply({"params": unravel(flat_P)}, data[0])[0], jax.nn.one_hot(data[1], 3, dtype=np.float64)
        )
        return jax.jit(lambda flat_P: (costs(flat_P), jax.jacrev(costs)(flat_P)))


def observed(params):
    with jax.enable_x64(True):
        flat_P = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)]).astype(np.float64)
        return tuple(np.asarray(x) for x in observed_in_float64()(flat_P))


@pytest.mark.parametrize("epsilon", [0.0, 1e-5])
def test_signal_of_a_net_is_that_of_the_single_gradients(epsilon):
    """All six numbers, with and without Cockpit's constant; the last chunk is a partial one."""
    params, data = small_problem()
    got = cockpit.gradient_signal(net_cost(), params, data, epsilon, CHUNK)
    assert jax.tree.structure(got.gsnr) == jax.tree.structure(params)
    flat = ravel_pytree(got.gsnr)[0], *got[1:]
    for name, value, expected in zip(got._fields, flat, signal_of(observed(params)[1], epsilon), strict=True):
        np.testing.assert_allclose(value, expected, rtol=2e-4, atol=1e-7, err_msg=name)


def test_signal_by_hand():
    """Gradients (1, 1) and (3, -1): g = (2, 0), and both deviate from it by 1 along it and by 1 across."""
    got = cockpit.gradient_signal(linear, jnp.zeros(2), jnp.array([[1.0, 1.0], [3.0, -1.0]]))
    assert got.gsnr.tolist() == [4, 0]
    np.testing.assert_allclose(got[1:], (2, 1 - 2 * (4 / 2) / 2, 0.5**0.5, 0.5, 0.5), rtol=1e-6)


def test_signal_is_the_same_at_any_scale_and_chunk():
    """Gradients of 1e-25, whose squares float32 does not have; chunks of 1 to all; a thousandth of noise."""
    g_NxP = np.random.default_rng(0).normal([0.5, -1, 3, 0.1], [1, 2, 3, 4], (N, 4)).astype(np.float32)
    for scale, offset, chunk, tolerance in [
        (1e-25, 0, CHUNK, 1e-5),
        (1, 0, 1, 1e-5),
        (1, 0, N, 1e-5),
        (1e25, 0, N + 1, 1e-5),
        (1, 1000, CHUNK, 1e-3),
    ]:
        data = np.float32(scale) * (g_NxP + np.float32(offset))
        got = cockpit.gradient_signal(linear, np.ones(4, np.float32), data, chunk=chunk)
        for value, expected in zip(got, signal_of(data.astype(np.float64)), strict=True):
            np.testing.assert_allclose(value, expected, rtol=tolerance)


def test_early_stopping_of_noise_alone_is_about_zero():
    """(N - 1) / (N - 3) of it is the expectation of F(1, N - 1); a parameter's ratio has a variance of about 2."""
    size = 2000
    g_NxP = jax.random.normal(KEY, (200, size))
    value = float(cockpit.gradient_signal(linear, jnp.zeros(size), g_NxP).early_stopping)
    assert abs(value - (1 - 199 / 197)) < 4 * (2 / size) ** 0.5


def test_parameters_without_gradient_and_without_noise():
    """A mean of 0 is no signal, one without noise an infinite one; where all are 0 the tests say nothing."""
    got = cockpit.gradient_signal(linear, jnp.zeros(3), jnp.array([[0.0, 1.0, 2.0], [0.0, -1.0, 2.0]]))
    assert got.gsnr.tolist() == [0, 0, np.inf] and got.early_stopping == -np.inf
    np.testing.assert_allclose(got[3:], (1 / 2, 0, 1 / 2), atol=1e-7)
    for data in (jnp.zeros((2, 3)), jnp.array([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]])):
        got = cockpit.gradient_signal(linear, jnp.zeros(3), data)
        assert got.gsnr.tolist() == [0, 0, 0] and got.early_stopping == 1
        assert np.isnan(got[3:]).all()


def weighted_fit(costs_E, slopes_E, cost_variances_E, slope_variances_E):
    """-2 c / b - 1 of the parabola a + b x + c x^2 by numpy's least squares with weighted rows."""
    rows_4x3 = np.array([[1, 0, 0], [1, 1, 1], [0, 1, 0], [0, 1, 2]], float)
    root_4 = np.concatenate([cost_variances_E, slope_variances_E]) ** -0.5
    observations_4 = np.concatenate([costs_E, slopes_E])
    _, b, c = np.linalg.lstsq(rows_4x3 * root_4[:, None], observations_4 * root_4, rcond=None)[0]
    return -2 * c / b - 1 if c > 0 else -1.0


def test_relative_step_is_the_weighted_least_squares_fit():
    """Of observations that no parabola meets, with all four variances different; and of a concave fit."""
    random = np.random.default_rng(0)
    for case in range(20):
        costs_E, slopes_E = random.normal(size=2), np.array([-1, case / 10 - 0.5]) + random.normal(size=2) / 9
        variances = random.uniform(0.1, 10, (2, 2))
        got = cockpit.relative_step(costs_E, slopes_E, *variances)
        np.testing.assert_allclose(got, weighted_fit(costs_E, slopes_E, *variances), rtol=1e-4)
    # By hand: the costs fall by 1 and the slopes say .25, so that m = -.75, of which equal variances give both slopes a
    # fifth; without noise in the slopes they stand as they are; without noise in the costs both take all of it.
    given = [0.0, -1.0], [-1.0, 0.5]
    for cost_variances_E, slope_variances_E, expected in [
        ([0.0, 0.0], [0.0, 0.0], 0.35 / 1.15),
        ([3.0, 1.0], [0.0, 0.0], 0.5),
        ([0.0, 0.0], [1.0, 1.0], -0.25 / 1.75),
    ]:
        assert float(cockpit.relative_step(*given, cost_variances_E, slope_variances_E)) == pytest.approx(expected)


@cache
def bowls():
    """Data of a bowl of three parameters, eigenvalues 1, 2 and 4 along the axes, minimum at 0, noisy slopes."""
    slopes_BxP = np.random.default_rng(1).normal(size=(8, 3))
    matrix_BxPxP = np.broadcast_to(np.diag([1.0, 2.0, 4.0]), (8, 3, 3))
    return jnp.asarray(matrix_BxPxP, jnp.float32), jnp.asarray(slopes_BxP - slopes_BxP.mean(0), jnp.float32)


def hill(params, batch):
    return -bowl(params, batch)


def tiny(params, batch):
    return 1e-25 * bowl(params, batch)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0, 2.0, -1.0])
def test_alpha_of_a_bowl(share):
    """A share s of the way to the minimum along an axis is alpha = s - 1, backwards too, whatever the noise."""
    start = {"x": jnp.array([0.0, 3.0]), "y": jnp.array([0.0])}
    end = {"x": jnp.array([0.0, 3.0 * (1 - share)]), "y": jnp.array([0.0])}
    for chunk in (3, 100):
        assert float(cockpit.alpha(bowl, start, end, bowls(), chunk)) == pytest.approx(share - 1, abs=1e-6)
    if share:
        assert float(cockpit.alpha(hill, start, end, bowls())) == -1
    assert float(cockpit.alpha(tiny, start, end, bowls())) == pytest.approx(share - 1, abs=1e-6)


def test_alpha_of_a_short_step_on_high_ground():
    """At a cost of 100,000, of which float32 has hundredths, the fall of .09 is the mean of the examples' falls.

    The costs are without noise at the start, so that the slopes take much of what is missed.
    """
    slopes_N = np.random.default_rng(0).normal(size=2000)
    data = jnp.asarray(slopes_N - slopes_N.mean(), jnp.float32)
    cost = lambda x, slopes_B: 1e5 + 0.5 * x**2 - slopes_B * (x - 3)  # noqa: E731
    for end in (2.97, 2.93):
        got = float(cockpit.alpha(cost, 3.0, end, data, chunk=300))
        assert got == pytest.approx((3 - end) / 3 - 1, abs=3e-4)


@pytest.mark.parametrize("rate", [5.0, 30.0])
def test_alpha_of_a_net_is_that_of_numpy(rate):
    """Costs, slopes and their variances from all examples' float64 costs and gradients at both ends."""
    function, (params, data) = net_cost(), small_problem()
    gradient = nets.chunks.gradient(function, params, data)
    after = jax.tree.map(lambda w, g: w - rate * g, params, gradient)
    step_P = np.float64(ravel_pytree(after)[0]) - np.float64(ravel_pytree(params)[0])
    ends = [observed(tree) for tree in (params, after)]
    costs_ExN, slopes_ExN = np.array([c for c, _ in ends]), np.array([g @ step_P for _, g in ends])
    variances = costs_ExN.var(1, ddof=1), slopes_ExN.var(1, ddof=1)
    expected = weighted_fit(costs_ExN.mean(1), slopes_ExN.mean(1), *variances)
    assert float(cockpit.alpha(function, params, after, data, CHUNK)) == pytest.approx(expected, rel=1e-4)
    # The noise has a say: with equal weights the answer would be another one.
    assert abs(weighted_fit(costs_ExN.mean(1), slopes_ExN.mean(1), *np.ones((2, 2))) - expected) > 1e-3 * abs(expected)


def test_blocks_of_a_bowl_are_exact():
    """Two layers that are coupled: the trace of a diagonal block to rounding, and its largest eigenvalue."""
    matrix = np.diag([3.0, -1.0, 2.0, -4.0, -5.0])
    matrix[:2, 2:] = 7
    matrix[2:, :2] = 7
    data = np.broadcast_to(matrix, (5, 5, 5)).astype(np.float32), np.ones((5, 5), np.float32)
    ones = [np.ones(shape, np.float32) for shape in (1, (1, 1), 3)]
    params = {"a": {"b": ones[0], "w": ones[1]}, "z": [{"w": ones[2]}]}
    traces = cockpit.block_traces(bowl, params, data, KEY, samples=2)
    assert list(traces) == ["a", "z/0"]
    np.testing.assert_allclose([*traces.values()], [[2, 0], [-7, 0]], atol=1e-5)
    eigenvalues = cockpit.block_eigenvalues(bowl, params, data, KEY, chunk=2)
    np.testing.assert_allclose([top.value for top in eigenvalues.values()], [3, 2], rtol=1e-5)
    # One step of Lanczos is a lower bound with a residual that is not small.
    short = cockpit.block_eigenvalues(bowl, params, data, KEY, steps=1)["z/0"]
    assert short.value < 1.9 and short.residual > 0.1


def test_blocks_of_a_net_are_those_of_its_hessian():
    """Eigenvalues to 1e-4, traces within 4 of their standard errors, which have their exact size."""
    function, (params, data) = net_cost(), small_problem()
    hessian_PxP, samples = exact()[2], 400
    layers = nets.speed.by_layer(params)
    eigenvalues = cockpit.block_eigenvalues(function, params, data, KEY, chunk=CHUNK)
    traces = cockpit.block_traces(function, params, data, KEY, samples, chunk=CHUNK)
    assert list(eigenvalues) == list(traces) == list(layers) == ["hidden_0", "output"]
    first = 0
    for name, leaves in layers.items():
        size = sum(leaf.size for leaf in leaves.values())
        block = hessian_PxP[first : first + size, first : first + size]
        first += size
        np.testing.assert_allclose(eigenvalues[name].value, np.linalg.eigvalsh(block)[-1], rtol=1e-4)
        error = (2 * (np.square(block).sum() - np.square(np.diag(block)).sum()) / samples) ** 0.5
        assert float(traces[name].error) == pytest.approx(error, rel=0.2)
        assert abs(float(traces[name].trace) - np.trace(block)) < 4 * error


def test_lanes_under_jit_and_vmap_are_the_runs_alone():
    """Everything at once, over nets that differ."""
    function, (params, data) = net_cost(), small_problem()
    lanes = jax.tree.map(lambda x: np.stack([x, 1.5 * x, x - 0.3]), jax.device_get(params))

    def measures(params):
        after = jax.tree.map(lambda x: np.float32(0.9) * x, params)
        return (
            cockpit.gradient_signal(function, params, data, chunk=CHUNK),
            cockpit.alpha(function, params, after, data, chunk=CHUNK),
            cockpit.block_traces(function, params, data, KEY, samples=2, chunk=CHUNK),
            cockpit.block_eigenvalues(function, params, data, KEY, tolerance=0.0, chunk=CHUNK),
        )

    together = jax.jit(jax.vmap(measures))(lanes)
    for lane in range(3):
        # Of these the other tests have the programs.
        alone = jax.tree.leaves(measures(jax.tree.map(lambda x, lane=lane: x[lane], lanes)))
        for value_L, value in zip(jax.tree.leaves(together), alone, strict=True):
            np.testing.assert_allclose(value_L[lane], value, rtol=1e-3, atol=1e-5)


def test_what_is_not_finite_comes_out_as_nan():
    """One such example in the last, partial chunk is enough."""
    function, (params, (images_NxD, labels_N)) = net_cost(), small_problem()
    data = (images_NxD.at[-1].set(jnp.nan), labels_N)
    signal = cockpit.gradient_signal(function, params, data, chunk=CHUNK)
    assert np.isnan(signal[1:]).all()
    assert np.isnan(cockpit.alpha(function, params, jax.tree.map(lambda x: 0.9 * x, params), data, CHUNK))
    assert np.isnan([*cockpit.block_traces(function, params, data, KEY, 2, CHUNK).values()]).all()
    assert np.isnan([*cockpit.block_eigenvalues(function, params, data, KEY, chunk=CHUNK).values()]).all()


def test_what_does_not_fit_is_refused():
    """In one line that names what was given and what is accepted."""
    function, (params, data) = net_cost(), small_problem()
    one = jax.tree.map(lambda x: x[:1], data)
    mixing = lambda params, batch: function(params, batch) * jnp.mean(batch[0])  # noqa: E731
    for call, message in [
        (lambda: cockpit.gradient_signal(function, params, one), r"data has 1 examples; .*at least 2"),
        (lambda: cockpit.gradient_signal(function, params, data, chunk=0), r"chunk is 0"),
        (lambda: cockpit.gradient_signal(mixing, params, data), r"an example costs"),
        (lambda: cockpit.alpha(function, params, params["output"], data), r"params_after has the tree"),
        (lambda: cockpit.alpha(function, params, params, one), r"data has 1 examples"),
        (lambda: cockpit.relative_step([0.0, 1.0], [1.0], [1.0, 1.0], [1.0, 1.0]), r"slopes_E has the shape \(1,\)"),
        (lambda: cockpit.block_traces(function, params, data, KEY, samples=1), r"samples is 1"),
        (lambda: cockpit.block_eigenvalues(function, params, data, KEY, steps=0), r"steps is 0"),
        (lambda: cockpit.block_eigenvalues(function, {}, data, KEY), r"params hold no number"),
    ]:
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
