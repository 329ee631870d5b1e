"""Runs and sweeps held against each other: what is shared, what is refused, what is said."""

import json
import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from commands import refused, run_here
from scipy import stats

from experiments import compare
from experiments.engine import comparing, decisions, results, space
from experiments.engine.comparing import CompareError, Trial
from training.config import Config
from training.records import METRICS
from training.run_directory import write_recorded

ROOT = Path(__file__).parent.parent.parent
ACCURACY = {
    ("tanh", 0): 0.95,
    ("tanh", 1): 0.96,
    ("tanh", 2): 0.94,
    ("relu", 0): 0.9,
    ("relu", 1): 0.92,
    ("relu", 2): 0.89,
}


def trial(folder, accuracy, diverged=False, **fields):
    """A trial of two epochs that ends with that accuracy."""
    courses = {name: np.array([0.1, accuracy]) for name in METRICS}
    courses |= {name: np.full(2, math.nan) for name in ("test_loss", "test_accuracy")}
    return Trial(
        folder, space.cells_of(Config(dataset="synthetic", validation="85").replace(**fields)), diverged, courses
    )


def both(**others):
    """Six runs in a folder each: tanh and ReLU with three seeds."""
    return [
        trial(f"{name}{seed}", value, activation=name, seed=seed, **others) for (name, seed), value in ACCURACY.items()
    ]


def test_runs_are_groups_by_what_differs():
    """Paired by seed, with Student's interval, in one sentence."""
    found = comparing.compare(both())
    assert (found.groups, found.seeds, found.points, found.metric) == (
        ("tanh", "relu"),
        (0, 1, 2),
        ((),),
        "val_accuracy",
    )
    np.testing.assert_allclose(found.overall, [[0.95, 0.96, 0.94], [0.9, 0.92, 0.89]])
    expected = stats.ttest_rel([0.95, 0.96, 0.94], [0.9, 0.92, 0.89])
    low, high = expected.confidence_interval(0.95)
    seeds = decisions.seeds_that_decide(found.differences(0)[0], 2)
    ahead = "tanh ahead of relu by 4.67 points of val_accuracy"
    assert comparing.verdict(found) == f"{ahead}, {100 * low:.2f} to {100 * high:.2f}; {seeds} seeds suffice."
    assert comparing.table_of(found).splitlines()[1].split() == (
        f"the same config 0.9500 0.9033 +4.67 +{100 * low:.2f} to +{100 * high:.2f} 3".split()
    )


def test_what_has_not_ended_is_compared_after_the_last_epoch_that_all_have():
    """One run of three epochs, one that has two of them: the second epochs, which is said; at their ends where both
    have ended, however many epochs that are."""
    slow, fast = trial("slow", 0.8, activation="relu"), trial("fast", 0.7, activation="tanh")
    longer = {name: np.append(course, 0.9) for name, course in fast.courses.items()}
    ended = comparing.compare([slow, fast._replace(courses=longer)])
    assert ended.end is None and ended.when == "at the end" and ended.finals_GxPxS.ravel().tolist() == [0.8, 0.9]
    found = comparing.compare([slow._replace(is_over=False), fast._replace(courses=longer)])
    assert found.finals_GxPxS.ravel().tolist() == [0.8, 0.7]
    assert found.when == "after epoch 2, the last one that all have (not finished: slow)"
    assert "10.00 points of val_accuracy after epoch 2 with one shared seed" in comparing.verdict(found)
    assert compare.as_json(found)["after_epoch"] == 2 and compare.as_json(found)["not_finished"] == ["slow"]
    # A run that has lost its cost has no score, whenever it did.
    lost = comparing.compare([slow._replace(is_over=False), fast._replace(courses=longer, diverged=True)])
    assert lost.end == 2 and lost.diverged_G == (0, 1)


