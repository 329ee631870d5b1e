"""Tables of a sweep: what a pack's file must hold, summaries over seeds, TensorBoard."""

import csv
import math

import numpy as np
import pytest
from scipy import stats

from configs import shallow
from experiments.engine import results, space, statistics, tensorboard
from training.config import FIELDS
from training.records import METRICS


def example(rates=(0.1, 1.0), seeds=(0, 1, 2), epochs=2, diverged=()):
    """Trials and made-up rows; the trials at those indices diverge in epoch 1."""
    base = shallow.get_config()
    base.epochs = epochs
    trials = space.make_trials(base, None, {"learning_rate": list(rates), "seed": list(seeds)})
    rows = []
    for i, name in enumerate(trials):
        for number in range(1, (1 if i in diverged else epochs) + 1):
            values = {metric: 0.1 * i + number + j for j, metric in enumerate(METRICS)}
            values |= {"loss": None, "val_loss": None} if i in diverged else {}
            row = {"trial": name, "epoch": number, "diverged": i in diverged, **values}
            rows.append(row | ({"speed/output": float(i)} if number == epochs else {}))
    return trials, rows


def test_columns_are_the_config_fields_metrics_and_probes():
    """Every config field with its type; hidden layers as 64-64; null where a probe did not measure."""
    base = shallow.get_config()
    base.hidden = (64, 32)
    (name, trial), *_ = space.make_trials(base, None, {}).items()
    row = {"trial": name, "epoch": 1, "diverged": False} | dict.fromkeys(METRICS, 0.5)
    table = results.pack_table({name: trial}, [row, row | {"epoch": 2, "speed/hidden_10": 1.0, "speed/hidden_2": 2.0}])
    assert table.column_names == [
        "trial",
        *FIELDS,
        "epoch",
        *METRICS,
        "diverged",
        "speed/hidden_2",
        "speed/hidden_10",
    ]
    first = table.to_pylist()[0]
    assert (first["hidden"], first["probes"], first["learning_rate"], first["batch_norm"]) == (
        "64-32",
        "saturation,speed",
        0.01,
        False,
    )
    assert table["speed/hidden_2"].to_pylist() == [None, 2.0]


def test_the_order_of_packs_does_not_matter(tmp_path):
    """Joined tables are sorted by swept fields and epoch; a file gives back what was written."""
    trials, rows = example()
    parts = [results.pack_table(trials, rows[start::3]) for start in range(3)]
    a, b = results.join(parts), results.join(parts[::-1])
    assert a.equals(b) and len(a) == len(rows)
    keys = list(zip(*(a[name].to_pylist() for name in ("learning_rate", "seed", "epoch")), strict=True))
    assert keys == sorted(keys)
    results.write_table(a, tmp_path / "t.parquet")
    assert results.read_table(tmp_path / "t.parquet").equals(a)


def test_damaged_packs_are_told(tmp_path):
    """A torn file, one flipped byte in its data, a missing epoch, a missing or foreign trial."""
    trials, rows = example(diverged=(5,))
    epochs = {name: trial.epochs for name, trial in trials.items()}
    path = tmp_path / "pack.parquet"
    results.write_table(results.pack_table(trials, rows), path)
    assert len(results.read_pack(path, epochs)) == 11
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], b"x" * 1000):
        path.write_bytes(content)
        with pytest.raises(results.DamagedError):
            results.read_pack(path, epochs)
    for wrong in (rows[1:], [row for row in rows if row["epoch"] == 1], rows[2:]):
        results.write_table(results.pack_table(trials, wrong), path)
        with pytest.raises(results.DamagedError, match=r"missing|of 2 epochs"):
            results.read_pack(path, epochs)
    results.write_table(results.pack_table(trials, rows), path)
    with pytest.raises(results.DamagedError, match="it holds 6 trials, not 5"):
        results.read_pack(path, dict(list(epochs.items())[:5]))
    results.write_table(results.pack_table(trials, rows).drop_columns(["loss"]), path)
    with pytest.raises(results.DamagedError, match="lacks the column 'loss'"):
        results.read_pack(path, epochs)


def test_interval_is_students():
    """Against SciPy; NaN is left out, and one seed has no interval."""
    values_SxE = np.random.default_rng(0).normal(size=(8, 3))
    values_SxE[2:, 1], values_SxE[1:, 2] = np.nan, np.nan
    found = statistics.interval(values_SxE)
    low, high = stats.t.interval(0.95, 7, values_SxE[:, 0].mean(), stats.sem(values_SxE[:, 0]))
    assert (found.low[0], found.high[0]) == pytest.approx((low, high))
    assert found.std[1] == pytest.approx(np.std(values_SxE[:2, 1], ddof=1))
    assert found.n.tolist() == [8, 2, 1]
    assert found.mean[2] == values_SxE[0, 2] and math.isnan(found.std[2]) and math.isnan(found.low[2])
    assert math.isnan(statistics.interval(np.zeros((0,))).mean)


