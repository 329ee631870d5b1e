"""Which published figures are reproduced? Runs the studies and shows all that they claim on one scoreboard.

    python -m experiments.reproduce [--budget=full] [--studies=perceptron,neurons] [--workdir=DIR] [--confirm] [--docs]
    python -m experiments.reproduce --dataset=idx:FOLDER                                  on another data set than MNIST

Each study runs in a process of its own, one after the other; WORKDIR/STUDY holds its figure.png, results.json and
log.txt. The scoreboard is of every study that was run into WORKDIR, now or before: it is printed, and written to
WORKDIR/reproduction.json and WORKDIR/reproduction.html, one page that opens offline. Whatever is asked for is run
again, and takes the place of what was there once it has ended; one that was killed goes on where it keeps what it has
finished. Claims that are exploratory are run once more on fresh
seeds with --confirm, and with --budget=full unless --noconfirm says otherwise; a study without one that hangs on seeds
is run once, as ever. With --docs no study is run: what was run into WORKDIR takes its place in docs/results.json and
docs/gallery, from which docs/results.md and the README's table are written.

On another data set run the studies that take one, with the claims that make sense there (printed numbers of MNIST do
not); the others are named and left out. They go into a folder of their own, and with --docs into columns beside MNIST.

Exit status: 0 where every study of this command ended well, whether its figures are reproduced or not; 1 where one
failed; 2 for a wrong command; 130 after Ctrl-C, which keeps what has finished.
"""

import contextlib
import datetime
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from absl import flags, logging
from tqdm import tqdm

import input_pipeline
import train
from experiments.reporting import reproduction
from experiments.study import records, study
from experiments.study.claims import Claim
from experiments.study.command import CONFIRMED_SIZE
from experiments.study.elsewhere import MADE_FOR, absolute, load, title_of
from experiments.study.kept import BEFORE, FRESH, seconds_before
from experiments.study.records import Record
from nets import tables
from training import console
from training.command_line import CONFIGS
from training.config import ConfigError
from training.console import duration, exit_status, fail, parse_flags, say
from training.files import RunError, lock, place, write_atomically
from training.provenance import git_revision

ROOT = CONFIGS.parent
DOCS = ROOT / "docs"


def run(
    studies: Mapping[str, str],
    names: list[str],
    budget: str,
    workdir: Path,
    confirm: bool | None = None,
    dataset: str = "",
) -> dict[str, Record]:
    """Runs these studies, writing down each as it ends; the records of all that were run into the folder. RunError for
    a folder of another data set."""
    workdir.mkdir(parents=True, exist_ok=True)
    with lock(workdir), tqdm(total=len(names), unit="study", leave=False, disable=None) as bar:
        found = records.read(workdir / "reproduction.json")
        if other := [title_of(record.dataset) for record in found.values() if record.dataset != dataset]:
            raise RunError(f"{workdir} holds what was run on {other[0]}; accepted: another --workdir")
        for name in names:
            bar.set_description(name)
            found[name] = record = run_study(name, studies[name], budget, workdir / name, bar, confirm, dataset)
            found = {name: found[name] for name in studies if name in found}
            records.write(workdir / "reproduction.json", found.values())
            not_run = [name for name in studies if name not in found]
            page = reproduction.page(workdir, list(found.values()), not_run)
            write_atomically(workdir / "reproduction.html", page)
            bar.write(f"{name}: {records.outcome(record)}, {duration(record.seconds)}")
            if sys.stdout:
                sys.stdout.flush()
            bar.update()
    return found


