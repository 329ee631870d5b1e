"""A run stopped at any instant ends as if it had never been stopped.

Metrics are compared exactly and states bit for bit: a resumed run that is only close to the unbroken one is wrong.
"""

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

import jax
import numpy as np
import pytest
from small_run import (
    KEYS,
    ROOT,
    assert_ends_as,
    checkpoints,
    last_state,
    lose_newer_checkpoints,
    make_config,
    metrics,
    snapshot,
    strict_rows,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train
from configs import shallow
from training import console, run_directory
from training.files import RunError
from training.run_directory import RunDirectory

pytestmark = pytest.mark.usefixtures("programs_once")
OLD_RUNS = ROOT / "tests" / "data" / "run_37428e6"


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


def test_run_ended_by_signals(tmp_path, no_figures, signals_by_default):
    """A process ended by KILL and HUP at random instants, in any order, and started again each time, ends as the
    unbroken run; HUP says how to go on, and leaves its checkpoint. (TERM ends a sweep, in tests/engine.)"""
    seed = random.SystemRandom().randrange(10**6)
    dice, config = random.Random(seed), make_config(epochs=60, checkpoint_every=20)
    train.train_and_evaluate(config, tmp_path / "unbroken")
    workdir, instants = tmp_path / "ended", []
    endings = {signal.SIGKILL: -9, signal.SIGHUP: 129}
    for number in dice.sample(list(endings), 2):
        epochs, delay = dice.randint(4, 10), dice.uniform(0, 0.05)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command(workdir, config), cwd=ROOT, text=True, **pipes) as run:
            lines = (line for line in run.stdout if line.startswith("Epoch "))
            seen = [int(re.match(r"Epoch (\d+)/60 ", next(lines))[1]) for _ in range(epochs)]
            with pytest.raises(RunError, match="in use by another process"):
                RunDirectory(workdir, train.as_config(config))
            time.sleep(delay)
            run.send_signal(number)
            output, errors = run.communicate()
        instants.append((number.name, seen[0], seen[-1], round(delay, 3)))
        assert run.returncode == endings[number] and errors == "", f"seed {seed}: {instants}: {errors}"
        if number != signal.SIGKILL:
            *_, last = output.splitlines()
            assert last == f"interrupted; the same command with --workdir={workdir} goes on from there"
            assert checkpoints(workdir)[-1] == len(strict_rows(workdir)) >= seen[-1], f"seed {seed}: {instants}"
    assert instants[0][1] == 1 and instants[1][1] >= 1, f"seed {seed}: {instants}"
    train.train_and_evaluate(config, workdir)
    assert metrics(strict_rows(workdir)) == metrics(strict_rows(tmp_path / "unbroken")), f"seed {seed}: {instants}"
    assert_ends_as(workdir, tmp_path / "unbroken", config)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_waits_for_the_end_of_its_epoch(tmp_path, finished, no_figures, monkeypatch, signals_by_default, number):
    """An epoch is finished and saved though it is none that has a checkpoint; the next regular one replaces it."""
    record = RunDirectory.record

    def signalled(self, row, *rest):
        if row["epoch"] == 3:
            os.kill(os.getpid(), number)
        record(self, row, *rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) as caught, console.endings():
        patch.setattr(RunDirectory, "record", signalled)
        train.train_and_evaluate(make_config(), tmp_path)
    assert console.exit_status(caught.value) == 128 + number
    assert checkpoints(tmp_path) == [2, 3] and len(strict_rows(tmp_path)) == 3
    train.train_and_evaluate(make_config(), tmp_path)
    assert_ends_as(tmp_path, finished, make_config())


def test_signal_right_after_it_was_looked_for(tmp_path, no_figures, monkeypatch, signals_by_default):
    """Between the question whether there is one and the end of an epoch that has no checkpoint: the run goes on to the
    end of the next one, so that it leaves the state of its last row."""
    asked, looks = console.Held.asked.fget, []

    def signalled(self):
        found = asked(self)
        looks.append(found)
        if len(looks) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    monkeypatch.setattr(console.Held, "asked", property(signalled))
    with pytest.raises(KeyboardInterrupt), console.endings():
        train.train_and_evaluate(make_config(), tmp_path)
    assert looks == [False, False]  # After epochs 1 and 3; 2 and 4 are saved unasked.
    assert checkpoints(tmp_path)[-1] == len(strict_rows(tmp_path)) == 4


