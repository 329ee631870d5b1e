"""Successive halving, trials that end early, sweeps that go on, and what is kept of states."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import train
from configs import shallow
from experiments.engine import executors, plan, plan_file, results, rungs, space, states, winners
from experiments.engine.stages import Stage, beginnings_of
from experiments.engine.sweep_directory import Span, SweepDirectory
from input_pipeline import synthetic
from training import weights
from training.config import Config, ConfigError, as_config
from training.records import METRICS

ROOT = Path(__file__).parent.parent.parent
# ml_collections loads config files in a way that Python 3.12 drops.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

BASE = (f"--config={ROOT}/configs/shallow.py", "--config.dataset=synthetic", "--config.hidden=8", "--config.probes=")
HALF = (*BASE, "--config.validation=100", "--config.epochs=4", "--seeds=2", "--axis")
RATES = "learning_rate=0.1,1,10,30"


def small(**fields):
    base = shallow.get_config()
    base.update({"dataset": "synthetic", "hidden": (8,), "probes": (), **fields})
    return base


def refused(run, capsys, *arguments):
    """The one line with which the command ends, status 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def by_epoch(folder):
    table = results.read_table(folder / "results.parquet")
    return {(row["trial"], row["epoch"]): row for row in table.to_pylist()}


def settings(count, epochs):
    axes = {"learning_rate": [0.1 * (i + 1) for i in range(count)], "seed": [0, 1]}
    return space.make_trials(as_config({"epochs": epochs}), None, axes)


@pytest.mark.parametrize(
    ("count", "epochs", "factor", "expected"),
    [
        (9, 9, 3, [(1, 9), (3, 3), (9, 1)]),
        (64, 10, 3, [(1, 64), (3, 21), (10, 7)]),
        (4, 100, 2, [(25, 4), (50, 2), (100, 1)]),
        (5, 2, 2, [(1, 5), (2, 2)]),
    ],
)
def test_rungs(count, epochs, factor, expected):
    """As many cuts as leave a whole epoch and a setting."""
    assert rungs.rungs_of(settings(count, epochs), factor) == expected


def test_what_cannot_be_halved_is_refused():
    with pytest.raises(ConfigError, match="--halving with one setting"):
        rungs.rungs_of(settings(1, 9), 3)
    with pytest.raises(ConfigError, match="cuts nothing of 2 settings and 9 epochs; accepted: 2 to 2"):
        rungs.rungs_of(settings(2, 9), 3)
    with pytest.raises(ConfigError, match="trials of 9 and 10 epochs; accepted: one number of epochs"):
        rungs.rungs_of(settings(3, 9) | settings(3, 10), 3)


def test_the_best_settings_are_those_whose_seeds_all_end():
    """A better mean of the seeds that were lucky comes after one of all seeds; of equals the first."""
    nan = float("nan")
    scores = {"a": [0.5, 0.5], "b": [0.9, nan], "c": [0.6, 0.5], "d": [nan, nan], "e": [0.5, 0.5]}
    assert rungs.best_settings(scores, 1) == ["c"]
    assert rungs.best_settings(scores, 2) == ["a", "c"]
    assert rungs.best_settings(scores, 4) == ["a", "b", "c", "e"]


