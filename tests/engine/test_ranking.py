"""What a sweep says of its results: ranking, lost seeds, edges, verdict; and by which examples it chooses."""

import json
import math

import numpy as np
import pytest
from finals_tables import finals_of_table

import input_pipeline
from experiments.engine import chance, edges, finals, ranges, ranking, results, space, validation
from experiments.engine.conclusion import conclusion
from experiments.engine.plan_file import Recorded, write_plan
from training.config import Config, ConfigError
from training.records import METRICS

RATES = [(0.1,), (0.3,), (1.0,), (3.0,)]


def decided(values_CxS, settings=RATES, rank="all", fields=("learning_rate",), **lost):
    """What the scores say."""
    return ranking.decide_finals(finals_of_table(fields, settings, values_CxS, **lost), rank)


def test_a_setting_that_breaks_seeds_is_last():
    """By the share of its seeds that diverged or ended at chance, and said so; --rank=survivors goes by the others."""
    nan, other = math.nan, np.linspace(-0.01, 0.01, 6)
    values = [0.90 + other, 0.92 + other, [0.99, 0.99, 0.99, nan, nan, nan], [0.98, 0.98, 0.98, 0.98, 0.98, 0.1]]
    lost = {"diverged": np.isnan(values), "broken": np.asarray(values) == 0.1}
    found = decided(values, **lost)
    assert [row.setting["learning_rate"] for row in found.ranked] == [0.3, 0.1, 3.0, 1.0]
    assert found.compared == 2 and found.best == [{"learning_rate": 0.3}]
    title, *lines = conclusion(found).splitlines()
    assert "the more seeds are lost, the later" in title
    assert lines[2] == "  0.8333 (0.4563 to 1.0000, 6 seeds, 1 of 6 seeds broken: at chance)  learning_rate=3.0"
    assert "3 of 6 seeds diverged)  learning_rate=1.0" in lines[3]
    assert lines[4].startswith("Verdict: learning_rate=0.3 is the best: ahead of the next by 2.00 points")
    assert "2 with more lost seeds not compared" in lines[4]
    assert "Two groups of seeds: learning_rate=3: 1 at 0.1000, 5 at 0.9800" in lines
    survivors = decided(values, rank="survivors", **lost)
    assert [row.setting["learning_rate"] for row in survivors.ranked] == [1.0, 3.0, 0.3, 0.1]
    assert "--rank=survivors" in conclusion(survivors).splitlines()[0]
    nothing = decided(np.full((2, 2), nan), RATES[:2], diverged=np.ones((2, 2)))
    assert conclusion(nothing) == "Every trial has diverged."


def test_a_verdict_that_is_undecided():
    """The set, and about how many seeds would decide; three seeds are shown as they are, one decides nothing."""
    signs, of_seeds = np.tile([0.005, -0.005], 4), np.linspace(0.88, 0.92, 8)
    values = np.stack([of_seeds, of_seeds + signs - 0.001, of_seeds + signs[::-1] + 0.002, of_seeds - 0.1 + signs / 5])
    found = decided(values)
    text = conclusion(found)
    assert {row["learning_rate"] for row in found.best} == {0.1, 0.3, 1.0} and found.compared == 4
    assert f"3 of 4 settings cannot be told from the best by 8 seeds; about {found.seeds_that_decide:,} seeds" in text
    assert sum(line.startswith("= ") for line in text.splitlines()) == 3
    few = conclusion(decided(values[:, :3])).splitlines()[1:5]
    assert "(seeds at 0.8800, 0.8857, 0.8914)" in " ".join(few) and " to " not in " ".join(few)
    assert "Verdict: none; one shared seed" in conclusion(decided(values[:, :1]))
    of_test = ranking.decide_finals(finals_of_table(("learning_rate",), RATES, values), selected_by="test")
    assert "ranked by the test set" in conclusion(of_test).splitlines()[0]
    said = json.dumps(ranking.as_json(found), allow_nan=False)
    assert {row["other"]["learning_rate"] for row in json.loads(said)["first_ahead_of"]} | {
        found.ranked[0].setting["learning_rate"]
    } == {0.1, 0.3, 1.0, 3.0}


def test_what_was_cut_is_not_compared():
    """A setting that was ended since it was behind comes after those that were not, by how far it came."""
    values = [[0.9, 0.91], [0.95, 0.96], [0.8, 0.81], [0.5, 0.51]]
    table = finals_of_table(("learning_rate",), RATES, values)
    epochs = np.array([[3, 3], [1, 1], [10, 10], [10, 10]])
    found = ranking.decide_finals(table._replace(epochs_CxS=epochs, cut_CxS=epochs < 10))
    assert [row.setting["learning_rate"] for row in found.ranked] == [1.0, 3.0, 0.1, 0.3] and found.compared == 2
    text = conclusion(found)
    assert "cut after epoch 3)  learning_rate=0.1" in text and "2 cut before the end not compared" in text
    assert found.importance.method == "" and "cut" in found.importance.reason


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("learning_rate", (1.0, 3.0, 10.0), 30.0),
        ("learning_rate", (0.1, 0.03, 0.01), 0.003),
        ("learning_rate", (1.0, 10.0), 100.0),
        ("batch_size", (64, 128), 256),
        ("batch_size", (2, 1), None),
        ("momentum", (0.3, 0.6), 0.8),
        ("momentum", (0.0, 0.45, 0.9), 0.95),
        ("momentum", (0.9, 0.45, 0.0), None),
    ],
)
def test_what_comes_next(name, values, expected):
    """By the ratio or the step of the grid; nothing where the field accepts nothing."""
    assert edges.next_value(name, values) == (expected if expected is None else pytest.approx(expected))


