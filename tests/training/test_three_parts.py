"""Training, validation and test set in a run: what is measured where, and that nothing is chosen by the test set."""

import json

import jax
import numpy as np
import pytest
from small_run import KEYS, make_config, metrics, strict_rows
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import input_pipeline
import train
from training import figures, run_directory, screen
from training.batches import make_data
from training.config import ConfigError
from training.fitting import check_fits, with_targets
from training.records import is_probed

pytestmark = pytest.mark.usefixtures("programs_once")
TESTED = [*KEYS[:-1], "test_loss", "test_accuracy", "seconds"]


def held_out(**changes):
    """The small run with 100 of its 512 training examples held out."""
    return make_config(validation="100", **changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with examples held out, and what it printed; not to be changed."""
    workdir = tmp_path_factory.mktemp("tested") / "run"
    with pytest.MonkeyPatch.context() as patch:
        said = []
        patch.setattr(train, "say", said.append)
        patch.setattr(run_directory, "save_figure", lambda figure, path: path.write_bytes(b""))
        train.train_and_evaluate(held_out(), workdir)
    return workdir, said


def test_rows_have_the_test_set_beside_the_validation(run):
    """After the last epoch they are those of the weights on 100 examples held out and on the 256 of the test set."""
    workdir, _ = run
    rows = strict_rows(workdir)
    assert [list(row)[: len(TESTED)] for row in rows] == [TESTED] * 6
    synthetic = input_pipeline.synthetic()
    with np.load(workdir / "final.npz") as found:
        arrays = {name: np.float64(found[name]) for name in found.files}
    parts = {
        "val": (synthetic.images[-100:], synthetic.labels[-100:]),
        "test": (synthetic.validation_images, synthetic.validation_labels),
    }
    for part, (images, labels) in parts.items():
        a_NxH = 1 / (1 + np.exp(-(images / 255 @ arrays["hidden_0/kernel"] + arrays["hidden_0/bias"])))
        z_NxC = a_NxH @ arrays["output/kernel"] + arrays["output/bias"]
        a_NxC = np.exp(z_NxC) / np.exp(z_NxC).sum(axis=1, keepdims=True)
        assert rows[-1][f"{part}_loss"] == pytest.approx(np.mean((a_NxC - np.eye(10)[labels]) ** 2), rel=1e-4)
        assert rows[-1][f"{part}_accuracy"] == pytest.approx(np.mean(z_NxC.argmax(axis=1) == labels), abs=1e-6)
    events = EventAccumulator(str(workdir)).Reload()
    found = [scalar.value for scalar in events.Scalars("test_accuracy")]
    assert found == [float(np.float32(row["test_accuracy"])) for row in rows]


def test_what_is_said(run, capsys):
    """What is validated on at the start, no test numbers in an epoch's line, those of the best epoch at the end."""
    workdir, said = run
    rows = strict_rows(workdir)
    line = "Validation: the last 100 training examples; the test set (256 examples) is measured beside it"
    assert line in said
    best = max(rows, key=lambda row: row["val_accuracy"])
    end = f"Best val_accuracy {best['val_accuracy']:.4f} at epoch {best['epoch']} (test_accuracy "
    assert [text for text in said if text.startswith(f"{end}{best['test_accuracy']:.4f} there); final val_accuracy")]
    assert "test" not in screen.epoch_line(rows[0], 6, 5)
    train.evaluate_only(held_out(), workdir)
    title, result, *_, last = capsys.readouterr().out.splitlines()
    assert "on 100 validation examples" in title
    assert result == f"val_loss: {rows[-1]['val_loss']:.4f}  val_accuracy: {rows[-1]['val_accuracy']:.4f}"
    test = f"test_loss: {rows[-1]['test_loss']:.4f}  test_accuracy: {rows[-1]['test_accuracy']:.4f}"
    assert last == f"{test}  on 256 test examples"
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*")}
    train.train_and_evaluate(held_out(), workdir)
    assert "nothing was changed" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*")} == before


def test_best_is_chosen_by_validation():
    """Whatever the test set would say, of equals the first; rows of earlier versions have none."""

    def row(epoch, accuracy, test):
        return {"epoch": epoch, "loss": 1.0, "val_loss": 0.5, "val_accuracy": accuracy, "test_accuracy": test}

    rows = [row(1, 0.8, 0.1), row(2, 0.8, 0.95), row(3, 0.7, 0.99)]
    assert screen.conclusion(rows) == (
        "Best val_accuracy 0.8000 at epoch 1 (test_accuracy 0.1000 there); final val_accuracy 0.7000, val_loss 0.5000 "
        "at epoch 3."
    )
    del rows[0]["test_accuracy"]
    assert screen.conclusion(rows).startswith("Best val_accuracy 0.8000 at epoch 1; final")
    regression = [{"epoch": 1, "loss": 1.0, "val_loss": 0.25, "val_accuracy": None, "test_loss": 0.5}]
    assert screen.conclusion(regression) == (
        "Best val_loss 0.2500 at epoch 1 (test_loss 0.5000 there); final val_loss 0.2500 at epoch 1."
    )


def test_the_test_set_changes_no_bit(run, tmp_path, no_figures, monkeypatch):
    """All else is as where the data set has no test part, and then no row has more than before."""
    synthetic = input_pipeline.synthetic()
    untested = input_pipeline.Dataset(*synthetic[:2], synthetic.images[:0], synthetic.labels[:0])
    monkeypatch.setattr(train.input_pipeline, "load", lambda *_: untested)
    rows = train.train_and_evaluate(held_out(), tmp_path)
    assert list(rows[0])[: len(KEYS)] == KEYS and "test_loss" not in rows[0]
    tested = [{name: row[name] for name in row if not name.startswith("test_")} for row in strict_rows(run[0])]
    assert metrics(rows) == metrics(tested)
    assert (tmp_path / "final.npz").read_bytes() == (run[0] / "final.npz").read_bytes()


def test_run_whose_first_rows_have_no_test_set(run, tmp_path, no_figures, monkeypatch, capsys):
    """As one of an earlier version: it goes on, to the same numbers, and is not begun again for what it lacks."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        split = input_pipeline.split
        patch.setattr(
            train.input_pipeline,
            "split",
            lambda *given: split(*given)._replace(test_images=np.empty((0, 784)), test_labels=np.empty(0, int)),
        )
        save = run_directory.RunDirectory.save

        def stop(self, epoch, state):
            save(self, epoch, state)
            raise KeyboardInterrupt

        patch.setattr(run_directory.RunDirectory, "save", stop)
        train.train_and_evaluate(held_out(probe_every=2), tmp_path)
    rows = train.train_and_evaluate(held_out(probe_every=2), tmp_path)
    assert "Going on after epoch 2 of 6." in capsys.readouterr().out
    assert ["test_loss" in row for row in rows] == [False] * 2 + [True] * 4
    assert [row["val_loss"] for row in rows] == [row["val_loss"] for row in strict_rows(run[0])]
    # A row with a test set alone was not probed, and lacks no histograms.
    assert [is_probed(row) for row in rows] == [False, True] * 3
    counted = [json.loads(line)["epoch"] for line in (tmp_path / "histograms.jsonl").read_text().splitlines()]
    assert counted == [2, 4, 6]
    figures.draw_learning_curves(rows, 0.09)


def test_curves_of_the_test_set_are_faint(run):
    """A third line in each panel, as it was measured; none where it was not."""
    rows = strict_rows(run[0])
    for axis, name in zip(figures.draw_learning_curves(rows, 0.09).axes, ("loss", "accuracy"), strict=True):
        line = axis.get_lines()[2]
        assert line.get_label() == "test" and line.get_alpha() < 0.5
        assert list(line.get_ydata()) == [row[f"test_{name}"] for row in rows]
    untested = [{name: row[name] for name in row if not name.startswith("test_")} for row in rows]
    labels = {line.get_label() for axis in figures.draw_learning_curves(untested, 0.09).axes for line in axis.lines}
    assert "test" not in labels


def test_what_a_data_set_says_of_itself():
    """With a test set, with examples held out beside it, and without one."""
    whole, config = input_pipeline.synthetic(), train.as_config(held_out())
    parted = input_pipeline.split(whole, 0, "100")
    assert screen.validation_line(train.as_config(make_config()), whole) == "Validation: the test set (256 examples)"
    alone = parted._replace(test_images=whole.images[:0], test_labels=whole.labels[:0])
    assert screen.validation_line(config, alone) == "Validation: the last 100 training examples"
    assert make_data(config, whole).test is None and make_data(config, alone).test is None
    images, labels = make_data(config, parted).test
    assert images is whole.validation_images and labels is whole.validation_labels
    assert len(jax.tree.leaves(make_data(config, parted))) == 8


def test_labels_of_the_test_set_have_to_fit():
    """A class that only the test set has; whole targets of a regression in all three parts."""
    parted = input_pipeline.split(input_pipeline.synthetic(), 0, "100")
    other = parted._replace(test_labels=parted.test_labels + 1)
    with pytest.raises(ConfigError, match=r"go up to 10; accepted: --config\.classes=11"):
        check_fits(train.as_config(held_out()), other)
    one = with_targets(train.as_config({"classes": 1, "output": "identity"}), parted)
    assert one.test_labels.shape == (256, 1) and one.test_labels.dtype == np.float32
