"""The numbers of a sweep's report against numpy and by hand, and its edges."""

import itertools
import json

import numpy as np
import pytest
from sweep_tables import embedded, table_of

from experiments.engine import ranking, results, statistics, tuned
from experiments.engine.standing import Standing
from experiments.reporting import page, panels, sweep_data

# The 97.5 % quantile of Student's t with 2 degrees of freedom: three seeds.
T_OF_THREE = 4.30265


def seeds_of(table, metric, **config):
    """A metric [seeds, epochs] of the trials of a config, read row by row, NaN where they have ended."""
    rows = [row for row in table.to_pylist() if all(row[name] == value for name, value in config.items())]
    found = np.full((3, 4), np.nan)
    for row in rows:
        if not row["diverged"] and row[metric] is not None:
            found[row["seed"], row["epoch"] - 1] = row[metric]
    return found


def interval_of_three(values_Sx, metric):
    """Student's interval of three seeds; of shares no more than lies in [0, 1], of costs no less than 0."""
    half = T_OF_THREE * values_Sx.std(axis=0, ddof=1) / np.sqrt(3)
    most = 1.0 if "accuracy" in metric else np.inf
    return np.maximum(values_Sx.mean(axis=0) - half, 0.0), np.minimum(values_Sx.mean(axis=0) + half, most)


