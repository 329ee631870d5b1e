"""A finished sweep that goes on halved: what it has is taken over, wherever that is stopped."""

import itertools
import shutil
from functools import partial
from pathlib import Path

import pytest

import input_pipeline
import train
from configs import shallow
from experiments.engine import plan, results, space, states, sweeping
from experiments.engine.stages import Stage
from experiments.engine.standing import Folder
from experiments.engine.sweep_directory import Span, SweepDirectory
from experiments.engine.sweeping import Going
from training.config import as_config
from training.records import METRICS

RATES = (0.1, 0.2, 0.3, 0.4)


def small(**fields):
    base = shallow.get_config()
    base.update({"dataset": "synthetic", "hidden": (4,), "probes": (), "validation": "100", **fields})
    return as_config(base)


def course_of(config, *scores, diverged=False):
    """A table of one trial with those scores after its epochs."""
    row = dict.fromkeys(METRICS, 0.5) | {"trial": config.name(), "diverged": False}
    rows = [row | {"epoch": i, "val_accuracy": score} for i, score in enumerate(scores, 1)]
    rows[-1]["diverged"] = diverged
    return results.pack_table({config.name(): config}, rows)


@pytest.mark.parametrize(
    ("before", "scores", "now", "end", "expected"),
    [
        ({"epochs": 3}, (0.1, 0.2, 0.3), {"epochs": 9}, 1, 3),  # Past the end of the rung.
        ({"epochs": 3}, (0.1, 0.2, 0.3), {"epochs": 9}, 3, 3),  # At it.
        ({"epochs": 3}, (0.1, 0.2, 0.3), {"epochs": 9}, 4, None),
        ({"epochs": 3}, (0.1, 0.2, 0.3), {"epochs": 9}, None, None),
        ({"epochs": 3}, (0.1, 0.2, 0.3), {"epochs": 9, "stop_at": "val_accuracy>=0.2"}, None, 2),  # Ends there now.
        ({"epochs": 9, "patience": 1}, (0.3, 0.2), {"epochs": 9}, None, None),  # Goes on now.
        ({"epochs": 3}, (0.1, 0.2, 0.3), {"epochs": 2}, None, 2),
        ({"epochs": 3}, (0.1, 0.2, 0.3), {"epochs": 3, "patience": 2}, None, 3),
    ],
)
def test_what_has_come_as_far_is_taken_over(tmp_path, before, scores, now, end, expected):
    """A trial under another name has the epochs of its own that are there, and no more; its state is its own where it
    is that of its last epoch."""
    base = small()
    then, trial = base.replace(**before), base.replace(**now)
    store, name = states.Store(tmp_path), trial.name()
    store.write("p", {then.name(): train.initial_state(base)})
    stage = Stage({name: trial}, {"p": course_of(then, *scores)}, store, goes_on=True)
    assert stage.to_take_over([name], end) == ({} if expected is None else {name: Span(expected, expected)})
    assert (name in stage.to_come([name], end)) == (expected is None)
    if expected is not None:
        (pack,) = plan.make_packs({name: trial}, plan.this_machine(), lambda _: 100)
        table, kept = stage.taken_over(pack._replace(start=expected, end=expected))
        assert table["val_accuracy"].to_pylist() == list(scores)[:expected]
        assert table["trial"].unique().to_pylist() == [name] and set(table["epochs"].to_pylist()) == {trial.epochs}
        assert kept.keys() == ({name} if expected == len(scores) else set())


def test_trials_that_begin_as_the_same_one_are_ranked_each(tmp_path):
    """Two that differ in their patience alone, each after its own last epoch, before anything is taken over."""
    base = small(epochs=3)
    tables = {f"{rate:g}": course_of(base.replace(learning_rate=rate), *scores)
              for rate, scores in ((0.1, (0.5, 0.4, 0.6)), (0.2, (0.3, 0.35, 0.55)))}  # fmt: skip
    trials = space.make_trials(base.replace(epochs=9), None, {"learning_rate": [0.1, 0.2], "patience": [0, 1]})
    stage = Stage(trials, tables, states.Store(tmp_path), goes_on=True)
    names = {(trial.learning_rate, trial.patience): name for name, trial in trials.items()}
    assert len(set(stage.origins.values())) == 2 and not stage.to_come(trials, 3)
    # The first rate with patience has stopped after its second epoch, at 0.4.
    assert stage.best(trials, 3, 3) == [names[0.1, 0], names[0.2, 0], names[0.2, 1]]


