"""The neuron with two wells: its examples, its cost, its walkers by another way of drawing, its bands."""

import jax
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


def test_walkers_are_those_of_multinomial_batches(monkeypatch):
    """A batch is a multinomial draw of the four kinds: walked so, in float64, as many are left after 200 steps."""
    steps, walkers, batch, random = 200, 2_000, 2, np.random.default_rng(0)
    x_4, y_4 = np.array([1.0, 1.0, 0.05, 0.05]), np.array([1.0, 0.0, 1.0, 0.0])
    w_W, left_W = np.full(walkers, two_wells.START), np.full(walkers, True)
    for _ in range(steps):
        share_Wx4 = random.multinomial(batch, [0.375, 0.125, 0.375, 0.125], walkers) / batch
        a_Wx4 = 1 / (1 + np.exp(-w_W[:, None] * x_4[None, :]))
        w_W = w_W - 20 * np.sum(share_Wx4 * 2 * (a_Wx4 - y_4[None, :]) * a_Wx4 * (1 - a_Wx4) * x_4[None, :], axis=1)
        left_W &= w_W <= 8
    monkeypatch.setattr(two_wells, "STEPS", steps)
    found = two_wells.passage(20.0, batch, walkers)
    assert 0.4 < left_W.mean() < 0.6
    assert found.censored_W.mean() == pytest.approx(left_W.mean(), abs=4 * np.sqrt(2 * 0.25 / walkers))


def test_bands_of_medians_and_shares(monkeypatch):
    """15 % on both sides of a median; 1 to 7 of 400 for 2 of 400, and at most 3 for none."""
    monkeypatch.setattr(two_wells, "MEDIANS", {(20.0, 1): 100})
    monkeypatch.setattr(two_wells, "ESCAPED", {(20.0, 16): 2, (20.0, 32): 0})

    def judged(median: int, few: int, none: int) -> list[bool]:
        def after(steps: int, escaped: int) -> nets.escape.FirstPassage:
            out_W = np.arange(400) < escaped
            return nets.escape.FirstPassage(np.where(out_W, steps, 8_000), ~out_W, np.zeros(400))

        out = {(20.0, 1): after(median, 400), (20.0, 16): after(9, few), (20.0, 32): after(9, none)}
        return [claim["reproduced"] for claim in two_wells.passage_claims(jax.device_get(out))]

    assert judged(114, 7, 3) == judged(86, 1, 0) == [True] * 3
    assert judged(116, 8, 4) == [False] * 3 and judged(84, 0, 4) == [False] * 3
