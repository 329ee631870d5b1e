"""The scoreboard of all studies: as text, as one page that opens offline, as docs/results.md and as README's table."""

import base64
import contextlib
import html
import math
import re
import shutil
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from experiments.study import scoreboard as scoreboards
from experiments.study.claims import IN_RANGE, Claim
from experiments.study.elsewhere import title_of
from experiments.study.records import Record, counts_by_kind_of, headline_of, outcome
from experiments.study.scoreboard import COLUMNS, markdown
from experiments.study.standard import STANDINGS, counts_in_words, faults_of
from training.console import count, duration
from training.files import RunError

TEMPLATE = Path(__file__).with_name("reproduction.html")
MARKS = {"reproduced": "good", "not reproduced": "bad", "undecided": "open"}
# What the README shows, by study and key of its claim: hits, a miss and what is open, of every wing.
IN_README = (
    ("shallow_net", "end/val_accuracy"),
    ("lecture_nets", "intermediate"),
    ("quadratic_or_cross_entropy", "cross_entropy/30/best"),
    ("init_saturation", "nielsen_large/one"),
    ("two_wells", "median/rate20/batch1"),
    ("escape_time", "farthest"),
    ("power_law_escape", "far/slope"),
    ("saturated_saddle", "noise/5layers/rate1.6"),
    ("batch_size", "intermediate/steps/all"),
    ("sharp_minima", "sharpness"),
)
MANY = 10  # Lines of one study, among those of others, that are said to be of it.
STANDING_WORDS = tuple(f"({letter}) {words}" for letter, words in STANDINGS.items())
README_COLUMNS = ("study", "what", "kind", "reference", "measured (95 % interval), of", "reproduced")
COUNT_COLUMNS = (
    *("kind", "reproduced", "not", "undecided"),
    *("exploratory: reproduced", "not", "undecided", "on fresh seeds"),
)
BEGIN, END = "<!-- results -->", "<!-- /results -->"
# A number within the text of a document: <!-- STUDY KEY -->149 (146 to 153)<!-- / -->. Or whether it can be told from
# that of another key of its study, or from a given one: <!-- STUDY KEY ? OTHER -->cannot be told from<!-- / -->.
MARKED = re.compile(
    r"<!-- (?P<study>\w+) (?P<key>\S+)(?: \? (?P<other>\S+)| ! (?P<seeds>first|fresh))? -->.*?<!-- / -->", re.DOTALL
)


def scoreboard(records: Iterable[Record]) -> str:
    """All claims as one Markdown table, with the seconds of a study in its first row, and the notes below."""
    rows: list[list[str]] = []
    notes: list[str] = []
    for record in records:
        lines = [scoreboards.cells(claim) for claim in record.claims]
        lines = lines or [[f"**failed**, {record.failed}", *[""] * (len(COLUMNS) - 2), "**no**"]]
        for i, line in enumerate(lines):
            rows.append([record.study, *line, "" if i else f"{record.seconds:.0f}"])
        notes += [f"{record.study}, {note}" for note in scoreboards.notes(record.claims)]
    return "\n".join([markdown(("study", *COLUMNS, "seconds"), rows), *notes])


def conclusion(records: Sequence[Record], studies: int) -> str:
    """How much is reproduced, by kind, of how many studies, in what time; where the standard is not kept, as
    far as claims were written since it was set."""
    failed = [record.study for record in records if record.failed]
    seconds = sum(record.seconds for record in records)
    of_all = f"{len(records)} of {studies} studies run" + (f"; failed: {', '.join(failed)}" if failed else "")
    written = [(record.study, [claim for claim in record.claims if not claim.is_old]) for record in records]
    below = [f"Below the standard, {study} {fault}." for study, claims in written for fault in faults_of(claims)]
    return "\n".join([*headline_of(records), counts_of(records), *below, f"{of_all}; {duration(seconds)} in all"])


def counts_of(records: Iterable[Record]) -> str:
    """How often the standard is not kept, over all studies; and where most of what is counted is of one study."""
    records = list(records)
    words = counts_in_words(claim for record in records for claim in record.claims)
    return "; ".join([words, *of_one_study(records)])


