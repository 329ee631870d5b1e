"""The claims of studies as lines of a scoreboard: tables in Markdown, notes and the headline."""

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from typing import get_args

from experiments.study.claims import (
    IN_RANGE,
    NOT_MEASURED,
    Band,
    Claim,
    Fresh,
    Kind,
    Verdict,
    above,
    below,
    can_be_fresh,
)
from experiments.study.needed import MOST

# What a source of something published ends with: it was read, read second-hand, or recalled.
STANDING = re.compile(r"\([PSR]\)$")
KINDS: dict[Kind, str] = {
    "number": "published number",
    "direction": "published direction",
    "oracle": "oracle",
    "ours": "ours",
}
# The reference is what was printed for a published number, and what was computed for an oracle.
COLUMNS = ("claim", "kind", "reference", "measured", "95 % interval", "sample", "band", "verdict")
FEW = 3  # As many lines as a note names, where it is about several.


def number(value: float) -> str:
    """Four decimals, or two significant digits for what they would make zero; `unknown` for NaN."""
    if math.isnan(value):
        return "unknown"
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.2g}"


def band_in_words(band: Band) -> str:
    """`0.95 to 1.15`, `10 or more`, `0.5 or less`, `more than 0 to 1`, where an end does not belong to it."""
    low, high = band
    open_low, open_high = (
        end is not None and round(end, 9) != end == beyond(round(end, 9))
        for end, beyond in ((low, above), (high, below))
    )
    lowest = "" if low is None else f"more than {number(round(low, 9))}" if open_low else number(low)
    highest = "" if high is None else f"less than {number(round(high, 9))}" if open_high else number(high)
    if low is None or high is None:
        more = "" if open_low or open_high else " or more" if high is None else " or less"
        return f"{lowest}{highest}{more}" if lowest or highest else "any"
    return f"{lowest} to {highest}"


def within_in_words(claim: Claim | Fresh) -> str:
    """The interval, '' of a point; of a published draw the range of the seeds, which is none of their mean."""
    # A point has no interval, and one value knows none.
    if claim.low == claim.high or (math.isnan(claim.low) and math.isnan(claim.high)):
        return ""
    words = band_in_words((claim.low, None if claim.high == math.inf else claim.high))
    if isinstance(claim, Claim) and claim.rule.startswith(IN_RANGE):
        return f"({range_in_words(claim)}) {words}"
    return words


def range_in_words(claim: Claim) -> str:
    """Which range of the sample a published draw has to lie in: `5-95 % range of the seeds`."""
    return claim.rule.removeprefix(f"{IN_RANGE}: the ")


def sample_in_words(claim: Claim) -> str:
    """`8 seeds`, `exact`."""
    if claim.count == 1:
        return claim.sample if claim.sample == "exact" else f"1 {claim.sample.removesuffix('s')}"
    return f"{claim.count:,} {claim.sample}"


# What fresh seeds say where they say the same, by the verdict, and otherwise.
AGAIN: dict[Verdict, str] = {"reproduced": "reproduced again", "not reproduced": "missed again"}
ON_FRESH = (*AGAIN.values(), "contradicted", "open")
VERDICTS: dict[Verdict, str] = {"reproduced": "yes", "not reproduced": "**no**", "undecided": "undecided"}


def what_would_decide(claim: Claim) -> str:
    """`about 40 seeds would decide`, or why no number of them is given; '' of what is decided, or was written before
    claims said it."""
    if claim.verdict != "undecided" or claim.is_old:
        return ""
    if claim.holds_rival:
        return f"no sample would: the {'range' if claim.rule.startswith(IN_RANGE) else 'band'} holds the rival"
    if claim.needed:
        return f"about {claim.needed:,} {claim.sample} would decide"
    # One value has no spread, and an interval without an end does not narrow as a root of the sample.
    is_known = claim.count > 1 and all(map(math.isfinite, (claim.low, claim.measured, claim.high)))
    return f"no sample up to {MOST:,} would" if is_known else "how many would cannot be told from these"


def verdict_in_words(claim: Claim) -> str:
    """`yes`, `**no**`, or `undecided (about 40 seeds would decide)`."""
    more = what_would_decide(claim)
    return VERDICTS[claim.verdict] + (f" ({more})" if more else "")


