"""A field tuned for each setting: what is run next, from tables with known optima; and a real sweep that is stopped."""

import csv
import json
import math

import numpy as np
import pytest

from configs import shallow
from experiments import sweep
from experiments.engine import axes, chance, executors, ranges, results, tuned, tuning, validation
from training.config import ConfigError, as_config

BASE = as_config(shallow.get_config()).replace(dataset="synthetic", epochs=2, hidden=(8,), probes=(), validation="85")
ACTIVATIONS = axes.axis("activation", ["tanh", "relu"])
OPTIMA = {"tanh": 1.25, "relu": -0.4}

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def rows_of(name, trial):
    """The rows of a trial whose accuracy is a quadratic in the logarithm of the rate, with the luck of its seed; from
    a decade above the optimum on, seed 1 diverges."""
    away = math.log10(trial.learning_rate) - OPTIMA[trial.activation]
    luck = np.random.default_rng([trial.seed, round(1e3 * away) + 10_000]).normal(0, 1e-4)
    first = {"trial": name, "epoch": 1, "diverged": False, "val_accuracy": 0.1, "test_accuracy": 0.1}
    if away > 1 and trial.seed == 1:
        return [first, {"trial": name, "epoch": 2, "diverged": True}]
    score = 0.9 - 0.05 * away**2 + luck
    return [first, first | {"epoch": 2, "val_accuracy": score, "test_accuracy": score - 0.01}]


def table_of(trials):
    """All rows of the trials."""
    return results.pack_table(trials, [row for name, trial in trials.items() for row in rows_of(name, trial)])


def played(made):
    """Every round of a tuning against `rows_of`, and the table at the end."""
    done, rounds = {}, []
    while wanted := made.next_trials(table_of(done) if done else None):
        assert not wanted.keys() & done.keys()
        rounds.append(wanted)
        done |= wanted
    return rounds, table_of(done)


def made_tuning(points=ACTIVATIONS, field="learning_rate", grid=(), **given):
    """A tuning on the tiny data set."""
    return tuning.make_tuning(BASE, points, field, grid, **given)


def test_every_setting_is_tuned_and_run_with_fresh_seeds():
    """A known optimum is found to a quarter of a decade; all settings go on in one round; fresh seeds come last."""
    made = made_tuning(fresh_seeds=4)
    rounds, table = played(made)
    assert {trial.learning_rate for trial in rounds[0].values()} == {0.001, 0.01, 0.1, 1.0, 10.0}
    assert len(rounds[0]) == 2 * 5 * 3 and len(rounds[-1]) == 2 * 4
    assert {trial.seed for wanted in rounds[:-1] for trial in wanted.values()} == {0, 1, 2}
    assert {trial.seed for trial in rounds[-1].values()} == {3, 4, 5, 6}
    for outcome in made.outcomes(table):
        optimum = OPTIMA[outcome.setting.config.activation]
        assert abs(math.log10(outcome.choice.value) - optimum) < 0.25 and not outcome.choice.at_edge
        assert outcome.of("val_accuracy") == pytest.approx([0.9] * 4, abs=0.05 * 0.25**2 + 1e-3)
        assert outcome.of("test_accuracy") == pytest.approx(outcome.of("val_accuracy") - 0.01)


def test_what_comes_next_depends_on_what_has_finished_alone():
    """Another process with part of the rows of a round asks for the rest of that round and for nothing beyond it."""
    rounds, table = played(made_tuning())
    done = {}
    for wanted in rounds:
        names = list(wanted)
        part = {name: wanted[name] for name in names[::2]}
        assert list(made_tuning().next_trials(table_of(done | part))) == [n for n in names if n not in part]
        done |= wanted
    assert made_tuning().next_trials(table) == {}
    with pytest.raises(ValueError, match="have not finished"):
        made_tuning(fresh_seeds=9).outcomes(table)


def test_what_came_of_it_is_written_and_said(tmp_path):
    """The setting, the choice, the scores; a diverged fresh seed counts against a setting; an edge is said."""
    made = made_tuning(tune_seeds=3, fresh_seeds=2, extensions=0)
    content = tuned.write(tmp_path / tuned.FILE, made, played(made)[1])
    assert json.loads((tmp_path / tuned.FILE).read_text()) == json.loads(json.dumps(content))
    tanh, relu = content["settings"]
    assert tanh["setting"] == {"activation": "tanh"} and tanh["at_edge"] and not relu["at_edge"] and relu["sound"]
    assert tanh["chosen"] == 10.0 and [one["learning_rate"] for one in tanh["tried"]][-1] == 10.0
    assert relu["fresh"]["seeds"] == 2 and relu["fresh"]["val_accuracy"]["values"] == pytest.approx([0.9] * 2, abs=4e-3)
    head, first, second = tuned.in_words(content).splitlines()
    assert head.startswith("learning_rate as 3 seeds chose it on validation examples, and what 2 others give there")
    assert "activation=relu" in first and "learning_rate=0.3162: val_accuracy 0.8995 (" in first
    assert "test_accuracy 0.8895 (" in first and "leave-one-out 0.8995" in first
    assert "at the edge of what was tried, 0.001 to 10: --axis learning_rate= may go beyond it" in second
    content["settings"][1]["fresh"] |= {"diverged": 1}
    lines = tuned.in_words(content).splitlines()
    assert "activation=tanh" in lines[1] and "1 of 2 seeds diverged" in lines[2]


