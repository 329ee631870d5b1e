"""That the count of faults changes what it says, and calls each outcome what it is."""

import random
import sys
from pathlib import Path

import pytest

from experiments.benchmarks import faults
from training.console import warn
from training.files import RunError

LINES = b'{"epoch": 1, "loss": 0.25}\n{"epoch": 2, "loss": 0.5}\n'


@pytest.mark.parametrize("kind", ["flip", "digit", "type", "cut"])
def test_mutations_change_the_content(kind):
    """Each of a hundred is another content, a digit as long as before, and none fails on an empty file or on bytes."""
    for seed in range(100):
        dice = random.Random(seed)
        changed = faults.MUTATIONS[kind](LINES, dice)
        assert changed != LINES
        assert kind != "digit" or sum(a != b for a, b in zip(changed, LINES, strict=True)) == 1
        for content in (b"", b"\xff\x00"):
            faults.MUTATIONS[kind](content, dice)


def test_one_file_is_changed(tmp_path):
    """What is said to have been changed is what has been."""
    for seed in range(50):
        (tmp_path / "a.json").write_bytes(LINES)
        (tmp_path / "b.json").write_bytes(LINES)
        how = faults.mutate(tmp_path, random.Random(seed))
        left = {path.name for path in tmp_path.iterdir() if path.read_bytes() == LINES}
        assert {"a.json", "b.json"} - left == {how.split()[-1]}


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (lambda: True, "right"),
        (lambda: False, "wrong"),
        (lambda: warn("said") or True, "reported"),
        (lambda: warn("said") or False, "wrong"),
        (lambda: (_ for _ in ()).throw(RunError("one line")), "reported"),
        (lambda: (_ for _ in ()).throw(RunError("two\nlines")), "traceback"),
        (lambda: {}["a bug"], "traceback"),
        (lambda: print("Traceback (most recent call last)", file=sys.stderr) or True, "traceback"),
    ],
)
def test_classes(outcome, expected):
    """Right, reported, silently wrong, or a traceback."""

    def judge(folder):
        found = outcome()
        return next(found) if hasattr(found, "__next__") else found

    assert faults.classify(Path("folder"), judge) == expected


SLOW = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1].removeprefix("--workdir="))
folder.mkdir(exist_ok=True)
time.sleep(0.05)
(folder / "result").write_text("the same")
"""


def test_a_signal_that_comes_too_late_is_no_kill(monkeypatch):
    """As many kills are counted as signals have ended the command, however many came after its end."""
    came = []
    run_command = faults.run_command

    def counting(arguments, folder, number=0, delay=None):
        ended = run_command(arguments, folder, number, delay)
        came.extend([ended] if delay is not None else [])
        return ended

    monkeypatch.setattr(faults, "run_command", counting)
    monkeypatch.setattr(
        faults, "commands", lambda ray: [("script", ["-c", SLOW], lambda folder: (folder / "result").read_text())]
    )
    # A measured time is not needed here: half of the delays are longer than the script takes.
    monkeypatch.setattr(faults.random.Random, "uniform", lambda dice, low, high: dice.choice([0.01, 5.0]))
    counts, bad = faults.count_kills(5, seed=0)
    assert counts == {"kills of script": {"right": 5}} and bad == []
    assert sum(ended.was_signalled for ended in came) == 5 < len(came)


def test_a_start_that_fails_by_itself_is_counted(monkeypatch, tmp_path):
    """What crashes before its signal comes is no "right", though the next start goes well."""
    script = SLOW.replace(
        "time.sleep(0.05)", "assert not (folder / 'torn').exists(); (folder / 'torn').touch(); time.sleep(5)"
    )
    found, instants = faults.ended_by_signals(["-c", script], tmp_path / "run", [1.0, 5.0], faults.random.Random(0))
    assert found == "traceback" and instants[-1] == "no signal, status 1: AssertionError"
