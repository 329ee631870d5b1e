"""Activation, cost and learning rate of the lecture's shallow net, 192 runs.

Question: which activation and which cost learn MNIST best in ten epochs, each at the learning rate that suits it?
Command:  python -m experiments.sweep --config=configs/activation_cost_sweep.py
Run time: 3.5 minutes on 2 cores, 192 runs; with --halving=3 a quarter of the epochs.
Measured: final val_accuracy, mean of 8 seeds with its 95 % interval, at the best of four rates, by 10,000 examples that
          are held out, and the test accuracy there:
              sigmoid  quadratic      .9617 (.9600 to .9633) at 10    test .9581
              sigmoid  cross_entropy  .9703 (.9694 to .9713) at 1     test .9693
              tanh     quadratic      .9668 (.9579 to .9757) at 10    test .9653
              tanh     cross_entropy  .9701 (.9686 to .9716) at 1     test .9696
              relu     quadratic      .9716 (.9692 to .9739) at 10    test .9712
              relu     cross_entropy  .9654 (.9639 to .9669) at .1    test .9627
          Eight seeds do not decide it: relu and tanh with quadratic, sigmoid and tanh with cross-entropy, and relu with
          cross-entropy at 1, whose seeds differ much, cannot be told from the best. The quadratic cost
          wants ten times the rate or more; at 10, ReLU nets with cross-entropy guess. Halving by 3 ends with the same
          best setting at .225 of the epochs (2026-11-26).
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
