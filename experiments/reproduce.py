"""Which published figures are reproduced? Runs the studies and shows all that they claim on one scoreboard.

    python -m experiments.reproduce [--budget=full] [--studies=perceptron,neurons] [--workdir=runs/reproduce]

Run time of the quick budget: 8 minutes for the thirteen studies up to dying_relu, 12 at their full budget, and 15 for
the others (2026-11-25, 2 cores).

Each study runs in a process of its own, one after the other; WORKDIR/STUDY holds its figure.png, results.json and
log.txt. The scoreboard is of every study that was run into WORKDIR, now or before: it is printed, and written to
WORKDIR/reproduction.json and WORKDIR/reproduction.html, one page that opens offline. Whatever is asked for is run
again, and takes the place of what was there once it has ended.

Exit status: 0 where every study of this command ended well, whether its figures are reproduced or not; 1 where one
failed; 2 for a wrong command; 130 after Ctrl-C, which keeps what has finished.
"""

import base64
import contextlib
import datetime
import html
import json
import string
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from absl import app, flags, logging
from tqdm import tqdm

import train
from experiments import studies
from experiments.batches import (
    batch_size,
    edge_of_stability,
    landscape,
    rate_to_batch_ratio,
    sharp_minima,
    steps_to_target,
)
from experiments.engine import lanes
from experiments.escape import (
    bad_start,
    escape_time,
    explicit_minima,
    many_minima,
    power_law_escape,
    spurious_minima,
    two_wells,
)
from experiments.lecture import forward, gradient_descent, lecture_nets, neurons, perceptron, shallow_net
from experiments.saturation import (
    deep_saturation,
    dying_relu,
    init_saturation,
    learning_speed,
    nielsen_init,
    quadratic_or_cross_entropy,
    saturated_neuron,
)
from nets import tables
from training import run_directory
from training.command_line import CONFIGS
from training.config import ConfigError
from training.console import count, duration, fail, parse_flags
from training.files import lock, write_atomically
from training.provenance import git_revision, versions

# In the order in which they would be taught.
STUDIES: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        perceptron,
        neurons,
        forward,
        gradient_descent,
        shallow_net,
        lecture_nets,
        saturated_neuron,
        quadratic_or_cross_entropy,
        init_saturation,
        nielsen_init,
        deep_saturation,
        learning_speed,
        dying_relu,
        many_minima,
        two_wells,
        escape_time,
        power_law_escape,
        explicit_minima,
        spurious_minima,
        batch_size,
        steps_to_target,
        rate_to_batch_ratio,
        sharp_minima,
        edge_of_stability,
        landscape,
        bad_start,
    )
}
TEMPLATE = Path(__file__).parent / "reporting" / "reproduction.html"


class Record(NamedTuple):
    """A study that was run."""

    study: str
    question: str
    command: str
    budget: str | None  # None where the study has one size only
    date: str
    git_revision: str | None
    seconds: float
    failed: str | None  # the reason
    claims: list[dict[str, Any]]


# ---------------------------------------------------------------------------------------------------------------------
# Running the studies.


def run(names: list[str], budget: str, workdir: Path) -> dict[str, Record]:
    """Runs these studies, writing down each as it ends; the records of all that were run into the folder."""
    workdir.mkdir(parents=True, exist_ok=True)
    with lock(workdir), tqdm(total=len(names), unit="study", leave=False, disable=None) as bar:
        records = read_records(workdir)
        for name in names:
            bar.set_description(name)
            records[name] = record = run_study(name, budget, workdir / name, bar)
            records = {name: records[name] for name in STUDIES if name in records}
            write(workdir, list(records.values()))
            bar.write(f"{name}: {outcome(record)}, {duration(record.seconds)}")
            sys.stdout.flush()
            bar.update()
    return records


def run_study(name: str, budget: str, folder: Path, bar: tqdm) -> Record:
    """Runs a study as its command would, in a process of its own."""
    module = STUDIES[name]
    options = [f"--budget={budget}"] if studies.takes_budget(module.study) else []
    folder.mkdir(exist_ok=True)
    claims = folder / "results.json"
    before, revision, start = modified(claims), git_revision(), time.perf_counter()
    # Unbuffered, so that the log can be followed.
    command = [sys.executable, "-u", "-m", module.__name__, f"--workdir={folder.absolute()}", *options]
    status = run_process(command, folder / "log.txt", bar)
    failed = None
    if status:
        failed = f"exit status {status}: {last_line(folder / 'log.txt')}"
    elif modified(claims) == before:
        failed = f"it wrote no results.json: {last_line(folder / 'log.txt')}"
    return Record(
        study=name,
        question=(module.__doc__ or name).splitlines()[0],
        command=" ".join(["python -m", module.__name__, *options]),
        budget=budget if options else None,
        date=datetime.date.today().isoformat(),
        git_revision=revision,
        seconds=time.perf_counter() - start,
        failed=failed,
        claims=[] if failed else json.loads(claims.read_bytes()),
    )


