"""The command `python -m experiments.sweep`: resuming, extending, refusing, being killed, and losing a Ray node."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import input_pipeline
from configs import shallow
from experiments.engine import executors, ray_executor, results, space
from experiments.engine.sweep_directory import SweepDirectory
from training import console
from training.config import as_config

ROOT = Path(__file__).parent.parent.parent
SHALLOW = f"--config={ROOT / 'configs' / 'shallow.py'}"
QUICK = (SHALLOW, "--config.dataset=synthetic", "--config.epochs=2", "--config.hidden=8", "--config.probes=")
AXES = ("--axis", "learning_rate=0.1,1", "--seeds=2")
PLAN = '{"base": {}, "swept": [], "starts": [{"versions": {}}], "packs": [{"name": "x"}]}'

# ml_collections loads config files in a way that Python 3.12 drops.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def refused(run, capsys, *arguments):
    """The one line with which the command ends, its status 2."""
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ") and text.count("\n") == 1 and len(text) <= 301, text
    return text


def snapshot(folder):
    """Every file there with its bytes."""
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--axis", "learnin_rate=1"), ("no config field", "did you mean 'learning_rate'?")),
        (("--axis", "learning_rate=fast"), ("'fast' is no float",)),
        (("--axis", "learning_rate="), ("has no values",)),
        (("--axis", "learning_rate=1", "--axis", "learning_rate=2"), ("given twice",)),
        (("--axis", "seed=1", "--seeds=2"), ("--seeds and --axis seed",)),
        (("--axis", "hidden=(64,64)"), ("'(64' is no tuple of int", "layers joined by -, as 64-64")),
        (("--axis", "hidden=" + "9" * 5000), ("is no tuple of int", "layers joined by -, as 64-64")),
        (("--axis", f"hidden={2**31}"), ("config.hidden=(2147483648,)",)),
        (("--workdir=gs://bucket/sweep",), ("gs://bucket/sweep is not on this machine",)),
        (("--workdir=~nobody-of-that-name/x",), ("nobody-of-that-name",)),
        (("--lanes=100000",), ("lanes", "65536")),
        (("--axis", "activation=sigmoid,tahn"), ("config.activation='tahn'", "did you mean 'tanh'?")),
        (("--axis", "batch_size=64,1000"), ("config.batch_size=1000 is more than the 427",)),
        (("--axis", "dataset=synthetic,idx:nowhere"), ("nowhere",)),
        (("--seeds=0",), ("seeds",)),
        (("--lanes=0",), ("lanes",)),
        (("--executor=slurm",), ("executor", "local")),
        (("--workdir=file",), ("file is a file",)),
        (("--workdir=full",), ("neither empty nor a sweep",)),
        (("--workdir=torn",), ("plan.json is damaged",)),
        (("--workdir=other",), ("plan.json is damaged",)),
        (("--address=127.0.0.1:6379",), ("--address is for Ray", "--executor=ray")),
        (("--cpus_per_task=2",), ("--cpus_per_task is for Ray",)),
    ],
)
def test_mistakes_end_in_one_line_and_harm_nothing(call, capsys, tmp_path, arguments, words):
    """What was given, what is accepted; the folder is as it was."""
    (tmp_path / "file").write_text("mine")
    for name, content in (("full/notes.txt", "mine"), ("torn/plan.json", '{"base": '), ("other/plan.json", PLAN)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(content)
    before = snapshot(tmp_path)
    line = refused(call, capsys, *QUICK, *arguments)
    assert all(word in line for word in words), line
    assert snapshot(tmp_path) == before


def test_ray_that_cannot_be_reached_is_said_at_once(call, capsys, tmp_path):
    """A closed port, no port, and no Ray at all."""
    for address in ("127.0.0.1:1", "nowhere", "ray://127.0.0.1:1", "host:99999999"):
        start = time.monotonic()
        line = refused(call, capsys, *QUICK, "--executor=ray", f"--address={address}")
        assert address in line and "accepted: HOST:PORT" in line and time.monotonic() - start < 20
    assert list(tmp_path.iterdir()) == []


def test_a_config_whose_sweep_fails_is_refused_in_one_line(call, capsys, tmp_path):
    """An exception of its own, an end of the program, and a field that does not exist."""
    for body, word in (
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(0)", "it ends the program, SystemExit(0)"),
        ("raise GeneratorExit('so')", "GeneratorExit: so"),
        ("add(learnin_rate=1.0)", "did you mean 'learning_rate'?"),
    ):
        path = tmp_path / "mine.py"
        path.write_text(f"from configs.shallow import get_config\n\ndef sweep(add):\n    {body}\n")
        assert word in refused(call, capsys, f"--config={path}")


def test_dry_run_prints_the_plan_and_leaves_nothing(call, capsys, tmp_path):
    """Trials, groups, packs, lanes, compilations, time."""
    call(*QUICK, *AXES, "--axis", "activation=sigmoid,relu", "--dry_run")
    out = capsys.readouterr().out
    assert "activation=relu: 4 trials in 1 pack of up to 4 lanes (2 rows of 2)" in out
    assert (
        "8 trials, 0 finished; to run: 2 groups, 2 packs, 2 compilations of the epoch, on 2 cpu devices; about" in out
    )
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_is_given_twice_is_run_once_and_said(call, capsys):
    """Commas part values: two layers are joined by a dash."""
    call(*QUICK, "--axis", "hidden=64,64", "--dry_run")
    out = capsys.readouterr().out
    assert "--axis hidden has 64 more than once, which is run once" in out and "layers joined by -, as 64-64" in out
    assert "\n1 trial, 0 finished" in out


def test_flags_may_stand_in_a_file(call, capsys, tmp_path):
    """--flagfile does what its lines do on the command line."""
    (tmp_path / "sweep.txt").write_text("\n".join([*QUICK, "--axis=learning_rate=.1,1", "--seeds=2"]))
    call(f"--flagfile={tmp_path / 'sweep.txt'}", "--dry_run")
    assert "4 trials, 0 finished" in capsys.readouterr().out


def test_a_sweep_without_a_standard_output_runs(call, monkeypatch, tmp_path):
    """As under a daemon: what would be printed is lost, nothing else."""
    with monkeypatch.context() as context:
        context.setattr(sys, "stdout", None)
        call(*QUICK, *AXES, "--workdir=mine")
    assert len(results.read_table(tmp_path / "mine" / "results.parquet")) == 8


def test_a_home_folder_is_found(call, monkeypatch, tmp_path):
    """~ in --workdir is the home folder, not a folder of that name."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    call(*QUICK, *AXES, "--workdir=~/mine")
    assert (tmp_path / "home" / "mine" / "results.parquet").exists() and not (tmp_path / "~").exists()


