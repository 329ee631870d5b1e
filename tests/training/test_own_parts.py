"""Activations and costs of one's own: what is known of them, and what cannot be used."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nets
import train
from training import models
from training.config import ConfigError, as_config

MINE = """
import jax.numpy as jnp
from nets.activations import Activation


def bent(z):
    return z / jnp.sqrt(1 + z**2)


sharp = Activation(lambda z: jnp.tanh(3 * z), (-1.0, 1.0), (-1.0, 1.0), 3.0)


def mixing(z):
    return z - z.mean()


def absolute(outputs, targets):
    return jnp.abs(outputs - targets).mean(axis=-1)


def squares(logits, targets, output):
    import nets
    return nets.costs.quadratic(logits, targets, output)


def named(output, target, eps=0.0):
    return jnp.abs(output - target).mean(axis=-1)


def whole(outputs, targets):
    return jnp.mean((outputs - targets) ** 2)


def together(outputs, targets):
    return jnp.square(outputs - outputs.mean(axis=0, keepdims=True)).sum(axis=-1)
"""


@pytest.fixture
def mine(tmp_path):
    """A small run of Plateau's own network with an activation and a cost of that file."""
    file = tmp_path / "mine.py"
    file.write_text(MINE)

    def config(**names):
        """Words behind = are names of Plateau's own."""
        whole = {
            field: ",".join(word[1:] if word[0] == "=" else f"{file}:{word}" for word in words.split(","))
            for field, words in names.items()
        }
        return {"dataset": "synthetic", "epochs": 2, "hidden": (8, 6)} | whole

    return config


def test_an_activation_of_ones_own_is_measured(tmp_path, mine, no_figures):
    """Its asymptotes are found, layer by layer, beside one of the table."""
    config = as_config(mine(activation="bent,=relu"))
    found = nets.activations.get(models.activations_of(config)[0])
    assert found.range == pytest.approx((-1, 1), abs=1e-6)
    assert found.asymptotes == pytest.approx((-1, 1), abs=1e-6)
    assert found.max_slope == pytest.approx(1, abs=1e-6)
    rows = train.train_and_evaluate(config, tmp_path / "run")
    assert "saturation/hidden_0" in rows[-1]
    assert "zero_fraction/hidden_1" in rows[-1]


def test_an_activation_that_says_its_range(mine):
    """It is taken at its word."""
    config = as_config(mine(activation="sharp"))
    name = models.activations_of(config)[0]
    assert nets.activations.get(name).max_slope == 3.0
    model = models.make_mlp(config)
    x = jnp.ones((1, 784))
    params = model.init(jax.random.key(0), x)
    named = model.apply(params, x)[1]
    np.testing.assert_allclose(named["hidden_0/a"], np.tanh(3 * named["hidden_0/z"]), rtol=1e-6)


@pytest.fixture
def nothing_added():
    """What the test adds to the table of activations is gone after it."""
    before = set(nets.activations.ADDED)
    yield
    for name in nets.activations.ADDED - before:
        nets.activations.ADDED.discard(name)
        del nets.activations.ACTIVATIONS[name]


MODEL = """
def net(activation, classes):
    import jax
    init = lambda key, x: {"w": jax.random.normal(key, (x.shape[-1], classes))}
    return init, lambda params, x: activation(x @ params["w"])
"""


@pytest.mark.parametrize("is_own", [False, True])
def test_another_activation_of_the_same_name_is_taken(is_own, tmp_path, nothing_added):
    """Added a second time in one process, it is the second function that predicts, and again the first one."""
    (tmp_path / "model.py").write_text(MODEL)
    model = {"model": f"{tmp_path / 'model.py'}:net"} if is_own else {"hidden": (8,)}
    images_NxD = np.linspace(0, 1, 3 * 784, dtype=np.float32).reshape(3, 784)
    state, predicted = None, []
    for function in (jnp.tanh, jnp.cos, jnp.tanh):
        entry = nets.activations.add("mine", function)
        config = as_config({"dataset": "synthetic", "activation": "mine"} | model)
        if state is None:
            drawn, statistics = models.make_model(config).init(jax.random.key(0))
            params = jax.tree.map(np.asarray, drawn)
            state = SimpleNamespace(params=params, batch_stats=statistics)
        if is_own:
            right = entry.function(images_NxD @ params["w"])
        else:
            hidden, output = params["hidden_0"], params["output"]
            a_NxH = np.asarray(function(images_NxD @ hidden["kernel"] + hidden["bias"]))
            right = a_NxH @ output["kernel"] + output["bias"]
        predicted.append(models.logits_of(config, state, images_NxD, 3))
        np.testing.assert_allclose(predicted[-1], right, rtol=1e-4, atol=1e-4)
    assert not np.allclose(predicted[0], predicted[1], atol=0.1)


def test_measured_activations_are_those_of_the_table():
    """What is read off the values is what the table says."""
    for name in ("sigmoid", "relu", "elu", "hard_tanh", "identity", "leaky_relu"):
        known = nets.activations.get(name)
        found = nets.activations.measured(known.function)
        assert found.range == pytest.approx(known.range, abs=2e-3), name
        for ours, theirs in zip(known.asymptotes, found.asymptotes, strict=True):
            assert (ours is None) == (theirs is None), name
            assert ours is None or theirs == pytest.approx(ours, abs=1e-6), name
        assert found.max_slope == pytest.approx(known.max_slope, rel=1e-3), name


def test_a_cost_of_ones_own(mine):
    """Of outputs, or of logits as those of the table: the same numbers as written by hand."""
    logits = jax.random.normal(jax.random.key(0), (4, 10))
    targets = jax.nn.one_hot(jnp.arange(4), 10)
    absolute = models.cost_of(mine(cost="absolute"))
    np.testing.assert_allclose(
        absolute.per_example(logits, targets), jnp.abs(jax.nn.softmax(logits) - targets).mean(axis=1), rtol=1e-6
    )
    named = models.cost_of(mine(cost="named"))
    np.testing.assert_array_equal(named.per_example(logits, targets), absolute.per_example(logits, targets))
    squares = models.cost_of(mine(cost="squares", output="=sigmoid"))
    wanted = nets.costs.quadratic(logits, targets, "sigmoid")
    np.testing.assert_allclose(squares.per_example(logits, targets), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"activation": "mixing"}, "depends on others"),
        ({"activation": "bent,bent,bent"}, "has 3 names"),
        ({"cost": "whole"}, r"gives float32\[\] for 3 examples"),
        ({"cost": "together"}, "depends on the others"),
        ({"cost": "nothing"}, "has no nothing"),
    ],
)
def test_activations_and_costs_that_cannot_be_used(tmp_path, mine, names, said):
    """One line, before anything is written."""
    with pytest.raises(ConfigError, match=said) as raised:
        train.train_and_evaluate(mine(**names), tmp_path / "run")
    assert "accepted" in str(raised.value)
    assert not (tmp_path / "run").exists()
