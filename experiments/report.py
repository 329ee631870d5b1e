"""The report of a sweep, finished or not: one HTML page that opens offline, and pictures of its main plots.

    python -m experiments.report --workdir=DIR                 what is finished now
    python -m experiments.report --workdir=DIR --width=6.5     pictures for a page whose text is 6.5 inches wide
    python -m experiments.report --workdir=DIR --watch         a page that follows a sweep while it runs

reads the finished packs of the sweep in DIR, also while it runs in another process or after it was killed, and writes
DIR/report.html and, as PNG, PDF and SVG, DIR/figures/*. The page has filters, learning curves, a heat map of any two
swept fields, parallel coordinates, saturation and speed by layer, which seeds failed, the time spent, and a table of
configurations. With --watch nothing is written: the page is served to browsers of this machine alone, and takes up new
packs by itself.
"""

import os

from absl import flags

import input_pipeline
from experiments.engine import ranking, results, tuned
from experiments.engine.plan_file import SweepError
from experiments.engine.standing import Folder
from experiments.reporting import serving
from experiments.reporting.page import LEAST_WIDTH, MOST_WIDTH, write
from training import console
from training.console import fail, say
from training.files import PlaceError, place

ACCEPTED = "accepted: --workdir=DIR, the folder of a sweep"


def main(_: list[str]) -> None:
    values = flags.FLAGS
    if not values.workdir:
        fail(f"--workdir is not given; {ACCEPTED}")
    if values.port is not None and not values.watch:
        fail(f"--port={values.port} is for the page that is served; accepted with it: --watch")
    if values.watch and values.width is not None:
        fail(f"--width={values.width:g} is for pictures, which --watch does not write; accepted: one of them")
    try:
        folder = Folder(place(values.workdir))
    except PlaceError as error:
        fail(f"--workdir={error}")
    try:
        ways = serving.Ways(values.rank, str(place(values.data_dir)))
    except PlaceError as error:
        fail(f"--data_dir={error}")
    try:
        if values.watch:
            serving.serve(folder, values.port or 0, ways)
        else:
            report(folder, values.width, ways)
    except results.DamagedError as error:
        fail(f"{folder.workdir / 'results.parquet'}: {error}; {ACCEPTED}")
    except SweepError as error:
        fail(error)
    except OSError as error:
        fail(error)


def report(folder: Folder, width: float | None, ways: serving.Ways) -> None:
    """Writes the page and the pictures of what is finished, and says how much that is."""
    table, standing = folder.read()
    if table is None and standing:
        fail(f"{folder.workdir}: {standing.words}; accepted: a sweep with a finished pack, or --watch, which waits")
    assert table is not None
    if standing:
        say(f"{os.fsencode(folder.workdir).decode(errors='replace')}: {standing.words}")
    decision = tuned.decide(tuned.read(folder.workdir), table, *ways)
    for written in write(folder.workdir, table, standing, width, decision, ways.data_dir):
        # The bytes of a name that is no text are printed as question marks.
        say(os.fsencode(written).decode(errors="replace"))


def define_flags() -> None:
    """The flags of the command."""
    flags.DEFINE_string("workdir", None, "The folder of a sweep, finished or not.")
    flags.DEFINE_bool(
        "watch", False, "Serve the page to browsers of this machine, and follow the sweep; ends on Ctrl-C."
    )
    flags.DEFINE_integer("port", None, "With --watch: the port on 127.0.0.1. [a free one]", 1, 65535)
    flags.DEFINE_enum("rank", "all", ranking.RANKS, "As --rank of the sweep.")
    flags.DEFINE_string("data_dir", input_pipeline.DEFAULT_DATA_DIR, "As --data_dir of the sweep.")
    words = "How wide the pictures are, in inches. [as wide as their panels need]"
    flags.DEFINE_float("width", None, words, LEAST_WIDTH, MOST_WIDTH)


if __name__ == "__main__":
    define_flags()
    console.run(main, console.parse_flags)
