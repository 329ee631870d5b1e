"""The report of a sweep: one HTML page that opens offline, and pictures of its main plots.

    python -m experiments.report --workdir=DIR

reads DIR/results.parquet and writes DIR/report.html and, as PNG and PDF, DIR/figures/*. The page has filters, learning
curves, a heat map of any two swept fields, parallel coordinates, saturation and speed by layer, and a table of
configurations.
"""

import os

from absl import flags

from experiments.engine import results
from experiments.reporting.page import write
from training import console
from training.console import fail, say
from training.files import PlaceError, place


def main(_: list[str]) -> None:
    accepted = "accepted: --workdir=DIR with the results.parquet that a sweep wrote"
    if not flags.FLAGS.workdir:
        fail(f"--workdir is not given; {accepted}")
    try:
        folder = place(flags.FLAGS.workdir)
    except PlaceError as error:
        fail(f"--workdir={error}")
    path = folder / "results.parquet"
    try:
        table = results.read_table(path)
        for written in write(folder, table):
            # The bytes of a name that is no text are printed as question marks.
            say(os.fsencode(written).decode(errors="replace"))
    except results.DamagedError as error:
        fail(f"{path}: {error}; {accepted}")
    except OSError as error:
        fail(error)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "The folder of a finished sweep.")
    console.run(main, console.parse_flags)
