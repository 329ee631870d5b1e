"""Nets that are evaluated and measured at their end alone, on three parts of a data set."""

import jax
import numpy as np
import pytest

import input_pipeline
import train
from experiments.engine import executors, lanes, plan, results, space
from experiments.study import measured_ends
from experiments.study.measured_ends import METRICS


def test_nets_are_measured_in_their_last_row(synthetic_config, monkeypatch):
    """All is that of the last weights: cost on the training images, accuracies on the held-out and the test ones, which
    are none of the runner's business; a seed that only chooses has no test accuracy, a trial that diverged nothing."""
    synthetic_config.update(probes=(), epochs=2, validation="128")
    trials = space.make_trials(synthetic_config, None, {"learning_rate": [0.5, 9.0]})
    dataset, functions = train.load_dataset(synthetic_config, ""), train.make_train(synthetic_config)
    state = functions.init(train.hyperparameters(synthetic_config), jax.random.key(1))

    def run(self, pack, trials, dataset, advance, last):
        assert len(dataset.validation_labels) == 100 and not dataset.has_test
        rows = []
        for name in pack.trials:
            last[name] = state
            for epoch in (1, 2):
                diverged = trials[name].learning_rate > 1 and epoch == 2
                rows.append({"trial": name, "epoch": epoch, "diverged": diverged, "val_accuracy": 0.5})
        return results.pack_table({name: trials[name] for name in pack.trials}, rows)

    monkeypatch.setattr(executors.Runner, "run", run)
    packs = plan.make_packs(trials, plan.this_machine(), lambda _: len(dataset.images))
    datasets = {lanes.data_key(trials[packs[0].trials[0]]): dataset}

    def measured(seeds):
        ((_, table),) = measured_ends.run_and_measure(packs, trials, datasets, lambda _: None, measured_seeds=seeds)
        assert table.column_names[-3:] == sorted(METRICS[1:]) and table["val_accuracy"].null_count == 3
        return [table.filter(np.array(table["learning_rate"]) == rate) for rate in (0.5, 9.0)]

    parts = {
        "end/cost": (dataset.images, dataset.labels, "loss"),
        "val_accuracy": (dataset.validation_images, dataset.validation_labels, "accuracy"),
        "test_accuracy": (dataset.test_images, dataset.test_labels, "accuracy"),
    }
    ended, diverged = measured((0,))
    for metric, (images, labels, name) in parts.items():
        expected = float(functions.evaluate(state, images, labels)[name])
        assert ended[metric].to_pylist() == [None, pytest.approx(expected, rel=1e-5)]
    assert ended["end/noise_scale"].to_pylist()[1] > 0 and ended["end/top_eigenvalue"].to_pylist()[1] > 0
    assert all(diverged[metric].to_pylist() == [None, None] for metric in (*METRICS, "val_loss"))
    ended, _ = measured((1,))
    assert all(ended[metric].null_count == 2 for metric in METRICS) and ended["val_loss"].null_count == 1


def test_what_is_held_out_is_halved_where_there_is_no_test_set():
    """The first half validates, the second tests; floats beyond 1 are shares of the largest one."""
    images, labels = np.arange(20, dtype=np.float32).reshape(10, 2), np.arange(10, dtype=np.int32)
    whole = input_pipeline.Dataset(images[:4], labels[:4], images[4:], labels[4:])
    parts = measured_ends.in_three(whole)
    assert parts.validation_labels.tolist() == [4, 5, 6] and parts.test_labels.tolist() == [7, 8, 9]
    np.testing.assert_allclose(parts.images, images[:4] / 7, rtol=1e-6)
    tested = whole._replace(test_images=images, test_labels=labels)
    assert measured_ends.in_three(tested).validation_labels.tolist() == [4, 5, 6, 7, 8, 9]
