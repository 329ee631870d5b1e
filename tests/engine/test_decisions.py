"""What paired seeds tell: known tables against scipy and statsmodels, error rates, the set of the best."""

import math

import numpy as np
import pytest
from scipy import stats

from experiments.engine import decisions, statistics

RANDOM = np.random.default_rng(7)
TABLE_CxS = RANDOM.normal(size=(5, 8)) + RANDOM.normal(size=(1, 8)) + np.array([[0.0], [0.1], [1.0], [2.0], [2.1]])


def test_pairs_against_scipy():
    """Mean, interval and p of the paired t-test, to 1e-9; NaN is left out, pair by pair."""
    values_CxS = TABLE_CxS.copy()
    values_CxS[1, 3] = np.nan
    found = decisions.pairs_of(values_CxS[4] - values_CxS)
    for c in range(4):
        told = np.isfinite(values_CxS[c])
        expected = stats.ttest_rel(values_CxS[4][told], values_CxS[c][told])
        low, high = expected.confidence_interval(0.95)
        assert found.n[c] == told.sum()
        np.testing.assert_allclose(
            [found.p[c], found.low[c], found.high[c]], [expected.pvalue, low, high], rtol=1e-9, atol=1e-12
        )
        assert found.std[c] == pytest.approx(np.std((values_CxS[4] - values_CxS[c])[told], ddof=1), rel=1e-9)


def test_pairs_that_tell_little():
    """One seed has no interval; equal differences have the p of the sign test, none that of no difference."""
    one = decisions.pairs_of(np.array([0.5]))
    assert one.mean == 0.5 and math.isnan(one.p) and math.isnan(one.low)
    same = decisions.pairs_of(np.array([[0.01, 0.01, 0.01, 0.01], [0.0, 0.0, 0.0, 0.0]]))
    assert same.p.tolist() == [0.125, 1.0] and same.std.tolist() == [0.0, 0.0]


def test_holm_against_its_definition():
    """An example worked by hand: 4 x .01, 3 x .02, 2 x .04 but no less than the one before, 1 x .9."""
    np.testing.assert_allclose(statistics.holm(np.array([0.9, 0.02, 0.01, 0.04])), [0.9, 0.06, 0.04, 0.08])
    np.testing.assert_allclose(statistics.holm(np.array([0.02, 0.03])), [0.04, 0.04])


def test_against_statsmodels():
    """Holm's p-values and the power of a paired t-test, to 1e-9."""
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is not installed")
    power = pytest.importorskip("statsmodels.stats.power")
    p_N = RANDOM.random(40) ** 3
    np.testing.assert_allclose(statistics.holm(p_N), multitest.multipletests(p_N, method="holm")[1], rtol=1e-9)
    for effect, n, level in ((0.5, 10, 0.05), (1.2, 5, 0.01), (-0.8, 20, 0.002)):
        expected = power.TTestPower().power(abs(effect), n, level, alternative="two-sided")
        assert statistics.power_of(effect, n, level) == pytest.approx(expected, rel=1e-9)


def test_seeds_to_tell():
    """The published numbers of pairs for a power of .8 (G*Power 3, medium, large and very large effects); the number
    before is too small; none for an effect that nobody will see."""
    assert [statistics.seeds_to_tell(effect) for effect in (0.5, 0.8, 1.0)] == [34, 15, 10]
    assert statistics.power_of(0.8, 15, 0.05) >= 0.8 > statistics.power_of(0.8, 14, 0.05)
    assert statistics.seeds_to_tell(0.001) is None and statistics.seeds_to_tell(1e6) == 2
    # Where the noncentral t is no number in the tail of the wrong sign.
    assert 0.999999 < statistics.power_of(3.0, 10, 0.01) < 1.0


