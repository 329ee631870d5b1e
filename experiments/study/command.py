"""The command line of a study: `python -m experiments.WING.NAME [--budget=full] [--workdir=DIR]`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags, logging

from experiments.engine import lanes
from experiments.engine.sweeping import USER_ERRORS
from experiments.study.claims import by_key, headline, notes, scoreboard
from experiments.study.study import Study
from training import console
from training.compiling import CompilerError, check_sums, keep_programs
from training.console import exit_status, fail, parse_flags, say
from training.figures import save_figure
from training.files import place, write_atomically


def run(study: Study[Any], size: str, workdir: str | Path) -> None:
    """Writes the study's picture as figure.png and its claims as results.json, and prints the scoreboard.

    What cannot be read or written ends in one line, and a folder that cannot be made does so before the study runs.
    """
    logging.set_verbosity(logging.ERROR)
    try:
        workdir = place(workdir)
        workdir.mkdir(parents=True, exist_ok=True)
        check_sums()
        figure, claims = study.run(study.sizes[size], workdir)
        by_key(claims)  # Keys that are not unique are found here.
        save_figure(figure, workdir / "figure.png")
        content = [claim.to_dict() for claim in claims]
        write_atomically(workdir / "results.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    except USER_ERRORS as error:
        fail(error)
    except KeyboardInterrupt as error:
        say("\ninterrupted")
        sys.exit(exit_status(error))
    print("\n".join([scoreboard(claims), *notes(claims), *headline(claims), f"Written to {workdir}"]))


def main(study: Study[Any], answer: Callable[[], bool] | None = None) -> None:
    """The command of a study's module: --workdir, and --budget (also --size) where the study has more than one size.

    A module may define flags of its own before; `answer()` then answers what they ask and says whether they ask
    anything, in which case the study is not run.
    """
    name = Path(study.run.__code__.co_filename).stem
    flags.DEFINE_string("workdir", f"runs/{name}", "Where figure.png and results.json go.")
    flags.DEFINE_enum("budget", "quick", list(study.sizes), "How much is computed.")
    flags.DEFINE_alias("size", "budget")

    def start(_: list[str]) -> None:
        logging.set_verbosity(logging.ERROR)
        keep_programs()
        lanes.use_all_cores()
        try:
            check_sums()
        except CompilerError as error:
            fail(error)
        if not (answer and answer()):
            run(study, flags.FLAGS.budget, flags.FLAGS.workdir)

    console.run(start, parse_flags)