@pytest.mark.parametrize(("epochs", "is_over"), [(2, True), (3, False)])
def test_whether_a_folder_has_ended(tmp_path, epochs, is_over):
    """A run, and the trials of a sweep, by what their configs say of their end."""
    config = Config(dataset="synthetic", epochs=epochs)
    rows = [{"epoch": i, **dict.fromkeys(METRICS, 0.5), "seconds": 1.0} for i in (1, 2)]
    (tmp_path / "run").mkdir()
    write_recorded(tmp_path / "run" / "config.json", {"config": config.to_dict()})
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run,) = comparing.read_folder(tmp_path / "run")
    table = results.pack_table({"a": config}, [{"trial": "a", "diverged": False, **row} for row in rows])
    (one,) = comparing.trials_of(table.select(results.LEADING.names), "sweep")
    assert run.is_over is one.is_over is is_over


def test_what_was_cut_is_not_compared(tmp_path):
    """Last scores of earlier epochs are held against nothing."""
    base = Config(dataset="synthetic", validation="85", epochs=4)
    trials = space.make_trials(base, None, {"learning_rate": [0.1, 1.0], "seed": [0, 1]})
    ends = {0.1: 1, 1.0: 4}
    rows = [
        {"trial": name, "epoch": epoch, "diverged": False, **dict.fromkeys(METRICS, 0.5)}
        for name, config in trials.items()
        for epoch in range(1, ends[config.learning_rate] + 1)
    ]
    results.write_table(results.pack_table(trials, rows), tmp_path / "results.parquet")
    found = comparing.read_folder(tmp_path)
    assert {(one.cells["learning_rate"], len(one.courses["loss"])) for one in found} == {(1.0, 4)}


def test_sweeps_are_compared_where_they_share_settings():
    """Of rates .1, 1 and 1, 3 there is one that both have; what only one of them has does not count."""
    first = [
        trial("a", 0.8 + rate / 10, activation="tanh", learning_rate=rate, seed=s)
        for rate in (0.1, 1.0)
        for s in (0, 1)
    ]
    second = [
        trial("b", 0.7 + s / 50, activation="relu", learning_rate=rate, seed=s) for rate in (1.0, 3.0) for s in (1, 0)
    ]
    found = comparing.compare(first + second)
    assert (found.fields, found.points, found.groups) == (("learning_rate",), ((1.0,),), ("tanh", "relu"))
    np.testing.assert_allclose(found.overall, [[0.9, 0.9], [0.7, 0.72]])
    lost = comparing.compare([*first[:3], trial("a", 0.9, True, activation="tanh", seed=1, learning_rate=1.0), *second])
    assert lost.diverged_G == (1, 0) and "one shared seed" in comparing.verdict(lost)
    assert comparing.lost_lines(lost) == ["tanh: of 2 trials 1 diverged"]


def test_the_same_config_in_two_folders():
    """They are called by their folders; equal scores cannot be told apart."""
    runs = [trial(folder, 0.9 + seed / 100, seed=seed) for folder in ("old", "new") for seed in range(4)]
    found = comparing.compare(runs)
    assert found.groups == ("old", "new")
    assert comparing.verdict(found).startswith("old and new cannot be told apart by 4 seeds: 0.00 points")


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ([*both()[:1], trial("b", 0.9, activation="relu", seed=7)], "share no seed: 0 and 7; accepted"),
        (both()[:3], "share no seed: 0 and 1 and 2; accepted"),
        (both()[:1], "there is one config alone, tanh0; accepted"),
        (
            [trial("a", 0.9, learning_rate=rate) for rate in (0.1, 1.0)] + [trial("b", 0.9, learning_rate=3.0)],
            "share no learning_rate: 0.1, 1.0 and 3.0; accepted",
        ),
        ([trial("a", 0.9), trial("b", 0.9, validation="50")], r"other examples \(validation 85, 50\); accepted"),
        ([trial("a", 0.9), trial("b", 0.9, dataset="mnist")], "other examples"),
    ],
)
def test_what_shares_nothing_is_refused(trials, words):
    """In one line that says why."""
    with pytest.raises(CompareError, match=words):
        comparing.compare(trials)


