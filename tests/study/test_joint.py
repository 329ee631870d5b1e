"""Tables judged jointly: against scipy's contingency tables, and by bands."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2, chi2_contingency

from experiments.study import joint


def test_two_by_two_tables_are_added_up():
    """Pearson's statistic of each cell, as scipy has it; a cell without any failure on either side says nothing."""
    successes, published = [75, 170, 400], [0.23, 0.47, 1.0]
    found = joint.against_runs(successes, [400] * 3, published, 100)
    counts = [[[k, 400 - k], [100 * p, 100 - 100 * p]] for k, p in zip(successes[:2], published[:2], strict=True)]
    tables: list[Any] = [chi2_contingency(count, correction=False) for count in counts]
    expected = sum(table.statistic for table in tables)
    assert found.chi_squared == pytest.approx(expected) and found.degrees == 2
    assert found.p == pytest.approx(chi2.sf(expected, 2))


def test_cells_that_all_lean_one_way_are_off_together():
    """Each share is 5 points low, which is within 15 of its own and 2 standard deviations: twelve of them are not
    chance."""
    published = np.full(12, 0.5)
    low = joint.against_runs(np.full(12, 180), np.full(12, 400), published, 400)
    assert low.p < 0.05 and joint.against_runs(np.full(12, 200), np.full(12, 400), published, 400).p == 1
    claim = joint.joint_claim("k", "n", "number", "s (P)", low, 12, published)
    assert claim.verdict == "not reproduced" and claim.note == f"chi-squared {low.chi_squared:.1f} on 12"
    assert (claim.count, claim.sample) == (12, "cells") and not claim.is_seedless


def test_chance_alone_is_rejected_as_often_as_it_should_be():
    """Under the published shares, one table in twenty."""
    random, published = np.random.default_rng(0), np.array([0.2, 0.5, 0.7])
    p = [
        joint.against_runs(random.binomial(400, published), [400] * 3, random.binomial(100, published) / 100, 100).p
        for _ in range(1_000)
    ]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.025)


def test_bands_are_left_by_shares_beyond_their_ends():
    """Inside of all bands nothing is off; four standard deviations beyond one end is."""
    bands = [(0.9, None), (0.55, 0.65), (None, 0.01)]
    assert joint.against_bands([950, 600, 5], [1_000] * 3, bands).p == 1
    off = joint.against_bands([950, 720, 5], [1_000] * 3, bands)
    assert off.chi_squared == pytest.approx(0.07**2 / (0.65 * 0.35 / 1_000)) and off.degrees == 3 and off.p < 1e-3
    assert joint.against_bands([1], [10], [(0.0, 0.0)]).p == 0
