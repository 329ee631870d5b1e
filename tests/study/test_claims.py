"""Claims are judged by one standard: the whole interval in the band, wholly outside, or neither."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy.stats import beta, t

from experiments.study import claims, joint, scoreboard
from experiments.study.claims import Claim, by_key, draw_claim, exact_claim, interval_claim, mean_claim, share_claim


def mean(values, band, **words) -> Claim:
    """A claim of a mean, in short."""
    return mean_claim("key", "name", "number", "source", values, band, **words)


@pytest.mark.parametrize(
    ("interval", "band", "verdict"),
    [
        ((1.0, 2.0), (1.0, 2.0), "reproduced"),
        ((1.0, 2.0), (None, 2.0), "reproduced"),
        ((1.0, 2.0), (1.5, None), "undecided"),
        ((1.0, 2.0), (2.1, 3.0), "not reproduced"),
        ((1.0, 2.0), (None, 0.9), "not reproduced"),
        ((-math.inf, math.inf), (0.0, 1.0), "undecided"),
        ((math.nan, math.nan), (None, None), "undecided"),
    ],
)
def test_verdict_follows_from_interval_and_band(interval, band, verdict):
    """In the band, across its end, outside; open sides; nothing known."""
    assert claims.judged(*interval, band) == verdict


def test_a_rival_that_is_measured_may_lie_in_the_band():
    """Which the scoreboard says, and nothing is reproduced; one that is no number is left to words."""
    claim = mean([1.0, 1.01, 1.02], (0.5, 1.5), published=1.0)
    inside = claims.against(claim, "another, 1.2", 1.2)
    assert "does not exclude another, 1.2" in scoreboard.cells(inside)[6]
    assert claim.verdict == "reproduced" and inside.verdict == "undecided"
    outside = claims.against(claim, "others", (3.0, math.nan))
    assert outside.rival_at == (3.0,) and "(excludes others)" in scoreboard.cells(outside)[6]
    unknown = claims.against(claim, "a median", math.nan)
    assert unknown.is_reproduced and "(beside a median (not measured))" in scoreboard.cells(unknown)[6]


def test_interval_of_a_mean_is_students():
    """Mean 2 and deviation 1 of three seeds: 2 +- 4.303 / sqrt 3, which a band of 0 to 4 does not hold."""
    claim = mean([1.0, 2.0, 3.0], (0.0, 4.0))
    half = t.ppf(0.975, 2) / math.sqrt(3)
    assert (claim.measured, claim.low, claim.high) == pytest.approx((2.0, 2 - half, 2 + half))
    assert claim.verdict == "undecided" and claim.count == 3
    assert mean([1.0, 2.0, 3.0], (0.0, 4.0), bounds=(0.0, 4.0)).verdict == "reproduced"
    assert mean([2.0], (0.0, 4.0)).verdict == "undecided"


def test_interval_of_ratios_is_that_of_their_logarithms():
    """The geometric mean of 1, 10 and 100 is 10."""
    claim = mean([1.0, 10.0, 100.0], (1.0, None), log=True)
    assert claim.measured == pytest.approx(10) and claim.low == pytest.approx(
        10 * math.exp(-t.ppf(0.975, 2) * math.log(10) / math.sqrt(3))
    )


def test_values_without_end_decide_nothing():
    """A seed that exploded does not help the others; one that was not measured is left out and not counted."""
    assert mean([1.0, 1.0, math.inf], (0.5, 1.5)).verdict == "undecided"
    assert mean([1.0, 1.0, 0.0], (0.5, 1.5), log=True).verdict == "undecided"
    assert mean([1.0, 1.0, math.nan], (0.5, 1.5)).count == 2
    assert draw_claim("k", "n", "s", 1.0, [1.0, math.nan, 2.0]).verdict == "undecided"


def test_interval_of_a_share_is_exact():
    """19 of 20: Clopper and Pearson's bounds are quantiles of beta distributions; 20 of 20 do not decide .95 either."""
    claim = share_claim("key", "name", "direction", "source", [True] * 19 + [False], (0.7, 1.0))
    assert (claim.low, claim.high) == pytest.approx((beta.ppf(0.025, 19, 2), beta.ppf(0.975, 20, 1)))
    assert claim.measured == 0.95 and claim.verdict == "reproduced"
    assert share_claim("key", "name", "ours", "source", [True] * 20, (0.95, 1.0)).verdict == "undecided"
    assert share_claim("key", "name", "ours", "source", [False] * 20, (0.95, 1.0)).verdict == "not reproduced"


