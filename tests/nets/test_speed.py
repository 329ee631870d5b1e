"""Learning speed by layer against back-propagation by hand in float64, numpy, and automatic Jacobians."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from flax.core import freeze

import nets
from nets import speed
from nets.activations import ACTIVATIONS, Activation

NAMES = tuple(ACTIVATIONS)


def sigmoid(z):
    """In numpy's float64."""
    return 1 / (1 + np.exp(-z))


@functools.cache
def net_and_gradient(cost="cross_entropy", **settings):
    """Of a sigmoid net on twenty examples: N(0, 1) parameters, images, targets and the mean cost's gradient."""
    net = nets.MLP(hidden=(5, 4), classes=3, output="sigmoid", **settings)
    random = np.random.default_rng(0)
    images = random.standard_normal((20, 6)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[np.arange(20) % 3]
    shapes = jax.eval_shape(net.init, jax.random.key(0), images)
    params = jax.tree.map(lambda leaf: random.standard_normal(leaf.shape).astype(np.float32), shapes["params"])
    running = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes.get("batch_stats", {}))
    per_example = nets.costs.get(cost, "sigmoid").per_example

    def mean_cost(params):
        return per_example(net.apply({"params": params, "batch_stats": running}, images)[0], targets).mean()

    return params, images, targets, jax.device_get(jax.jit(jax.grad(mean_cost))(params))


@pytest.mark.parametrize("cost", ["cross_entropy", "quadratic"])
def test_bias_gradients_are_nielsens_deltas(cost):
    """delta^L = a - y (cross-entropy), delta^l = (W delta^(l+1)) s'(z^l); the norm is of the mean over the examples."""
    params, images, targets, gradient = net_and_gradient(cost)
    names = ["hidden_0", "hidden_1", "output"]
    weights = [np.asarray(params[name]["kernel"], np.float64) for name in names]
    outputs = [np.asarray(images, np.float64)]
    for name, kernel in zip(names, weights, strict=True):
        outputs.append(sigmoid(outputs[-1] @ kernel + np.asarray(params[name]["bias"], np.float64)))
    delta = outputs[-1] - np.asarray(targets)
    if cost == "quadratic":  # The mean over the three outputs of (y - a)^2.
        delta = 2 / 3 * delta * outputs[-1] * (1 - outputs[-1])
    deltas = {"output": delta}
    for i in (1, 0):
        delta = (delta @ weights[i + 1].T) * outputs[i + 1] * (1 - outputs[i + 1])
        deltas[names[i]] = delta
    measured = jax.jit(speed.bias_gradient_norms)(gradient)
    assert list(measured) == names
    for name, delta in deltas.items():
        assert float(measured[name]) == pytest.approx(np.linalg.norm(delta.mean(axis=0)), rel=1e-4)
        wrong = np.linalg.norm(delta, axis=1).mean()  # The mean of the norms is not the norm of the mean.
        assert float(measured[name]) != pytest.approx(wrong, rel=1e-2)


def test_batch_normalization_is_a_layer_of_its_own():
    """By its name; its scale enters the norm of all leaves and not that of the bias."""
    _, _, _, gradient = net_and_gradient(batch_norm=True)
    biases, norms = jax.jit(lambda g: (speed.bias_gradient_norms(g), speed.gradient_norms(g)))(gradient)
    assert list(biases) == [
        "batch_norm_0",
        "batch_norm_1",
        "hidden_0",
        "hidden_1",
        "output",
    ]
    norm = gradient["batch_norm_0"]
    assert float(biases["batch_norm_0"]) == pytest.approx(np.linalg.norm(norm["bias"]))
    both = math.hypot(np.linalg.norm(norm["bias"]), np.linalg.norm(norm["scale"]))
    assert float(norms["batch_norm_0"]) == pytest.approx(both, rel=1e-6)


