"""The page in a browser: what a visitor does and sees."""

import importlib.resources
import json
import urllib.error
import urllib.request

import pytest
from chrome import ELEMENT

from experiments.classroom.view import find_views
from experiments.classroom.views.neuron import ACTIVATIONS, PERCEPTRON

# Small enough to be quick, and the real thing.
QUICK = "/train?train_examples=1000&batch_size=100&learning_rate=1&hidden=16"
QUICKER = {"train": QUICK, "forward": "/forward?train_examples=1000"}
AT = "Number(document.getElementById('classroom').dataset.at)"
FRAMES = "Number(document.getElementById('classroom').dataset.frames)"
RUNNING = "document.getElementById('classroom').dataset.running"


def press(browser, selector, keys):
    """Types into an element."""
    found = browser.send("POST", "/element", {"using": "css selector", "value": selector})
    browser.send("POST", f"/element/{found[ELEMENT]}/value", {"text": keys})


def test_a_net_trains(visitor):
    """Epoch 0 is there; it plays, pauses, and goes on by steps and epochs, all with the keyboard."""
    visitor.open(QUICK)
    assert "epoch 0" in visitor.words("status") and visitor.browser.run(AT) == 0
    # What takes longer to compile comes later, by itself.
    visitor.until("document.querySelectorAll('figure:not([hidden]) svg').length >= 7")
    press(visitor.browser, "[data-do=play]", " ")
    visitor.until(f"{AT} > 1")
    assert visitor.browser.run(RUNNING) == "true"
    press(visitor.browser, "[data-do=play]", "\ue007")
    visitor.until(f"{RUNNING} === 'false'")
    visitor.click("reset")
    visitor.until(f"{AT} === 0")
    visitor.click("step")
    visitor.until(f"{AT} === 0.1")
    visitor.click("epoch")
    visitor.until(f"{AT} === 1 && {RUNNING} === 'false'")
    assert "loss" in visitor.words("status")


def test_settings_and_links(visitor):
    """A change begins again; a wrong value is told at its control; the copied link restores all, and where it was."""
    visitor.open(QUICK)
    visitor.set("activation", "tanh")
    visitor.until("location.search.includes('activation=tanh')")
    visitor.set("learning_rate", "-3")
    wrong = visitor.until("document.querySelector('[data-wrong=learning_rate]').textContent")
    assert (
        "above 0" in wrong
        and visitor.browser.run("document.querySelector('[aria-invalid]').dataset.set") == "learning_rate"
    )
    visitor.set("learning_rate", "0.5")
    visitor.until("!document.querySelector('[aria-invalid]') && location.search.includes('learning_rate=0.5')")
    visitor.click("epoch")
    visitor.until(f"{AT} === 1 && {RUNNING} === 'false'")
    status = visitor.words("status")
    visitor.click("copy")
    said = visitor.until("document.getElementById('news').textContent")
    link = said[said.index("http") :]
    assert "at=1" in link
    visitor.open(link.removeprefix(visitor.address))
    visitor.until(f"{AT} === 1 && {RUNNING} === 'false'")
    assert visitor.words("status") == status
    assert visitor.browser.run("document.querySelector('[data-set=activation]').value") == "tanh"


def saved_page(visitor, folder):
    """The file that is saved of what is seen, which asks nobody for anything."""
    asked = "fetch('/saved/' + document.getElementById('classroom').dataset.key).then((answer) => answer.text())"
    text = visitor.browser.run(asked)
    assert len(text.encode()) < 8e6 and "http:" not in text.replace("http://www.w3.org", "")
    page = folder / "saved.html"
    page.write_text(text, encoding="utf-8")
    return page


