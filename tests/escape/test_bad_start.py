"""The study of bad starts counts right."""

import numpy as np
import pytest

import input_pipeline
from experiments.escape import bad_start


def ended(random_RxS, bad_RxS):
    """Runs that end with those test accuracies and fit their training set."""
    test = np.array([random_RxS, bad_RxS], float)
    return bad_start.Ended(test, *[np.ones_like(test)] * 3, np.ones((*test.shape, 1)))


def test_a_bad_start_is_judged_by_its_gap_and_what_is_made_good():
    """Of descent's 9 points, batches that leave 3 have made good two thirds, those that leave 6 a third."""
    ways = {
        bad_start.DESCENT: ended([[0.90, 0.90, 0.90]] * 2, [[0.82, 0.81, 0.80], [0.5, 0.5, 0.5]]),
        bad_start.SMALL: ended([[0.9, 0.9, 0.9]] * 3, [[0.1] * 3, [0.1] * 3, [0.87, 0.87, 0.87]]),
        bad_start.REGULARIZED: ended([[0.9, 0.9, 0.9]] * 2, [[0.1] * 3, [0.84, 0.84, 0.84]]),
    }
    claims = bad_start.claims_of(ways, np.ones(3), np.full(3, 2.0), np.ones((2, 2)))
    assert [claim["reproduced"] for claim in claims] == [True, True, True, True, True, False]
    assert [claim["measured"] for claim in claims[2:]] == pytest.approx([9, 0.5, 2 / 3, 1 / 3])
    small_gap = ways | {bad_start.DESCENT: ended([[0.90, 0.90, 0.90]] * 2, [[0.89, 0.86, 0.80], [0.5] * 3])}
    line = bad_start.claims_of(small_gap, np.ones(3), np.full(3, 2.0), np.ones((2, 2)))[2]
    assert line["measured"] == pytest.approx(5) and not line["reproduced"]


def test_random_labels_are_random_and_always_the_same():
    """Only the training labels change; about a tenth stays as it is."""
    dataset = input_pipeline.load("mnist")
    first, again = bad_start.random_labels(dataset), bad_start.random_labels(dataset)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert np.mean(first.labels == dataset.labels) == pytest.approx(0.1, abs=0.01)
    assert first.labels.dtype == dataset.labels.dtype and np.bincount(first.labels).min() > 5_500
    assert first.images is dataset.images and first.validation_labels is dataset.validation_labels


def test_distance_is_that_of_all_weights():
    """3, 4 and 12 apart are 13 apart."""
    before = {"a": np.zeros(2), "b": np.zeros((1, 1))}
    assert bad_start.distance(before, {"a": np.array([3.0, -4.0]), "b": np.array([[12.0]])}) == pytest.approx(13)