def test_layers_of_nested_dicts_and_of_any_pytree():
    """Names are paths; a dict that holds both arrays and dicts is a layer beside them."""
    one = np.ones(1)
    dense = {"kernel": one, "bias": one}
    nested = {"params": {"encoder": {"Dense_0": dense, "scale": one}, "output": dense}, "step": one}
    layers = speed.by_layer(nested)
    assert {name: set(leaves) for name, leaves in layers.items()} == {
        "params/encoder/Dense_0": {"kernel", "bias"},
        "params/encoder": {"scale"},
        "params/output": {"kernel", "bias"},
        ".": {"step"},
    }
    assert speed.by_layer(freeze({"hidden_0": dense})).keys() == {"hidden_0"}
    pairs = speed.by_layer([(np.zeros((2, 3)), np.zeros(3)), (np.zeros((3, 1)), np.zeros(1))])
    assert {name: [leaf.shape for leaf in leaves.values()] for name, leaves in pairs.items()} == {
        "0": [(2, 3), (3,)],
        "1": [(3, 1), (1,)],
    }
    assert set(speed.by_layer({"unit": nets.perceptron.from_threshold([3, 2, 6], 4)})["unit"]) == {"weights_D", "bias"}
    np.testing.assert_array_equal(speed.by_layer(np.arange(3))["."][""], [0, 1, 2])


def some_trees():
    """Two trees of the same leaves, before and after, with the differences 3-4, 12 and 2-2-1."""
    before = {
        "hidden_0": {"kernel": np.array([[6.0, 8.0]]), "bias": np.array([1.0, 1.0])},
        "batch_norm_0": {"scale": np.array([2.0, 3.0, 6.0]), "bias": np.zeros(3)},
    }
    after = {
        "hidden_0": {"kernel": np.array([[9.0, 12.0]]), "bias": np.array([13.0, 1.0])},
        "batch_norm_0": {"scale": np.array([4.0, 5.0, 6.0]), "bias": np.array([0.0, 0.0, 1.0])},
    }
    return before, after


def test_updates_of_hand_made_layers():
    """Pythagorean: the kernel alone where there is one, all leaves where there is none."""
    before, after = some_trees()
    ratios, moves = (jax.jit(f)(before, after) for f in (speed.update_ratios, speed.displacements))
    assert {name: float(x) for name, x in ratios.items()} == pytest.approx({"hidden_0": 5 / 10, "batch_norm_0": 3 / 7})
    assert {name: float(x) for name, x in moves.items()} == pytest.approx({"hidden_0": 13.0, "batch_norm_0": 3.0})
    norms = {name: float(x) for name, x in speed.gradient_norms(before).items()}
    assert norms == pytest.approx({"hidden_0": math.sqrt(102), "batch_norm_0": 7.0})


def test_one_step_of_gradient_descent_moves_by_the_rate_times_the_gradient():
    """Displacement = rate x gradient norm; the ratio divides the kernel's part by the kernel's norm."""
    params, _, _, gradient = net_and_gradient()
    after = jax.tree.map(lambda w, g: w - np.float32(0.5) * g, params, gradient)
    norms = jax.jit(speed.gradient_norms)(gradient)
    moves, ratios = (jax.jit(f)(params, after) for f in (speed.displacements, speed.update_ratios))
    for name in params:
        assert float(moves[name]) == pytest.approx(0.5 * float(norms[name]), rel=1e-4)
        kernels = [np.linalg.norm(tree[name]["kernel"]) for tree in (gradient, params)]
        assert float(ratios[name]) == pytest.approx(0.5 * kernels[0] / kernels[1], rel=1e-4)


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, 0.0], [0.0, 0.1], math.inf),
        ([1.0, 0.0], [1.0, 0.0], 0.0),
        ([1.0, 0.0], [math.inf, 0.0], math.inf),
        ([math.inf, 0.0], [1.0, 0.0], math.nan),
        ([1.0, 0.0], [math.nan, 0.0], math.nan),
        ([math.nan, 0.0], [math.nan, 0.0], math.nan),
    ],
)
def test_ratios_at_zero_and_beyond_numbers(before, after, ratio):
    """Stated rules; another layer is not touched."""
    trees = [
        {"a": {"kernel": jnp.array(w)}, "b": {"kernel": jnp.array([2.0]) * (1 + i)}}
        for i, w in enumerate((before, after))
    ]
    ratios = speed.update_ratios(*trees)
    assert float(ratios["a"]) == pytest.approx(ratio, nan_ok=True)
    assert float(ratios["b"]) == 1.0


def test_not_finite_gradients_stay_in_their_layer():
    """NaN and infinity reach their own layer's norm."""
    gradient = {
        name: {"bias": jnp.array([x, 3.0]), "kernel": jnp.array([[4.0]])}
        for name, x in zip("abc", (jnp.nan, -jnp.inf, 0.0), strict=True)
    }
    for norms, finite in ((speed.gradient_norms(gradient), 5.0), (speed.bias_gradient_norms(gradient), 3.0)):
        assert np.isnan(norms["a"]) and np.isposinf(norms["b"]) and float(norms["c"]) == finite


