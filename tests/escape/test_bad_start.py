"""The study of bad starts counts and judges right."""

from collections import Counter

import numpy as np
import pytest

import input_pipeline
from experiments.escape import bad_start


def test_end_to_end(tiny_claims):
    """Two epochs on 64 images learn no random labels, and no true ones."""
    claims = tiny_claims(bad_start.STUDY)
    keys = ["learned", "descent/fit", "descent/gap", "descent/way", "made_good/small_batches", "made_good/regularized"]
    assert list(claims) == [*keys, "made_good/small_batches/rate0.1"]
    assert Counter(claim.kind for claim in claims.values()) == {"direction": 3, "ours": 4}
    assert [key for key, claim in claims.items() if claim.exploratory] == ["made_good/small_batches/rate0.1"]
    assert all(claim.count == 2 and claim.sample == "seeds" for claim in claims.values())
    assert claims["learned"].verdict != "reproduced" and claims["descent/fit"].verdict != "reproduced"


def ended(random_RxS, bad_RxS):
    """Runs that end with those test accuracies and fit their training set."""
    test = np.array([random_RxS, bad_RxS], float)
    ones = np.ones_like(test)
    return bad_start.Ended(test, ones, ones, ones, ones[..., None])


def claims_of(ways):
    """The claims on such runs."""
    travelled_S = np.array([2.0, 2.1, 2.2])
    return bad_start.claims_of(bad_start.FULL, ways, np.ones(3), travelled_S, np.ones((2, 2)))


def test_a_bad_start_is_judged_by_its_gap_and_what_is_made_good():
    """Of descent's 9 points, batches that leave 3 have made good two thirds, those that leave 6 a third."""
    descent, left = [0.811, 0.81, 0.809], [[0.871, 0.87, 0.869], [0.841, 0.84, 0.839]]
    ways = {
        bad_start.DESCENT: ended([[0.90, 0.90, 0.90]] * 2, [descent, [0.5, 0.5, 0.5]]),
        bad_start.SMALL: ended([[0.9, 0.9, 0.9]] * 3, [[0.1] * 3, [0.72] * 3, left[0]]),
        bad_start.REGULARIZED: ended([[0.9, 0.9, 0.9]] * 2, [[0.1] * 3, left[1]]),
    }
    claims = claims_of(ways)
    assert [claim.verdict for claim in claims] == ["reproduced"] * 5 + ["not reproduced"] * 3
    assert [claim.measured for claim in claims[2:6]] == pytest.approx(
        [9, np.mean(1 / np.array([2, 2.1, 2.2])), 2 / 3, 1 / 3]
    )
    lost, all_of_it = [[0.9, 0.9, 0.9]], {"longer": [[0.87, 0.855, 0.84]], "longer_l2": [[0.91, 0.90, 0.89]]}
    longer = {bad_start.LONGER[key]: ended(lost, bad_RxS) for key, bad_RxS in all_of_it.items()}
    added = {line.key.removeprefix("made_good/"): line for line in claims_of(ways | longer)[6:]}
    found = {key: pytest.approx(line.measured) for key, line in added.items()}
    assert found == {"small_batches/rate0.03": -80 / 9 + 1, "small_batches/rate0.1": -1, "longer": 0.5, "longer_l2": 1}
    assert all(line.exploratory for line in added.values()) and added["longer_l2"].is_reproduced
    wide_gap = ways | {bad_start.DESCENT: ended([[0.90, 0.90, 0.90]] * 2, [[0.89, 0.86, 0.80], [0.5] * 3])}
    line = claims_of(wide_gap)[2]
    assert line.measured == pytest.approx(5) and line.verdict == "undecided"


def test_interval_of_a_share_holds_the_noise_of_both_gaps():
    """Where a way leaves a third of each seed's own gap there is no noise in the share, however much the gaps differ;
    where it leaves the same of every seed, that of descent's gap is all there is."""
    descent_S = np.array([3.0, 6.0, 9.0])
    share, within = bad_start.share_made_good(descent_S / 3, descent_S)
    assert share == pytest.approx(2 / 3) and within == pytest.approx((2 / 3, 2 / 3))
    share, (low, high) = bad_start.share_made_good(np.full(3, 2.0), descent_S)
    # Student's 4.303 for two degrees, times a third of a standard deviation of 3 over 6, over the root of 3.
    assert share == pytest.approx(2 / 3) and (high - low) / 2 == pytest.approx(4.3027 / 3 * 0.5 / 3**0.5, rel=1e-4)


def test_fit_is_judged_by_the_lowest_of_all_means():
    """One rate from one start that ends at .95 is enough to fail; noise that reaches below .99 is undecided."""
    fit_2xRxS = np.ones((2, 2, 4))
    assert bad_start.fit_claim(fit_2xRxS).is_reproduced
    fit_2xRxS[1, 0] = [0.95, 0.951, 0.949, 0.95]
    assert bad_start.fit_claim(fit_2xRxS).verdict == "not reproduced"
    fit_2xRxS[1, 0] = [1.0, 1.0, 1.0, 0.98]
    line = bad_start.fit_claim(fit_2xRxS)
    assert line.verdict == "undecided" and line.measured == pytest.approx(0.995) and line.high == 1


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


def test_quick_size_trains_what_is_judged():
    """Descent, small batches and the regularized way, and all courses that are drawn; the longest ways are for full."""
    size = bad_start.QUICK
    judged = {bad_start.DESCENT, size.small, size.regularized, *(name for name, _ in size.drawn)}
    assert judged <= size.settings.keys() < bad_start.FULL.settings.keys()
    assert bad_start.FULL.settings.keys() - size.settings.keys() == set(bad_start.LONGER.values())
