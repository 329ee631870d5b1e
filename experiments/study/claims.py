"""What a study claims, and the verdict that follows from it.

A claim says what was measured, of which sample, with its 95 % interval, and the band, which was stated before the run
or is called exploratory. Its verdict is *reproduced* where the whole interval lies in the band, *not reproduced* where
it lies wholly outside, and *undecided* in between; an exact number is a point. A published single draw is reproduced
where it lies in the stated range of the seeds. Nothing overwrites a verdict. A band must be able to fail: beside it
stands the rival that it excludes, and one that holds its rival cannot be claimed. What stays undecided says how large a
sample would decide it; what was chosen after looking is run once more on fresh seeds, and says how that went, or that
no seed enters it.

The kinds of claims are counted apart and never added up: a *number* that somebody published, a published *direction*,
an *oracle* (a closed form, an exact chain, a computation of our own that knows nothing of the study) and what is
*ours*.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, TypedDict, Unpack, get_args

import numpy as np
from numpy.typing import ArrayLike

from experiments.engine.statistics import interval
from experiments.study import needed

Kind: TypeAlias = Literal["number", "direction", "oracle", "ours"]
Verdict: TypeAlias = Literal["reproduced", "not reproduced", "undecided"]
Confirmation: TypeAlias = Literal["confirmed", "contradicted", "open"]
Names: TypeAlias = tuple[str, str, Kind, str]  # Key, name, kind and source.
Band: TypeAlias = tuple[float | None, float | None]  # None is an open side.


class Words(TypedDict, total=False):
    """What may be said of a claim beside its numbers."""

    rival: str
    rival_at: ArrayLike
    exploratory: str
    note: str


IN_BAND, IS_IN_BAND, IN_RANGE = "the interval in the band", "the number in the band", "the published draw in the range"
OF_TABLE = "the probability in the band"  # Of a table of shares that were drawn.
# Samples that are drawn: what is measured of them has an interval. Sets, passes, points or arrays are all there are.
DRAWN = ("seeds", "walkers", "nets", "runs", "walks", "trapped runs", "groups of walkers")
NOT_MEASURED = "(not measured)"  # What the words of a rival end with that was to be measured, and could not be.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fresh:
    """What a claim comes to on fresh seeds, from that one on, with nothing else changed."""

    seeds_from: int
    measured: float
    low: float
    high: float
    count: int
    verdict: Verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """One line of the scoreboard. Made by `mean_claim`, `share_claim`, `exact_claim`, `interval_claim`, `draw_claim`.

    `key` names it within its study, for pictures, documents and tests; `name` says in words what is measured. `low` and
    `high` bound the 95 % interval of `measured` (for a published draw, the range of the seeds). `rival` is what the
    band has to exclude, in words: another theory's value, the guess, no effect; `rival_at` where it lies, as far as
    that is a number. `exploratory` says what of its setting, grid, rule or band was chosen with a measurement in view;
    empty where nothing was; `fresh` what such a claim came to when it was run again on fresh seeds. `needed` is how
    large a sample, of the same kind, would decide what is undecided, if what was measured is so; None where that
    cannot be said, or nothing would. `is_old` is one that was written before claims said any of this.
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
    rival_at: tuple[float, ...] = ()
    needed: int | None = None
    fresh: Fresh | None = None
    is_old: bool = False

    @property
    def holds_rival(self) -> bool:
        """Whether the band holds a rival, so that it tells nothing."""
        return any(holds(self.band, rival) for rival in self.rival_at)

    @property
    def is_seedless(self) -> bool:
        """Whether no seed enters what was measured, so that other seeds say nothing of it: a number that is computed
        without chance."""
        return self.rule == IS_IN_BAND and not is_drawn(self.sample)

    @property
    def is_reproduced(self) -> bool:
        """Whether the verdict is *reproduced*."""
        return self.verdict == "reproduced"

    @property
    def confirmation(self) -> Confirmation | None:
        """Whether fresh seeds confirm the verdict, contradict it or leave it open; None where none were run."""
        if self.fresh is None:
            return None
        if "undecided" in (self.verdict, self.fresh.verdict):
            return "open"
        return "confirmed" if self.verdict == self.fresh.verdict else "contradicted"

    def to_dict(self) -> dict[str, Any]:
        """The claim as JSON takes it: NaN as None, infinities as text."""
        fields = dataclasses.asdict(self)
        fields |= {name: _as_json(fields[name]) for name in ("measured", "low", "high")}
        fields["values"] = [_as_json(value) for value in self.values]
        if fields["fresh"]:
            fields["fresh"] |= {name: _as_json(fields["fresh"][name]) for name in ("measured", "low", "high")}
        fields |= {name: list(fields[name]) for name in ("published", "band", "rival_at")}
        left_out = {"is_old", *LATER} if self.is_old else {"is_old"}
        return {name: value for name, value in fields.items() if name not in left_out}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Claim":
        """The claim that `to_dict` wrote, with or without the LATER fields; TypeError, ValueError or KeyError where it
        did not."""
        found: dict[str, Any] = LATER | dict(fields) | {"is_old": not LATER.keys() <= fields.keys()}
        if set(found) != {field.name for field in dataclasses.fields(cls)} or found["kind"] not in get_args(Kind):
            raise ValueError("it is no claim")
        if found["verdict"] not in get_args(Verdict):
            raise ValueError("its verdict is none")
        number = lambda value: math.nan if value is None else float(value)  # noqa: E731
        found |= {name: number(found[name]) for name in ("measured", "low", "high")}
        low, high = found["band"]
        found |= {"band": (low, high), "published": tuple(found["published"]), "rival_at": tuple(found["rival_at"])}
        if fresh := found["fresh"]:
            found["fresh"] = Fresh(**(fresh | {name: number(fresh[name]) for name in ("measured", "low", "high")}))
        found["values"] = tuple(map(number, found["values"]))
        claim = cls(**found)
        follows = claim.verdict == judged(claim.low, claim.high, claim.band)
        if claim.rule == IN_BAND and not (follows or (claim.holds_rival and claim.verdict == "undecided")):
            raise ValueError("its verdict does not follow from its interval and band")
        return claim


