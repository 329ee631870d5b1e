"""The page of a sweep, which opens offline: report.html with its style, its script, plotly.js and the data in it."""

import contextlib
import functools
import hashlib
import importlib
import json
import re
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa

import input_pipeline
from experiments.engine import finished
from experiments.engine.ranking import Decision
from experiments.engine.standing import Standing
from experiments.reporting import sweep_data
from experiments.reporting.panels import panels_of, seconds_of
from training.files import write_atomically
from training.provenance import code_digest, versions

FOLDER = Path(__file__).parent
# How wide pictures may be, in inches: a column of a paper, and a poster.
LEAST_WIDTH, MOST_WIDTH = 3.0, 20.0
SEAL = b"<!-- sha256 "


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
    text = page_text(data_of(table, sweep, workdir, standing)).encode()
    drawn = pictures.write_pictures(table, sweep, workdir / finished.PICTURES, width)
    # It comes last, since its digest says that all is there.
    write_atomically(page, text + seal_of(text, workdir, table, standing))
    return [page, *drawn]


def update(workdir: Path, table: pa.Table, standing: Standing | None, decision: Decision, data_dir: str) -> list[Path]:
    """`write`, but where the page and the pictures are to the byte what was made of these rows and of what they say, by
    this code: nothing."""
    page = workdir / "report.html"
    if page.is_file():
        text, digest, rest = page.read_bytes().rpartition(SEAL)
        if digest + rest == seal_of(text, workdir, table, standing):
            return []
    return write(workdir, table, standing, None, decision, data_dir)


def seal_of(text: bytes, workdir: Path, table: pa.Table, standing: Standing | None) -> bytes:
    """The last line of a page: a digest of the page, of its pictures and of what they were made of."""
    made_of = finished.digests_of(workdir, ["results.parquet", "decisions.json"])
    by = code_digest(finished.ROOMS), versions(finished.PACKAGES)
    said = json.dumps([len(table), standing and standing.words, made_of, by], sort_keys=True)
    return SEAL + hashlib.sha256(text + said.encode()).hexdigest().encode() + b" -->\n"


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
