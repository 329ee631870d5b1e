"""Float32 nets are measured where 64-bit numbers are switched on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nets

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def instruments():
    """What each of them measures; costs and labels are in 64 bits, as users have them there."""
    random, key = np.random.default_rng(0), jax.random.key(0)
    net = nets.MLP(hidden=(8,), classes=3)
    x_NxD, labels_N = random.normal(size=(50, 5)).astype(np.float32), np.arange(50) % 3
    params = jax.tree.map(lambda x: x.astype(jnp.float32), net.init(key, x_NxD)["params"])
    targets_NxC = jax.nn.one_hot(labels_N, 3)
    data, c, k, s = (x_NxD, targets_NxC), nets.curvature, nets.cockpit, nets.saturation

    def cost(params, batch):
        return nets.costs.get("cross_entropy", "softmax").per_example(
            net.apply({"params": params}, batch[0])[0], batch[1]
        )

    def bowl(w, x_B):
        return (w - x_B) ** 2

    def walk(u_W, rate, key):
        return u_W - rate * u_W + 0.2 * jax.random.normal(key, u_W.shape)

    named = net.apply({"params": params}, x_NxD)[1]
    z_BxH, a_BxH = named["hidden_0/z"], named["hidden_0/a"]
    gradient = c.gradient(cost, params, data)
    moved = jax.tree.map(lambda x, g: x - 0.1 * g, params, gradient)
    one = np.float32(0.5)
    return {
        "sharpness": lambda: c.sharpness(bowl, one, np.zeros(3, np.float32), 0.1)[0],
        "sharpness_of_net": lambda: c.sharpness(cost, params, data)[0],
        "sharpness_float64": lambda: c.sharpness(cost, params, data, np.float64(1e-3))[0],
        "eigenvalue": lambda: c.top_eigenvalues(bowl, one, x_NxD[:, 0], key, k=1).values_K[0],
        "eigenvalues": lambda: c.top_eigenvalues(cost, params, data, key, k=2).values_K,
        "density": lambda: c.spectral_density(cost, params, data, key, steps=8).nodes_QxS.max(),
        "trace": lambda: c.hessian_trace(bowl, one, x_NxD[:, 0], key)[0],
        "noise": lambda: c.gradient_noise_scale(cost, params, data).covariance_trace,
        "signal": lambda: [float(x) for x in k.gradient_signal(bowl, one, np.float32([0, 1]))[1:3]],
        "signal_of_net": lambda: k.gradient_signal(cost, params, data).norm_test,
        "alpha": lambda: k.alpha(bowl, one, np.float32(0), np.zeros(3, np.float32)),
        "alpha_of_net": lambda: k.alpha(cost, params, moved, data),
        "block_trace": lambda: k.block_traces(cost, params, data, key)["output"].trace,
        "block_eigenvalue": lambda: k.block_eigenvalues(cost, params, data, key)["output"].value,
        "line": lambda: c.cost_on_line(bowl, one, one, [-1, 0.0, 1], np.zeros(3, np.float32)),
        "plane": lambda: c.cost_on_plane(cost, params, (params, params), np.linspace(-1, 1, 2), [0], data),
        "direction": lambda: c.filter_normalised_direction(key, params)["output"]["kernel"],
        "passage": lambda: (
            nets.escape.first_passage(
                bowl, jnp.zeros(4, jnp.float32), np.ones(8, np.float32), key, 0.25, 2, 9, lambda w: w > 0.8
            ).steps_W
        ),
        "certificate": lambda: nets.escape.is_minimum(bowl, np.float32(0), np.array([-1.0, 1.0], np.float32)).holds,
        "exits": lambda: nets.exit_time.first_exits(walk, 0.1, np.array([0.2, 0.4]), 50, key).mean(),
        "tail": lambda: nets.exit_time.tail_exponent(1.9, 1),
        "signs": lambda: nets.exit_time.mean_steps_of_signs(0.1, 1, 0.4**0.5),
        "gaussians": lambda: nets.exit_time.mean_steps_of_gaussians(0.2, 1, 0.5, 50),
        "speed": lambda: nets.speed.bias_gradient_norms(gradient)["output"],
        "updates": lambda: nets.speed.update_ratios(params, moved)["output"],
        "jacobian": lambda: nets.speed.layer_jacobian_singular_values(params["hidden_0"]["kernel"], z_BxH, "sigmoid"),
        "saturated": lambda: s.saturated_fraction(a_BxH, "sigmoid"),
        "phi": lambda: s.phi(a_BxH, "sigmoid", bins=5),
        "slope": lambda: s.slope_mass(z_BxH, "gelu"),
        "percentile": lambda: s.statistics(a_BxH)["percentile_98"] - np.percentile(a_BxH, 98),
        "dormant": lambda: s.dormant_units(a_BxH, 0.5),
        "wrong": lambda: s.wrong_side_fraction(named["output/a"], targets_NxC),
        "path": lambda: nets.landscape.path_plane(x_NxD).shares_2,
        "teacher": lambda: nets.student_teacher.population_cost(x_NxD[:5], x_NxD[:5]),
    }


def test_every_instrument_works_where_64_bit_numbers_are_on():
    """Nothing raises, and what is known by hand is right."""
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        found = {name: np.asarray(measure()).tolist() for name, measure in instruments().items()}
    # From .5 the square rises at most to the bound of .1 (.5 + 1) more.
    assert found["sharpness"] == pytest.approx(100 * (0.65**2 - 0.5**2) / 1.25, rel=1e-5)
    assert found["eigenvalue"] == pytest.approx(2) and found["trace"] == pytest.approx(2)
    # Slopes of 1 and -1 cancel; the step goes to the minimum.
    assert found["signal"] == [0, 1] and found["alpha"] == pytest.approx(0) and -1 < found["alpha_of_net"] < 0
    assert found["line"] == pytest.approx([0, 0.25, 1]) and found["certificate"] is True
    # The distance to 1 halves with every step.
    assert found["passage"] == [3] * 4
    assert found["tail"] == pytest.approx(0.2151, abs=5e-5) and found["signs"] == pytest.approx(428.5, abs=0.1)
    assert found["teacher"] == pytest.approx(0, abs=1e-6) and found["percentile"] == pytest.approx(0, abs=1e-6)
    assert found["sharpness_of_net"] == pytest.approx(found["sharpness_float64"], rel=1e-6) and found["density"] > 0
