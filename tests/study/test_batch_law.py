"""The law of the steps by batch size: fitted to itself, and to what it is not."""

import numpy as np
import pytest

from experiments.study import batch_law

SIZES_B = np.array([1, 4, 16, 32, 64, 256, 1_024, 4_096], float)


def test_fit_finds_the_law_that_made_the_steps():
    """S_min and the knee to the fineness of the search; with all steps scaled alike the knee stays."""
    for least, knee in ((80.0, 150.0), (7.0, 3.0)):
        assert batch_law.fit(SIZES_B, least * (1 + knee / SIZES_B)) == pytest.approx((least, knee), rel=4e-3)
    assert np.isnan(batch_law.fit(SIZES_B, np.where(SIZES_B > 9, np.nan, 1.0))).all()


def test_interval_of_the_largest_misfit_is_joint():
    """Of the law itself it is nothing, also where seeds differ by a factor; a size that is 40 % off for all seeds stays
    off, and one that scatters by e is not known."""
    exact_BxS = np.repeat(80 * (1 + 200 / SIZES_B)[:, None], 3, axis=1)
    assert batch_law.misfit_interval(SIZES_B, exact_BxS * [1.0, 2.0, 3.0]) == pytest.approx((0, 0), abs=2e-3)
    off_BxS = exact_BxS.copy()
    off_BxS[3] *= 1.6
    low, high = batch_law.misfit_interval(SIZES_B, off_BxS)
    assert low == pytest.approx(high) == pytest.approx(batch_law.misfit(SIZES_B, off_BxS).max())
    off_BxS[3] *= np.exp([-1, 0, 1])
    low, high = batch_law.misfit_interval(SIZES_B, off_BxS)
    assert low == 0 and high > 1


def test_steps_in_proportion_to_one_over_the_batch():
    """They fit themselves, and no steps that stay: 1 and 4 examples are a factor of 2 off in either direction."""
    sizes_B = np.array([1.0, 4.0])
    assert batch_law.misfit_in_proportion(sizes_B, (8 / sizes_B)[:, None]) == pytest.approx(0)
    assert batch_law.misfit_in_proportion(sizes_B, np.full((2, 3), 7.0)) == pytest.approx(1)
    assert batch_law.knees(SIZES_B, (7 * (1 + 3 / SIZES_B))[:, None]) == pytest.approx(3, rel=4e-3)
