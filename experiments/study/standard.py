"""The standard that a scoreboard's strictest reader holds its claims to, as far as a program can check it.

`faults` says in words what is wrong with a claim: a number that nobody is said to have printed, a band that cannot
fail, or that no sample can lie in, a rival that nothing is checked against, a verdict by a point where the sample has
an interval. The tests hold every claim of every study to it, at the size that they run, and those of
docs/results.json; `experiments.reproduce` prints what it finds, and docs/results.md how often.
"""

from collections.abc import Iterable

from experiments.study.claims import IN_BAND, IN_RANGE, IS_IN_BAND, NOT_MEASURED, Claim, is_drawn
from experiments.study.scoreboard import STANDING
from training.console import count

STANDINGS = {
    "P": "read in the primary text, code or data",
    "S": "read second-hand",
    "R": "recalled, and not found in a text",
}


def standing(source: str) -> str:
    """P, S or R, with which a source of something published ends; '' where it does not say."""
    found = STANDING.search(source)
    return found[0].strip("()") if found else ""


def cannot_fail(claim: Claim) -> bool:
    """Whether there is a hit although the band holds the rival; what misses such a band has failed. The range of two or
    three seeds is what it is: a draw is undecided where it holds the rival."""
    return claim.holds_rival and claim.is_reproduced and not claim.rule.startswith(IN_RANGE)


def is_by_point(claim: Claim) -> bool:
    """Whether there is a verdict by a point, of a sample that has an interval."""
    is_measured = claim.measured == claim.measured
    return claim.rule == IS_IN_BAND and claim.count > 1 and is_drawn(claim.sample) and is_measured


def is_in_words_alone(claim: Claim) -> bool:
    """Whether what has an interval names a rival, but not where it lies, so that nothing checks that the band excludes
    it. A rival that was to be measured in the same run, and could not be, lies nowhere."""
    is_placed = bool(claim.rival_at) or claim.rival.endswith(NOT_MEASURED)
    return bool(claim.rival) and claim.rule != IS_IN_BAND and not is_placed


def faults(claim: Claim) -> list[str]:
    """What is wrong with a claim by the standard, [] where nothing is."""
    is_exact, (low, high) = claim.rule == IS_IN_BAND, claim.band
    is_published = claim.kind in ("number", "direction")
    checks = (
        (claim.kind == "number" and not claim.published, "it is called a published number, and none is given"),
        (is_published and not standing(claim.source), "its source does not end with its standing, (P), (S) or (R)"),
        (not claim.rival and not is_exact and claim.kind != "oracle", "it names no rival that its band excludes"),
        # Earlier versions could not say where a rival lies.
        (is_in_words_alone(claim) and not claim.is_old, "its rival stands in words alone, without where it lies"),
        (cannot_fail(claim), "its band holds its rival, so that it cannot fail"),
        (low is None and high is None, "its band has no end, so that it cannot fail"),
        (not is_exact and low is not None and low == high, "its band is a point, in which no interval can lie"),
        (is_by_point(claim), "it is judged by a point, where its sample has an interval"),
    )
    return [words for is_wrong, words in checks if is_wrong]


def faults_of(claims: Iterable[Claim]) -> list[str]:
    """The faults of all of them, each with its claim's key."""
    return [f"{claim.key}: {words}" for claim in claims for words in faults(claim)]


def counts_in_words(claims: Iterable[Claim]) -> str:
    """`0 verdicts where the band holds the rival, 0 verdicts by point where a sample has an interval`; behind it how
    many are undecided for their rival, and of how many nobody can tell, where there are any."""
    claims = list(claims)
    failing, by_point, alone = (list(filter(is_so, claims)) for is_so in (cannot_fail, is_by_point, is_in_words_alone))
    held = [claim for claim in claims if claim.holds_rival and claim.verdict == "undecided"]
    words = (
        f"{count(failing, 'verdict')} where the band holds the rival, "
        f"{count(by_point, 'verdict')} by point where a sample has an interval"
    )
    words += f"; {len(held)} undecided, as the band or the range holds the rival" if held else ""
    drawn = [
        claim
        for claim in claims
        if claim.kind == "number" and claim.is_reproduced and claim.rule == IN_BAND and claim.low < claim.high
    ]
    beside = [claim for claim in drawn if not any(claim.low <= number <= claim.high for number in claim.published)]
    if beside:
        words += f"; of {count(drawn, 'published number')} reproduced by an interval in a band, {len(beside)} lie "
        words += "outside that interval themselves"
    return words + (f"; {len(alone)} with an interval whose rival stands in words alone, unchecked" if alone else "")