def of_one_study(records: Sequence[Record]) -> list[str]:
    """Of what kinds more than half of many exploratory lines are of one study, and which."""
    said: list[str] = []
    for kind, words in scoreboards.KINDS.items():
        found = Counter(record.study for record in records for c in record.claims if c.kind == kind and c.exploratory)
        (study, most), *_ = found.most_common(1) or [("", 0)]
        if len(found) > 1 and most >= MANY and most > found.total() / 2:
            said.append(f"{words}: {most} of the {found.total()} exploratory lines are of `{study}`")
    return said


# ---------------------------------------------------------------------------------------------------------------------
# The document.


def document(records: Sequence[Record], elsewhere: Sequence[Record] = ()) -> str:
    """docs/results.md: a section a study, a line a claim, its picture one click away; what was run on other data sets
    in columns beside."""
    parts = [
        "# Results",
        "This page is written by `python -m experiments.reproduce --docs` from `results.json` beside it. A claim is "
        "*reproduced* where the whole 95 % interval of what was measured lies in its band, which was stated before the "
        "run but where a claim is called exploratory, *not reproduced* where it lies wholly outside (or, where a note "
        "says so, as a seed diverged), *undecided* in between; an exact number is a point. A published number that is "
        "a single draw is reproduced where it lies in the stated range of the seeds, then in both columns. "
        "Where fewer seeds had left a line undecided more were run; a row says so where it is exploratory. Kinds "
        "of claims are counted apart: a published number, a published direction, an oracle (closed form, exact chain, "
        "independent computation), and what is our own; the reference is the number that was printed or computed. "
        "Beside a band stands the rival that it excludes; some notes name a neighbour that it does not. *Exact* is "
        "of what no sample was drawn. A source of "
        f"something published ends with its standing: {'; '.join(STANDING_WORDS)}. *Exploratory* claims had something "
        "chosen after looking; those that were run again on fresh seeds show both (which is no confirmation where "
        "a note says that those very seeds had been looked at), and of some it is said that no seed enters them. What "
        "is undecided says how large a sample would decide it, if what was measured is so, or that "
        "none would.",
        "\n".join(f"- {line}" for line in [*headline_of(records), counts_of(records)]),
    ]
    if elsewhere:
        parts.append(
            "Studies that take another data set (`python -m experiments.reproduce --dataset=NAME`) have a second "
            "table, with a column for each; it says of each claim on which sets it is reproduced. They "
            "count apart, and what is called published there was published of other data, most of it MNIST: "
            + "; ".join(f"{title}, {line}" for title, line in headlines_elsewhere(elsewhere))
            + "."
        )
    others = {record.study: [other for other in elsewhere if other.study == record.study] for record in records}
    return "\n\n".join([*parts, *(document_section(record, others[record.study]) for record in records)]) + "\n"


def headlines_elsewhere(elsewhere: Iterable[Record]) -> list[tuple[str, str]]:
    """How many claims are reproduced, by data set and kind: (data set, line)."""
    by_set: dict[str, list[Record]] = {}
    for record in elsewhere:
        by_set.setdefault(title_of(record.dataset), []).append(record)
    return [(title, line) for title, found in sorted(by_set.items()) for line in headline_of(found)]


