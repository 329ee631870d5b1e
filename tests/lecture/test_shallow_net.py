"""The shallow net: its log among the seeds, its ends in their bands."""

import json

import numpy as np
import pytest

from experiments.lecture import shallow_net
from experiments.study import command


def test_study_at_its_tiny_size(tmp_path):
    """Ten printed numbers; what learns nothing of MNIST does not end where the lecture's net does."""
    command.run(shallow_net.STUDY, "tiny", tmp_path)
    claims = {claim["key"]: claim for claim in json.loads((tmp_path / "results.json").read_text())}
    assert list(claims) == [
        *(f"log/{epoch}" for epoch in (1, 2, 6, 7)),
        *(f"log/fall/{epoch}" for epoch in (3, 4, 5, 7)),
        *("end/val_accuracy", "end/val_loss"),
    ]
    explored = [f"log/fall/{epoch}" for epoch in (3, 4, 5)]
    assert [key for key, claim in claims.items() if claim["exploratory"]] == explored
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


def test_ends_must_lie_in_their_bands():
    """The mean of the last epoch with its interval; the epochs before do not count, and one seed decides nothing."""
    end = {
        "val_accuracy": np.array([[0.1, 0.1, 0.1], [0.860, 0.861, 0.862]]),
        "val_loss": np.array([[0.09, 0.09, 0.09], [0.0280, 0.0281, 0.0282]]),
    }
    verdicts = lambda end: [claim.verdict for claim in shallow_net.end_claims(end)]  # noqa: E731
    assert verdicts(end) == ["reproduced"] * 2
    four = {name: np.tile(values_ExS[:, :1], (1, 4)) for name, values_ExS in end.items()}
    assert all(claim.exploratory == shallow_net.MORE_SEEDS for claim in shallow_net.end_claims(four))
    assert verdicts({name: values_ExS[:1] for name, values_ExS in end.items()}) == ["not reproduced"] * 2
    assert verdicts({name: values_ExS[:, :1] for name, values_ExS in end.items()}) == ["undecided"] * 2


def test_it_is_said_whether_the_published_runs_lie_among_the_seeds():
    """.856 and .8586: none, one and both within the range."""
    for lowest, inside in ((0.86, 0), (0.857, 1), (0.85, 2)):
        note = shallow_net.among(shallow_net.ACCURACIES, np.array([lowest, 0.87]))
        assert note == f"{inside} of the 2 published runs within the range of the seeds"
