"""The perceptron study's points."""

from experiments.lecture import perceptron


def test_perceptron_points_are_separated_by_the_margin():
    """Novikoff's bound is that of a line which does separate the points."""
    x_BxD, labels_B, bound = perceptron.separable(3)
    assert x_BxD.shape == (perceptron.POINTS, 2) and 0 < labels_B.mean() < 1
    assert 1 < bound < 3 / perceptron.MARGIN**2