def table_elsewhere(record: Record, others: Sequence[Record]) -> str:
    """The claims that were tried on other data sets, a column a set, with the sets on which each is reproduced."""
    sets = [record, *others]
    titles = [title_of(of_set.dataset) for of_set in sets]
    found = [{claim.key: claim for claim in of_set.claims} for of_set in sets]
    keys = dict.fromkeys(claim.key for other in others for claim in other.claims)
    rows: list[list[str]] = []
    for key in keys:
        claims = [of_set.get(key) for of_set in found]
        tried = [title for title, claim in zip(titles, claims, strict=True) if claim]
        holds = [title for title, claim in zip(titles, claims, strict=True) if claim and holds_on_all_seeds(claim)]
        bands = dict.fromkeys(scoreboards.band_in_words(claim.band) for claim in claims if claim)
        name = next(claim.name for claim in claims if claim)
        # A problem may be called after its set, and a large batch may be another one there.
        cells = [
            f"{in_brief(claim)}, {claim.verdict}"
            + (f"; fresh {claim.fresh.verdict}" if claim.fresh else "")
            + f" ({claim.name})" * (claim.name != name)
            if claim
            else "not claimed"
            for claim in claims
        ]
        rows.append([name, *cells, "; ".join(bands), where_it_holds(holds, tried)])
    commands = "\n".join(
        f"- [{title_of(other.dataset)}](gallery/{other.study}-{title_of(other.dataset)}.png): `{other.command}`, "
        f"{duration(other.seconds)}, {other.date}" + fresh_picture(f"{other.study}-{title_of(other.dataset)}", other)
        for other in others
    )
    head = ("on other data sets", *titles, "band", "reproduced on, fresh seeds too where run")
    return markdown(head, rows) + f"\n\n{commands}"


def fresh_picture(name: str, record: Record) -> str:
    """The link to the picture of that name on fresh seeds, '' where there is none."""
    return f", [on fresh seeds](gallery/{name}_fresh.png)" if any(claim.fresh for claim in record.claims) else ""


def holds_on_all_seeds(claim: Claim) -> bool:
    """Whether the claim is reproduced, on fresh seeds as well where there are any."""
    return claim.is_reproduced and (claim.fresh is None or claim.fresh.verdict == "reproduced")


def where_it_holds(holds: Sequence[str], tried: Sequence[str]) -> str:
    """`all 3`, `MNIST only`, `MNIST and digits`, `none`."""
    if len(holds) == len(tried) == 1:
        return f"{holds[0]}, tried there alone"
    if len(holds) == len(tried) > 1:
        return f"all {len(tried)}"
    return f"{holds[0]} only" if len(holds) == 1 else " and ".join(holds) or "none"


def document_section(record: Record, others: Sequence[Record] = ()) -> str:
    """A study in the document."""
    machine = f"{count(range(record.cores), 'core')}, jaxlib {record.versions['jaxlib']}"
    made = f"`{record.command}`: {duration(record.seconds)} on {machine}, {record.date}"
    revision, dirty, _ = (record.git_revision or "").partition("-dirty")
    made += f", commit {revision[:9]}" * bool(revision) + ", with changes that were not committed" * bool(dirty)
    picture = f"[Picture](gallery/{record.study}.png){fresh_picture(record.study, record)}"
    head = f"## {record.study}\n\n{record.question} {outcome(record).capitalize()}.\n{made}. {picture}"
    notes = "\n".join(f"- {note}" for note in scoreboards.notes(record.claims))
    table = scoreboards.scoreboard(record.claims, with_sources=True) if record.claims else ""
    return "\n\n".join(filter(None, [head, table, notes, table_elsewhere(record, others) if others else ""]))


def readme_table(records: Iterable[Record]) -> str:
    """The table of the README: a line a claim of `IN_README`, as far as its study was run, and below how often the
    standard is not kept, and how many there are of each kind."""
    records = list(records)
    claims = {(record.study, claim.key): claim for record in records for claim in record.claims}
    rows: list[list[str]] = []
    for study, key in IN_README:
        if claim := claims.get((study, key)):
            published = " and ".join(brief(number, 4) for number in claim.published)
            measured = f"{in_brief(claim, 4)}, {scoreboards.sample_in_words(claim)}"
            kind = scoreboards.kind_in_words(claim)
            rows.append([f"`{study}`", claim.name, kind, published, measured, scoreboards.cells(claim)[-1]])
    dates = sorted(record.date for record in records) or [""]
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    of_all = f"All claims of the {len(records)} studies that were run, {when}; {counts_of(records)}. By kind:"
    return "\n\n".join([markdown(README_COLUMNS, rows), of_all, markdown(COUNT_COLUMNS, counts_by_kind_of(records))])


