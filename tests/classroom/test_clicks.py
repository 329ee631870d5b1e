"""Random settings and clicks, and what the benchmark measures of the page."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.benchmarks import page as measured
from experiments.benchmarks import tables
from experiments.classroom.clicks import CLASSES, Visitor
from experiments.classroom.view import find_views
from experiments.classroom.visits import Served

QUICK = "/train?train_examples=1000&batch_size=100&learning_rate=1&hidden=16"


def test_clicks_leave_the_page_whole(visitor, tmp_path, capfd):
    """None is without an answer, and there is no traceback; the same seed does the same."""
    (tmp_path / "errors").touch()
    lines, counted = measured.click_lines(visitor.browser, visitor.address, 18, tmp_path / "errors", seed=5)
    assert counted["bad"] == [] and "Traceback" not in capfd.readouterr().err
    assert [(line["measured"], line["target"]) for line in lines] == [(0, 0)] * 4
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


def test_updates_and_answers(visitor):
    """Of a page that trains, each of which has its time; epochs beside those of a run that takes a minute for each."""
    alone: Any = SimpleNamespace(seconds=lambda _: 60.0)
    size = measured.Size(rounds=1, seconds=0.2)
    gap, ratio = measured.training_lines(visitor.browser, visitor.address + QUICK, alone, size)
    assert 0.05 < gap["measured"] < 10 and 0 < ratio["measured"] < 1
    assert (gap["target"], ratio["target"]) == (0.2, 1.3)
    (answer,) = measured.answer_lines(visitor.browser, 2)
    assert answer["n"] == 2 and 0 < answer["measured"] < 10_000


def test_visitors_at_once(visitor, monkeypatch):
    """One that goes on and one that has come to its end."""
    monkeypatch.setattr(measured, "AT_ONCE", (QUICK, "/neuron?at=300"))
    size = measured.Size(visitors=2, watched=0.5)
    lines = measured.visitor_lines(visitor.browser, Served(visitor.address, os.getpid()), size)
    still, strange, _, *memory = (line["measured"] for line in lines)
    assert still <= 1 and strange == 0 and memory[0] > 0.1
    assert measured.max_gap([(0.0, 0.0), (1.0, 0.1), (1.5, 0.2)]) == 1.0


@pytest.mark.parametrize("drawn", [[], [(0.0, 0.5)]])
def test_no_gap_without_two_frames(drawn):
    """Nothing lies between them."""
    assert measured.max_gap(drawn) == 0.0