def test_differences_are_adjusted_over_all_pairs():
    """Whichever came first: Holm over the ten pairs of five settings."""
    upper = np.triu_indices(5, 1)
    p_P = np.array([stats.ttest_rel(TABLE_CxS[i], TABLE_CxS[j]).pvalue for i, j in zip(*upper, strict=True)])
    adjusted = dict(zip(zip(*upper, strict=True), statistics.holm(p_P), strict=True))
    found = decisions.differences(TABLE_CxS, 4, [0, 1, 2, 3])
    np.testing.assert_allclose([of.p_holm for of in found], [adjusted[c, 4] for c in range(4)], rtol=1e-9)
    assert found[0].mean == pytest.approx(np.mean(TABLE_CxS[4] - TABLE_CxS[0]))
    # Of costs the lower one is ahead.
    (of_cost,) = decisions.differences(TABLE_CxS, 0, [4], sign=-1)
    assert of_cost.mean == pytest.approx(found[0].mean) and of_cost.low == pytest.approx(found[0].low)


def test_the_set_of_the_best():
    """Out is what another is ahead of with p below .05 / 4; the two that are .1 apart stay; costs are turned round."""
    best = decisions.best_of(TABLE_CxS)
    expected = {
        c
        for c in range(5)
        if not any(
            np.mean(TABLE_CxS[j] - TABLE_CxS[c]) > 0 and stats.ttest_rel(TABLE_CxS[j], TABLE_CxS[c]).pvalue <= 0.05 / 4
            for j in range(5)
            if j != c
        )
    }
    assert set(best.settings) == expected and {3, 4} <= expected and 0 not in expected and best.among == 5
    assert decisions.best_of(-TABLE_CxS, sign=-1).settings == best.settings
    some = decisions.best_of(TABLE_CxS, compared_C=np.array([True, True, False, False, False]))
    assert (
        some.settings == (1, 0) and some.among == 2 and np.isnan(some.p_C).tolist() == [False, False, True, True, True]
    )


def test_seeds_that_decide():
    """Of the next one, at the level of that many settings; more settings take more seeds."""
    (of,) = decisions.differences(TABLE_CxS, 2, [1])
    few, many = (decisions.seeds_that_decide(of, among) for among in (2, 50))
    assert few == statistics.seeds_to_tell(of.mean / of.std) and many > few
    assert decisions.seeds_that_decide(of._replace(std=math.nan), 2) is None


@pytest.mark.parametrize("settings", [2, 6])
def test_error_rates(settings):
    """Of A/A sweeps of five seeds: intervals hold in 93 to 97 %, a false winner is in at most 5 % (and what chance
    adds to that); the best one is in the set."""
    random = np.random.default_rng(settings)
    spreads_Cx1 = np.geomspace(0.5, 2.0, settings)[:, None]
    values_NxCxS = random.normal(size=(4000, 1, 5)) + spreads_Cx1 * random.normal(size=(4000, settings, 5))
    found = decisions.pairs_of(values_NxCxS[:, 0] - values_NxCxS[:, 1])
    assert 0.93 <= np.mean((found.low <= 0) & (found.high >= 0)) <= 0.97
    winners = left_out = 0
    for values_CxS in values_NxCxS[:1000]:
        winners += len(decisions.best_of(values_CxS).settings) == 1
        values_CxS[0] += 0.5
        left_out += 0 not in decisions.best_of(values_CxS).settings
    assert winners <= stats.binom.ppf(0.999, 1000, 0.05) and left_out <= 0.05 * 1000


def test_two_groups():
    """Some seeds at chance and others not; normal ones are no groups but once in a thousand times."""
    low, high = statistics.two_groups(np.array([0.951, 0.1, 0.949, 0.0982, 0.95, np.nan]))
    assert low == (0.0982, 0.1) and high == (0.949, 0.95, 0.951)
    assert statistics.two_groups(np.array([0.1, 0.95, 0.951])) is None, "three seeds are points"
    draws = np.random.default_rng(1).normal(size=(1000, 8))
    assert sum(statistics.two_groups(values_S) is not None for values_S in draws) <= 6
