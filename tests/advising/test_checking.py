"""The lanes that test advice, and what is made of them, where the answer is known."""

import math
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace as Namespace
from typing import Any

import jax
import numpy as np
import pytest

import input_pipeline
import train
from experiments.advising import checking, edges, measuring
from experiments.advising.advice import Scale
from experiments.advising.estimates import Estimate
from training.config import Config

LINEAR = Config(dataset="synthetic", inputs=3, classes=2, hidden=(), output="identity", batch_size=8)
# Above all costs: the start alone says what descent comes back from.
GUESS = 1e9
SHARES = (0.3, 0.6, 1.0)


@pytest.fixture(scope="module")
def parts():
    """Eighty random examples of three numbers and two classes, cut up."""
    random = np.random.default_rng(0)
    images = np.float32(random.normal(size=(800, 3)) * SHARES)
    labels = np.int32(images @ [1.0, -1.0, 0.5] + random.normal(size=800) > 0)
    return measuring.cut(LINEAR, input_pipeline.Dataset(images, labels, images[:4], labels[:4]))


def test_probe_sets_share_nothing(parts):
    """All examples are there, each once; the sets are half of them at most."""
    rows = np.concatenate([*parts.images_KxPxD, parts.rest[0]])
    assert len(rows) == parts.examples == 800 and len(np.unique(rows, axis=0)) == 800
    assert parts.images_KxPxD.shape == (measuring.SETS, 80, 3)


def advised(stable: float, largest: Estimate) -> Any:
    """Advice of those two rates."""
    return Namespace(rate=Estimate(stable), largest=largest, edges=edges.Edges([]))


def edge_on_others(parts: measuring.Parts) -> float:
    """2 / lambda of a linear net's squared error on the examples of the check, its geometric mean over their sets: the
    Hessian is x x^T times 2 / C at every w."""
    of = parts.other_sets(LINEAR.seed, checking.OTHER_SETS, edges.RUN_EXAMPLES)
    x_KxPxD = [np.hstack([images, np.ones((len(images), 1))]) for images, _ in of]
    tops = [float(np.linalg.eigvalsh(x_PxD.T @ x_PxD / len(x_PxD))[-1]) for x_PxD in x_KxPxD]
    return 2 / math.exp(float(np.mean(np.log(tops))))


def test_rates_of_a_quadratic_cost(parts):
    """Descent on other examples and from other draws rises, climbs and diverges beyond 2 / lambda, with momentum m
    beyond 1 + m times that."""
    images = np.concatenate([images for images, _ in parts.other_sets(LINEAR.seed, checking.OTHER_SETS, 999)])
    assert images.shape == (400, 3) and len(np.unique(images, axis=0)) == 400
    assert not set(map(tuple, images)) & set(map(tuple, np.concatenate(parts.images_KxPxD)))
    exact = edge_on_others(parts)
    check = checking.check_rate(LINEAR, advised(3 * exact, Estimate(1.3 * exact, exact, 1.5 * exact)), parts, GUESS)
    assert check.measured.low < 1.001 * exact < 1.002 * check.measured.high
    assert math.sqrt(2) * 0.999 <= check.measured.high / check.measured.low < 2
    assert check.verdict == "held" and check.predicted == 1.3 * exact and "do not come back lies between" in check.said
    for beside in ("diverges", "climbs", "rises"):
        assert (
            check.comparisons[beside]["measured"] == check.measured
            and check.comparisons[beside]["predicted"] == 3 * exact
        )
        assert check.comparisons[beside]["verdict"] == "did not hold"
    momentum = LINEAR.replace(momentum=0.5)
    check = checking.check_rate(momentum, advised(math.inf, Estimate(1.5 * exact, exact, 2 * exact)), parts, GUESS)
    assert check.verdict == "held" and check.measured.low < 1.51 * exact < 1.52 * check.measured.high
    assert not check.comparisons


