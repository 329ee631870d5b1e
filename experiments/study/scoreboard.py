"""The claims of studies as lines of a scoreboard: tables in Markdown, notes and the headline."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import get_args

from experiments.study.claims import (
    IN_RANGE,
    Band,
    Claim,
    Confirmation,
    Fresh,
    Kind,
    Verdict,
    above,
    below,
)

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


def number(value: float) -> str:
    """Four decimals, or two significant digits for what they would make zero."""
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
        return f"(range of {claim.sample}) {words}"
    return words


def sample_in_words(claim: Claim) -> str:
    """`8 seeds`, `exact`."""
    if claim.count == 1:
        return claim.sample if claim.sample == "exact" else f"1 {claim.sample.removesuffix('s')}"
    return f"{claim.count:,} {claim.sample}"


VERDICTS: dict[Verdict, str] = {"reproduced": "yes", "not reproduced": "**no**", "undecided": "undecided"}


def verdict_in_words(claim: Claim) -> str:
    """`yes`, `**no**`, or `undecided (about 40 seeds would decide)`."""
    more = f" (about {claim.needed:,} {claim.sample} would decide)" if claim.needed else ""
    return VERDICTS[claim.verdict] + more


def kind_in_words(claim: Claim) -> str:
    """`published number (P), exploratory`: with the standing of what was published."""
    standing = STANDING.search(claim.source) if claim.kind in ("number", "direction") else None
    read = f" {standing[0]}" if standing else ""
    return KINDS[claim.kind] + read + (", exploratory" if claim.exploratory else "")


def cells(claim: Claim) -> list[str]:
    """What the scoreboard says of a claim, one text for each of COLUMNS."""
    shown = [number(claim.measured), within_in_words(claim), verdict_in_words(claim)]
    if claim.fresh:
        fresh = number(claim.fresh.measured), within_in_words(claim.fresh), VERDICTS[claim.fresh.verdict]
        shown = [f"{first}; fresh {again}" if again else first for first, again in zip(shown, fresh, strict=True)]
    excludes = "does not exclude" if claim.holds_rival else "excludes"
    return [
        claim.name,
        kind_in_words(claim),
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


def scoreboard(claims: Iterable[Claim]) -> str:
    """The claims as a Markdown table."""
    return markdown(COLUMNS, map(cells, claims))


def notes(claims: Iterable[Claim]) -> list[str]:
    """What there is to explain, a line a claim: what was chosen after looking, and the study's own words."""
    lines: list[str] = []
    for claim in claims:
        words = [f"exploratory: {claim.exploratory}"] if claim.exploratory else []
        if claim.fresh:
            words.append(f"on fresh seeds, from {claim.fresh.seeds_from:,} on: {claim.confirmation}")
        words += [claim.note] if claim.note else []
        lines += [f"{claim.name}: {'; '.join(words)}"] if words else []
    return lines


def headline(claims: Iterable[Claim]) -> list[str]:
    """A line a kind: how many of its claims are reproduced, not reproduced and undecided; those that are exploratory
    are counted apart."""
    claims, lines = list(claims), list[str]()
    for kind, words in KINDS.items():
        for exploratory in (False, True):
            found = [claim for claim in claims if claim.kind == kind and bool(claim.exploratory) is exploratory]
            verdicts = [claim.verdict for claim in found]
            counts = [verdicts.count(verdict) for verdict in get_args(Verdict)]
            if found:
                lines.append(
                    f"{words}{', exploratory' * exploratory}: {counts[0]} of {len(found)} reproduced, "
                    f"{counts[1]} not reproduced, {counts[2]} undecided{_confirmations(found)}"
                )
    return lines


def _confirmations(claims: Sequence[Claim]) -> str:
    """How many of them fresh seeds confirm, contradict and leave open; '' where none were run."""
    found = [claim.confirmation for claim in claims if claim.fresh]
    counts = ", ".join(f"{found.count(word)} {word}" for word in get_args(Confirmation))
    not_run = f", {len(claims) - len(found)} not run" if len(found) < len(claims) else ""
    return f"; on fresh seeds {counts}{not_run}" if found else ""
