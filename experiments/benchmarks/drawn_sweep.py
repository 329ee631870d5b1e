"""`python -m experiments.sweep` with numbers that are drawn at random in place of training, to time everything else.

    python -m experiments.benchmarks.drawn_sweep --config=configs/shallow.py --axis ... [--workdir=DIR]

The command plans, writes each pack and what follows the last one as always, so that the real one takes the folder for
a finished sweep.
"""

import runpy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from experiments.engine import executors, plan, results
from experiments.engine.space import Trials
from training.records import OUTCOMES

# What the default probes measure of a net with one hidden layer.
PROBED = (
    *("activation_mean/hidden_0", "activation_p98/hidden_0", "activation_std/hidden_0", "phi/hidden_0"),
    *("saturation/hidden_0", "slope_mass/hidden_0", "wrong_side/output"),
    *(f"{name}/{layer}" for name in ("displacement", "gradient_norm", "speed") for layer in ("hidden_0", "output")),
    *(f"update_ratio/{layer}" for layer in ("hidden_0", "output")),
)


def draw_locally(
    packs: Sequence[plan.Pack],
    trials: Trials,
    datasets: executors.Datasets,
    advance: Callable[[int], Any],
) -> Iterator[tuple[plan.Pack, pa.Table]]:
    """As `executors.run_locally`: each pack with its rows, whose numbers are drawn evenly from .2 to 1."""
    random, names = np.random.default_rng(0), (*OUTCOMES, *PROBED)
    for pack in packs:
        epochs = pack.last_epoch(trials)
        drawn_TxExM = random.uniform(0.2, 1.0, (len(pack.trials), epochs, len(names))).tolist()
        rows = [
            {"trial": trial, "epoch": epoch, "diverged": False} | dict(zip(names, numbers, strict=True))
            for trial, drawn_ExM in zip(pack.trials, drawn_TxExM, strict=True)
            for epoch, numbers in enumerate(drawn_ExM, start=1)
        ]
        advance(pack.steps(trials))
        yield pack, results.pack_table({name: trials[name] for name in pack.trials}, rows)


if __name__ == "__main__":
    executors.run_locally = draw_locally
    runpy.run_module("experiments.sweep", run_name="__main__", alter_sys=True)
