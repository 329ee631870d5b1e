"""An Equinox network on MNIST, measured: `python -m examples.equinox_mlp`."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import input_pipeline
import nets

mnist = input_pipeline.load("mnist")
batch = jnp.asarray(mnist.images[:500].reshape(-1, 784) / 255), jnp.asarray(mnist.labels[:500])
model = eqx.nn.MLP(784, 10, width_size=64, depth=2, activation=jax.nn.tanh, key=jax.random.key(0))


def cost(model, batch):
    return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(batch[0]), batch[1])


watched = nets.watch(cost)
print(watched.layers(model, batch))
print(watched.measure(cost, model, batch, ("saturation", "speed", "curvature", "noise")))
