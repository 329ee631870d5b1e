"""The batch size of the shallow net, its learning rate tuned anew at every size, over ten epochs.

Question: the lecture recommends batches of at most 128: in ten passes over MNIST, how well does each batch size do at
          the learning rate that suits it?
Command:  python -m experiments.sweep --config=configs/batch_size_sweep.py
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
    config.epochs = 10
    return config


def sweep(add: Callable[..., None]) -> None:
    for batch_size, learning_rate, seed in itertools.product(
        (8, 32, 128, 512, 2_048, 8_192), (0.03, 0.1, 0.3, 1.0, 3.0, 10.0), range(4)
    ):
        add(batch_size=batch_size, learning_rate=learning_rate, seed=seed)