def test_edges():
    """The axis to add; an inner value is no edge, nor one of two that cannot be told apart, nor the most epochs."""
    (found,) = edges.edges_of(("learning_rate", "activation"), [(1.0, "tanh"), (3.0, "tanh"), (10.0, "tanh")], 2, [2])
    assert found.words == "best learning_rate 10 is the largest tried: --axis learning_rate=1,3,10,30"
    exact = [(0.000316227766017,), (0.001,), (0.00316227766017,)]
    (found,) = edges.edges_of(("learning_rate",), exact, 2, [2])
    assert "--axis learning_rate=0.000316227766017,0.001,0.00316227766017," in found.words, "the trials that there are"
    assert edges.edges_of(("learning_rate",), RATES, 1, [1]) == []
    assert edges.edges_of(("learning_rate",), RATES[:2], 1, [0, 1]) == []
    assert edges.edges_of(("epochs",), [(1,), (2,), (4,)], 2, [2]) == []
    scattered = [(x, 1 - x) for x in np.linspace(0.01, 0.5, 40).tolist()]
    assert [edge.field for edge in edges.edges_of(("learning_rate", "momentum"), scattered, 39, [39])] == [
        "learning_rate",
        "momentum",
    ]
    assert edges.edges_of(("learning_rate", "momentum"), scattered, 20, [20]) == []


def drawn(*given, count=32):
    """Settings of points drawn from ranges, as a sweep draws them."""
    points = ranges.draw([ranges.parse_range(text) for text in given], count)
    return tuple(points[0]), [tuple(point.values()) for point in points]


@pytest.mark.parametrize(
    ("given", "share", "words"),
    [
        ("learning_rate=log:0.001:10", 1.0, ": --range learning_rate=log:0.1:90 goes beyond"),
        ("learning_rate=log:0.001:10", 0.93, "is among the largest tried"),
        ("learning_rate=log:0.001:10", 0.0, ": --range learning_rate=log:0.0001:0.1 goes beyond"),
        ("learning_rate=log:0.001:10", 0.85, None),
        ("learning_rate=log:0.001:10", 0.5, None),
        ("momentum=0:0.95", 1.0, ": --range momentum=0.4"),  # 1 is not accepted.
        ("momentum=0:0.95", 0.0, None),  # Nothing lies below.
        ("momentum=0.2:0.95", 0.0, "--range momentum=0."),
        ("learning_rate=0.01:1", 0.0, ": --range learning_rate=log:0.00"),  # Which takes no 0.
        ("momentum=0.99:0.9997", 1.0, ":0.9998"),
        ("learning_rate=log:1.2:1.7", 1.0, " goes beyond"),  # A middle of one digit, 1 or 2, lies elsewhere.
        ("learning_rate=log:1.2:1.7", 0.0, " goes beyond"),
        ("batch_size=log:8:512", 1.0, ":1000 goes beyond"),
        ("epochs=5:40", 1.0, None),
    ],
)
@pytest.mark.parametrize("beside", [(), ("init_scale=0.5:2",)])
def test_edges_of_what_is_drawn(given, share, words, beside):
    """In the outer tenth of the range, on its own scale, the range that goes beyond it, which the command takes; not
    further in, nor where there is nothing beyond; whether or not another field is drawn beside."""
    fields, settings = drawn(given, *beside)
    name = given.partition("=")[0]
    i = fields.index(name)
    values = sorted({setting[i] for setting in settings})
    at = values[round(share * (len(values) - 1))]
    best = next(c for c, setting in enumerate(settings) if setting[i] == at)
    found = [edge for edge in edges.edges_of(fields, settings, best, [best]) if edge.field == name]
    assert [words in edge.words for edge in found] == ([True] if words else []), [edge.words for edge in found]
    for edge in found:
        made = ranges.parse_range(edge.range)
        assert made.low < at < made.high and made.is_log == ("log:" in edge.range)
        assert made.high > values[-1] if edge.is_largest else made.low < values[0]


def test_a_grid_is_not_drawn():
    """However many values it has, in ratios, steps or steps that alternate."""
    for grid in (np.geomspace(1e-3, 10, 12), np.linspace(0.1, 0.9, 12), [1, 3, 10, 30, 100, 300, 1e3, 3e3, 1e4, 3e4]):
        assert not edges.is_drawn([float(value) for value in grid])
    assert not edges.is_drawn([0.1, 0.11, 0.5])
    for count in (12, 16, 64):
        _, settings = drawn("learning_rate=log:0.001:10", count=count)
        assert edges.is_drawn(sorted(rate for (rate,) in settings))