def test_exact_number_is_a_point():
    """In its band or not; what is no number is not."""
    inside, outside, none = (exact_claim("k", "n", "oracle", "s", x, (0.5, 1.5)) for x in (1.5, 1.6, math.nan))
    assert (inside.verdict, outside.verdict, none.verdict) == ("reproduced", "not reproduced", "not reproduced")
    assert scoreboard.sample_in_words(inside) == "exact"


def test_estimate_with_an_interval_of_its_own():
    """A median of walkers that may be later than was waited for."""
    claim = interval_claim(
        "k", "n", "oracle", "s", 150.0, (140.0, math.inf), (100.0, 200.0), count=400, sample="walkers"
    )
    assert claim.verdict == "undecided" and scoreboard.sample_in_words(claim) == "400 walkers"


def test_published_draw_among_seeds():
    """Inside the 5-95 % range of 101 seeds; outside of it but no stranger than one more seed; far off."""
    values = np.arange(101.0)
    found = [draw_claim("k", "n", "s", published, values, (5, 95)) for published in (94.9, 95.1, 900.0)]
    assert [claim.verdict for claim in found] == ["reproduced", "undecided", "not reproduced"]
    assert found[0].band == (5.0, 95.0) and found[0].published == (94.9,)
    assert scoreboard.cells(found[0])[4] == "(5-95 % range of the seeds) 5.0000 to 95.0000"
    assert draw_claim("k", "n", "s", 1.0, [1.0], (5, 95)).verdict == "undecided"


def test_verdict_cannot_be_overwritten():
    """A record of frozen fields."""
    with pytest.raises(AttributeError):
        mean([1.0, 2.0], (0.0, 4.0)).verdict = "reproduced"  # pyright: ignore[reportAttributeAccessIssue]


def test_keys_are_unique():
    """A picture or a document that asks for a key gets the one claim that it means."""
    claim = exact_claim("slope", "n", "oracle", "s", 1.0, (0.5, 1.5))
    assert by_key([claim])["slope"] is claim
    with pytest.raises(ValueError, match="two claims have the key 'slope'"):
        by_key([claim, claim])


def test_claim_goes_through_json():
    """Numbers that are not finite too, which JSON has no word for."""
    claim = interval_claim("k", "n", "ours", "s", 1.0, (0.5, math.inf), (0.4, None), count=3, values=[1.0, math.nan])
    text = json.dumps(claim.to_dict(), allow_nan=False)
    back = Claim.from_dict(json.loads(text))
    assert back.band == (0.4, None) and back.high == math.inf and math.isnan(back.values[1])
    assert back.to_dict() == claim.to_dict()
    with pytest.raises(ValueError, match="no claim"):
        Claim.from_dict({"kind": "ours"})
    with pytest.raises(ValueError, match="verdict"):
        Claim.from_dict(json.loads(text) | {"verdict": "yes"})
    with pytest.raises(ValueError, match="does not follow"):
        Claim.from_dict(json.loads(text) | {"verdict": "not reproduced"})


def test_scoreboard_says_kind_interval_sample_and_verdict():
    """A line a claim; the rival beside the band; exploratory claims are marked, and explained below."""
    claim = mean(
        [1.0, 1.0, 1.0], (0.95, 1.15), published=[1.0], rival="no effect", exploratory="the rates", note="So it is."
    )
    assert scoreboard.cells(claim) == [
        "name",
        "published number, exploratory",
        "1.0000",
        "1.0000",
        "",
        "3 seeds",
        "0.9500 to 1.1500 (excludes no effect)",
        "yes",
    ]
    near = mean([1.0, 1.1, 1.2], (1.0, None))
    assert scoreboard.cells(near)[-1] == f"undecided (about {near.needed} seeds would decide)"
    assert scoreboard.notes([claim]) == ["name: exploratory: the rates; So it is."]
    assert "exploratory, no seed" not in scoreboard.cells(claim)[1]
    assert (
        scoreboard.band_in_words((10.0, None)) == "10.0000 or more"
        and scoreboard.band_in_words((None, 0.5)) == "0.5000 or less"
    )


