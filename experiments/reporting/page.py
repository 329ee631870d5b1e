"""The page of a sweep, which opens offline: report.html with its style, its script, plotly.js and the data in it."""

import contextlib
import functools
import importlib
import json
import re
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa

import input_pipeline
from experiments.engine.ranking import Decision
from experiments.engine.standing import Standing
from experiments.reporting import sweep_data
from experiments.reporting.panels import panels_of, seconds_of
from training.files import write_atomically

FOLDER = Path(__file__).parent
# How wide pictures may be, in inches: a column of a paper, and a poster.
LEAST_WIDTH, MOST_WIDTH = 3.0, 20.0


@functools.cache
def import_early() -> None:
    """Imports what `write` needs, which takes long, in a thread, while packs run in threads of XLA or elsewhere."""

    def imported() -> None:
        with contextlib.suppress(Exception):  # Who needs it imports it, and is told.
            importlib.import_module("experiments.reporting.pictures")
            importlib.import_module("matplotlib.backends.backend_pdf")

    threading.Thread(target=imported, name="imports").start()


def write(
    workdir: Path,
    table: pa.Table,
    standing: Standing | None = None,
    width: float | None = None,
    decision: Decision | None = None,
    data_dir: str = input_pipeline.DEFAULT_DATA_DIR,
) -> list[Path]:
    """Writes report.html and figures/ of the table, these so many inches wide, and what its results say where that is
    given; the paths of what was written."""
    from experiments.reporting import pictures  # matplotlib, which a sweep needs at its end at most.

    sweep = sweep_data.sweep_of(table, decision, data_dir)
    page = workdir / "report.html"
    write_atomically(page, page_text(data_of(table, sweep, workdir, standing)))
    return [page, *pictures.write_pictures(table, sweep, workdir / "figures", width)]


def update(workdir: Path, table: pa.Table, standing: Standing | None, decision: Decision, data_dir: str) -> list[Path]:
    """`write`, but where the page is younger than the results.parquet of these rows and than the decisions.json of what
    they say: nothing."""
    page, of_it = workdir / "report.html", [workdir / "results.parquet", workdir / "decisions.json"]
    there = page.is_file() and all(path.is_file() for path in of_it)
    if there and page.stat().st_mtime_ns > max(path.stat().st_mtime_ns for path in of_it):
        return []
    return write(workdir, table, standing, None, decision, data_dir)


def data_of(
    table: pa.Table, sweep: sweep_data.Sweep, workdir: Path, standing: Standing | None = None
) -> dict[str, Any]:
    """What the page shows."""
    data = sweep_data.page_data(table, sweep, workdir.resolve().name)
    if standing and standing.trials < standing.planned:
        data["standing"] = standing.words
    if standing and standing.seconds:
        data["seconds"] = sweep_data.as_lists(seconds_of(sweep, standing))
    return data | {"panels": [panel._asdict() for panel in panels_of(sweep, standing)]}


def page_text(data: dict[str, Any]) -> str:
    """The page with its style, its scripts, plotly.js and the data in it."""
    from plotly.offline import get_plotlyjs

    parts = {
        "STYLE": read("report.css"),
        "DATA": json_text(data),
        "PLOTLY": get_plotlyjs(),
        # What is called as soon as the page is read comes last.
        "SCRIPT": "".join(map(read, ("report_plots.js", "report_table.js", "report.js"))),
    }
    return re.sub("@(STYLE|DATA|PLOTLY|SCRIPT)@", lambda match: parts[match[1]], read("report.html"))


def read(name: str) -> str:
    """One of the files that the page is made of."""
    return (FOLDER / name).read_text(encoding="utf-8")


def json_text(data: Any) -> str:
    """JSON that can stand in a script element, which the first `</script` would end."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
