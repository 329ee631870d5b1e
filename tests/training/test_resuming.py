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
import jax.numpy as jnp
import numpy as np
import pytest
from small_run import (
    EPOCHS,
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
from training.checkpoints import restore
from training.files import RunError, digests_of
from training.provenance import environment
from training.run_directory import RunDirectory

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