def test_chance():
    """Of labels the 99.9 % point of the share of the most frequent class; of what cannot be read one of 100 labels."""
    labels = np.repeat(np.arange(10), 1000)
    assert chance.level_of(labels) == pytest.approx(0.1 + 3.09 * math.sqrt(0.09 / 10_000), abs=2e-4)
    assert chance.level_in("idx:nowhere", "100", 10) == 0.2
    assert chance.level_in("synthetic", "85", 10) == chance.level_of(input_pipeline.synthetic().labels[-85:])


def rows_of(trials, ends):
    """Made-up rows of trials that end after so many epochs."""
    for (name, trial), end in zip(trials.items(), ends, strict=True):
        for epoch in range(1, end + 1):
            values = dict.fromkeys(METRICS, 0.1 * trial.seed + trial.learning_rate / 10 + epoch / 100)
            yield {"trial": name, "epoch": epoch, "diverged": False, **values}


def test_the_last_row_of_a_trial_is_the_last_that_it_has():
    """Trials that were ended earlier have their last scores, in the summary too; those at chance are broken."""
    base = Config(dataset="synthetic", validation="85", epochs=4)
    trials = space.make_trials(base, None, {"learning_rate": [0.1, 1.0], "seed": [0, 1]})
    table = results.pack_table(trials, list(rows_of(trials, (4, 2, 4, 1))))
    found = finals.finals_of(table)
    np.testing.assert_allclose(found.values_CxS, [[0.05, 0.13], [0.14, 0.21]])
    assert found.cut_CxS.tolist() == [[False, True], [False, True]]
    assert found.epochs_CxS.tolist() == [[4, 2], [4, 1]] and found.settings == ((0.1,), (1.0,))
    level = chance.level_in("synthetic", "85", 10)
    assert found.broken_CxS.tolist() == (found.values_CxS <= level).tolist() and found.broken_CxS[0, 0]
    assert [row["val_accuracy_mean"] for row in results.summary_rows(table)] == pytest.approx([0.09, 0.175])


# ---------------------------------------------------------------------------------------------------------------------
# Examples to choose by.

BASE = Config(dataset="synthetic", epochs=2)
AXES = {"learning_rate": [0.1, 1.0], "seed": [0, 1]}


def test_a_sixth_is_held_out(tmp_path):
    """Of a sweep of more than one setting, and said; not of seeds alone, not where the config says its own, not where
    the test set is asked for."""
    assert validation.held_out_count(60_000) == 10_000 and validation.held_out_count(3) == 1
    trials = space.make_trials(BASE, None, AXES)
    found = validation.select(BASE, trials.values(), tmp_path, "")
    assert {trial.validation for trial in found.trials.values()} == {found.base.validation} == {"85"}
    assert [trial.name() for trial in found.trials.values()] == list(found.trials) and "\n" not in found.said
    assert "the last 85 training examples" in found.said and "--select_by=test" in found.said
    few = validation.select(
        BASE, space.make_trials(BASE, None, AXES | {"train_examples": [60, 120]}).values(), tmp_path, ""
    )
    assert few.base.validation == "20"
    for base, axes, asked in (
        (BASE, {"seed": [0, 1]}, None),
        (BASE, AXES, "test"),
        (BASE.replace(validation="100"), AXES, None),
        (BASE, AXES | {"validation": ["test", "100"]}, None),
    ):
        trials = space.make_trials(base, None, axes)
        assert validation.select(base, trials.values(), tmp_path, "", asked) == (base, trials, "")


def test_what_contradicts_itself_is_refused(tmp_path):
    """The flag beside examples that are held out already, and a training set that leaves none."""
    held_out = BASE.replace(validation="100")
    with pytest.raises(ConfigError, match="--select_by=test with validation=100; accepted"):
        validation.select(held_out, space.make_trials(held_out, None, AXES).values(), tmp_path, "", "test")
    everything = BASE.replace(train_examples=500)
    with pytest.raises(ConfigError, match=r"leaves 12 of 512 examples .* takes 83; accepted"):
        validation.select(everything, space.make_trials(everything, None, AXES).values(), tmp_path, "")


@pytest.mark.parametrize("begun", ["test", "40"])
def test_a_folder_goes_on_as_it_was_begun(tmp_path, begun):
    """By the test set, as sweeps of earlier versions, which is said; or by as many examples as were held out."""
    write_plan(Recorded(BASE.replace(validation=begun), ("learning_rate",), {}, (), ()), tmp_path / "plan.json")
    found = validation.select(BASE, space.make_trials(BASE, None, AXES).values(), tmp_path, "")
    assert {trial.validation for trial in found.trials.values()} == {found.base.validation} == {begun}
    assert ("goes on so" in found.said) == (begun == "test")
    if begun == "40":  # One of its settings, too.
        one = validation.select(BASE, space.make_trials(BASE, None, {"seed": [5]}).values(), tmp_path, "")
        assert one.base.validation == "40"