def test_a_trial_without_a_state_starts_anew_beside_those_that_have_one(tmp_path):
    """Of trials that were taken over together, some had a state and some had none, as where these were run later
    without --keep=all."""
    base = small(epochs=2)
    then = [base.replace(seed=seed) for seed in (0, 1)]
    trials = space.make_trials(base.replace(epochs=4), None, {"seed": [0, 1]})
    tables, store = {f"p{one.seed}": course_of(one, 0.1, 0.2) for one in then}, states.Store(tmp_path)
    store.write("p0", {then[0].name(): train.initial_state(base)})
    (pack,) = plan.make_packs(trials, plan.this_machine(), lambda _: 100)
    table, kept = Stage(trials, tables, store, goes_on=True).taken_over(pack._replace(start=2, end=2))
    store.write("both", kept)
    with_state, without = trials
    stage = Stage(trials, tables | {"both": table}, store, goes_on=True)
    assert stage.to_come(trials) == {with_state: Span(2, 4), without: Span(0, 4)}


@pytest.fixture
def sweep():
    """Runs the sweep of so many epochs in a folder with what is trained written down, in place of training: the larger
    the rate the better, in packs of two trials; returns the rows and which epochs of which rates were run."""
    base = small()
    state, machines = train.initial_state(base), plan.this_machine()
    datasets = sweeping.load_datasets({"": base}, input_pipeline.DEFAULT_DATA_DIR)
    make_packs = partial(plan.make_packs, machines=machines, examples=lambda _: 412, most_lanes=2)

    def run(folder, epochs, going, **ends):
        trained = []

        def execute(packs, trials, datasets, advance, begin=None, keep=None):
            for pack in packs:
                begun = begin(pack) if begin else None
                assert not pack.start or begun.states.keys() == begun.rows.keys() == set(pack.trials)
                rows = [row for name in pack.trials for row in (begun.rows[name] if begun else ())]
                for name, epoch in itertools.product(pack.trials, range(pack.start + 1, pack.last_epoch(trials) + 1)):
                    rate = trials[name].learning_rate
                    trained.append((rate, epoch))
                    rows.append(
                        {"trial": name, "epoch": epoch, "diverged": False} | dict.fromkeys(METRICS, rate + 0.1 * epoch)
                    )
                table = results.pack_table({name: trials[name] for name in pack.trials}, rows)
                if keep:
                    keep(pack, table, dict.fromkeys(pack.trials, state))
                yield pack, table

        asked = base.replace(epochs=epochs, **ends)
        trials = space.make_trials(asked, None, {"learning_rate": RATES})
        with SweepDirectory(folder, asked, trials, going.goes_on) as directory:
            made_for = sweeping.made_for_of(machines, 2)
            table = sweeping.run_missing(directory, datasets, execute, made_for, make_packs, going)
        rows = table.select(["learning_rate", "epochs", "epoch", "val_accuracy"]).to_pylist()
        return sorted(tuple(row.values()) for row in rows), sorted(trained)

    return run


