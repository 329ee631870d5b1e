"""Executes the lecture's notebook and writes it with its outputs, in place.

    python -m experiments.classroom.executed [--notebook=notebooks/lecture.ipynb]

What a page shows that only shows it are the pictures as they are drawn first: the sliders are left out, which nothing
would move there.
"""

import time
from pathlib import Path
from typing import Any

from absl import flags

from training import console
from training.console import fail, parse_flags, say
from training.files import place, write_atomically

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "lecture.ipynb"
SLIDERS = "application/vnd.jupyter.widget-view+json"
# Seconds that a cell may take.
PATIENCE = 200


def execute(path: Path) -> Any:
    """The notebook after a run in its own folder, as Jupyter runs it."""
    import nbclient
    import nbformat

    resources = {"metadata": {"path": str(path.parent)}}
    client = nbclient.NotebookClient(
        nbformat.read(path, as_version=4),
        timeout=PATIENCE,
        kernel_name="python3",
        coalesce_streams=True,
        store_widget_state=False,
        resources=resources,
    )
    return client.execute()


def without_sliders(notebook: Any) -> Any:
    """The notebook as it is committed: its pictures, not its sliders, and neither times nor the Python of this run."""
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if SLIDERS not in out.get("data", {})]
    return notebook


def main(_: list[str]) -> None:
    try:
        from nbclient.exceptions import CellExecutionError
        from nbformat.reader import NotJSONError
        from nbformat.v4 import writes
    except ImportError as error:
        fail(f"{error.name} is not installed; accepted: after `pip install -r requirements-dev.txt`")
    path, begun = place(flags.FLAGS.notebook), time.monotonic()
    try:
        notebook = without_sliders(execute(path))
    except (OSError, CellExecutionError, NotJSONError) as error:
        fail(f"--notebook={path}: {console.one_line(error, 300)}; accepted: a notebook that runs")
    write_atomically(path, writes(notebook) + "\n")
    say(f"Written to {path}, {len(path.read_bytes()) / 1e3:.0f} kB; it ran for {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    flags.DEFINE_string("notebook", str(NOTEBOOK), "The notebook.")
    console.run(main, parse_flags)
