"""The simulation of the view Train: its pictures, and what it says of nets that diverge, die or sit still."""

import json

import pytest

from experiments.classroom.simulations.train import Training
from experiments.classroom.views.train import VIEW
from experiments.classroom.worker import finite


def trained(epochs=1, steps=0, **settings):
    """A simulation on the synthetic data set after so many epochs, and steps of the next one."""
    state = VIEW.with_settings(VIEW.defaults(), {"batch_size": 100} | settings)
    simulation = Training(state | {"dataset": "synthetic"})
    simulation.prepare()
    for _ in range(epochs):
        simulation.do("epoch", None)
        while simulation.running:
            simulation.advance()
    for _ in range(steps):
        simulation.do("step", None)
    return simulation


def test_pictures_of_a_net():
    """All places that the view has for one net are filled, from epoch 0 on; the plateau and the asymptotes are drawn."""
    simulation = trained(0)
    start = simulation.frame()
    assert start.at == 0 and "epoch 0" in start.words["status"] and "val_loss" in start.words["status"]
    simulation.do("step", None)
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
    """They run side by side, each to the end of the epoch, and each has its pictures."""
    simulation = trained(compare=True, **{"other.activation": "relu", "other.batch_size": 50})
    frame = simulation.frame()
    assert frame.at == 1 and frame.words["status"].count("val_accuracy") == 2
    assert {"other_weights", "other_wrong"} <= set(frame.pictures)
    first, second = frame.pictures["cost"]["lines"][0], frame.pictures["cost"]["lines"][2]
    assert first["x"][-1] == second["x"][-1] == 1.0 and first["colour"] != second["colour"]


def test_divergence_is_told():
    """In a sentence that names the rate; the other setting goes on."""
    simulation = trained(2, compare=True, activation="identity", output="identity", **{"other.learning_rate": 1e6})
    words = simulation.frame().words
    assert words["finding"].startswith("Second: It diverged at epoch 0.") and "1e+06" in words["finding"]
    assert words["status"].endswith("diverged") and simulation.frame().at == 2
    json.dumps(finite(simulation.frame().pictures), allow_nan=False)


def test_it_stops_where_nothing_is_left():
    """A net alone that diverges ends its run."""
    simulation = trained(1, activation="identity", output="identity", learning_rate=1e9)
    assert not simulation.running and "It diverged" in simulation.frame().words["finding"]


def test_dead_and_saturated_nets_are_told():
    """ReLU nets that a huge step has killed, and tanh nets that were drawn large."""
    assert "is dead" in trained(1, activation="relu", learning_rate=1e5, cost="quadratic").frame().words["finding"]
    assert "Saturated: " in trained(0, activation="tanh", init_scale=100.0).frame().words["finding"]


def test_the_same_start():
    """`reset` gives the first weights again, and the next seed others."""
    simulation = trained(1)
    after = simulation.frame().pictures["weights"]["source"]
    simulation.do("reset", None)
    again = simulation.frame().pictures["weights"]["source"]
    assert again == trained(0).frame().pictures["weights"]["source"] != after
    assert trained(0, seed=1).frame().pictures["weights"]["source"] != again


def test_a_link_goes_to_its_epoch():
    """With `at` it trains to there by itself, and stops."""
    simulation = trained(0, at=2)
    assert simulation.running
    while simulation.running:
        simulation.advance()
    assert simulation.frame().at == 2
