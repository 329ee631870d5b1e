"""The edge of divergence, found by running descent, where it is known."""

import math
from typing import Any

import numpy as np
import pytest

import input_pipeline
import train
from experiments.advising import edges, measuring
from experiments.advising.estimates import Estimate
from experiments.engine import recent_programs
from training.config import Config
from training.own import code_of

LINEAR = Config(dataset="synthetic", inputs=3, classes=2, hidden=(), output="identity", batch_size=8)
# Above all costs: the start alone says what descent comes back from.
GUESS = 1e9
SHARES = (0.3, 0.6, 1.0)


def cut(noise: float, sets: int = measuring.SETS) -> measuring.Parts:
    """Eight hundred random examples of three numbers and two classes, cut up."""
    random = np.random.default_rng(0)
    images = np.float32(random.normal(size=(800, 3)) * SHARES)
    labels = np.int32(images @ [1.0, -1.0, 0.5] + noise * random.normal(size=800) > 0)
    return measuring.cut(
        LINEAR.replace(probe_examples=80), input_pipeline.Dataset(images, labels, images[:4], labels[:4]), sets
    )


@pytest.fixture(scope="module")
def parts():
    """Classes that overlap."""
    return cut(1.0)


def measured(top: float) -> measuring.Measured:
    """A net whose largest eigenvalue is that."""
    state: Any = None
    point = measuring.Point(0, math.nan, {"curvature/top_eigenvalue": np.full(measuring.SETS, top)}, state)
    return measuring.Measured([point], measuring.FACTORS, {}, 0, False, 8)


def with_ones(images_PxD: np.ndarray) -> np.ndarray:
    """The inputs of the weights and of the bias."""
    return np.hstack([images_PxD, np.ones((len(images_PxD), 1))])


def top_of(images_PxD: np.ndarray) -> float:
    """Of a linear net's squared error: the Hessian is x x^T times 2 / C at every w."""
    x_PxD = with_ones(images_PxD)
    return float(np.linalg.eigvalsh(x_PxD.T @ x_PxD / len(x_PxD))[-1])


def test_a_step_is_timed_at_any_rate(parts):
    """At one from which nothing comes back as well; what takes unknown time fits into no budget."""
    sample = edges.Sample(*parts.probe_set(0), 0)
    assert all(0 < edges.seconds_of_step(LINEAR, sample, rate) < 10 for rate in (0.1, 1e30))
    assert edges.size_within(120.0, math.inf) == (0, 0)


@pytest.mark.parametrize(("fields", "factor"), [({}, 2.0), ({"momentum": 0.5}, 3.0)])
def test_edge_of_a_quadratic_cost(parts, fields, factor):
    """It is f / lambda: on each of the probe sets that of its own Hessian."""
    found = edges.find_edges(LINEAR.replace(**fields), parts, measured(top_of(parts.images_KxPxD[0])), GUESS)
    assert len(found.of_sets) == measuring.SETS and found.steps == edges.RATE_STEPS and not found.is_cut
    for edge, images_PxD in zip(found.of_sets, parts.images_KxPxD, strict=True):
        exact = factor / top_of(images_PxD)
        assert edge.low < 1.01 * exact < 1.02 * edge.high
        assert edge.high / edge.low == pytest.approx(edges.FINE, rel=1e-5)
    largest = edges.over_sets(found.of_sets)
    assert largest.low < factor / top_of(np.concatenate(list(parts.images_KxPxD))) < largest.high


def test_edge_does_not_depend_on_where_it_is_looked_for():
    """Thousands of times too low or too high a start, by as many rates again above or below."""
    parts = cut(1.0, sets=1)
    exact = 2 / top_of(parts.images_KxPxD[0])
    for wrong in (1e-5, 1e3):
        edge = edges.find_edges(LINEAR, parts, measured(2 / (wrong * exact)), GUESS).of_sets[0]
        assert edge.low < 1.01 * exact < 1.02 * edge.high