def test_curves_and_finals_are_those_of_the_seeds(sweep):
    """Mean and interval by hand of three seeds, at each epoch, at the end and at the best epoch."""
    table, folder = sweep
    data = embedded(folder / "report.html")
    assert [field["name"] for field in data["fields"]] == ["activation", "batch_norm", "learning_rate"]
    assert [field["labels"] for field in data["fields"]] == [["relu", "tanh"], ["False", "True"], ["0.5", "2", "10"]]
    assert data["seeds"] == [3] * 12
    for metric, best in (("val_accuracy", np.max), ("val_loss", np.min)):
        for c, (activation, batch_norm, rate) in enumerate(
            itertools.product(["relu", "tanh"], [False, True], range(3))
        ):
            assert [codes[c] for codes in data["codes"]] == [activation == "tanh", batch_norm, rate]
            config = {"activation": activation, "batch_norm": batch_norm, "learning_rate": [0.5, 2.0, 10.0][rate]}
            values_SxE = seeds_of(table, metric, **config)
            if np.isnan(values_SxE).any():
                continue
            curve = data["curves"][metric]
            assert data["grids"][curve["grid"][c]] == [1, 2, 3, 4]
            np.testing.assert_allclose(curve["mean"][c], values_SxE.mean(axis=0), rtol=1e-3)
            low, high = interval_of_three(values_SxE, metric)
            np.testing.assert_allclose(curve["low"][c], low, rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(curve["high"][c], high, rtol=1e-3)
            bests = best(values_SxE, axis=1)
            for part, values in (("finals", values_SxE[:, -1]), ("bests", bests)):
                found = data[part][metric]
                assert found["n"][c] == 3
                np.testing.assert_allclose(found["mean"][c], values.mean(), rtol=1e-4)
                low, high = interval_of_three(values, metric)
                np.testing.assert_allclose([found["low"][c], found["high"][c]], [low, high], rtol=1e-3, atol=1e-4)


def test_diverged_trials_are_counted_and_not_averaged(sweep):
    """The epochs at which trials diverged; the last row of these is in no mean, and ends and bests are the others'."""
    table, folder = sweep
    data = embedded(folder / "report.html")
    assert data["diverged"] == [0] * 5 + [3, 0, 0, 1, 0, 0, 0]
    assert data["diverged_epochs"][5] == [1, 2, 3] and data["diverged_epochs"][8] == [3]
    all_lost, one_lost = 5, 8
    for part in ("finals", "bests"):
        assert data[part]["val_accuracy"]["mean"][all_lost] is None and data[part]["val_accuracy"]["n"][all_lost] == 0
    curve = data["curves"]["val_accuracy"]
    assert data["grids"][curve["grid"][all_lost]] == [1, 2]
    values_SxE = seeds_of(table, "val_accuracy", activation="tanh", batch_norm=False, learning_rate=10.0)
    assert np.isnan(values_SxE).sum() == 2
    np.testing.assert_allclose(curve["mean"][one_lost], np.nanmean(values_SxE, axis=0), rtol=1e-3)
    ended = values_SxE[np.isfinite(values_SxE[:, -1])]
    finals, bests = data["finals"]["val_accuracy"], data["bests"]["val_accuracy"]
    assert finals["n"][one_lost] == bests["n"][one_lost] == 2
    np.testing.assert_allclose(finals["mean"][one_lost], ended[:, -1].mean(), rtol=1e-4)
    np.testing.assert_allclose(bests["mean"][one_lost], ended.max(axis=1).mean(), rtol=1e-4)


def test_a_probe_that_some_trials_have(sweep):
    """Saturation is tanh's and zero_fraction relu's; the others have neither curve nor end."""
    _, folder = sweep
    data = embedded(folder / "report.html")
    of_relu = [True] * 6 + [False] * 6
    for metric, has in (("zero_fraction/hidden_0", of_relu), ("saturation/hidden_0", [not relu for relu in of_relu])):
        assert [grid is not None for grid in data["curves"][metric]["grid"]] == has
        assert [mean is not None for mean in data["finals"][metric]["mean"]] == [
            known and c != 5 for c, known in enumerate(has)
        ]


def test_a_single_seed_has_no_interval():
    """Null, not zero."""
    table = table_of({"learning_rate": [0.1, 1.0]})
    data = sweep_data.page_data(table, sweep_data.sweep_of(table), "sweep")
    assert data["finals"]["val_loss"]["low"] == [None, None]
    assert data["curves"]["val_loss"]["low"] == [[None] * 4] * 2


def test_scales():
    """Powers of ten on a logarithmic axis, with zero at equal distances, near numbers as they are, hidden in order."""
    assert sweep_data.scale_of([0.01, 0.1, 10.0]).positions == pytest.approx([-2, -1, 1])
    assert sweep_data.scale_of([0.01, 0.1, 10.0]).tick_labels == ["0.01", "0.1", "10"]
    assert sweep_data.scale_of([0.0, 1e-5, 1e-3])[:2] == ("rank", [0, 1, 2])
    assert sweep_data.scale_of([32, 64, 128])[:2] == ("linear", [32, 64, 128])
    assert sweep_data.scale_of([False, True]) == ("text", [0, 1], [0, 1], ["False", "True"])
    many = sweep_data.scale_of(np.geomspace(0.005, 20, 50).tolist())
    assert many.kind == "log" and many.tick_labels == ["0.01", "0.1", "1", "10"]
    assert sorted(["64-64", "128", "64"], key=sweep_data.order) == ["64", "64-64", "128"]


def test_many_numbers_are_grouped():
    """A random search's values in ranges of as many values each; few values, and names, stand alone."""
    groups, labels = sweep_data.groups_of(np.arange(1.0, 121.0).tolist())
    np.testing.assert_array_equal(np.bincount(groups), [10] * 12)
    assert labels[0] == "1 to 10" and labels[-1] == "111 to 120"
    assert sweep_data.groups_of([1.0, 2.0])[1] == ["1", "2"]
    names = [f"name_{i}" for i in range(40)]
    assert sweep_data.groups_of(names)[1] == names


def test_long_curves_are_thinned():
    """At most so many of the epochs at which there is a number, the first and the last among them."""
    values_SxCxE = np.tile(np.arange(1.0, 1001.0), (2, 2, 1))
    values_SxCxE[:, 1] = np.where(np.arange(1, 1001) % 10 == 0, values_SxCxE[:, 1], np.nan)
    grids = {}
    found = sweep_data.curve_data(statistics.interval(values_SxCxE), ("mean",), np.arange(1, 1001), 20, grids)
    first, second = (list(grids)[grid] for grid in found["grid"])
    assert len(first) == len(second) == 20
    assert (first[0], first[-1], second[0], second[-1]) == (1, 1000, 10, 1000)
    assert all(epoch % 10 == 0 for epoch in second)
    assert found["mean"] == [list(first), list(second)]


def test_json_cannot_end_its_script_element():
    """Nor can it hold NaN, which is no JSON."""
    value = {"</script><script>alert(1)</script>": "<!--", "number": 1.5}
    text = page.json_text(value)
    assert "<" not in text and json.loads(text) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        page.json_text([float("nan")])


def test_numbers_are_rounded_to_significant_digits():
    """As few characters as the digits need, at any size, and null for what is not finite."""
    values = np.array([[0.123456, 1234567.0, -9.99999e-7], [np.nan, 0.0, np.inf]])
    assert sweep_data.as_lists(values) == [[0.1235, 1235000.0, -1e-06], [None, 0.0, None]]
    assert json.dumps(sweep_data.as_lists(np.array([0.1 + 0.2, 1 / 3]))) == "[0.3, 0.3333]"


def test_diverged_configurations_rank_last():
    """A setting that breaks half of its seeds does not win by the other half, whichever way is best."""
    swept = {"learning_rate": [0.1, 1.0, 10.0], "seed": [0, 1]}
    assert ranked_at(swept, [0.2, 0.9, 0.5], diverged={2: 1}) == (2, 0, 1)
    # Of the rate 10 one seed of two ends at chance, as the screen counts it too.
    table = with_accuracy(swept, [0.5, 0.9, 0.8])
    at_chance = [
        0.1 if (r, s) == (10.0, 0) else a for r, s, a in rows_in(table, "learning_rate", "seed", "val_accuracy")
    ]
    table = table.set_column(table.column_names.index("val_accuracy"), "val_accuracy", [at_chance])
    sweep = sweep_data.sweep_of(table)
    assert sweep.numbers == (1, 0, 2) and sweep.late_C.tolist() == [0, 0, 1]
    data = sweep_data.page_data(table, sweep, "sweep")
    assert data["broken"] == [0, 0, 1] and data["late"] == [0, 0, 1] and data["cut"] == [0, 0, 0]
    assert data["cannot_be_told"][2] is None and data["finals"]["val_accuracy"]["mean"][2] == pytest.approx(0.45)
    found = {panel.key: panel for panel in panels.panels_of(sweep, None)}
    assert found["failed"].finding == "of 6 trials 1 ended at chance: 1 of 3 of seed 0"
    assert found["failed"].rows == [("learning_rate=10", "0 of 2", "1 of 2", "0 (at chance, epoch 4)")]
    assert found["best"].rows[0][1] == "learning_rate=1" and "1 with more lost seeds" in found["best"].finding
    survivors = sweep_data.sweep_of(table, ranking.decide(table, "survivors"))
    assert survivors.numbers == (1, 2, 0)
    means = sweep_data.page_data(table, survivors, "sweep")["finals"]["val_accuracy"]["mean"]
    assert means == pytest.approx([0.5, 0.9, 0.8])


def test_the_seeds_that_chose_are_apart_from_the_fresh_ones():
    """As configurations of another role, which come after those that the findings are of, however good they are, and
    lose no seed of these; of a sweep without a tuning, or while there are no fresh seeds, there is no such field."""
    swept = {"learning_rate": [0.1, 1.0], "seed": [0, 1, 2, 3]}
    table = with_accuracy(swept, [0.5, 0.9])
    accuracies = [{0: 0.95, 1: 0.1}.get(s, a) for s, a in rows_in(table, "seed", "val_accuracy")]
    table = table.set_column(table.column_names.index("val_accuracy"), "val_accuracy", [accuracies])
    fresh = {name for name, s, r in rows_in(table, "trial", "seed", "learning_rate") if s > 1 and r == 1.0}
    kept = {name for name, s in rows_in(table, "trial", "seed") if s < 2} | fresh
    table = table.filter(np.isin(table["trial"].to_pylist(), list(kept)))
    content = {"field": "learning_rate", "settings": [{"fresh": {"trials": sorted(fresh)}}]}
    sweep = sweep_data.sweep_of(table, tuned.decide(content, table))
    assert sweep.fields == ["learning_rate", "role"] and sweep.values["role"] == ["choosing", "fresh"]
    names = [sweep_data.configuration_name(sweep, c) for c in range(3)]
    assert names == [
        "learning_rate=0.1, role=choosing",
        "learning_rate=1, role=choosing",
        "learning_rate=1, role=fresh",
    ]
    assert sweep.numbers == (2,) and sweep.late_C.tolist() == [1, 1, 0]
    data = sweep_data.page_data(table, sweep, "sweep")
    assert data["seeds"] == [2, 2, 2] and data["broken"] == [1, 1, 0] and data["cannot_be_told"] == [None, None, True]
    assert data["finals"]["val_accuracy"]["mean"] == pytest.approx([0.525, 0.525, 0.9])
    assert data["fields"][1]["group_labels"] == ["choosing", "fresh"]
    for content in (None, {"field": "learning_rate", "settings": [{"fresh": {}}]}):
        assert sweep_data.sweep_of(table, tuned.decide(content, table)).fields == ["learning_rate"]


def test_what_was_cut_is_said():
    """Settings that were ended before others, with the epoch; not those that are to go on in a pack to come."""
    table = with_accuracy({"learning_rate": [0.1, 1.0, 10.0], "seed": [0, 1]}, [0.5, 0.9, 0.8])
    ends = {0.1: 1, 1.0: 4, 10.0: 2}
    table = table.filter([e <= ends[rate] for rate, e in rows_in(table, "learning_rate", "epoch")])
    sweep = sweep_data.sweep_of(table)
    assert sweep.numbers == (1, 2, 0) and sweep_data.page_data(table, sweep, "sweep")["cut"] == [1, 0, 2]
    (panel,) = [panel for panel in panels.panels_of(sweep, None) if panel.key == "cut"]
    assert panel.finding == "of 3 settings 1 after epoch 1, 1 after epoch 2"
    assert panel.rows == [("learning_rate=10", 2), ("learning_rate=0.1", 1)]
    going = {name for name, rate in rows_in(table, "trial", "learning_rate") if rate == 10.0}
    standing = Standing(4, 6, 2, 3, {}, None, None, 1, frozenset(going))
    (panel,) = [panel for panel in panels.panels_of(sweep, standing) if panel.key == "cut"]
    assert panel.rows == [("learning_rate=0.1", 1)]
    assert [row["cut_after"] for row in results.summary_rows(table)] == [1, None, 2]


def rows_in(table, *names):
    """The values of those columns, row by row."""
    return zip(*(table[name].to_pylist() for name in names), strict=True)


def with_accuracy(swept, by_rate, **given):
    """A grid whose val_accuracy is that of its rate."""
    table = table_of(swept, **given)
    values = dict(zip(swept["learning_rate"], by_rate, strict=True))
    column = [values[rate] for rate in table["learning_rate"].to_pylist()]
    return table.set_column(table.column_names.index("val_accuracy"), "val_accuracy", [column])


def ranked_at(swept, by_rate, **given):
    """The numbers of the configurations in their order."""
    return sweep_data.sweep_of(with_accuracy(swept, by_rate, **given)).numbers


def test_intervals_of_the_page_are_possible(sweep):
    """Of three random shares Student's interval leaves [0, 1] often; on the page none does, and means stay inside."""
    data = embedded(sweep[1] / "report.html")
    reached = 0
    for metric, curve in data["curves"].items():
        if metric.startswith("speed") or "loss" in metric:
            continue
        for low, mean, high in zip(curve["low"], curve["mean"], curve["high"], strict=True):
            for a, b, c in zip(low or [], mean or [], high or [], strict=True):
                assert a is None or 0.0 <= a <= b <= c <= 1.0
                reached += (a, c) == (0.0, 1.0)
    assert reached > 10


def test_the_rate_of_an_epoch_has_the_unit_of_a_rate():
    """It is the config's learning rate at one step; what nobody says anything of has none."""
    assert sweep_data.unit_of("rate") == sweep_data.unit_of("learning_rate") == "per step"
    assert sweep_data.unit_of("role") == ""