def test_a_sweep_leaves_its_results(call, capsys, tmp_path):
    """One row a trial and epoch, a summary row a configuration, TensorBoard; and says which is best."""
    call(*QUICK, *AXES, "--workdir=mine")
    table = results.read_table(tmp_path / "mine" / "results.parquet")
    rows = [(row["learning_rate"], row["seed"], row["epoch"]) for row in table.to_pylist()]
    assert rows == [(rate, seed, epoch) for rate in (0.1, 1.0) for seed in (0, 1) for epoch in (1, 2)]
    assert len((tmp_path / "mine" / "summary.csv").read_text().splitlines()) == 3
    assert len(list((tmp_path / "mine" / "tensorboard").glob("*/events*"))) == 4
    recorded = json.loads((tmp_path / "mine" / "plan.json").read_text())
    assert recorded["base"]["dataset"] == "synthetic" and recorded["starts"][0]["versions"]["jax"]
    out = capsys.readouterr().out
    assert "Best final val_accuracy" in out and "ranked by the last 85 training examples" in out
    assert recorded["base"]["validation"] == "85" and "test_accuracy" in out and "Verdict: " in out
    decided = json.loads((tmp_path / "mine" / "decisions.json").read_text())
    assert decided["selected_by"] == "validation" and decided["compared"] == 2


def test_a_sweep_goes_on_and_is_extended(call, capsys, count_packs, tmp_path):
    """What is finished is not run again; more seeds and values run only what is new; a lost or damaged pack is redone,
    and said; the rows are those of a sweep made at once."""
    call(*QUICK, *AXES, "--workdir=mine", "--lanes=2")
    assert count_packs == [2, 2]
    once = results.read_table(tmp_path / "mine" / "results.parquet")
    call(*QUICK, *AXES, "--workdir=mine", "--lanes=2")
    assert count_packs == [2, 2]

    lost, damaged = sorted((tmp_path / "mine" / "packs").iterdir())
    lost.unlink()
    damaged.write_bytes(damaged.read_bytes()[:500])
    capsys.readouterr()
    call(*QUICK, *AXES, "--workdir=mine", "--lanes=2")
    assert f"{damaged.name} is damaged" in capsys.readouterr().err
    assert count_packs == [2, 2, 2, 2]
    assert results.read_table(tmp_path / "mine" / "results.parquet").equals(once)

    call(*QUICK, "--axis", "learning_rate=0.1,1,2", "--seeds=3", "--workdir=mine")
    assert sum(count_packs) == 8 + 5
    table = results.read_table(tmp_path / "mine" / "results.parquet")
    keys = [(row["learning_rate"], row["seed"], row["epoch"]) for row in table.to_pylist()]
    assert keys == [(rate, seed, epoch) for rate in (0.1, 1.0, 2.0) for seed in range(3) for epoch in (1, 2)]

    capsys.readouterr()
    call(*QUICK, "--axis", "learning_rate=0.1,2", "--seeds=1", "--workdir=mine")
    assert (
        "2 trials, 2 finished; 0 packs to run; 7 other finished trials kept in the results" in capsys.readouterr().out
    )
    assert results.read_table(tmp_path / "mine" / "results.parquet").equals(table)


