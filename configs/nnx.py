"""A network of one's own in Flax NNX: dense layers with batch normalization and dropout, as `train.py` takes any.

Question: how does a net that somebody wrote in NNX train, and how saturated are its layers?
Command:  python train.py --config=configs/nnx.py
Run time: 35 s on 2 cores.
Measured: val_accuracy .9772 after 20 epochs, 1 seed; 37 % and 47 % of the outputs of its tanh layers are saturated
          (2026-11-26).
"""

from collections.abc import Callable

import jax
from flax import nnx
from ml_collections import ConfigDict

from configs import shallow


class Net(nnx.Module):
    """Two hidden layers of so many units, the activation before the normalization."""

    def __init__(
        self,
        inputs: int,
        classes: int,
        *,
        width: int = 64,
        activation: Callable[[jax.Array], jax.Array] = nnx.relu,
        rngs: nnx.Rngs,
    ):
        self.first = nnx.Linear(inputs, width, rngs=rngs)
        self.normalization = nnx.BatchNorm(width, rngs=rngs)
        self.second = nnx.Linear(width, width, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.output = nnx.Linear(width, classes, rngs=rngs)
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.normalization(self.activation(self.first(x)))
        return self.output(self.dropout(self.activation(self.second(x))))


def get_config() -> ConfigDict:
    config = shallow.get_config()
    config.model = f"{__file__}:Net"
    config.activation = "tanh"
    config.cost = "cross_entropy"
    config.learning_rate = 0.1
    config.epochs = 20
    return config
