"""What a run leaves on disk, and that a run stopped at any instant ends as if it had never been stopped.

Metrics are compared exactly and states bit for bit: a resumed run that is only close to the unbroken one is wrong.
"""

import gc
import importlib.metadata
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.experimental.compilation_cache import compilation_cache
from run_directory import RunDirectory, RunError
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

import train
from configs import deep, shallow
from training import run_directory
from training.checkpoints import restore
from training.files import write_atomically
from training.provenance import PACKAGES, git_revision
from training.records import histogram

ROOT = Path(__file__).parent.parent
KEYS = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
# What the default probes add for one bounded hidden layer.
SATURATION = ["activation_mean", "activation_p98", "activation_std", "phi", "saturation", "slope_mass"]
SPEED = ["displacement", "gradient_norm", "speed", "update_ratio"]
PROBE_KEYS = sorted(
    [f"{measure}/hidden_0" for measure in SATURATION + SPEED]
    + [f"{measure}/output" for measure in [*SPEED, "wrong_side"]]
)
EPOCHS = 6

# Orbax leaves coroutines and callbacks behind where an array of a damaged checkpoint cannot be read.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine '.*read.*' was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. (None|<coroutine):pytest.PytestUnraisableExceptionWarning"
    ),
]


def make_config(variant="momentum", **changes):
    """A small net on the synthetic data, with a checkpoint every second epoch."""
    config = {"momentum": shallow, "deep": deep}[variant].get_config()
    config.dataset = "synthetic"
    config.hidden = (8,)
    config.learning_rate = 0.01 if variant == "deep" else 1.0
    config.batch_size = 100
    config.epochs = EPOCHS
    config.checkpoint_every = 2
    if variant == "momentum":
        config.momentum, config.l2 = 0.9, 1e-3
    config.update(changes)
    return config


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Compiles every program of these tests once, also those of other processes; returns their environment."""
    folder = str(tmp_path_factory.mktemp("compilation_cache"))
    settings = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    compilation_cache.reset_cache()
    for name, value in settings.items():
        jax.config.update(name, value)
    yield os.environ | {name.upper(): str(value) for name, value in settings.items()}
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture
def no_figures(monkeypatch):
    """Runs end without their figures, which take longer than all the rest."""
    monkeypatch.setattr(RunDirectory, "draw_figures", lambda *arguments: None)


@pytest.fixture(scope="module")
def finished(cache, tmp_path_factory):
    """A run that has ended, with its figures; not to be changed."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    train.train_and_evaluate(make_config(), workdir)
    return workdir


@pytest.fixture(scope="module")
def unbroken(finished, tmp_path_factory):
    """The folder of the unbroken run of a variant; not to be changed."""
    folders = {"momentum": finished}

    def folder(variant):
        if variant not in folders:
            folders[variant] = tmp_path_factory.mktemp(variant)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(RunDirectory, "draw_figures", lambda *arguments: None)
                train.train_and_evaluate(make_config(variant), folders[variant])
        return folders[variant]

    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished run that the test may spoil; without figures, so that it has something left to do."""
    yield shutil.copytree(finished, tmp_path / "copy", ignore=shutil.ignore_patterns("figures"))
    gc.collect()  # What Orbax leaves behind is complained of here rather than in a later test.


def strict_rows(workdir):
    """The rows of metrics.jsonl, read as strict JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    text = (workdir / "metrics.jsonl").read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def metrics(rows):
    """Rows without the time that they took."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def assert_ends_as(workdir, expected, config):
    """Metrics, kept checkpoints and the final state are those of the expected run, bit for bit."""
    assert metrics(strict_rows(workdir)) == metrics(strict_rows(expected))
    assert (workdir / "histograms.jsonl").read_bytes() == (expected / "histograms.jsonl").read_bytes()
    assert checkpoints(workdir) == checkpoints(expected)
    found, epoch = last_state(workdir, config)
    wanted, wanted_epoch = last_state(expected, config)
    assert epoch == wanted_epoch == config.epochs
    leaves = zip(jax.tree.leaves_with_path(found), jax.tree.leaves_with_path(wanted), strict=True)
    for (path, leaf), (other_path, other) in leaves:
        assert path == other_path and leaf.dtype == other.dtype
        assert np.asarray(leaf).tobytes() == np.asarray(other).tobytes(), path


def last_state(workdir, config):
    """The state of the last checkpoint, as numpy arrays, and its epoch."""
    init, key = train.make_train(config).init, jax.random.key(0)
    return restore(workdir, jax.eval_shape(init, train.hyperparameters(config), key))


def checkpoints(workdir):
    """The epochs of which there is a checkpoint, leaving out what was set aside."""
    return sorted(int(entry.name) for entry in (workdir / "checkpoints").iterdir() if entry.name.isdecimal())


def snapshot(folder):
    """Every path under a folder with its time of change and its content."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return {path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None) for path in paths}