def test_a_halved_sweep_has_the_numbers_of_a_whole_one(call, capsys, count_packs, tmp_path):
    """Survivors go on from their own states, with all their seeds; the rungs are recorded; states are gone at the end;
    started again nothing is run, and without --halving what was cut is finished."""
    call(*HALF, RATES, "--workdir=whole")
    del count_packs[:]
    call(*HALF, RATES, "--halving=2", "--workdir=halved")
    assert count_packs == [8, 4, 2]
    assert "Rung 2 of 3: 2 settings to epoch 2" in capsys.readouterr().out
    whole, halved = by_epoch(tmp_path / "whole"), by_epoch(tmp_path / "halved")
    assert len(halved) == 8 + 4 + 2 * 2
    for key, row in halved.items():
        for name, value in row.items():
            assert value == (
                pytest.approx(whole[key][name], abs=3e-7) if isinstance(value, float) else whole[key][name]
            )
    for end, kept in ((1, 4), (2, 2)):
        means = {}
        for (_, epoch), row in whole.items():
            if epoch == end:
                means.setdefault(row["learning_rate"], []).append(row["val_accuracy"])
        there = {row["learning_rate"] for (_, epoch), row in halved.items() if epoch == end}
        best = sorted(there, key=lambda rate: -np.mean(means[rate]))[: kept // 2]
        assert {row["learning_rate"] for (_, epoch), row in halved.items() if epoch > end} == set(best)
    recorded = json.loads((tmp_path / "halved" / "plan.json").read_text())
    assert recorded["rungs"] == [{"end": 1, "settings": 4, "kept": 2}, {"end": 2, "settings": 2, "kept": 1}]
    assert not (tmp_path / "halved" / "states").exists()
    call(*HALF, RATES, "--halving=2", "--workdir=halved")
    assert count_packs == [8, 4, 2]
    call(*HALF, RATES, "--workdir=halved")
    assert by_epoch(tmp_path / "halved").keys() == whole.keys()
    assert "rungs" not in json.loads((tmp_path / "halved" / "plan.json").read_text())


def test_a_halved_sweep_that_was_stopped_ends_as_one_that_was_not(call, count_packs, monkeypatch, capsys, tmp_path):
    """In the middle of any rung, with what its packs had written: the same packs, the same bits, and no pack twice but
    the one. The second rung has two packs of three rows, stopped in the last, whose trials alone would be six."""
    arguments = (*HALF, RATES, "--halving=2", "--lanes=6", "--seeds=6")
    call(*arguments, "--workdir=once")
    once, packs = results.read_table(tmp_path / "once" / "results.parquet"), len(count_packs)
    planned = json.loads((tmp_path / "once" / "plan.json").read_text())["packs"]
    write = results.write_table
    for stopped_in, rung in ((1, 1), (8, 2), (9, 3)):
        written, mine = [], tmp_path / f"stopped_in_{stopped_in}"

        def stopping(table, path, written=written, stopped_in=stopped_in):
            written.append(path)
            if len(written) == stopped_in:
                raise KeyboardInterrupt
            write(table, path)

        count_packs.clear()
        with monkeypatch.context() as context:
            context.setattr(results, "write_table", stopping)
            with pytest.raises(SystemExit):
                call(*arguments, f"--workdir={mine}")
        capsys.readouterr()
        call(*arguments, "--dry_run", f"--workdir={mine}")
        assert f"to run is what rung {rung} lacks" in capsys.readouterr().out
        call(*arguments, f"--workdir={mine}")
        assert results.read_table(mine / "results.parquet").equals(once), stopped_in
        assert len(count_packs) == packs + 1
        assert json.loads((mine / "plan.json").read_text())["packs"] == planned


def test_damaged_states_are_reported_and_their_trials_run_anew(call, capsys, tmp_path):
    """A sweep that goes on from states of which one byte is another: the numbers of a whole sweep all the same."""
    call(*HALF, RATES, "--keep=all", "--config.epochs=2", "--workdir=mine")
    (file,) = (tmp_path / "mine" / "states").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    capsys.readouterr()
    call(*HALF, RATES, "--continue", "--workdir=mine")
    out, err = capsys.readouterr()
    assert file.name in err and "run from the first epoch" in err
    assert "0 trials of 8 go on from where they were left; of 8 no state was kept" in out
    call(*HALF, RATES, "--workdir=whole")
    assert by_epoch(tmp_path / "mine") == by_epoch(tmp_path / "whole")


def test_a_finished_sweep_goes_on_for_more_epochs(call, capsys, count_packs, tmp_path):
    """From its states where they were kept, with the bits of one that had all epochs; without --continue it is refused
    in a line that names it."""
    call(*HALF, RATES, "--keep=all", "--config.epochs=2", "--workdir=mine")
    line = refused(call, capsys, *HALF, RATES, "--workdir=mine")
    assert "epochs 2 there, 4 here" in line and "accepted: --continue" in line
    call(*HALF, RATES, "--keep=all", "--continue", "--workdir=mine")
    assert "8 trials of 8 go on from where they were left\n" in capsys.readouterr().out
    call(*HALF, RATES, "--workdir=whole")
    assert by_epoch(tmp_path / "mine") == by_epoch(tmp_path / "whole")
    assert [len(list((tmp_path / "mine").glob(these))) for these in ("states/*", "tensorboard/*/")] == [1, 8]
    call(*HALF, RATES, "--workdir=mine")
    assert count_packs == [8, 8, 8] and len(list((tmp_path / "mine" / "states").iterdir())) == 1


def test_a_finished_sweep_that_goes_on_halved_trains_no_epoch_twice(call, capsys, count_packs, tmp_path):
    """Its trials have come as far as the first two rungs and are ranked there as they are; what is cut has the epochs
    that it had, and nothing is there under its name of before."""
    call(*HALF, RATES, "--keep=all", "--config.epochs=2", "--workdir=mine")
    before = by_epoch(tmp_path / "mine")
    call(*HALF, RATES, "--continue", "--halving=2", "--dry_run", "--workdir=mine")
    out = capsys.readouterr().out
    assert "8 trials, 6 finished; to run: 1 group, 1 pack" in out and "what rung 3 lacks" in out
    call(*HALF, RATES, "--continue", "--halving=2", "--workdir=mine")
    assert count_packs == [8, 2]
    assert "0 trials of 8 go on from where they were left; 8 had come as far" in capsys.readouterr().out
    call(*HALF, RATES, "--halving=2", "--workdir=halved")
    mine, halved = by_epoch(tmp_path / "mine"), by_epoch(tmp_path / "halved")
    assert len(mine) == len(before) + 2 * 2 and {row["epochs"] for row in mine.values()} == {4}
    assert mine.keys() >= halved.keys()
    for key, row in halved.items():
        assert mine[key] == pytest.approx(row, abs=3e-7)
    call(*HALF, RATES, "--continue", "--halving=2", "--workdir=mine")
    assert count_packs[:2] == [8, 2] and len(count_packs) == 5


def test_weights_are_kept_of_trials_that_are_called_otherwise(tmp_path):
    """Of the same epoch alone; a damaged file counts as none."""
    state = weights.arrays_of(train.initial_state(small()))
    (tmp_path / "weights").mkdir()
    weights.write(tmp_path / "weights" / "a.npz", state, 3)
    (tmp_path / "weights" / "b.npz").write_bytes(b"no weights")
    kept = winners.Winners(tmp_path)
    kept.take_over({"x": "a", "y": "b", "z": "c"}, 3)
    kept.take_over({"w": "a"}, 2)
    assert {path.stem for path in (tmp_path / "weights").iterdir()} == {"a", "b", "x"}


def test_the_weights_of_the_best_seeds_are_kept(call, tmp_path):
    """One file a setting, of the seed with the best last val_accuracy; `--init_from` reads it."""
    call(*HALF, "learning_rate=1,10", "--keep=best", "--workdir=mine")
    last = [row for (_, epoch), row in by_epoch(tmp_path / "mine").items() if epoch == 4]
    best = {max((row for row in last if row["learning_rate"] == rate), key=lambda row: row["val_accuracy"])["trial"]
            for rate in (1.0, 10.0)}  # fmt: skip
    assert {path.stem for path in (tmp_path / "mine" / "weights").iterdir()} == best
    path = tmp_path / "mine" / "weights" / f"{best.pop()}.npz"
    arrays, epoch = weights.read(path)
    assert epoch == 4 and arrays["hidden_0/kernel"].shape == (784, 8)
    weights.read_initial(path, train.state_shapes(small(epochs=4)))


def test_trials_that_stop_are_those_of_runs_alone_and_free_their_lanes(monkeypatch):
    """Lanes whose number is reached end there, and are probed there whatever is between probes; those that go on move
    together, and are as if nothing had happened."""
    target, base = 0.5, small(epochs=6, probes=("speed",), probe_examples=50)
    trials = space.make_trials(base, None, {"learning_rate": [0.01, 10.0, 20.0, 30.0], "seed": [0, 1]})
    (pack,), dataset = plan.make_packs(trials, plan.this_machine(), lambda _: 512), synthetic()
    whole = executors.Runner().run(pack, trials, dataset, lambda _: None).to_pylist()
    # Under the names of the whole trials, so that their rows compare.
    ends = {"stop_at": f"val_accuracy>={target}", "probe_every": 9}
    stops = {name: trial.replace(**ends) for name, trial in trials.items()}
    shapes, run_part = [], executors.run_part

    def seen(part, *arguments):
        shapes.append(part.shape)
        return run_part(part, *arguments)

    monkeypatch.setattr(executors, "run_part", seen)
    monkeypatch.setattr(plan, "COMPILATION_SECONDS", 0.0)  # Narrowed lanes are narrowed again.
    last = {}
    table = executors.Runner().run(pack, stops, dataset, lambda _: None, last=last)
    expected, over = {}, set()
    for row in whole:
        if row["trial"] not in over:
            expected[row["trial"], row["epoch"]] = row
            if row["val_accuracy"] >= target:
                over.add(row["trial"])
    found = {(row["trial"], row["epoch"]): row for row in table.to_pylist()}
    assert len(found) < len(whole)
    assert found.keys() == expected.keys() and 0 < len(over) < 8
    for key, row in found.items():
        assert row["val_loss"] == pytest.approx(expected[key]["val_loss"], abs=3e-7)
        is_last = (key[0], key[1] + 1) not in found
        probed = expected[key]["update_ratio/output"] if is_last else None
        assert row["update_ratio/output"] == (pytest.approx(probed, rel=1e-4) if is_last else None)
    assert len(shapes) > 2 and shapes[-1].rows * shapes[-1].lanes < 8 and last.keys() == trials.keys()


def test_trials_that_are_cut_are_probed_where_they_end(call, tmp_path):
    """After the last epoch of their rung, so that each trial has measures of its last epoch."""
    probed = (*HALF, "learning_rate=0.1,1", "--config.probes=speed", "--config.probe_every=3", "--config.epochs=3")
    call(*probed, "--halving=2", "--seeds=1", "--workdir=halved")
    found = sorted(
        (epoch, row["speed/output"] is not None) for (_, epoch), row in by_epoch(tmp_path / "halved").items()
    )
    assert found == [(1, False), (1, False), (2, True), (2, True), (3, True)]


def test_a_stopped_trial_is_whole(tmp_path):
    """Its pack is read although rows are fewer than its epochs; of one that did not stop, that is damage."""
    trials = space.make_trials(as_config({"epochs": 5, "stop_at": "val_accuracy>=0.5"}), None, {})
    (name,) = trials

    def table(*accuracies):
        metrics = {"loss": 1.0, "accuracy": 0.1, "val_loss": 1.0, "diverged": False}
        rows = [{"trial": name, "epoch": i, "val_accuracy": a, **metrics} for i, a in enumerate(accuracies, 1)]
        return results.pack_table(trials, rows)

    results.write_table(table(0.1, 0.6), tmp_path / "a.parquet")
    assert len(results.read_pack(tmp_path / "a.parquet", {name: 5})) == 2
    assert results.reached({"a": table(0.1, 0.6)})[name].is_over
    results.write_table(table(0.1, 0.4), tmp_path / "b.parquet")
    with pytest.raises(results.DamagedError, match="has 2 of 5 epochs"):
        results.read_pack(tmp_path / "b.parquet", {name: 5})


def test_states_are_written_and_read(tmp_path):
    """The same arrays; those of another network are refused in one line."""
    trials = space.make_trials(small(epochs=1, momentum=0.9), None, {"seed": [0, 1]})
    there = {name: train.make_train(trial).init(train.hyperparameters(trial), train.run_keys(trial.seed)[0])
             for name, trial in trials.items()}  # fmt: skip
    store = states.Store(tmp_path)
    store.write("0123456789abcdef", there)
    found = states.Store(tmp_path).read("0123456789abcdef", trials)
    for name, state in there.items():
        for a, b in zip(states.by_path(state).values(), states.by_path(found[name]).values(), strict=True):
            assert np.array_equal(a, b) and a.dtype == b.dtype
    wider = {name: trial.replace(hidden=(9,)) for name, trial in trials.items()}
    with pytest.raises(Exception, match="states of other networks"):
        store.read("0123456789abcdef", wider)
    store.keep_only(())
    assert not store.has("0123456789abcdef", next(iter(trials))) and list(tmp_path.iterdir()) == []


def test_states_go_on_beside_those_with_a_velocity(tmp_path):
    """A momentum of 0 alone keeps no velocity, and has one of zeros beside trials that have; what a program kept for it
    is left out where it goes on alone."""
    (name, trial), key = next(iter(space.make_trials(small(), None, {}).items())), "0123456789abcdef"
    other = trial.replace(momentum=0.9)
    alone, moving = (train.initial_state(of) for of in (trial, other))
    for there, optional, like in ((alone, ("momentum",), moving), (moving, (), alone)):
        states.write(tmp_path, key, {name: there})
        found = states.read(tmp_path, key, {name: trial}, optional)[name]
        assert jax.tree.structure(found) == jax.tree.structure(like)
    states.write(tmp_path, key, {name: alone})
    (velocity,) = [leaf for path, leaf in states.by_path(states.read(tmp_path, key, {name: trial}, ("momentum",))[name])
                   .items() if path.endswith("trace/output/kernel")]  # fmt: skip
    assert velocity.shape == (8, 10) and not velocity.any()
    with pytest.raises(Exception, match="states of other networks"):
        states.read(tmp_path, key, {name: other})


def test_the_best_seed_is_not_the_one_that_took_longest(tmp_path):
    """A seed that has reached its number early is before one that never did, and after a better one; a setting of an
    earlier start keeps its weights, one that has gone on as another does not."""
    state = train.initial_state(small())

    def pack(rate, *courses, epochs=3):
        axes = {"learning_rate": [rate], "seed": range(len(courses))}
        trials = space.make_trials(small(epochs=epochs, stop_at="val_accuracy>=0.7"), None, axes)
        row = {"diverged": False, "loss": 1.0, "accuracy": 0.1, "val_loss": 1.0}
        rows = [
            row | {"trial": name, "epoch": i, "val_accuracy": score}
            for name, course in zip(trials, courses, strict=True)
            for i, score in enumerate(course, 1)
        ]
        return list(trials), results.pack_table(trials, rows)

    (_, fast, _), one = pack(1.0, [0.1, 0.2, 0.3], [0.5, 0.8], [0.6, 0.75])
    (_, longer), two = pack(2.0, [0.6], [0.1, 0.2])
    (old,), three = pack(3.0, [0.1, 0.1], epochs=2)
    kept = winners.Winners(tmp_path)
    for table in (one, two, three):
        kept.add(table, dict.fromkeys(table["trial"].to_pylist(), state))
    assert kept.tidy() == 0
    assert {path.stem for path in (tmp_path / "weights").iterdir()} == {fast, longer, old}
    assert weights.read(tmp_path / "weights" / f"{fast}.npz")[1] == 2
    again = winners.Winners(tmp_path)
    for table in (one, two, three):
        again.add(table)
    assert again.tidy({old}) == 0
    assert {path.stem for path in (tmp_path / "weights").iterdir()} == {fast, longer}


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({"epochs": 4}, {"epochs": 2}, "has 4 epochs, 2 here; accepted with --continue: more"),
        ({"schedule": "cosine"}, {"schedule": "cosine", "epochs": 8}, "over which its schedule=cosine is stretched"),
    ],
)
def test_epochs_that_a_sweep_cannot_go_on_for_are_refused(tmp_path, before, now, words):
    """Fewer of them would hide what there is, others under a schedule have to be run anew: in one line."""
    base = Config().replace(**{"epochs": 4, **before})
    plan_file.write_plan(plan_file.Recorded(base, (), {}, (), ()), tmp_path / "plan.json")
    with pytest.raises(plan_file.SweepError, match=words):
        SweepDirectory(tmp_path, base.replace(**now), {"a": base.replace(**now)}, goes_on=True)


