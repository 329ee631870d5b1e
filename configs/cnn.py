"""A network of one's own: a small LeNet in Flax Linen, 5x5x8 and 5x5x16 ReLU convolutions with max-pooling, dense 64.

Question: does a convolutional net of 20,938 parameters reach .99 on MNIST, and how saturated are its layers?
Command:  python train.py --config=configs/cnn.py
Run time: 3 min on 2 cores.
Measured: not yet.
"""

from collections.abc import Callable

import jax
from flax import linen as nn
from ml_collections import ConfigDict

from configs import shallow


class LeNet(nn.Module):
    """LeCun et al. (1998) in today's form: logits of images [B, 28, 28, 1]."""

    classes: int = 10
    activation: Callable[[jax.Array], jax.Array] = nn.relu

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for features in (16, 32):
            x = self.activation(nn.Conv(features, (5, 5), padding="VALID")(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = self.activation(nn.Dense(64)(x.reshape(len(x), -1)))
        return nn.Dense(self.classes)(x)


def get_config() -> ConfigDict:
    config = shallow.get_config()
    config.model = f"{__file__}:LeNet"
    config.input_shape = (28, 28, 1)
    config.activation = "relu"
    config.cost = "cross_entropy"
    config.optimizer = "adam"
    config.learning_rate = 0.001
    config.batch_size = 64
    config.epochs = 8
    return config
