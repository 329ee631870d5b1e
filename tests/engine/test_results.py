"""Tables of a sweep: what a pack's file must hold, summaries over seeds, TensorBoard."""

import csv
import math

import numpy as np
import pytest
from scipy import stats

from configs import shallow
from experiments.engine import results, space, statistics, tensorboard
from training.config import FIELDS, Config
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
    """Curves, hyperparameters, when its epochs ended and how it did, read back by TensorBoard, run by run as packs
    end."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    trials, rows = example(diverged=(5,))
    folder, names = tmp_path / "tensorboard", list(trials)
    writer = tensorboard.Events(folder, trials)
    for pack in (names[:2], names[2:]):
        table = results.pack_table(trials, [row for row in rows if row["trial"] in pack])
        writer.write(results.with_times(table, results.Times(1e9, (1e9 + 5.0, 1e9 + 7.0))))
    runs = {path.name: path for path in folder.iterdir() if path.is_dir()}
    expected = [f"learning_rate={t.learning_rate:g},seed={t.seed}-{name}" for name, t in trials.items()]
    assert sorted(runs) == sorted(expected)
    whole = EventAccumulator(str(folder)).Reload().SummaryMetadata(metadata.EXPERIMENT_TAG)
    fields = metadata.parse_experiment_plugin_data(whole.plugin_data.content).hparam_infos
    assert {info.name: [value.number_value for value in info.domain_discrete.values] for info in fields} == {
        "learning_rate": [0.1, 1.0],
        "seed": [0.0, 1.0, 2.0],
    }
    for i, (name, trial) in enumerate(trials.items()):
        events = EventAccumulator(str(runs[expected[i]])).Reload()
        plugin = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        start = metadata.parse_session_start_info_plugin_data(plugin)
        assert start.hparams["learning_rate"].number_value == trial.learning_rate and start.start_time_secs == 1e9
        end = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
        ended = metadata.parse_session_end_info_plugin_data(end)
        assert (ended.status, ended.end_time_secs) == ((2, 1e9 + 5) if i == 5 else (1, 1e9 + 7))
        scalars = [(event.step, event.value, event.wall_time) for event in events.Scalars("val_accuracy")]
        of_trial = [row for row in rows if row["trial"] == name]
        assert scalars == [
            (row["epoch"], pytest.approx(row["val_accuracy"]), 1e9 + 3 + 2 * row["epoch"]) for row in of_trial
        ]


def test_tensorboard_catches_up(tmp_path):
    """At a start what is there is left as it is, also a run of an earlier version but for its file; with another swept
    field runs are called by it, and none is there twice; a trial that goes on has both parts."""
    trials, rows = example(epochs=4)
    folder, base = tmp_path / "tensorboard", shallow.get_config()
    first = results.pack_table(trials, [row for row in rows if row["epoch"] <= 2])
    (folder / next(iter(trials))).mkdir(parents=True)  # What the first version wrote.
    (folder / next(iter(trials)) / "events.out.tfevents.0.sweep").write_bytes(b"old")
    tensorboard.Events(folder, trials).catch_up([first])
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}
    assert len(before) == len(trials) == len(list(folder.glob("*/")))
    second = results.pack_table(trials, [row for row in rows if row["epoch"] > 2])
    tensorboard.Events(folder, trials).catch_up([first, second])
    after = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}
    assert len(after) == 2 * len(trials) and {path: after[path] for path in before} == before
    base.epochs = 4
    more = space.make_trials(base, None, {"activation": ["sigmoid", "tanh"], "learning_rate": [0.1, 1.0]})
    tensorboard.Events(folder, more).catch_up([first, second])
    names = sorted(path.name for path in folder.glob("*/"))
    assert len(names) == len(trials) and all("activation=sigmoid,learning_rate=" in name for name in names)
    assert len(list(folder.glob("*/*"))) == 2 * len(trials)


def test_tensorboard_has_a_trial_that_went_on_once(tmp_path):
    """Under the name of now alone, with the times at which its epochs ended under the name of before, and called by
    what is swept now; until its pack ends it is there as it was. So also where an earlier version has left both."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, tables, names = tmp_path / "tensorboard", [], []
    row = dict.fromkeys(METRICS, 0.5) | {"diverged": False}
    for epochs, times in ((2, results.Times(100.0, (110.0, 120.0))), (4, results.Times(500.0, (510.0, 520.0), 2))):
        trials = space.make_trials(Config(epochs=epochs), None, {"learning_rate": [0.1, 1.0]})
        rows = [row | {"trial": name, "epoch": i} for name in trials for i in range(1, epochs + 1)]
        tables.append(results.with_times(results.pack_table(trials, rows), times))
        names.append(list(trials))
    continued = dict(zip(*names, strict=True))
    tensorboard.Events(folder, dict.fromkeys(names[0], Config(epochs=2))).catch_up(tables[:1])
    goes_on = tensorboard.Events(folder, trials)
    goes_on.catch_up(tables[:1], continued)
    assert sorted(path.name[-12:] for path in folder.glob("*/")) == sorted(names[0])
    goes_on.write(tables[1], continued)
    expected = sorted(f"learning_rate={rate:g}-{name}" for rate, name in zip((0.1, 1.0), names[1], strict=True))
    assert sorted(path.name for path in folder.glob("*/")) == expected
    scalars = EventAccumulator(str(folder / expected[0])).Reload().Scalars("loss")
    assert [(event.step, event.wall_time) for event in scalars] == [(1, 110.0), (2, 120.0), (3, 510.0), (4, 520.0)]
    for name in names[0]:
        (folder / f"learning_rate=0.1-{name}").mkdir()
    tensorboard.Events(folder, trials).catch_up(tables, continued)
    assert sorted(path.name for path in folder.glob("*/")) == expected


