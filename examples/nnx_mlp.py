"""A Flax NNX network on MNIST, measured: `python -m examples.nnx_mlp`."""

import jax.numpy as jnp
import optax
from flax import nnx

import input_pipeline
import nets


class MLP(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(784, 64, rngs=rngs), nnx.Linear(64, 32, rngs=rngs)])
        self.head = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x):
        for layer in self.layers:
            x = nnx.sigmoid(layer(x))
        return self.head(x)


mnist = input_pipeline.load("mnist")
batch = jnp.asarray(mnist.images[:500].reshape(-1, 784) / 255), jnp.asarray(mnist.labels[:500])
graph, params = nnx.split(MLP(nnx.Rngs(0)))


def cost(params, batch):
    return optax.softmax_cross_entropy_with_integer_labels(nnx.merge(graph, params)(batch[0]), batch[1])


watched = nets.watch(cost)
print(watched.layers(params, batch))
print(watched.measure(cost, params, batch, ("saturation", "speed", "curvature", "noise")))
