"""The minimum that ships with the project is one of the population cost; shares of runs are judged by their counts."""

from collections import Counter

import jax
import numpy as np
import pytest

from experiments.escape import spurious_minima
from nets import student_teacher


def test_end_to_end(tiny_claims):
    """The stored minimum is one whatever is trained; nets at their start are at no minimum."""
    claims = tiny_claims(spurious_minima.STUDY)
    assert Counter(claim.kind for claim in claims.values()) == {"oracle": 4, "ours": 1, "direction": 1}
    assert [key for key, claim in claims.items() if claim.is_reproduced] == [
        "stored/cost",
        "stored/gradient",
        "stored/eigenvalue",
    ]
    assert claims["trapped/strict"].verdict == "not reproduced" and claims["trapped/strict"].count == 4
    assert [key for key, claim in claims.items() if claim.exploratory] == ["trapped/strict"]
    assert claims["trapped/k20"].count == claims["trapped/largest_fall"].count == 4
    assert claims["trapped/k20"].verdict == claims["trapped/largest_fall"].verdict == "undecided"


def runs(*trapped: int) -> dict[int, spurious_minima.Runs]:
    """Of 200 runs each, with k = 6, 7, ..., so many that are trapped."""
    nothing = np.zeros(0)
    return {
        6 + i: spurious_minima.Runs(nothing, nothing, np.arange(200) < count, np.full(200, True), nothing)
        for i, count in enumerate(trapped)
    }


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ((1, 20, 60), "reproduced"),
        ((1, 60, 50), "undecided"),
        ((1, 100, 20), "not reproduced"),
        ((200, 200), "undecided"),
    ],
)
def test_a_share_that_rises_by_more_than_chance(counts, verdict):
    """Rises that are sure; a fall that may be chance; a fall that is none; shares that chance says nothing of."""
    claim = spurious_minima.rise_claim(runs(*counts))
    assert claim.verdict == verdict and claim.measured >= 0
    # (.95 - .36) by the root of (.95 x .05 + .36 x .64) / 200.
    assert claim.rival_at == pytest.approx((15.83,), abs=0.01) and not claim.holds_rival


def test_shares_are_judged_by_their_interval():
    """None of 200 leaves up to 1.8 % open, which is in the band at k = 6; one of 200 up to 2.8 %, which is not."""
    assert spurious_minima.share_claims(runs(0))[0].verdict == "reproduced"
    assert spurious_minima.share_claims(runs(1))[0].verdict == "undecided"
    assert spurious_minima.share_claims(runs(20))[0].verdict == "not reproduced"


def test_more_runs_where_they_are_judged():
    """The first of them are those of fewer."""
    size = spurious_minima.TINY._replace(steps=0, more={7: 6})
    few, many = (spurious_minima.runs_of(7, of) for of in (spurious_minima.TINY._replace(steps=0), size))
    assert (len(few.trapped_L), len(many.trapped_L)) == (4, 6)
    np.testing.assert_array_equal(few.weights_LxKxD, many.weights_LxKxD[:4])
    assert set(spurious_minima.FULL.more) == set(spurious_minima.BANDS)


def test_runs_that_stand_still_go_no_further(monkeypatch):
    """Half of them drop out, and half of the others, with what they had reached; the end is that of all together."""
    size = spurious_minima.TINY._replace(neurons=(6,), runs=16, steps=1_500, floor=5e-3, still=1e-9)
    counts: list[int] = []
    spread = spurious_minima.spread

    def counted(weights_LxKxD):
        counts.append(len(weights_LxKxD))
        return spread(weights_LxKxD)

    monkeypatch.setattr(spurious_minima, "spread", counted)
    together = spurious_minima.runs_of(6, size)
    assert counts == [16]
    monkeypatch.setattr(spurious_minima, "FEWEST_TO_DROP", 4)
    found = spurious_minima.runs_of(6, size)
    assert counts[1:] == [16, 8, 4] and found.still_L.sum() >= 12
    np.testing.assert_allclose(found.weights_LxKxD, together.weights_LxKxD, atol=1e-7)
    np.testing.assert_allclose(found.courses_CxL, together.courses_CxL, atol=1e-12)
    np.testing.assert_array_equal(found.still_L, together.still_L)


def test_stored_minimum_read_by_rows_is_none():
    """As the study reads it, the cost is the computed one and nothing moves; by rows it is no critical point."""
    stored_KxD = spurious_minima.stored_minimum()
    value_and_slope = jax.jit(jax.value_and_grad(student_teacher.population_cost))
    with jax.enable_x64(True):
        found, slope_KxD = map(np.asarray, value_and_slope(stored_KxD, np.eye(7)))
        by_rows, slope_by_rows_KxD = map(np.asarray, value_and_slope(stored_KxD.T, np.eye(7)))
    assert found == pytest.approx(0.0232027, abs=1e-7) and np.linalg.norm(slope_KxD) < 1e-8
    assert by_rows > 0.06 and np.linalg.norm(slope_by_rows_KxD) > 0.3