def test_the_rate_of_an_epoch_is_a_column_and_a_curve():
    """Before the probes, of the trials whose rate changes alone; in TensorBoard by the name that runs give it, in the
    summary not, since no seed has another one."""
    trials, rows = example(epochs=2)
    first = next(iter(trials))
    rows = [row | {"rate": 0.5 / row["epoch"]} if row["trial"] == first else row for row in rows]
    table = results.pack_table(trials, rows)
    assert results.metric_names(table) == [*METRICS, "rate", "speed/output"]
    assert table["rate"].to_pylist() == [0.5, 0.25] + [None] * (len(rows) - 2)
    assert not [name for name in results.summary_rows(table)[0] if name.startswith("rate")]
    summaries = [tensorboard.scalar_summary(row, results.metric_names(table)) for row in table.to_pylist()]
    curves = [[value.simple_value for value in one.value if value.tag == "learning_rate"] for one in summaries]
    assert curves == [[0.5], [0.25], *[[]] * (len(rows) - 2)]


def test_names_of_runs():
    """Of signs that every file system takes, and bounded, whatever the values are."""
    assert tensorboard.run_name({"learning_rate": 0.1, "activation": "tanh", "seed": 0}, "0" * 12) == (
        "learning_rate=0.1,activation=tanh,seed=0-000000000000"
    )
    assert tensorboard.run_name({"l2": 1 / 3}, "a") == "l2=0.3333333333333333-a"
    assert tensorboard.run_name({}, "a") == "a"
    long = tensorboard.run_name({f"field_{i}": "idx:/data/\N{SNOWMAN} " + "x" * 300 for i in range(20)}, "b" * 12)
    assert len(long) <= 200 and long.endswith("-" + "b" * 12)
    assert not set(long) & set("/:\\ \N{SNOWMAN}")


def test_times_of_a_pack(tmp_path):
    """When a pack was run stands in its file and is no part of its rows; files without it are read as before."""
    trials, rows = example()
    table = results.pack_table(trials, rows)
    times = results.Times(1e9, (1e9 + 1.25, 1e9 + 2.5))
    results.write_table(results.with_times(table, times), tmp_path / "a.parquet")
    results.write_table(table, tmp_path / "b.parquet")
    a, b = (results.read_table(tmp_path / f"{name}.parquet") for name in "ab")
    assert results.times_of(a) == times and times.seconds == 2.5 and results.times_of(b) is None
    assert a.equals(b) and results.as_bytes(results.join([a])) == results.as_bytes(results.join([b]))


def test_summary_of_many_is_that_of_each():
    """All configurations at once, of unequal numbers of seeds and with probes that some lack, give the numbers of each
    one's seeds alone; the last row that a trial has is its end."""
    trials, rows = example(rates=(0.1, 1.0, 2.0), seeds=tuple(range(11)), diverged=(3, 14, 15))
    rng = np.random.default_rng(0)
    stopped, rows = list(trials)[5], [row | {"val_loss": rng.random()} if row["val_loss"] else row for row in rows]
    rows = [row for row in rows if not (row["trial"] == stopped and row["epoch"] == 2)]
    table = results.pack_table(trials, rows)
    for summary, rate in zip(results.summary_rows(table), (0.1, 1.0, 2.0), strict=True):
        last = {row["trial"]: row for row in rows if trials[row["trial"]].learning_rate == rate}
        ended = [row for row in last.values() if not row["diverged"]]
        assert (summary["seeds"], summary["diverged"]) == (11, 11 - len(ended))
        for name in ("val_loss", "speed/output"):
            found = statistics.interval(np.array([row.get(name, math.nan) for row in ended]), bounds=(0.0, math.inf))
            assert [summary[f"{name}_{part}"] for part in found._fields] == pytest.approx(list(found), rel=1e-12)