def test_vanishing_and_exploding_gradients_have_a_norm():
    """Their squares are 0 or infinite in float32, and in float16 long before."""
    for size in (1e-30, 1e-20, 1e20, 1e30):
        norms = speed.gradient_norms({"a": {"kernel": jnp.full((3, 3), size), "bias": jnp.zeros(3)}})
        assert float(norms["a"]) == pytest.approx(3 * size, rel=1e-6)
    half = {"a": {"bias": jnp.full(4, 1000, jnp.float16)}}
    assert float(speed.bias_gradient_norms(half)["a"]) == 2000.0
    counts = [{"a": {"n": jnp.array([n], jnp.uint8)}} for n in (3, 1)]
    assert float(speed.displacements(*counts)["a"]) == 2.0
    assert float(speed.gradient_norms({"a": {"bias": jnp.zeros(3)}})["a"]) == 0.0


@pytest.mark.parametrize("function", [speed.update_ratios, speed.displacements])
def test_mismatched_trees_are_refused_by_name(function):
    """A leaf that only one tree has, and another shape, even one that would broadcast."""
    before, after = some_trees()
    extra = after | {"output": {"kernel": jnp.ones((1, 1))}}
    with pytest.raises(
        ValueError, match=r"leaf 'kernel' of layer 'output' is missing before and has shape \(1, 1\) after"
    ):
        function(before, extra)
    with pytest.raises(
        ValueError, match=r"'kernel' of layer 'output' has shape \(1, 1\) before and is missing after; "
    ):
        function(extra, before)
    renamed = {**after, "hidden_0": {"kernel": after["hidden_0"]["kernel"], "offset": jnp.ones(2)}}
    with pytest.raises(
        ValueError, match=r"leaf 'bias' of layer 'hidden_0' has shape \(2,\) before and is missing after"
    ):
        function(before, renamed)
    reshaped = {**after, "hidden_0": {**after["hidden_0"], "bias": jnp.ones(1)}}
    with pytest.raises(
        ValueError, match=r"leaf 'bias' of layer 'hidden_0' has shape \(2,\) before and has shape \(1,\)"
    ):
        function(before, reshaped)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "the tree holds no arrays"),
        ({"a": {"b": {}}}, "the tree holds no arrays"),
        ({"a": {"kernel": "text"}}, "leaf 'kernel' of layer 'a' is str; accepted: arrays of numbers"),
        ({"a": {"mask": np.ones(2, bool)}}, "leaf 'mask' of layer 'a' is bool"),
        ({"a/b": {"kernel": np.ones(2)}, "a": {"b": {"bias": np.ones(2)}}}, "two layers of the tree are called 'a/b'"),
        (
            {"a": {"kernel": np.ones(2)}, "b": {"w": np.ones(2)}},
            "no layer of the gradient has a leaf 'bias' or 'b'; .* a, b",
        ),
    ],
)
def test_what_is_no_gradient_is_refused(tree, message):
    """In one line."""
    with pytest.raises(ValueError, match=rf"^{message}[^\n]*$"):
        speed.bias_gradient_norms(tree)


def test_jit_and_vmap_over_lanes_agree_with_each_lane_alone():
    """Three lanes of gradients and updates."""
    params, _, _, gradient = net_and_gradient()
    scale = np.array([0.0, 1.0, 3.0], np.float32)
    lanes = jax.tree.map(lambda g: np.stack([s * g for s in scale]), gradient)
    after = jax.tree.map(lambda w, g: np.stack([w - s * g for s in scale]), params, gradient)
    for function in (speed.bias_gradient_norms, speed.gradient_norms):
        alone = jax.jit(function)(gradient)
        for name, norm_L in jax.jit(jax.vmap(function))(lanes).items():
            np.testing.assert_allclose(norm_L, scale * np.asarray(alone[name]), rtol=1e-6)
    for function in (speed.update_ratios, speed.displacements):
        alone = [jax.jit(function)(params, jax.tree.map(lambda w, i=i: w[i], after)) for i in range(3)]
        for name, size_L in jax.jit(jax.vmap(function, in_axes=(None, 0)))(params, after).items():
            np.testing.assert_allclose(size_L, [sizes[name] for sizes in alone], rtol=1e-6)
            assert size_L[0] == 0 and size_L[2] > size_L[1] > 0


