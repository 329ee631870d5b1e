"""Ctrl-C while a command still imports."""

import gc
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from training import starting

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command",
    [
        ["train.py", "--config=configs/shallow.py"],
        ["input_pipeline.py", "--describe=mnist"],
        ["-m", "experiments.sweep", "--config=configs/shallow.py"],
        ["-m", "experiments.lecture.neurons"],
    ],
)
def test_it_ends_in_one_line(command, signals_by_default):
    """Status 130, and no traceback of what was being imported; Python tells what it imports, and so when."""
    command, pipe = [sys.executable, "-v", *command], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as started:
        assert started.stderr and started.stdout
        for line in started.stderr:
            if "/jax/" in line:
                break
        started.send_signal(signal.SIGINT)
        output, said = started.communicate(timeout=60)
    assert (started.returncode, output) == (130, "interrupted\n")
    assert "Traceback" not in said


def test_importing_changes_no_handler():
    """Other people's programs keep theirs, and their garbage is looked for."""
    assert not starting.is_command()
    code = (
        "import gc, signal, train, experiments.engine.lanes; print(signal.getsignal(2) is signal.default_int_handler, "
    )
    ended = subprocess.run([sys.executable, "-c", code + "gc.isenabled())"], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout == "True True\n"


def test_a_command_that_runs_looks_for_garbage():
    """Not before: what is imported stays."""
    gc.disable()
    try:
        starting.hand_over()
        assert gc.isenabled()
    finally:
        gc.enable()
    code = (
        "import sys; sys.orig_argv = ['python', '-m', 'experiments.sweep']; import gc; from training import starting; "
    )
    code += "print(gc.isenabled()); starting.hand_over(); print(gc.isenabled())"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout == "False\nTrue\n"