class InterruptedRun(BaseException):
    """Stands for the end of the process: nothing in the code catches it."""


def interrupt(patch, method, epoch, when):
    """Makes a method of RunDirectory end the run, before or after it has dealt with that epoch."""
    original = getattr(RunDirectory, method)

    def interrupted(self, first, *rest):
        reached = (first["epoch"] if method == "record" else first) == epoch
        if reached and when == "before":
            raise InterruptedRun
        original(self, first, *rest)
        if reached and when == "after":
            raise InterruptedRun

    patch.setattr(RunDirectory, method, interrupted)


# ---------------------------------------------------------------------------------------------------------------------
# What is written.


def test_config_json_says_what_was_run_by_and_on(finished):
    """config.json holds the whole config, the versions, the device and the git revision."""
    recorded = json.loads((finished / "config.json").read_text())
    assert list(recorded) == ["config", "versions", "device", "git_revision"]
    assert recorded["config"] == make_config().to_dict() | {"hidden": [8], "probes": ["saturation", "speed"]}
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    assert recorded["versions"] == {"python": sys.version.split()[0]} | versions
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
def test_probes_decide_on_figures(probes, names):
    """A run without a group draws and expects no figure of it."""
    expected = {*run_directory.FIGURES} | names
    assert set(run_directory.figure_names(make_config(probes=probes))) == expected


def test_run_without_probes(tmp_path, no_figures):
    """Nothing but the cost and the accuracy is recorded."""
    train.train_and_evaluate(make_config(probes=(), epochs=2), tmp_path)
    assert [list(row) for row in strict_rows(tmp_path)] == [KEYS] * 2
    assert (tmp_path / "histograms.jsonl").read_text() == ""


def test_probes_now_and_then(tmp_path, capsys):
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
    names = run_directory.figure_names(make_config())
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
        ({"checkpoint_every": 1, "checkpoints_kept": 2}, [5, 6]),
        ({"checkpoint_every": 4, "checkpoints_kept": 9}, [4, 6]),
    ],
)
def test_last_checkpoints_are_kept(tmp_path, finished, no_figures, changes, kept):
    """Checkpoints are those of every n-th epoch and of the last one, as many as asked for; nothing else lies there."""
    if changes:
        train.train_and_evaluate(make_config(**changes), tmp_path)
        assert metrics(strict_rows(tmp_path)) == metrics(strict_rows(finished))
    folder = (tmp_path if changes else finished) / "checkpoints"
    assert sorted(entry.name for entry in folder.iterdir()) == [str(epoch) for epoch in kept]


def test_nothing_temporary_is_left(finished):
    """A finished folder holds what its description says, and no temporary file."""
    names = sorted(path.name for path in finished.iterdir() if not path.name.startswith("events.out."))
    assert names == [".lock", "checkpoints", "config.json", "figures", "histograms.jsonl", "metrics.jsonl"]
    assert not [path for path in finished.rglob("*") if "tmp" in path.name]


def test_same_seed_same_run(tmp_path, finished, no_figures):
    """The same config and seed give the same metrics and the same final state; another seed does not."""
    train.train_and_evaluate(make_config(), tmp_path / "again")
    assert_ends_as(tmp_path / "again", finished, make_config())
    other = train.train_and_evaluate(make_config(seed=1, epochs=1), tmp_path / "other")
    assert other[0]["loss"] != strict_rows(finished)[0]["loss"]


# ---------------------------------------------------------------------------------------------------------------------
# Stopped and started again.


