"""A network of one's own: a small LeNet in Flax Linen, 5x5x16 and 5x5x32 ReLU convolutions with max-pooling, dense 64.

Question: does a convolutional net of 46,730 parameters reach .99 on MNIST, and how many of its outputs are zero?
Command:  python train.py --config=configs/cnn.py
Run time: 2 min on 2 cores.
Measured: val_accuracy .9927 after 10 epochs, .991 or more from the fifth on, 1 seed; 76 %, 84 % and 52 % of the outputs
          of its layers are zero, no unit is dead. Dropout, width and rate were chosen after looking (2026-11-26).
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
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        for features in (16, 32):
            x = self.activation(nn.Conv(features, (5, 5), padding="VALID")(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = nn.Dropout(self.dropout, deterministic=not train)(x.reshape(len(x), -1))
        x = self.activation(nn.Dense(64)(x))
        return nn.Dense(self.classes)(x)


def get_config() -> ConfigDict:
    config = shallow.get_config()
    config.model = f"{__file__}:LeNet"
    config.input_shape = (28, 28, 1)
    config.activation = "relu"
    config.dropout = 0.5
    config.cost = "cross_entropy"
    config.optimizer = "adam"
    config.learning_rate = 0.001
    config.batch_size = 64
    config.epochs = 10
    return config
