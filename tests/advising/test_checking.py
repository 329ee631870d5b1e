"""The lanes that test advice, and what is made of them, where the answer is known."""

import math
from typing import Any

import jax
import numpy as np
import pytest

import input_pipeline
import train
from experiments.advising import checking, measuring
from experiments.advising.advice import Scale
from experiments.advising.estimates import Estimate
from training.config import Config

LINEAR = Config(dataset="synthetic", inputs=3, classes=2, hidden=(), output="identity", batch_size=8)
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


def test_edge_of_a_quadratic_cost(parts):
    """The Hessian of a linear net's squared error is x x^T times 2 / C at every w: descent rises beyond 2 / lambda."""
    x_PxD = np.hstack([parts.images_KxPxD[0], np.ones((80, 1))])
    exact = 2 / float(np.linalg.eigvalsh(x_PxD.T @ x_PxD / 80)[-1])
    check = checking.check_rate(LINEAR, 1.3 * exact, parts)
    assert check.measured.low < 1.001 * exact < 1.002 * check.measured.high
    assert check.measured.high / check.measured.low == pytest.approx(math.sqrt(2), rel=1e-5)
    assert check.verdict == "held" and "raises the cost lies between" in check.said
    assert checking.check_rate(LINEAR, 4 * exact, parts).verdict == "did not hold"
    adam = LINEAR.replace(optimizer="adam")
    assert checking.check_rate(adam, exact, parts).verdict == "not checked"


def test_edges_that_no_rate_shows():
    """All rates beyond it, or none."""
    assert checking.edge_of([1.0, 2.0, 8.0], [False, False, True]) == (4.0, 2.0, 8.0)
    assert checking.edge_of([1.0, 2.0], [True, True]) == (1.0, 0.0, 1.0)
    assert checking.edge_of([1.0, 2.0], [False, False]) == (2.0, 2.0, math.inf)
    assert checking.rises(np.array([3.0, 2.0, 2.5])) and not checking.climbs(np.array([3.0, 2.0, 2.5]))
    assert checking.climbs(np.array([3.0, 2.0, np.nan])) and not checking.rises(np.array([3.0, 2.0, 2.0]))


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


def test_batches_about_the_advice():
    """Powers of 2, no more of them than there are examples."""
    assert checking.batches_about(64, 50_000) == [4, 16, 64, 256, 1024]
    assert checking.batches_about(1e6, 50_000) == [64, 256, 1024, 4096]
    assert max(checking.batches_about(64, 100)) == 64


def test_batches_are_tried_from_the_state_on(parts, monkeypatch):
    """The cost before the first step is that of the state, in every lane; and what was predicted is judged."""
    monkeypatch.setattr(checking, "BATCH_STEPS", 3)
    monkeypatch.setattr(checking, "batches_about", lambda *_: [8])
    state, held_out = train.initial_state(LINEAR), parts.pooled(50)
    cost_SxMxR = checking.costs_from(LINEAR, [0.01, 0.5], parts.rest, held_out, state, 8)
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
    check = checking.check_scale(config, 2.0, scale, parts, 0.25)
    assert check.verdict in ("held", "undecided") and check.measured.value < 0.2
    worse = checking.check_scale(config, 2.0, scale._replace(advised=Estimate(400.0)), parts, 0.25)
    assert worse.verdict == "did not hold" and worse.measured.value > 0.2
    assert checking.check_scale(config, 2.0, None, parts, 0.25).verdict == "not checked"
