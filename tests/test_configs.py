"""Every config takes three epochs on synthetic data."""

import importlib
import inspect
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import input_pipeline
import train
from experiments.engine import space
from training.config import as_config

NAMES = sorted(path.stem for path in Path("configs").glob("[!_]*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_every_config_trains(name):
    """It is valid, states its question, command and measured result, and its cost goes down on synthetic data."""
    module = importlib.import_module(f"configs.{name}")
    for word in ("Question:", "Command:", f"configs/{name}.py", "Measured"):
        assert word in inspect.getdoc(module), f"the docstring of configs/{name}.py has no {word!r}"
    config = module.get_config()
    as_config(config)
    if sweep := getattr(module, "sweep", None):
        # Its docstring says how many runs it makes.
        runs = re.search(r"(\d+) runs", inspect.getdoc(module))
        assert len(space.make_trials(config, sweep, {})) == int(runs[1])
    config.batch_size = min(config.batch_size, 64)
    functions, numbers = train.make_train(config), train.hyperparameters(config)
    data, key = input_pipeline.load("synthetic"), jax.random.key(0)
    state = functions.init(numbers, key)
    costs = []
    for _ in range(3):
        state, metrics = functions.epoch(state, numbers, data, key)
        costs.append(float(metrics["loss"]))
    assert np.isfinite(costs).all()
    assert costs[-1] < costs[0]


def test_there_are_configs():
    """The glob above finds them."""
    assert {"shallow", "intermediate", "deep", "nielsen", "init_sweep"} <= set(NAMES)