@functools.cache
def jacobians_and_singular_values(shape, examples, names):
    """Of a(x W + b) by automatic differentiation at every example, and what is measured: one program for all names."""
    random = np.random.default_rng(0)
    kernel, bias, x = (random.standard_normal(s).astype(np.float32) for s in (shape, shape[1:], (examples, shape[0])))

    def of(name):
        layer = jax.jacobian(lambda x_I: ACTIVATIONS[name].function(x_I @ kernel + bias))
        return jax.vmap(layer)(x), speed.layer_jacobian_singular_values(kernel, x @ kernel + bias, name)

    return jax.device_get(jax.jit(lambda: {name: of(name) for name in names})())


@pytest.mark.parametrize(("name", "shape", "examples"), [*((name, (4, 3), 5) for name in NAMES), ("tanh", (3, 5), 20)])
def test_singular_values_are_those_of_the_layers_jacobian(name, shape, examples):
    """d a(x W + b) / dx by automatic differentiation at every example, then numpy; wide and narrow layers."""
    names = NAMES if examples == 5 else (name,)
    jacobians, measured = jacobians_and_singular_values(shape, examples, names)[name]
    assert jacobians.shape == (examples, shape[1], shape[0])
    expected = np.linalg.svd(np.asarray(jacobians, np.float64), compute_uv=False)
    assert measured.shape == (examples, 3)
    np.testing.assert_allclose(measured, expected, rtol=1e-4, atol=1e-5)
    assert (measured.max() > 0) == (name != "step")


@pytest.mark.parametrize(("init", "closed_form"), [("glorot_uniform", 0.849), ("glorot_standard", 0.490)])
def test_normalized_initialization_keeps_the_size_of_a_signal(init, closed_form):
    """Glorot & Bengio (2010): the mean singular value of a square linear layer is 8 / (3 pi) x sqrt(n variance)."""
    kernel = nets.mlp.KERNEL_INITS[init](jax.random.key(0), (120, 120), jnp.float32)
    values = np.asarray(speed.layer_jacobian_singular_values(kernel, np.zeros((1, 120)), "tanh"))
    assert values.shape == (1, 120)
    assert values.mean() == pytest.approx(closed_form, abs=0.015)


def test_singular_values_by_lane_and_with_an_activation_of_ones_own():
    """Under jit and vmap; the slope 2 of one's own doubles the kernel's singular values."""
    random = np.random.default_rng(0)
    kernels, zs = (jnp.asarray(random.standard_normal(s), jnp.float32) for s in ((3, 4, 2), (3, 5, 2)))
    double = Activation(lambda z: 2 * z, (-math.inf, math.inf), (None, None), 2.0)
    lanes = jax.jit(jax.vmap(lambda w, z: speed.layer_jacobian_singular_values(w, z, double)))(kernels, zs)
    expected = 2 * np.linalg.svd(np.asarray(kernels, np.float64), compute_uv=False)
    np.testing.assert_allclose(lanes, np.repeat(expected[:, None], 5, axis=1), rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_singular_values_of_what_is_not_finite_are_nan(bad):
    """One example's, or with the kernel all of them."""
    kernel, z = np.ones((3, 2), np.float32), np.zeros((4, 2), np.float32)
    z[1, 0] = bad
    values = np.asarray(speed.layer_jacobian_singular_values(kernel, z, "relu"))
    np.testing.assert_array_equal(np.isnan(values).all(axis=1), [False, True, False, False])
    np.testing.assert_array_equal(np.isnan(values).any(axis=1), [False, True, False, False])
    kernel[2, 1] = bad
    assert np.isnan(speed.layer_jacobian_singular_values(kernel, np.ones((4, 2)), "relu")).all()


@pytest.mark.parametrize(
    ("kernel", "z"), [((3, 4), (5, 3)), ((3,), (5, 3)), ((3, 4), (4,)), ((0, 4), (5, 4)), ((3, 4), (0, 4))]
)
def test_shapes_that_do_not_fit_are_refused(kernel, z):
    """By name; the kernel the wrong way round among them."""
    with pytest.raises(ValueError, match=r"^(kernel_IxO has shape \([^\n]*z_BxO \(|z_BxH has shape \(0, 4\))[^\n]*$"):
        speed.layer_jacobian_singular_values(jnp.ones(kernel), jnp.ones(z), "tanh")
    with pytest.raises(ValueError, match="unknown activation 'tahn'"):
        speed.layer_jacobian_singular_values(jnp.ones((2, 3)), jnp.ones((1, 3)), "tahn")


class TwoLayers(nnx.Module):
    """A net of Flax NNX with a batch normalization."""

    def __init__(self, rngs):
        self.first = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.second = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x_BxD):
        return self.second(jnp.tanh(self.first(x_BxD)))


