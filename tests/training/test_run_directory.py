"""What a run leaves on disk, and the folders that it does not take."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from small_run import (
    EPOCHS,
    KEYS,
    PROBE_KEYS,
    ROOT,
    assert_ends_as,
    lose_newer_checkpoints,
    make_config,
    metrics,
    snapshot,
    strict_rows,
)
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

import train
from training import run_directory
from training.files import PlaceError, RunError
from training.provenance import PACKAGES, environment, git_revision
from training.records import histogram
from training.run_directory import RunDirectory

pytestmark = pytest.mark.usefixtures("programs_once")


def test_config_json_says_what_was_run_by_and_on(finished):
    """config.json holds the whole config, the versions, the device and the git revision."""
    recorded = json.loads((finished / "config.json").read_text())
    assert list(recorded) == ["config", "versions", "device", "environment", "git_revision", "digest"]
    assert recorded["config"] == make_config().to_dict() | {
        "hidden": [8],
        "input_shape": [],
        "probes": ["saturation", "speed"],
    }
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    assert recorded["versions"] == {"python": sys.version.split()[0]} | versions
    assert recorded["environment"] == environment()
    assert environment()["jax_default_prng_impl"] == "threefry2x32" and int(environment()["cores"]) >= 1
    device = jax.devices()[0]
    assert recorded["device"] == f"{len(jax.devices())} x {device.platform} ({device.device_kind})"
    if (ROOT / ".git").exists():
        head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        assert recorded["git_revision"].removesuffix("-dirty") == head.stdout.strip()
    else:
        assert recorded["git_revision"] is None


def test_git_revision_without_git(monkeypatch, tmp_path):
    """Where there is no git, or no checkout, there is no revision and no error."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert git_revision() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision() is None


def test_metrics_rows(finished):
    """metrics.jsonl has one row an epoch with exactly these keys in this order, and the run returns the same rows."""
    rows = strict_rows(finished)
    assert [list(row) for row in rows] == [KEYS + PROBE_KEYS] * EPOCHS
    assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
    assert all(type(row[name]) is float for row in rows for name in KEYS[1:])
    assert all(0 <= row[name] <= 1 for row in rows for name in ("accuracy", "val_accuracy"))
    assert all(row["seconds"] >= 0 for row in rows)
    assert rows[-1]["loss"] < rows[0]["loss"] and rows[-1]["val_loss"] < rows[0]["val_loss"]


def test_events_hold_the_scalars(finished):
    """TensorBoard's own loader reads the events back: the rows of metrics.jsonl, epoch by epoch."""
    found = events(finished)
    rows = strict_rows(finished)
    assert sorted(found) == [row["epoch"] for row in rows]
    for row in rows:
        scalars = {tag: array.item() for tag, array in found[row["epoch"]].items() if array.ndim == 0}
        assert scalars == {name: float(np.float32(row[name])) for name in KEYS[1:] + PROBE_KEYS}


