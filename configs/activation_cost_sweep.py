"""Activation, cost and learning rate of the lecture's shallow net, 192 runs.

Question: which activation and which cost learn MNIST best in ten epochs, each at the learning rate that suits it?
Command:  python -m experiments.sweep --config=configs/activation_cost_sweep.py
Run time: 3.5 minutes on 2 cores, 192 runs.
Measured: final val_accuracy, mean of 8 seeds with its 95 % interval, at the best of four rates:
              sigmoid quadratic .9611 (.9597 to .9624) at 10      cross_entropy .9714 (.9705 to .9724) at 1
              tanh    quadratic .9713 (.9700 to .9725) at 10      cross_entropy .9728 (.9715 to .9740) at 1
              relu    quadratic .9733 (.9716 to .9750) at 10      cross_entropy .9662 (.9647 to .9677) at .1
          The quadratic cost wants ten times the rate or more; at 10, ReLU nets with cross-entropy guess (2026-11-25).
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
