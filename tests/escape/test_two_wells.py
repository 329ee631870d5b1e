"""The neuron with two wells: its examples, its cost, its walkers by another way of drawing, its bands."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import nets
from experiments.escape import two_wells


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
    found = two_wells.passage(20.0, batch, walkers, steps)
    assert 0.4 < left_W.mean() < 0.6
    assert found.censored_W.mean() == pytest.approx(left_W.mean(), abs=4 * np.sqrt(2 * 0.25 / walkers))


def passed(steps_W: Any, out_W: Any) -> nets.escape.FirstPassage:
    """Walkers that are out after so many steps, or censored there."""
    return nets.escape.FirstPassage(steps_W, ~out_W, out_W)


def test_bands_of_medians_and_shares():
    """15 % on both sides of a median; of 400 walkers, 1 to 7 for 2 of 400, and less than those 2 for none: what is
    measured on 4,000 walkers lies in such a band with its whole interval, wholly outside, or across its end."""
    size = two_wells.TINY._replace(medians={(20.0, 1): 100}, escaped={(20.0, 16): 2, (20.0, 32): 0}, steps=8_000)
    size = size._replace(median_steps=8_000)

    def judged(median: int, few: int, none: int) -> list[str]:
        def after(steps: int, escaped: int) -> nets.escape.FirstPassage:
            walker_W = np.arange(4_000)
            out_W, steps_W = walker_W < escaped, steps - 1 + walker_W % 3
            return passed(np.where(out_W, steps_W, 8_000), out_W)

        out = {(20.0, 1): after(median, 4_000), (20.0, 16): after(9, few), (20.0, 32): after(9, none)}
        return [claim.verdict for claim in two_wells.passage_claims(size, out)]

    assert judged(114, 50, 10) == judged(86, 25, 0) == ["reproduced"] * 3
    assert judged(116, 110, 60) == ["not reproduced"] * 3 and judged(84, 0, 60) == ["not reproduced"] * 3
    assert judged(100, 75, 20)[1:] == ["undecided"] * 2


def test_bands_exclude_what_the_next_batch_sizes_have():
    """Every median and share has rivals with numbers, none in its band; no band is wider than Wilson's interval."""
    size = two_wells.FULL
    for cell, count in size.escaped.items():
        found: Any = two_wells.share_band(size, cell)
        (low, high), words = found
        least, most = nets.escape.wilson(count, two_wells.PUBLISHED_WALKERS)
        assert low == least and high <= most and not any(low <= rival <= high for rival in words["rival_at"])
    assert two_wells.share_band(size, (20.0, 16))[1].get("rival_at") == [0.5, 0.0]
    found = two_wells.share_band(size, (8.0, 4))
    assert found[1] == {"rival": "batch 2, 0.005", "rival_at": [0.005]} and found[0][1] < 0.005
    assert two_wells.rival_of(size, (8.0, 1)).get("rival_at") == 8_000


def test_walkers_whose_median_is_measured_go_on():
    """Of the batch that 8,000 steps had left open the line says so; on fresh seeds they are others."""
    size = two_wells.FULL
    assert [size.steps_of(cell) for cell in ((20.0, 8), (20.0, 16), (20.0, 64))] == [32_000, 8_000, 8_000]
    walked = passed(np.full(400, 7_000), np.full(400, True))
    out = dict.fromkeys([*size.medians, *size.escaped], walked)
    claims = two_wells.passage_claims(size, out)
    assert [claim.key for claim in claims if claim.exploratory] == ["median/rate20/batch8"]
    here, fresh = (two_wells.passage(20.0, 1, 20, 60, seeds_from).steps_W for seeds_from in (0, 1_000))
    assert not np.array_equal(here, fresh)


def test_a_median_beyond_the_last_step_is_undecided():
    """Half of the walkers and one are out at 95 steps: the interval of that median has no upper end."""
    size = two_wells.TINY._replace(medians={(20.0, 1): 100}, median_steps=8_000)
    out_W = np.arange(400) < 201
    (claim,) = two_wells.passage_claims(size, {(20.0, 1): passed(np.where(out_W, 95, 8_000), out_W)})
    assert (claim.measured, claim.high) == (95, np.inf) and claim.verdict == "undecided" and "8,000" in claim.note
