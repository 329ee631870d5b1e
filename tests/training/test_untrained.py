"""Figures begin with the untrained net, epoch 0, and nothing else of a run has it."""

import json

import numpy as np
import pytest
from small_run import make_config

import train
from training import figures
from training.run_directory import RunDirectory


@pytest.fixture
def seen(monkeypatch, programs_once):
    """The untrained nets of the runs, in whose place nothing is drawn."""
    seen = []
    monkeypatch.setattr(RunDirectory, "draw_figures", lambda self, *_: seen.append(self.untrained))
    return seen


def test_what_is_measured_of_it(seen, tmp_path):
    """Its cost and accuracy on the validation examples and its probes, but for what a step has done; the rows begin
    with epoch 1, and the curves with 0."""
    config = make_config(epochs=2)
    rows = train.train_and_evaluate(config, tmp_path / "run")
    row, histograms = seen[0]
    dataset = train.load_dataset(config, "")
    state, run = train.initial_state(config), train.make_train(config)
    expected = run.evaluate(state, dataset.validation_images, dataset.validation_labels)
    assert row["epoch"] == histograms["epoch"] == 0
    assert row["val_loss"] == pytest.approx(float(expected["loss"]), rel=1e-5)
    assert row["val_accuracy"] == pytest.approx(float(expected["accuracy"]), abs=1e-6)
    of_training = {"loss", "accuracy", "seconds"}
    missing = rows[0].keys() - row.keys() - of_training
    assert missing and all(name.startswith(("update_ratio/", "displacement/")) for name in missing)
    assert [json.loads(line)["epoch"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()] == [
        1,
        2,
    ]
    for axis, name in zip(figures.draw_learning_curves([row, *rows], 0.09).axes, ("loss", "accuracy"), strict=True):
        training, validation = axis.get_lines()[:2]
        assert np.isnan(training.get_ydata()[0]) and list(training.get_ydata()[1:]) == [row[name] for row in rows]
        assert validation.get_xdata()[0] == 0 and validation.get_ydata()[0] == row[f"val_{name}"]


def test_a_run_that_goes_on_knows_its_start(seen, tmp_path):
    """From its own draw, to the same numbers; from other weights only where they are given again."""
    config = make_config(epochs=2)
    train.train_and_evaluate(config, tmp_path / "first")
    train.train_and_evaluate(config, tmp_path / "first")  # Its figures are missing.
    assert seen[1] == seen[0]
    given = tmp_path / "first" / "final.npz"
    train.train_and_evaluate(config, tmp_path / "second", init_from=given)
    train.train_and_evaluate(config, tmp_path / "second", init_from=given)
    assert seen[3] == seen[2] != seen[0]
    train.train_and_evaluate(config, tmp_path / "second")
    assert seen[4] is None
