"""The page of a sweep's report in a browser."""

import time

import numpy as np
import pytest
from chrome import needs_browser
from sweep_tables import embedded, table_of

from experiments.reporting import page as report_page
from experiments.reporting import sweep_data

DASH, CROSS = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
NO_WEBGL = """<script>
const anyContext = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind) { return kind === "2d" ? anyContext.call(this, kind) : null; };
</script>"""


@pytest.fixture
def page(browser, sweep):
    """The browser with the page of the grid as it is at first: opened once, since that takes long."""
    if browser.run("document.title") != f"Sweep {sweep[1].name}":
        browser.open(sweep[1] / "report.html")
    browser.click("#reset")
    return browser


@needs_browser
def test_filters_change_every_part(page, sweep):
    """A click on a check box leaves out its curves, cells and rows; none and reset; nothing is loaded from afar."""
    assert page.errors() == []
    assert page.run("document.getElementById('title').textContent").startswith("Sweep sweep")
    assert (page.curves(), len(page.table())) == (12, 12)
    page.click("#fields input[data-field='0'][data-group='0']")
    assert (page.curves(), len(page.table())) == (6, 6)
    assert {row[0] for row in page.table()} == {"tanh"}
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
def test_the_table_sorts_and_chooses(page, sweep):
    """By the final val_accuracy first, diverged last; numbers as numbers; a click on a row shows its layers."""
    data = embedded(sweep[1] / "report.html")
    means = [mean for mean in data["finals"]["val_accuracy"]["mean"] if mean is not None]
    shown = [row[5].split(" ")[0] for row in page.table()]
    assert shown == [*(f"{mean:.4f}" for mean in sorted(means, reverse=True)), DASH]
    assert page.table()[-1][:5] == ["relu", "True", "10", "3", f"{CROSS} 3 of 3"]
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
def test_the_heat_map_follows_its_fields(page, sweep):
    """Any two fields; the cells are means over the trials that ended, and diverged ones are marked."""
    table = sweep[0]
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
@pytest.mark.parametrize("width", [1280, 900])
def test_the_page_fits_its_window(page, width):
    """No part is wider than the window."""
    resize(page, width, 1000)
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


@needs_browser
@pytest.mark.parametrize(("swept", "diverged"), [({"seed": [0, 1]}, {}), ({}, {0: 1})])
def test_small_sweeps_are_shown(browser, tmp_path, swept, diverged):
    """Seeds alone, nothing that ended, and no WebGL: a row in the table, no heat map and no error."""
    table = table_of(swept, diverged=diverged)
    text = report_page.page_text(sweep_data.page_data(table, sweep_data.sweep_of(table), "small"))
    path = tmp_path / "report.html"
    path.write_text(text.replace("<script", f"{NO_WEBGL}<script", 1), encoding="utf-8")
    browser.open(path)
    assert browser.curves() == (0 if diverged else 1) and len(browser.table()) == 1
    assert browser.run("document.getElementById('heat').data.length") == 0
    assert "needs WebGL" in browser.run("document.getElementById('parallel-note').textContent")
    assert browser.errors() == []


ORDERS = {
    "a filter, then the window": ["filter", 1000],
    "the window, then a filter": [1000, "filter"],
    "again and again": ["filter", 1000, 700, "none", 1280, "reset", 900, "filter", "heat", 1280],
}
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
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_plots_keep_their_heights(page, order):
    """After clicks and resized windows in any order, each plot is as high as it was drawn."""
    resize(page, 1280, 1000)
    actions = {
        "filter": lambda: page.click("#fields input[data-field='0'][data-group='0']"),
        "none": lambda: page.click("#none"),
        "reset": lambda: page.click("#reset"),
        "heat": lambda: page.choose("heat-x", "batch_norm"),
    }
    drawn = [["curves", 460], ["heat", 300], ["parallel", 420], ["saturation", 280], ["speed", 280]]
    for action in order:
        if isinstance(action, str):
            actions[action]()
        else:
            resize(page, action, 1200 - action // 2)
        assert page.run(HEIGHTS) == [[name, height, height] for name, height in drawn], action
    assert page.errors() == []


@needs_browser
def test_the_heat_map_is_as_high_as_its_rows(browser, tmp_path):
    """46 pixels a row and 110 more, before and after the window was resized."""
    table = table_of({"activation": ["relu", "tanh"], "learning_rate": [float(i) for i in range(1, 13)]})
    text = report_page.page_text(sweep_data.page_data(table, sweep_data.sweep_of(table), "high"))
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    browser.open(tmp_path / "report.html")
    browser.choose("heat-y", "learning_rate")
    browser.choose("heat-x", "activation")
    for width, rows in ((1280, 12), (900, 11), (1100, 10)):
        resize(browser, width, 1000)
        if rows < 12:
            browser.click(f"#fields input[data-field='1'][data-group='{rows}']")
        assert dict(map(tuple, (row[:2] for row in browser.run(HEIGHTS))))["heat"] == 46 * rows + 110
    resize(browser, 1000, 900)
    assert browser.run(HEIGHTS)[1] == ["heat", 570, 570]
