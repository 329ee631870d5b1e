"""Layers of models of any framework, found in their programs, against what was put in and what they give themselves."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from foreign import FRAMEWORKS, KEY, PAIRS, B, D, H, X_BxD, of_equinox, of_linen, of_nnx, of_plain_jax
from jax import nn
from jax.flatten_util import ravel_pytree

import nets

pytestmark = pytest.mark.usefixtures("quick_to_compile")


@pytest.mark.parametrize(
    ("framework", "pair"), [*((name, "tanh, relu") for name in FRAMEWORKS), *(("JAX", pair) for pair in [*PAIRS][1:])]
)
def test_what_was_put_in_is_found(framework, pair):
    """Both activations, under the names of the layers that feed them, and the output layer without one; no other."""
    first, second, expected = PAIRS[pair]
    forward, params, names = FRAMEWORKS[framework](first, second)
    layers = nets.watch(forward).layers(params, X_BxD)
    assert [(row.name, row.activation) for row in layers] == list(zip(names, (*expected, None), strict=True))


def jitted(z):
    return jax.jit(jnp.tanh)(z)


def in_the_branch(z):
    return jax.lax.cond(jnp.sum(z**2) >= 0, jnp.tanh, jnp.sin, z)


def in_the_other_branch(z):
    return jax.lax.cond(jnp.sum(z**2) < 0, jnp.tanh, jnp.sin, z)


@jax.custom_vjp
def with_a_gradient_of_its_own(z):
    return jnp.tanh(z) + 0 * jnp.sin(z)


with_a_gradient_of_its_own.defvjp(lambda z: (jnp.tanh(z), z), lambda z, g: (g,))
NESTED = {
    "jit": jitted,
    "vmap": jax.vmap(jnp.tanh),
    "vmap over units": jax.vmap(jnp.tanh, in_axes=1, out_axes=1),
    "remat": jax.checkpoint(jnp.tanh),
    "cond": in_the_branch,
    "cond, not taken": in_the_other_branch,
    "custom_vjp": with_a_gradient_of_its_own,
    "remat of jit of vmap": jax.checkpoint(jax.jit(jax.vmap(jitted))),
    "scan of one step": lambda z: jax.lax.scan(lambda z, _: (jnp.tanh(z), None), z, None, length=1)[0],
}


@pytest.mark.parametrize("nesting", NESTED)
def test_nested_activations_are_found(nesting):
    """Each once, with the values that the net has there, whatever it is nested in."""
    forward, params, names = of_plain_jax(NESTED[nesting], nn.relu)
    watched = nets.watch(forward)
    assert [row.activation for row in watched.layers(params, X_BxD)] == ["tanh", "relu", None]
    z, a = watched.outputs(params, X_BxD)[names[0]]
    (w, b), *_ = params
    # A loop without weights of its own has its steps in front.
    if nesting == "cond, not taken":
        assert np.isnan(z).all() and np.isnan(a).all()
        return
    np.testing.assert_allclose(z.reshape(B, H), X_BxD @ w + b[None], rtol=1e-6)
    np.testing.assert_allclose(a, jnp.tanh(z), rtol=1e-6)


def test_parts_and_statistics_are_no_activations():
    """gelu is no tanh, log_sigmoid no softplus, and the floor under the variance of a normalization no relu."""

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x_BxD):
            x_BxD = linen.gelu(linen.LayerNorm()(linen.Dense(H)(x_BxD)))
            return nn.log_sigmoid(linen.GroupNorm(2)(linen.Dense(H)(x_BxD)))

    net = Net()
    layers = nets.watch(net.apply).layers(jax.eval_shape(net.init, KEY, X_BxD), X_BxD)
    assert [(row.name, row.activation) for row in layers] == [("Dense_0", "gelu_tanh"), ("Dense_1", None)]


def test_outputs_are_those_that_linen_captures():
    """To the bit, of a net of convolutions with batch normalization as well."""

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x_BxD):
            x = linen.Conv(2, (2,), name="conv")(x_BxD[..., None])
            x = linen.relu(linen.BatchNorm(use_running_average=True, name="norm")(x))
            return linen.Dense(2, name="head")(linen.tanh(linen.Dense(H, name="dense")(x.reshape(len(x), -1))))

    net = Net()
    variables = jax.jit(net.init)(KEY, X_BxD)
    captured = net.apply(variables, X_BxD, capture_intermediates=True)[1]["intermediates"]
    outputs = nets.watch(net.apply).outputs(variables, X_BxD)
    assert set(outputs) == {"conv", "dense", "head"}
    np.testing.assert_array_equal(outputs["conv"][0], captured["norm"]["__call__"][0])
    np.testing.assert_array_equal(outputs["conv"][1], nn.relu(captured["norm"]["__call__"][0]))
    np.testing.assert_array_equal(outputs["dense"][0], captured["dense"]["__call__"][0])


def test_outputs_are_those_that_the_mlp_names():
    net = nets.MLP(hidden=(4, 5), classes=3, activation="softsign")
    variables = jax.jit(net.init)(KEY, X_BxD)
    named = net.apply(variables, X_BxD)[1]
    for layer, (z, a) in nets.watch(net.apply).outputs(variables, X_BxD).items():
        np.testing.assert_array_equal(z, named[f"{layer}/z"])
        np.testing.assert_array_equal(a, named[f"{layer}/a"])


def squared(forward):
    """The squared error as a cost of [x, y]."""
    return lambda params, batch: jnp.sum((forward(params, batch[0]) - batch[1]) ** 2, -1)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_measures_are_those_of_the_formulas(framework):
    """Saturation of the outputs, and the norm of the mean dC/dz by hand in float64; whatever the framework."""
    forward, params, (first, second, head) = FRAMEWORKS[framework](nn.sigmoid, jnp.tanh)
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    params = jax.tree.unflatten(
        structure,
        [
            2 * jax.random.normal(key, leaf.shape) if hasattr(leaf, "shape") else leaf
            for key, leaf in zip(keys, leaves, strict=True)
        ],
    )
    y_BxC = jax.random.normal(KEY, (B, 2))
    watched = nets.watch(forward)
    measured = watched.measure(squared(forward), params, (X_BxD, y_BxC))
    (z, a), (v, c), (u, _) = (watched.outputs(params, X_BxD)[name] for name in (first, second, head))
    u, v = (x.T if x.shape[0] != B else x for x in (u, v))
    a, c = (x.T if x.shape[0] != B else x for x in (a, c))
    z = z.T if z.shape[0] != B else z
    np.testing.assert_allclose(measured[f"saturation/{first}"], np.mean((a < 0.05) | (a > 0.95)), rtol=1e-6)
    np.testing.assert_allclose(measured[f"phi/{second}"], np.mean(np.abs(c)), rtol=1e-6)
    np.testing.assert_allclose(measured[f"slope_mass/{second}"], np.mean(1 - np.float64(c) ** 2), rtol=1e-5)
    delta_BxC = 2 * (np.float64(u) - np.float64(y_BxC))
    np.testing.assert_allclose(measured[f"speed/{head}"], np.linalg.norm(delta_BxC.mean(0)), rtol=1e-6)
    kernels = [np.float64(leaf) for leaf in jax.tree.leaves(params) if getattr(leaf, "ndim", 0) == 2]
    w_CxH = next(kernel if kernel.shape == (2, H) else kernel.T for kernel in kernels if 2 in kernel.shape)
    delta_BxH = (delta_BxC @ w_CxH) * (1 - np.float64(c) ** 2)
    np.testing.assert_allclose(measured[f"speed/{second}"], np.linalg.norm(delta_BxH.mean(0)), rtol=1e-5)


@pytest.mark.parametrize("framework", [of_nnx, of_equinox])
def test_modules_are_measured_as_they_are(framework):
    """Curvature and noise of a module with its functions are those of its floats alone."""
    forward, params, _ = framework(jnp.tanh, jnp.tanh)
    cost, batch = squared(forward), (X_BxD, np.ones((B, 2), np.float32))
    flat_P, unravel = ravel_pytree(nets.trees.floats_of(params))
    whole = nets.trees.CostOfFloats(cost, params)
    hessian = jax.jit(jax.hessian(lambda flat_P: jnp.mean(whole(unravel(flat_P), batch))))(flat_P)
    measured = nets.watch(cost).measure(cost, params, batch, ("curvature", "noise"))
    top = np.linalg.eigvalsh(np.float64(hessian))[-1]
    np.testing.assert_allclose(measured["curvature/top_eigenvalue"], top, rtol=1e-4)
    scale = nets.noise.gradient_noise_scale(cost, params, batch)
    np.testing.assert_allclose(measured["noise/scale"], scale.noise_scale, rtol=1e-5)


@pytest.mark.parametrize("framework", [of_nnx, of_equinox])
def test_steps_of_modules_are_measured(framework):
    """Where a step ended on the local fit: a module after it is taken as it is, like the one before."""
    forward, params, _ = framework(jnp.tanh, jnp.tanh)
    cost, batch = squared(forward), (X_BxD, np.ones((B, 2), np.float32))
    floats = nets.trees.floats_of(params)
    whole = nets.trees.CostOfFloats(cost, params)
    gradient = jax.jit(jax.grad(lambda floats: jnp.mean(whole(floats, batch))))(floats)
    step = lambda g, w: w if g is None else np.float32(w) - 0.1 * np.float32(g)  # noqa: E731
    after = jax.tree.map(step, gradient, params, is_leaf=lambda g: g is None)
    alpha = float(nets.cockpit.alpha(cost, params, after, batch))
    alone = nets.cockpit.alpha(whole, floats, nets.trees.floats_of(after), batch)
    assert -1 < alpha == pytest.approx(float(alone), rel=1e-5)
    if framework is of_equinox:  # Its module has functions among the floats.
        measured = nets.watch(cost).measure(cost, params, batch, "cockpit", params_after=after)
        assert float(measured["cockpit/alpha"]) == pytest.approx(alpha)


def block(x_BxD, p):
    return x_BxD + nn.relu(x_BxD @ p["w"] + p["b"][None]), None


def test_scanned_layers_have_a_name_each():
    """What a scan goes through stacked weights for is as many layers, with the values of a loop written out."""

    def scanned(params, x_BxD):
        return jax.lax.scan(jax.checkpoint(block), x_BxD, params["block"])[0] @ params["head"]["w"]

    def written_out(params, x_BxD):
        for i in range(3):
            x_BxD, _ = block(x_BxD, jax.tree.map(lambda leaf, i=i: leaf[i], params["block"]))
        return x_BxD @ params["head"]["w"]

    keys = jax.random.split(KEY, 3)
    params = {
        "block": {"w": jax.random.normal(keys[0], (3, D, D)), "b": jax.random.normal(keys[1], (3, D))},
        "head": {"w": jax.random.normal(keys[2], (D, 2))},
    }
    batch = X_BxD, np.ones((B, 2), np.float32)
    one = nets.watch(scanned).measure(squared(scanned), params, batch)
    other = nets.watch(written_out).measure(squared(written_out), params, batch)
    assert [row.name for row in nets.watch(scanned).layers(params, X_BxD)] == [
        "block[0]",
        "block[1]",
        "block[2]",
        "head",
    ]
    for i, name in enumerate(("block", "block#2", "block#3")):
        for measure in ("speed", "zero_fraction", "slope_mass", "activation_p98"):
            np.testing.assert_allclose(one[f"{measure}/block[{i}]"], other[f"{measure}/{name}"], rtol=1e-5)


def test_weights_of_a_loop_that_are_the_same_in_every_step_are_one_layer():
    """A recurrent cell: one layer, measured over all steps; its speed is the norm of the gradient of the bias."""

    def recurrent(params, x_BxT):
        def step(h_BxH, x_B):
            h_BxH = jnp.tanh(
                x_B[:, None] * params["in"][None] + h_BxH @ params["cell"]["w"] + params["cell"]["b"][None]
            )
            return h_BxH, None

        return jax.lax.scan(step, jnp.zeros((B, H)), x_BxT.T)[0]

    params = {"in": jnp.ones(H), "cell": {"w": jax.random.normal(KEY, (H, H)), "b": jnp.full(H, 0.5)}}
    cost, batch = squared(recurrent), (X_BxD, np.zeros((B, H), np.float32))
    watched = nets.watch(recurrent)
    assert watched.outputs(params, X_BxD)["cell"][1].shape == (D, B, H)
    gradient = nets.curvature.gradient(cost, params, batch)
    measured = watched.measure(cost, params, batch)
    np.testing.assert_allclose(measured["speed/cell"], np.linalg.norm(gradient["cell"]["b"]), rtol=1e-5)


def test_units_of_pictures_are_channels_or_places():
    """A channel is dead where it is zero at all places of all examples; a place of it is dead more easily."""
    images_BxHxWxC = np.zeros((2, 3, 3, 1), np.float32)
    images_BxHxWxC[0, 0, 0] = 1

    def forward(params, x_BxHxWxC):
        return nn.relu(jax.lax.conv_general_dilated(x_BxHxWxC, params["w"], (1, 1), "SAME", dimension_numbers=AXES))

    def cost(params, x_BxHxWxC):
        return jnp.sum(forward(params, x_BxHxWxC), (1, 2, 3))

    params = {"w": np.float32([1, -1]).reshape(1, 1, 1, 2)}
    watched = nets.watch(forward)
    channels = watched.measure(cost, params, images_BxHxWxC)
    places = watched.measure(cost, params, images_BxHxWxC, units="positions")
    assert channels["dead_units/w"] == 0.5 and float(places["dead_units/w"]) == pytest.approx(17 / 18)
    assert channels["zero_fraction/w"] == places["zero_fraction/w"] == pytest.approx(35 / 36)


AXES = ("NHWC", "HWIO", "NHWC")


def test_a_layer_that_is_used_again_has_a_number():
    def forward(params, x_BxD):
        return jnp.tanh(jnp.tanh(x_BxD @ params["w"]) @ params["w"])

    names = [row.name for row in nets.watch(forward).layers({"w": np.ones((D, D), np.float32)}, X_BxD)]
    assert names == ["w", "w#2"]


def test_what_cannot_be_followed_is_one_line_with_its_place():
    def forward(params, x_BxD):
        z_BxD = x_BxD @ params["w"]
        return jax.lax.while_loop(lambda z_BxD: jnp.sum(z_BxD) > 1, lambda z_BxD: jnp.tanh(z_BxD), z_BxD)

    with pytest.raises(
        ValueError, match=r"test_watching.py:\d+: tanh in a while loop cannot be followed; accepted: jit"
    ):
        nets.watch(forward).layers({"w": np.ones((D, D), np.float32)}, X_BxD)


def test_whatever_a_model_takes_passes_through():
    """Tokens, a key, running statistics and flags, also within jit and vmap."""

    def forward(params, tokens_BxT, key, statistics, train=False, scale=None):
        x_BxTxH = params["table"][tokens_BxT] - statistics["mean"][None, None]
        if train:
            x_BxTxH = jnp.where(jax.random.bernoulli(key, 0.5, x_BxTxH.shape), x_BxTxH, 0.0)
        return nn.silu(x_BxTxH @ params["dense"]["w"]) * (scale or 1)

    one = np.float32(1)
    params = {"table": np.full((9, H), one), "dense": {"w": np.full((H, 2), one)}}
    inputs = np.ones((B, 5), np.int32), jax.random.key(0), {"mean": np.zeros(H, np.float32)}
    watched = nets.watch(forward)
    rows = watched.layers(params, *inputs, train=True)
    assert [tuple(row[:3]) for row in rows] == [("dense", "silu", (B, 5, 2))]
    assert watched.outputs(params, *inputs)["dense"][0].tolist() == np.full((B, 5, 2), H).tolist()
    z = jax.jit(lambda params: watched.outputs(params, *inputs, train=True)["dense"][0])(params)
    assert float(z.min()) < H == float(watched.outputs(params, *inputs)["dense"][0].max())
    lanes = jax.vmap(lambda p: watched.outputs(p, *inputs)["dense"][0])(jax.tree.map(lambda x: x[None], params))
    assert lanes.shape == (1, B, 5, 2)


def test_every_few_steps_in_a_jitted_loop():
    """NaN between, and at the steps the measures that are taken alone; the measure runs as often as it is asked for."""
    forward, params, names = of_plain_jax(jnp.tanh, nn.relu)
    cost, batch, watched = squared(forward), (X_BxD, np.ones((B, 2), np.float32)), nets.watch(forward)
    called = []

    def measure(params):
        jax.debug.callback(lambda: called.append(1))
        return watched.measure(cost, params, batch)

    @jax.jit
    def run(params):
        def step(params, number):
            return jax.tree.map(lambda x: 0.9 * x, params), nets.every(3, measure, number, params)

        return jax.lax.scan(step, params, jnp.arange(7))

    rows = run(params)[1]
    jax.effects_barrier()
    assert len(called) == 3
    for name, values in rows.items():
        assert [math.isnan(value) for value in values] == [i % 3 != 0 for i in range(7)], name
    alone = watched.measure(cost, jax.tree.map(lambda x: 0.9**3 * x, params), batch)
    np.testing.assert_allclose(rows[f"speed/{names[0]}"][3], alone[f"speed/{names[0]}"], rtol=1e-5)


class WithStatistics(nnx.Module):
    def __init__(self):
        self.dense, self.norm = nnx.Linear(D, 2, rngs=nnx.Rngs(0)), nnx.BatchNorm(2, rngs=nnx.Rngs(0))

    def __call__(self, x_BxD):
        return nn.relu(self.norm(self.dense(x_BxD)))


def statistics_among_params():
    graph, state = nnx.split(WithStatistics())
    return squared(lambda state, x_BxD: nnx.merge(graph, state)(x_BxD)), state


def mixing():
    forward, params, _ = of_plain_jax(jnp.tanh, jnp.tanh)
    return squared(lambda params, x_BxD: forward(params, x_BxD) / jnp.sum(x_BxD)), params


def of_the_mean():
    forward, params, _ = of_plain_jax(jnp.tanh, jnp.tanh)
    return lambda params, batch: jnp.mean(squared(forward)(params, batch)), params


@pytest.mark.parametrize(
    ("made", "options", "error"),
    [
        (statistics_among_params, {}, r"params hold the running statistics norm/mean, which are not trained; accepted"),
        (mixing, {"groups": ("noise",)}, r"an example costs .* beside some examples and .* beside others; accepted"),
        (of_the_mean, {}, r"cost gives \(\); accepted: one cost an example, \[B\]"),
        (mixing, {"groups": ("saturatoin",)}, r"unknown group 'saturatoin' \(did you mean 'saturation'\?\); accepted"),
        (mixing, {"units": "pixels"}, r"units is 'pixels'; accepted: channels, positions"),
    ],
)
def test_what_is_refused(made, options, error):
    cost, params = made()
    with pytest.raises(ValueError, match=error) as refused:
        nets.watch(cost).measure(cost, params, (X_BxD, np.ones((B, 2), np.float32)), **options)
    assert "\n" not in str(refused.value) and len(str(refused.value)) <= 300


def test_the_table_prints():
    forward, params, _ = of_linen(jnp.tanh, nn.relu)
    lines = str(nets.watch(forward).layers(params, X_BxD)).splitlines()
    assert lines[0].split() == ["layer", "activation", "shape", "source"] and len(lines) == 4
    assert lines[1].split()[:2] == ["Dense_0", "tanh"] and "foreign.py:" in lines[1]


def test_known_curves_are_those_of_the_table():
    """The formulas by which activations are told are those of `nets.activations`."""
    for name, curve in nets.curves.KNOWN.items():
        given = nets.activations.get(name).function(jnp.float32(nets.curves.POINTS))
        np.testing.assert_allclose(given, curve, atol=3e-6, err_msg=name)
