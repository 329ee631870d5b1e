"""The published minima of tiny ReLU nets are minima; shares and their order are judged with what chance leaves open."""

from collections import Counter

import numpy as np
import pytest

from experiments.escape import explicit_minima
from experiments.study import four_points
from nets import relu_cells


def test_end_to_end(tiny_claims):
    """What is proved needs no training; nets that take five steps from 50 draws have reached no published rate of a
    sigmoid net, and three walkers that stay decide nothing."""
    claims = tiny_claims(explicit_minima.STUDY)
    assert len(claims) == 39
    assert Counter(claim.kind for claim in claims.values()) == {"number": 31, "oracle": 5, "direction": 1, "ours": 2}
    assert sum(bool(claim.exploratory) for claim in claims.values()) == 24 + 4 + 1 + 1
    assert claims["joint/all"].verdict == claims["row/XOR"].verdict == "not reproduced"
    assert all(claim.is_reproduced for key, claim in claims.items() if key[:2] in ("D1", "D2"))
    sigmoid = [claims[f"XOR/sigmoid/h{hidden}"] for hidden in explicit_minima.HIDDEN]
    assert all(claim.verdict == "not reproduced" and claim.sample == "nets" for claim in sigmoid)
    assert claims["leaves/none"].measured == 0 and claims["leaves/none"].verdict == "undecided"
    assert claims["leaves/none"].exploratory


def reached(shares: list[float], count: int) -> np.ndarray:
    """Nets of which those shares reach zero error."""
    return np.array([np.arange(count) < share * count for share in shares])


@pytest.mark.parametrize(
    ("shares", "measured", "verdict"),
    [
        ([0.2, 0.5, 0.8], 1.0, "reproduced"),
        ([0.2, 0.52, 0.55], 1.0, "undecided"),
        ([0.2, 0.8, 0.5], 2 / 3, "not reproduced"),
    ],
)
def test_pairs_are_in_order_where_chance_does_not_blur_them(shares, measured, verdict):
    """Three cells published far apart: clearly in order, too close to say, and one pair clearly the other way round."""
    claim = explicit_minima.order_claim([0.2, 0.5, 0.8], reached(shares, 400))
    assert (
        (claim.count, claim.sample) == (400, "nets in each of 3 cells, 3 pairs")
        and claim.measured == pytest.approx(measured)
        and claim.verdict == verdict
    )


def test_bands_end_at_all_nets():
    """100 % published: the band ends at 1."""
    cells = {cell: reached([rate / 100 for rate in rates], 400) for cell, rates in explicit_minima.PUBLISHED.items()}
    claims = explicit_minima.success_claims(
        cells, {(points, 0.5): cells[points, "relu"] for points in ("XOR", "Jellyfish")}
    )
    assert all(claim.is_reproduced for claim in claims[:-1])
    # Of 400 nets some pairs that are published 15 points apart could still be the other way round.
    assert claims[-1].measured == 1 and claims[-1].verdict == "undecided"
    assert {claim.key: claim.band for claim in claims}["XOR/sigmoid/h5"] == (0.85, 1.0)


def test_bands_exclude_the_other_activation():
    """Where 15 points hold what the paper has for the other activation at that width, the band ends there; nothing is
    wider than 15 points, and what next widths have is named where it is held."""
    published = explicit_minima.PUBLISHED
    lines = {
        (points, activation, hidden): explicit_minima.cell_claim(points, activation, place, np.ones(400, bool))
        for points, activation in published
        for place, hidden in enumerate(explicit_minima.HIDDEN)
    }
    for (points, activation, hidden), line in lines.items():
        (share,), other = line.published, {"relu": "sigmoid", "sigmoid": "relu"}[activation]
        assert line.rival_at == (published[points, other][explicit_minima.HIDDEN.index(hidden)] / 100,)
        assert share - 0.15 - 1e-9 <= line.band[0] < line.band[1] <= share + 0.15 + 1e-9 and not line.holds_rival
    assert lines["XOR", "sigmoid", 7].band == (np.nextafter(0.89, 1), 1.0)
    assert lines["XOR", "relu", 7].band[1] == np.nextafter(1.0, 0)
    assert lines["XOR", "relu", 5].note == "the band cannot tell it from the next width, 0.7 and 0.89"
    assert lines["XOR", "relu", 3].note == lines["Jellyfish", "sigmoid", 2].note == ""