def test_another_base_config_is_refused_by_its_fields(call, capsys, tmp_path):
    """Fields that both sweeps vary may differ in the base; others may not, and nothing changes on disk."""
    call(*QUICK, *AXES, "--workdir=mine")
    before = snapshot(tmp_path)
    line = refused(call, capsys, *QUICK, "--config.l2=0.1", "--config.learning_rate=0.3", *AXES, "--workdir=mine")
    assert "l2 0.0 there, 0.1 here" in line and "learning_rate" not in line
    line = refused(call, capsys, *QUICK, "--config.learning_rate=0.3", "--seeds=2", "--workdir=mine")
    assert "learning_rate 0.01 there, 0.3 here" in line
    assert snapshot(tmp_path) == before


def test_a_diverged_trial_is_recorded_and_said(call, capsys, tmp_path):
    """The other trials of its pack end as usual."""
    call(*QUICK, "--config.activation=relu", "--axis", "learning_rate=0.1,1e30", "--workdir=mine")
    table = results.read_table(tmp_path / "mine" / "results.parquet").to_pylist()
    ends = {row["learning_rate"]: row for row in table}
    assert ends[1e30]["diverged"] and not ends[0.1]["diverged"] and ends[0.1]["epoch"] == 2
    out = capsys.readouterr().out
    assert "diverged: 1" in out and "learning_rate=0.1" in out.split("Best final")[1]
    assert "learning_rate=1e+30" not in out.split("Best final")[1]


def test_a_sweep_in_use_is_refused(call, capsys, tmp_path):
    """A second process is kept out."""
    call(*QUICK, "--seeds=1", "--workdir=mine")
    base = shallow.get_config()
    base.update(dataset="synthetic", epochs=2, hidden=(8,), probes=())
    trials = space.make_trials(base, None, {"seed": [0, 1]})
    with SweepDirectory("mine", as_config(base), trials):
        assert "in use by another process" in refused(call, capsys, *QUICK, "--seeds=2", "--workdir=mine")


def test_fewer_lanes_replan_what_is_not_finished(call, count_packs, monkeypatch):
    """A sweep that ran out of memory in its second pack goes on with packs of one lane."""
    run = executors.Runner.run

    def failing(self, pack, *arguments, **options):
        if count_packs == [2]:
            raise OSError("out of memory")
        return run(self, pack, *arguments, **options)

    with monkeypatch.context() as context:
        context.setattr(executors.Runner, "run", failing)
        with pytest.raises(SystemExit):
            call(*QUICK, *AXES, "--workdir=mine", "--lanes=2")
    assert count_packs == [2]
    call(*QUICK, *AXES, "--workdir=mine", "--lanes=1")
    assert count_packs == [2, 1, 1]


def typed(folder, *arguments):
    """The command with these arguments and that folder, started as in a shell."""
    command = [sys.executable, "-m", "experiments.sweep", *arguments, f"--workdir={folder}"]
    # On Ray one worker is enough, of however many cores.
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_OVERRIDE_RESOURCES": '{"CPU": 1}'}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def ended_by(folder, number, delay, *arguments):
    """Starts the command, sends that signal so long after its next pack, and checks how it ends: by any signal but
    KILL in one line that says how to go on, with the signal's status; how many packs there are then."""
    before = len(list(folder.glob("packs/*.parquet")))
    with typed(folder, *arguments) as process:
        while len(list(folder.glob("packs/*.parquet"))) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 128 + number, out + err
        assert out.splitlines()[-1].startswith("interrupted; the same command with --workdir=")
    assert "Traceback" not in out + err
    packs = len(list(folder.glob("packs/*.parquet")))
    assert packs > before
    return packs