# What is pressed so that there is something to save, and states of a page beside the one at first.
DOES = {"train": "epoch", "forward": "next"}
STATES = {"train": [("compare", True)], "neuron": [("part", PERCEPTRON), ("part", ACTIVATIONS)]}
# What a keyboard has to reach, but for parts of a picture, between which arrow keys go.
CONTROLS = "a[href], button, input, select, summary, canvas"
FOCUSED = "document.addEventListener('focusin', (event) => event.target.setAttribute('data-reached', ''))"
IS_SEEN = "e.checkVisibility() && !e.closest('details:not([open]) fieldset, details:not([open]) ol')"


@pytest.fixture(scope="module")
def axe():
    """What finds whatever keeps somebody from using a page."""
    return importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


# Further rows of a table look as its first ones do, in whichever colours.
LIKE_OTHERS = "{ exclude: ['tbody > tr:nth-child(n+4)'] }"


def complaints(browser, axe):
    """The serious and critical violations of a page that axe finds, in light colours, and what is hard to read in dark
    ones."""
    if not browser.run("Boolean(window.axe)"):
        browser.run(f"(window.eval({json.dumps(axe)}), 0)")
    found, papers = [], set()
    for scheme, part, rules in (("light", "document", ""), ("dark", LIKE_OTHERS, ", runOnly: ['color-contrast']")):
        browser.emulate(scheme)
        papers.add(browser.run("getComputedStyle(document.body).backgroundColor"))
        options = f"{{ resultTypes: ['violations']{rules} }}"
        violations = browser.run(f"axe.run({part}, {options}).then((found) => found.violations)")
        found += [
            (scheme, one["id"], node["target"], node["failureSummary"])
            for one in violations
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
    browser.emulate("light")
    assert len(papers) == 2, papers
    return found


def is_within(browser, width):
    """Whether all of the page is seen in a window so wide."""
    browser.send("POST", "/window/rect", {"width": width, "height": 1000})
    return browser.run("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("name", find_views())
def test_every_view(visitor, name, axe, tmp_path):
    """At three widths nothing is cut off, also when the window is made wider and narrower; keyboards reach all; axe has
    nothing serious to say, in light and dark, whatever is unfolded; the saved page does the same, offline."""
    browser = visitor.browser
    visitor.open(QUICKER.get(name, f"/{name}"))
    browser.run("(document.querySelectorAll('details').forEach((part) => { part.open = true; }), 0)")
    for width in (800, 1280, 1920, 800, 1280):
        assert is_within(browser, width), width
    browser.run(f"({FOCUSED}, 0)")
    press(browser, "body", "\ue004" * 70)
    missed = f"[...document.querySelectorAll('{CONTROLS}')].filter((e) => {IS_SEEN} && !e.hasAttribute('data-reached'))"
    assert browser.run(f"{missed}.map((e) => e.outerHTML.slice(0, 80))") == []
    assert browser.run("document.querySelectorAll('[data-reached]').length") > 8
    assert complaints(browser, axe) == []
    for control, value in STATES.get(name, []):
        drawn = visitor.browser.run(FRAMES)
        visitor.set(control, value)
        visitor.until(f"{FRAMES} > {drawn}")
        assert complaints(browser, axe) == []
    assert browser.run("document.documentElement.lang") == "en-US"
    before = browser.run(AT)
    visitor.click(DOES.get(name, "step"))
    visitor.until(f"{AT} > {before} && {RUNNING} === 'false'")
    played = saved_page(visitor, tmp_path)
    browser.open(played)
    assert [browser.run(f"document.getElementById('frame').{what}") for what in ("max", "value")] == ["1", "1"]
    last = browser.run(AT)
    press(browser, "#frame", "\ue012")
    assert browser.run(AT) < last and browser.run("document.querySelectorAll('.picture svg').length") > 0
    browser.click("#play")
    visitor.until(f"{AT} === {last}")
    assert all(is_within(browser, width) for width in (800, 1920, 1280))
    assert complaints(browser, axe) == []


def test_an_unknown_view_is_named(address):
    """With those that there are."""
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{address}/nothing")
    assert raised.value.code == 404 and "accepted: " in raised.value.read().decode()