def test_layers_of_nnx():
    """The gradient with respect to a module, its state and its plain dicts: the same layers, the same numbers."""
    net = TwoLayers(nnx.Rngs(0))
    ones = np.ones((2, 3), np.float32)
    state = nnx.jit(nnx.grad(lambda net: net(ones).sum()))(net)
    plain = nnx.to_pure_dict(state)
    assert {name: set(leaves) for name, leaves in speed.by_layer(state).items()} == {
        "first": {"kernel", "bias"},
        "norm": {"scale", "bias"},
        "second": {"kernel", "bias"},
    }
    for measure in (speed.bias_gradient_norms, jax.jit(speed.gradient_norms), jax.jit(speed.bias_gradient_norms)):
        found = measure(state)
        expected = measure(plain)
        assert all(float(found[name]) == pytest.approx(float(expected[name])) for name in found)
        assert found.keys() == {"first", "norm", "second"}
    assert float(speed.bias_gradient_norms(state)["second"]) == pytest.approx(2 * 2**0.5)
    weights = nnx.state(net, nnx.Param)
    moved = jax.tree.map(lambda x: np.float32(1.5) * np.asarray(x), weights)
    assert float(speed.update_ratios(weights, moved)["first"]) == pytest.approx(0.5)
    assert speed.by_layer(net).keys() == {"first", "norm", "second"}
    boxed = {"layer": {"kernel": linen.Partitioned(np.ones((2, 2)), names=(None, None))}}
    assert speed.by_layer(boxed)["layer"].keys() == {"kernel"}


@functools.partial(jax.tree_util.register_dataclass, data_fields=["weight", "bias"], meta_fields=[])
@dataclasses.dataclass
class Linear:
    """As Equinox's: [out, in], leaves by attribute."""

    weight: object
    bias: object


@functools.partial(jax.tree_util.register_dataclass, data_fields=["layers", "activation", "rate"], meta_fields=[])
@dataclasses.dataclass
class Sequential:
    """As Equinox's MLP, whose activation is a leaf; some modules have a number as one, such as a dropout's."""

    layers: list[Linear]
    activation: object = jnp.tanh
    rate: float | None = None


def test_layers_of_modules_as_equinox_has_them():
    """Layers by path; functions are passed over, and a bare number is refused, which may be a parameter or none."""
    before, after = (
        Sequential([Linear(jnp.full((2, 2), size), jnp.full(2, size)), Linear(jnp.full((1, 2), 3 * size), None)])
        for size in (1.0, 1.5)
    )
    assert speed.by_layer(before).keys() == {"layers/0", "layers/1"}
    assert speed.bias_gradient_norms(before) == pytest.approx({"layers/0": 2**0.5})
    before.layers[0].bias = jnp.full(2, 100.0)  # Does not count.
    assert speed.update_ratios(before, after) == pytest.approx({"layers/0": 0.5, "layers/1": 0.5})
    with pytest.raises(ValueError, match=r"leaf 'rate' is a bare float; accepted: arrays, as equinox\.filter"):
        speed.gradient_norms(dataclasses.replace(before, rate=0.5))


def test_layers_of_haiku():
    """w and b; a layer with two leaves that might be the bias is refused."""
    before = {"mlp/~/linear_0": {"w": np.full((3, 2), 2.0), "b": np.array([3.0, 4.0])}}
    after = {"mlp/~/linear_0": {"w": np.full((3, 2), 3.0), "b": np.zeros(2)}}
    assert speed.bias_gradient_norms(before) == pytest.approx({"mlp/~/linear_0": 5})
    assert speed.update_ratios(before, after) == pytest.approx({"mlp/~/linear_0": 0.5})
    with pytest.raises(ValueError, match="layer 'a' has the leaves bias and b; accepted: one of them"):
        speed.bias_gradient_norms({"a": {"bias": np.ones(1), "b": np.ones(1)}})
