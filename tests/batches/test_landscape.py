"""A path's plane, barriers, widths against closed forms; the studies of the landscape and of bad starts count right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import input_pipeline
from experiments.batches import landscape
from experiments.escape import bad_start
from nets import curvature
from nets.landscape import barrier, instability, path_plane, width


@pytest.fixture(autouse=True, scope="module")
def quick_to_compile():
    """Compilation is nearly all the time of these tests."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_path_in_a_plane_is_found():
    """A path of three directions: the shares are the eigenvalues of its covariance, the coordinates its projection on
    the first two of them, the end is the origin and the start is positive."""
    random = np.random.default_rng(0)
    basis_3xP = np.linalg.qr(random.standard_normal((50, 3)))[0].T
    known_Sx3 = random.standard_normal((12, 3)) * np.array([3.0, 1.0, 0.1])
    path_SxP = np.float32(known_Sx3 @ basis_3xP + 7)
    plane = path_plane(path_SxP)
    values, vectors = np.linalg.eigh(np.cov(known_Sx3.T))
    np.testing.assert_allclose(plane.shares_2, values[:0:-1] / values.sum(), rtol=1e-4)
    expected_Sx2 = (known_Sx3 - known_Sx3[-1:]) @ vectors[:, :0:-1]
    expected_Sx2 *= np.sign(expected_Sx2[:1])
    np.testing.assert_allclose(plane.coordinates_Sx2, expected_Sx2, atol=1e-4)
    np.testing.assert_allclose(plane.directions_2xP @ plane.directions_2xP.T, np.eye(2), atol=1e-5)
    np.testing.assert_allclose(
        (path_SxP - path_SxP[-1:]) @ np.asarray(plane.directions_2xP).T, plane.coordinates_Sx2, atol=1e-4
    )


def test_shares_of_a_random_walk_and_of_a_straight_line():
    """6 / pi^2 and a quarter of it in the limit of a long walk in many dimensions; all in one; none to share."""
    walk_SxP = np.cumsum(np.random.default_rng(1).standard_normal((100, 20_000)), axis=0)
    np.testing.assert_allclose(path_plane(walk_SxP).shares_2, [6 / np.pi**2, 1.5 / np.pi**2], atol=0.01)
    line_SxP = np.arange(5.0)[:, None] * np.ones((1, 7))
    np.testing.assert_allclose(path_plane(line_SxP).shares_2, [1, 0], atol=1e-6)
    assert np.isnan(path_plane(np.ones((4, 3))).shares_2).all()


def test_heights_between_two_nets():
    """Above the higher end, and above the mean of both, line by line."""
    costs_2xA = np.array([[1.0, 5.0, 2.0, 3.0], [4.0, 2.0, 1.0, 0.0]])
    np.testing.assert_allclose(barrier(costs_2xA), [2, 0])
    np.testing.assert_allclose(instability(costs_2xA), [3, 2])


def test_width_of_a_bowl():
    """c + h a^2 / 2 doubles at sqrt(2 c / h), within the places' linear interpolation; infinite where it does not."""
    a_A, curvature_3 = np.linspace(0, 4, 401), np.array([1.0, 4.0, 0.01])
    costs_3xA = 0.5 + curvature_3[:, None] * a_A[None] ** 2 / 2
    np.testing.assert_allclose(width(a_A, costs_3xA, 2 * costs_3xA[:, 0]), [1, 0.5, np.inf], rtol=1e-4)
    assert float(width(np.array([0.0, 2.0]), np.array([1.0, 5.0]), 2.0)) == 0.5
    # The first of two passes counts; what is reached at the start has no width.
    assert float(width(np.arange(5.0), np.array([0.0, 2.0, 0.0, 0.0, 9.0]), 1.0)) == 0.5
    assert float(width(np.arange(3.0), np.array([2.0, 0.0, 2.0]), 1.0)) == 0.0


