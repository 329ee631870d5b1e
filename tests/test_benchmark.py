"""The benchmark: every opponent runs, ratios are those of rounds, lanes are compared with runs alone."""

import json
from functools import partial

import pytest
from commands import refused, run_here
from damaged import reads_damaged

import input_pipeline
import nets
from experiments.benchmarks import epoch, sweep, tables
from experiments.engine import lanes
from training.run_directory import RunDirectory


def test_benchmark_opponents_run_an_epoch(monkeypatch):
    """On synthetic data: every opponent that is installed, with a positive time in each round."""
    monkeypatch.setattr(input_pipeline, "load", lambda name: input_pipeline.synthetic())
    monkeypatch.setattr(epoch, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(epoch, "STEPS", 4)
    monkeypatch.setattr(epoch, "EPOCHS_A_ROUND", 1)
    seconds = epoch.time_epochs(rounds=1)
    assert {
        "matrix products (numpy)",
        "plateau",
        "plateau, batch size 1",
        "plateau, its probes",
        "flax loop",
    } <= set(seconds)
    assert all(len(values) == 1 and values[0] > 0 for values in seconds.values())


def test_benchmark_ratios_are_medians_of_rounds():
    """The median of each round's own ratio, and a target that is missed is shown as missed."""
    seconds = {
        "matrix products (numpy)": [1.0, 1.0, 2.0],
        "plateau": [2.0, 1.5, 2.0],
        "plateau, batch size 1": [2.0, 3.0, 4.0],
        "plateau, its probes": [0.1, 0.3, 0.1],
        "flax loop": [10.0, 10.0, 10.0],
    }
    lines = epoch.ratio_lines(seconds)
    assert [line["measured"] for line in lines] == [1.5, 0.2, 2.0, 0.05]
    lines[0]["target"] = 1.4
    rows = tables.table({"seconds": seconds, "figures": lines}).splitlines()
    assert next(row for row in rows if "bound" in row).endswith("| <= 1.4 | **no** |")
    assert next(row for row in rows if "batch size 1 / epoch" in row).endswith("| <= 4 | yes |")


def test_sweep_on_synthetic_data(monkeypatch):
    """Packs of lanes are timed beside the bound and a run alone; lanes are compared with runs alone."""
    monkeypatch.setattr(input_pipeline, "load", lambda name: input_pipeline.synthetic())
    monkeypatch.setattr(epoch, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(epoch, "STEPS", 4)
    monkeypatch.setattr(epoch, "EPOCHS_A_ROUND", 1)
    monkeypatch.setattr(sweep, "PACKS", {"4 lanes": (2, 2, 1.1)})
    monkeypatch.setattr(lanes, "ONE_CORE", {})
    monkeypatch.setattr(sweep, "ALONE_EPOCHS", 1)
    seconds = sweep.time_packs(rounds=1)
    assert list(seconds) == ["matrix products (numpy)", "plateau", "4 lanes"]
    assert all(len(values) == 1 and values[0] > 0 for values in seconds.values())
    monkeypatch.setattr(nets.activations, "ACTIVATIONS", {"tanh": nets.activations.get("tanh")})
    monkeypatch.setattr(nets.costs, "COSTS", {"quadratic": nets.costs.quadratic})
    loss, images = sweep.differences_from_alone(input_pipeline.synthetic())
    assert 0 < loss < 1e-5 and images == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sweep", "--faults"], "--sweep and --faults are given together; accepted: one of them"),
        (["--docs", "--sweep"], "--sweep and --docs are given together; accepted: one of them"),
        (["--kills=3"], "--kills says nothing of the measurement of one run, which takes --rounds, --workdir"),
        (["--sweep", "--ray"], "--ray says nothing of --sweep, which takes --rounds, --workdir"),
        (["--faults", "--rounds=2"], "--rounds says nothing of --faults, which takes --mutations, --kills, --ray"),
        (["--page", "--rounds=2"], "--rounds says nothing of --page, which takes --clicks, --workdir"),
        (["--docs", "--rounds=2"], "--rounds says nothing of --docs, which takes --workdir"),
        (["--scale", "--kills=2"], "--kills says nothing of --scale, which takes --size, --ray, --workdir"),
    ],
)
def test_flags_that_would_be_ignored_are_refused(monkeypatch, capsys, tmp_path, arguments, said):
    """In one line, before anything is measured or made."""
    monkeypatch.chdir(tmp_path)
    run = partial(run_here, "experiments.benchmark", monkeypatch)
    assert said in refused(run, capsys, *arguments, "--workdir=new")


@pytest.mark.parametrize(
    ("module", "flag"),
    [
        ("benchmark", "--rounds            Rounds in which every opponent runs its epochs. ['15']"),
        ("reproduce", "--docs              Run nothing:"),
        ("report", "--workdir           The folder of a sweep, finished or not."),
        ("lecture.forward", "--digit             Which digit of the test set. ['0']"),
    ],
)
def test_help(monkeypatch, capsys, module, flag):
    """Of a command without a config: what it does, an example and its own flags, in lines that fit."""
    with pytest.raises(SystemExit) as ended:
        run_here(f"experiments.{module}", monkeypatch, "--help")
    out, err = capsys.readouterr()
    assert ended.value.code == 0 and err == ""
    assert f"python -m experiments.{module}" in out and f"\n  {flag}" in out
    assert "\n  --workdir" in out and max(map(len, out.splitlines())) <= 120
    assert "Fields of the config" not in out


@reads_damaged
def test_one_mutation(monkeypatch, capsys, tmp_path):
    """The command counts it, of a run and of a sweep, prints the table and keeps it."""
    monkeypatch.setattr(lanes, "use_all_cores", lambda: None)
    monkeypatch.setattr(RunDirectory, "draw_figures", lambda *_: None)
    run_here("experiments.benchmark", monkeypatch, "--faults", "--mutations=1", "--kills=0", f"--workdir={tmp_path}")
    printed = capsys.readouterr().out
    counts = json.loads((tmp_path / "faults.json").read_text())["measured"]["counts"]
    assert list(counts) == ["mutations of a run", "mutations of a sweep", "mutations of a sweep without events"]
    for name, found in counts.items():
        assert sum(found.values()) == 1 and found["wrong"] == found["traceback"] == 0
        assert f"| {name} | {' | '.join(map(str, found.values()))} |" in printed
