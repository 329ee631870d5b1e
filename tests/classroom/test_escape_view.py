"""The simulation of the view Escape: its walkers against the exact chain and the study."""

import json

import pytest

from experiments.classroom.simulations import escape
from experiments.classroom.views.escape import VIEW
from experiments.classroom.worker import finite
from experiments.escape import two_wells


def walked(**settings):
    """A simulation whose walkers have gone as far as `at` says."""
    simulation = escape.Escape(VIEW.with_settings(VIEW.defaults(), settings))
    simulation.prepare()
    while simulation.running:
        simulation.advance()
    return simulation


@pytest.mark.parametrize(("settings", "until"), [({}, 600), ({"rate": 8.0}, two_wells.FULL.steps)])
def test_medians_are_those_of_the_study(settings, until):
    """They lie in the study's bands, the exact chain's lie in their intervals, and the picture says so."""
    simulation = walked(**settings, at=until)
    assert simulation.at == until
    median, low, high = simulation.median
    published = two_wells.FULL.medians[simulation.cell]
    assert 0.85 * published <= median <= 1.15 * published
    assert low <= escape.exact_stay(*simulation.cell).median <= high
    frame = simulation.frame()
    assert (
        f"{median:,.0f}" in frame.pictures["counts"]["markup"]
        and f"{published:,}" in frame.pictures["counts"]["markup"]
    )
    assert f"after {median:,.0f} steps" in frame.words["finding"]
    assert {place.name for place in VIEW.places} == set(frame.pictures)
    json.dumps(finite(frame.pictures), allow_nan=False)


def test_the_same_walkers_come_again():
    """However a visitor gets there, by single blocks, by Play or by a link; with another seed they are others."""
    by_link, by_steps = walked(at=20), walked()
    for _ in range(20):
        by_steps.do("step", None)
    assert by_steps.at == 20 and by_steps.w_W.tolist() == by_link.w_W.tolist()
    assert by_link.w_W.tolist() != walked(at=20, seed=1).w_W.tolist()
    by_link.do("reset", None)
    assert by_link.at == by_link.left == 0 and "start in the first well" in by_link.frame().words["finding"]
    assert len(walked(at=3).frame().pictures["survival"]["lines"]) == 4


def test_who_has_left_goes_on():
    """Walkers are counted once, where they first pass, and then walk on towards the second minimum."""
    simulation = walked(at=1_500)
    assert simulation.left > 390 and simulation.passed_W[~simulation.censored_W].max() <= 1_500
    assert simulation.w_W[~simulation.censored_W].mean() > two_wells.BARRIER + 5
    points = [line for line in simulation.frame().pictures["walkers"]["lines"] if line.get("points")]
    assert sum(len(line["x"]) for line in points) == 400 + len(two_wells.PLACES)


def test_the_median_that_a_try_names_is_the_chains():
    """At its rate and batch size."""
    one = VIEW.tries[1]
    stay = escape.exact_stay(one.settings["rate"], int(one.settings["batch"]))
    assert f"the chain's median is {stay.median:,.0f} steps" in one.seen


def test_a_chain_that_is_too_large_is_said():
    """Where nobody would wait for it."""
    assert escape.exact_stay(4.0, 32) is None and escape.exact_stay(20.0, 16) is None
