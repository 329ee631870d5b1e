"""The neuron with two wells: its examples, its cost, its walkers by another way of drawing, its bands."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import nets
from experiments.escape import two_wells
from experiments.study.claims import below, by_key
from nets.theory.step_chain import Stay


def test_examples_and_cost():
    """96 labels 1 and 32 labels 0 at each input; the quadratic cost is that of `nets.costs`."""
    x_N, y_N = two_wells.examples()
    kinds, counts = np.unique(np.stack([x_N, y_N]), axis=1, return_counts=True)
    np.testing.assert_allclose(kinds, [[0.05, 0.05, 1, 1], [0, 1, 0, 1]])
    assert counts.tolist() == [32, 96, 32, 96]
    same = nets.costs.quadratic((3.0 * x_N)[:, None], y_N[:, None], "sigmoid")
    np.testing.assert_allclose(two_wells.quadratic(jnp.float32(3), (x_N, y_N)), same, rtol=1e-6)


def test_end_to_end(tiny_claims):
    """The wells are where they were computed to be; of 20 walkers in 60 steps, fewer than half are out."""
    claims = tiny_claims(two_wells.STUDY)
    assert len(claims) == 7 and all(claim.kind == "oracle" for claim in claims.values())
    median = claims.pop("median/rate20/batch1")
    assert all(claim.is_reproduced for claim in claims.values())
    assert np.isinf(median.measured) and (median.count, median.sample) == (20, "walkers") and not median.is_reproduced


def test_walkers_are_those_of_multinomial_batches():
    """A batch is a multinomial draw of the four kinds: walked so, in float64, as many are left after 200 steps."""
    steps, walkers, batch, random = 200, 2_000, 2, np.random.default_rng(0)
    x_4, y_4 = np.array([1.0, 1.0, 0.05, 0.05]), np.array([1.0, 0.0, 1.0, 0.0])
    w_W, left_W = np.full(walkers, two_wells.START), np.full(walkers, True)
    for _ in range(steps):
        share_Wx4 = random.multinomial(batch, [0.375, 0.125, 0.375, 0.125], walkers) / batch
        a_Wx4 = 1 / (1 + np.exp(-w_W[:, None] * x_4[None, :]))
        w_W = w_W - 20 * np.sum(share_Wx4 * 2 * (a_Wx4 - y_4[None, :]) * a_Wx4 * (1 - a_Wx4) * x_4[None, :], axis=1)
        left_W &= w_W <= 8
    found = two_wells.passage((20.0, batch), walkers, steps)
    assert 0.4 < left_W.mean() < 0.6
    assert found.censored_W.mean() == pytest.approx(left_W.mean(), abs=4 * np.sqrt(2 * 0.25 / walkers))


def passed(steps_W: Any, out_W: Any) -> nets.escape.FirstPassage:
    """Walkers that are out after so many steps, or censored there."""
    return nets.escape.FirstPassage(steps_W, ~out_W, out_W)


EXACT = {(20.0, 1): 100.0, (20.0, 16): 1e6, (20.0, 32): 1e12}


def known(rates: dict[tuple[float, int], float]) -> dict[tuple[float, int], Stay]:
    """Chains that leave with those mean times from the first step on."""
    return {cell: Stay(np.array([1.0]), 1 / mean) for cell, mean in rates.items()}


def test_bands_of_medians_and_shares():
    """5 % on both sides of the exact median, 30 % of the exact share, and less than those where nobody leaves: what is
    measured on many walkers lies in such a band with its whole interval, wholly outside, or across its end."""
    size = two_wells.TINY._replace(medians={(20.0, 1): 100}, escaped={(20.0, 16): 2, (20.0, 32): 0}, steps=8_000)
    stays, walkers = known(EXACT), 40_000
    size = size._replace(median_steps=8_000, walkers=walkers)
    median, few = stays[20.0, 1].median, round(walkers * (1 - float(stays[20.0, 16].survival(8_000))))
    assert median == 69 and few == 319

    def judged(median: int, few: float, none: float) -> list[str]:
        def after(steps: int, escaped: float) -> nets.escape.FirstPassage:
            walker_W = np.arange(walkers)
            out_W, steps_W = walker_W < escaped, steps - 1 + walker_W % 3
            return passed(np.where(out_W, steps_W, 8_000), out_W)

        out = {(20.0, 1): after(median, walkers), (20.0, 16): after(9, few), (20.0, 32): after(9, none)}
        return [claim.verdict for claim in two_wells.passage_claims(size, stays, out)]

    assert judged(71, 1.1 * few, 0) == judged(67, 0.85 * few, 200) == ["reproduced"] * 3
    assert judged(75, 1.6 * few, 1.5 * few) == judged(63, 0.5 * few, 1.5 * few) == ["not reproduced"] * 3
    assert judged(69, 1.25 * few, few)[1:] == ["undecided"] * 2


def test_bands_exclude_what_the_next_batch_sizes_have(monkeypatch):
    """Every median and share has those of its neighbours as rivals, and no band holds one, on a coarse grid as well."""
    monkeypatch.setattr(two_wells, "COARSE", 8e-3)
    size, stays = two_wells.FULL, two_wells.exact_stays(two_wells.FULL._replace(grid=8e-3))
    walked = passed(np.full(400, 7_000), np.full(400, True))
    claims = by_key(two_wells.passage_claims(size, stays, dict.fromkeys(stays, walked)))
    assert len(claims) == 9 and not any(claim.holds_rival for claim in claims.values())
    assert all(claim.exploratory and claim.rival_at for claim in claims.values())
    assert claims["escaped/rate20/batch16"].rival_at[0] > 0.5 and claims["escaped/rate20/batch16"].rival_at[1] < 1e-6
    assert claims["median/rate8/batch1"].rival_at == (stays[8.0, 2].median,)
    assert claims["escaped/rate8/batch4"].band == (0.0, below(claims["escaped/rate8/batch2"].published[0]))


def test_the_exact_chain_is_that_of_a_fine_grid():
    """A grid a fifth as wide changes the median of batch 4 by less than 1 %, one 8 times as wide the rate at which
    batch 4 leaves at rate 8 by more than 10 %: that of the study is the fine one."""
    size = two_wells.TINY._replace(medians={(20.0, 4): 707}, escaped={}, grid=two_wells.FINE)
    (stay,) = two_wells.exact_stays(size).values()
    finer = nets.wells.stay_on_line(20.0, 4, nets.wells.grid_width(1e-4, 20.0, 4))
    assert stay.median == pytest.approx(finer.median, rel=0.01)
    never, cell = two_wells.TINY._replace(medians={}, escaped={(8.0, 4): 0}, grid=two_wells.FINE), (8.0, 4)
    found = two_wells.exact_stays(never)[cell]
    fine, wide = (nets.wells.stay_on_line(*cell, nets.wells.grid_width(share, *cell)) for share in (5e-4, 4e-3))
    assert found.rate == pytest.approx(fine.rate) and found.rate < 0.9 * wide.rate


def test_walkers_whose_median_is_measured_go_on():
    """Four times as far as the others, of which there are more; on fresh seeds they are others."""
    walks = [two_wells.FULL.walk(cell) for cell in ((20.0, 8), (20.0, 16), (20.0, 64))]
    assert walks == [(32_768, 32_000), (65_536, 8_000), (65_536, 8_000)]
    here, fresh = (two_wells.passage((20.0, 1), 20, 60, seeds_from).steps_W for seeds_from in (0, 1_000))
    assert not np.array_equal(here, fresh)


def test_a_median_beyond_the_last_step_is_undecided():
    """Half of the walkers and one are out at 69 steps: the interval of that median has no upper end."""
    size = two_wells.TINY._replace(medians={(20.0, 1): 100}, median_steps=8_000)
    out_W = np.arange(400) < 201
    walked = {(20.0, 1): passed(np.where(out_W, 69, 8_000), out_W)}
    (claim,) = two_wells.passage_claims(size, known({(20.0, 1): 100.0}), walked)
    assert (claim.measured, claim.high) == (69, np.inf) and claim.verdict == "undecided" and "8,000" in claim.note
