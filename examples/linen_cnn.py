"""A Flax Linen CNN with batch normalization and dropout on MNIST, measured: `python -m examples.linen_cnn`."""

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

import input_pipeline
import nets


class CNN(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        for features in (4, 8):
            x = nn.relu(nn.BatchNorm(use_running_average=not train)(nn.Conv(features, (3, 3), strides=2)(x)))
        x = nn.tanh(nn.Dense(32)(x.reshape(len(x), -1)))
        return nn.Dense(10)(nn.Dropout(0.2, deterministic=not train)(x))


mnist = input_pipeline.load("mnist")
images, labels = jnp.asarray(mnist.images[:100].reshape(-1, 28, 28, 1) / 255), jnp.asarray(mnist.labels[:100])
model = CNN()
variables = jax.jit(model.init)(jax.random.key(0), images)
params, statistics = variables["params"], variables["batch_stats"]


def cost(params, batch):
    logits = model.apply({"params": params, "batch_stats": statistics}, batch[0])
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch[1])


watched = nets.watch(cost)
print(watched.layers(params, (images, labels)))
print(watched.measure(cost, params, (images, labels), ("saturation", "speed", "curvature", "noise")))
