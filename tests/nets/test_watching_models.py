"""Watching what models of the field do besides layers one after the other, and what only looks like an activation."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from foreign import KEY, PAIRS, B, D, H, X_BxD
from jax import nn

import nets

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def dense(q, x_BxD):
    return x_BxD @ q["w"] + q["b"][None].astype(x_BxD.dtype)


def weights(*sizes):
    """Layers `l0`, `l1`, ... of these sizes."""
    keys = jax.random.split(KEY, len(sizes))
    pairs = itertools.pairwise(sizes)
    return {f"l{i}": {"w": jax.random.normal(keys[i], pair), "b": jnp.ones(pair[1])} for i, pair in enumerate(pairs)}


def found(forward, params, *inputs):
    return [(row.name, row.activation) for row in nets.watch(forward).layers(params, *inputs)]


@pytest.mark.parametrize("pair", PAIRS)
def test_half_precision(pair):
    """Constants are rounded to eight bits, and the activations are the same."""
    first, second, expected = PAIRS[pair]
    params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), weights(D, H, H))
    forward = lambda p, x_BxD: second(dense(p["l1"], first(dense(p["l0"], x_BxD))))  # noqa: E731
    assert found(forward, params, X_BxD.astype(jnp.bfloat16)) == list(zip(("l0", "l1"), expected, strict=True))


def test_closed_over_keys_and_traced_numbers():
    params = weights(D, H)

    def dropped(p, x_BxD):
        return jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, (B, H)), nn.relu(dense(p["l0"], x_BxD)), 0)

    assert found(dropped, params, X_BxD) == [("l0", "relu")]
    scaled = jax.jit(lambda t: nets.watch(lambda p, x: jnp.tanh(dense(p["l0"], x) * t)).outputs(params, X_BxD)["l0"][1])
    np.testing.assert_allclose(scaled(2.0), np.tanh(2 * dense(params["l0"], X_BxD)), rtol=1e-5)


def old_key(p, x_BxD, key):
    return nn.relu(dense(p["l0"], x_BxD)) * jax.random.bernoulli(key, 0.5, (B, H))


def smoothed(p, x_BxD, _):
    return nn.relu(jnp.ones((B, B)) @ dense(p["l0"], x_BxD))


def normalized(p, x_BxD, statistics_2):
    scale_H = jax.lax.rsqrt(1 + jnp.float32(statistics_2[1])) * p["l0"]["b"]
    return nn.relu((dense(p["l0"], x_BxD) - statistics_2[0]) * scale_H[None])


@pytest.mark.parametrize("forward", [old_key, smoothed, normalized])
def test_what_stands_between_or_beside_does_not_take_the_layer(forward):
    """Random numbers of a key that is an input, a product with constants, statistics that are an input."""
    assert found(forward, weights(D, H), X_BxD, jax.random.PRNGKey(0)) == [("l0", "relu")]


COSTS = {
    "absolute": lambda f, y: jnp.abs(f - y),
    "hinge": lambda f, y: jnp.maximum(1 - f * y, 0),
    "a floor under a probability": lambda f, y: -y * jnp.log(jnp.maximum(nn.sigmoid(f), 1e-7)),
}


@pytest.mark.parametrize("name", COSTS)
def test_costs_are_no_activations(name):
    """But the sigmoid that is the network's output."""

    def cost(p, batch):
        return COSTS[name](dense(p["l1"], jnp.tanh(dense(p["l0"], batch[0]))), batch[1]).sum(-1)

    measured = nets.watch(cost).measure(cost, weights(D, H, 2), (X_BxD, jnp.ones((B, 2))), "saturation")
    layers = {key.partition("/")[2] for key in measured}
    assert layers == ({"l0", "l1"} if "probability" in name else {"l0"})


def test_a_scan_that_begins_with_the_activation():
    """What goes into a step's activation comes from the step before, and in the first from what stands before."""

    def forward(p, x_BxD):
        a_BxH, _ = jax.lax.scan(lambda h, q: (dense(q, nn.relu(h)), None), dense(p["l0"], x_BxD), p["block"])
        return jnp.tanh(a_BxH)

    params = weights(D, H) | {"block": jax.tree.map(lambda x: jnp.stack([x] * 3), weights(H, H)["l0"])}
    names = [("l0", "relu"), ("block[0]", "relu"), ("block[1]", "relu"), ("block[2]", "tanh")]
    assert [pair for pair in found(forward, params, X_BxD) if pair[1]] == names
    np.testing.assert_allclose(
        nets.watch(forward).outputs(params, X_BxD)["l0"][0], dense(params["l0"], X_BxD), rtol=1e-6
    )