# What results of earlier versions do not say.
LATER: dict[str, Any] = {"rival_at": (), "needed": None, "fresh": None}


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


def is_drawn(sample: str) -> bool:
    """Whether a sample is one of many that could have been drawn, as `seeds` and `walkers at each of 13 points` are."""
    return any(sample == drawn or sample.startswith(f"{drawn} ") for drawn in DRAWN)


def holds(band: Band, value: float) -> bool:
    """Whether a number lies in a band, its ends included."""
    low, high = band
    return (low is None or value >= low) and (high is None or value <= high)


def above(value: float) -> float:
    """The least number that is larger: a band from there on does not hold the value itself."""
    return math.nextafter(value, math.inf)


def below(value: float) -> float:
    """The largest number that is smaller."""
    return math.nextafter(value, -math.inf)


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
    needed: int | None = None,
    **words: Unpack[Words],
) -> Claim:
    """A claim of (key, name, kind, source) and a sample of (count, what), judged by its interval unless a verdict is
    given; ValueError for a band that holds its rival."""
    key, name, kind, source = names
    rival_at, verdict = _numbers(words.get("rival_at")), verdict or judged(*within, band)
    for rival in rival_at if not rule.startswith(IN_RANGE) else ():
        if holds(band, rival):
            raise ValueError(f"{key}: the band {band} holds its rival, {rival:g}, so that it cannot fail")
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
        verdict=verdict,
        count=sample[0],
        sample=sample[1],
        published=_numbers(published),
        values=_numbers(values),
        rival=words.get("rival", ""),
        exploratory=words.get("exploratory", ""),
        note=words.get("note", ""),
        rival_at=rival_at,
        needed=needed if verdict == "undecided" else None,
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
    # What is possible is no end that an interval has to stay clear of.
    ends: Band = tuple(end if end is not None and bounds[0] < end < bounds[1] else None for end in band)  # pyright: ignore
    logs: Band = tuple(math.log(end) if end is not None and end > 0 else None for end in ends)  # pyright: ignore
    enough = needed.of_mean(float(found.mean), float(found.std), logs if log else ends) if count > 1 else None
    return _claim(names, measured, (low, high), band, (count, sample), published, values_S, needed=enough, **words)


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
    Pearson 1934); of no trials, nothing is known."""
    from scipy.stats import binomtest

    succeeded = np.ravel(np.asarray(successes, bool))
    count, nothing = len(succeeded), (math.nan, math.nan)
    if not count:
        return _claim((key, name, kind, source), math.nan, nothing, band, (0, sample), published, **words)
    found = binomtest(int(succeeded.sum()), count).proportion_ci(0.95, "exact")
    within = float(found.low), float(found.high)
    names: Names = key, name, kind, source
    share = float(succeeded.mean())
    enough = None if judged(*within, band) != "undecided" else needed.of_share(share, band)
    return _claim(names, share, within, band, (count, sample), published, needed=enough, **words)


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
    names: Names = key, name, kind, source
    enough = needed.of_interval(measured, *within, band, count)
    return _claim(names, measured, within, band, (count, sample), published, values, needed=enough, **words)


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
    Student's 95 % prediction interval of one more seed as well, and *undecided* else. So it is where the range holds
    the rival as well as the draw, and says nothing between the two."""
    from scipy.stats import t

    values_S = np.ravel(np.asarray(values, float))
    mean, count = float(values_S.mean()), len(values_S)
    low, high = (float(bound) for bound in np.percentile(values_S, percentiles))
    spread = float(values_S.std(ddof=1)) if count > 1 else 0.0
    half = float(t.ppf(0.975, max(count - 1, 1))) * spread * math.sqrt(1 + 1 / count)
    is_near = count < 2 or not math.isfinite(mean) or abs(published - mean) <= half
    verdict: Verdict = "undecided" if is_near else "not reproduced"
    verdict = "reproduced" if count > 1 and low <= published <= high else verdict
    ends = low, high
    says_nothing = any(holds(ends, rival) for rival in _numbers(words.get("rival_at")))
    verdict = "undecided" if verdict == "reproduced" and says_nothing else verdict
    within = "range" if percentiles == (0, 100) else f"{percentiles[0]:g}-{percentiles[1]:g} % range"
    names: Names = key, name, "number", source
    rule = f"{IN_RANGE}: the {within} of the {sample}"
    enough = None if says_nothing else needed.of_draw(published, mean, spread, percentiles[1] / 100)
    return _claim(names, mean, ends, ends, (count, sample), published, values_S, rule, verdict, enough, **words)


