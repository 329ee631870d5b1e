"""The study of the landscape counts right."""

import json

import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import input_pipeline
from experiments.batches import landscape
from experiments.batches.landscape import STUDY
from experiments.study import command
from experiments.study.claims import Claim
from training.files import RunError

SIZE = STUDY.sizes["quick"]


def test_flat_is_the_order_of_ravel():
    """What the paths hold goes back into the tree that it came from."""
    tree = {"b": {"kernel": np.arange(6.0).reshape(2, 3), "bias": np.ones(3)}, "a": np.full(2, 7.0)}
    np.testing.assert_array_equal(landscape.flat(tree), ravel_pytree(tree)[0])


def bowls(*doubled_at):
    """Costs from .04 on that double at those distances, a seed each, in one direction."""
    return 0.04 + 0.04 * (SIZE.along()[None, None] / np.array(doubled_at)[:, None, None]) ** 2


def test_widths_are_means_over_directions():
    """Directions that double at .5 and at 1: .75, whatever the cost."""
    cost_SxQxA = np.swapaxes(bowls(0.5, 1.0), 0, 1)
    for factor in (1, 3):
        found = landscape.widths(SIZE.along(), factor * cost_SxQxA, 2 * factor * cost_SxQxA[..., 0])
        np.testing.assert_allclose(found, [0.75], rtol=1e-3)


def test_width_claim_needs_the_whole_interval_above_one():
    """Ratios around 1.5 are wider; ratios from .6 to 1.9 do not decide, and around 1 / 1.5 they are narrower."""
    sure = landscape.width_claim(bowls(1.4, 1.5, 1.6), bowls(1.0, 1.0, 1.0), SIZE)
    unsure = landscape.width_claim(bowls(0.6, 1.5, 1.9), bowls(1.0, 1.0, 1.0), SIZE)
    narrower = landscape.width_claim(bowls(1.0, 1.0, 1.0), bowls(1.4, 1.5, 1.6), SIZE)
    assert sure.verdict == "reproduced" and sure.measured == pytest.approx((1.4 * 1.5 * 1.6) ** (1 / 3), rel=1e-3)
    assert unsure.verdict == "undecided" and unsure.measured > 1 and narrower.verdict == "not reproduced"


def test_a_width_that_is_no_width_is_left_out():
    """What starts above the level, or never reaches it, has no ratio; the others are 2 and 8."""
    one_S, other_S = np.array([2.0, 0.0, 8.0, np.inf, 3.0]), np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    assert landscape.ratio_of(one_S, other_S)[0] == pytest.approx(4)


def test_a_way_is_looked_at_and_solved():
    """From the seeds' own draws on, a look every two epochs; solved at the first look whose cost is low enough."""
    dataset = input_pipeline.split(input_pipeline.load("mnist"), 64)
    dataset = dataset._replace(validation_images=dataset.images, validation_labels=dataset.labels)
    trained = landscape.train_way("small", landscape.Way(32, 0.1, 4, 2), dataset, SIZE._replace(seeds=2))
    assert trained.path_SxLxP.shape == (2, 3, 55_050) and trained.solved_S.tolist() == [2, 2]
    assert (np.diff(trained.cost_SxL, axis=1) < 0).all() and (
        trained.path_SxLxP[0, 0] != trained.path_SxLxP[1, 0]
    ).any()
    target = float(trained.cost_SxL[:, 1].max())
    assert landscape.solved(trained.cost_SxL, target).tolist() == [1, 1]
    with pytest.raises(RunError, match=r"a run of small batches diverged at rate 1e\+30; accepted"):
        landscape.train_way("small", landscape.Way(32, 1e30, 4, 2), dataset, SIZE._replace(seeds=2))


def test_straightness_of_a_path():
    """3 along one axis and 4 along the other are 7 of way for a distance of 5; there and back again is none."""
    path_SxLxP = np.array([[[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]], [[1.0, 1.0], [2.0, 2.0], [1.0, 1.0]]])
    trained = landscape.Trained(path_SxLxP, np.zeros((2, 3)), np.zeros(2, int))
    np.testing.assert_allclose(landscape.straightness(trained), [5 / 7, 0])


def test_a_path_lies_in_a_plane_more_than_a_walk_does():
    """Paths of 40 points of 1,000 weights: a random walk's own share is that of a walk, a line's is all."""
    walks_SxLxP = np.cumsum(np.random.default_rng(1).normal(size=(4, 40, 1_000)), axis=1)
    lines_SxLxP = np.linspace(0, 1, 40)[:, None] * np.ones(1_000) * np.arange(1, 5)[:, None, None]
    trained = {
        name: landscape.Trained(np.float32(path), np.zeros((4, 40)), np.zeros(4, int))
        for name, path in (("small", lines_SxLxP), ("large", walks_SxLxP))
    }
    claims = landscape.path_claims(trained, landscape.walk_shares((4, 40, 1_000)))
    assert [claim.verdict for claim in claims] == ["reproduced", "not reproduced", "reproduced"]
    assert claims[0].rival_at == (landscape.WALK_SHARE,)
    assert [bool(claim.exploratory) for claim in claims] == [True, True, False]


def test_study_end_to_end(tmp_path):
    """Six claims of three kinds; what has not learned is not wider, and two epochs' paths are a plane."""
    command.run(STUDY, "tiny", tmp_path)
    claims = {line["key"]: Claim.from_dict(line) for line in json.loads((tmp_path / "results.json").read_text())}
    kinds = {key: claim.kind for key, claim in claims.items()}
    assert kinds == {
        "width": "direction",
        "line/draws": "ours",
        "line/batches": "ours",
        "path/small": "ours",
        "path/large": "ours",
        "path/walk": "oracle",
    }
    assert not claims["width"].is_reproduced
    # Three points lie in a plane, whatever they are, those of a walk too.
    of_paths = [claims[f"path/{way}"] for way in ("small", "large", "walk")]
    assert [claim.measured for claim in of_paths] == pytest.approx([1] * 3)
    assert [claim.verdict for claim in of_paths] == ["reproduced"] * 2 + ["not reproduced"]
    assert (tmp_path / "figure.png").stat().st_size > 10_000