def test_rates_that_do_not_hold(parts):
    """Four times the edge, as what descent still comes back from."""
    exact = edge_on_others(parts)
    largest = Estimate(4 * exact, 4 * exact, math.inf)
    assert checking.check_rate(LINEAR, advised(exact, largest), parts, GUESS).verdict == "did not hold"


def test_verdicts_of_rates():
    """What is known from below alone is held by whatever is higher; a rate that nobody found is not checked."""
    beyond, edge = Estimate(8.0, 8.0, math.inf), Estimate(4.0, 3.0, 5.0)
    assert checking.rate_verdict(beyond, beyond) == "held" and checking.rate_verdict(edge, beyond) == "undecided"
    assert checking.rate_verdict(beyond, edge) == "undecided" and checking.rate_verdict(edge, edge) == "held"
    assert checking.rate_verdict(edge, Estimate(1.0)) == "did not hold"
    lower = edges.over_sets([Estimate(1.4, 1.0, 2.0)] * 2 + [Estimate(9.0, 9.0, math.inf)])
    assert checking.rate_verdict(lower, beyond) == "did not hold"
    for largest in (Estimate(16.0, 16.0, 20.0), Estimate(16.0, 16.0, math.inf)):
        assert checking.rate_verdict(edge, largest) == "did not hold"
    parts: Any = None
    check = checking.check_rate(LINEAR, advised(1.0, Estimate(0.5, 0.0, 0.5)), parts, GUESS)
    assert check.verdict == "not checked" and "below 0.5" in check.said
    unknown = edges.over_sets([])
    nowhere: Any = Namespace(rate=None, largest=unknown, edges=edges.Edges([], 0, is_cut=True))
    check = checking.check_rate(LINEAR, nowhere, parts, GUESS)
    assert check.verdict == "not checked" and check.said == "the largest rate was not looked for"


def test_rates_about_both():
    """From a seventh of the stable one to five times the largest, which lies midway between two of them."""
    for stable, largest in ((1.0, 1.0), (0.01, 3.0), (math.nan, 3.0), (5.0, 1.0)):
        rates = np.array(checking.rates_about(stable, largest))
        least = min(stable, largest) if math.isfinite(stable) else largest
        assert least / 10 < rates[0] < least / 7 * 1.0001 * 2**0.25 and largest * 5 / 2**0.25 < rates[-1] < largest * 10
        np.testing.assert_allclose(rates[1:] / rates[:-1], 2**0.5)
        assert np.isclose(np.min(rates[rates > largest]), largest * 2**0.25)


def test_knee_of_steps_that_follow_the_law():
    """Gains as after m / (1 + K / B) steps, at the best of three rates, give K again."""
    batches, knee, steps_M = [4, 16, 64, 256, 4096], 40.0, np.arange(33.0)

    def cost_of(size: int) -> np.ndarray:
        done_M = steps_M / (1 + knee / size)
        cost_MxR = 1 - (1 - np.exp(-done_M / 10))[:, None] * np.array([0.5, 1.0, np.nan])
        cost_MxR[0] = 1.0
        return np.stack([cost_MxR] * 2)

    steps_SxB = checking.steps_of({size: cost_of(size) for size in batches}, batches)
    assert [checking.knee_of(batches, steps_B) for steps_B in steps_SxB] == pytest.approx([knee, knee], rel=0.05)


def test_rates_beyond_the_best_one_that_was_tried():
    """Where the best of the first three lies at their end, three more are tried; then none that lies within."""
    asked: list[list[float]] = []

    def costs_of(rates: Sequence[float], best: float) -> np.ndarray:
        asked.append(list(rates))
        ends_R = np.log(np.array(rates) / best) ** 2
        return np.broadcast_to(np.stack([np.full(len(rates), 9.0), ends_R]), (2, 2, len(rates)))

    assert checking.best_of(checking.costs_about(partial(costs_of, best=2.0), [1.0, 2.0, 4.0])) == 1 and len(asked) == 1
    cost_SxMxR = checking.costs_about(partial(costs_of, best=16.0), [1.0, 2.0, 4.0])
    assert asked[1:] == [[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]] and checking.best_of(cost_SxMxR) == 4
    assert checking.at_edge({8: cost_SxMxR, 16: cost_SxMxR[:, :, :5]}) == [16]
    assert checking.costs_about(partial(costs_of, best=0.0625), [1.0, 2.0, 4.0]).shape == (2, 2, 9)
    assert asked[-2:] == [[0.125, 0.25, 0.5], [0.015625, 0.03125, 0.0625]]