def run_process(command: list[str], log: Path, bar: tqdm) -> int:
    """Its exit status; the bar's clock goes on meanwhile, and whatever ends the wait ends the process."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=CONFIGS.parent, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
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


# ---------------------------------------------------------------------------------------------------------------------
# What is written.


def read_records(workdir: Path) -> dict[str, Record]:
    """What reproduction.json tells of earlier commands, {} where there is none."""
    path = workdir / "reproduction.json"
    try:
        found = [Record(**record) for record in json.loads(path.read_bytes())["studies"]] if path.exists() else []
    except (ValueError, KeyError, TypeError) as error:
        raise run_directory.RunError(f"{path} is damaged ({error!r}); accepted: another --workdir") from error
    return {record.study: record for record in found if record.study in STUDIES}


def write(workdir: Path, records: list[Record]) -> None:
    """Writes reproduction.json and reproduction.html of these studies."""
    content = summary(records) | {"studies": [record._asdict() for record in records]}
    write_atomically(workdir / "reproduction.json", json.dumps(content, indent=2) + "\n")
    write_atomically(workdir / "reproduction.html", page(workdir, records))


def summary(records: list[Record]) -> dict[str, Any]:
    """What holds for all of the studies together, and the machine."""
    claims = [claim for record in records for claim in record.claims]
    return {
        "reproduced": sum(claim["reproduced"] for claim in claims),
        "figures": len(claims),
        "failed": [record.study for record in records if record.failed],
        "not_run": [name for name in STUDIES if name not in {record.study for record in records}],
        "seconds": sum(record.seconds for record in records),
        "date": max(record.date for record in records),
        "cores": lanes.available_cores(),
        "versions": versions(),
    }


def outcome(record: Record) -> str:
    """`12 of 12 reproduced`, or why there is nothing."""
    if record.failed:
        return f"failed, {record.failed}"
    return f"{sum(claim['reproduced'] for claim in record.claims)} of {len(record.claims)} reproduced"


def scoreboard(records: Iterable[Record]) -> str:
    """All claims as one Markdown table, with the seconds of a study in its first row, and the notes below."""
    rows, notes = [], []
    for record in records:
        lines = [studies.cells(claim) for claim in record.claims]
        lines = lines or [[f"**failed**, {record.failed}", *[""] * (len(studies.COLUMNS) - 2), "**no**"]]
        for i, line in enumerate(lines):
            rows.append([record.study, *line, "" if i else f"{record.seconds:.0f}"])
        notes += [f"{record.study}, {note}" for note in studies.notes(record.claims)]
    return "\n".join([studies.markdown(("study", *studies.COLUMNS, "seconds"), rows), *notes])


def conclusion(records: list[Record]) -> str:
    """How much is reproduced, of how many studies, in what time."""
    found = summary(records)
    failed = f"; failed: {', '.join(found['failed'])}" if found["failed"] else ""
    studies_run = f"{len(records)} of {len(STUDIES)} studies run{failed}"
    return f"{found['reproduced']} of {found['figures']} reproduced; {studies_run}; {duration(found['seconds'])} in all"


# ---------------------------------------------------------------------------------------------------------------------
# The page.


def page(workdir: Path, records: list[Record]) -> str:
    """The records as one page that needs nothing but itself."""
    found = summary(records)
    budgets = ", ".join(dict.fromkeys(record.budget for record in records if record.budget))
    machine = f"{count(range(found['cores']), 'core')}, jax {found['versions']['jax']}"
    about = f"{duration(found['seconds'])} in all, {found['date']}, {machine}" + (
        f", budget {budgets}" if budgets else ""
    )
    missing = [f"failed: {', '.join(found['failed'])}"] if found["failed"] else []
    missing += [f"not run: {', '.join(found['not_run'])}"] if found["not_run"] else []
    return string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        style=TEMPLATE.with_suffix(".css").read_text(encoding="utf-8"),
        reproduced=found["reproduced"],
        figures=found["figures"],
        about=escape(about),
        missing=escape("; ".join(missing)),
        contents="\n".join(
            f'<li><a href="#{record.study}">{escape(record.question)}</a> {verdict(record)}</li>' for record in records
        ),
        sections="\n".join(section(workdir, record) for record in records),
    )


def escape(text: object) -> str:
    """Text as HTML shows it."""
    return html.escape(str(text))


def mark(good: bool, text: str) -> str:
    """A word in the colour of its meaning."""
    return f'<span class="{"good" if good else "bad"}">{escape(text)}</span>'


def verdict(record: Record) -> str:
    """A study's outcome in few words."""
    if record.failed:
        return mark(False, "failed")
    return mark(all(claim["reproduced"] for claim in record.claims), outcome(record))


