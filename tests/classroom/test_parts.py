"""A run in parts against `train.py`: the same bits, however it is cut."""

import jax
import numpy as np
import pytest

import train
from experiments.classroom import parts
from training.config import Config

SYNTHETIC = Config().replace(dataset="synthetic", batch_size=100, learning_rate=0.5, epochs=3)


def rows_in_parts(run, lane, epochs, draw):
    """The rows of a lane, from parts of random lengths."""
    found = []
    while run.epoch < epochs:
        run.advance(int(draw.integers(1, 9)))
        if run.is_over():
            found.append({name: train.as_number(values[lane]) for name, values in run.row().items()})
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {
            "activation": "relu",
            "cost": "cross_entropy",
            "hidden": (16, 16),
            "momentum": 0.9,
            "dropout": 0.2,
            "l2": 1e-3,
        },
        {"optimizer": "adam", "learning_rate": 0.01, "batch_norm": True, "batch_size": 37},
    ],
)
def test_same_bits_as_train(fields, tmp_path, optimized):
    """After three epochs the rows that train.py writes, and its weights, to the last bit."""
    config = SYNTHETIC.replace(**fields)
    rows = train.train_and_evaluate(config, tmp_path / "run")
    run = parts.Run([config])
    found = rows_in_parts(run, 0, 3, np.random.default_rng(0))
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    assert found == [{name: row[name] for name in names} for row in rows]
    with np.load(tmp_path / "run" / "final.npz") as final:
        for path, leaf in jax.tree.leaves_with_path(run.lane(0).params):
            np.testing.assert_array_equal(final[jax.tree_util.keystr(path, simple=True, separator="/")], leaf)


def test_two_settings_have_the_same_start_and_order():
    """Lanes of one program: each is its run alone but for rounding."""
    configs = [SYNTHETIC, SYNTHETIC.replace(learning_rate=2.0)]
    both = parts.Run(configs)
    start = [jax.device_get(both.lane(i).params) for i in range(2)]
    jax.tree.map(np.testing.assert_array_equal, *start)
    for lane, config in enumerate(configs):
        alone = rows_in_parts(parts.Run([config]), 0, 1, np.random.default_rng(1))
        run = parts.Run(configs)
        together = rows_in_parts(run, lane, 1, np.random.default_rng(2))
        assert together[0] == pytest.approx(alone[0], rel=1e-4)
    assert not np.allclose(both.kernels()[0], run.kernels()[0])


def test_measures_are_those_of_a_run(tmp_path):
    """The probes at the end of an epoch are what train.py writes of it, and the eigenvalue with them."""
    config = SYNTHETIC.replace(epochs=1, probes=("saturation", "speed", "curvature"))
    (row,) = train.train_and_evaluate(config, tmp_path / "run")
    run = parts.Run([SYNTHETIC])
    rows_in_parts(run, 0, 1, np.random.default_rng(0))
    measured, outputs = run.probed()
    run.programs.curvature.result()
    for name, values in (measured | (run.curvature() or {})).items():
        if np.ndim(values) == 1:
            assert float(values[0]) == pytest.approx(row[name], rel=1e-4, abs=1e-7), name
    assert outputs["hidden_0"].shape[0] == 1 and outputs["hidden_0"].shape[2] == 64
