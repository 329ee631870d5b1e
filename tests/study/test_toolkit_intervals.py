"""Intervals of slopes and medians: they hold the truth as often as they say."""

import numpy as np
import pytest
from scipy.stats import linregress, t

from experiments.study import toolkit


def test_interval_of_a_slope_is_that_of_the_regression():
    """scipy's standard error by Student's quantile; a line without scatter is a point, two points have none."""
    random = np.random.default_rng(0)
    x_N = np.arange(7.0)
    y_N = 2 - 3 * x_N + random.normal(size=7)
    found = linregress(x_N, y_N)
    half = t.ppf(0.975, 5) * found.stderr  # pyright: ignore[reportAttributeAccessIssue]
    slope = found.slope  # pyright: ignore[reportAttributeAccessIssue]
    assert toolkit.slope_interval(x_N, y_N) == pytest.approx((slope - half, slope + half), rel=1e-9)
    assert toolkit.slope_interval(x_N, 2 - 3 * x_N) == pytest.approx((-3, -3), abs=1e-9)
    assert np.isnan(toolkit.slope_interval(x_N[:2], y_N[:2])).all()


def test_interval_of_a_median_is_between_two_of_the_values():
    """The outermost of six or eight, one further in of nine; none for fewer, or with a value that is none."""
    values_S = np.array([3.0, 1.0, 2.0, 5.0, 4.0, 9.0, 7.0, 8.0, 6.0])
    assert toolkit.median_interval(values_S) == (2.0, 8.0)
    assert toolkit.median_interval(values_S[:8]) == (1.0, 9.0)
    assert toolkit.median_interval(values_S[:6]) == (1.0, 9.0)
    assert np.isnan(toolkit.median_interval(values_S[:5])).all()
    assert np.isnan(toolkit.median_interval(np.array([np.nan] * 4 + [1.0] * 4))).all()


@pytest.mark.parametrize(("count", "held"), [(6, 0.969), (9, 0.961), (20, 0.959)])
def test_interval_of_a_median_holds_it_as_often_as_it_says(count, held):
    """Of skewed values, whose median is ln 2; the binomial's shares."""
    values_RxS = np.random.default_rng(count).exponential(size=(4_000, count))
    inside = [low <= np.log(2) <= high for low, high in map(toolkit.median_interval, values_RxS)]
    assert np.mean(inside) == pytest.approx(held, abs=0.01)