def test_cells_that_lean_one_way_are_off_jointly():
    """Every ReLU cell 7 points low is in its band, and the twelve are off together; the rate that is right is found."""
    published = explicit_minima.PUBLISHED
    right = {cell: reached([rate / 100 for rate in rates], 2_000) for cell, rates in published.items()}
    low = {cell: reached([rate / 100 - 0.07 for rate in rates], 2_000) for cell, rates in published.items()}
    found = {cell: (low if cell[1] == "relu" else right)[cell] for cell in published}
    by_rate = {(points, 0.5): low[points, "relu"] for points in ("XOR", "Jellyfish")}
    by_rate["XOR", 0.1] = right["XOR", "relu"]
    claims = {claim.key: claim for claim in explicit_minima.success_claims(found, by_rate)}
    assert all(claims[f"XOR/relu/h{hidden}"].is_reproduced for hidden in explicit_minima.HIDDEN)
    assert claims["joint/relu"].verdict == "not reproduced" and "-7.0 points in the mean" in claims["joint/relu"].note
    assert claims["row/XOR"].is_reproduced and "closest at rate 0.1: it gives the whole row" in claims["row/XOR"].note
    assert claims["row/Jellyfish"].verdict == "not reproduced"
    assert "no rate that was tried gives the whole row" in claims["row/Jellyfish"].note


def test_one_walker_that_leaves_is_against_the_claim():
    """Of 1,000 walkers of two settings: none are within 1 %, ten of one may be more, and twenty are."""
    left_RxW = np.zeros((2, 1_000), bool)
    none = explicit_minima.none_leave_claim(explicit_minima.TINY, left_RxW)
    assert none.is_reproduced and none.low == 0 and none.high == pytest.approx(1 - 0.0125 ** (1 / 1_000))
    left_RxW[1, :8] = True
    some = explicit_minima.none_leave_claim(explicit_minima.TINY, left_RxW)
    assert some.measured == 0.008 and some.verdict == "undecided" and some.needed
    left_RxW[1, :25] = True
    assert explicit_minima.none_leave_claim(explicit_minima.TINY, left_RxW).verdict == "not reproduced"


def test_published_minima_are_certified_and_points_beside_them_are_not():
    """The paper's two minima, at corners of two cells each; with another output bias they are none."""
    for problem in (explicit_minima.D1, explicit_minima.D2):
        x_NxD, y_N = problem.points_Nx2[:, :1], problem.points_Nx2[:, 1]
        found = relu_cells.certify(problem.minimum, x_NxD, y_N)
        assert found.cells == 2 and found.radius > 0.05
        assert found.cost == pytest.approx(problem.cost, rel=1e-12)
        assert found.bound == pytest.approx(problem.cost, rel=1e-12)
        beside = relu_cells.certify(problem.minimum._replace(c=problem.minimum.c + 0.01), x_NxD, y_N)
        assert beside.cost > beside.bound + 1e-4


def test_rows_have_their_own_draws(monkeypatch):
    """No seed of a width is that of another row, so that what the joint test adds up is independent."""
    seeds = []
    monkeypatch.setattr(explicit_minima, "success", lambda *given: seeds.append(given[-1]))
    for cell in explicit_minima.PUBLISHED:
        explicit_minima.success_of(*cell, 0.5, explicit_minima.TINY)
    assert len({seed + hidden for seed in seeds for hidden in explicit_minima.HIDDEN}) == 24


def test_fresh_nets_are_others():
    """A seed of its own draws other nets of the same width."""
    first, again = (four_points.draw_nets(2, 5, seed)[0][0] for seed in (0, 1_000))
    assert first.shape == again.shape and not np.isin(first, again).any()
