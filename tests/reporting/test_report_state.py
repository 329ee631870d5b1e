"""The page in a browser: its address, narrow windows, two colours, pictures, many configurations, and how it
follows a sweep."""

import threading
import time

import numpy as np
import pytest
from chrome import needs_browser, without_lines, without_webgl
from sweep_tables import DIVERGED, SWEPT, embedded, table_of

from experiments.engine import results
from experiments.engine.standing import Folder, Standing
from experiments.reporting import detail, serving, sweep_data
from experiments.reporting import page as report_page

CURVES = "data.curves.val_accuracy.mean"
OPEN_ALL = "document.querySelectorAll('#panels details').forEach((panel) => { panel.open = true; })"


def text_of(folder, table, standing=None):
    """The page of a table."""
    return report_page.page_text(report_page.data_of(table, sweep_data.sweep_of(table), folder, standing))


def wait_until(browser, condition):
    """Waits for a JavaScript condition, for ten seconds at most."""
    deadline = time.monotonic() + 10
    while not (fulfilled := browser.run(condition)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert fulfilled, condition


def resize(browser, width):
    browser.send("POST", "/window/rect", {"width": width, "height": 1000})
    wait_until(browser, f"innerWidth === {width}")


@needs_browser
def test_the_address_holds_what_is_filtered_and_chosen(light_page):
    """After # stands what differs from the first view, by names; opened again or changed by hand, the page has it."""
    browser = light_page
    assert browser.run("location.hash") == ""
    browser.click("#fields input[data-field='0'][data-group='0']")
    browser.choose("curve-metric", "val_loss")
    browser.choose("curve-shade", "batch_norm")
    browser.click("#table th:nth-child(3) button")
    state = browser.run("location.hash")
    assert state == "#without.activation=relu&metric=val_loss&shade=batch_norm&sort=learning_rate&order=rising"
    rows = browser.table()
    browser.send("POST", "/url", {"url": "about:blank"})
    browser.open(browser.page, state)
    assert browser.table() == rows and {row[0] for row in rows} == {"tanh"}
    assert browser.run("document.getElementById('curve-metric').value") == "val_loss"
    assert browser.run("location.hash") == state
    browser.run("location.hash = 'without.learning_rate=10&without.learning_rate=none&metric=nothing'")
    wait_until(browser, "document.querySelectorAll('#table tbody tr').length === 8")
    assert browser.run("document.getElementById('curve-metric').value") == "val_accuracy"
    browser.click("#reset")
    assert browser.run("location.hash") == "" and len(browser.table()) == 12
    assert browser.errors() == []


@needs_browser
def test_colours_by_two_fields(light_page):
    """A colour a value of the first field; of the second a shade and a dash; each pair in the legend."""
    browser = light_page
    browser.choose("curve-colour", "activation")
    browser.choose("curve-shade", "learning_rate")
    traces = browser.run(
        "document.getElementById('curves').data.filter((trace) => trace.meta === 'curves')"
        ".map((trace) => [trace.name, trace.line.color, trace.line.dash])"
    )
    assert [name for name, _, _ in traces] == [f"{name}, {rate}" for name in ("relu", "tanh") for rate in (0.5, 2, 10)]
    assert len({colour for _, colour, _ in traces}) == 6
    assert [dash for _, _, dash in traces] == ["solid", "dash", "dot"] * 2
    browser.choose("curve-shade", "activation")  # Twice the same field is once.
    assert browser.run("document.getElementById('curves').data.filter((trace) => trace.meta === 'curves').length") == 2
    assert browser.errors() == []


@needs_browser
def test_pictures_are_saved_as_wide_as_said(light_page):
    """An SVG of the width in the field, on white also in dark mode; what is shown stays dark."""
    browser, is_dark = light_page, "document.getElementById('heat')._fullLayout.paper_bgcolor === '#1b1f24'"
    try:
        browser.emulate("dark")
        wait_until(browser, is_dark)
        browser.run("(document.getElementById('width').value = '640', 0)")
        browser.run(
            "(window.download = Plotly.downloadImage, Plotly.downloadImage = async (plot, options) => {"
            " window.saved = { options, text: decodeURIComponent(await Plotly.toImage(plot, options)) }; }, 0)"
        )
        browser.run("(document.querySelector('#heat [data-title^=\"Save as SVG\"]').click(), 0)")
        wait_until(browser, "Boolean(window.saved)")
        options, text = (browser.run(f"window.saved.{name}") for name in ("options", "text"))
        assert (options["format"], options["width"]) == ("svg", 640) and options["filename"].endswith("-heat")
        assert text.startswith("data:image/svg+xml,<svg") and 'width="640"' in text[:300]
        assert "background: rgb(255, 255, 255)" in text or "rgb(255, 255, 255)" in text[:2000]
        wait_until(browser, is_dark)
        titles = browser.run("[...document.querySelectorAll('.modebar-btn')].map((button) => button.dataset.title)")
        assert not any("Share" in str(title) for title in titles)  # Nothing leaves this machine.
    finally:
        browser.emulate("light")
        browser.run("(Plotly.downloadImage = window.download ?? Plotly.downloadImage, 0)")
    assert browser.errors() == []


@needs_browser
def test_a_narrow_window(browser, sweep):
    """At 800 pixels nothing is wider than the window; filters stand above, closed until they are opened."""
    resize(browser, 800)
    browser.show(without_lines((sweep[1] / "report.html").read_text(encoding="utf-8")))
    browser.draw_all()
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert not browser.run("document.getElementById('filters').open")
    browser.click("#filters summary")
    browser.click("#fields input[data-field='0'][data-group='0']")
    assert len(browser.table()) == 6 and "6 of 12" in browser.run("document.getElementById('status').textContent")
    resize(browser, 1280)
    assert browser.errors() == []


@needs_browser
def test_findings_open_to_their_tables(browser, tmp_path):
    """Which seeds failed at which settings, when, and how long all took."""
    table = table_of(SWEPT, diverged=DIVERGED)
    seconds = dict.fromkeys(table["trial"].to_pylist(), 2.0)
    browser.show(without_webgl(text_of(tmp_path, table, Standing(36, 48, 2, 3, seconds, 1e9, 1e9 + 80))))
    assert browser.run("document.getElementById('standing').textContent") == (
        "36 of 48 trials, 2 of 3 packs are finished"
    )
    browser.run(f"({OPEN_ALL}, 0)")
    texts = browser.run("[...document.querySelectorAll('#panels summary')].map((summary) => summary.textContent)")
    assert [text.partition(":")[0] for text in texts] == [
        "The best", "At an edge", "Importance", "Seeds that failed", "Time spent"
    ]  # fmt: skip
    assert texts[3] == (
        "Seeds that failed: of 36 trials 4 diverged: 1 of 12 of seed 0, 2 of 12 of seed 1, 1 of 12 of seed 2"
    )
    assert texts[4].startswith("Time spent: 72 s in packs of trials, from 2001-09-")
    body = "[...document.querySelectorAll('#panels details:nth-child(n+4) tbody tr')]"
    rows = browser.run(f"{body}.map((row) => [...row.cells].map((cell) => cell.textContent))")
    assert rows[0] == [
        "activation=relu, batch_norm=True, learning_rate=10",
        "3 of 3",
        "0 of 3",
        "0 (epoch 2), 1 (epoch 3), 2 (epoch 1)",
    ]
    assert rows[1] == ["activation=tanh, batch_norm=False, learning_rate=10", "1 of 3", "0 of 3", "1 (epoch 3)"]
    assert rows[2:4] == [
        ["activation=relu", "18", "36 s", "50 %", "2 s"],
        ["activation=tanh", "18", "36 s", "50 %", "2 s"],
    ]
    assert {"6.0000"} == {row[-1] for row in browser.table()}
    assert browser.errors() == []


@needs_browser
def test_a_large_sweep_is_packed_and_bounded(browser, tmp_path, monkeypatch):
    """What is packed shows the same numbers; of 300 configurations 200 rows and curves are drawn, which is said."""
    swept = {"learning_rate": np.geomspace(0.01, 10, 300).tolist(), "seed": [0, 1]}
    table = table_of(swept, epochs=2, diverged={4: 1})
    monkeypatch.setattr(detail, "MOST_PLAIN", 10**9)
    browser.show(without_webgl(text_of(tmp_path, table)))
    plain = browser.table(), browser.run(CURVES)
    monkeypatch.setattr(detail, "MOST_PLAIN", 0)
    browser.show(text_of(tmp_path, table))
    assert isinstance(embedded(browser.page)["finals"]["val_loss"]["mean"], str)
    rows, curves = browser.table(), browser.run(CURVES)
    assert len(rows) == 200
    others = {row[0]: row for row in plain[0]}  # In the order of one digit more.
    alike = [(row, others[row[0]]) for row in rows if row[0] in others]
    assert len(alike) > 195
    for pair in alike:
        mine, other = ([float(cell.split(" ")[0]) for cell in row[3:] if cell not in ("", "=")] for row in pair)
        assert mine == pytest.approx(other, abs=2e-4)
    for mine, other in zip(curves, plain[1], strict=True):
        assert (mine or []) == pytest.approx(other or [], abs=1e-4)
    assert browser.curves() == 200
    assert "Drawn are 200 of 300 curves" in browser.run("document.getElementById('curve-note').textContent")
    browser.click("#more")
    assert len(browser.table()) == 300
    assert browser.errors() == []


@needs_browser
def test_a_page_that_is_served_follows_the_sweep(browser, tmp_path, monkeypatch):
    """New rows appear by themselves; filters, choices and the place on the page stay; when the server has ended, the
    page says so and stays as it is."""
    monkeypatch.setattr(serving, "EVERY", 0.2)
    page_text = serving.page_text
    monkeypatch.setattr(serving, "page_text", lambda data: without_webgl(page_text(data)))
    half, whole = (table_of(SWEPT | {"seed": seeds}) for seeds in ([0], [0, 1]))
    results.write_table(half, tmp_path / "results.parquet")
    server = serving.Server(0, serving.Shown(Folder(tmp_path)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    resize(browser, 1280)
    browser.shown = ""
    browser.send("POST", "/url", {"url": f"http://127.0.0.1:{server.server_address[1]}/"})
    browser.click("#fields input[data-field='0'][data-group='0']")
    browser.choose("curve-metric", "val_loss")
    browser.run("(window.scrollTo(0, 700), window.marked = true, 0)")
    assert {row[3] for row in browser.table()} == {"1"}
    results.write_table(whole, tmp_path / "results.parquet")
    wait_until(browser, "document.querySelector('#table tbody tr').cells[3].textContent === '2'")
    assert {row[0] for row in browser.table()} == {"tanh"} and len(browser.table()) == 6
    assert browser.run("[document.getElementById('curve-metric').value, scrollY, window.marked]") == [
        "val_loss",
        700,
        True,
    ]
    server.shutdown()
    server.server_close()
    wait_until(browser, "document.getElementById('standing').textContent.includes('no longer kept up to date')")
    assert len(browser.table()) == 6
    browser.send("POST", "/url", {"url": "about:blank"})  # Else it goes on asking, and other tests find its errors.
    assert all("net::ERR_" in error for error in browser.errors())