def confirmation_in_words(claim: Claim) -> str:
    """What fresh seeds say, one of ON_FRESH: that the verdict is the same is told by what it is. '' where none were
    run."""
    return AGAIN[claim.verdict] if claim.confirmation == "confirmed" else claim.confirmation or ""


def kind_in_words(claim: Claim) -> str:
    """`published number (P), exploratory`: with the standing of what was published; of what is exploratory whether no
    seed enters it, so that fresh ones have nothing to say."""
    standing = STANDING.search(claim.source) if claim.kind in ("number", "direction") else None
    read = f" {standing[0]}" if standing else ""
    exploratory = ", exploratory" if can_be_fresh(claim) else ", exploratory, no seed enters"
    return KINDS[claim.kind] + read + exploratory * bool(claim.exploratory)


def kind_with_source(claim: Claim) -> str:
    """`published number: the lecture's notebook (P), exploratory`: whose number, whose direction, by what it was
    computed."""
    words = kind_in_words(claim)
    if claim.source in ("", KINDS[claim.kind]):
        return words
    name = KINDS[claim.kind]
    more = words.removeprefix(name).removeprefix(f" {found[0]}" if (found := STANDING.search(claim.source)) else "")
    return f"{name}: {claim.source}{more}"


def cells(claim: Claim, kind: str = "") -> list[str]:
    """What the scoreboard says of a claim, one text for each of COLUMNS; with other words for its kind."""
    shown = [number(claim.measured), within_in_words(claim), verdict_in_words(claim)]
    if claim.fresh:
        fresh = number(claim.fresh.measured), within_in_words(claim.fresh), VERDICTS[claim.fresh.verdict]
        shown = [f"{first}; fresh {again}" if again else first for first, again in zip(shown, fresh, strict=True)]
    excludes = "does not exclude" if claim.holds_rival else "excludes"
    excludes = "beside" if claim.rival.endswith(NOT_MEASURED) else excludes
    return [
        claim.name,
        kind or kind_in_words(claim),
        " and ".join(map(number, claim.published)),
        *shown[:2],
        sample_in_words(claim),
        band_in_words(claim.band) + (f" ({excludes} {claim.rival})" if claim.rival else ""),
        shown[2],
    ]


