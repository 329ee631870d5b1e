"""Initial weights of the shallow net: the published initializers, and their scale.

Question: how large may initial weights be before they saturate the hidden layer, and what does that cost?
Command:  python -m experiments.sweep --config=configs/init_sweep.py
Run time: 2.5 minutes on 2 cores, 128 runs.
Measured: val_accuracy by 10,000 examples that are held out after 1 and 10 epochs, and saturated fraction of the hidden
          layer after 1, means of 8 seeds:
              glorot_uniform x .1   .8887  .9538  .066      nielsen_large x .1   .9024  .9545  .096
              glorot_uniform x 1    .9066  .9555  .070      nielsen_large x 1    .7967  .9096  .790
              glorot_uniform x 3    .9137  .9586  .128      nielsen_large x 3    .6095  .8230  .930
          After ten epochs, initializers that scale with the fan-in agree to .0020 at every factor tried, and are best
          at 3, the largest; N(0, 1) weights saturate four fifths of the layer, and ten epochs do not make up for that
          (2026-11-26).
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
