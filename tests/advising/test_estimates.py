"""Intervals of advice against their definitions."""

import math

import numpy as np
import pytest

from experiments.advising.estimates import Estimate, as_json, brief, geometric, ratio


def test_interval_of_a_ratio_holds_what_makes_it():
    """Fieller's ends are the ratios r at which the mean of top - r bottom is 2.776 of its standard errors from 0."""
    random = np.random.default_rng(0)
    top_K, bottom_K = random.normal(10, 1, 5), random.normal(2, 0.1, 5)
    found = ratio(top_K, bottom_K)
    assert found.value == pytest.approx(np.mean(top_K) / np.mean(bottom_K))
    for end in (found.low, found.high):
        rest_K = top_K - end * bottom_K
        assert abs(rest_K.mean()) / (rest_K.std(ddof=1) / 5**0.5) == pytest.approx(2.776, abs=1e-3)


def test_ratio_without_an_upper_end():
    """Where the lower mean may be 0, nobody knows how large the ratio is; the lower end keeps Fieller's condition."""
    top_K, bottom_K = np.array([9.0, 10.0, 11.0, 10.0, 10.0]), np.array([0.5, -0.4, 0.3, 0.6, -0.1])
    found = ratio(top_K, bottom_K)
    assert math.isinf(found.high) and 0 < found.low < found.value
    rest_K = top_K - found.low * bottom_K
    assert abs(rest_K.mean()) / (rest_K.std(ddof=1) / 5**0.5) == pytest.approx(2.776, abs=1e-3)
    assert found.within == f"{brief(found.low)} or more"
    assert math.isinf(ratio(top_K, -np.abs(bottom_K)).value)
    assert math.isnan(ratio(np.full(5, np.nan), bottom_K).value)


def test_geometric_mean_of_what_may_vanish():
    """Its interval is that of the logarithms; of values that are not all above 0 nothing is known."""
    found = geometric(np.array([1.0, 4.0, 2.0]))
    assert found.value == pytest.approx(2.0) and found.low * found.high == pytest.approx(4.0)
    assert math.isnan(geometric(np.array([1.0, 0.0])).value)


def test_numbers_in_words_and_json():
    """What is not finite is a word, and null."""
    assert str(Estimate(1234.4, 1000.0, 2000.2)) == "1,234 (1,000 to 2,000)"
    assert str(Estimate(math.inf)) == "without limit"
    given = {"a": [Estimate(1.0, math.nan, math.inf)], "b": (math.inf, 2, "x")}
    assert as_json(given) == {"a": [{"value": 1.0, "low": None, "high": None}], "b": [None, 2, "x"]}