@pytest.mark.parametrize(
    ("variant", "stops"),
    [
        ("momentum", [("record", 1, "after"), ("save", 2, "after"), ("record", 4, "before"), ("save", 6, "before")]),
        ("deep", [("save", 4, "before"), ("record", 5, "after")]),
    ],
)
def test_stopped_run_ends_as_the_unbroken_one(tmp_path, unbroken, no_figures, variant, stops):
    """A run that is stopped again and again, around recording and around saving, ends as if it never was."""
    config = make_config(variant)
    for stop in stops:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(InterruptedRun):
            interrupt(patch, *stop)
            train.train_and_evaluate(config, tmp_path)
    train.train_and_evaluate(config, tmp_path)
    assert_ends_as(tmp_path, unbroken(variant), config)


def lose_newer_checkpoints(workdir):
    """As if the run had been stopped before it saved epoch 4."""
    for epoch in (4, 6):
        shutil.rmtree(workdir / "checkpoints" / str(epoch))


def lose_checkpoints(workdir):
    """As if no checkpoint had ever been saved."""
    shutil.rmtree(workdir / "checkpoints")


def tear_last_row(workdir):
    """As if the machine had stopped in the middle of a line."""
    path = workdir / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-40])


def tear_last_row_into_valid_json(workdir):
    """As if the machine had stopped in the middle of a line of which the beginning reads as a number."""
    path = workdir / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]) + "6")


def lose_last_rows(workdir):
    """As if the last rows had not reached the disk, though the checkpoint of epoch 6 had."""
    path = workdir / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))


def lose_a_row(workdir):
    """As if a row in the middle had been deleted by hand."""
    path = workdir / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3] + lines[4:]))


def lose_all_rows(workdir):
    """As if there had never been a metrics.jsonl."""
    (workdir / "metrics.jsonl").unlink()


def lose_histograms(copy):
    """No file of histograms."""
    (copy / "histograms.jsonl").unlink()


def tear_histograms(copy):
    """The file of histograms ends in the middle of the fourth line, as the fourth epoch's row does not."""
    lines = (copy / "histograms.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "histograms.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:40])


def leave_rubbish(workdir):
    """As if the machine had stopped while it wrote a checkpoint."""
    shutil.rmtree(workdir / "checkpoints" / "6")
    shutil.copytree(workdir / "checkpoints" / "4", workdir / "checkpoints" / "6.orbax-checkpoint-tmp")


@pytest.mark.parametrize(
    ("damage", "first"),
    [
        (lose_newer_checkpoints, 3),
        (lose_checkpoints, 1),
        (tear_last_row, 5),
        (tear_last_row_into_valid_json, 5),
        (lose_last_rows, 3),
        (lose_a_row, 3),
        (lose_all_rows, 1),
        (leave_rubbish, 5),
        (lose_histograms, 1),
        (tear_histograms, 3),
    ],
)
def test_run_goes_on_from_what_is_sound(copy, finished, no_figures, capsys, damage, first):
    """With files lost or torn, a run goes on after the last checkpoint that its rows reach, and ends the same."""
    damage(copy)
    train.train_and_evaluate(make_config(), copy)
    output = capsys.readouterr()
    assert [int(n) for n in re.findall(r"^Epoch (\d+)/", output.out, re.MULTILINE)] == list(range(first, EPOCHS + 1))
    assert output.err == ""
    assert_ends_as(copy, finished, make_config())


def test_tensorboard_forgets_what_was_dropped(copy, no_figures):
    """After a resumption TensorBoard shows each epoch once, with the value of metrics.jsonl."""
    lose_newer_checkpoints(copy)
    train.train_and_evaluate(make_config(), copy)
    assert len(list(copy.glob("events.out.*"))) == 2
    events = EventAccumulator(str(copy)).Reload()
    for name in KEYS[1:]:
        found = [(scalar.step, scalar.value) for scalar in events.Scalars(name)]
        assert found == [(row["epoch"], float(np.float32(row[name]))) for row in strict_rows(copy)], name


def command(workdir, config):
    """The command line of a run of configs/shallow.py with what the config changes in it."""
    original = shallow.get_config()
    changes = {name: value for name, value in config.items() if value != original[name]}
    flags = [f"--config.{name}={value}" for name, value in changes.items()]
    return [sys.executable, "train.py", "--config=configs/shallow.py", *flags, f"--workdir={workdir}"]