def test_undecided_lines_say_what_would_decide():
    """A sample, or that none would, or that the rival is in the way; of one value and of an open interval nothing is
    known, of what earlier versions wrote nothing is said."""
    of = lambda measured, within, band, count: interval_claim(  # noqa: E731
        "k", "n", "ours", "s", measured, within, band, count=count, sample="walkers"
    )
    words = scoreboard.what_would_decide
    assert words(of(1.0, (0.5, 1.5), (0.75, 3.0), 10)) == "about 40 walkers would decide"
    assert words(of(1.0, (0.5, 1.5), (1.0, 3.0), 10)) == "no sample up to 1,000,000 would"
    assert words(of(1.0, (0.5, 1.5), (1.0001, 3.0), 10)) == "no sample up to 1,000,000 would"
    unknown = "how many would cannot be told from these"
    assert words(of(1.0, (0.5, math.inf), (0.75, 3.0), 10)) == words(mean([1.0], (0.0, 2.0))) == unknown
    assert words(share_claim("k", "n", "ours", "s", [], (0.5, 1.0))) == unknown
    inside = claims.against(mean([1.0, 1.01, 1.02], (0.5, 1.5)), "another", 1.2)
    assert words(inside) == "no sample would: the band holds the rival"
    draw = draw_claim("k", "n", "s", 50.0, np.arange(101.0), rival="x", rival_at=60.0)
    assert scoreboard.cells(draw)[-1] == "undecided (no sample would: the range holds the rival)"
    assert words(mean([1.0, 1.01, 1.02], (0.5, 1.5))) == "" == words(of(1.0, (2.0, 3.0), (0.0, 1.0), 10))
    old = {name: value for name, value in inside.to_dict().items() if name not in claims.LATER}
    assert words(Claim.from_dict(old | {"rule": "another"})) == ""


def test_what_is_true_of_several_lines_is_said_once():
    """With their names, or of how many it is true where they are all, or all that are exploratory."""
    make = lambda key, **more: mean_claim(key, key, "ours", "s", [1.0, 1.0], (0.5, 1.5), **more)  # noqa: E731
    first, second = make("a", exploratory="the rate", note="own"), make("b", exploratory="the rate", note="shared")
    third = make("c", note="shared")
    assert scoreboard.notes([first, second, third]) == [
        "all 2 exploratory lines: exploratory: the rate",
        "b; c: shared",
        "a: own",
    ]
    assert scoreboard.notes([first, second])[0] == "all 2 lines: exploratory: the rate"
    other = make("d", exploratory="the rate of another")
    assert scoreboard.notes([first, second, other])[0] == "a; b: exploratory: the rate"
    # More than a few are said by their places in the table.
    notes = {place: "same" for place in (1, 2, 4, 5, 6, 8)}
    lines = [make(f"line {place}", note=notes.get(place, "")) for place in range(1, 10)]
    assert scoreboard.notes(lines) == ["lines 1-2, 4-6, 8: same"]


def test_lines_that_no_seed_enters_are_counted_apart():
    """Nothing can confirm them; a probability of a table of drawn cells, and what was not run for lack of a sample of
    seeds, hang on them."""
    words = {"exploratory": "the grid"}
    exact = exact_claim("exact", "n", "oracle", "s", 1.0, (0.5, 1.5), count=3, sample="doublings", **words)
    drawn = exact_claim("drawn", "n", "oracle", "s", math.nan, (0.5, 1.5), count=3, sample="seeds", **words)
    table = joint.joint_claim("table", "n", "oracle", "s", joint.Joint(1.0, 2, 0.5), 2, exploratory="the grid")
    assert [claim.is_seedless for claim in (exact, drawn, table)] == [True, False, False]
    assert scoreboard.kind_in_words(exact) == "oracle, exploratory, no seed enters"
    assert scoreboard.kind_in_words(table) == "oracle, exploratory"
    assert scoreboard.kind_with_source(exact) == "oracle: s, exploratory, no seed enters"
    assert scoreboard.kind_with_source(dataclasses.replace(table, kind="ours", source="ours")) == "ours, exploratory"
    read = dataclasses.replace(table, name="n", kind="number", source="a paper (P)", exploratory="")
    assert scoreboard.kind_with_source(read) == "published number: a paper (P)"
    assert "| n | published number: a paper (P) |" in scoreboard.scoreboard([read], with_sources=True)
    assert "| n | published number (P) |" in scoreboard.scoreboard([read])
    settled = dataclasses.replace(exact, exploratory="", sample="exact", count=1)
    miss = dataclasses.replace(settled, verdict="not reproduced")
    assert scoreboard.headline([settled, miss, dataclasses.replace(drawn, exploratory="")]) == [
        "oracle: 1 of 3 reproduced (1 of 2 exact), 2 not reproduced, 0 undecided"
    ]
    found = claims.with_fresh([exact, drawn, table], [exact, drawn, table], 1_000)
    assert [claim.confirmation for claim in found] == [None, "confirmed", "confirmed"]
    counts = "oracle, exploratory: 2 of 3 reproduced, 1 not reproduced, 0 undecided; "
    assert scoreboard.headline([exact, drawn, table]) == [f"{counts}on fresh seeds 2 not run; 1 that no seed enters"]
    line = "on fresh seeds 1 reproduced again, 1 missed again, 0 contradicted, 0 open; 1 that no seed enters"
    assert scoreboard.headline(found) == [counts + line]


