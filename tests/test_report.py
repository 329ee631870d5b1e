"""The report of a sweep: its numbers against numpy and by hand, its edges, its pictures, and the page in a browser."""

import contextlib
import http.client
import itertools
import json
import re
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs import shallow
from experiments import report
from experiments.engine import results, statistics
from training.config import as_config

ROOT = Path(__file__).parents[1]
# The 97.5 % quantile of Student's t with 2 degrees of freedom: three seeds.
T_OF_THREE = 4.30265


def rows_of(trial, epochs, rng, layers=("hidden_0",), diverges_at=None):
    """Rows of a trial with random numbers; the last one has no cost if it diverges."""
    saturation = "zero_fraction" if trial["activation"] == "relu" else "saturation"
    for epoch in range(1, epochs + 1):
        numbers = {name: float(rng.random()) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        probes = {f"{measure}/{layer}": float(rng.random()) for layer in layers for measure in (saturation, "speed")}
        row = {"trial": as_config(trial).name(), "epoch": epoch, "diverged": False, **numbers, **probes}
        if epoch == diverges_at:
            yield row | {"diverged": True, "loss": None, "val_loss": None}
            return
        yield row


def table_of(swept, epochs=4, diverged=(), layers=("hidden_0",)):
    """The table of a grid, in two packs; the trials numbered in `diverged` diverge at those epochs."""
    rng = np.random.default_rng(0)
    base = shallow.get_config().to_dict() | {"epochs": epochs}
    trials = [base | dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())]
    ends = dict(diverged)
    packs = []
    for pack in (range(0, len(trials), 2), range(1, len(trials), 2)):
        named = {as_config(trials[i]).name(): trials[i] for i in pack}
        rows = [row for i in pack for row in rows_of(trials[i], epochs, rng, layers, ends.get(i))]
        packs += [results.pack_table(named, rows)] if rows else []
    return results.join(packs)


def embedded(page):
    """The data in the page."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def seeds_of(table, metric, **config):
    """A metric [seeds, epochs] of the trials of a config, read row by row, NaN where they have ended."""
    rows = [row for row in table.to_pylist() if all(row[name] == value for name, value in config.items())]
    found = np.full((3, 4), np.nan)
    for row in rows:
        if not row["diverged"] and row[metric] is not None:
            found[row["seed"], row["epoch"] - 1] = row[metric]
    return found


SWEPT = {
    "activation": ["tanh", "relu"],
    "batch_norm": [False, True],
    "learning_rate": [0.5, 2.0, 10.0],
    "seed": [0, 1, 2],
}
# Of relu with batch_norm at the largest rate all three seeds diverge, of tanh without it at the largest rate one.
DIVERGED = {33: 2, 34: 3, 35: 1, 7: 3}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A grid of 12 configurations of three seeds: its table, its folder, what was written."""
    folder = tmp_path_factory.mktemp("sweep")
    table = table_of(SWEPT, diverged=DIVERGED)
    return table, folder, report.write(folder, table)


