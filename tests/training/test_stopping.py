"""When a run ends before its last epoch, and goes on after it."""

import json

import numpy as np
import pytest
from small_run import make_config

import train
from training import screen, stopping
from training.config import ConfigError, as_config
from training.files import RunError
from training.records import is_probed

pytestmark = pytest.mark.usefixtures("programs_once")


def rows_of(*accuracies, loss=1.0):
    return [
        {"epoch": i, "loss": loss, "val_loss": loss, "accuracy": a, "val_accuracy": a}
        for i, a in enumerate(accuracies, start=1)
    ]


@pytest.mark.parametrize(
    ("text", "row", "holds"),
    [
        ("val_accuracy>=0.97", {"val_accuracy": 0.97}, True),
        ("val_accuracy>=.97", {"val_accuracy": 0.9699}, False),
        ("val_loss <= 1e-1", {"val_loss": 0.1}, True),
        ("loss<=0.1", {"loss": 0.2}, False),
        ("val_loss<=0.1", {"val_loss": None}, False),
        ("val_accuracy>=0", {"val_accuracy": float("nan")}, False),
    ],
)
def test_a_condition_holds_where_the_number_is_reached(text, row, holds):
    assert stopping.condition_of(text).holds(row) is holds


@pytest.mark.parametrize(
    "text", ["val_accuracy", "val_accuracy>.9", "test_accuracy>=.9", "val_accuracy<=.9", "val_loss>=.1", "loss<=x"]
)
def test_what_is_no_condition_is_refused(text):
    """Nothing is decided by the test set, and what holds from the start ends nothing."""
    with pytest.raises(ConfigError, match="accepted: a metric and what it has to reach"):
        as_config({"stop_at": text})


def test_patience_counts_epochs_without_a_better_one():
    config = as_config({"patience": 2, "epochs": 9})
    course = stopping.Course(config)
    reasons = [course.add(row) for row in rows_of(0.5, 0.6, 0.6, 0.7, 0.6, 0.7)]
    assert reasons == ["", "", "", "", "", "patience"]
    assert course.may_stop and not stopping.Course(as_config({})).may_stop
    assert stopping.reason(as_config({"epochs": 6}), rows_of(0.5, 0.6, 0.6, 0.7, 0.6, 0.7)) == "epochs"
    assert stopping.reason(as_config({"epochs": 7}), rows_of(0.5, 0.6, 0.6, 0.7, 0.6, 0.7)) == ""


def test_what_an_epoch_would_end_is_told_before_it_counts():
    """Asked again and again, and of an epoch that has lost its cost not, whatever ends it."""
    course = stopping.Course(as_config({"patience": 2, "epochs": 9, "stop_at": "val_accuracy>=0.9"}))
    rows = rows_of(0.5, 0.4, 0.4)
    told = [[course.ends_with(row), course.ends_with(row), bool(course.add(row))] for row in rows]
    assert told == [[False] * 3, [False] * 3, [True] * 3]
    assert course.ends_with(rows_of(0.9)[0])
    assert not any(course.ends_with(rows_of(0.9, loss=loss)[0]) for loss in (float("nan"), float("inf"), None))


def test_a_regression_is_stopped_by_its_cost():
    rows = [{"epoch": i, "loss": c, "val_loss": c, "val_accuracy": None} for i, c in enumerate((3.0, 2.0, 2.5), 1)]
    assert stopping.reason(as_config({"patience": 1}), rows) == "patience"
    assert stopping.reason(as_config({"patience": 1}), rows[:2]) == ""


def test_the_ending_says_why():
    config = as_config({"stop_at": "val_accuracy>=0.6", "epochs": 9})
    assert screen.ending(rows_of(0.5, 0.6), config).endswith(" Stopped after epoch 2 of 9: val_accuracy>=0.6.")
    assert "Stopped" not in screen.ending(rows_of(0.5, 0.6), as_config({"epochs": 2}))


def test_a_stopped_run_goes_on_as_one_that_was_never_stopped(tmp_path, no_figures):
    """Stopped after its second epoch, which is probed as the last one is; the same command changes nothing; with
    --continue it has the bits of a run that had all epochs from the start, and fewer epochs are refused."""
    whole = train.train_and_evaluate(make_config(epochs=4), tmp_path / "whole")
    target = whole[1]["val_accuracy"]
    assert target > whole[0]["val_accuracy"]
    stops = make_config(epochs=4, stop_at=f"val_accuracy>={target}", probe_every=3)
    timeless = lambda rows: [{name: row[name] for name in row if name != "seconds"} for row in rows]  # noqa: E731
    rows = train.train_and_evaluate(stops, tmp_path / "run")
    assert [is_probed(row) for row in rows] == [False, True] and timeless(rows)[1] == timeless(whole)[1]
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    assert len(train.train_and_evaluate(stops, tmp_path / "run")) == 2
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before

    with pytest.raises(RunError, match=r"stop_at .* accepted: --continue, the same config or a new folder"):
        train.train_and_evaluate(make_config(epochs=4), tmp_path / "run")
    with pytest.raises(RunError, match="4 epochs, 3 here; accepted with --continue: more"):
        train.train_and_evaluate(make_config(epochs=3), tmp_path / "run", goes_on=True)
    with pytest.raises(RunError, match="seed 0 there, 1 here"):
        train.train_and_evaluate(make_config(epochs=4, seed=1), tmp_path / "run", goes_on=True)
    rows = train.train_and_evaluate(make_config(epochs=4), tmp_path / "run", goes_on=True)
    assert timeless(rows)[1:] == timeless(whole)[1:]
    arrays, expected = (np.load(tmp_path / name / "final.npz") for name in ("run", "whole"))
    assert all(np.array_equal(arrays[name], expected[name]) for name in expected)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["stop_at"] == ""