def test_a_trial_goes_on_from_the_one_with_fewer_epochs():
    """Of several the furthest; not from another rate. One that has diverged stays as it is."""

    def table(rate, epochs, diverged=False):
        trials = space.make_trials(as_config({"epochs": epochs, "learning_rate": rate}), None, {})
        (name,) = trials
        metrics = {"loss": 1.0, "accuracy": 0.1, "val_loss": 1.0, "val_accuracy": 0.1}
        rows = [
            {"trial": name, "epoch": i, "diverged": diverged and i == epochs, **metrics} for i in range(1, epochs + 1)
        ]
        return name, results.pack_table(trials, rows)

    (_, a), (two, b), (lost, c) = table(0.1, 1), table(0.1, 2), table(0.2, 2, diverged=True)
    axes = {"learning_rate": [0.1, 0.2, 0.3]}
    trials = space.make_trials(as_config({"epochs": 4}), None, axes)
    stage = Stage(trials, {"a": a, "b": b, "c": c}, states.Store(Path("nowhere")), goes_on=True)
    first, second, third = trials
    assert stage.origins == {first: two, second: lost}
    assert stage.to_take_over(trials) == {second: Span(2, 2)}
    assert stage.to_come(trials) == {first: Span(0, 4), third: Span(0, 4)}


def test_trials_of_more_epochs_go_on_where_their_rates_are_the_same():
    """Also with a warm-up that is longer than one epoch; not where the schedule is stretched over the epochs."""
    row = dict.fromkeys(METRICS, 0.5) | {"epoch": 2, "diverged": False}
    for fields, goes_on in (
        ({"warmup": 1.7}, True),
        ({"schedule": "step", "decay_every": 1.5}, True),
        ({"schedule": "step"}, False),
        ({"schedule": "cosine"}, False),
    ):
        before, after = (Config().replace(**fields, epochs=epochs) for epochs in (2, 4))
        tables = {"pack": results.pack_table({before.name(): before}, [row | {"trial": before.name()}])}
        begun_as = beginnings_of({after.name(): after}, tables, results.reached(tables))
        assert begun_as == ({after.name(): [before.name()]} if goes_on else {}), fields