def markdown(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table of that text."""
    escaped = ([cell.replace("|", "\\|") for cell in row] for row in (columns, *rows))
    head, *lines = (f"| {' | '.join(row)} |" for row in escaped)
    return "\n".join([head, "|---" * len(columns) + "|", *lines])


def scoreboard(claims: Iterable[Claim], with_sources: bool = False) -> str:
    """The claims as a Markdown table."""
    return markdown(COLUMNS, (cells(claim, kind_with_source(claim) if with_sources else "") for claim in claims))


def notes(claims: Iterable[Claim]) -> list[str]:
    """What there is to explain, in lines: what was chosen after looking, what fresh seeds say of it, and the study's
    own words. What is true of several claims stands once, before theirs."""
    claims = list(claims)
    parts = [_parts(claim) for claim in claims]
    by_part: dict[str, list[Claim]] = {}
    for claim, words in zip(claims, parts, strict=True):
        for part in words:
            by_part.setdefault(part, []).append(claim)
    lines = [f"{_named(of, claims)}: {part}" for part, of in by_part.items() if len(of) > 1]
    for claim, words in zip(claims, parts, strict=True):
        own = [part for part in words if len(by_part[part]) == 1]
        lines += [f"{claim.name}: {'; '.join(own)}"] if own else []
    return lines


def _parts(claim: Claim) -> list[str]:
    """What there is to explain of one claim."""
    parts = [f"exploratory: {claim.exploratory}"] if claim.exploratory else []
    if claim.fresh:
        parts.append(f"on fresh seeds, from {claim.fresh.seeds_from:,} on: {confirmation_in_words(claim)}")
    return parts + ([claim.note] if claim.note else [])


def _named(some: Sequence[Claim], claims: Sequence[Claim]) -> str:
    """Several of a study's claims: `all 24 lines` or `all 20 exploratory lines` where they are these, up to FEW by
    their names, and more by where they stand in its table, `lines 1-16, 18`."""
    exploratory = [claim for claim in claims if claim.exploratory]
    if len(some) == len(claims):
        return f"all {len(claims)} lines"
    if len(some) == len(exploratory) and all(claim.exploratory for claim in some):
        return f"all {len(some)} exploratory lines"
    if len(some) <= FEW:
        return "; ".join(claim.name for claim in some)
    keys = {claim.key for claim in some}
    places = [place for place, claim in enumerate(claims, 1) if claim.key in keys]
    runs = [list(run) for _, run in itertools.groupby(places, lambda place: place - places.index(place))]
    return "lines " + ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def headline(claims: Iterable[Claim]) -> list[str]:
    """A line a kind: how many of its claims are reproduced, not reproduced and undecided; those that are exploratory
    are counted apart."""
    lines = list[str]()
    for words, settled, exploratory in _by_kind(claims):
        for found, more in ((settled, ""), (exploratory, ", exploratory")):
            if found:
                name = words + _standings(found) + more
                reproduced, failed, undecided = _verdicts(found)
                reproduced += f" reproduced{_exact(found)}"
                line = f"{name}: {reproduced}, {failed} not reproduced, {undecided} undecided"
                fresh, seedless = _confirmations(found) if found is exploratory else ("", "")
                lines.append("; ".join(filter(None, [line, fresh and f"on fresh seeds {fresh}", seedless])))
    return lines


def counts_by_kind(claims: Iterable[Claim]) -> list[list[str]]:
    """The headline as rows: the kind, with how many of it were read, read second-hand and recalled where it is
    published; of its claims how many are reproduced, not, and undecided; the same of those that are exploratory; what
    fresh seeds say of these."""
    return [
        [
            words + _standings(settled + exploratory),
            *(cell for of in (settled, exploratory) for cell in _cells_of(of)),
            "; ".join(filter(None, _confirmations(exploratory))),
        ]
        for words, settled, exploratory in _by_kind(claims)
        if settled or exploratory
    ]


def _by_kind(claims: Iterable[Claim]) -> list[tuple[str, list[Claim], list[Claim]]]:
    """Of each kind those that are not exploratory and those that are."""
    found: dict[str, tuple[list[Claim], list[Claim]]] = {kind: ([], []) for kind in KINDS}
    for claim in claims:
        found[claim.kind][bool(claim.exploratory)].append(claim)
    return [(words, *found[kind]) for kind, words in KINDS.items()]


def _standings(claims: Sequence[Claim]) -> str:
    """` (12 P, 7 S, 6 R)` of what was published, '' of the rest."""
    found = [STANDING.search(claim.source) for claim in claims if claim.kind in ("number", "direction")]
    letters = [match[0].strip("()") for match in found if match]
    return f" ({', '.join(f'{letters.count(letter)} {letter}' for letter in 'PSR')})" if letters else ""


def _verdicts(claims: Sequence[Claim]) -> tuple[str, str, str]:
    """`55 of 67`, how many are reproduced; how many are not and are undecided; nothing where there are none."""
    if not claims:
        return "", "", ""
    verdicts = [claim.verdict for claim in claims]
    reproduced, failed, undecided = (verdicts.count(verdict) for verdict in get_args(Verdict))
    return f"{reproduced} of {len(claims)}", str(failed), str(undecided)


def _exact(claims: Sequence[Claim]) -> str:
    """` (20 of 21 exact)`, how many of those are reproduced of which no sample was drawn; '' where there are none."""
    exact = [claim for claim in claims if claim.sample == "exact"]
    return f" ({sum(claim.is_reproduced for claim in exact)} of {len(exact)} exact)" if exact else ""


def _cells_of(claims: Sequence[Claim]) -> tuple[str, str, str]:
    """`_verdicts` in a table, with what is exact beside what is reproduced."""
    reproduced, failed, undecided = _verdicts(claims)
    return reproduced + _exact(claims), failed, undecided


def _confirmations(claims: Sequence[Claim]) -> tuple[str, str]:
    """How many of these exploratory claims are reproduced or missed on fresh seeds again, contradicted and left open,
    and of how many they were not run; and how many there are that no seed enters."""
    seeded = [claim for claim in claims if can_be_fresh(claim)]
    found = [confirmation_in_words(claim) for claim in seeded if claim.fresh]
    counts = [f"{found.count(word)} {word}" for word in ON_FRESH] if found else []
    counts += [f"{len(seeded) - len(found)} not run"] if len(found) < len(seeded) else []
    seedless = len(claims) - len(seeded)
    return ", ".join(counts), f"{seedless} that no seed enters" if seedless else ""