def test_descent_is_run_on_some_examples_of_each_set(parts, monkeypatch):
    """Of these the edge is, which here is another one than that of the whole set."""
    monkeypatch.setattr(edges, "RUN_EXAMPLES", 2)
    found = edges.find_edges(LINEAR, parts, measured(top_of(parts.images_KxPxD[0])), GUESS)
    exact = [2 / top_of(images_PxD[:2]) for images_PxD in parts.images_KxPxD]
    whole = [2 / top_of(images_PxD) for images_PxD in parts.images_KxPxD]
    assert all(edge.low < 1.01 * rate < 1.02 * edge.high for edge, rate in zip(found.of_sets, exact, strict=True))
    assert any(not edge.low < rate < edge.high for edge, rate in zip(found.of_sets, whole, strict=True))


def costs_by_hand(rate: float, one: edges.Sample, start_DxC: np.ndarray) -> np.ndarray:
    """The cross-entropy before each step of softmax regression, in float64."""
    x_PxD, y_PxC, w_DxC = with_ones(one.images.astype(float)), np.eye(2)[one.labels], start_DxC.astype(float)
    costs: list[float] = []
    for _ in range(edges.RATE_STEPS):
        z_PxC = x_PxD @ w_DxC
        log_PxC = z_PxC - z_PxC.max(axis=1, keepdims=True)
        log_PxC = log_PxC - np.log(np.exp(log_PxC).sum(axis=1, keepdims=True))
        costs.append(-float(np.mean(np.sum(y_PxC * log_PxC, axis=1))))
        w_DxC = w_DxC - rate * x_PxD.T @ (np.exp(log_PxC) - y_PxC) / len(x_PxD)
    return np.array(costs)


def test_descent_on_cross_entropy_comes_back_from_beyond():
    """Its curvature gives way where classes overlap little: the edge is that of softmax regression by hand, and lies
    far above 2 / lambda; at zero weights lambda is half of that of x x^T, as p (1 - p) is 1/4 for either class. Where
    they do not overlap it comes back, as a perceptron's does, from whichever rate, and that is said from one side."""
    parts = cut(0.2)
    config = LINEAR.replace(output="softmax", cost="cross_entropy", init_scale=0.0)
    top = top_of(parts.images_KxPxD[0]) / 2
    found = edges.find_edges(config, parts, measured(top), GUESS)
    for number, edge in enumerate(found.of_sets):
        one, zeros = edges.Sample(*parts.probe_set(number), 0), np.zeros((4, 2))
        rates = [edge.low * factor for factor in (1 / 4, 1 / 2, 1.0)] + [edge.high]
        by_hand = [costs_by_hand(rate, one, zeros) for rate in rates]
        assert edges.Courses(rates, by_hand, GUESS).edge() == edge
        assert edge.low > 4 * 2 / top
    apart = edges.find_edges(config, cut(0.0, sets=2), measured(top), GUESS)
    assert all(edge.low == edge.value > 1_000 * 2 / top and math.isinf(edge.high) for edge in apart.of_sets)
    assert math.isinf(edges.over_sets(apart.of_sets).high)


def test_adam_is_run_as_well():
    """From the config's own rate on, as 2 / lambda says nothing of its rate."""
    adam = LINEAR.replace(optimizer="adam", learning_rate=0.01)
    assert edges.first_rate(adam, measured(1e9)) == 0.01 and edges.first_rate(LINEAR, measured(4.0)) == 0.5
    assert edges.first_rate(LINEAR, measured(-4.0)) == LINEAR.learning_rate
    found = edges.find_edges(adam, cut(1.0, sets=2), measured(1e9), GUESS)
    assert all(0.01 < edge.low < edge.high for edge in found.of_sets)