def with_table(readme: str, records: Iterable[Record]) -> str:
    """The README's text with its table written anew between the two marks; RunError where they are not there."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise RunError(f"README.md lacks the marks {BEGIN} and {END}, between which its table is written")
    return f"{before}{BEGIN}\n{readme_table(records)}\n{END}{after}"


def with_claims(text: str, records: Iterable[Record]) -> str:
    """A document's text with what is measured in it, between marks, written anew: the number and its 95 % interval,
    whether two can be told apart, or the verdict on the first or the fresh seeds."""
    records = list(records)
    claims = {(record.study, claim.key): claim for record in records for claim in record.claims}
    run = {record.study for record in records}

    def measured(mark: re.Match[str]) -> str:
        claim, other = claims.get((mark["study"], mark["key"])), mark["other"]
        missing = "(not measured at this size)" if mark["study"] in run else "(not run yet)"
        words = in_brief(claim) if claim else missing
        if mark["seeds"]:
            judged = claim.fresh if claim and mark["seeds"] == "fresh" else claim
            words = judged.verdict if judged else missing
        if claim and other:
            within = ends_of(other, claims.get((mark["study"], other)))
            words = told_apart((claim.low, claim.high), within) if within else missing
        return f"{mark[0].partition('-->')[0]}-->{words}<!-- / -->"

    return MARKED.sub(measured, text)


def ends_of(name: str, claim: Claim | None) -> tuple[float, float] | None:
    """The 95 % interval of a claim, or the number of that name as a point; None where it is neither."""
    if claim:
        return claim.low, claim.high
    with contextlib.suppress(ValueError):
        return float(name), float(name)
    return None


def told_apart(one: tuple[float, float], other: tuple[float, float]) -> str:
    """The words between two things of which these are the intervals: `differs from` only where they do not overlap."""
    is_apart = one[1] < other[0] or other[1] < one[0]
    return "differs from" if is_apart else "cannot be told from"


def in_brief(claim: Claim, digits: int = 3) -> str:
    """`149 (146 to 153)`: the number and its 95 % interval, where that is no point; `7,754 (7,024 or more)` where it
    has no upper end; of a published draw the range of the seeds, which is said."""
    measured, low, high = (brief(number, digits) for number in (claim.measured, claim.low, claim.high))
    if claim.rule.startswith(IN_RANGE):
        return f"{measured} ({scoreboards.range_in_words(claim)} {low} to {high})"
    if claim.low < claim.high == math.inf:
        return f"{measured} ({low} or more)"
    return measured if low == high == measured else f"{measured} ({low} to {high})"


def brief(number: float, digits: int) -> str:
    """So many digits, or whole numbers from 100 on; `unknown` for what is not finite."""
    return (
        "unknown" if not math.isfinite(number) else f"{number:,.0f}" if abs(number) >= 100 else f"{number:.{digits}g}"
    )


def copy_pictures(workdir: Path, records: Iterable[Record], gallery: Path) -> None:
    """The pictures of studies that were run into the folder, as gallery/STUDY.png, and gallery/STUDY_fresh.png of one
    that was run again on fresh seeds; on another data set its name is behind that of the study."""
    gallery.mkdir(parents=True, exist_ok=True)
    for record in records:
        called = f"{record.study}-{title_of(record.dataset)}" if record.dataset else record.study
        for name, copy in (("figure.png", called), ("fresh.png", f"{called}_fresh")):
            if (workdir / record.study / name).exists():
                shutil.copyfile(workdir / record.study / name, gallery / f"{copy}.png")


# ---------------------------------------------------------------------------------------------------------------------
# The page.


def page(workdir: Path, records: Sequence[Record], not_run: Sequence[str]) -> str:
    """The records as one page that needs nothing but itself."""
    failed = [record.study for record in records if record.failed]
    budgets = ", ".join(dict.fromkeys(record.budget for record in records))
    cores, jax = records[-1].cores, records[-1].versions["jax"]
    seconds, date = sum(record.seconds for record in records), max(record.date for record in records)
    about = f"{duration(seconds)} in all, {date}, {count(range(cores), 'core')}, jax {jax}, budget {budgets}"
    missing = [f"failed: {', '.join(failed)}"] if failed else []
    missing += [f"not run: {', '.join(not_run)}"] if not_run else []
    contents = (
        f'<li><a href="#{record.study}">{escape(record.question)}</a> {verdict(record)}</li>' for record in records
    )
    return string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        style=TEMPLATE.with_suffix(".css").read_text(encoding="utf-8"),
        headline="\n".join(f"<li>{escape(line)}</li>" for line in [*headline_of(records), counts_of(records)]),
        about=escape(about),
        missing=escape("; ".join(missing)),
        contents="\n".join(contents),
        sections="\n".join(section(workdir, record) for record in records),
    )


def escape(text: object) -> str:
    """Text as HTML shows it."""
    return html.escape(str(text))


def mark(kind: str, text: str) -> str:
    """A word in the colour of its meaning: good, bad or open."""
    return f'<span class="{kind}">{escape(text)}</span>'


def verdict(record: Record) -> str:
    """A study's outcome in few words."""
    verdicts = {claim.verdict for claim in record.claims}
    kind = "bad" if record.failed or "not reproduced" in verdicts else "open" if "undecided" in verdicts else "good"
    return mark(kind, "failed" if record.failed else outcome(record))


