"""The batch size of the shallow net, its learning rate tuned anew at every size, over ten epochs.

Question: the lecture recommends batches of at most 128: in ten passes over MNIST, how well does each batch size do at
          the learning rate that suits it?
Command:  python -m experiments.sweep --config=configs/batch_size_sweep.py
Run time: 3 minutes on 2 cores, 144 runs.
Measured: best final val_accuracy over six rates, mean of 4 seeds with its 95 % interval:
                 8  .9749 (.9720 to .9778) at .3       512  .9631 (.9570 to .9693) at 3
                32  .9745 (.9734 to .9755) at 1      2,048  .9422 (.9374 to .9470) at 3
               128  .9706 (.9694 to .9718) at 1      8,192  .9132 (.9053 to .9212) at 3
          With as many passes over the images, larger batches do worse, also at their own best rate: they take fewer
          steps. The rate that suits a batch grows less than in proportion to it (2026-11-25).
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
