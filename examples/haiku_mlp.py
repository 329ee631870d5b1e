"""A Haiku network on MNIST, measured: `python -m examples.haiku_mlp`."""

import haiku as hk
import jax
import jax.numpy as jnp
import optax

import input_pipeline
import nets

mnist = input_pipeline.load("mnist")
batch = jnp.asarray(mnist.images[:500].reshape(-1, 784) / 255), jnp.asarray(mnist.labels[:500])
net = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP((64, 32, 10), activation=jax.nn.relu)(x)))
params = jax.jit(net.init)(jax.random.key(0), batch[0])


def cost(params, batch):
    return optax.softmax_cross_entropy_with_integer_labels(net.apply(params, batch[0]), batch[1])


watched = nets.watch(cost)
print(watched.layers(params, batch))
print(watched.measure(cost, params, batch, ("saturation", "speed", "curvature", "noise")))