def section(workdir: Path, record: Record) -> str:
    """A study: its question, claims, notes, picture and command."""
    run_of = [duration(record.seconds), record.date, f"budget {record.budget}"]
    run_of += [f"revision {record.git_revision}"] if record.git_revision else []
    parts = [f"<h2>{escape(record.question)}</h2>", f"<p>{escape(record.study)}: {verdict(record)}</p>"]
    if record.failed:
        parts.append(f"<p>{escape(record.failed)}</p>")
    else:
        parts += [claims_table(record.claims), notes_list(record.claims), picture(workdir, record)]
    parts.append(f'<p class="about"><code>{escape(record.command)}</code> {escape(", ".join(run_of))}</p>')
    return "\n".join([f'<section id="{record.study}">', *filter(None, parts), "</section>"])


def claims_table(claims: Iterable[Claim]) -> str:
    """Reference, measured, band and verdict of each claim; on a phone each cell says its own column."""
    columns = ("claim", "reference", "measured", "band", "verdict")
    rows: list[str] = []
    for claim in claims:
        name, kind, published, measured, within, sample, band, _ = map(escape, scoreboards.cells(claim))
        cells = (
            f"{name} <small>{kind}, {escape(claim.source)}</small>",
            published,
            f"{measured} <small>{', '.join(filter(None, [within, sample]))}</small>",
            f"{band} <small>{escape(claim.rule)}</small>",
            mark(MARKS[claim.verdict], claim.verdict) + small(more_of_verdict(claim)),
        )
        labelled = zip(columns, cells, strict=True)
        rows.append("<tr>" + "".join(f'<td data-column="{column}">{cell}</td>' for column, cell in labelled) + "</tr>")
    head = "".join(f"<th>{column}</th>" for column in columns)
    return "\n".join(["<table>", f"<thead><tr>{head}</tr></thead>", "<tbody>", *rows, "</tbody>", "</table>"])


def small(text: str) -> str:
    """Smaller text after another, '' for none."""
    return f" <small>{escape(text)}</small>" if text else ""


def more_of_verdict(claim: Claim) -> str:
    """What would decide it, or that nothing would, and what fresh seeds say."""
    more = list(filter(None, [scoreboards.what_would_decide(claim)]))
    said = scoreboards.confirmation_in_words(claim)
    verdict = f"{claim.fresh.verdict}: " if claim.fresh and said == "open" else ""
    more += [f"on fresh seeds {verdict}{said}"] if claim.fresh else []
    return "; ".join(more)


def notes_list(claims: Iterable[Claim]) -> str:
    """What there is to explain, '' where there is nothing."""
    items = [f"<li>{escape(note)}</li>" for note in scoreboards.notes(claims)]
    return "\n".join(["<ul>", *items, "</ul>"]) if items else ""


def picture(workdir: Path, record: Record) -> str:
    """The study's picture in the page itself, '' where its file is gone."""
    path = workdir / record.study / "figure.png"
    if not path.exists():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    alt = escape(f"Picture of {record.study}: {record.question}")
    return f'<div class="figure"><img src="data:image/png;base64,{data}" alt="{alt}"></div>'