def test_rates_of_batches():
    """Up to twice the largest rate, which moves as 2 / lambda does, lowered for noise; about the config's own where it
    is not known."""
    rates, largest = [Estimate(0.5), Estimate(0.25)], Estimate(8.0, 6.0, 10.0)
    advice: Any = Namespace(largest=largest, rates=rates)
    assert checking.largest_at_last(LINEAR, advice) == 4.0
    assert checking.rates_for(LINEAR, 4.0, 30.0, 10) == [0.125, 0.25, 0.5, 1.0, 2.0]
    adam = LINEAR.replace(optimizer="adam", learning_rate=0.01)
    assert math.isnan(checking.largest_at_last(adam, advice))
    unknown: Any = Namespace(largest=Estimate(1.0, 0.0, 1.0), rates=rates)
    assert math.isnan(checking.largest_at_last(LINEAR, unknown))
    assert checking.rates_for(adam, math.nan, 30.0, 10) == pytest.approx([0.0025, 0.005, 0.01, 0.02, 0.04])


def test_batches_about_the_advice():
    """Powers of 2, no more of them than there are examples."""
    assert checking.batches_about(64, 50_000) == [4, 16, 64, 256, 1024]
    assert checking.batches_about(1e6, 50_000) == [32, 128, 512, 2048]
    assert max(checking.batches_about(64, 100)) == 64


def test_batches_are_tried_from_the_state_on(parts, monkeypatch):
    """The cost before the first step is that of the state, in every lane; and what was predicted is judged."""
    monkeypatch.setattr(checking, "BATCH_STEPS", 3)
    monkeypatch.setattr(checking, "batches_about", lambda *_: [8])
    state, held_out = train.initial_state(LINEAR), parts.pooled(50)
    cost_SxMxR = checking.make_costs(LINEAR, parts.rest, held_out, state, 8, count=2)([0.01, 0.5])
    assert cost_SxMxR.shape == (checking.SEEDS, 4, 2)
    params: Any = jax.device_get(state.params)["output"]
    logits_NxC = held_out[0] @ params["kernel"] + params["bias"]
    expected = np.mean((logits_NxC - np.eye(2)[held_out[1]]) ** 2)
    np.testing.assert_allclose(cost_SxMxR[:, 0], expected, rtol=1e-5)
    assert np.all(cost_SxMxR[:, -1, 1] < expected) and len(np.unique(cost_SxMxR[:, -1, 1])) == checking.SEEDS
    point = measuring.Point(0, math.nan, {}, state)
    assert checking.check_batch(LINEAR, 1.0, 30.0, parts, point).verdict == "not checked"
    assert checking.check_batch(LINEAR, 1.0, math.inf, parts, point).verdict == "not checked"


def test_scale_that_keeps_a_net_from_learning(parts):
    """At a hundred times the weights a saturated net learns nothing; the one that is advised makes the progress."""
    config = Config(dataset="synthetic", inputs=3, classes=2, hidden=(8,), batch_size=20)
    scale = Scale(Estimate(1.0), 1.0, [1.0], [1.0], [1.0])
    largest = Estimate(8.0, 6.0, 10.0)
    check = checking.check_scale(config, largest, scale, parts, 0.25)
    assert check.verdict in ("held", "undecided") and check.measured.value < 0.2
    worse = checking.check_scale(config, largest, scale._replace(advised=Estimate(400.0)), parts, 0.25)
    assert worse.verdict == "did not hold" and worse.measured.value > 0.2
    assert checking.check_scale(config, largest, None, parts, 0.25).verdict == "not checked"