def against(claim: Claim, rival: str, at: ArrayLike) -> Claim:
    """The claim beside a rival that is measured in the same run, where nobody knows before whether the band holds it.

    Where it does, the scoreboard says that the rival is not excluded, and what would be reproduced is *undecided*. What
    is not finite, as a median of nothing, is left out; where nothing is left, the rival is said not to be measured.
    """
    places = tuple(filter(math.isfinite, _numbers(at)))
    beside = dataclasses.replace(claim, rival=rival if places else f"{rival} {NOT_MEASURED}", rival_at=places)
    return dataclasses.replace(beside, verdict="undecided") if beside.is_reproduced and beside.holds_rival else beside


def with_fresh(claims: Iterable[Claim], fresh: Iterable[Claim], seeds_from: int) -> list[Claim]:
    """The claims, those that are exploratory and hang on seeds with what the same ones came to on fresh ones."""
    again = {
        claim.key: Fresh(
            seeds_from=seeds_from,
            measured=claim.measured,
            low=claim.low,
            high=claim.high,
            count=claim.count,
            verdict=claim.verdict,
        )
        for claim in fresh
    }
    return [
        dataclasses.replace(claim, fresh=again.get(claim.key)) if can_be_fresh(claim) else claim for claim in claims
    ]


def can_be_fresh(claim: Claim) -> bool:
    """Whether a claim is exploratory, and hangs on seeds of which there are fresh ones."""
    return bool(claim.exploratory) and not claim.is_seedless


def by_key(claims: Iterable[Claim]) -> dict[str, Claim]:
    """The claims by their keys; ValueError where two have the same."""
    found: dict[str, Claim] = {}
    for claim in claims:
        if claim.key in found:
            raise ValueError(f"two claims have the key {claim.key!r}; accepted: one key a claim")
        found[claim.key] = claim
    return found