def test_killed_process(tmp_path, cache, no_figures, compiled_as_in_a_run):
    """A process killed by SIGKILL at random instants, and started again each time, ends as the unbroken run."""
    seed = random.SystemRandom().randrange(10**6)
    dice, config = random.Random(seed), make_config(epochs=40)
    train.train_and_evaluate(config, tmp_path / "unbroken")
    workdir, instants = tmp_path / "killed", []
    for _ in range(2):
        epochs, delay = dice.randint(4, 10), dice.uniform(0, 0.1)
        with subprocess.Popen(command(workdir, config), cwd=ROOT, env=cache, stdout=subprocess.PIPE, text=True) as run:
            lines = (line for line in run.stdout if line.startswith("Epoch "))
            seen = [int(re.match(r"Epoch (\d+)/40 ", next(lines))[1]) for _ in range(epochs)]
            with pytest.raises(RunError, match="in use by another process"):
                RunDirectory(workdir, config)
            time.sleep(delay)
            run.send_signal(signal.SIGKILL)
        instants.append((seen[0], seen[-1], round(delay, 3)))
        assert run.returncode == -signal.SIGKILL, f"seed {seed}: {instants}"
    assert instants[0][0] == 1 and instants[1][0] > 1, f"seed {seed}: {instants}"
    train.train_and_evaluate(config, workdir)
    assert metrics(strict_rows(workdir)) == metrics(strict_rows(tmp_path / "unbroken")), f"seed {seed}: {instants}"
    assert_ends_as(workdir, tmp_path / "unbroken", config)


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
    assert run_directory.finished(finished, make_config()) == strict_rows(finished)
    for missing in ("row", "checkpoints/6", "figures/learning_curves.png"):
        copy = shutil.copytree(finished, tmp_path / missing.replace("/", "_"))
        if missing == "row":
            (copy / "metrics.jsonl").write_text((copy / "metrics.jsonl").read_text().removesuffix(last_row))
        else:
            (copy / missing).rename(tmp_path / "missing")
        assert run_directory.finished(copy, make_config()) == [], missing
        shutil.rmtree(tmp_path / "missing", ignore_errors=True)


def test_missing_figure_is_drawn_again(finished, tmp_path):
    """A run stopped while it drew its figures draws them without training; pictures are the same to the byte."""
    copy = shutil.copytree(finished, tmp_path / "copy")
    (copy / "figures" / "confusion_matrix.png").unlink()
    train.train_and_evaluate(make_config(), copy)
    for name in run_directory.figure_names(make_config()):
        assert (copy / "figures" / name).read_bytes() == (finished / "figures" / name).read_bytes(), name
    assert (copy / "metrics.jsonl").read_bytes() == (finished / "metrics.jsonl").read_bytes()


# ---------------------------------------------------------------------------------------------------------------------
# Folders that cannot be used.


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
    run_directory.check(tmp_path, make_config())


def test_file_as_folder_is_refused(tmp_path):
    """A workdir that is a file is refused."""
    path = tmp_path / "file"
    path.write_text("mine")
    assert_refused(path, make_config(), "is a file")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "7"])
def test_damaged_config_json_is_named(tmp_path, content):
    """A config.json that is no longer one is an error that names it."""
    (tmp_path / "config.json").write_text(content)
    assert_refused(tmp_path, make_config(), "config.json is damaged")


def test_second_handle_is_refused(copy, no_figures):
    """While one run holds the folder a second one is refused; once it is closed, it is free."""
    lose_newer_checkpoints(copy)
    with RunDirectory(copy, make_config()):
        before = snapshot(copy)
        with pytest.raises(RunError, match="in use by another process"):
            train.train_and_evaluate(make_config(), copy)
        after = snapshot(copy)
        assert {path: content for path, (_, content) in after.items()} == {
            path: content for path, (_, content) in before.items()
        }
    with RunDirectory(copy, make_config()) as run:
        assert run.restore(train.initial_state(make_config()))[1] == 2


# ---------------------------------------------------------------------------------------------------------------------
# Damaged checkpoints, full disks, diverging costs.


