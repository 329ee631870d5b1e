"""Nets and costs of float32 parameters are measured where 64-bit numbers are switched on."""

import jax
import numpy as np
import pytest

import nets

pytestmark = pytest.mark.usefixtures("quick_to_compile")

START = {"a": {"bias": np.float32([0.5])}, "b": {"bias": np.float32([0.5])}}


def square(w, x_B):
    return np.float64(1) * (w - x_B) ** 2


def bowl(params, x_B):
    """Two layers of eigenvalues 2 and 4; costs in 64 bits, as users have them there."""
    return square(params["a"]["bias"], x_B) + 2 * square(params["b"]["bias"], x_B)


def net_and_data():
    """A net's cost with labels and targets of 64 bits."""
    random, net = np.random.default_rng(0), nets.MLP(hidden=(4,), classes=3)
    images_NxD, targets_NxC = random.normal(size=(9, 5)).astype(np.float32), np.eye(3)[np.arange(9) % 3]
    shapes = jax.eval_shape(net.init, jax.random.key(0), images_NxD)["params"]
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), shapes)
    per_example = nets.costs.get("cross_entropy", "softmax").per_example

    def cost(params, batch):
        return per_example(net.apply({"params": params}, batch[0])[0], batch[1])

    return cost, params, (images_NxD, targets_NxC)


def walk(u_W, rate, key):
    return u_W - rate * u_W + 0.2 * jax.random.normal(key, u_W.shape)


def of_curvature():
    """What each instrument of costs measures, each a program of its own."""
    c, k, key = nets.curvature, nets.cockpit, jax.random.key(0)
    zeros_N, ends_N = np.zeros(3, np.float32), np.float32([0, 1])
    minimum = jax.tree.map(np.zeros_like, START)
    return {
        "sharpness": lambda: c.sharpness(bowl, START, zeros_N, 0.1)[0],
        "sharpness_of_net": lambda: c.sharpness(*net_and_data(), np.float64(1e-3))[0],
        "eigenvalues": lambda: c.top_eigenvalues(bowl, START, zeros_N, key, k=2).values_K,
        "density": lambda: c.spectral_density(bowl, START, zeros_N, key, steps=2, samples=1).nodes_QxS,
        "trace": lambda: c.hessian_trace(bowl, START, zeros_N, key, samples=2)[0],
        "noise": lambda: c.gradient_noise_scale(bowl, START, ends_N).covariance_trace,
        "signal": lambda: np.stack(k.gradient_signal(bowl, START, ends_N)[1:3]),
        "alpha": lambda: k.alpha(bowl, START, minimum, zeros_N),
        "block_traces": lambda: [top.trace for top in k.block_traces(bowl, START, zeros_N, key, 2).values()],
        "block_eigenvalues": lambda: [top.value for top in k.block_eigenvalues(bowl, START, zeros_N, key).values()],
        "line": lambda: c.cost_on_line(bowl, START, START, [-1, 0.0, 1], zeros_N),
        "plane": lambda: np.ravel(c.cost_on_plane(bowl, START, (START, minimum), np.linspace(-1, 1, 2), [0], zeros_N)),
        "passage": lambda: (
            nets.escape.first_passage(
                square, np.zeros(4, np.float32), np.ones(8, np.float32), key, 0.25, 2, 9, lambda w: w > 0.8
            ).steps_W
        ),
        "certificate": lambda: nets.escape.is_minimum(square, np.float32(0), np.float32([-1, 1])).holds,
        "exits": lambda: nets.exit_time.first_exits(walk, 0.1, np.array([0.2, 0.4]), 50, key).mean(),
        "tail": lambda: nets.exit_time.tail_exponent(1.9, 1),
        "signs": lambda: nets.exit_time.mean_steps_of_signs(0.1, 1, 0.4**0.5),
        "gaussians": lambda: nets.exit_time.mean_steps_of_gaussians(0.2, 1, 0.5, 50),
    }


