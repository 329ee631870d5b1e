"""The search for a number's best value: known optima, edges, diverging and broken seeds, ties."""

import math

import numpy as np
import pytest

from experiments.engine.searching import Rule, best_of_others, decide, search, spacing

DECADES = (0.001, 0.01, 0.1, 1.0, 10.0)


def quadratic(optimum, noise=0.0, seeds=3):
    """Scores that fall with the square of the distance in decades, the same number for the same value."""

    def scores_of(values):
        of = {}
        for value in values:
            random = np.random.default_rng(round(1e6 * math.log10(value)) % 2**32)
            of[value] = 0.9 - 0.05 * (math.log10(value) - optimum) ** 2 + random.normal(0, noise, seeds)
        return of

    return scores_of


@pytest.mark.parametrize("optimum", np.linspace(-2.9, 0.9, 9))
def test_the_choice_lies_within_the_last_spacing(optimum):
    """Two halvings of a decade are a quarter; the noise is far below what a quarter of a decade changes."""
    choice = decide(search(DECADES, Rule("log")), quadratic(optimum, noise=1e-4))
    assert abs(math.log10(choice.value) - optimum) < 0.25
    assert choice.is_sound and not choice.at_edge and len(choice.values) <= 5 + 2 + 2 + 2
    assert choice.score == pytest.approx(0.9, abs=0.05 * 0.25**2 + 1e-3)


def test_a_grid_is_extended_up_to_its_limit():
    """On the side of the edge, in steps of the grid; the limit is said, and what is not accepted is no edge."""
    for optimum, extensions, at_edge in ((3.0, 6, False), (-6.0, 4, False), (-6.0, 3, True), (5.4, 3, True)):
        rule = Rule("log", extensions=extensions, refinements=0)
        choice = decide(search(DECADES, rule), quadratic(optimum))
        assert choice.at_edge == at_edge
        if not at_edge:
            assert choice.value == pytest.approx(10.0**optimum)
        outermost = choice.values[-1] if optimum > 0 else choice.values[0]
        assert math.log10(outermost) == pytest.approx(optimum + math.copysign(1, optimum)) or at_edge
        assert len(choice.values) <= 5 + extensions
    bounded = decide(search(DECADES, Rule("log"), lambda value: value <= 10), quadratic(3.0))
    assert bounded.value == 10.0 and not bounded.at_edge


def test_values_are_short_and_each_is_asked_for_once():
    """1, 1.778, 3.162, ...; whole numbers where the field has these."""
    asked = []

    def watched(values):
        asked.extend(values)
        return quadratic(0.9)(values)

    choice = decide(search((0.1, 1.0, 10.0), Rule("log")), watched)
    assert asked == [0.1, 1.0, 10.0, 100.0, 3.162, 31.62, 5.623, 17.78] and choice.value == 10.0
    whole = decide(search((16, 64, 256), Rule("log", is_whole=True)), quadratic(math.log10(24)))
    assert whole.values == (4, 8, 16, 23, 32, 45, 64, 256) and whole.value == 23
    assert {type(value) for value in whole.values} == {int}


def test_scales():
    """A momentum comes near to 1 by tenths of what is left, and never reaches it; 0 has no place among logarithms."""
    score = lambda values: {value: np.full(2, -abs(value - 0.99)) for value in values}  # noqa: E731
    momentum = decide(search((0.0, 0.6838, 0.9), Rule("gap", refinements=0), lambda value: 0 <= value < 1), score)
    assert momentum.values == (0.0, 0.6838, 0.9, 0.9684, 0.99, 0.9968) and momentum.value == 0.99
    smaller = lambda values: {value: np.full(2, -value) for value in values}  # noqa: E731
    zero = decide(search((0.0, 0.001, 0.01), Rule("log"), lambda value: value >= 0), smaller)
    assert zero.value == 0 and zero.values == (0.0, 0.001, 0.01) and not zero.at_edge
    with pytest.raises(ValueError, match="fewer than two"):
        spacing([0.0, 0.1], Rule("log"))


def test_values_at_which_seeds_diverge_are_left_out():
    """The best rate below the edge of divergence is found, however good the seeds are that survive beyond it; where
    all diverge, the grid goes on to both sides until some do not."""

    def scores_of(values):
        return {v: np.array([0.8, 0.8, math.nan]) if v > 2 else np.full(3, 0.5 + v / 10) for v in values}

    choice = decide(search((0.5, 1.0, 4.0), Rule("log")), scores_of)
    assert choice.value == pytest.approx(2.0, rel=0.3) and choice.value <= 2 and choice.is_sound
    everywhere = lambda values: {v: np.full(2, math.nan if v > 0.02 else 0.5) for v in values}  # noqa: E731
    assert decide(search((1.0, 10.0, 100.0), Rule("log")), everywhere).value <= 0.02
    nowhere = decide(
        search((1.0, 10.0), Rule("log", extensions=1)), lambda values: dict.fromkeys(values, np.full(2, 0.1))
    )
    assert nowhere.is_sound  # A low score is no breakdown, unless the rule says from where on it is one.
    broken = Rule("log", extensions=1, broken=0.2)
    nowhere = decide(search((1.0, 10.0), broken), lambda values: dict.fromkeys(values, np.full(2, 0.1)))
    assert not nowhere.is_sound and nowhere.at_edge and nowhere.values == (0.1, 1.0, 10.0, 100.0)


def test_ties_are_the_middle_of_what_is_equally_good():
    """A plateau is no reason to go beyond an edge."""
    flat = decide(search(DECADES, Rule("log", refinements=0)), lambda values: dict.fromkeys(values, np.full(3, 1.0)))
    assert flat.value == 0.1 and flat.values == DECADES


def test_a_seed_does_not_choose_its_own_value():
    """The third seed's luck at the second rate counts for the others alone; what most seeds are sent to is chosen."""
    accuracy_RxS = np.array([[0.90, 0.90, 0.90], [0.89, 0.89, 0.99], [0.97, 0.97, np.nan]])
    assert best_of_others(accuracy_RxS[:2]).tolist() == [1, 1, 0]
    assert best_of_others(accuracy_RxS).tolist() == [1, 1, 0]
    assert best_of_others(accuracy_RxS[:, :1]).tolist() == [2]
    scores = dict(zip((0.1, 1.0), accuracy_RxS, strict=False))
    choice = decide(search(scores, Rule("log", extensions=0, refinements=0)), lambda values: scores)
    assert choice.value == 1.0 and choice.of_seeds.tolist() == [1.0, 1.0, 0.1]
    assert choice.score == pytest.approx((0.89 + 0.89 + 0.90) / 3)


def test_a_value_that_breaks_a_seed_is_ruled_out():
    """For all seeds, also that one, for which it would be the others' choice; where there is no other value, those that
    break the fewest are compared, a diverged seed as 0."""
    accuracy_RxS = np.array([[0.90, 0.90, 0.90], [0.97, 0.97, np.nan], [0.98, 0.98, 0.11]])
    assert best_of_others(accuracy_RxS, 0.2).tolist() == [0, 0, 0]
    assert best_of_others(accuracy_RxS, 0.1).tolist() == [0, 0, 2]
    assert best_of_others(accuracy_RxS[1:], 0.2).tolist() == [1, 1, 1]
    costs_RxS = -np.array([[0.5, 0.5, np.nan], [0.4, np.nan, 0.4], [3.0, 3.0, 3.0]])
    assert best_of_others(costs_RxS).tolist() == [2, 2, 2]
