"""The batch size of the shallow net, its learning rate tuned anew at every size, over ten epochs.

Question: the lecture recommends batches of at most 128: in ten passes over MNIST, how well does each batch size do at
          the learning rate that suits it?
Command:  python -m experiments.sweep --config=configs/batch_size_sweep.py
Run time: 3 minutes on 2 cores, 144 runs.
Measured: best final val_accuracy over six rates, by 10,000 examples that are held out, mean of 4 seeds with its 95 %
          interval:
                 8  .9728 (.9712 to .9743) at .1       512  .9635 (.9583 to .9686) at 3
                32  .9738 (.9725 to .9751) at 1      2,048  .9434 (.9416 to .9452) at 3
               128  .9720 (.9694 to .9745) at 3      8,192  .9085 (.8992 to .9177) at 3
          With as many passes over the images, larger batches do worse, also at their own best rate: they take fewer
          steps. Batches of 8, 32 and 128 cannot be told apart by four seeds. The rate that suits a batch grows less
          than in proportion to it (2026-11-26).
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