def run_study(
    name: str,
    module: str,
    budget: str,
    folder: Path,
    bar: "tqdm[Any]",
    confirm: bool | None = None,
    dataset: str = "",
) -> Record:
    """Runs a study as its command would, in a process of its own; whether also on fresh seeds, at the full budget if it
    is not said."""
    folder.mkdir(exist_ok=True)
    try:
        loaded = study.load(module)
    except Exception as error:  # A file of one study that cannot be read stops no other.
        return Record(
            study=name,
            question=name,
            command=f"python -m {module}",
            budget=budget,
            date=datetime.date.today().isoformat(),
            git_revision=git_revision(),
            seconds=0.0,
            **records.machine(),
            failed=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
            claims=(),
            dataset=dataset,
        )
    size = budget if budget in loaded.sizes else "quick"
    results = folder / "results.json"
    before, revision, start = modified(results), git_revision(), time.perf_counter()
    for path in (folder / BEFORE, folder / FRESH / BEFORE):
        path.unlink(missing_ok=True)
    options = [f"--budget={size}"] if size != "quick" else []
    if study.can_be_confirmed(loaded):
        is_due = budget == CONFIRMED_SIZE if confirm is None else confirm
        options += [] if is_due == (size == CONFIRMED_SIZE) else ["--confirm" if is_due else "--noconfirm"]
    options += [f"--dataset={dataset}"] if dataset else []
    # Unbuffered, so that the log can be followed.
    command = [sys.executable, "-u", "-m", module, f"--workdir={folder.absolute()}", *options]
    status = run_process(command, folder / "log.txt", bar)
    failed, claims = None, ()
    if status:
        failed = f"exit status {status}: {last_line(folder / 'log.txt')}"
    elif modified(results) == before:
        failed = f"it wrote no results.json: {last_line(folder / 'log.txt')}"
    else:
        claims = tuple(map(Claim.from_dict, json.loads(results.read_bytes())))
    return Record(
        study=name,
        question=loaded.question,
        command=" ".join(["python -m", module, *map(shlex.quote, options)]),
        budget=size,
        date=datetime.date.today().isoformat(),
        git_revision=revision,
        seconds=time.perf_counter() - start + seconds_before(folder),
        **records.machine(),
        failed=failed,
        claims=claims,
        dataset=dataset,
    )


