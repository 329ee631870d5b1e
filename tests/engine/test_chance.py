"""When a seed is broken."""

import numpy as np
import pytest
from scipy.stats import binom

from experiments.engine import chance


@pytest.mark.parametrize("examples", [1, 7, 85, 100, 10_000, 60_000])
def test_the_level_is_the_binomial_point(examples):
    """The smallest count below which 99.9 % of guesses stay, whatever the share of the largest class."""
    for share in (0.01, 0.1, 0.1135, 0.5, 0.97, 1.0):
        assert chance.level(share, examples) * examples == pytest.approx(binom.ppf(0.999, examples, share), abs=1e-6)


def test_the_level_of_labels():
    """By hand: of 8 examples, 4 of them of one class, 8 right ones come by chance in 1 of 256, 7 or more in 9."""
    assert chance.level_of(np.array([0, 0, 0, 0, 1, 1, 2, 2])) == 1.0
