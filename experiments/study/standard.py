"""The standard that a scoreboard's strictest reader holds its claims to, as far as a program can check it.

`faults` says in words what is wrong with a claim: a number that nobody is said to have printed, a band that cannot
fail, or that no sample can lie in, a verdict by a point where the sample has an interval. The tests hold every claim
of every study to it, at the size that they run, and those of docs/results.json.
"""

from collections.abc import Iterable

from experiments.study.claims import IN_RANGE, IS_IN_BAND, Claim
from experiments.study.scoreboard import STANDING

STANDINGS = {
    "P": "read in the primary text, code or data",
    "S": "read second-hand",
    "R": "recalled, and not found in a text",
}
# Samples that are drawn: what is measured of them has an interval. Sets, passes, points or arrays are all there are.
DRAWN = ("seeds", "walkers", "nets", "runs", "walks", "trapped runs", "groups of walkers")


def standing(source: str) -> str:
    """P, S or R, with which a source of something published ends; '' where it does not say."""
    found = STANDING.search(source)
    return found[0].strip("()") if found else ""


def is_drawn(sample: str) -> bool:
    """Whether a sample is one of many that could have been drawn, as `seeds` and `walkers at each of 13 points` are."""
    return any(sample == drawn or sample.startswith(f"{drawn} ") for drawn in DRAWN)


def faults(claim: Claim) -> list[str]:
    """What is wrong with a claim by the standard, [] where nothing is."""
    is_exact, (low, high) = claim.rule == IS_IN_BAND, claim.band
    is_published = claim.kind in ("number", "direction")
    checks = (
        (claim.kind == "number" and not claim.published, "it is called a published number, and none is given"),
        (is_published and not standing(claim.source), "its source does not end with its standing, (P), (S) or (R)"),
        (not claim.rival and not is_exact and claim.kind != "oracle", "it names no rival that its band excludes"),
        (claim.holds_rival and claim.verdict != "undecided", "its band holds its rival, so that it cannot fail"),
        (low is None and high is None, "its band has no end, so that it cannot fail"),
        (not is_exact and low is not None and low == high, "its band is a point, in which no interval can lie"),
        (
            is_exact and claim.count > 1 and is_drawn(claim.sample) and claim.measured == claim.measured,
            "it is judged by a point, where its sample has an interval",
        ),
    )
    # The range of two or three seeds is what it is: a draw is undecided where it holds the rival.
    is_draw = claim.rule.startswith(IN_RANGE)
    return [words for is_wrong, words in checks if is_wrong and not (is_draw and "rival, so" in words)]


def faults_of(claims: Iterable[Claim]) -> list[str]:
    """The faults of all of them, each with its claim's key."""
    return [f"{claim.key}: {words}" for claim in claims for words in faults(claim)]