def run_process(command: list[str], log: Path, bar: "tqdm[Any]") -> int:
    """Its exit status; the bar's clock goes on meanwhile, and whatever ends the wait ends the process."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            while process.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=1)
                bar.refresh()
        finally:
            process.kill()
            process.wait()
        return process.returncode


def modified(path: Path) -> int | None:
    """When a file was written last, None where there is none."""
    return path.stat().st_mtime_ns if path.exists() else None


def last_line(log: Path) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def write_documents(studies: Mapping[str, str], workdir: Path, docs: Path = DOCS) -> list[Record]:
    """Takes what was run into the folder over into the documents and the README beside them, whose numbers are written
    anew; the records that they then show. A study that they show at a larger size keeps its place."""
    found, elsewhere = records.read(docs / "results.json"), records.read_elsewhere(docs / "results.json")
    size_of = lambda record: study.SIZES.index(record.budget)  # noqa: E731
    ended = [record for record in records.read(workdir / "reproduction.json").values() if not record.failed]
    if not ended:
        raise RunError(f"{workdir} holds no study that ended well; accepted: a --workdir of this command")
    before = lambda record: (  # noqa: E731
        elsewhere.get((record.dataset, record.study)) if record.dataset else found.get(record.study)
    )
    new = [record for record in ended if not (there := before(record)) or size_of(record) >= size_of(there)]
    found |= {record.study: record for record in new if not record.dataset}
    elsewhere |= {(record.dataset, record.study): record for record in new if record.dataset}
    shown = [found[name] for name in studies if name in found]
    others = [record for name in studies for (_, study), record in sorted(elsewhere.items()) if study == name]
    readme = docs.parent / "README.md"
    text = reproduction.with_table(readme.read_text(encoding="utf-8"), shown)
    reproduction.copy_pictures(workdir, new, docs / "gallery")
    records.write(docs / "results.json", shown, others)
    write_atomically(docs / "results.md", reproduction.document(shown, others))
    write_atomically(readme, text)
    for path in sorted(docs.glob("*.md")):
        before = path.read_text(encoding="utf-8")
        if (after := reproduction.with_claims(before, shown)) != before:
            write_atomically(path, after)
    return shown


# ---------------------------------------------------------------------------------------------------------------------
# The command line.


def chosen(studies: Mapping[str, str], given: list[str]) -> list[str]:
    """Those studies in the order of all, all of them where none is given; ConfigError for an unknown one."""
    try:
        for name in given:
            tables.look_up(studies, name, "study")
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return [name for name in studies if name in given or not given]


def chosen_elsewhere(studies: Mapping[str, str], given: list[str], budget: str, dataset: str) -> list[str]:
    """Those of the studies that can be run on the data set, and a line about the others; ConfigError where one that is
    given, or every one, is among these, and the errors of `elsewhere.load`."""
    load(dataset)
    names, others = list[str](), dict[str, str]()
    for name in chosen(studies, given):
        loaded = study.load(studies[name])
        if not loaded.elsewhere:
            others[name] = "takes no other data set"
            continue
        try:
            loaded.elsewhere.on(loaded.sizes[budget if budget in loaded.sizes else "quick"], dataset)
            names.append(name)
        except ConfigError as error:
            others[name] = str(error)
    if others and (given or not names):
        name, why = next(iter(others.items()))
        raise ConfigError(f"--dataset={dataset}: {name} {why}" if "--dataset" not in why else f"{name}: {why}")
    reasons = dict.fromkeys(others.values())
    for why in reasons:
        left_out = ", ".join(name for name, reason in others.items() if reason == why)
        say(f"Left out on {title_of(dataset)}: {left_out} ({why}).")
    return names


def reproduce(
    studies: Mapping[str, str],
    given: list[str],
    budget: str,
    workdir: Path,
    confirm: bool | None = None,
    dataset: str = "",
) -> NoReturn:
    """The command: runs the studies, prints the scoreboard, and ends the program."""
    try:
        names = chosen_elsewhere(studies, given, budget, dataset) if dataset else chosen(studies, given)
        found = run(studies, names, budget, workdir, confirm, dataset)
    except train.USER_ERRORS as error:
        fail(error)
    except KeyboardInterrupt as error:
        say(f"\ninterrupted; what has finished is kept in {workdir}, and --studies=... runs the others")
        sys.exit(exit_status(error))
    print(reproduction.scoreboard(found.values()))
    print(reproduction.conclusion(list(found.values()), len(studies)))
    print(f"Written to {workdir}: reproduction.json, reproduction.html")
    sys.exit(int(any(found[name].failed for name in names)))


def folder_for(dataset: str) -> str:
    """The folder where nothing else is said."""
    return "runs/reproduce" + (f"-{title_of(dataset)}" if dataset else "")


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)
    studies, values = study.find_studies(), flags.FLAGS
    try:
        dataset = "" if values.dataset in ("", MADE_FOR) else absolute(values.dataset)
        workdir = place(values.workdir or folder_for(dataset))
        if values.docs:
            if values.studies or values.dataset or values["budget"].present or values["confirm"].present:
                raise ConfigError("--docs runs nothing; accepted with it: --workdir alone")
            shown = write_documents(studies, workdir)
            print("\n".join([*records.headline_of(shown), reproduction.counts_of(shown)]))
            print(f"Written to {DOCS}: results.json, results.md, gallery/, and to README.md")
            return
    except train.USER_ERRORS as error:
        fail(error)
    reproduce(studies, values.studies, values.budget, workdir, values.confirm, dataset)


if __name__ == "__main__":
    flags.DEFINE_enum("budget", "quick", study.SIZES, "How much the studies compute that have such a size.")
    flags.DEFINE_alias("size", "budget")
    flags.DEFINE_list("studies", [], f"Some of {', '.join(study.find_studies())}. [all of them]")
    flags.DEFINE_string("workdir", None, "Where everything goes. [runs/reproduce, with --dataset its name behind it]")
    flags.DEFINE_string("dataset", "", f"Another data set than MNIST: {input_pipeline.ACCEPTED}.")
    words = "Run what is exploratory again on seeds that nobody had looked at. [at --budget=full]"
    flags.DEFINE_bool("confirm", None, words)
    flags.DEFINE_bool("docs", False, "Run nothing: take what WORKDIR holds over into docs/ and the README.")
    console.run(main, parse_flags)
