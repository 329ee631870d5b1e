"""The simulation of the view Descent: its paths, its edge, and what it says of rates beyond it."""

import json

import numpy as np
import pytest

from experiments.classroom.simulations import descent
from experiments.classroom.views.descent import EXAMPLES, NEURON, RATES, TWO, VIEW, rate_of
from experiments.classroom.worker import finite
from experiments.lecture import gradient_descent as study


def descended(**settings):
    """A simulation at the end of its paths."""
    simulation = descent.Descent(VIEW.with_settings(VIEW.defaults(), settings))
    simulation.prepare()
    simulation.do("end", None)
    return simulation


def test_rates_are_those_of_the_study():
    """The buttons set them, for the bowls and for the neuron."""
    assert [rate_of(name, TWO) for name in RATES] == list(study.BOWL_REGIMES.values())
    assert [rate_of(name, NEURON) for name in RATES] == list(study.REGIMES.values())
    assert VIEW.change_of("beyond")({"surface": NEURON}) == {"rate": 7.0}


@pytest.mark.parametrize(
    ("rate", "grows", "words"),
    [
        (0.1, False, "Far below"),
        (1.0, False, "no step of batch descent overshoots"),
        (1.8, False, "oscillates"),
        (2.1, True, "diverges"),
    ],
)
def test_the_edge_is_at_two(rate, grows, words):
    """What batch descent does changes there, and a sentence says so; all pictures can be sent."""
    simulation = descended(rate=rate)
    cost_Q = simulation.paths["batch"].cost_Q
    assert (cost_Q[-1] > cost_Q[0]) == grows
    frame = simulation.frame()
    assert words in frame.words["finding"] and "2 / curvature, is 0.776" in frame.words["finding"]
    assert {place.name for place in VIEW.places} == set(frame.pictures)
    json.dumps(finite(frame.pictures), allow_nan=False)


def test_the_bowl_is_descended_by_the_recursion():
    """Along the steepest direction the distance to the minimum is multiplied by 1 - rate x curvature."""
    simulation = descended(rate=1.8)
    it = simulation.ground
    x_NxP = np.asarray(it.problem.data[0], np.float64)
    values, vectors = np.linalg.eigh(2 * x_NxP.T @ x_NxP / len(x_NxP))
    assert it.curvature == pytest.approx(values[-1], rel=1e-5)
    along_Q = (simulation.paths["batch"].w_QxP - it.minimum_P) @ vectors[:, -1]
    assert along_Q[1:6] == pytest.approx(along_Q[0] * (-0.8) ** np.arange(1, 6), rel=1e-3)


def test_equally_many_examples():
    """The batch takes one step a pass, one example as many as there are; none is lost by moving the rate meanwhile."""
    simulation = descended(clock=EXAMPLES, rate=0.1, at=1_024)
    assert [int(path.step_Q[-1]) for path in simulation.paths.values()] == [8, 256, 8_192]
    simulation.do("reset", None)
    for _ in range(32):
        simulation.do("step", None)
    assert simulation.at == 1_024
    before = simulation.frame().pictures["batch"]
    assert "1 step," in before["note"]
    settings = VIEW.with_settings(VIEW.defaults(), {"clock": EXAMPLES, "rate": 8.0})
    assert simulation.change(settings) and simulation.at == 1_024
    assert simulation.frame().series == 1 and simulation.change(settings) and simulation.frame().series == 1
    words = simulation.frame().words
    assert "Thrown far off" in words["finding"] and "beyond all numbers" in words["status"]
    json.dumps(finite(simulation.frame().pictures), allow_nan=False)
    assert not simulation.change(VIEW.defaults())
