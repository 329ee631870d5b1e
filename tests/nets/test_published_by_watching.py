"""Published numbers measured on networks of plain JAX and of Equinox, which know nothing of `nets`."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import input_pipeline
import nets

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def test_normal_weights_saturate_a_layer():
    """Of 256 sigmoid units on x ~ U[0, 1)^784 with N(0, 1) weights .8555 saturate: z ~ N(0, 784 / 3), |z| > ln 19."""
    keys = jax.random.split(jax.random.key(0), 2)
    layer = eqx.nn.Linear(784, 256, use_bias=False, key=keys[0])
    layer = eqx.tree_at(lambda layer: layer.weight, layer, jax.random.normal(keys[0], (256, 784)))

    def forward(layer, x_BxD):
        return jax.nn.sigmoid(jax.vmap(layer)(x_BxD))

    x_BxD = jax.random.uniform(keys[1], (500, 784))
    measured = nets.watch(forward).measure(lambda *given: forward(*given).sum(-1), layer, x_BxD, ("saturation",))
    assert float(measured["saturation/weight"]) == pytest.approx(0.8555, abs=0.03)


@pytest.mark.parametrize(
    ("hidden", "published"), [(2, (0.06574, 0.30922)), (3, (0.01184, 0.05997, 0.28314))], ids=["two", "three"]
)
def test_learning_speed_rises_with_depth(hidden, published):
    """Nielsen's |delta| (chapter 5) at the start: his draw is within the 5-95 % range of 60; nearly all rise."""
    sizes = [784, *[30] * hidden, 10]
    mnist = input_pipeline.load("mnist")
    batch = (
        jnp.asarray(mnist.images[:1000].reshape(1000, -1), jnp.float32) / 255,
        jax.nn.one_hot(mnist.labels[:1000], 10),
    )

    def draw(key):
        keys = jax.random.split(key, (len(sizes) - 1, 2))
        normal = jax.random.normal
        pairs = zip(keys, sizes[:-1], sizes[1:], strict=True)
        return [{"w": normal(key[0], (i, o)) / i**0.5, "b": normal(key[1], (o,))} for key, i, o in pairs]

    def cost(params, batch):
        a_BxH, targets_BxC = batch
        for layer in params[:-1]:
            a_BxH = jax.nn.sigmoid(a_BxH @ layer["w"] + layer["b"][None])
        logits_BxC = a_BxH @ params[-1]["w"] + params[-1]["b"][None]
        return jnp.sum(optax.sigmoid_binary_cross_entropy(logits_BxC, targets_BxC), -1)

    def speeds(key):
        measured = nets.watch(cost).measure(cost, draw(key), batch, ("speed",))
        return [measured[f"speed/{layer}"] for layer in range(hidden)]

    speeds_LxS = np.array(jax.lax.map(speeds, jax.random.split(jax.random.key(0), 60)))
    low_L, high_L = np.percentile(speeds_LxS, (5, 95), axis=1)
    assert all(low <= value <= high for low, value, high in zip(low_L, published, high_L, strict=True))
    assert np.mean(np.all(np.diff(speeds_LxS, axis=0) > 0, axis=0)) >= 0.95