def test_fresh_seeds_confirm_contradict_or_leave_open():
    """What is exploratory says what it came to again, in its row, below and in the headline; what is not does not."""
    values = {"yes": [1.0, 1.0], "no": [3.0, 3.0], "open": [1.0, 3.0]}
    make = lambda words, key, **more: mean_claim(key, key, "ours", "s", values[words], (0.5, 1.5), **more)  # noqa: E731
    first = [make("yes", key, exploratory="the rate") for key in ("a", "b", "c", "d")] + [make("yes", "e")]
    again = [make("yes", "a"), make("no", "b"), make("open", "c"), make("yes", "e")]
    found = claims.with_fresh(first, again, 1_000)
    assert [claim.confirmation for claim in found] == ["confirmed", "contradicted", "open", None, None]
    assert [claim.verdict for claim in found] == [claim.verdict for claim in first]
    assert (
        scoreboard.cells(found[1])[3] == "1.0000; fresh 3.0000"
        and scoreboard.cells(found[1])[-1] == "yes; fresh **no**"
    )
    assert scoreboard.notes(found) == [
        "all 4 exploratory lines: exploratory: the rate",
        "a: on fresh seeds, from 1,000 on: reproduced again",
        "b: on fresh seeds, from 1,000 on: contradicted",
        "c: on fresh seeds, from 1,000 on: open",
    ]
    fresh = "on fresh seeds 1 reproduced again, 0 missed again, 1 contradicted, 1 open, 1 not run"
    line = f"ours, exploratory: 4 of 4 reproduced, 0 not reproduced, 0 undecided; {fresh}"
    assert scoreboard.headline(found)[1] == line
    counts = ["ours", "1 of 1", "0", "0", "4 of 4", "0", "0", fresh.removeprefix("on fresh seeds ")]
    assert scoreboard.counts_by_kind(found) == [counts]
    text = json.dumps(found[1].to_dict(), allow_nan=False)
    assert Claim.from_dict(json.loads(text)) == found[1]


def test_claims_of_earlier_versions_stay_readable():
    """They know nothing of rivals' places, of what would decide, nor of fresh seeds."""
    written = mean([1.0, 2.0, 3.0], (0.0, 4.0)).to_dict()
    old = {name: value for name, value in written.items() if name not in claims.LATER}
    assert Claim.from_dict(old).needed is None and Claim.from_dict(old).rival_at == ()


def test_bands_in_words():
    """Open sides, and ends that do not belong to them, on which the rival lies."""
    above, below = claims.above, claims.below
    bands = [
        (0.5, 1.5),
        (2.0, None),
        (None, None),
        (above(0.0), 1.0),
        (above(-0.2), None),
        (0.0, below(2.0)),
        (None, below(1.0)),
    ]
    assert [scoreboard.band_in_words(band) for band in bands] == [
        "0.5000 to 1.5000",
        "2.0000 or more",
        "any",
        "more than 0.0000 to 1.0000",
        "more than -0.2000",
        "0.0000 to less than 2.0000",
        "less than 1.0000",
    ]


def test_numbers_of_the_scoreboard():
    """Four decimals, and two digits for what they would hide."""
    assert [scoreboard.number(value) for value in (0.95, 0.0, 3.28e-5, 12.0, np.nan)] == [
        "0.9500",
        "0.0000",
        "3.3e-05",
        "12.0000",
        "unknown",
    ]


def test_headline_counts_kinds_apart():
    """Nothing is added up over kinds, and exploratory claims are counted beside them."""
    found = [
        mean([1.0, 1.0], (0.5, 1.5)),
        mean([1.0, 3.0], (0.5, 2.5)),
        exact_claim("k", "n", "oracle", "s", 2.0, (0.5, 1.5), exploratory="the grid"),
    ]
    assert scoreboard.headline(found) == [
        "published number: 1 of 2 reproduced, 0 not reproduced, 1 undecided",
        "oracle, exploratory: 0 of 1 reproduced (0 of 1 exact), 1 not reproduced, 0 undecided; 1 that no seed enters",
    ]
    assert scoreboard.counts_by_kind(found) == [
        ["published number", "1 of 2", "0", "1", "", "", "", ""],
        ["oracle", "", "", "", "0 of 1 (0 of 1 exact)", "1", "0", "1 that no seed enters"],
    ]