def checkpoint_files(workdir, epoch):
    """The files of a checkpoint, the largest one first."""
    paths = [path for path in (workdir / "checkpoints" / str(epoch)).rglob("*") if path.is_file()]
    return sorted(paths, key=lambda path: -path.stat().st_size)


def flip_bytes(workdir, epoch):
    """A few bytes in the middle of the weights are not what was written."""
    path = checkpoint_files(workdir, epoch)[0]
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 16] = bytes(byte ^ 255 for byte in content[middle : middle + 16])
    path.write_bytes(content)


def truncate(workdir, epoch):
    """The second half of the weights is missing."""
    path = checkpoint_files(workdir, epoch)[0]
    os.truncate(path, path.stat().st_size // 2)


def delete_weights(workdir, epoch):
    """The file of the weights is missing."""
    checkpoint_files(workdir, epoch)[0].unlink()


def delete_digest(workdir, epoch):
    """The digest is missing."""
    shutil.rmtree(workdir / "checkpoints" / str(epoch) / "digest")


def falsify_digest(workdir, epoch):
    """The weights read well but are not those that were saved."""
    path = workdir / "checkpoints" / str(epoch) / "digest" / "metadata"
    path.write_text(json.dumps({"sha256": "0" * 64}))


def empty(workdir, epoch):
    """Nothing of the checkpoint is there but its folder."""
    shutil.rmtree(workdir / "checkpoints" / str(epoch))
    (workdir / "checkpoints" / str(epoch)).mkdir()


DAMAGES = (flip_bytes, truncate, delete_weights, delete_digest, falsify_digest, empty)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint_is_passed_over(copy, finished, no_figures, capsys, damage):
    """The warning names the damaged checkpoint, the one before is used, and the run ends the same."""
    damage(copy, 6)
    train.train_and_evaluate(make_config(), copy)
    output = capsys.readouterr()
    assert output.out.count("Epoch ") == 2 and "Epoch 5/6" in output.out
    warnings = [line for line in output.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert re.fullmatch(r"warning: the checkpoint of epoch 6 is damaged \(.+\); .*\bepoch 4\b.*", warnings[0])
    assert_ends_as(copy, finished, make_config())


def test_all_checkpoints_damaged_starts_from_the_beginning(copy, finished, no_figures, capsys):
    """Where no checkpoint is sound the run starts over, says so, and ends the same."""
    for epoch in (2, 4, 6):
        truncate(copy, epoch)
    train.train_and_evaluate(make_config(), copy)
    output = capsys.readouterr()
    assert output.out.count("Epoch ") == EPOCHS
    found = re.findall(r"^warning: the checkpoint of epoch (\d) is damaged \(.*\);(?:.* epoch (\d))?", output.err, re.M)
    assert found == [("6", "4"), ("4", "2"), ("2", "")]
    assert_ends_as(copy, finished, make_config())


def test_other_versions_are_said(copy, capsys):
    """A run that was begun under another version of a package says so when it goes on."""
    path = copy / "config.json"
    recorded = json.loads(path.read_text())
    path.write_text(json.dumps(recorded | {"versions": recorded["versions"] | {"jax": "0.0.1"}}))
    with RunDirectory(copy, make_config()):
        pass
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning == f"warning: {copy} was begun with jax 0.0.1, now {importlib.metadata.version('jax')}"


def test_checkpoint_of_another_shape_is_no_checkpoint(copy, capsys):
    """A state of another network is not restored from the folder."""
    other = train.initial_state(make_config(hidden=(9,)))
    state, epoch = restore(copy, other)
    assert epoch == 0 and state is other
    assert capsys.readouterr().err.count("warning: ") == 3


def test_checkpoint_that_cannot_be_written(tmp_path, finished, no_figures, monkeypatch):
    """A full disk ends the run in one line that names the epoch; with room again, it goes on and ends the same."""
    with monkeypatch.context() as patch, pytest.raises(RunError) as caught:

        def full(*arguments, **named):
            raise OSError("No space left\non device")

        patch.setattr(ocp.CheckpointManager, "save", full)
        train.train_and_evaluate(make_config(), tmp_path)
    message = str(caught.value)
    assert "checkpoint of epoch 2 cannot be written" in message and "No space left on device" in message
    assert "\n" not in message
    train.train_and_evaluate(make_config(), tmp_path)
    assert_ends_as(tmp_path, finished, make_config())


def test_metrics_that_cannot_be_written(copy, finished):
    """A full disk ends the run in one line that names metrics.jsonl, also where it takes the row in part."""
    lose_newer_checkpoints(copy)
    row = strict_rows(finished)[2]
    with RunDirectory(copy, make_config()) as run:
        run.restore(train.initial_state(make_config()))
        for file in (HalfFullFile(), open("/dev/full", "wb", buffering=0)):  # noqa: SIM115
            run._metrics.close()
            run._metrics = file
            with pytest.raises(RunError, match=r"cannot be written: .*[Nn]o space left") as caught:
                run.record(row)
            assert "\n" not in str(caught.value)


class HalfFullFile:
    """A file that has room for ten more bytes."""

    name = "metrics.jsonl"

    def write(self, line):
        return min(len(line), 10)

    def close(self):
        pass


def test_no_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    """Where the disk is as good as full, nothing is begun."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**20 - 1))
    with pytest.raises(RunError, match=r"no room in .*: 1,048,575 bytes are free; accepted: at least 1,048,576"):
        train.train_and_evaluate(make_config(), tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())


def diverging(**changes):
    """Plain gradient descent on a linear net, so steep that its weights grow without bound."""
    linear = {"activation": "identity", "output": "identity", "batch_size": 512, "momentum": 0.0}
    return make_config(epochs=30, **linear, **changes)


def test_diverging_cost_ends_the_run(tmp_path, no_figures):
    """A cost beyond float32 raises in one line with its epoch; the rows are kept, as strict JSON, and so on again."""
    config = diverging(learning_rate=1e6, init_scale=10.0)
    with pytest.raises(train.DivergedError) as caught:
        train.train_and_evaluate(config, tmp_path)
    rows = strict_rows(tmp_path)
    last = rows[-1]
    assert 0 < len(rows) < 30 and [list(row)[: len(KEYS)] for row in rows] == [KEYS] * len(rows)
    assert None in (last["loss"], last["val_loss"])
    assert all(row["loss"] is not None and row["val_loss"] is not None for row in rows[:-1])
    message = str(caught.value)
    assert f"epoch {last['epoch']};" in message and "learning rate than 1e+06" in message and "\n" not in message
    with pytest.raises(train.DivergedError, match=re.escape(message)):
        train.train_and_evaluate(config, tmp_path)
    assert metrics(strict_rows(tmp_path)) == metrics(rows)


def test_divergence_is_never_saved(tmp_path, no_figures):
    """A cost that grows over a few epochs leaves only the checkpoints from before it is lost, and so on again."""
    config = diverging(learning_rate=2.5, checkpoint_every=1)
    found = []
    for _ in range(2):
        with pytest.raises(train.DivergedError):
            train.train_and_evaluate(config, tmp_path)
        found.append(metrics(strict_rows(tmp_path)))
        assert checkpoints(tmp_path)[-1] == len(found[-1]) - 1 > 1
    assert found[0] == found[1]


# ---------------------------------------------------------------------------------------------------------------------
# Writing a file.


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch, failing):
    """When the disk fails, the old content stays and no temporary file is left."""
    path = tmp_path / "metrics.jsonl"
    write_atomically(path, "old")

    def fail(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(run_directory.os, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_write_replaces_text_and_bytes(tmp_path):
    """Text and bytes are written whole over what was there, and nothing else is left."""
    path = tmp_path / "file"
    for content, expected in (("a longer text, \u00e9", "a longer text, \u00e9".encode()), (b"\0\xff", b"\0\xff")):
        write_atomically(path, content)
        assert path.read_bytes() == expected and list(tmp_path.iterdir()) == [path]


def test_readers_see_the_old_or_the_new(tmp_path, monkeypatch):
    """Until the new content is complete, the file holds the old one."""
    path = tmp_path / "file"
    write_atomically(path, "old")
    replace, seen = os.replace, []

    def look(source, target):
        seen.append((Path(source).read_text(), path.read_text()))
        replace(source, target)

    monkeypatch.setattr(run_directory.os, "replace", look)
    write_atomically(path, "new")
    assert seen == [("new", "old")] and path.read_text() == "new"
