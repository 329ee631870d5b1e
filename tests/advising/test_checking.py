"""The lanes that test advice, and what is made of them, where the answer is known."""

import math
from types import SimpleNamespace as Namespace
from typing import Any

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


def costs_of_law(
    knee: float, size: float, seeds: int = 4, scatter: float = 0.0, every_step: bool = False
) -> np.ndarray:
    """Costs of steps that count as 1 / (1 + knee / size) each, at the best of three rates, which some seeds miss by a
    little."""
    scattered_S = 1 + scatter * np.linspace(-1, 1, seeds)
    done_SxM = scattered_S[:, None] * np.arange(33.0) / (1 + knee / size)
    cost_SxMxR = 1 - (1 - np.exp(-done_SxM / 10))[:, :, None] * np.array([0.5, 1.0, np.nan])
    cost_SxMxR[:, 0] = 1.0
    return cost_SxMxR if every_step else cost_SxMxR[:, [0, -1]]


def test_knee_of_steps_that_follow_the_law():
    """Gains as after m / (1 + K / B) steps give K again, with an interval that holds it; open where it is not among the
    batches."""
    batches, of_all = [8, 16, 32, 64, 128], costs_of_law(0.0, 1.0, seeds=1, every_step=True)
    knee = checking.knee_of(batches, [costs_of_law(40.0, size, scatter=0.1) for size in batches], of_all)
    assert knee.value == pytest.approx(40.0, rel=0.05) and 29 < knee.low < 40 < knee.high < 60
    exact = checking.knee_of(batches, [costs_of_law(40.0, size) for size in batches], of_all)
    assert exact.high - exact.low == pytest.approx(0.0, abs=1e-4)
    for law, expected in ((4.0, (8.0, 0.0, 8.0)), (1e4, (128.0, 128.0, math.inf))):
        open_ended = checking.knee_of(batches, [costs_of_law(law, size) for size in batches], of_all)
        assert open_ended == pytest.approx(expected)


def test_batches_about_the_advice():
    """A third, a ninth, three and nine times it, at most half of the examples; of small ones more seeds."""
    assert checking.batches_about(63, 10_000) == [7, 21, 63, 189, 567]
    assert checking.batches_about(900, 10_000) == [100, 300, 900, 2700, 5000]
    assert checking.batches_about(1e6, 9_000) == [4500]
    assert checking.batches_about(2, 10_000)[:2] == [1, 2] and max(checking.batches_about(64, 100)) == 50
    assert [checking.seeds_of(sizes) for sizes in ([7, 63, 567], [100, 900], [900, 8100])] == [24, 20, 8]


def batch_advice(batch: float, alone: float = math.nan) -> Any:
    """Advice of that batch, beside the noise scale of the state."""
    return Namespace(batch=Estimate(batch), batches=[Estimate(alone)])


def test_batch_that_is_advised_is_judged(parts, monkeypatch):
    """The knee does not depend on the advice about which batches are tried: what is right holds, a sixth of it does
    not, each as the advice and as the noise scale of the state alone."""
    config, state = LINEAR.replace(learning_rate=0.1), train.initial_state(LINEAR)
    point = measuring.Point(0, math.nan, {}, state)
    low, right = (
        checking.check_batch(config, 2.0, batch_advice(*pair), parts, point) for pair in ((15.0, 90.0), (90.0, 15.0))
    )
    assert low.measured.value == pytest.approx(right.measured.value, rel=0.25)
    assert (low.verdict, right.verdict) == ("did not hold", "held") and "in 16; 90 was the advice" in right.said
    assert (low.comparisons["alone"]["verdict"], right.comparisons["alone"]["verdict"]) == ("held", "did not hold")
    monkeypatch.setattr(checking, "batches_about", lambda *_: [8])
    assert checking.check_batch(config, 1.0, batch_advice(30.0), parts, point).verdict == "not checked"
    assert checking.check_batch(config, 1.0, batch_advice(math.inf), parts, point).verdict == "not checked"


def test_batches_are_drawn_from_all_classes(monkeypatch):
    """Where the data set is in the order of its classes, and has more examples than are drawn from."""
    labels = np.repeat(np.int32([0, 1]), 400)
    dataset = input_pipeline.Dataset(np.ones((800, 3), np.float32), labels, np.ones((2, 3), np.float32), labels[:2])
    monkeypatch.setattr(checking, "MOST_EXAMPLES", 100)
    seen: list[np.ndarray] = []

    def costs_from(_: Config, examples: Any, *others: Any, **kinds: Any) -> Any:
        seen.append(examples[0][1])
        return lambda rates: np.ones((2, 33, len(rates)))

    monkeypatch.setattr(checking, "costs_from", costs_from)
    point: Any = Namespace(state=None)
    checking.check_batch(LINEAR, 1.0, batch_advice(10.0), measuring.cut(LINEAR, dataset), point)
    assert all(len(labels_N) == 100 and 0.3 < np.mean(labels_N) < 0.7 for labels_N in seen) and seen


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
    nothing = checking.check_scale(config, largest, scale, parts, 1e-3)
    assert nothing.verdict == "not checked" and "at none does it learn" in nothing.said
