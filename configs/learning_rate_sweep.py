"""The learning rate of the lecture's shallow net, from far too small to far too large.

Question: the lecture trains at .01 and sits on the plateau of the uniform guess for epochs: at which rate does the same
          net learn best in ten epochs, and what becomes of its neurons beyond that rate?
Command:  python -m experiments.sweep --config=configs/learning_rate_sweep.py
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
    for learning_rate, seed in itertools.product(
        (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0), range(8)
    ):
        add(learning_rate=learning_rate, seed=seed)