def test_intervals_stay_within_what_is_possible():
    """Of shares .9, 1 and 1 Student's interval ends at .967 + .143: nothing above 1 is possible; mean and deviation
    stay. Of a measure without bounds nothing is cut; an unknown one has none."""
    values_S = np.array([0.9, 1.0, 1.0])
    whole, cut = (
        statistics.interval(values_S),
        statistics.interval(values_S, bounds=statistics.bounds_of("val_accuracy")),
    )
    assert whole.high > 1.1 and cut.high == 1.0
    assert (cut.mean, cut.std, cut.n, cut.low) == (whole.mean, whole.std, whole.n, whole.low)
    assert statistics.interval(1 - values_S, bounds=statistics.bounds_of("saturation/hidden_0")).low == 0.0
    shares = ("accuracy", "phi/a", "zero_fraction/a", "dead_units/a", "dormant_units/a", "slope_mass/a", "wrong_side/o")
    assert {statistics.bounds_of(name) for name in shares} == {(0.0, 1.0)}
    assert statistics.bounds_of("val_loss") == statistics.bounds_of("speed/output") == (0.0, math.inf)
    assert statistics.bounds_of("activation_mean/hidden_0") == statistics.bounds_of("mine") == (-math.inf, math.inf)
    assert math.isnan(statistics.interval(np.array([0.5]), bounds=(0.0, 1.0)).low)


def test_interval_in_words():
    """Of .9, 1, 1.1 and, as ratios, of what has those logarithms; Student's t of 2 degrees of freedom is 4.303."""
    values_S, half = np.array([0.9, 1.0, 1.1]), 4.303 * 0.1 / math.sqrt(3)
    assert statistics.interval_in_words(values_S, "+.2f") == f"95 % interval {1 - half:+.2f} to {1 + half:+.2f}"
    expected = f"95 % interval {math.exp(1 - half):.3g} to {math.exp(1 + half):.3g}"
    assert statistics.interval_in_words(np.exp(values_S), log=True) == expected


def test_a_metric_by_epoch():
    """An array a trial; NaN where it is not finite, and after the epoch in which the trial diverged."""
    trials, rows = example(diverged=(1,))
    found = results.by_epoch(results.pack_table(trials, rows), "loss")
    assert list(found) == list(trials)
    np.testing.assert_allclose(found[list(trials)[2]], [1.2, 2.2])
    assert np.isnan(found[list(trials)[1]]).tolist() == [True, True]
    accuracy_E = results.by_epoch(results.pack_table(trials, rows), "accuracy")[list(trials)[1]]
    assert np.isnan(accuracy_E).tolist() == [False, True]


def test_summary_is_of_the_seeds_that_ended(tmp_path):
    """One row a configuration, of its last epoch; diverged seeds are counted, and left out of the means."""
    trials, rows = example(diverged=(4,))
    summary = results.summary_rows(results.pack_table(trials, rows))
    assert [(row["learning_rate"], row["seeds"], row["diverged"]) for row in summary] == [(0.1, 3, 0), (1.0, 3, 1)]
    # val_accuracy is .1 i + 2 + 3 in the last epoch, i the number of the trial.
    assert summary[0]["val_accuracy_mean"] == pytest.approx(5.1)
    assert summary[1]["val_accuracy_mean"] == pytest.approx(5.4) and summary[1]["val_accuracy_n"] == 2
    assert summary[1]["val_accuracy_std"] == pytest.approx(0.2 / math.sqrt(2))
    assert summary[0]["speed/output_mean"] == pytest.approx(1.0)
    results.write_summary(summary, tmp_path / "summary.csv")
    with (tmp_path / "summary.csv").open() as file:
        assert [row["val_accuracy_n"] for row in csv.DictReader(file)] == ["3", "2"]


def test_domains_of_the_hparams_tab():
    """Values of words and truth values, and of few numbers; the interval of many."""
    assert tensorboard.domain(["relu", "tanh"]).values == ["relu", "tanh"]
    assert tensorboard.domain([False, True]).values == [False, True]
    interval = tensorboard.domain(list(range(60)))
    assert (interval.min_value, interval.max_value) == (0.0, 59.0)


def test_tensorboard_has_a_run_a_trial(tmp_path):
    """Curves, hyperparameters and how it ended, read back by TensorBoard; written again, the folder is replaced."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    trials, rows = example(diverged=(5,))
    table = results.pack_table(trials, rows)
    for _ in range(2):
        tensorboard.write_tensorboard(table, tmp_path / "tensorboard")
    assert sorted(p.name for p in (tmp_path / "tensorboard").iterdir() if p.is_dir()) == sorted(trials)
    whole = EventAccumulator(str(tmp_path / "tensorboard")).Reload().SummaryMetadata(metadata.EXPERIMENT_TAG)
    fields = metadata.parse_experiment_plugin_data(whole.plugin_data.content).hparam_infos
    assert {info.name: [value.number_value for value in info.domain_discrete.values] for info in fields} == {
        "learning_rate": [0.1, 1.0],
        "seed": [0.0, 1.0, 2.0],
    }
    for i, (name, trial) in enumerate(trials.items()):
        events = EventAccumulator(str(tmp_path / "tensorboard" / name)).Reload()
        plugin = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        start = metadata.parse_session_start_info_plugin_data(plugin)
        assert start.hparams["learning_rate"].number_value == trial.learning_rate
        end = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
        assert metadata.parse_session_end_info_plugin_data(end).status == (2 if i == 5 else 1)
        scalars = [(event.step, event.value) for event in events.Scalars("val_accuracy")]
        expected = [(r["epoch"], pytest.approx(r["val_accuracy"])) for r in rows if r["trial"] == name]
        assert scalars == expected