def test_rates_are_added_where_no_edge_is(parts):
    """As many above where none diverges, as many below where all do, twice at most; then it is said from one side."""
    asked: list[list[float]] = []

    def run(rates: list[float], edge: float) -> list[np.ndarray]:
        asked.append(rates)
        return [np.where(np.arange(60) > 30, math.nan if rate > edge else 0.5, 1.0) for rate in rates]

    def extended(rates: list[float], run: edges.Run) -> edges.Courses:
        return edges.extended(edges.Courses(rates, run(rates), GUESS), run)

    assert extended([1.0, 2.0, 4.0], lambda rates: run(rates, 3.0)).edge()[1:] == (2.0, 4.0)
    assert len(asked) == 1
    assert extended([1.0, 2.0, 4.0], lambda rates: run(rates, 20.0)).edge()[1:] == (16.0, 32.0)
    assert asked[1:] == [[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]
    assert extended([1.0, 2.0, 4.0], lambda rates: run(rates, 0.1)).edge()[1:] == (0.0625, 0.125)
    beyond = extended([1.0, 2.0, 4.0], lambda rates: run(rates, 1e9))
    assert beyond.edge() == (256.0, 256.0, math.inf) and len(beyond.rates) == 3 * (1 + edges.EXTENSIONS)
    assert extended([1.0, 2.0], lambda rates: run(rates, 0.0)).edge() == (1 / 16, 0.0, 1 / 16)


def test_interval_over_sets():
    """Half a step where the sets agree, Student's beyond that where they do not; open where all are."""
    edge = Estimate(math.sqrt(2.0), 1.0, 2.0)
    agree = edges.over_sets([edge] * 3)
    assert agree == pytest.approx((2**0.5, 2**0.25, 2**0.75))
    apart = edges.over_sets([edge, edge.times(2.0), edge.times(4.0)])
    assert apart.value == pytest.approx(2 * edge.value)
    assert math.log(apart.high / apart.value) == pytest.approx(4.303 * math.log(2) / 3**0.5 + math.log(2) / 4, rel=1e-3)
    above, below = Estimate(8.0, 8.0, math.inf), Estimate(0.5, 0.0, 0.5)
    assert edges.over_sets([edge]) == edge and edges.over_sets([])[1:] == (0.0, math.inf)
    for one in (above, below):
        assert edges.over_sets([edge] * 4 + [one]) == pytest.approx(edge)
    assert edges.over_sets([above, above.times(2.0)]) == pytest.approx((8 * 2**0.5, 8.0, math.inf))
    assert edges.over_sets([below, below.times(2.0)]) == pytest.approx((2**-0.5, 0.0, 1.0))
    assert edges.over_sets([below, above]) == pytest.approx((2.0, 0.5, 8.0))


def test_edges_that_no_rate_shows():
    """All rates beyond it, or none."""
    assert edges.edge_of([1.0, 2.0, 8.0], [False, False, True]) == (4.0, 2.0, 8.0)
    assert edges.edge_of([1.0, 2.0], [True, True]) == (1.0, 0.0, 1.0)
    assert edges.edge_of([1.0, 2.0], [False, False]) == (2.0, 2.0, math.inf)
    assert edges.rises(np.array([3.0, 2.0, 2.5])) and not edges.climbs(np.array([3.0, 2.0, 2.5]))
    assert edges.climbs(np.array([3.0, 2.0, np.nan])) and not edges.rises(np.array([3.0, 2.0, 2.0]))


def test_what_comes_back_does_not_diverge():
    """A cost that climbs above its start and falls again, one that ends where a dead net does, one that falls slowly,
    and one that leaves the numbers."""
    back, dead, slow = np.full(60, 1.5), np.full(60, 2.3), np.linspace(3.0, 2.5, 60)
    back[0] = dead[0] = 3.0
    back[5] = dead[5] = 40.0
    assert edges.climbs(back) and not edges.diverges(back, 1.0, 2.3)
    assert edges.diverges(dead, 1.0, 2.3) and not edges.diverges(slow, 1.0, 2.3)
    assert edges.diverges(np.where(np.arange(60) < 40, slow, np.nan), 1.0, 2.3) and edges.diverges(dead, np.nan, 2.3)


def test_a_net_that_knows_nothing_did_not_come_back():
    """However far above that it started; where knowing nothing costs more than the start, the start counts."""
    dead, back = np.full(60, 2.3), np.full(60, 1.1)
    dead[:2] = back[:2] = 5.0, 40.0
    assert edges.diverges(dead, 0.1, 2.3) and not edges.diverges(back, 0.1, 2.3)
    assert not edges.diverges(dead, 0.1, 9.0) and not edges.diverges(dead, 0.1, math.nan)


def test_best_of_rates_that_are_none_of_these():
    """What descent has to come back to."""
    course = np.full(60, 2.3)
    course[:2] = 3.0, 40.0
    assert math.isinf(edges.Courses([1.0], [course], 9.0).edge().high)
    assert edges.Courses([1.0], [course], 9.0, best=1.0).edge().low == 0


def test_costs_are_those_of_descent_by_hand(parts):
    """Before each step of softmax regression, at each rate, NaN where it left the numbers; whatever else the config
    does to a run."""
    config = LINEAR.replace(
        output="softmax",
        cost="cross_entropy",
        init_scale=0.0,
        schedule="cosine",
        warmup=1,
        patience=1,
        stop_at="loss<=0.5",
    )
    one = edges.Sample(*parts.probe_set(1), 3)
    for rate, cost_M in zip((0.5, 2.0), edges.descend(config, one, [0.5, 2.0]), strict=True):
        np.testing.assert_allclose(cost_M, costs_by_hand(rate, one, np.zeros((4, 2))), rtol=1e-4)


def test_a_plateau_is_judged_by_the_start():
    """Where the best of all rates ends where a net does that knows nothing, what ends there has come back."""
    plateau = np.full(60, 2.303)
    plateau[0] = 2.5
    above = plateau.copy()
    above[1] = 4.0
    assert not edges.diverges(above, 2.3029, 2.3026) and not edges.diverges(above, 2.3020, 2.3026)
    assert edges.diverges(np.where(np.arange(60) > 2, 2.6, above), 2.3029, 2.3026) and edges.diverges(
        above, 1.0, 2.3026
    )


def test_dropout_is_no_divergence(parts):
    """Of a net that drops units half of the time, as of one that drops none; the edge is the same to the bit."""
    net = LINEAR.replace(hidden=(16,), activation="tanh", output="softmax", cost="cross_entropy")
    sample, rates = edges.Sample(*parts.probe_set(0), 3), [0.01, 0.1]
    with_it, without = (edges.descend(net.replace(dropout=rate), sample, rates, 20) for rate in (0.5, 0.0))
    np.testing.assert_array_equal(with_it, without)
    assert not any(map(edges.climbs, with_it))


OWN = """
import flax.linen as nn

class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(2)(nn.Dropout(0.5, deterministic=not train)(nn.tanh(nn.Dense(16)(x))))
"""


def test_dropout_of_a_model_of_ones_own_is_no_divergence(parts, tmp_path):
    """It is judged by the cost as in evaluation, that of the start included: at low rates it falls."""
    (tmp_path / "own.py").write_text(OWN)
    model = f"{tmp_path / 'own.py'}:Net"
    own = Config(
        dataset="synthetic", inputs=3, classes=2, batch_size=8, cost="cross_entropy", model=model, code=code_of([model])
    )
    sample = edges.Sample(*parts.probe_set(0), 3)
    (cost_M,) = edges.descend(own, sample, [0.05], 30)
    assert len(cost_M) == 31 and not edges.climbs(cost_M[::10]) and cost_M[-1] < cost_M[0]
    start = train.make_train(own).evaluate(train.initial_state(own.replace(seed=3)), *sample[:2])["loss"]
    assert cost_M[0] == pytest.approx(float(start), rel=1e-6)


def test_running_stays_within_its_time(parts):
    """Of fewer steps and sets the longer a step takes, in the end of none."""
    sizes = [edges.size_within(120.0, seconds) for seconds in (0.0, 0.001, 0.015, 0.03, 0.05, 0.06, 9.0)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == sizes[1] == (edges.RATE_STEPS, measuring.SETS)
    assert sizes[-1] == (0, 0) and len(set(sizes)) > 3
    none = edges.find_edges(LINEAR, parts, measured(1.0), GUESS, budget=1e-9)
    assert none.of_sets == [] and none.steps == 0 and none.is_cut


def test_last_seed_is_followed_by_the_first():
    """Every seed that a config takes has others after it."""
    config = LINEAR.replace(seed=2**32 - 2)
    assert [measuring.seed_after(config, number) for number in range(3)] == [2**32 - 2, 2**32 - 1, 0]


def test_sets_of_other_inputs_share_no_program(parts, monkeypatch):
    """An input that is zero in all examples of a set is left out of its program, not of the next one's."""
    images, labels = parts.probe_set(0)
    for kept in ([1.0, 1.0, 0.0], [1.0, 1.0, 1.0]):
        sample = edges.Sample(images * np.float32(kept), labels, 3)
        (shared,) = edges.descend(LINEAR, sample, [0.1], 3)
        with monkeypatch.context() as patch:
            patch.setattr(recent_programs, "recent", {})
            (alone,) = edges.descend(LINEAR, sample, [0.1], 3)
        np.testing.assert_array_equal(shared, alone)
