"""Initial weights of the shallow net: the published initializers, and their scale.

Question: how large may initial weights be before they saturate the hidden layer, and what does that cost?
Command:  python -m experiments.sweep --config=configs/init_sweep.py
Run time: RUNTIME
Measured: MEASURED
"""

import itertools
from collections.abc import Callable

from ml_collections import ConfigDict

from configs import shallow


def get_config() -> ConfigDict:
    config = shallow.get_config()
    config.cost = "cross_entropy"
    config.learning_rate = 0.3
    config.epochs = 10
    return config


def sweep(add: Callable[..., None]) -> None:
    for kernel_init, init_scale, seed in itertools.product(
        ("glorot_uniform", "he_normal", "nielsen_small", "nielsen_large"), (0.1, 0.3, 1.0, 3.0), range(8)
    ):
        add(kernel_init=kernel_init, init_scale=init_scale, seed=seed)
