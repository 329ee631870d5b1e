"""The simulation of the view Train: its pictures, and what it says of nets that diverge, die or sit still."""

import json
from types import SimpleNamespace

import pytest

from experiments.classroom import parts
from experiments.classroom.simulations.side import Side
from experiments.classroom.simulations.train import Training
from experiments.classroom.simulations.train_words import finding
from experiments.classroom.views.train import VIEW
from experiments.classroom.worker import finite
from training.config import Config


@pytest.fixture(autouse=True)
def without_curvature(monkeypatch):
    """What takes longest to compile is tested beside."""
    is_ready = parts.Programs.is_ready
    monkeypatch.setattr(parts, "IN_ORDER", parts.IN_ORDER[:-1])
    monkeypatch.setattr(parts.Programs, "is_ready", lambda self, name: name != "curvature" and is_ready(self, name))


def settled(simulation):
    """Waits until it has come to rest, and all but the curvature is measured."""
    for run in simulation.runs:
        run.programs.start(*parts.IN_ORDER)
        for name in parts.IN_ORDER:
            assert getattr(run.programs, name)
    while simulation.running:
        simulation.advance()
    while simulation.settle():
        assert simulation.pending


def trained(epochs=1, steps=0, **settings):
    """A simulation on the synthetic data set after so many epochs, and steps of the next one."""
    state = VIEW.with_settings(VIEW.defaults(), {"batch_size": 100} | settings)
    simulation = Training(state | {"dataset": "synthetic"})
    simulation.prepare()
    for _ in range(epochs):
        simulation.do("epoch", None)
        settled(simulation)
    for _ in range(steps):
        simulation.do("step", None)
    settled(simulation)
    return simulation


def test_pictures_of_a_net():
    """All places that the view has for one net are filled, from epoch 0 on; plateau and asymptotes are drawn."""
    simulation = trained(0)
    start = simulation.frame()
    assert start.at == 0 and "epoch 0" in start.words["status"] and "val_loss" in start.words["status"]
    simulation.do("step", None)
    settled(simulation)
    frame = simulation.frame()
    assert 0 < frame.at < 1
    places = {place.name for place in VIEW.places if not place.name.startswith("other")}
    assert places - {"stability"} <= set(frame.pictures) <= places
    assert frame.pictures["cost"]["marks"] == [{"text": "uniform guess 0.09", "y": pytest.approx(0.09, rel=1e-5)}]
    assert [mark["x"] for mark in frame.pictures["outputs"]["marks"]] == [0.0, 1.0]
    cost = frame.pictures["cost"]["lines"]
    assert cost[0]["x"] == [pytest.approx(frame.at, rel=1e-4)] and cost[1]["x"] == [0.0]
    assert len(json.dumps(finite(frame.pictures), allow_nan=False)) < 200_000


def test_two_settings_of_other_structure():
    """They run side by side, each to the end of the epoch; one that diverges is told, and the other goes on."""
    others = {"other.activation": "identity", "other.output": "identity", "other.learning_rate": 1e6}
    simulation = trained(2, compare=True, **others, **{"other.batch_size": 50})
    frame = simulation.frame()
    assert frame.at == 2 and frame.words["status"].endswith("diverged")
    assert frame.words["finding"].startswith("Second: It diverged at epoch 0.") and "1e+06" in frame.words["finding"]
    assert {"other_weights", "other_wrong"} <= set(frame.pictures)
    first, second = frame.pictures["cost"]["lines"][0], frame.pictures["cost"]["lines"][2]
    assert first["x"][-1] == 2 and first["colour"] != second["colour"]
    json.dumps(finite(frame.pictures), allow_nan=False)


def test_the_same_start():
    """`reset` gives the first weights again, and the next seed others."""
    simulation = trained(1)
    after = simulation.frame().pictures["weights"]["source"]
    simulation.do("reset", None)
    settled(simulation)
    again = simulation.frame().pictures["weights"]["source"]
    assert again == trained(0).frame().pictures["weights"]["source"] != after
    assert trained(0, seed=1).frame().pictures["weights"]["source"] != again


def test_a_link_goes_to_its_epoch():
    """With `at` it trains to there by itself, and stops."""
    assert trained(0, at=2).frame().at == 2


def side(measures=(), at=1.0, row=(), **changed):
    """What was measured of a net, without one."""
    found = Side(Config().replace(**changed), SimpleNamespace(at=at), 0)
    found.add_measures(at, dict(measures), {})
    found.add_row(int(at), {"val_loss": 0.02, "val_accuracy": 0.9, "loss": 0.02, "accuracy": 0.9} | dict(row))
    return found


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (side({"dead_units/hidden_0": 1.0}, activation="relu"), "Every unit of hidden_0 is dead"),
        (side({"dead_units/hidden_0": 0.6}, activation="relu"), "Dead, and lost for good"),
        (side({"saturation/hidden_0": 0.93}), "Saturated: 93% of the outputs of hidden_0"),
        (side({"wrong_side/output": 0.2}), "the quadratic cost's gradient vanishes"),
        (side({"wrong_side/output": 0.2}, cost="cross_entropy"), "does not vanish"),
        (side(row={"val_loss": 0.0899, "val_accuracy": 0.2}), "It sits on the plateau"),
        (side(row={"val_loss": 0.0936, "val_accuracy": 0.1}, at=0.0), "worse than no knowledge"),
        (side(row={"val_loss": float("nan"), "val_accuracy": 0.1}), "It diverged at epoch 1.00"),
    ],
)
def test_what_is_told(one, words):
    """Of each fault a sentence that says why; of a net that learns nothing is said."""
    assert words in finding([one])
    assert finding([side()]) == ""


def test_a_rate_beyond_the_stable_one_is_told():
    """With the limit, 2 / the largest eigenvalue."""
    one = side(row={"val_loss": float("inf")}, learning_rate=8.0)
    one.add_curvature(0.0, 0.5, 0.0)
    assert "rate of 8 is above 4," in finding([one])