def test_plane_goes_with_the_cost_on_it():
    """On a quadratic cost whose path keeps to two weights, the cost in the plane is that at the path's points."""
    path_Sx3 = np.array([[2.0, 1.0, 5.0], [1.0, -1.0, 5.0], [0.5, 0.2, 5.0], [0.0, 0.0, 5.0]], np.float32)
    plane = path_plane(path_Sx3)
    function = lambda w_P, rows_BxP: jnp.sum((w_P[None] - rows_BxP) ** 2, axis=1)  # noqa: E731
    data = np.zeros((1, 3), np.float32)
    a_A, b_B = np.asarray(plane.coordinates_Sx2).T
    cost_AxB = curvature.cost_on_plane(function, path_Sx3[-1], tuple(plane.directions_2xP), a_A, b_B, data)
    np.testing.assert_allclose(np.diag(cost_AxB), np.sum(path_Sx3**2, axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: path_plane(np.ones((2, 5))), r"path_SxP has shape \(2, 5\)"),
        (lambda: path_plane(np.ones((5, 1))), r"S >= 3 and P >= 2"),
        (lambda: barrier(np.ones((3, 1))), r"costs_xA has shape \(3, 1\)"),
        (lambda: instability(np.float32(1.0)), r"errors_xA has shape \(\)"),
        (lambda: width(np.ones(3), np.ones((2, 4)), 1.0), r"coordinates_A has shape \(3,\)"),
        (lambda: width(np.ones(4), np.ones((2, 4)), np.ones(3)), r"level_x \(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, says):
    """In one line that names what was given."""
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------------------------------------------------------
# The studies.


def test_flat_is_the_order_of_ravel():
    """What the paths hold goes back into the tree that it came from."""
    tree = {"b": {"kernel": np.arange(6.0).reshape(2, 3), "bias": np.ones(3)}, "a": np.full(2, 7.0)}
    np.testing.assert_array_equal(landscape.flat(tree), ravel_pytree(tree)[0])


def bowls(*doubled_at):
    """Costs from .04 on that double at those distances, a seed each, in one direction."""
    places_A = np.linspace(0, landscape.FARTHEST, landscape.PLACES)
    return 0.04 + 0.04 * (places_A[None, None] / np.array(doubled_at)[:, None, None]) ** 2


def test_widths_are_means_over_directions():
    """Directions that double at .5 and at 1: .75, whatever the cost."""
    cost_SxQxA = np.swapaxes(bowls(0.5, 1.0), 0, 1)
    for factor in (1, 3):
        found = landscape.widths(factor * cost_SxQxA, 2 * factor * cost_SxQxA[..., 0])
        np.testing.assert_allclose(found, [0.75], rtol=1e-3)


def test_width_claim_needs_the_whole_interval_above_one():
    """Ratios around 1.5 are wider; ratios from .6 to 1.9 do not decide."""
    sure = landscape.width_claim(bowls(1.4, 1.5, 1.6), bowls(1.0, 1.0, 1.0))
    unsure = landscape.width_claim(bowls(0.6, 1.5, 1.9), bowls(1.0, 1.0, 1.0))
    assert sure["reproduced"] and sure["measured"] == pytest.approx((1.4 * 1.5 * 1.6) ** (1 / 3), rel=1e-3)
    assert not unsure["reproduced"] and unsure["measured"] > 1 and "do not decide" in unsure["note"]


def test_a_width_that_is_no_width_is_left_out():
    """What starts above the level, or never reaches it, has no ratio; the others are 2 and 8."""
    one_S, other_S = np.array([2.0, 0.0, 8.0, np.inf, 3.0]), np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    assert landscape.ratio_of(one_S, other_S)[0] == pytest.approx(4)


def test_a_way_is_looked_at_and_solved(monkeypatch):
    """From the seeds' own draws on, a look every two epochs; solved at the first look whose cost is low enough."""
    dataset = input_pipeline.split(input_pipeline.load("mnist"), 64)
    dataset = dataset._replace(validation_images=dataset.images, validation_labels=dataset.labels)
    trained = landscape.run("small", landscape.Way(32, 0.1, 4, 2), dataset, 2)
    assert trained.path_SxLxP.shape == (2, 3, 55_050) and trained.solved_S.tolist() == [2, 2]
    assert (np.diff(trained.cost_SxL, axis=1) < 0).all() and (
        trained.path_SxLxP[0, 0] != trained.path_SxLxP[1, 0]
    ).any()
    monkeypatch.setattr(landscape, "TARGET", float(trained.cost_SxL[:, 1].max()))
    assert landscape.solved(trained.cost_SxL).tolist() == [1, 1]


def test_straightness_of_a_path():
    """3 along one axis and 4 along the other are 7 of way for a distance of 5; there and back again is none."""
    path_SxLxP = np.array([[[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]], [[1.0, 1.0], [2.0, 2.0], [1.0, 1.0]]])
    trained = landscape.Trained(path_SxLxP, np.zeros((2, 3)), np.zeros(2, int))
    np.testing.assert_allclose(landscape.straightness(trained), [5 / 7, 0])


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