def test_a_sweep_that_is_killed_ends_as_an_unbroken_one(call, tmp_path):
    """SIGKILL at a random instant while it works on its second pack or one soon after, and resumed: the same rows to
    the bit, no trial missing or twice. (SIGTERM ends a sweep on Ray below, SIGHUP and SIGKILL a run, in
    tests/training.)"""
    arguments = (*QUICK, "--config.epochs=50", "--axis", "learning_rate=0.1,1", "--seeds=4", "--lanes=1")
    ended, delay = tmp_path / "ended", random.Random(0).uniform(0.0, 0.05)
    assert ended_by(ended, signal.SIGKILL, delay, *arguments) < 8
    call(*arguments, "--workdir=ended")
    call(*arguments, "--workdir=unbroken")
    unbroken = pq.read_table(tmp_path / "unbroken" / "results.parquet")
    assert len(unbroken) == 8 * 50
    assert pq.read_table(ended / "results.parquet").equals(unbroken)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_sweep_in_one_line(call, monkeypatch, capsys, tmp_path, signals_by_default, number):
    """Sent to this process as its second pack begins: what is finished is kept, and goes on."""
    run, begun = executors.Runner.run, []

    def signalled(self, pack, *arguments, **options):
        begun.append(pack)
        if len(begun) == 2:
            os.kill(os.getpid(), number)
        return run(self, pack, *arguments, **options)

    with monkeypatch.context() as context, console.endings(), pytest.raises(SystemExit) as ended:
        context.setattr(executors.Runner, "run", signalled)
        call(*QUICK, "--axis", "learning_rate=0.1,1", "--seeds=2", "--lanes=2", "--workdir=mine")
    assert ended.value.code == 128 + number
    assert capsys.readouterr().out.splitlines()[-1].startswith("interrupted; the same command")
    assert len(list((tmp_path / "mine" / "packs").glob("*.parquet"))) == 1
    call(*QUICK, "--axis", "learning_rate=0.1,1", "--seeds=2", "--lanes=2", "--workdir=mine")
    assert "4 trials, 2 finished; 1 pack to run" in capsys.readouterr().out


def test_a_signal_ends_a_sweep_on_ray_in_one_line(tmp_path, signals_by_default):
    """What is finished is kept, the line says how to go on, the status is the signal's."""
    pytest.importorskip("ray", reason="Ray is not installed")
    arguments = (*QUICK, "--config.epochs=150", "--axis", "learning_rate=0.1,1", "--seeds=4", "--lanes=1")
    ended_by(tmp_path / "mine", signal.SIGTERM, 0.0, *arguments, "--executor=ray")


@pytest.mark.parametrize("file", ["plan.json", "first pack", "second pack", "results.parquet", "summary.csv"])
def test_a_sweep_stopped_before_any_write_goes_on(call, count_packs, monkeypatch, tmp_path, file):
    """Stopped just before a file would take its place: the same rows in the end, and no pack is run twice for more
    than its own loss."""
    call(*QUICK, *AXES, "--workdir=once", "--lanes=2")
    once, packs = results.read_table(tmp_path / "once" / "results.parquet"), []
    replace = os.replace

    def stopping(source, target):
        path = Path(target)
        if path.parent.name == "packs":
            packs.append(path)
        written = {1: "first pack", 2: "second pack"}.get(len(packs)) if path.parent.name == "packs" else path.name
        if written == file:
            raise KeyboardInterrupt
        replace(source, target)

    count_packs.clear()
    with monkeypatch.context() as context:
        context.setattr(os, "replace", stopping)
        with pytest.raises(SystemExit) as caught:
            call(*QUICK, *AXES, "--workdir=mine", "--lanes=2")
    assert caught.value.code == 130
    call(*QUICK, *AXES, "--workdir=mine", "--lanes=2")
    assert results.read_table(tmp_path / "mine" / "results.parquet").equals(once)
    assert len(count_packs) == (3 if "pack" in file else 2)


def test_a_ray_cluster_that_loses_a_node_gives_the_rows_of_one_machine(tmp_path):
    """A head and a node of one CPU each; the node is killed when the first pack is done, while it works on another."""
    pytest.importorskip("ray", reason="Ray is not installed")
    command = [sys.executable, str(ROOT / "tests" / "engine" / "ray_cluster.py"), str(tmp_path / "ray")]
    environment = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    environment |= ray_executor.NO_SPARE_WORKERS
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process:
        base = shallow.get_config()
        base.update(dataset="synthetic", epochs=40, hidden=(8,), probes=())
        trials = space.make_trials(base, None, {"learning_rate": [0.01, 0.02], "seed": [0, 1, 2, 3]})
        here = executors.train_all(trials, input_pipeline.synthetic()).to_pylist()
        out, _ = process.communicate(timeout=240)
    assert process.returncode == 0 and "a node was killed" in out, out[-4000:]
    there = results.read_table(tmp_path / "ray" / "results.parquet").to_pylist()
    assert len(here) == len(there) == 8 * 40
    for expected, row in zip(here, there, strict=True):
        for name, value in expected.items():
            # One image of 512 may lie on the border between two classes.
            near = 0.003 if "accuracy" in name else 1e-4
            assert row[name] == (pytest.approx(value, abs=near) if isinstance(value, float) else value), name