def test_curves_and_finals_are_those_of_the_seeds(sweep):
    """Mean and interval by hand of three seeds, at each epoch, at the end and at the best epoch."""
    table, folder, _ = sweep
    data = embedded(folder / "report.html")
    assert [field["name"] for field in data["fields"]] == ["activation", "batch_norm", "learning_rate"]
    assert [field["labels"] for field in data["fields"]] == [["relu", "tanh"], ["False", "True"], ["0.5", "2", "10"]]
    assert data["seeds"] == [3] * 12
    for metric, best in (("val_accuracy", np.max), ("val_loss", np.min)):
        for c, (activation, batch_norm, rate) in enumerate(
            itertools.product(["relu", "tanh"], [False, True], range(3))
        ):
            assert [codes[c] for codes in data["codes"]] == [activation == "tanh", batch_norm, rate]
            config = {"activation": activation, "batch_norm": batch_norm, "learning_rate": [0.5, 2.0, 10.0][rate]}
            values_SxE = seeds_of(table, metric, **config)
            if np.isnan(values_SxE).any():
                continue
            curve = data["curves"][metric]
            assert data["grids"][curve["grid"][c]] == [1, 2, 3, 4]
            half = T_OF_THREE * values_SxE.std(axis=0, ddof=1) / np.sqrt(3)
            np.testing.assert_allclose(curve["mean"][c], values_SxE.mean(axis=0), rtol=1e-3)
            np.testing.assert_allclose(curve["low"][c], values_SxE.mean(axis=0) - half, rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(curve["high"][c], values_SxE.mean(axis=0) + half, rtol=1e-3)
            bests = best(values_SxE, axis=1)
            for part, values in (("finals", values_SxE[:, -1]), ("bests", bests)):
                found = data[part][metric]
                assert found["n"][c] == 3
                np.testing.assert_allclose(found["mean"][c], values.mean(), rtol=1e-4)
                np.testing.assert_allclose(found["half"][c], T_OF_THREE * values.std(ddof=1) / np.sqrt(3), rtol=1e-2)


def test_diverged_trials_are_counted_and_not_averaged(sweep):
    """The epochs at which trials diverged; the last row of these is in no mean, and ends and bests are the others'."""
    table, folder, _ = sweep
    data = embedded(folder / "report.html")
    assert data["diverged"] == [0] * 5 + [3, 0, 0, 1, 0, 0, 0]
    assert data["diverged_epochs"][5] == [1, 2, 3] and data["diverged_epochs"][8] == [3]
    all_lost, one_lost = 5, 8
    for part in ("finals", "bests"):
        assert data[part]["val_accuracy"]["mean"][all_lost] is None and data[part]["val_accuracy"]["n"][all_lost] == 0
    curve = data["curves"]["val_accuracy"]
    assert data["grids"][curve["grid"][all_lost]] == [1, 2]
    values_SxE = seeds_of(table, "val_accuracy", activation="tanh", batch_norm=False, learning_rate=10.0)
    assert np.isnan(values_SxE).sum() == 2
    np.testing.assert_allclose(curve["mean"][one_lost], np.nanmean(values_SxE, axis=0), rtol=1e-3)
    ended = values_SxE[np.isfinite(values_SxE[:, -1])]
    finals, bests = data["finals"]["val_accuracy"], data["bests"]["val_accuracy"]
    assert finals["n"][one_lost] == bests["n"][one_lost] == 2
    np.testing.assert_allclose(finals["mean"][one_lost], ended[:, -1].mean(), rtol=1e-4)
    np.testing.assert_allclose(bests["mean"][one_lost], ended.max(axis=1).mean(), rtol=1e-4)


def test_a_probe_that_some_trials_have(sweep):
    """Saturation is tanh's and zero_fraction relu's; the others have neither curve nor end."""
    _, folder, _ = sweep
    data = embedded(folder / "report.html")
    of_relu = [True] * 6 + [False] * 6
    for metric, has in (("zero_fraction/hidden_0", of_relu), ("saturation/hidden_0", [not relu for relu in of_relu])):
        assert [grid is not None for grid in data["curves"][metric]["grid"]] == has
        assert [mean is not None for mean in data["finals"][metric]["mean"]] == [
            known and c != 5 for c, known in enumerate(has)
        ]


def test_pictures_are_written(sweep):
    """Of a grid all three, of a size that can be read, and with something drawn."""
    _, folder, written = sweep
    names = ["report.html", "figures/learning_curves.png", "figures/heat_map.png", "figures/saturation.png"]
    assert written == [folder / name for name in names]
    for path in written[1:]:
        with Image.open(path) as picture:
            assert min(picture.size) >= 400
            assert len(picture.convert("RGB").getcolors(2**24)) > 100


@pytest.mark.parametrize(
    ("swept", "diverged", "pictures"),
    [
        ({}, {}, []),
        ({}, {0: 1}, []),
        ({"seed": [3, 5, 9]}, {}, []),
        ({"batch_norm": [False, True]}, {}, ["saturation"]),
        ({"l2": [0.0, 1e-5, 1e-3], "hidden": [(64,), (128,), (64, 64)]}, {4: 2}, ["heat_map", "saturation"]),
    ],
    ids=["one trial", "one that diverged at once", "seeds alone", "a bool", "zero among powers of ten"],
)
def test_any_sweep_has_a_report(swept, diverged, pictures, tmp_path):
    """One trial, none that ended, seeds alone, one field: the page and the pictures that make sense."""
    written = report.write(tmp_path, table_of(swept, diverged=diverged))
    assert [path.stem for path in written[1:]] == ["learning_curves", *pictures]
    data = embedded(written[0])
    fields = [name for name in swept if name != "seed"]
    assert sorted(field["name"] for field in data["fields"]) == sorted(fields)
    assert len(data["seeds"]) == int(np.prod([len(swept[name]) for name in fields]))
    assert sum(data["diverged"]) == len(diverged)
    constants = dict(data["constants"])
    assert not set(constants) & set(fields) and constants["dataset"] == "mnist"
    assert data["all_seeds"] == swept.get("seed", [0]) and ("seed" in constants) == ("seed" not in swept)


def test_a_single_seed_has_no_interval():
    """Null, not zero."""
    table = table_of({"learning_rate": [0.1, 1.0]})
    data = report.page_data(table, report.sweep_of(table), "sweep")
    assert data["finals"]["val_loss"]["half"] == [None, None]
    assert data["curves"]["val_loss"]["low"] == [[None] * 4] * 2


def test_scales():
    """Powers of ten on a logarithmic axis, with zero at equal distances, near numbers as they are, hidden in order."""
    assert report.scale_of([0.01, 0.1, 10.0]).positions == pytest.approx([-2, -1, 1])
    assert report.scale_of([0.01, 0.1, 10.0]).tick_labels == ["0.01", "0.1", "10"]
    assert report.scale_of([0.0, 1e-5, 1e-3])[:2] == ("rank", [0, 1, 2])
    assert report.scale_of([32, 64, 128])[:2] == ("linear", [32, 64, 128])
    assert report.scale_of([False, True]) == ("text", [0, 1], [0, 1], ["False", "True"])
    many = report.scale_of(np.geomspace(0.005, 20, 50).tolist())
    assert many.kind == "log" and many.tick_labels == ["0.01", "0.1", "1", "10"]
    assert sorted(["64-64", "128", "64"], key=report.order) == ["64", "64-64", "128"]


def test_many_numbers_are_grouped():
    """A random search's values in ranges of as many values each; few values, and names, stand alone."""
    groups, labels = report.groups_of(np.arange(1.0, 121.0).tolist())
    np.testing.assert_array_equal(np.bincount(groups), [10] * 12)
    assert labels[0] == "1 to 10" and labels[-1] == "111 to 120"
    assert report.groups_of([1.0, 2.0])[1] == ["1", "2"]
    names = [f"name_{i}" for i in range(40)]
    assert report.groups_of(names)[1] == names


def test_long_curves_are_thinned():
    """At most so many of the epochs at which there is a number, the first and the last among them."""
    values_SxCxE = np.tile(np.arange(1.0, 1001.0), (2, 2, 1))
    values_SxCxE[:, 1] = np.where(np.arange(1, 1001) % 10 == 0, values_SxCxE[:, 1], np.nan)
    grids = {}
    found = report.curve_data(statistics.interval(values_SxCxE), ("mean",), np.arange(1, 1001), 20, grids)
    first, second = (list(grids)[grid] for grid in found["grid"])
    assert len(first) == len(second) == 20
    assert (first[0], first[-1], second[0], second[-1]) == (1, 1000, 10, 1000)
    assert all(epoch % 10 == 0 for epoch in second)
    assert found["mean"] == [list(first), list(second)]


def test_json_cannot_end_its_script_element():
    """Nor can it hold NaN, which is no JSON."""
    value = {"</script><script>alert(1)</script>": "<!--", "number": 1.5}
    text = report.json_text(value)
    assert "<" not in text and json.loads(text) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        report.json_text([float("nan")])


def test_numbers_are_rounded_to_significant_digits():
    """As few characters as the digits need, at any size, and null for what is not finite."""
    values = np.array([[0.123456, 1234567.0, -9.99999e-7], [np.nan, 0.0, np.inf]])
    assert report.as_lists(values) == [[0.1235, 1235000.0, -1e-06], [None, 0.0, None]]
    assert json.dumps(report.as_lists(np.array([0.1 + 0.2, 1 / 3]))) == "[0.3, 0.3333]"


def test_the_command_writes_the_report(monkeypatch, tmp_path, capsys):
    results.write_table(table_of({"learning_rate": [0.1, 1.0]}), tmp_path / "results.parquet")
    monkeypatch.setattr(report.flags, "FLAGS", types.SimpleNamespace(workdir=str(tmp_path)))
    report.main([])
    assert capsys.readouterr().out.splitlines()[0] == str(tmp_path / "report.html")


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "cut", "turned", "turned name", "another", "no rows", "no numbers", "no text"]
)
def test_no_sweep_ends_in_one_line(damage, monkeypatch, tmp_path, capsys):
    """A results.parquet that is missing, damaged or another: exit status 2, what was given and what is accepted."""
    path, table = tmp_path / "results.parquet", table_of({"learning_rate": [0.1, 1.0]})
    content = results.as_bytes(table)
    inside = content.index(b"glorot_uniform")
    damaged = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "turned": content[:inside] + b"G" + content[inside + 1 :],
        "turned name": content.replace(b"val_accuracy", b"val_\xffccuracy"),
        "another": results.as_bytes(table.select(["trial", "epoch"])),
        "no text": results.as_bytes(table.set_column(0, "trial", table["epoch"])),
        "no rows": results.as_bytes(table.slice(0, 0)),
        "no numbers": results.as_bytes(table.append_column("speed/hidden_0x", table["trial"])),
    }
    if damage in damaged:
        path.write_bytes(damaged[damage])
    monkeypatch.setattr(report.flags, "FLAGS", types.SimpleNamespace(workdir=str(tmp_path)))
    with pytest.raises(SystemExit) as ended:
        report.main([])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.count("\n") == 1
    assert error.startswith(f"error: {path}: ") and "; accepted: --workdir=DIR" in error
    assert not (tmp_path / "report.html").exists()