def test_the_first_grid():
    """What is given, what the config's own sweep has for the setting, or the field's own."""
    added = [{"activation": a, "learning_rate": r, "seed": s} for a in OPTIMA for r in (0.5, 0.1) for s in range(4)]
    assert [setting.start for setting in made_tuning(added).settings] == [(0.1, 0.5)] * 2
    assert [setting.start for setting in made_tuning(added, grid=(3, 1, 1)).settings] == [(1.0, 3.0)] * 2
    assert made_tuning(axes.product()).settings[0].start == (0.001, 0.01, 0.1, 1.0, 10.0)
    assert made_tuning([{"learning_rate": 0.5}]).settings[0].start[0] == 0.001
    # A batch is no larger than the training set: of 512 examples 85 are held out.
    assert made_tuning(axes.product(), "batch_size").settings[0].start == (16, 64, 256)
    assert made_tuning(axes.product(), "batch_size").most == (427,)
    half_decades = tuning.grid_of(ranges.Range("learning_rate", 0.001, 10, True))
    assert half_decades == (0.001, 0.003162, 0.01, 0.03162, 0.1, 0.3162, 1.0, 3.162, 10.0)
    assert tuning.grid_of(ranges.Range("batch_size", 8, 64, False)) == (8, 22, 36, 50, 64)
    assert tuning.GRIDS.keys() <= set(ranges.numbered())


def test_what_counts_as_broken():
    """What counts as a guess in a ranking, of a hundred balanced examples where there are no labels; of a regression no
    cost."""
    assert made_tuning().settings[0].rule.broken == chance.level_in("synthetic", "85", 10)
    elsewhere = BASE.replace(dataset="idx:nowhere")
    assert tuning.broken_accuracy(elsewhere, "") == chance.level(0.1, 100) == pytest.approx(0.2)
    assert tuning.broken_accuracy(elsewhere.replace(classes=1, output="identity"), "") == -math.inf
    made = made_tuning([{"learning_rate": 0.5}], extensions=0, refinements=0)
    assert {setting.rule.broken for setting in made.settings} == {chance.level_in("synthetic", "85", 10)}
    trials = made.next_trials(None)
    rows = [
        {"trial": name, "epoch": 2, "diverged": False, "val_loss": abs(math.log10(trial.learning_rate))}
        for name, trial in trials.items()
    ]
    assert {trial.learning_rate for trial in made.next_trials(results.pack_table(trials, rows)).values()} == {1.0}


def test_examples_are_held_out_where_the_test_set_would_choose():
    """A sixth of the training set, 10,000 of MNIST, or of as many as are trained on, as in any other sweep; not where
    the config holds some out itself."""
    mnist = as_config(shallow.get_config())
    assert [config.validation for config in validation.with_held_out([mnist, BASE], "")] == ["10000", BASE.validation]
    assert validation.with_held_out([BASE], "") == [BASE]
    configs = [BASE.replace(validation="test", train_examples=100), BASE.replace(validation="7"), BASE]
    assert [config.validation for config in validation.with_held_out(configs, "")] == ["16", "7", "85"]
    settings = tuning.make_tuning(BASE.replace(validation="test"), ACTIVATIONS, "learning_rate").settings
    assert {setting.config.validation for setting in settings} == {"85"}


@pytest.mark.parametrize(
    ("field", "points", "grid", "words"),
    [
        ("hidden", [{}], (), ("--tune=hidden: it is no number to tune", "learning_rate")),
        ("epochs", [{}], (), ("--tune=epochs: it is no number to tune",)),
        ("seed", [{}], (), ("--tune=seed: it is no number to tune",)),
        ("learnin_rate", [{}], (), ("no config field", "did you mean 'learning_rate'?")),
        ("learning_rate", [{}], (0.1,), ("has 1 values to begin with", "two values or more")),
        ("learning_rate", [{}], (0.1, -1.0), ("config.learning_rate=-1.0", "a finite number above 0")),
        ("momentum", [{"optimizer": "adam"}], (), ("config.momentum=0.6838 is for sgd",)),
    ],
)
def test_what_cannot_be_tuned_is_refused(field, points, grid, words):
    """In one line, before anything runs."""
    with pytest.raises(ConfigError) as caught:
        made_tuning(points, field, grid)
    assert all(word in str(caught.value) for word in words), caught.value


