"""The view Forward: its numbers are the net's, whatever is drawn or looked at; the pad by mouse and by keyboard."""

import json
import random

import numpy as np
import pytest
from chrome import ELEMENT

import train
from experiments.classroom.simulations.forward import Forward, as_drawing, drawn
from experiments.classroom.view import StateError, find_views
from experiments.classroom.views.forward import UNITS, VIEW, bar
from experiments.classroom.worker import finite
from experiments.lecture import forward

QUICK = {"train_examples": 1000}


@pytest.fixture(scope="module")
def simulation():
    """The view on a net that has seen 1,000 digits."""
    simulation = Forward(VIEW.defaults() | QUICK)
    simulation.prepare()
    return simulation


def shown(simulation, **settings):
    """The frame with other settings, all else as by default."""
    assert simulation.change(VIEW.with_settings(VIEW.defaults(), QUICK | settings))
    return simulation.frame()


def test_numbers_are_the_nets(simulation):
    """z and a as computed by hand in float64; terms add up to w.x; so many digits are right as in numpy."""
    frame, passed = shown(simulation, digit=3), simulation.passed()
    dataset = train.load_dataset(forward.QUICK.config.replace(**QUICK), "")
    params = {name: {"kernel": passed.kernels[name], "bias": passed.biases[name]} for name in passed.kernels}
    hidden, output = forward.by_hand(params, dataset.validation_images[3])
    for name, layer in (("hidden_0", hidden), ("output", output)):
        np.testing.assert_allclose(passed.named[f"{name}/z"], layer.z, atol=1e-4)
        np.testing.assert_allclose(passed.named[f"{name}/a"], layer.a, atol=1e-5)
        np.testing.assert_allclose(passed.products(name).sum(axis=0) + passed.biases[name], layer.z, atol=1e-4)
    a_NxH = forward.sigmoid(dataset.validation_images / 255 @ params["hidden_0"]["kernel"] + passed.biases["hidden_0"])
    answers_N = (a_NxH @ params["output"]["kernel"] + passed.biases["output"]).argmax(axis=1)
    assert f"{np.mean(answers_N == dataset.validation_labels):.2%} of 10,000 test digits" in frame.words["status"]
    assert f"The net says {output.z.argmax()} with {output.a.max():.1%}" in frame.words["finding"]
    assert passed.label == dataset.validation_labels[3] and f"a {passed.label}" in frame.words["pad-said"]


def test_every_unit_and_input_has_its_pictures(simulation):
    """All places are filled with what goes to a browser; the unit looked at is the one that is pressed."""
    draw = random.Random(0)
    for unit in (*draw.sample(UNITS, 8), "output 7"):
        drawing = draw.choice(["", "0", bar(3), "f" * 784])
        frame = shown(simulation, unit=unit, trained=draw.randrange(4), digit=draw.randrange(10_000), drawing=drawing)
        assert set(frame.pictures) == {place.name for place in VIEW.places}
        assert len(json.dumps(finite(frame.pictures), allow_nan=False)) < 120_000
        net = frame.pictures["net"]["markup"]
        assert net.count('aria-pressed="true"') == 1 and net.count("data-setting") == 74
        assert net.partition('aria-pressed="true"')[0].rpartition("data-value")[2].startswith(f'="{unit}"')


def test_drawings_are_kept_to_the_pixel(simulation):
    """A drawing comes back as it was sent; what is none is refused; nothing drawn leaves the biases alone."""
    for drawing in ("0", bar(12), "0123456789abcdef", "f" * 784):
        assert as_drawing(drawn(drawing, 784)) == drawing
        assert shown(simulation, drawing=drawing).words["pixels"] == drawing
    for wrong in ("xyz", "f" * 785, "<b>"):
        with pytest.raises(StateError, match="accepted: at most 784"):
            VIEW.with_settings(VIEW.defaults(), {"drawing": wrong})
    assert "every pixel is 0" in shown(simulation, drawing="0").words["finding"]
    passed = simulation.passed()
    np.testing.assert_allclose(passed.named["hidden_0/z"], passed.biases["hidden_0"], atol=1e-6)


def test_the_next_wrong_digit_is_wrong(simulation):
    """From each to the next one, and from the last to the first."""
    digit, seen = 0, []
    for _ in range(3):
        digit = int(shown(simulation, digit=digit).words["wrong"])
        assert ": wrong, it is a" in shown(simulation, digit=digit).words["finding"]
        seen.append(digit)
    assert seen == sorted(set(seen)) and int(shown(simulation, digit=9_999).words["wrong"]) <= seen[0]


def test_another_net_begins_anew(simulation):
    """What is sent through it does not."""
    state = VIEW.with_settings(VIEW.defaults(), QUICK | {"seed": 1})
    assert not simulation.change(state) and simulation.change(state | {"seed": 0})


def press(visitor, selector, keys):
    """Types into an element."""
    found = visitor.browser.send("POST", "/element", {"using": "css selector", "value": selector})
    visitor.browser.send("POST", f"/element/{found[ELEMENT]}/value", {"text": keys})


def test_drawing_and_choosing_in_a_browser(visitor):
    """The pad by keyboard and by mouse, units by arrow keys, and the link that brings all back."""
    assert "forward" in find_views()
    said, focused = "document.getElementById('pad-said').textContent", "document.activeElement.dataset.value"
    visitor.open("/forward?train_examples=1000&digit=2")
    visitor.until(f"{said} === 'Test digit 2: a 1'")
    visitor.browser.click("#pad-clear")
    visitor.until(f"{said} === 'Drawn' && location.search.includes('drawing=0')")
    press(visitor, "#pad", " \ue008" + "\ue015" * 6 + "\ue000")  # A dot, and with Shift six pixels down.
    visitor.until("/drawing=0+[1-9a-f]/.test(location.search)")
    visitor.browser.click("#pad")
    visitor.until("Number(document.getElementById('classroom').dataset.frames) > 3")
    press(visitor, "[data-setting=unit][tabindex='0']", "\ue014")
    visitor.until(f"location.search.includes('unit=hidden+1') && {focused} === 'hidden 1'")
    visitor.browser.click("[data-setting=unit][data-value='output 4']")
    visitor.until("document.querySelector('[data-set=unit]').value === 'output 4'")
    address = visitor.browser.run("location.pathname + location.search")
    visitor.open(address)
    assert visitor.browser.run(said) == "Drawn" and "output neuron 4" in visitor.until(
        "document.querySelector('[data-picture=sum]').textContent"
    )
    visitor.browser.click("[data-do=wrong]")
    visitor.until(f"{said}.startsWith('Test digit') && !location.search.includes('drawing')")
    assert "wrong, it is" in visitor.words("finding")
