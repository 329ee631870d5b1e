"""Trials that are drawn from ranges: a prefix of one sequence, spread evenly, within what was asked for."""

import itertools

import numpy as np
import pytest
from scipy import stats

from experiments.engine import ranges
from training.config import ConfigError

RANGES = [ranges.parse_range(text) for text in ("learning_rate=log:1e-3:10", "momentum=0:0.95", "batch_size=log:8:512")]


def test_more_points_replace_none():
    """Those of any number are the first ones of any larger number, whatever the order of the ranges."""
    most = ranges.draw(RANGES, 300)
    for count in (1, 2, 5, 64, 100):
        assert ranges.draw(RANGES, count) == most[:count]
    assert ranges.draw(RANGES[::-1], 300) == most


def test_the_seed_makes_the_points():
    """The same seed the same points, another one others."""
    assert ranges.draw(RANGES, 8, 3) == ranges.draw(RANGES, 8, 3) != ranges.draw(RANGES, 8, 4)
    # As they are: more trials of a sweep that was begun have to extend it.
    assert ranges.draw(RANGES, 1) == [{"learning_rate": 0.0436313, "momentum": 0.915914, "batch_size": 281}]


def test_points_fill_the_ranges_evenly():
    """Each field's values on its own scale, by Kolmogorov and Smirnov far closer than independent draws, and each cell
    of a grid over two fields as often as any other."""
    points = ranges.draw(RANGES, 256)
    rate = (np.log10([point["learning_rate"] for point in points]) + 3) / 4
    momentum = np.array([point["momentum"] for point in points]) / 0.95
    for unit in (rate, momentum):
        assert unit.min() >= 0 and unit.max() <= 1
        # 256 independent draws exceed .05 with a probability of one half.
        assert stats.kstest(unit, "uniform").statistic < 0.01
    cells = np.histogram2d(rate, momentum, bins=4, range=[[0, 1], [0, 1]])[0]
    assert np.all(abs(cells - 16) <= 1)


def test_whole_numbers_are_equally_likely():
    """The ends as the others; in the logarithm, as they are wide."""
    (size,) = {"batch_size"}
    drawn = [point[size] for point in ranges.draw([ranges.Range(size, 1, 4, False)], 1_024)]
    assert [drawn.count(value) for value in (1, 2, 3, 4)] == pytest.approx([256] * 4, abs=2)
    drawn = [point[size] for point in ranges.draw([ranges.Range(size, 1, 4, True)], 1_024)]
    widths = np.log([low / high for high, low in itertools.pairwise((0.5, 1.5, 2.5, 3.5, 4.5))])
    assert [drawn.count(value) for value in (1, 2, 3, 4)] == pytest.approx(1_024 * widths / widths.sum(), abs=2)
    assert {type(value) for value in drawn} == {int}


def test_a_narrow_range_has_different_values():
    """Digits enough that points do not fall together."""
    drawn = ranges.draw([ranges.Range("learning_rate", 0.1, 0.1 + 1e-7, False)], 128)
    assert len({point["learning_rate"] for point in drawn}) == 128


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hidden=1:2", ("hidden is no number to draw", "learning_rate", "--axis hidden=v1,v2")),
        ("seed=1:9", ("seed is no number to draw",)),
        ("learnin_rate=1:2", ("no config field", "did you mean 'learning_rate'?")),
        ("probe_every=1:2", ("says what is recorded",)),
        ("learning_rate=10:1", ("10 is not below 1",)),
        ("learning_rate=1:1", ("1 is not below 1",)),
        ("l2=log:0:1", ("0 has no logarithm",)),
        ("momentum=0:1", ("1 is not accepted", "a number in [0, 1)")),
        ("batch_size=1.5:8", ("'1.5' is no whole number", "NAME=LOW:HIGH")),
        ("learning_rate", ("is no range", "NAME=log:LOW:HIGH")),
        ("learning_rate=log:1", ("is no range",)),
        ("learning_rate=int:1:3", ("is no range",)),
        ("learning_rate=1:fast", ("'fast' is no number",)),
    ],
)
def test_bad_ranges_are_refused_in_one_line(text, words):
    """What was given, what is accepted."""
    with pytest.raises(ConfigError) as caught:
        ranges.parse_range(text)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), caught.value
