"""The page of a sweep's report in a browser."""

import time

import numpy as np
import pytest
from chrome import needs_browser, without_lines, without_webgl
from sweep_tables import embedded, table_of

from experiments.reporting import page as report_page
from experiments.reporting import sweep_data

DASH, CROSS = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"


HEIGHTS = "[...document.querySelectorAll('.plot')].map((plot) => [plot.id, plot.clientHeight, {}])".format(
    "plot.querySelector('.main-svg').getBoundingClientRect().height"
)


def resize(page, width, height):
    """Resizes the window and waits until the plots, which follow it a little later, have its width."""
    page.send("POST", "/window/rect", {"width": width, "height": height})
    plots = "[...document.querySelectorAll('.plot')]"
    wait_until(
        page, f"innerWidth === {width} && {plots}.every((p) => Math.abs(p._fullLayout.width - p.clientWidth) < 1)"
    )


def wait_until(page, condition):
    """Waits for a JavaScript condition, for ten seconds at most."""
    deadline = time.monotonic() + 10
    while not (fulfilled := page.run(condition)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert fulfilled, condition


@needs_browser
def test_filters_change_every_part(page, sweep):
    """A click on a check box leaves out its curves, cells and rows; none and reset; nothing is loaded from afar."""
    assert page.errors() == []
    assert page.run("document.getElementById('title').textContent").startswith("Sweep sweep")
    assert (page.curves(), len(page.table())) == (12, 12)
    page.click("#fields input[data-field='0'][data-group='0']")
    assert (page.curves(), len(page.table())) == (6, 6)
    assert {row[0] for row in page.table()} == {"tanh"}
    page.draw_all()
    assert page.run("document.getElementById('parallel').data[0].line.color.length") == 6
    page.click("#fields input[data-field='2'][data-group='1']")
    assert (page.curves(), len(page.table())) == (4, 4)
    assert page.run("document.getElementById('heat').data[0].z.map((row) => row.length)") == [2]
    page.click("#none")
    assert (page.curves(), page.table()) == (0, [])
    page.click("#reset")
    assert (page.curves(), len(page.table())) == (12, 12)
    page.choose("curve-metric", "saturation/hidden_0")
    assert page.curves() == 6
    page.click("#curve-log")
    assert page.run("document.getElementById('curves').layout.yaxis.type") == "log"
    assert page.run("performance.getEntriesByType('resource').filter((e) => !/^(data|blob):/.test(e.name)).length") == 0
    assert page.errors() == []


@needs_browser
def test_parallel_coordinates_are_drawn_when_they_are_near(browser, sweep):
    """Not at once, as they take long; their place is kept, and scrolling there draws what is filtered in."""
    browser.show(without_lines((sweep[1] / "report.html").read_text(encoding="utf-8")))
    parallel = "document.getElementById('parallel')"
    page_height = browser.run("document.documentElement.scrollHeight")
    assert not browser.run(f"'data' in {parallel}") and browser.run(f"{parallel}.clientHeight") == 420
    browser.click("#fields input[data-field='0'][data-group='0']")
    browser.run(f"({parallel}.scrollIntoView(), 0)")
    deadline = time.monotonic() + 20
    while not browser.run(f"'data' in {parallel}"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert browser.run(f"{parallel}.data[0].line.color.length") == 6
    assert browser.run("document.documentElement.scrollHeight") <= page_height + 40  # a note of two lines
    assert browser.errors() == []


@needs_browser
def test_plots_keep_their_heights_and_fit_the_window(unpainted_page):
    """After clicks and resized windows one after the other, each plot is as high as it was drawn, and no part is wider
    than the window."""
    page = unpainted_page
    actions = {
        "filter": lambda: page.click("#fields input[data-field='0'][data-group='0']"),
        "none": lambda: page.click("#none"),
        "reset": lambda: page.click("#reset"),
        "heat": lambda: page.choose("heat-x", "batch_norm"),
    }
    drawn = [["curves", 460], ["heat", 300], ["parallel", 420], ["saturation", 280], ["speed", 280]]
    for action in (1280, 1000, "filter", 900, "none", 700, "reset", "heat", 1280):
        if isinstance(action, str):
            actions[action]()
        else:
            resize(page, action, 1200 - action // 2)
        page.draw_all()
        assert page.run(HEIGHTS) == [[name, height, height] for name, height in drawn], action
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), action
    assert page.errors() == []


@needs_browser
def test_dark_mode(unpainted_page):
    """Page and plots turn dark with the system, also while the page is open, and back."""
    page = unpainted_page
    page.run("(document.getElementById('parallel').scrollIntoView(), 0)")  # Far from the window it waits.
    paper = "getComputedStyle(document.querySelector('section')).backgroundColor"
    plots = "[...document.querySelectorAll('.plot')].map((plot) => plot._fullLayout.paper_bgcolor)"
    try:
        assert page.run(paper) == "rgb(255, 255, 255)" and set(page.run(plots)) == {"#ffffff"}
        page.emulate("dark")
        wait_until(page, f"{plots}.every((colour) => colour === '#1b1f24')")
        assert page.run(paper) == "rgb(27, 31, 36)"
        contrast = "getComputedStyle(document.querySelector('#table td')).color"
        assert page.run(contrast) == "rgb(223, 227, 232)"
    finally:
        page.emulate("light")
    wait_until(page, f"{plots}.every((colour) => colour === '#ffffff')")
    assert page.errors() == []


@needs_browser
def test_the_table_sorts_and_chooses(light_page, sweep):
    """By the final val_accuracy first, diverged last; numbers as numbers; a click on a row shows its layers."""
    page, data = light_page, embedded(sweep[1] / "report.html")
    finals = data["finals"]["val_accuracy"]["mean"]
    # Of the eighth configuration one seed diverged, of the fifth all: these come last, however good the others are.
    assert data["diverged"][8] == 1 and finals[5] is None
    order = sorted((c for c in range(12) if c not in (5, 8)), key=lambda c: -finals[c])
    shown = [row[5].split(" ")[0] for row in page.table()]
    assert shown == [*(f"{finals[c]:.4f}" for c in [*order, 8]), DASH]
    assert page.table()[-2][:5] == ["tanh", "False", "10", "3", f"{CROSS} 1 of 3"]
    page.click("#table th:nth-child(6) button")
    assert [row[5].split(" ")[0] for row in page.table()] == [*(f"{finals[c]:.4f}" for c in [*order[::-1], 8]), DASH]
    page.click("#table th:nth-child(6) button")
    assert page.table()[-1][:5] == ["relu", "True", "10", "3", f"{CROSS} 3 of 3"]
    low, high = (data["finals"]["val_accuracy"][part][order[0]] for part in ("low", "high"))
    assert page.table()[0][5] == f"{finals[order[0]]:.4f} ({low:.4f} to {high:.4f})"
    assert page.run("document.querySelectorAll('#table tr.diverged').length") == 2
    page.click("#table th:nth-child(3) button")
    assert [row[2] for row in page.table()] == ["0.5"] * 4 + ["2"] * 4 + ["10"] * 4
    page.click("#table th:nth-child(3) button")
    assert [row[2] for row in page.table()] == ["10"] * 4 + ["2"] * 4 + ["0.5"] * 4
    for activation, measure in (("tanh", "saturation"), ("relu", "zero_fraction")):
        row = next(i for i, cells in enumerate(page.table()) if cells[0] == activation)
        page.click(f"#table tbody tr:nth-child({row + 1})")
        layers = page.run("document.getElementById('saturation').data[0]")
        assert layers["colorbar"]["title"]["text"] == measure
        c = int(page.run("document.getElementById('chosen').value"))
        assert layers["z"] == [data["curves"][f"{measure}/hidden_0"]["mean"][c]]
    assert page.errors() == []


@needs_browser
def test_the_heat_map_follows_its_fields(light_page, sweep):
    """Any two fields; the cells are means over the trials that ended, and diverged ones are marked."""
    page, table = light_page, sweep[0]
    page.choose("heat-x", "batch_norm")
    page.choose("heat-y", "learning_rate")
    heat = page.run("document.getElementById('heat').data")
    ended = [row for row in table.to_pylist() if row["epoch"] == 4 and not row["diverged"]]
    for i, rate in enumerate([0.5, 2.0, 10.0]):
        for j, batch_norm in enumerate([False, True]):
            of_cell = [r["val_accuracy"] for r in ended if (r["learning_rate"], r["batch_norm"]) == (rate, batch_norm)]
            assert heat[0]["z"][i][j] == pytest.approx(np.mean(of_cell), rel=1e-4)
    texts = zip(heat[1]["x"], heat[1]["y"], heat[1]["text"], strict=True)
    crosses = {(x, y): text.partition(f"{CROSS} ")[2] for x, y, text in texts if CROSS in text}
    assert crosses == {(0, 2): "1", (1, 2): "3"}
    best = page.run("document.getElementById('heat-at').options.length")
    page.choose("heat-at", "the best epoch")
    assert best == 2 and page.run("document.getElementById('heat').data[0].z[0][0]") > heat[0]["z"][0][0]
    assert page.errors() == []


@needs_browser
@pytest.mark.parametrize(("swept", "diverged"), [({"seed": [0, 1]}, {}), ({}, {0: 1})])
def test_small_sweeps_are_shown(browser, swept, diverged):
    """Seeds alone, nothing that ended, and no WebGL: a row in the table, no heat map and no error."""
    table = table_of(swept, diverged=diverged)
    text = report_page.page_text(sweep_data.page_data(table, sweep_data.sweep_of(table), "small"))
    browser.show(without_webgl(text))
    assert browser.curves() == (0 if diverged else 1) and len(browser.table()) == 1
    assert browser.run("document.getElementById('heat').data.length") == 0
    browser.draw_all()
    assert "needs WebGL" in browser.run("document.getElementById('parallel-note').textContent")
    assert browser.errors() == []


@needs_browser
def test_the_heat_map_is_as_high_as_its_rows(browser):
    """46 pixels a row and 110 more, before and after the window was resized."""
    table = table_of({"activation": ["relu", "tanh"], "learning_rate": [float(i) for i in range(1, 13)]})
    text = report_page.page_text(sweep_data.page_data(table, sweep_data.sweep_of(table), "high"))
    browser.show(without_webgl(text))
    browser.choose("heat-y", "learning_rate")
    browser.choose("heat-x", "activation")
    for width, rows in ((1280, 12), (900, 11)):
        resize(browser, width, 1000)
        if rows < 12:
            browser.click(f"#fields input[data-field='1'][data-group='{rows}']")
        assert dict(map(tuple, (row[:2] for row in browser.run(HEIGHTS))))["heat"] == 46 * rows + 110
    resize(browser, 1000, 900)
    assert browser.run(HEIGHTS)[1] == ["heat", 616, 616]


@needs_browser
def test_the_best_is_whole(browser):
    """A setting that breaks one seed of three is not the best by the other two, and its count is said beside it; the
    bands of a share end at 1."""
    table = table_of({"learning_rate": [0.1, 1.0], "seed": [0, 1, 2]}, diverged={5: 2})
    trials = zip(table["learning_rate"].to_pylist(), table["seed"].to_pylist(), strict=True)
    accuracy = [0.99 if rate == 1.0 else 0.5 + 0.4 * (seed == 1) for rate, seed in trials]
    table = table.set_column(table.column_names.index("val_accuracy"), "val_accuracy", [accuracy])
    data = sweep_data.page_data(table, sweep_data.sweep_of(table), "broken")
    browser.show(without_webgl(report_page.page_text(data)))
    best = browser.run("document.getElementById('best').textContent")
    # .9 and .5 twice: .6333 +- 4.30265 * .23094 / sqrt(3) = .5737: from .0597 on.
    assert best == "Highest final val_accuracy: 0.6333 (0.0597 to 1.0000) at learning_rate=0.1"
    chosen = "document.getElementById('chosen').selectedOptions[0].text"
    assert browser.run(chosen) == "learning_rate=0.1"
    finding = browser.run("document.getElementById('heat-finding').textContent")
    assert finding == "Highest mean of the final val_accuracy: 0.6333 at learning_rate=0.1"
    bands = browser.run("document.getElementById('curves').data.filter((t) => t.meta === 'band').map((t) => t.y)")
    assert len(bands) == 2 and max(bands[0]) == 1.0 and min(map(min, bands)) >= 0.0
    browser.click("#fields input[data-field='0'][data-group='0']")
    text = browser.run("document.getElementById('curve-finding').textContent")
    assert text.startswith("Highest final val_accuracy: 0.9900") and "1 of 3 seeds diverged, at" in text
    assert browser.run(chosen) == "learning_rate=1"
    assert browser.errors() == []
