"""The page in a browser: what a visitor does and sees."""

import pytest
from chrome import ELEMENT

from experiments.classroom.view import find_views

# Small enough to be quick, and the real thing.
QUICK = "/train?train_examples=1000&batch_size=100&learning_rate=1&hidden=16"
QUICKER = {"train": QUICK, "forward": "/forward?train_examples=1000"}
AT = "Number(document.getElementById('classroom').dataset.at)"
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


def test_a_saved_page_plays_offline(visitor, tmp_path):
    """It has the epochs that were shown, and asks nobody for anything."""
    visitor.open(QUICK)
    for epoch in (1, 2, 3):
        visitor.click("epoch")
        visitor.until(f"{AT} === {epoch} && {RUNNING} === 'false'")
    asked = "fetch('/saved/' + document.getElementById('classroom').dataset.key).then((answer) => answer.text())"
    visitor.browser.run(f"({asked}.then((text) => {{ window.saved = text; }}), 0)")
    text = visitor.until("window.saved")
    assert len(text.encode()) < 8e6 and "http:" not in text.replace("http://www.w3.org", "")
    page = tmp_path / "saved.html"
    page.write_text(text, encoding="utf-8")
    visitor.browser.open(page)
    assert [
        visitor.browser.run(f"document.getElementById('{name}').{what}")
        for name, what in [("frame", "max"), ("frame", "value")]
    ] == ["3", "3"]
    assert "epoch 3" in visitor.words("status")
    assert visitor.browser.run("document.querySelectorAll('svg').length") >= 4
    press(visitor.browser, "#frame", "\ue012\ue012")
    assert "epoch 1" in visitor.words("status")
    visitor.browser.click("#play")
    visitor.until("document.getElementById('status').textContent.includes('epoch 3')")


@pytest.mark.parametrize("name", find_views())
def test_every_view_fits_and_is_labelled(visitor, name):
    """At three widths nothing is cut off; every control has a label, every button a name, every picture words; it reads
    in the dark; keyboards reach all."""
    browser = visitor.browser
    visitor.open(QUICKER.get(name, f"/{name}"))
    for width in (800, 1280, 1920):
        browser.send("POST", "/window/rect", {"width": width, "height": 1000})
        visitor.until("document.documentElement.scrollWidth <= window.innerWidth")

    def count(selector, condition):
        return browser.run(f"[...document.querySelectorAll('{selector}')].filter((e) => {condition}).length")

    assert count("input, select", "!e.labels?.length && !e.ariaLabel") == 0
    assert count("button", "!e.textContent.trim() && !e.ariaLabel") == 0
    assert count(".picture > svg", "!e.ariaLabel") == 0
    assert count("[data-do]", "e.tabIndex < 0") == 0
    assert browser.run("document.documentElement.lang") == "en-US"
    background = "getComputedStyle(document.body).backgroundColor"
    browser.emulate("dark")
    dark = browser.run(background)
    browser.emulate("light")
    assert dark != browser.run(background)
    browser.send("POST", "/window/rect", {"width": 1280, "height": 1000})


def test_an_unknown_view_is_named(visitor):
    """With those that there are."""
    visitor.browser.send("POST", "/url", {"url": f"{visitor.address}/nothing"})
    assert "accepted: " in visitor.browser.run("document.body.textContent")
    visitor.browser.errors()  # That there is no such page is one.
