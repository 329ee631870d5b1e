"""The network: named intermediates, initializers' moments, batch normalization and dropout."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nets


def test_intermediates_are_every_layers_z_and_a():
    """Names, shapes, and the formulas that tie them together."""
    net = nets.MLP(hidden=(5, 4), classes=3, activation="tanh", output="sigmoid", bias_init="normal")
    x = jax.random.normal(jax.random.key(0), (7, 6))
    variables = net.init(jax.random.key(1), x)
    logits, named = net.apply(variables, x)
    assert set(named) == {f"{layer}/{what}" for layer in ("hidden_0", "hidden_1", "output") for what in "za"}
    p, a = variables["params"], x
    for layer, function in (("hidden_0", np.tanh), ("hidden_1", np.tanh), ("output", lambda z: 1 / (1 + np.exp(-z)))):
        z = a @ p[layer]["kernel"] + p[layer]["bias"][None]
        np.testing.assert_allclose(named[f"{layer}/z"], z, rtol=1e-5, atol=1e-6)
        a = function(np.asarray(z))
        np.testing.assert_allclose(named[f"{layer}/a"], a, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(logits, named["output/z"])


def test_an_activation_for_each_layer():
    """The names in their order; another number of them than that of the layers is refused."""
    x_BxD = jnp.linspace(-1, 1, 12).reshape(3, 4)
    net = nets.MLP(hidden=(5, 6), classes=2, activation="tanh, relu")
    named = net.apply(net.init(jax.random.key(0), x_BxD), x_BxD)[1]
    np.testing.assert_array_equal(named["hidden_0/a"], jnp.tanh(named["hidden_0/z"]))
    np.testing.assert_array_equal(named["hidden_1/a"], jax.nn.relu(named["hidden_1/z"]))
    with pytest.raises(
        ValueError, match=r"activation 'tanh,relu,tanh' has 3 names; accepted: one, or one for each of 2"
    ):
        nets.MLP(hidden=(5, 6), activation="tanh,relu,tanh").init(jax.random.key(0), x_BxD)


def test_no_hidden_layer_is_one_layer_of_neurons():
    """Softmax regression."""
    logits, named = nets.MLP(hidden=(), classes=3).init_with_output(jax.random.key(0), jnp.ones((2, 4)))[0]
    assert logits.shape == (2, 3)
    assert set(named) == {"output/z", "output/a"}


@pytest.mark.parametrize(
    ("name", "variance", "bound"),
    [
        ("glorot_uniform", 2 / 1000, (6 / 1000) ** 0.5),
        ("glorot_normal", 2 / 1000, None),
        ("he", 2 / 400, None),
        ("he_normal", 2 / 400, None),
        ("he_uniform", 2 / 400, (6 / 400) ** 0.5),
        ("lecun", 1 / 400, None),
        ("lecun_normal", 1 / 400, None),
        ("lecun_uniform", 1 / 400, (3 / 400) ** 0.5),
        ("nielsen_large", 1.0, None),
        ("nielsen_small", 1 / 400, None),
        ("glorot_standard", 1 / 1200, 400**-0.5),
    ],
)
def test_initializers_have_their_papers_moments(name, variance, bound):
    """400 inputs, 600 units: mean 0, the stated variance to 2 %, and for uniform ones the stated bounds."""
    w = np.asarray(nets.mlp.KERNEL_INITS[name](jax.random.key(0), (400, 600), jnp.float32))
    assert abs(w.mean()) < 4 * (variance / w.size) ** 0.5
    assert w.var() == pytest.approx(variance, rel=0.02)
    if bound:
        assert 0.999 * bound < np.abs(w).max() <= bound * 1.000001
    if name.startswith("nielsen"):  # Not truncated: 240,000 draws reach beyond 4 sigma.
        assert np.abs(w).max() > 4 * variance**0.5


def test_every_initializer_is_tested():
    """A new one must bring its moments."""
    tested = {case[0] for case in test_initializers_have_their_papers_moments.pytestmark[0].args[1]}
    assert tested == set(nets.mlp.KERNEL_INITS)


def test_batch_norm_uses_the_batch_in_training_and_running_statistics_after():
    """Masked examples do not enter the statistics; momentum .99 moves them by a hundredth."""
    net = nets.MLP(hidden=(4,), classes=2, activation="identity", batch_norm=True)
    x = jax.random.normal(jax.random.key(0), (6, 3))
    variables = net.init(jax.random.key(1), x)
    mask = jnp.arange(6) < 4
    (_, named), new = net.apply(variables, x, train=True, mask_B=mask, mutable=["batch_stats"])
    mean = np.asarray(named["hidden_0/z"])[:4].mean(axis=0)
    np.testing.assert_allclose(new["batch_stats"]["batch_norm_0"]["mean"], 0.01 * mean, rtol=1e-4, atol=1e-7)
    logits, named = net.apply(variables, x)
    kernel = variables["params"]["output"]["kernel"]
    np.testing.assert_allclose(logits, named["hidden_0/a"] @ kernel / np.sqrt(1 + 1e-3), rtol=1e-4, atol=1e-6)


def test_dropout_drops_only_in_training():
    """At rate .5, about half of the output layer's inputs, the rest doubled; none in evaluation."""
    net = nets.MLP(hidden=(2000,), classes=1, activation="identity", kernel_init="nielsen_small", dropout=0.5)
    x = jnp.ones((1, 1))
    variables = net.init(jax.random.key(0), x)
    params = jax.tree.map(jnp.ones_like, variables["params"]) | {
        "output": {"kernel": jnp.ones((2000, 1)), "bias": jnp.zeros(1)}
    }
    total = float(net.apply({"params": params}, x)[0][0, 0])
    assert total == pytest.approx(4000, rel=1e-5)  # Each unit gives w x + b = 2.
    dropped = float(net.apply({"params": params}, x, train=True, rngs={"dropout": jax.random.key(1)})[0][0, 0])
    assert dropped != total
    assert dropped == pytest.approx(total, rel=0.1)


@pytest.mark.parametrize("field", ["activation", "output", "kernel_init", "bias_init"])
def test_unknown_names_are_refused(field):
    """By the field's name."""
    with pytest.raises(ValueError, match=f"unknown {field} 'nonsense'"):
        nets.MLP(**{field: "nonsense"}).init(jax.random.key(0), jnp.ones((1, 4)))


def test_importing_nets_needs_nothing_of_ours_and_starts_nothing():
    """No module of the project but nets, no absl flag, no TensorFlow, no backend."""
    code = (
        "import sys, nets; from absl import flags\n"
        "ours = {'train', 'training', 'input_pipeline', 'run_directory', 'experiments', 'configs'}\n"
        "bad = (ours | {'tensorflow'}) & set(sys.modules)\n"
        "assert not bad, bad\n"
        "assert 'config' not in flags.FLAGS\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge._backends, 'importing nets started a backend'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