def test_the_command_line():
    """As it is typed, without a folder: one line and exit status 2."""
    command = [sys.executable, "-m", "experiments.report"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("error: --workdir is not given; accepted: --workdir=DIR")


# ---------------------------------------------------------------------------------------------------------------------
# In a browser.

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromedriver is not installed")
QUIET = ("no-first-run", "disable-quic", "disable-background-networking", "disable-component-update", "disable-sync")
BROWSER_FLAGS = ["headless", "no-sandbox", "disable-gpu", "enable-unsafe-swiftshader", "disable-dev-shm-usage", *QUIET]
DASH, CROSS = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
NO_WEBGL = """<script>
const anyContext = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind) { return kind === "2d" ? anyContext.call(this, kind) : null; };
</script>"""
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """A page in Chromium, driven over WebDriver's HTTP interface."""

    def __init__(self, port, profile):
        self.port, self.session = port, ""
        options = {"binary": CHROMIUM, "args": [*BROWSER_FLAGS, "window-size=1280,1000", f"user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = "/" + self.send("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def send(self, method, path, body=None):
        """The value that the driver answers with."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, f"/session{self.session}{path}", json.dumps(body or {}))
            value = json.loads(connection.getresponse().read())["value"]
        assert not (isinstance(value, dict) and "error" in value), value
        return value

    def open(self, page):
        self.send("POST", "/url", {"url": page.resolve().as_uri()})

    def run(self, script):
        """What a JavaScript expression gives."""
        return self.send("POST", "/execute/sync", {"script": f"return ({script})", "args": []})

    def click(self, selector):
        """A click in the middle of an element, as a hand does it: refused where another element is in front."""
        found = self.send("POST", "/element", {"using": "css selector", "value": selector})
        self.send("POST", f"/element/{found[ELEMENT]}/click")

    def choose(self, select, text):
        """Chooses the option of that text."""
        path = f"//select[@id='{select}']/option[.='{text}']"
        found = self.send("POST", "/element", {"using": "xpath", "value": path})
        self.send("POST", f"/element/{found[ELEMENT]}/click")

    def errors(self):
        """What went wrong by the browser's console since the last call."""
        return [
            entry["message"]
            for entry in self.send("POST", "/se/log", {"type": "browser"})
            if entry["level"] == "SEVERE"
        ]

    def curves(self):
        """How many curves are drawn: the pieces of the lines, without the bands."""
        paths = "[...document.querySelectorAll('#curves .scatterlayer .js-line')]"
        lines = f"{paths}.filter((path) => path.style.strokeWidth !== '0px')"
        return self.run(f"{lines}.reduce((sum, path) => sum + path.getAttribute('d').split('M').length - 1, 0)")

    def table(self):
        """The texts of the table's cells, row by row."""
        rows = "document.querySelectorAll('#table tbody tr')"
        return self.run(f"[...{rows}].map((row) => [...row.cells].map((cell) => cell.textContent))")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, for all tests of this file."""
    command = [CHROMEDRIVER, "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
        try:
            port = next(
                int(found[1]) for line in driver.stdout if (found := re.search(r"successfully on port (\d+)", line))
            )
            browser = Browser(port, tmp_path_factory.mktemp("profile"))
            yield browser
            browser.send("DELETE", "")
        finally:
            driver.terminate()


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
    page.send("POST", "/window/rect", {"width": width, "height": 1000})
    deadline = time.monotonic() + 10
    # The plots follow the window's width a little later.
    while not (fits := page.run("document.documentElement.scrollWidth <= innerWidth")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert fits and page.run("innerWidth") == width


@needs_browser
@pytest.mark.parametrize(("swept", "diverged"), [({"seed": [0, 1]}, {}), ({}, {0: 1})])
def test_small_sweeps_are_shown(browser, tmp_path, swept, diverged):
    """Seeds alone, nothing that ended, and no WebGL: a row in the table, no heat map and no error."""
    table = table_of(swept, diverged=diverged)
    text = report.page_text(report.page_data(table, report.sweep_of(table), "small"))
    path = tmp_path / "report.html"
    path.write_text(text.replace("<script", f"{NO_WEBGL}<script", 1), encoding="utf-8")
    browser.open(path)
    assert browser.curves() == (0 if diverged else 1) and len(browser.table()) == 1
    assert browser.run("document.getElementById('heat').data.length") == 0
    assert "needs WebGL" in browser.run("document.getElementById('parallel-note').textContent")
    assert browser.errors() == []