def test_it_is_whole_wherever_it_was_stopped(sweep, monkeypatch, tmp_path):
    """Before any file of a pack or of states is written: started again, the rows of one that was never stopped, and no
    epoch is trained that was there."""
    halved = Going(halving=2, goes_on=True)
    sweep(tmp_path / "first", 2, Going(keep="all"))
    shutil.copytree(tmp_path / "first", tmp_path / "once")
    once, trained = sweep(tmp_path / "once", 4, halved)
    assert trained == [(0.4, 3), (0.4, 4)]
    assert [(rate, epoch) for rate, epochs, epoch, _ in once if epochs == 4] == [
        (rate, epoch) for rate in RATES for epoch in range(1, 5 if rate == 0.4 else 3)
    ]
    for stopped_in in range(1, 6):  # States and rows of two packs, and the rows of the last one.
        writes, folder = itertools.count(1), shutil.copytree(tmp_path / "first", tmp_path / f"stopped_{stopped_in}")

        def stopping(write, *arguments, writes=writes, stopped_in=stopped_in):
            if next(writes) == stopped_in:
                raise KeyboardInterrupt
            write(*arguments)

        with monkeypatch.context() as context:
            context.setattr(results, "write_table", partial(stopping, results.write_table))
            context.setattr(states, "write", partial(stopping, states.write))
            with pytest.raises(KeyboardInterrupt):
                sweep(folder, 4, halved)
        assert sweep(folder, 4, halved) == (once, trained), stopped_in


def test_what_has_no_state_starts_anew_which_is_said(sweep, capsys, tmp_path):
    """Of the two packs that are taken over as one rung, one has lost its states: the best of its trials goes on from
    the first epoch, in a later rung."""
    sweep(tmp_path, 2, Going(keep="all"))
    recorded = {path.stem: path for path in (tmp_path / "states").iterdir()}
    for name, path in recorded.items():
        if 0.4 in results.read_table(tmp_path / "packs" / f"{name}.parquet")["learning_rate"].to_pylist():
            path.unlink()
    _, trained = sweep(tmp_path, 4, Going(halving=2, goes_on=True))
    assert trained == [(0.4, epoch) for epoch in (1, 2, 3, 4)]
    assert (
        "Rung 3 of 3: 1 setting to epoch 4; of 1 trial no state was kept: these start anew" in capsys.readouterr().out
    )


def test_a_sweep_goes_on_again_from_the_furthest(sweep, tmp_path):
    """Ended earlier by another number, which trains nothing, and then for more epochs: from the states of the third
    epoch, whether the same trials or others have them; each trial is in the results once, and so for whoever reads the
    folder."""
    keep = Going(goes_on=True, keep="all")
    sweep(tmp_path, 3, Going(keep="all"))
    rows, trained = sweep(tmp_path, 3, keep, stop_at="val_accuracy>=0.35")
    assert not trained and [(rate, epoch) for rate, _, epoch, _ in rows] == [
        (0.1, 1), (0.1, 2), (0.1, 3), (0.2, 1), (0.2, 2), (0.3, 1), (0.4, 1)
    ]  # fmt: skip
    rows, trained = sweep(tmp_path, 5, keep)
    assert trained == [(rate, epoch) for rate in RATES for epoch in (4, 5)]
    assert [row[:3] for row in rows] == [(rate, 5, epoch) for rate in RATES for epoch in range(1, 6)]
    table, standing = Folder(tmp_path).read()
    assert len(table) == len(rows) and standing.trials == len(RATES)
    assert len(list((tmp_path / "states").iterdir())) == 2  # Of the two packs that have come furthest.
    # What has gone on as another trial, and is asked for again, is there for both, too.
    sweep(tmp_path, 5, keep, stop_at="val_accuracy>=0.35")
    rows, trained = sweep(tmp_path, 5, keep)
    table, _ = Folder(tmp_path).read()
    assert not trained and {row[2] for row in rows} == {1, 2, 3, 4, 5} and len(table) == len(rows)


def test_what_is_still_asked_for_stays_beside_what_began_as_it():
    """A trial of the sweep goes on as no other one, although another one begins as it."""
    one = small(epochs=2)
    trials = space.make_trials(one, None, {"patience": [0, 1]})
    stage = Stage(trials, {"a": course_of(one, 0.1, 0.2)}, states.Store(Path("nowhere")), goes_on=True)
    name, other = trials
    assert stage.origins == {other: name} and stage.continued == {}
