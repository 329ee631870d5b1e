"""What a study claims, and the verdict that follows from it: the lines of the scoreboard.

A claim says what was measured, of which sample, with its 95 % interval, and the band that was stated before the run.
Its verdict is *reproduced* where the whole interval lies in the band, *not reproduced* where it lies wholly outside,
and *undecided* in between; an exact number is a point. A published single draw is reproduced where it lies in the
stated range of the seeds. Nothing overwrites a verdict.

The kinds of claims are counted apart and never added up: a *number* that somebody published, a published *direction*,
an *oracle* (a closed form, an exact chain, a computation of our own that knows nothing of the study) and what is
*ours*.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict, Unpack, get_args

import numpy as np
from numpy.typing import ArrayLike

from experiments.engine.statistics import interval

Kind: TypeAlias = Literal["number", "direction", "oracle", "ours"]
Verdict: TypeAlias = Literal["reproduced", "not reproduced", "undecided"]
Names: TypeAlias = tuple[str, str, Kind, str]  # Key, name, kind and source.
Band: TypeAlias = tuple[float | None, float | None]  # None is an open side.
KINDS: dict[Kind, str] = {
    "number": "published number",
    "direction": "published direction",
    "oracle": "oracle",
    "ours": "ours",
}
COLUMNS = ("claim", "kind", "published", "measured", "95 % interval", "sample", "band", "verdict")


class Words(TypedDict, total=False):
    """What may be said of a claim beside its numbers."""

    rival: str
    exploratory: str
    note: str


IN_BAND, IS_IN_BAND, IN_RANGE = "the interval in the band", "the number in the band", "the published draw in the range"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """One line of the scoreboard. Made by `mean_claim`, `share_claim`, `exact_claim`, `interval_claim`, `draw_claim`.

    `key` names it within its study, for pictures, documents and tests; `name` says in words what is measured. `low` and
    `high` bound the 95 % interval of `measured` (for a published draw, the range of the seeds). `rival` is what the
    band has to exclude: another theory's value, the guess, no effect. `exploratory` says what of its setting, grid,
    rule or band was chosen with a measurement in view; empty where nothing was.
    """

    key: str
    name: str
    kind: Kind
    source: str
    measured: float
    low: float
    high: float
    band: Band
    rule: str
    verdict: Verdict
    count: int
    sample: str
    published: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    rival: str = ""
    exploratory: str = ""
    note: str = ""

    @property
    def is_reproduced(self) -> bool:
        """Whether the verdict is *reproduced*."""
        return self.verdict == "reproduced"

    def to_dict(self) -> dict[str, Any]:
        """The claim as JSON takes it: NaN as None, infinities as text."""
        fields = dataclasses.asdict(self)
        fields |= {name: _as_json(fields[name]) for name in ("measured", "low", "high")}
        fields["values"] = [_as_json(value) for value in self.values]
        return fields | {"published": list(self.published), "band": list(self.band)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Claim":
        """The claim that `to_dict` wrote; TypeError, ValueError or KeyError where it did not."""
        found: dict[str, Any] = dict(fields)
        if set(found) != {field.name for field in dataclasses.fields(cls)} or found["kind"] not in KINDS:
            raise ValueError("it is no claim")
        if found["verdict"] not in get_args(Verdict):
            raise ValueError("its verdict is none")
        number = lambda value: math.nan if value is None else float(value)  # noqa: E731
        found |= {name: number(found[name]) for name in ("measured", "low", "high")}
        low, high = found["band"]
        found["band"], found["published"] = (low, high), tuple(found["published"])
        found["values"] = tuple(map(number, found["values"]))
        claim = cls(**found)
        if claim.rule == IN_BAND and claim.verdict != judged(claim.low, claim.high, claim.band):
            raise ValueError("its verdict does not follow from its interval and band")
        return claim


def _as_json(value: float) -> float | str | None:
    """A number that JSON can hold, and that `float` reads back."""
    return value if math.isfinite(value) else None if math.isnan(value) else str(value)


def judged(low: float, high: float, band: Band) -> Verdict:
    """The verdict on an interval: in the band, wholly outside, or neither; an interval with NaN decides nothing."""
    least, most = (bound if bound is not None else end for bound, end in zip(band, (-math.inf, math.inf), strict=True))
    if math.isnan(low) or math.isnan(high):
        return "undecided"
    if least <= low and high <= most:
        return "reproduced"
    return "not reproduced" if high < least or low > most else "undecided"


def _numbers(published: ArrayLike | None) -> tuple[float, ...]:
    return () if published is None else tuple(float(number) for number in np.ravel(np.asarray(published, float)))


def _claim(
    names: Names,
    measured: float,
    within: tuple[float, float],
    band: Band,
    sample: tuple[int, str],
    published: ArrayLike | None,
    values: ArrayLike = (),
    rule: str = IN_BAND,
    verdict: Verdict | None = None,
    **words: Unpack[Words],
) -> Claim:
    """A claim of (key, name, kind, source) and a sample of (count, what), judged by its interval unless a verdict is
    given."""
    key, name, kind, source = names
    return Claim(
        key=key,
        name=name,
        kind=kind,
        source=source,
        measured=float(measured),
        low=float(within[0]),
        high=float(within[1]),
        band=band,
        rule=rule,
        verdict=verdict or judged(*within, band),
        count=sample[0],
        sample=sample[1],
        published=_numbers(published),
        values=_numbers(values),
        **words,
    )


def mean_claim(
    key: str,
    name: str,
    kind: Kind,
    source: str,
    values: ArrayLike,
    band: Band,
    *,
    sample: str = "seeds",
    published: ArrayLike | None = None,
    log: bool = False,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    **words: Unpack[Words],
) -> Claim:
    """A claim of the mean of independent values (paired differences, one a seed), with Student's interval within what
    is possible; with `log` of the geometric mean. Values that are NaN are left out and not counted; one value decides
    nothing (but see `exact_claim`)."""
    values_S = np.ravel(np.asarray(values, float))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs_S = np.log(values_S) if log else values_S
    found = interval(logs_S, bounds=(-math.inf, math.inf) if log else bounds)
    if np.isinf(logs_S).any():  # One seed that exploded, or a ratio of zero: no mean is known.
        found = found._replace(mean=np.nan, low=np.nan, high=np.nan)
    measured, low, high = (float(np.exp(x)) if log else float(x) for x in (found.mean, found.low, found.high))
    names: Names = key, name, kind, source
    count = int(found.n)
    return _claim(names, measured, (low, high), band, (count, sample), published, values_S, **words)


def share_claim(
    key: str,
    name: str,
    kind: Kind,
    source: str,
    successes: ArrayLike,
    band: Band,
    *,
    sample: str = "seeds",
    published: ArrayLike | None = None,
    **words: Unpack[Words],
) -> Claim:
    """A claim of a share, of independent trials that each succeeded or not, with the exact binomial interval (Clopper &
    Pearson 1934)."""
    from scipy.stats import binomtest

    succeeded = np.ravel(np.asarray(successes, bool))
    count = len(succeeded)
    found = binomtest(int(succeeded.sum()), count).proportion_ci(0.95, "exact")
    within = float(found.low), float(found.high)
    names: Names = key, name, kind, source
    return _claim(names, float(succeeded.mean()), within, band, (count, sample), published, **words)


def exact_claim(
    key: str,
    name: str,
    kind: Kind,
    source: str,
    value: float,
    band: Band,
    *,
    count: int = 1,
    sample: str = "exact",
    published: ArrayLike | None = None,
    **words: Unpack[Words],
) -> Claim:
    """A claim of a number that is computed without chance: a point. `count` and `sample` say of how many it is, as the
    farthest of 40 points. What is no number is not reproduced."""
    verdict: Verdict | None = "not reproduced" if math.isnan(value) else None
    names: Names = key, name, kind, source
    point = float(value), float(value)
    return _claim(names, value, point, band, (count, sample), published, (), IS_IN_BAND, verdict, **words)


def interval_claim(
    key: str,
    name: str,
    kind: Kind,
    source: str,
    measured: float,
    within: tuple[float, float],
    band: Band,
    *,
    count: int,
    sample: str = "seeds",
    published: ArrayLike | None = None,
    values: ArrayLike = (),
    **words: Unpack[Words],
) -> Claim:
    """A claim of an estimate that comes with its own 95 % interval: a median, a fitted slope, a time to escape."""
    return _claim((key, name, kind, source), measured, within, band, (count, sample), published, values, **words)


def draw_claim(
    key: str,
    name: str,
    source: str,
    published: float,
    values: ArrayLike,
    percentiles: tuple[float, float] = (2.5, 97.5),
    *,
    sample: str = "seeds",
    **words: Unpack[Words],
) -> Claim:
    """A claim of a published number that is a single draw: reproduced where it lies between those percentiles of the
    seeds. Few seeds know their range badly: outside of it, the draw is *not reproduced* only where it lies outside of
    Student's 95 % prediction interval of one more seed as well, and *undecided* else."""
    from scipy.stats import t

    values_S = np.ravel(np.asarray(values, float))
    mean, count = float(values_S.mean()), len(values_S)
    low, high = (float(bound) for bound in np.percentile(values_S, percentiles))
    spread = float(values_S.std(ddof=1)) if count > 1 else 0.0
    half = float(t.ppf(0.975, max(count - 1, 1))) * spread * math.sqrt(1 + 1 / count)
    is_near = count < 2 or not math.isfinite(mean) or abs(published - mean) <= half
    verdict: Verdict = "undecided" if is_near else "not reproduced"
    verdict = "reproduced" if count > 1 and low <= published <= high else verdict
    within = "range" if percentiles == (0, 100) else f"{percentiles[0]:g}-{percentiles[1]:g} % range"
    names: Names = key, name, "number", source
    rule = f"{IN_RANGE}: the {within} of the {sample}"
    ends = low, high
    return _claim(names, mean, ends, ends, (count, sample), published, values_S, rule, verdict, **words)