def test_other_versions_are_said(copy, capsys):
    """A run that was begun under another version of a package says so when it goes on."""
    path = copy / "config.json"
    recorded = run_directory.read_recorded(path)
    run_directory.write_recorded(path, recorded | {"versions": recorded["versions"] | {"jax": "0.0.1"}})
    with RunDirectory(copy, train.as_config(make_config())) as run:
        run.restore(train.initial_state(make_config()))
    (warning,) = capsys.readouterr().err.splitlines()
    now = importlib.metadata.version("jax")
    assert warning == f"warning: {copy} was begun with jax 0.0.1, now {now}: the last bits may differ"


def test_other_conditions_are_said(copy, capsys, no_figures, monkeypatch):
    """What the last bits depend on besides is recorded, and said where it differs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64))
    monkeypatch.setenv("XLA_FLAGS", "--xla_of_another_kind=true")
    path = copy / "config.json"
    recorded = run_directory.read_recorded(path)
    cores = recorded["environment"]["cores"]
    run_directory.write_recorded(path, recorded | {"environment": recorded["environment"] | {"XLA_FLAGS": "--xla_a=1"}})
    with RunDirectory(copy, train.as_config(make_config())) as run:
        run.restore(train.initial_state(make_config()))
    assert capsys.readouterr().err == (
        f"warning: {copy} was begun with cores {cores}, now 64; XLA_FLAGS --xla_a=1, now --xla_of_another_kind=true: "
        "the last bits may differ\n"
    )


def refused(workdir, state, *said):
    """The folder cannot go on with such a state, and nothing in it is changed."""
    before = {path: found for path, found in snapshot(workdir).items() if path.name != ".lock"}
    with RunDirectory(workdir, train.as_config(make_config())) as run, pytest.raises(RunError) as caught:
        run.restore(state)
    assert "damaged" not in str(caught.value) and "\n" not in str(caught.value)
    for words in ("the checkpoint of epoch 6 in", "is of other arrays than this run", *said):
        assert words in str(caught.value)
    assert {path: found for path, found in snapshot(workdir).items() if path.name != ".lock"} == before


def test_other_random_numbers_are_refused(copy, capsys):
    """A state whose keys are those of another generator is no damage: the progress stays as it is."""
    before = jax.config.jax_default_prng_impl
    jax.config.update("jax_default_prng_impl", "rbg")
    try:
        refused(copy, train.initial_state(make_config()), "dropout_key uint32[2] there, uint32[4] here")
        with pytest.raises(RunError, match="is of other arrays than this run"):
            train.evaluate_only(make_config(), copy)
    finally:
        jax.config.update("jax_default_prng_impl", before)
    assert "damaged" not in capsys.readouterr().err


def test_checkpoint_of_other_arrays_is_refused(copy):
    """Another network, another type of numbers, another optimizer."""
    refused(copy, train.initial_state(make_config(hidden=(9,))), "float32[8] there, float32[9] here")
    state = train.initial_state(make_config())
    refused(copy, state._replace(step=np.int64(0)), "step int32[] there, int64[] here")
    refused(copy, train.initial_state(make_config(optimizer="adam", momentum=0.0)), "missing there")


# ---------------------------------------------------------------------------------------------------------------------
# One run, written or recorded otherwise.


@pytest.mark.parametrize("probes", ["saturation,speed", "saturation, speed", ["saturation", "speed", "saturation"]])
def test_config_written_another_way(finished, capsys, probes):
    """One config is one run, to go on with and to evaluate."""
    config = make_config()
    with config.unlocked(), config.ignore_type():
        config.probes, config.hidden, config.learning_rate = probes, [8], 1
    before = snapshot(finished)
    train.train_and_evaluate(config, finished)
    train.evaluate_only(config, finished)
    assert "nothing was changed" in capsys.readouterr().out and snapshot(finished) == before


def test_what_is_recorded_may_change(tmp_path, finished, empty_figures):
    """A run goes on with other probes and checkpoints: rows from then on have other columns, config.json says what is
    recorded now, figures are of what there is, and what is trained has the same bits."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(InterruptedRun):
        interrupt(patch, "save", 4, "after")
        train.train_and_evaluate(make_config(), tmp_path)
    now = make_config(probes=("noise",), checkpoint_every=5)
    train.train_and_evaluate(now, tmp_path)
    rows, wanted = strict_rows(tmp_path), strict_rows(finished)
    assert [list(row) for row in rows[:4]] == [list(row) for row in wanted[:4]]
    names = ["noise/covariance_trace", "noise/gradient_squared", "noise/scale"]
    assert [list(row) for row in rows[4:]] == [KEYS + names] * 2
    assert [[row[name] for name in KEYS[:-1]] for row in rows] == [[row[name] for name in KEYS[:-1]] for row in wanted]
    assert run_directory.read_config(tmp_path) == train.as_config(now)
    assert checkpoints(tmp_path) == [5, 6]
    assert run_directory.finished(tmp_path, train.as_config(now)) == rows
    # Asked for too late, the first probes change nothing.
    assert train.train_and_evaluate(make_config(), tmp_path) == rows
    assert run_directory.read_config(tmp_path) == train.as_config(make_config())
    assert (tmp_path / "figures" / "activations.png").exists()


