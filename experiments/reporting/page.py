"""The page of a sweep, which opens offline: report.html with its style, its script, plotly.js and the data in it."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa

from experiments.reporting import pictures, sweep_data
from training.files import write_atomically

FOLDER = Path(__file__).parent


def write(workdir: Path, table: pa.Table) -> list[Path]:
    """Writes report.html and figures/ of the table; the paths of what was written."""
    sweep = sweep_data.sweep_of(table)
    page = workdir / "report.html"
    write_atomically(page, page_text(sweep_data.page_data(table, sweep, workdir.resolve().name)))
    return [page, *pictures.write_pictures(table, sweep, workdir / "figures")]


def page_text(data: dict[str, Any]) -> str:
    """The page with its style, its scripts, plotly.js and the data in it."""
    from plotly.offline import get_plotlyjs

    parts = {
        "STYLE": read("report.css"),
        "DATA": json_text(data),
        "PLOTLY": get_plotlyjs(),
        # The plots are functions, which the page calls as soon as it is read.
        "SCRIPT": read("report_plots.js") + read("report.js"),
    }
    return re.sub("@(STYLE|DATA|PLOTLY|SCRIPT)@", lambda match: parts[match[1]], read("report.html"))


def read(name: str) -> str:
    """One of the files that the page is made of."""
    return (FOLDER / name).read_text(encoding="utf-8")


def json_text(data: Any) -> str:
    """JSON that can stand in a script element, which the first `</script` would end."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