def test_histograms_are_on_disk_and_in_the_events(finished):
    """Each probed epoch has a histogram of every layer's outputs on all probe examples; TensorBoard has them too."""
    lines = [json.loads(line) for line in (finished / "histograms.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, EPOCHS + 1))
    found = events(finished)
    for line in lines:
        for layer, units in (("hidden_0", 8), ("output", 10)):
            counted = line[layer]
            # The synthetic data set has 512 training examples, fewer than probe_examples.
            assert sum(counted["counts"]) == 512 * units and 0 <= counted["low"] < counted["high"] <= 1
            left, right, count = found[line["epoch"]][f"activations/{layer}"].T
            assert count.sum() == 512 * units
            assert left.min() >= counted["low"] - 1e-6 and right.max() <= counted["high"] + 1e-6


def events(workdir):
    """Every value of the run's one event file as an array: {step: {tag: array}}."""
    (path,) = workdir.glob("events.out.*")
    found = {}
    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            found.setdefault(event.step, {})[value.tag] = tensor_util.make_ndarray(value.tensor)
    return found


def test_histogram_counts_what_is_finite():
    """Equal bins from the least to the largest finite output; a constant layer and one of NaN alone do no harm."""
    counted = histogram(np.array([[0.0, 1.0, 0.5], [np.nan, np.inf, 1.0]], np.float32))
    assert (counted["low"], counted["high"], sum(counted["counts"])) == (0.0, 1.0, 4)
    assert counted["counts"][0] == 1 and counted["counts"][-1] == 2
    assert sum(histogram(np.full((4, 3), 7.5, np.float32))["counts"]) == 12
    assert sum(histogram(np.full((4, 3), np.nan, np.float32))["counts"]) == 0


@pytest.mark.parametrize(
    ("probes", "names"),
    [((), set()), (("speed",), {"learning_speed.png", "update_ratios.png"}), (("noise",), set())],
)
def test_probes_decide_on_figures(finished, probes, names):
    """A run without a group draws and expects no figure of it, nor one in which it was never measured."""
    expected = {*run_directory.FIGURES}
    config = train.as_config(make_config(probes=probes))
    assert {*run_directory.figure_names(config, strict_rows(finished))} == expected | names
    assert {*run_directory.figure_names(config, [{"epoch": 1, "loss": 1.0}])} == expected


def test_run_without_probes(tmp_path, no_figures):
    """Nothing but the cost and the accuracy is recorded."""
    train.train_and_evaluate(make_config(probes=(), epochs=2), tmp_path)
    assert [list(row) for row in strict_rows(tmp_path)] == [KEYS] * 2
    assert (tmp_path / "histograms.jsonl").read_text() == ""


def test_probes_now_and_then(tmp_path, empty_figures, capsys):
    """Every second epoch and at the end; the figures take what there is."""
    train.train_and_evaluate(make_config(probe_every=2, epochs=5), tmp_path)
    probed = [row["epoch"] for row in strict_rows(tmp_path) if "saturation/hidden_0" in row]
    assert probed == [2, 4, 5]
    assert ["saturated" in line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")] == [
        False,
        True,
        False,
        True,
        True,
    ]
    assert (tmp_path / "figures" / "activations.png").exists()


def test_figures_are_pictures(finished):
    """Every figure is there as a whole PNG of some size."""
    names = run_directory.figure_names(train.as_config(make_config()), strict_rows(finished))
    assert len(names) == 8 and sorted(path.name for path in (finished / "figures").iterdir()) == sorted(names)
    for name in names:
        content = (finished / "figures" / name).read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n") and content.endswith(b"IEND\xaeB`\x82")
        width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
        assert width >= 300 and height >= 100, name


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, [2, 4, 6]),
        ({"checkpoint_every": 2, "checkpoints_kept": 2, "epochs": 5}, [4, 5]),
        ({"checkpoint_every": 4, "checkpoints_kept": 9, "epochs": 5}, [4, 5]),
    ],
)
def test_last_checkpoints_are_kept(tmp_path, finished, no_figures, changes, kept):
    """Checkpoints are those of every n-th epoch and of the last one, as many as asked for; nothing else lies there, and
    nothing else is changed by it."""
    if changes:
        train.train_and_evaluate(make_config(**changes), tmp_path)
        assert metrics(strict_rows(tmp_path)) == metrics(strict_rows(finished)[:5])
    folder = (tmp_path if changes else finished) / "checkpoints"
    assert sorted(entry.name for entry in folder.iterdir()) == [str(epoch) for epoch in kept]


def test_nothing_temporary_is_left(finished):
    """A finished folder holds what its description says, and no temporary file."""
    names = {path.name for path in finished.iterdir() if not path.name.startswith("events.out.")}
    lines = {f"{name}.jsonl{digests}" for name in ("metrics", "histograms") for digests in ("", ".sha256")}
    assert names == {".lock", "checkpoints", "config.json", "figures", "final.npz", "best.npz"} | lines
    assert not [path for path in finished.rglob("*") if "tmp" in path.name]


def test_same_seed_same_run(tmp_path, finished, no_figures):
    """The same config and seed give the same metrics and the same final state; another seed does not."""
    train.train_and_evaluate(make_config(), tmp_path / "again")
    assert_ends_as(tmp_path / "again", finished, make_config())
    other = train.train_and_evaluate(make_config(seed=1, epochs=1), tmp_path / "other")
    assert other[0]["loss"] != strict_rows(finished)[0]["loss"]


def test_finished_run_is_left_alone(finished, capsys):
    """Asked to run again, a finished run says so, returns its rows and changes no file."""
    before = snapshot(finished)
    rows = train.train_and_evaluate(make_config(), finished)
    output = capsys.readouterr().out
    assert rows == strict_rows(finished)
    assert f"{finished} holds this run, finished after {EPOCHS} epochs; nothing was changed." in output
    assert "Epoch" not in output and f"val_accuracy {rows[-1]['val_accuracy']:.4f}" in output
    assert snapshot(finished) == before


def test_what_makes_a_run_finished(finished, tmp_path):
    """A run lacks nothing only with all its rows, its last checkpoint and all its figures."""
    last_row = (finished / "metrics.jsonl").read_text().splitlines(keepends=True)[-1]
    assert run_directory.finished(finished, train.as_config(make_config())) == strict_rows(finished)
    for missing in ("row", "checkpoints/6", "figures/learning_curves.png"):
        copy = shutil.copytree(finished, tmp_path / missing.replace("/", "_"))
        if missing == "row":
            (copy / "metrics.jsonl").write_text((copy / "metrics.jsonl").read_text().removesuffix(last_row))
        else:
            (copy / missing).rename(tmp_path / "missing")
        assert run_directory.finished(copy, train.as_config(make_config())) == [], missing
        shutil.rmtree(tmp_path / "missing", ignore_errors=True)


def test_missing_figure_is_drawn_again(finished, tmp_path):
    """A run stopped while it drew its figures draws them without training; pictures are the same to the byte."""
    copy = shutil.copytree(finished, tmp_path / "copy")
    (copy / "figures" / "confusion_matrix.png").unlink()
    train.train_and_evaluate(make_config(), copy)
    for name in run_directory.figure_names(train.as_config(make_config()), strict_rows(finished)):
        assert (copy / "figures" / name).read_bytes() == (finished / "figures" / name).read_bytes(), name
    assert (copy / "metrics.jsonl").read_bytes() == (finished / "metrics.jsonl").read_bytes()


def assert_refused(workdir, config, *said):
    """The run is refused in one line with these words, and the folder is left as it is."""
    before = snapshot(workdir)
    with pytest.raises(RunError) as caught:
        train.train_and_evaluate(config, workdir)
    message = str(caught.value)
    assert "\n" not in message and str(workdir) in message
    for words in said:
        assert words in message
    assert snapshot(workdir) == before
    return message


def test_another_config_is_refused(finished):
    """A folder with a run of another config is refused, and what differs is said."""
    config = make_config(learning_rate=2.0, hidden=(9,))
    message = assert_refused(finished, config, "learning_rate 1.0 there, 2.0 here")
    assert re.search(r"hidden \S*8\S* there, \S*9\S* here", message) and "epochs" not in message


def test_folder_of_something_else_is_refused(tmp_path):
    """A folder that is neither empty nor a run is refused; one with hidden files alone counts as empty."""
    (tmp_path / "thesis.tex").write_text("mine")
    assert_refused(tmp_path, make_config(), "neither empty nor a run")
    (tmp_path / "thesis.tex").rename(tmp_path / ".thesis.tex")
    run_directory.check(tmp_path, train.as_config(make_config()))


def test_file_as_folder_is_refused(tmp_path):
    """A workdir that is a file is refused."""
    path = tmp_path / "file"
    path.write_text("mine")
    assert_refused(path, make_config(), "is a file")


def test_second_handle_is_refused(copy, no_figures):
    """While one run holds the folder a second one is refused; once it is closed, it is free."""
    lose_newer_checkpoints(copy)
    with RunDirectory(copy, train.as_config(make_config())):
        before = snapshot(copy)
        with pytest.raises(RunError, match="in use by another process"):
            train.train_and_evaluate(make_config(), copy)
        after = snapshot(copy)
        assert {path: content for path, (_, content) in after.items()} == {
            path: content for path, (_, content) in before.items()
        }
    with RunDirectory(copy, train.as_config(make_config())) as run:
        assert run.restore(train.initial_state(make_config()))[1] == 2


def test_folder_elsewhere_is_refused(tmp_path, monkeypatch):
    """An address is no folder, and one whose name is no UTF-8 is none that Orbax and TensorBoard can write."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlaceError, match="gs://bucket/run is not on this machine"):
        train.train_and_evaluate(make_config(), "gs://bucket/run")
    with pytest.raises(RunError, match="no UTF-8"):
        train.train_and_evaluate(make_config(), tmp_path / "a\udcff")
    assert not list(tmp_path.iterdir())


def test_config_is_checked_again_under_the_lock(tmp_path, monkeypatch, no_figures):
    """Of two processes that begin with one new folder, the later one sees the config of the earlier one."""
    check, seen = run_directory.check, []

    def overtaken(workdir, config, *rest):
        check(workdir, config, *rest)
        seen.append(config.seed)
        if seen == [1]:
            patch.setattr(run_directory, "check", check)
            train.train_and_evaluate(make_config(epochs=1, probes=()), workdir)

    with monkeypatch.context() as patch, pytest.raises(RunError, match="seed 0 there, 1 here"):
        patch.setattr(run_directory, "check", overtaken)
        RunDirectory(tmp_path / "run", train.as_config(make_config(epochs=1, probes=(), seed=1)))
    assert run_directory.read_config(tmp_path / "run").seed == 0
    with RunDirectory(tmp_path / "run", train.as_config(make_config(epochs=1, probes=()))):
        pass  # The one that was refused has let the lock go.
