"""The command line of a study: `python -m experiments.WING.NAME [--budget=full] [--workdir=DIR]`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags, logging

import input_pipeline
from experiments.engine import lanes
from experiments.engine.sweeping import USER_ERRORS
from experiments.study.claims import Claim, by_key, can_be_fresh, with_fresh
from experiments.study.elsewhere import claims_there
from experiments.study.kept import FRESH, forget
from experiments.study.scoreboard import headline, notes, scoreboard
from experiments.study.standard import faults_of
from experiments.study.study import Study, can_be_confirmed
from training import console
from training.compiling import CompilerError, check_sums, keep_programs
from training.config import ConfigError
from training.console import exit_status, fail, parse_flags, say
from training.figures import save_figure
from training.files import place, write_atomically

CONFIRMED_SIZE = "full"  # At this size, what is exploratory is run again unless --noconfirm says otherwise.


def run(study: Study[Any], size: str, workdir: str | Path, confirm: bool | None = None, dataset: str = "") -> None:
    """Writes the study's picture as figure.png and its claims as results.json, and prints the scoreboard.

    With `confirm`, at the full size if it is not given, a study with claims that are exploratory is run once more, on
    seeds from its `fresh_seeds` on and with nothing else changed: these claims then say what they came to there, and
    fresh.png is the picture of it. Where all that is exploratory is computed without chance, there is nothing to run
    again, which is said where it was asked for. ConfigError for a study that has no seeds to change.

    On another data set than MNIST, where one is named, with the claims that are made there.

    What cannot be read or written ends in one line, and a folder that cannot be made does so before the study runs.
    """
    logging.set_verbosity(logging.ERROR)
    try:
        workdir = place(workdir)
        workdir.mkdir(parents=True, exist_ok=True)
        check_sums()
        if confirm and not can_be_confirmed(study):
            raise ConfigError("--confirm: this study draws no seeds, or has nothing exploratory; accepted: without it")
        figure, claims = run_on(study, size, dataset, workdir)
        by_key(claims)  # Keys that are not unique are found here.
        save_figure(figure, workdir / "figure.png")
        write(workdir, claims)
        is_due = size == CONFIRMED_SIZE if confirm is None else confirm
        if is_due and can_be_confirmed(study) and any(map(can_be_fresh, claims)):
            claims = on_fresh_seeds(study, size, workdir, claims, dataset)
            write(workdir, claims)
        elif confirm:
            print("Nothing was run again: no line is exploratory and hangs on seeds.")
        for folder in (workdir, workdir / FRESH):
            forget(folder)
    except USER_ERRORS as error:
        fail(error)
    except KeyboardInterrupt as error:
        say("\ninterrupted")
        sys.exit(exit_status(error))
    below = [f"Below the standard, {fault}." for fault in faults_of(claims)]
    print("\n".join([scoreboard(claims), *notes(claims), *headline(claims), *below, f"Written to {workdir}"]))


def write(workdir: Path, claims: list[Claim]) -> None:
    """The claims as results.json."""
    content = [claim.to_dict() for claim in claims]
    write_atomically(workdir / "results.json", json.dumps(content, indent=2, allow_nan=False) + "\n")


def on_fresh_seeds(study: Study[Any], size: str, workdir: Path, claims: list[Claim], dataset: str = "") -> list[Claim]:
    """The claims, with what those that are exploratory and hang on seeds come to on fresh ones; what they keep is in a
    folder of its own, and their picture in fresh.png."""
    print(f"Once more on fresh seeds, from {study.fresh_seeds:,} on.", flush=True)
    folder = workdir / FRESH
    folder.mkdir(exist_ok=True)
    figure, fresh = run_on(study, size, dataset, folder, study.fresh_seeds)
    save_figure(figure, workdir / "fresh.png")
    return with_fresh(claims, fresh, study.fresh_seeds)


def size_on(study: Study[Any], size: str, dataset: str) -> Any:
    """The size of that name, on the data set of that name where there is one; ConfigError for one that the study does
    not take."""
    if not dataset:
        return study.sizes[size]
    if study.elsewhere is None:
        raise ConfigError(f"--dataset={dataset}: this study takes no other data set; accepted: without it")
    return study.elsewhere.on(study.sizes[size], dataset)


def run_on(
    study: Study[Any], size: str, dataset: str, workdir: Path, seeds_from: int | None = None
) -> tuple[Any, list[Claim]]:
    """What the study gives at that size, on another data set where there is one, and on other seeds where that is said:
    its figure, and the claims that are made there."""
    sized = size_on(study, size, dataset)
    figure, claims = study.run(sized if seeds_from is None else sized._replace(seeds_from=seeds_from), workdir)
    return figure, claims_there(study.elsewhere, claims) if dataset and study.elsewhere else claims


def main(study: Study[Any], answer: Callable[[], bool] | None = None) -> None:
    """The command of a study's module: --workdir, --budget (also --size) for how much is computed, and --confirm to run
    what is exploratory again on fresh seeds.

    A module may define flags of its own before; `answer()` then answers what they ask and says whether they ask
    anything, in which case the study is not run.
    """
    name = Path(study.run.__code__.co_filename).stem
    flags.DEFINE_string("workdir", f"runs/{name}", "Where figure.png and results.json go.")
    flags.DEFINE_enum("budget", "quick", list(study.sizes), "How much is computed.")
    flags.DEFINE_alias("size", "budget")
    if can_be_confirmed(study):
        words = f"Run what is exploratory again on seeds from {study.fresh_seeds:,} on. [at --budget={CONFIRMED_SIZE}]"
        flags.DEFINE_bool("confirm", None, words)
    if study.elsewhere:
        flags.DEFINE_string("dataset", "", f"Another data set than MNIST: {input_pipeline.ACCEPTED}.")

    def start(_: list[str]) -> None:
        logging.set_verbosity(logging.ERROR)
        keep_programs()
        lanes.use_all_cores()
        try:
            check_sums()
        except CompilerError as error:
            fail(error)
        if not (answer and answer()):
            confirm = flags.FLAGS.confirm if can_be_confirmed(study) else None
            run(study, flags.FLAGS.budget, flags.FLAGS.workdir, confirm, flags.FLAGS.dataset if study.elsewhere else "")

    console.run(start, parse_flags)
