"""Activation, cost and learning rate of the lecture's shallow net, 192 runs.

Question: which activation and which cost learn MNIST best in ten epochs, each at the learning rate that suits it?
Command:  python -m experiments.sweep --config=configs/activation_cost_sweep.py
Run time: RUNTIME
Measured: MEASURED
"""

import itertools
from collections.abc import Callable

from ml_collections import ConfigDict

from configs import shallow


def get_config() -> ConfigDict:
    config = shallow.get_config()
    config.epochs = 10
    return config


def sweep(add: Callable[..., None]) -> None:
    for activation, cost, learning_rate, seed in itertools.product(
        ("sigmoid", "tanh", "relu"), ("quadratic", "cross_entropy"), (0.01, 0.1, 1.0, 10.0), range(8)
    ):
        add(activation=activation, cost=cost, learning_rate=learning_rate, seed=seed)