def by_key(claims: Iterable[Claim]) -> dict[str, Claim]:
    """The claims by their keys; ValueError where two have the same."""
    found: dict[str, Claim] = {}
    for claim in claims:
        if claim.key in found:
            raise ValueError(f"two claims have the key {claim.key!r}; accepted: one key a claim")
        found[claim.key] = claim
    return found


# ---------------------------------------------------------------------------------------------------------------------
# The scoreboard.


def number(value: float) -> str:
    """Four decimals, or two significant digits for what they would make zero."""
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.2g}"


def band_in_words(band: Band) -> str:
    """`0.95 to 1.15`, `10 or more`, `0.5 or less`."""
    low, high = band
    if low is None:
        return "any" if high is None else f"{number(high)} or less"
    return f"{number(low)} or more" if high is None else f"{number(low)} to {number(high)}"


def within_in_words(claim: Claim) -> str:
    """The interval; of a published draw the range of the seeds, which is none of their mean."""
    words = band_in_words((claim.low, None if claim.high == math.inf else claim.high))
    return f"(range of {claim.sample}) {words}" if claim.rule.startswith(IN_RANGE) else words


def sample_in_words(claim: Claim) -> str:
    """`8 seeds`, `exact`."""
    if claim.count == 1:
        return claim.sample if claim.sample == "exact" else f"1 {claim.sample.removesuffix('s')}"
    return f"{claim.count:,} {claim.sample}"