def section(workdir: Path, record: Record) -> str:
    """A study: its question, claims, notes, figure and command."""
    run_of = [duration(record.seconds), record.date]
    run_of += [f"budget {record.budget}"] if record.budget else []
    run_of += [f"revision {record.git_revision}"] if record.git_revision else []
    parts = [f"<h2>{escape(record.question)}</h2>", f"<p>{escape(record.study)}: {verdict(record)}</p>"]
    if record.failed:
        parts.append(f"<p>{escape(record.failed)}</p>")
    else:
        parts += [claims_table(record.claims), notes_list(record.claims), figure(workdir, record)]
    parts.append(f'<p class="about"><code>{escape(record.command)}</code> {escape(", ".join(run_of))}</p>')
    return "\n".join([f'<section id="{record.study}">', *filter(None, parts), "</section>"])


def claims_table(claims: list[dict[str, Any]]) -> str:
    """Published, measured, band and verdict of each claim; on a phone each cell says its own column."""
    columns = ("figure", "published", "measured", "band", "verdict")
    rows = []
    for claim in claims:
        name, published, measured, seeds, spread, band, _ = (escape(cell) for cell in studies.cells(claim))
        many = f"{spread}, n&nbsp;=&nbsp;{seeds}" if len(claim["seeds"]) > 1 else "n = 1"
        cells = (
            f"{name} <small>{escape(claim['source'])}</small>",
            published,
            f"{measured} <small>{many}</small>",
            f"{band} <small>{escape(claim.get('rule', ''))}</small>",
            mark(claim["reproduced"], "reproduced" if claim["reproduced"] else "not reproduced"),
        )
        labelled = zip(columns, cells, strict=True)
        rows.append("<tr>" + "".join(f'<td data-column="{column}">{cell}</td>' for column, cell in labelled) + "</tr>")
    head = "".join(f"<th>{column}</th>" for column in columns)
    return "\n".join(["<table>", f"<thead><tr>{head}</tr></thead>", "<tbody>", *rows, "</tbody>", "</table>"])


def notes_list(claims: list[dict[str, Any]]) -> str:
    """What there is to explain, '' where there is nothing."""
    items = [f"<li>{escape(note)}</li>" for note in studies.notes(claims)]
    return "\n".join(["<ul>", *items, "</ul>"]) if items else ""


def figure(workdir: Path, record: Record) -> str:
    """The study's picture in the page itself, '' where its file is gone."""
    path = workdir / record.study / "figure.png"
    if not path.exists():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    alt = escape(f"Figure of {record.study}: {record.question}")
    return f'<div class="figure"><img src="data:image/png;base64,{data}" alt="{alt}"></div>'


# ---------------------------------------------------------------------------------------------------------------------
# The command line.


def chosen(given: list[str]) -> list[str]:
    """Those studies in the order of STUDIES, all of them where none is given; ConfigError for an unknown one."""
    try:
        for name in given:
            tables.look_up(STUDIES, name, "study")
    except ValueError as error:
        raise ConfigError(error) from error
    return [name for name in STUDIES if name in given or not given]


def reproduce(given: list[str], budget: str, workdir: Path) -> NoReturn:
    """The command: runs the studies, prints the scoreboard, and ends the program."""
    try:
        names = chosen(given)
        records = run(names, budget, workdir)
    except train.USER_ERRORS as error:
        fail(error)
    except KeyboardInterrupt:
        print(f"\ninterrupted; what has finished is kept in {workdir}, and --studies=... runs the others")
        sys.exit(130)
    print(scoreboard(records.values()))
    print(f"{conclusion(list(records.values()))}; written to {workdir}: reproduction.json, reproduction.html")
    sys.exit(int(any(records[name].failed for name in names)))


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)
    reproduce(flags.FLAGS.studies, flags.FLAGS.budget, Path(flags.FLAGS.workdir))


if __name__ == "__main__":
    flags.DEFINE_enum("budget", "quick", studies.BUDGETS, "How much the studies compute that have a choice.")
    flags.DEFINE_list("studies", [], f"Some of {', '.join(STUDIES)}. [all of them]")
    flags.DEFINE_string("workdir", "runs/reproduce", "Where everything goes.")
    app.run(main, flags_parser=parse_flags)
