"""Random settings and clicks, and what the benchmark measures of the page."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.benchmarks import page as measured
from experiments.benchmarks import tables
from experiments.classroom import clicks
from experiments.classroom.clicks import CLASSES, Visitor
from experiments.classroom.view import find_views
from experiments.classroom.visits import Served

QUICK = "/train?train_examples=1000&batch_size=100&learning_rate=1&hidden=16"


def test_clicks_leave_the_page_whole(visitor, tmp_path, capfd):
    """None is without an answer, and there is no traceback but the one that was said before."""
    (tmp_path / "errors").write_text("ready\nTraceback (most recent call last):\n  File ...\nKeyError: 'w'\n")
    lines, counted = measured.click_lines(visitor.browser, visitor.address, 18, tmp_path / "errors", seed=2)
    assert counted["bad"] == ["traceback: KeyError: 'w'"] and "Traceback" not in capfd.readouterr().err
    assert [(line["measured"], line["target"]) for line in lines] == [(1, 0), (0, 0), (0, 0), (0, 0)]
    total = {each: sum(of[each] for of in counted["counts"].values()) for each in CLASSES}
    assert total["answered"] + total["refused"] + total["stopped"] == 18 and total["answered"] > 9
    assert "| view descent | " in tables.table(counted)


def test_what_is_bad_is_counted(visitor, tmp_path):
    """An error of the page's script, numbers that have left without a word, and a page that gives no answer."""
    somebody = Visitor(visitor.browser, visitor.address, {"neuron": find_views()["neuron"]}, 0, patience=0.5)
    somebody.click_around(1, lambda: visitor.browser.run("(setTimeout(() => { throw new Error('fell over'); }), 0)"))
    somebody.click_around(1)
    words = "{ status: 'diverged', finding: 'all is well' }"
    wordless = f"((show) => {{ classroom.show = (frame) => show({{ ...frame, words: {words} }}); }})(classroom.show)"
    somebody.click_around(1, lambda: visitor.browser.run(f"({wordless}, 0)"))
    somebody.does("press")
    visitor.browser.run("(window.emitEvent = () => {}, 0)")
    somebody.does("press")
    assert somebody.counts["neuron"] == {"answered": 3, "error": 1, "diverged, not told": 1, "hung": 1}
    for bad, said in zip(somebody.bad, ("fell over", "all is well", "did not come true"), strict=True):
        assert said in bad


def test_refused_is_what_is_refused_now(visitor, monkeypatch):
    """Each time that it is, also in the same words; what is done after it has to be answered."""
    for name, value in (("JUNK", ("abc",)), ("TYPED", {"seed": ("abc",)})):
        monkeypatch.setattr(clicks, name, value)
    view = find_views()["escape"]
    views = {"escape": view._replace(controls=(view.control_of("seed"),))}
    somebody = Visitor(visitor.browser, visitor.address, views, 0, patience=1.0)
    somebody.click_around(1)
    somebody.counts["escape"].clear()
    for kind in ("set", "set", "save"):
        somebody.does(kind)
    assert somebody.counts["escape"] == {"refused": 2, "answered": 1}
    visitor.browser.run("(window.emitEvent = () => {}, 0)")
    somebody.does("press")
    assert somebody.counts["escape"]["hung"] == 1


@pytest.mark.parametrize("name", ["train", "descent"])
def test_divergence_is_reached(visitor, monkeypatch, name):
    """At settings at which numbers leave, and it is told in words."""
    monkeypatch.setitem(clicks.SMALL, name, clicks.SMALL.get(name, {}) | clicks.LARGE[name])
    monkeypatch.setattr(clicks, "JUNK", ("1",))
    somebody = Visitor(visitor.browser, visitor.address, {name: find_views()[name]}, 0)
    for _ in range(3):
        somebody.does("open")
    assert somebody.counts[name]["diverged, told"] > 0 and somebody.bad == []


def test_a_page_that_does_not_open_again_is_left(visitor):
    """What was found before it is kept."""
    somebody = Visitor(visitor.browser, "http://127.0.0.1:9", find_views(), 0, opening=0.1)
    somebody.click_around(5)
    assert sum(of["hung"] for of in somebody.counts.values()) == 1 + clicks.MOST_HANGS
    assert "did not open again, after 1 of 5" in somebody.bad[-1]
    visitor.browser.errors()


def test_updates_and_answers(visitor, monkeypatch):
    """Of a page that trains: what is drawn again as it was is no update; epochs beside those of a run alone."""
    seen: list[Any] = []
    run, known = visitor.browser.run, [[10, 3], [10.1, 3], [10.3, 3.5], [10.4, 3.5], [10.8, 4.5], [11, 4.5]]

    def recorded(script: str) -> Any:
        if not script.startswith("[...window.drawn"):
            return run(script)
        seen.extend(run(script))
        return known

    monkeypatch.setattr(visitor.browser, "run", recorded)
    alone: Any = SimpleNamespace(seconds=lambda seconds: 10 * seconds)
    size = measured.Size(rounds=1, seconds=0.4)
    gap, ratio = measured.training_lines(visitor.browser, visitor.address + QUICK, alone, size)
    assert (gap["measured"], gap["target"]) == (pytest.approx(0.5), 0.2)
    assert (ratio["measured"], ratio["target"]) == (pytest.approx(0.25), 1.3)
    assert len(measured.moved(seen)) >= 2 and seen == sorted(seen) and seen[-1][0] - seen[0][0] >= 0.4
    (answer,) = measured.answer_lines(visitor.browser, 2)
    assert answer["n"] == 2 and 0 < answer["measured"] < 10_000


def test_visitors_at_once(visitor, monkeypatch):
    """Two that go on, one of them from the start again."""
    monkeypatch.setattr(measured, "AT_ONCE", (QUICK, "/neuron?at=300"))
    size = measured.Size(visitors=2, watched=1.0)
    lines = measured.visitor_lines(visitor.browser, Served(visitor.address, os.getpid()), size)
    still, strange, wait, *memory = lines
    assert (still["measured"], strange["measured"], wait["n"]) == (0, 0, 2) and memory[0]["measured"] > 0.1


@pytest.mark.parametrize(
    ("drawn", "gap"),
    [
        ([(0, 0), (1, 0.1), (1.4, 0.1), (1.5, 0.2), (4, 0.2)], 2.5),
        ([(0, 0), (2, 0.1), (2.5, 0.2), (3, 0.2)], 2.0),
        ([(0, 0.5), (1, 0.5), (3, 0.5)], 3.0),
    ],
)
def test_a_gap_is_between_changes(drawn, gap):
    """And before the first and after the last; what is drawn again as it was is none."""
    assert measured.max_gap(drawn) == gap