def cells(claim: Claim) -> list[str]:
    """What the scoreboard says of a claim, one text for each of COLUMNS."""
    # A point has no interval, and one value knows none.
    is_point = claim.low == claim.high or (math.isnan(claim.low) and math.isnan(claim.high))
    verdict = {"reproduced": "yes", "not reproduced": "**no**", "undecided": "undecided"}[claim.verdict]
    return [
        claim.name,
        KINDS[claim.kind] + (", exploratory" if claim.exploratory else ""),
        " and ".join(map(number, claim.published)),
        number(claim.measured),
        "" if is_point else within_in_words(claim),
        sample_in_words(claim),
        band_in_words(claim.band) + (f" (excludes {claim.rival})" if claim.rival else ""),
        verdict,
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
        words += [claim.note] if claim.note else []
        lines += [f"{claim.name}: {'; '.join(words)}"] if words else []
    return lines


def headline(claims: Iterable[Claim]) -> list[str]:
    """A line a kind: how many of its claims are reproduced, not reproduced and undecided; those that are exploratory
    are counted apart."""
    claims, lines = list(claims), list[str]()
    for kind, words in KINDS.items():
        for exploratory in (False, True):
            found = [claim.verdict for claim in claims if claim.kind == kind and bool(claim.exploratory) is exploratory]
            counts = [found.count(verdict) for verdict in get_args(Verdict)]
            if found:
                lines.append(
                    f"{words}{', exploratory' * exploratory}: {counts[0]} of {len(found)} reproduced, "
                    f"{counts[1]} not reproduced, {counts[2]} undecided"
                )
    return lines
