"""The test set beside examples held out, in sweeps."""

import csv

import jax
import numpy as np
import pytest
from finals_tables import finals_of_table

import input_pipeline
import train
from configs import shallow
from experiments.engine import executors, lanes, plan, ranking, results, space, sweeping, tensorboard
from experiments.engine.conclusion import conclusion
from experiments.engine.statistics import bounds_of
from training.records import METRICS, TEST_METRICS

DATASET = input_pipeline.split(input_pipeline.synthetic(), 0, "100")


@pytest.fixture(autouse=True)
def compiled_fast(monkeypatch):
    """What is compiled for lanes is compiled as everything else in the tests."""
    monkeypatch.setattr(lanes, "ONE_CORE", {})


def small(**fields):
    """A small net on the synthetic data set with examples held out, for two epochs, without probes."""
    config = shallow.get_config()
    config.update(dataset="synthetic", hidden=(8,), epochs=2, batch_size=100, probes=(), validation="100")
    config.update(fields)
    return config


AXES = {"learning_rate": [0.1, 1.0], "seed": [0, 1]}


def test_a_sweep_measures_the_test_set_beside(tmp_path, capsys):
    """Each lane's numbers are those of its run alone; they are in the table, the summary and on the screen."""
    trials = space.make_trials(small(), None, AXES)
    summary = sweeping.run(small(), trials, tmp_path / "swept")
    line = "Validation: the last 100 training examples; the test set (256 examples) is measured beside it"
    assert line in capsys.readouterr().out.splitlines()
    table = results.read_table(tmp_path / "swept" / "results.parquet")
    assert results.metric_names(table) == [*METRICS, *TEST_METRICS]
    found = {(row["trial"], row["epoch"]): row for row in table.to_pylist()}
    functions = train.make_train(next(iter(trials.values())))  # Of all of them: what differs is an argument.
    for name, trial in trials.items():
        numbers = train.hyperparameters(trial)
        init_key, shuffle_key = train.run_keys(trial.seed)
        state = functions.init(numbers, init_key)
        for number in (1, 2):
            state, _ = functions.epoch(state, numbers, DATASET, jax.random.fold_in(shuffle_key, number))
            for part in ("validation", "test"):
                images, labels = (getattr(DATASET, f"{part}_{what}") for what in ("images", "labels"))
                for metric, value in functions.evaluate(state, images, labels).items():
                    there = found[name, number][f"{part.replace('validation', 'val')}_{metric}"]
                    assert there == pytest.approx(float(value), abs=1e-4)
    finals = [row["test_accuracy"] for row in table.to_pylist() if (row["epoch"], row["learning_rate"]) == (2, 1.0)]
    of_rate = next(row for row in summary if row["learning_rate"] == 1.0)
    assert of_rate["test_accuracy_mean"] == pytest.approx(np.mean(finals)) and of_rate["test_accuracy_n"] == 2
    with (tmp_path / "swept" / "summary.csv").open() as file:
        assert {"test_loss_mean", "test_accuracy_high"} <= set(next(csv.DictReader(file)))
    assert f"test_accuracy {of_rate['test_accuracy_mean']:.4f}" in conclusion(ranking.decide(table))
    assert bounds_of("test_accuracy") == (0.0, 1.0)


def test_trials_are_ranked_by_validation():
    """Whatever the test set would say."""
    table = finals_of_table(("learning_rate",), [(0.1,), (1.0,)], [[0.5], [0.75]])
    decision = ranking.decide_finals(table._replace(tests_CxS=np.array([[0.99], [0.25]])))
    _, first, second, *_ = conclusion(decision).splitlines()
    assert first == "  0.7500 (1 seed, test_accuracy 0.2500)  learning_rate=1.0"
    assert second == "  0.5000 (1 seed, test_accuracy 0.9900)  learning_rate=0.1"


def test_all_else_has_the_same_bits():
    """As in the packs of a data set without a test part, whose tables have the columns of before."""
    trials = space.make_trials(small(), None, AXES)
    untested = DATASET._replace(test_images=DATASET.images[:0], test_labels=DATASET.labels[:0])
    (pack,) = plan.make_packs(trials, plan.this_machine(), lambda _: len(DATASET.images))
    tables = [executors.Runner().run(pack, trials, dataset, lambda _: None) for dataset in (DATASET, untested)]
    assert tables[1].column_names == results.LEADING.names
    assert tables[0].select(results.LEADING.names).equals(tables[1])
    # Studies do not ask for it.
    assert executors.train_all(trials, DATASET).column_names == results.LEADING.names


def test_tables_of_earlier_versions(tmp_path):
    """They lack the columns, are read as they were, and can be joined with those that have them."""
    trials = space.make_trials(small(), None, AXES)
    rows = [
        {"trial": name, "epoch": epoch, "diverged": False, **dict.fromkeys(METRICS, 0.5)}
        for name in trials
        for epoch in (1, 2)
    ]
    tested = [row | {"test_loss": 0.25, "test_accuracy": 0.75, "speed/output": 1.0} for row in rows]
    for name, of in (("old", rows[:4]), ("new", tested[4:])):
        results.write_table(results.pack_table(trials, of), tmp_path / f"{name}.parquet")
    old, new = (results.read_table(tmp_path / f"{name}.parquet") for name in ("old", "new"))
    assert old.column_names == results.LEADING.names
    joined = results.join([new, old])
    assert joined.column_names == [*results.LEADING.names, *TEST_METRICS, "speed/output"]
    assert sorted(joined["test_loss"].to_pylist(), key=str) == [0.25] * 4 + [None] * 4
    summary = results.summary_rows(joined)
    assert [row["test_accuracy_n"] for row in summary] == [0, 2]
    tensorboard.Events(tmp_path / "tensorboard", trials).write(joined)
    assert results.score_of(joined) == "val_accuracy"