@jax.jit
def of_layers(params, z_BxH, kernel_IxH):
    """What is measured of weights and outputs, in one program."""
    s, a_BxH = nets.saturation, jax.nn.sigmoid(z_BxH)
    moved = jax.tree.map(lambda x: 1.5 * x, params)
    return {
        "speed": nets.speed.bias_gradient_norms(params)["a"],
        "updates": nets.speed.update_ratios(params, moved)["b"],
        "jacobian": nets.speed.layer_jacobian_singular_values(kernel_IxH, z_BxH, "sigmoid"),
        "saturated": s.saturated_fraction(a_BxH, "sigmoid"),
        "phi": s.phi(a_BxH, "sigmoid", bins=5),
        "slope": s.slope_mass(z_BxH, "gelu"),
        "percentile": s.statistics(a_BxH)["percentile_98"],
        "dormant": s.dormant_units(a_BxH, 0.5),
        "wrong": s.wrong_side_fraction(a_BxH, np.ones(z_BxH.shape)),
        "direction": nets.curvature.filter_normalised_direction(jax.random.key(0), kernel_IxH),
        "path": nets.landscape.path_plane(z_BxH).shares_2,
        "teacher": nets.student_teacher.population_cost(kernel_IxH, kernel_IxH),
    }


def test_every_instrument_of_costs_works_where_64_bit_numbers_are_on():
    """Nothing raises, and what is known by hand is right."""
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        found = {name: np.asarray(measure()).tolist() for name, measure in of_curvature().items()}
    # From .5 a square rises at most to the bound of .1 (.5 + 1) more.
    assert found["sharpness"] == pytest.approx(100 * 3 * (0.65**2 - 0.5**2) / 1.75, rel=1e-5)
    assert 0 < found["sharpness_of_net"] < 10
    assert found["eigenvalues"] == pytest.approx([4, 2]) and found["density"] == [pytest.approx([2, 4])]
    assert found["block_eigenvalues"] == pytest.approx([2, 4]) and found["block_traces"] == pytest.approx([2, 4])
    # Slopes of 1 and -1, and of 2 and -2, cancel; the step goes to the minimum.
    assert found["noise"] == pytest.approx(10) and found["trace"] == pytest.approx(6)
    assert found["signal"] == [0, 1] and found["alpha"] == pytest.approx(0)
    assert found["line"] == pytest.approx([0, 0.75, 3]) and found["plane"] == pytest.approx([0, 3])
    # The distance to 1 halves with every step.
    assert found["passage"] == [3] * 4 and found["certificate"] is True
    assert found["tail"] == pytest.approx(0.2151, abs=5e-5) and found["signs"] == pytest.approx(428.5, abs=0.1)
    assert found["exits"] > 1 and found["gaussians"] > 1


def test_every_instrument_of_layers_works_where_64_bit_numbers_are_on():
    """Likewise."""
    random = np.random.default_rng(0)
    z_BxH, kernel_IxH = (random.normal(size=size).astype(np.float32) for size in ((30, 4), (5, 4)))
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        found = jax.tree.map(np.asarray, of_layers(START, z_BxH, kernel_IxH))
    z_BxH = np.float64(z_BxH)
    a_BxH = 1 / (1 + np.exp(-z_BxH))
    assert found["speed"] == pytest.approx(0.5) and found["updates"] == pytest.approx(0.5)
    slopes_BxH = a_BxH * (1 - a_BxH)
    expected = np.linalg.svd(kernel_IxH[None] * slopes_BxH[:, None], compute_uv=False)
    np.testing.assert_allclose(found["jacobian"], expected, rtol=1e-4)
    assert found["saturated"] == np.mean((a_BxH < 0.05) | (a_BxH > 0.95))
    assert found["wrong"] == pytest.approx(np.mean(a_BxH < 0.05)) and 0 < found["phi"] < 1 > found["slope"] > 0
    assert found["percentile"] == pytest.approx(np.percentile(a_BxH, 98), rel=1e-6) and not found["dormant"].any()
    assert found["teacher"] == pytest.approx(0, abs=1e-6) and found["path"].sum() <= 1 + 1e-6
    norms = [np.linalg.norm(x, axis=0) for x in (found["direction"], kernel_IxH)]
    np.testing.assert_allclose(*norms, rtol=1e-5)