TUNED = ("--axis", "init_scale=0.5,1", "--tune=learning_rate", "--axis", "learning_rate=log:0.01:1:3")


def test_a_decision_is_of_the_fresh_seeds_at_what_was_chosen(tmp_path):
    """Not of those that chose, which ran there too; and no chosen value is an edge of those chosen elsewhere."""
    made = made_tuning(tune_seeds=3, fresh_seeds=4)
    table = played(made)[1]
    content = tuned.write(tmp_path / tuned.FILE, made, table)
    rows = tuned.fresh_rows(content, table)
    assert set(rows["seed"].to_pylist()) == {3, 4, 5, 6} and len(rows) == 2 * 4 * 2
    found = tuned.decide(tuned.read(tmp_path), table)
    chosen = {one["setting"]["activation"]: one["chosen"] for one in content["settings"]}
    assert {row.setting["activation"]: row.setting["learning_rate"] for row in found.ranked} == chosen
    assert [row.n for row in found.ranked] == [4, 4] and found.edges == []
    for row in found.ranked:
        (of,) = [
            one["fresh"] for one in content["settings"] if one["setting"]["activation"] == row.setting["activation"]
        ]
        assert row.mean == pytest.approx(of["val_accuracy"]["mean"], abs=1e-12) and set(row.trials) == set(of["trials"])
    assert tuned.fresh_rows(None, table) is table and tuned.read(tmp_path / "nowhere") is None


FEW = ("--tune_seeds=2", "--seeds=2", "--tune_extensions=1", "--tune_refinements=1", "--lanes=1")


def test_a_tuned_sweep_that_is_stopped_ends_as_one_that_never_was(call, capsys, monkeypatch, tmp_path):
    """Stopped in the middle of its second round: the same rows to the bit, the same choice; ended, it runs nothing."""
    config = ("--config=" + str(sweep.__file__).replace("experiments/sweep.py", "configs/shallow.py"),)
    config += ("--config.dataset=synthetic", "--config.epochs=2", "--config.hidden=8", "--config.probes=")
    call(*config, *TUNED, *FEW, "--workdir=once")
    out = capsys.readouterr().out
    assert "learning_rate: tuned for 2 settings on validation examples by 2 seeds; 2 fresh seeds" in out
    assert "Validation: the last 85 training examples; the test set (256 examples) is measured beside it" in out
    content = json.loads((tmp_path / "once" / tuned.FILE).read_text())
    assert [one["setting"] for one in content["settings"]] == [{"init_scale": 0.5}, {"init_scale": 1.0}]
    assert "Verdict: " in out and "Written to once: results.parquet, summary.csv, decisions.json, tuning.json" in out
    assert "Best final" not in out
    decided = json.loads((tmp_path / "once" / "decisions.json").read_text())
    assert decided["first"]["init_scale"] in (0.5, 1.0) and {one["n"] for one in decided["first_ahead_of"]} <= {2}
    summary = (tmp_path / "once" / "summary.csv").read_text().splitlines()
    assert len(summary) == 3 and {row["seeds"] for row in csv.DictReader(summary)} == {"2"}
    once = results.read_table(tmp_path / "once" / "results.parquet")
    assert set(once["validation"].to_pylist()) == {"85"}

    run, ran = executors.Runner.run, []

    def stopping(self, pack, *arguments, **named):
        if len(ran) == stop_before:
            raise KeyboardInterrupt
        ran.append(pack.trials)
        return run(self, pack, *arguments, **named)

    monkeypatch.setattr(executors.Runner, "run", stopping)
    stop_before = 2 * 3 * 2 + 3
    with pytest.raises(SystemExit):
        call(*config, *TUNED, *FEW, "--workdir=mine")
    stop_before = -1
    capsys.readouterr()
    call(*config, *TUNED, *FEW, "--workdir=mine", "--dry_run")
    out = capsys.readouterr().out
    assert "the round that comes next" in out and "learning_rate: 0.01, 0.1, 1.0" not in out and "12 trials" not in out
    call(*config, *TUNED, *FEW, "--workdir=mine")
    assert results.read_table(tmp_path / "mine" / "results.parquet").equals(once)
    assert json.loads((tmp_path / "mine" / tuned.FILE).read_text()) == content
    assert len(ran) == len({*ran}) == len(list((tmp_path / "once" / "packs").iterdir()))
    before = len(ran)
    call(*config, *TUNED, *FEW, "--workdir=mine")
    assert len(ran) == before
