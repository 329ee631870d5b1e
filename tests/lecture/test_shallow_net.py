"""The shallow net: its log among the seeds, its ends in their bands."""

import json

import numpy as np
import pytest

from experiments.lecture import shallow_net
from experiments.study import command


def test_study_at_its_tiny_size(tmp_path):
    """Thirteen lines of printed numbers; what learns nothing of MNIST does not end where the lecture's net does."""
    command.run(shallow_net.STUDY, "tiny", tmp_path)
    claims = {claim["key"]: claim for claim in json.loads((tmp_path / "results.json").read_text())}
    assert list(claims) == [
        *(f"log/{epoch}" for epoch in (1, 2, 6, 7)),
        *(f"log/fall/{epoch}" for epoch in (3, 4, 5, 7)),
        *("end/val_accuracy", "end/val_loss"),
        *("end/val_accuracy/0.856", "end/val_accuracy/0.8586", "end/val_loss/both_runs"),
    ]
    explored = [key for key, claim in claims.items() if claim["exploratory"]]
    assert explored == [*(f"log/fall/{epoch}" for epoch in (3, 4, 5)), *list(claims)[8:]]
    assert {claim["kind"] for claim in claims.values()} == {"number"}
    assert all(claim["count"] == 2 for claim in claims.values())
    assert not any(claim["verdict"] == "reproduced" for key, claim in claims.items() if key.startswith("end/"))
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_log_must_lie_inside_the_range_of_the_seeds():
    """Inside in all epochs; far outside in one; just outside of two seeds, which is no verdict."""
    val_loss_ExL = np.array(shallow_net.LOG_VAL_LOSS)[:, None] + np.array([[-0.0001, 0.0001]])
    val_loss_ExL[-1] -= [-0.00005, 0.00005]
    assert all(claim.is_reproduced for claim in shallow_net.log_claims(val_loss_ExL))
    val_loss_ExL[5] += 0.0002
    val_loss_ExL[4] += 0.5
    verdicts = {claim.key: claim.verdict for claim in shallow_net.log_claims(val_loss_ExL)}
    assert [verdicts.pop("log/6"), verdicts.pop("log/fall/5")] == ["undecided", "not reproduced"]
    assert set(verdicts.values()) == {"reproduced"}
    no_fall_ExL = np.full((7, 32), 0.0913) + np.linspace(-0.001, 0.001, 32)[None]
    assert [claim.verdict for claim in shallow_net.log_claims(no_fall_ExL)[4:]] == ["not reproduced"] * 4


def test_where_the_guess_is_crossed_the_fall_is_judged():
    """Seeds that differ by .001 hold the uniform guess in the third epoch and the fourth, but all have fallen as
    far."""
    val_loss_ExL = np.array(shallow_net.LOG_VAL_LOSS)[:, None] + np.linspace(-0.0005, 0.0005, 32)[None]
    val_loss_ExL[1:] += np.random.default_rng(0).normal(0, 1e-5, (6, 32))
    claims = shallow_net.log_claims(val_loss_ExL)
    assert [claim.verdict for claim in claims] == ["reproduced"] * 8
    assert not any(claim.holds_rival for claim in claims) and claims[4].published == pytest.approx((0.0012,))
    # A cost of the first epoch that the range of the seeds cannot tell from the guess decides nothing.
    (first, *_) = shallow_net.log_claims(val_loss_ExL + np.linspace(-0.002, 0.002, 32))
    assert first.verdict == "undecided" and first.holds_rival


def ends(accuracy_ExS, loss_ExS):
    """The verdicts by key on such ends."""
    end = {"val_accuracy": np.array(accuracy_ExS), "val_loss": np.array(loss_ExS)}
    return {claim.key: claim.verdict for claim in shallow_net.end_claims(end)}


def test_ends_must_lie_in_their_bands():
    """The mean of the last epoch with its interval; what was half-way does not count, and one seed decides nothing."""
    accuracy_ExS, loss_ExS = [[0.8, 0.81, 0.82], [0.855, 0.857, 0.859]], [[0.04, 0.04, 0.04], [0.0280, 0.0284, 0.0287]]
    assert set(ends(accuracy_ExS, loss_ExS).values()) == {"reproduced"}
    found = ends([accuracy_ExS[0]] * 2, [loss_ExS[0]] * 2)
    assert found["end/val_accuracy"] == found["end/val_loss"] == "not reproduced"
    assert set(ends([row[:1] for row in accuracy_ExS], [row[:1] for row in loss_ExS]).values()) == {"undecided"}
    end = {"val_accuracy": np.array(accuracy_ExS), "val_loss": np.array(loss_ExS)}
    claims = shallow_net.end_claims(end)
    assert all(claim.exploratory for claim in claims)
    assert [claim.rival_at for claim in claims] == [(pytest.approx(at),) for at in (0.81, 0.04, 0.81, 0.81, 0.04)]


def test_published_runs_must_lie_among_the_seeds():
    """Above both runs their mean may lie in its band, and neither is one of them."""
    found = ends([[0.8] * 16, 0.865 + 1e-4 * np.arange(16)], [[0.04] * 16, 0.0270 + 1e-5 * np.arange(16)])
    assert found == {
        "end/val_accuracy": "reproduced",
        "end/val_loss": "reproduced",
        "end/val_accuracy/0.856": "not reproduced",
        "end/val_accuracy/0.8586": "not reproduced",
        "end/val_loss/both_runs": "not reproduced",
    }
    # A range that holds where the nets are half-way as well tells nothing.
    wide = ends([[0.81] * 16, np.linspace(0.8, 0.9, 16)], [[0.04] * 16, [0.0286] * 15 + [0.0287]])
    assert wide["end/val_accuracy/0.856"] == "undecided"