def test_linear_layers_of_a_scan_are_all_there():
    def forward(p, x_BxH):
        return jnp.tanh(jax.lax.scan(lambda h, q: (dense(q, h), None), x_BxH, p["block"])[0])

    params = {"block": jax.tree.map(lambda x: jnp.stack([x] * 3), weights(D, D)["l0"])}
    assert found(forward, params, X_BxD)[:2] == [("block[0]", None), ("block[1]", None)]
    assert found(forward, params, X_BxD)[-1][1] == "tanh"


@jax.jit
def relu(q, x_BxD):
    return jnp.maximum(dense(q, x_BxD), 0)


@jax.jit
def swish(z):
    return z * nn.sigmoid(1.702 * z)


def test_names_of_functions_are_not_believed_against_their_values():
    """A layer that is called as an activation, another swish than Flax's, and a slope that is learned."""
    forward = lambda p, x_BxD: swish(dense(p["l1"], relu(p["l0"], x_BxD)))  # noqa: E731
    params = weights(D, H, 2)
    assert found(forward, params, X_BxD) == [("l0", "relu"), ("l1", "silu")]
    cost = lambda p, x_BxD: forward(p, x_BxD).sum(-1)  # noqa: E731
    measured = nets.watch(forward).measure(cost, params, X_BxD, "saturation")
    slope_BxC = jax.vmap(jax.vmap(jax.grad(swish)))(nets.watch(forward).outputs(params, X_BxD)["l1"][0])
    expected = np.mean(np.abs(slope_BxC)) / nets.activations.SILU_MAX_SLOPE
    np.testing.assert_allclose(measured["slope_mass/l1"], expected, rtol=1e-5)
    learned = lambda p, x_BxD: nn.elu(dense(p["l0"], x_BxD), p["alpha"])  # noqa: E731
    assert found(learned, weights(D, H) | {"alpha": jnp.float32(0.3)}, X_BxD) == [("l0", "elu")]


def test_the_speed_is_by_what_goes_into_the_activation():
    """Behind a normalization by what comes out of it, and not the gradient of the bias before it."""

    def cost(p, batch):
        z_BxH = nn.standardize(dense(p["l0"], batch[0]), axis=-1) * p["scale"][None]
        return jnp.sum((jnp.tanh(z_BxH) - batch[1]) ** 2, -1)

    params, y_BxH = weights(D, H) | {"scale": jnp.full(H, 0.5)}, jnp.ones((B, H))
    z_BxH = np.float64(nn.standardize(dense(params["l0"], X_BxD), axis=-1)) * 0.5
    delta_BxH = 2 * (np.tanh(z_BxH) - 1) * (1 - np.tanh(z_BxH) ** 2)
    measured = nets.watch(cost).measure(cost, params, (X_BxD, y_BxH), "speed")
    np.testing.assert_allclose(measured["speed/l0"], np.linalg.norm(delta_BxH.mean(0)), rtol=1e-5)


def test_one_array_is_a_network():
    assert found(lambda w, x_BxD: jnp.tanh(x_BxD @ w), jnp.ones((D, 2)), X_BxD) == [(".", "tanh")]


def test_flags_of_another_type_are_another_program():
    def cost(p, batch):
        return dense(p["l0"], batch[0]).sum(-1) ** 2 * (2 if batch[1] is True else 1)

    one, other = (nets.watch(cost).measure(cost, weights(D, H), (X_BxD, flag))["speed/l0"] for flag in (True, 1))
    np.testing.assert_allclose(one, 2 * other, rtol=1e-6)


def test_nothing_found_is_said():
    with pytest.raises(ValueError, match=r"no layer was found: no product of an input with params and no activation"):
        nets.watch(lambda p, x_BxD: x_BxD).layers(weights(D, H), X_BxD)


def test_activations_that_are_added_to_the_table_are_found(monkeypatch):
    """By their values, under their name there."""
    entry = nets.activations.Activation(lambda z: 1.7 * jnp.tanh(z / 2), (-1.7, 1.7), (-1.7, 1.7), 0.85)
    monkeypatch.setitem(nets.activations.ACTIVATIONS, "mine", entry)
    forward = lambda p, x_BxD: 1.7 * jnp.tanh(dense(p["l0"], x_BxD) / 2)  # noqa: E731
    assert found(forward, weights(D, H), X_BxD) == [("l0", "mine")]