# ---------------------------------------------------------------------------------------------------------------------
# Runs of earlier versions: begun at commit 37428e6 and stopped in the third of four epochs.


def old_config(variant):
    """The config of a run in tests/data, as its file was written then."""
    config = json.loads((OLD_RUNS / variant / "config.json").read_text())["config"]
    return train.as_config(config)


def test_run_of_an_earlier_version_goes_on(tmp_path, empty_figures, capsys):
    """It ends with the numbers that it would have ended with then, and has digests from then on."""
    workdir = shutil.copytree(OLD_RUNS / "sgd", tmp_path / "run")
    train.train_and_evaluate(old_config("sgd"), workdir)
    output = capsys.readouterr()
    assert "Going on after epoch 2 of 4." in output.out
    said = [line for line in output.err.splitlines() if "was begun with" not in line]
    assert said == [f"warning: the rows of {workdir} have no digests, so that a changed number would not be noticed"]
    expected = [json.loads(line) for line in (OLD_RUNS / "sgd_metrics.jsonl").read_text().splitlines()]
    for row, wanted in zip(strict_rows(workdir), expected, strict=True):
        # On the machine that wrote them they are equal to the bit.
        assert row.keys() == wanted.keys()
        assert {**row, "seconds": 0} == pytest.approx({**wanted, "seconds": 0}, rel=1e-4, abs=1e-5)
    assert "digest" in json.loads((workdir / "config.json").read_text())
    before = snapshot(workdir)
    train.train_and_evaluate(old_config("sgd"), workdir)
    assert capsys.readouterr().err == "" and snapshot(workdir) == before


@pytest.mark.parametrize("variant", ["sgd", "adam"])
def test_run_of_an_earlier_version_is_evaluated(capsys, variant):
    """Its checkpoint has the validation cost that its rows say."""
    row = strict_rows(OLD_RUNS / variant)[1]
    before = snapshot(OLD_RUNS / variant)
    train.evaluate_only(run_directory.read_config(OLD_RUNS / variant), OLD_RUNS / variant)
    output = capsys.readouterr()
    assert f"val_loss: {row['val_loss']:.4f}  val_accuracy: {row['val_accuracy']:.4f}" in output.out
    assert output.err == "" and snapshot(OLD_RUNS / variant) == before


def test_adam_of_an_earlier_version_goes_on(tmp_path, no_figures):
    """The structure of its state is still that of Adam's, with batch normalization and dropout beside it."""
    workdir = shutil.copytree(OLD_RUNS / "adam", tmp_path / "run")
    rows = train.train_and_evaluate(old_config("adam"), workdir)
    assert len(rows) == 4 and rows[:2] == strict_rows(OLD_RUNS / "adam")[:2]
    assert rows[3]["loss"] < rows[1]["loss"]
    assert int(last_state(workdir, old_config("adam"))[0].step) == 4 * 6