def test_of_three_groups_the_set_of_the_best():
    """Two that are alike and one that is behind; costs the other way round."""
    scores = {"a": (0.9, 0.91, 0.92, 0.93), "b": (0.901, 0.908, 0.922, 0.929), "c": (0.5, 0.51, 0.5, 0.52)}
    runs = [
        trial(f"{name}{seed}", value, learning_rate=float(rate), seed=seed)
        for rate, (name, values) in enumerate(scores.items(), 1)
        for seed, value in enumerate(values)
    ]
    found = comparing.compare(runs)
    assert found.best().settings == (1, 0) or found.best().settings == (0, 1)
    assert "learning_rate=3" not in comparing.verdict(found) and "cannot be told apart by 4 seeds" in comparing.verdict(
        found
    )
    assert comparing.compare(runs, "val_loss").best().settings == (2,)


def test_a_run_folder(tmp_path):
    """Its last row, what is null as NaN; a run that has lost its cost has diverged; without an epoch it is refused."""
    config = Config(dataset="synthetic", activation="tanh", seed=3)
    write_recorded(tmp_path / "config.json", {"config": config.to_dict()})
    with pytest.raises(CompareError, match="neither a run nor a sweep"):
        comparing.read_folder(tmp_path)
    rows = [{"epoch": epoch, "seconds": 1.0, **dict.fromkeys(METRICS, epoch / 4)} for epoch in (1, 2)]
    rows.append(rows[0] | {"epoch": 3, "loss": None, "val_loss": None})
    for count, diverged in ((2, False), (3, True)):
        (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:count]))
        (run,) = comparing.read_folder(tmp_path)
        assert (run.cells["activation"], run.cells["seed"], run.diverged) == ("tanh", 3, diverged)
        assert run.courses["val_accuracy"].tolist()[:2] == [0.25, 0.5]
        # Where the test set is validated on, its metrics are those.
        assert comparing.of_metric(run, "test_accuracy").tolist()[:2] == [0.25, 0.5]
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(CompareError, match="has no epoch yet"):
        comparing.read_folder(tmp_path)


def typed(*arguments):
    """The finished process of the command."""
    command = [sys.executable, "-m", "experiments.compare", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_the_command(tmp_path):
    """Two sweeps' folders: a table, a sentence, files."""
    for name in ("tanh", "relu"):
        base = Config(dataset="synthetic", validation="85", epochs=2, activation=name)
        trials = space.make_trials(base, None, {"learning_rate": [0.1, 1.0], "seed": [0, 1, 2]})
        rows = [
            {
                "trial": key,
                "epoch": epoch,
                "diverged": False,
                **dict.fromkeys(METRICS, ACCURACY[name, of.seed] * epoch / 2),
            }
            for key, of in trials.items()
            for epoch in (1, 2)
        ]
        (tmp_path / name).mkdir()
        results.write_table(results.pack_table(trials, rows), tmp_path / name / "results.parquet")
    ended = typed(str(tmp_path / "tanh"), str(tmp_path / "relu"), f"--out={tmp_path / 'out'}")
    assert ended.returncode == 0 and ended.stderr == ""
    lines = ended.stdout.splitlines()
    assert lines[-2].startswith("tanh ahead of relu by 4.67 points of val_accuracy, ") and len(lines) == 7
    assert [line.split()[0] for line in lines[2:5]] == ["learning_rate=0.1", "learning_rate=1", "all"]
    found = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert found["verdict"] == lines[-2] and found["not_told_from_the_best"] == ["tanh"] and len(found["points"]) == 2
    for name, start in (("compare.png", b"\x89PNG"), ("compare.pdf", b"%PDF")):
        assert (tmp_path / "out" / name).read_bytes().startswith(start)


def test_a_folder_of_something_else_is_refused(monkeypatch, capsys, tmp_path):
    """In one line."""
    monkeypatch.chdir(tmp_path)
    run = partial(run_here, "experiments.compare", monkeypatch)
    assert "neither a run nor a sweep" in refused(run, capsys, ".", "..")
