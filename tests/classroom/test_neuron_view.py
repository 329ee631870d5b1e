"""The view One neuron: the numbers of its three parts, and what Play does."""

import json
import math
import random
import time

import numpy as np
import pytest
from chrome import ELEMENT

from experiments.classroom.simulations.activations_part import Activations
from experiments.classroom.simulations.neuron import KINDS, Neuron
from experiments.classroom.simulations.perceptron_part import MEALS, PASSES, Perceptron
from experiments.classroom.simulations.saturated_part import Saturated
from experiments.classroom.view import find_views
from experiments.classroom.views.neuron import ACTIVATIONS, EXACTLY_ONE, PERCEPTRON, SATURATED, VIEW
from experiments.classroom.worker import finite
from experiments.saturation import saturated_neuron


def state(**settings):
    """The settings, all else as by default."""
    return VIEW.with_settings(VIEW.defaults(), settings)


def test_the_saturated_neuron_is_the_studys():
    """Its outputs are those of the study, after 300 steps as published; it is stuck with the quadratic cost alone."""
    part = Saturated(state())
    for cost in ("quadratic", "cross_entropy"):
        a_S = saturated_neuron.outputs(saturated_neuron.true_slope, cost, 2.0, 2.0, 0.15)
        np.testing.assert_array_equal(part.courses[cost].a_S, a_S)
    assert part.words(300)["status"] == "step 300 of 300: output with quadratic 0.203, cross-entropy 0.012"
    stuck = part.stuck("quadratic")
    assert stuck[:150].all() and not stuck[221:].any() and not part.stuck("cross_entropy").any()
    assert f"Quadratic: {stuck.sum()} of 300 steps hardly moved it" in part.words(300)["finding"]
    assert not Saturated(state(w=0.6, b=0.9)).stuck("quadratic").any()


def test_slopes_of_the_cost_are_those_by_hand():
    """a a (1 - a) and a, along the whole descent."""
    for cost, by_hand in {"quadratic": lambda a: a * a * (1 - a), "cross_entropy": lambda a: a}.items():
        course = Saturated(state(rate=1.0)).courses[cost]
        np.testing.assert_allclose(course.slope_S, by_hand(course.a_S.astype(float)), rtol=2e-3, atol=1e-7)
        np.testing.assert_allclose(course.w_S[1:], course.w_S[:-1] - course.slope_S[:-1], atol=1e-6)


def test_the_detector_and_what_learns_from_it():
    """The lecture's three meals; the learner is right on all eight at the end, and XOR has mistakes in every pass."""
    part = Perceptron(state())
    assert {meal: (total, out) for meal, total, out in part.table}[1, 1, 0] == (5.0, 1)
    assert "Bun: 6 > 4, so it fires" in Perceptron(state(ketchup=0, mustard=0, bun=1)).words(0)["finding"]
    assert "Mustard: 2 \N{LESS-THAN OR EQUAL TO} 4, so it does not" in Perceptron(state(ketchup=0)).words(0)["finding"]
    assert part.has_learnt and (part.learnt(part.moments) == part.labels).all() and part.moments < MEALS * PASSES
    assert (
        part.mistakes_P[part.moments // MEALS - 1] == 0
        and "it has learnt all eight" in part.words(part.moments)["finding"]
    )
    lost = Perceptron(state(lesson=EXACTLY_ONE))
    assert not lost.has_learnt and (lost.mistakes_P > 0).all() and "for ever" in lost.words(lost.moments)["finding"]
    assert "right from the start" in Perceptron(state(threshold=20.0)).words(MEALS)["finding"]


def test_neurons_and_their_slopes():
    """At z = w x + b, as by their formulas."""
    part, z = Activations(state(w=1.5, b=-1.0, x=1.0)), 0.5
    sigmoid = 1 / (1 + math.exp(-z))
    expected = {"step": (1, 0), "sigmoid": (sigmoid, sigmoid * (1 - sigmoid)), "relu": (z, 1)}
    expected["tanh"] = math.tanh(z), 1 - math.tanh(z) ** 2
    assert part.z_at(0) == z and part.z_at(part.moments) == 6.5
    for name, values in expected.items():
        assert part.answer(name, z) == pytest.approx(values, rel=1e-5)
    assert "flat: step." in part.words(0)["finding"] and "step, sigmoid, tanh." in part.words(part.moments)["finding"]


def test_any_setting_has_pictures():
    """At any moment of any part, with the ends of all sliders, in what goes to a browser."""
    draw, places = random.Random(0), {place.name for place in VIEW.places}
    for _ in range(12):
        given = {}
        for control in VIEW.controls:
            is_switch = isinstance(control.default, bool)
            values = control.choices or ((True, False) if is_switch else (control.low, control.high))
            if control.name not in ("part", "at") and draw.random() < 0.5:
                given[control.name] = draw.choice((*values, control.default))
        for kind in KINDS.values():
            part = kind(state(**given))
            for at in (0, 1, draw.randint(0, part.moments), part.moments):
                found = part.pictures(at)
                assert set(found) <= places and json.dumps(finite(found), allow_nan=False) and part.words(at)["finding"]


def test_play_goes_to_the_end_and_begins_again():
    """By the clock; a change starts over, or keeps the end in sight; a meal changes nothing of the learning."""
    neuron = Neuron(state(at=298))
    neuron.prepare()
    neuron.do("play", None)
    end = time.monotonic() + 10
    while neuron.running and time.monotonic() < end:
        neuron.advance()
    assert neuron.frame().at == 300 and not neuron.running
    assert neuron.change(state(w=1.0)) and neuron.frame().at == 300 and neuron.frame().series == 1
    neuron.do("play", None)
    neuron.advance()
    assert neuron.frame().at == 0
    neuron.do("step", None)
    neuron.do("step", None)
    assert neuron.frame().at == 2 and not neuron.running and neuron.change(state(w=2.0)) and neuron.frame().at == 0
    assert not neuron.change(state(part=ACTIVATIONS))
    other = Neuron(state(part=PERCEPTRON, at=5))
    other.prepare()
    assert other.change(state(part=PERCEPTRON, bun=1)) and other.frame().at == 5
    other.do("reset", None)
    assert other.frame().at == 0


def test_one_neuron_in_a_browser(visitor):
    """Controls of the other parts are hidden; an ingredient is put in by keyboard, which stays there."""
    assert "neuron" in find_views()
    hidden = "document.querySelector('[data-set={}]').closest('.control').hidden".format
    visitor.open("/neuron")
    assert visitor.browser.run(hidden("ketchup")) and not visitor.browser.run(hidden("rate"))
    visitor.click("step")
    visitor.until("document.getElementById('status').textContent.startsWith('step 1 of 300')")
    visitor.set("part", PERCEPTRON)
    visitor.until(f"!{hidden('ketchup')} && {hidden('rate')}")
    found = visitor.browser.send("POST", "/element", {"using": "css selector", "value": "[data-setting=bun]"})
    visitor.browser.send("POST", f"/element/{found[ELEMENT]}/value", {"text": "\ue007"})
    visitor.until("document.querySelector('[data-set=bun]').checked && location.search.includes('bun=1')")
    visitor.until("document.getElementById('finding').textContent.startsWith('Ketchup and mustard and bun: 11 > 4')")
    assert visitor.browser.run("document.activeElement.dataset.setting") == "bun"
    visitor.set("part", SATURATED)
    visitor.until(f"!{hidden('rate')}")
