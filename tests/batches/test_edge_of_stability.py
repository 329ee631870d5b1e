"""The edge of stability: where a known course hovers, descent against numpy, sharpness against the whole Hessian."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import nets
import train
from experiments.batches import edge_of_stability
from experiments.batches.edge_of_stability import STUDY, Course, Images, Toy, image_config
from experiments.study import command, toolkit
from experiments.study.claims import Claim
from training.config import as_config


def test_median_of_the_last_half_since_the_edge():
    """What came before does not count, nor does the first half since; a run that stays below, or falls, has none."""
    ratio_T = np.array([3.0, 0.5, 1.0, 1.4, 1.1, 1.02, 1.04, 1.03])
    assert edge_of_stability.reached(ratio_T) == 2
    assert edge_of_stability.hovers_at(ratio_T) == pytest.approx(1.03)
    assert np.isnan(edge_of_stability.hovers_at(ratio_T - 0.5))
    assert np.isnan(edge_of_stability.hovers_at(np.array([3.0, 2.0, 0.9])))


def known_course(ratio=1.05, last=0.1, rises=True):
    """Two rates and two seeds that reach the edge at step 20 of 50, at cost 1."""
    looks_T, rates_R = np.arange(0, 50, 10), np.array([0.5, 0.25])
    ratio_T = np.array([0.2, 0.9, ratio, ratio, ratio])
    cost_E = np.concatenate([np.linspace(9, 1, 20, endpoint=False), np.linspace(1, last, 30)])
    if rises:
        cost_E[30] = cost_E[29] + 0.01
    sharpness_RxSxT = np.broadcast_to(2 * ratio_T / rates_R[:, None, None], (2, 2, 5)).copy()
    return Course(rates_R, np.broadcast_to(cost_E, (2, 2, 50)).copy(), looks_T, sharpness_RxSxT)


def verdicts(course):
    """The verdict of each claim: the rates', the fall, the rising."""
    return [claim.verdict for claim in edge_of_stability.claims_of("net", course)]


YES, NO, OPEN = "reproduced", "not reproduced", "undecided"


def test_claims_hold_where_the_sharpness_hovers():
    """All that two seeds can decide, with the step at which the edge was reached; that is no share of 90 %, for which
    36 do not suffice where one of them fails, and do where none does."""
    claims = edge_of_stability.claims_of("net", known_course())
    assert [claim.key for claim in claims] == ["net/rate0.5/hovers", "net/rate0.25/hovers", "net/fall", "net/rising"]
    assert [claim.measured for claim in claims] == pytest.approx([1.05, 1.05, 0.1, 1.0])
    assert [claim.verdict for claim in claims] == [YES, YES, YES, OPEN]
    assert "after 20 steps" in claims[0].note and all(claim.exploratory for claim in claims)
    assert [(claim.count, claim.sample) for claim in claims] == [(2, "seeds")] * 4
    more = known_course()
    more = more._replace(cost_RxSxE=np.tile(more.cost_RxSxE, (1, 18, 1)))
    more = more._replace(sharpness_RxSxT=np.tile(more.sharpness_RxSxT, (1, 18, 1)))
    assert verdicts(more) == [YES] * 4
    more.cost_RxSxE[0, 5] = known_course(rises=False).cost_RxSxE[0, 0]
    assert verdicts(more)[-1] == OPEN and "in 71 of 72" in edge_of_stability.claims_of("net", more)[-1].note


def test_runs_of_a_seed_are_one_of_the_sample():
    """The fall is the median over the rates, in the mean of the seeds; a seed whose cost rises at one rate alone does
    not count."""
    course = known_course()
    for r, s, last in ((0, 0, 0.2), (1, 0, 0.4), (0, 1, 0.3), (1, 1, 0.3)):
        course.cost_RxSxE[r, s, -1] = last
    fall, rising = edge_of_stability.claims_of("net", course)[-2:]
    assert fall.values == pytest.approx((0.3, 0.3)) and fall.measured == pytest.approx(0.3)
    assert rising.measured == 1
    course.cost_RxSxE[1, 0] = known_course(rises=False).cost_RxSxE[1, 0]
    assert edge_of_stability.claims_of("net", course)[-1].measured == 0.5


def test_each_claim_can_miss():
    """Above or below the band, one that falls in every step; never at the edge, nothing holds."""
    assert verdicts(known_course(ratio=1.16)) == [NO, NO, YES, OPEN]
    assert verdicts(known_course(rises=False)) == [YES, YES, YES, NO]
    assert verdicts(known_course(ratio=0.99)) == [NO, NO, OPEN, NO]
    one_stays_below = known_course()
    one_stays_below.sharpness_RxSxT[0, 1] /= 2
    claims = edge_of_stability.claims_of("net", one_stays_below)
    assert [claim.verdict for claim in claims] == [NO, YES, OPEN, OPEN] and "1 of 2 seeds" in claims[0].note


def test_a_cost_that_stays_has_not_fallen():
    """.81 is above the band, and seeds that disagree about it decide nothing."""
    assert [verdicts(known_course(last=last))[-2] for last in (0.81, 0.79)] == [NO, YES]
    course = known_course(last=0.79)
    course.cost_RxSxE[:, 1, -1] = 0.5
    assert verdicts(course)[-2] == OPEN


def test_interval_of_a_median():
    """Of 12 values the third and the tenth, of 6 the ends, of 5 none: the binomial's chance of less is below 2.5 %."""
    assert toolkit.median_interval(np.arange(12)[::-1]) == (2, 9)
    assert toolkit.median_interval(np.arange(6)) == (0, 5)
    assert np.isnan(toolkit.median_interval(np.arange(5))).all()


def test_a_run_that_diverges_is_said():
    """It leaves the rest of its row empty."""
    course = known_course()
    course.sharpness_RxSxT[0, 1] = np.nan
    first = edge_of_stability.claims_of("net", course)[0]
    assert first.verdict == NO and first.note == "reached after 20 steps, by 1 of 2 seeds; 1 of 2 diverged"


def test_a_run_that_diverges_beyond_the_edge_is_not_left_out():
    """The seeds that stay do not hover for it."""
    course = known_course()
    course = course._replace(cost_RxSxE=np.tile(course.cost_RxSxE, (1, 2, 1)))
    course = course._replace(sharpness_RxSxT=np.tile(course.sharpness_RxSxT, (1, 2, 1)))
    course.sharpness_RxSxT[0, 1, -1] = np.nan
    first, second = edge_of_stability.claims_of("net", course)[:2]
    assert (first.verdict, first.count, second.verdict) == (NO, 4, YES)
    assert first.note.startswith("reached after 20 steps; 1 of 4 diverged; the others hover at 1.0")


def test_a_lost_run_is_one_whose_cost_does_not_fall():
    """One of a seed's three leaves the worse of the other two; of two nothing is known."""
    course, fall = known_course(), {}
    three = [0, 1, 1]
    course = course._replace(rates_R=course.rates_R[three], cost_RxSxE=course.cost_RxSxE[three])
    course = course._replace(sharpness_RxSxT=course.sharpness_RxSxT[three])
    course.cost_RxSxE[1, 0, -1] = 0.2
    for lost in (0, 1, 2):
        sharpness_RxSxT = course.sharpness_RxSxT.copy()
        sharpness_RxSxT[:lost, 0] = np.nan
        claims = edge_of_stability.claims_of("net", course._replace(sharpness_RxSxT=sharpness_RxSxT))
        fall[lost] = next(claim for claim in claims if claim.key == "net/fall")
    assert not fall[0].note and fall[1].note.startswith("1 of ") and edge_of_stability.AS_NO_FALL in fall[1].exploratory
    # The geometric means of .1, and of .1 and .2.
    assert [fall[lost].measured for lost in fall] == pytest.approx([0.1, 0.02**0.5, np.nan], nan_ok=True)


def test_rates_of_another_data_set_go_by_the_sharpness_at_its_start(synthetic_config, monkeypatch):
    """Twice as large: half the rates and twice the steps, under the keys of the first."""
    config = image_config(as_config(synthetic_config), 40, (3,), 4)
    steeper = config.replace(cost="cross_entropy", output="softmax")
    start = {config.cost: 3.0, steeper.cost: 6.0}
    monkeypatch.setattr(edge_of_stability, "steepest_start", lambda config: start[config.cost])
    monkeypatch.setattr(edge_of_stability, "sharpness", nets.curvature.mean_cost)
    size = Images(steeper, rates=(0.2, 0.1), seeds=1, look_every=2, made_for=config)
    course = edge_of_stability.images(size)
    assert course.rates_R.tolist() == [0.1, 0.05] and course.looks_T.tolist() == [2, 4, 6, 8]
    claims = edge_of_stability.claims_of("net", course)
    assert [claim.key for claim in claims[:2]] == ["net/rate0.2/hovers", "net/rate0.1/hovers"]
    assert "rate 0.1:" in claims[0].name and claims[0].exploratory.endswith("another data set")
    assert edge_of_stability.on_dataset(STUDY.sizes["quick"], "sklearn:digits").images.made_for.dataset == "mnist"


def test_sharpness_at_the_start_is_the_largest_of_the_seeds(synthetic_config, monkeypatch):
    """With the mean cost in its place: that of the initial states."""
    monkeypatch.setattr(edge_of_stability, "sharpness", nets.curvature.mean_cost)
    config = image_config(as_config(synthetic_config), 40, (3,), 4)
    data, cost = train.load_dataset(config, "")[:2], toolkit.cost_of(config)
    found = [nets.curvature.mean_cost(cost, train.initial_state(config.replace(seed=s)).params, data) for s in (0, 1)]
    assert edge_of_stability.steepest_start(config) == pytest.approx(float(max(found)))


def test_study_end_to_end(tmp_path):
    """Ten claims, all directions, none of which holds after two steps."""
    command.run(STUDY, "tiny", tmp_path)
    claims = [Claim.from_dict(line) for line in json.loads((tmp_path / "results.json").read_text())]
    assert len({claim.key for claim in claims}) == len(claims) == 10
    assert {claim.kind for claim in claims} == {"direction"}
    assert not any(claim.is_reproduced for claim in claims)
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_sharpness_is_the_largest_eigenvalue():
    """Of the mean of two bowls whose Hessians are diagonal: 3, 5 and 2 in the mean."""
    cost = lambda w_3, h_Bx3: jnp.sum(h_Bx3 * w_3[None] ** 2, axis=1) / 2  # noqa: E731
    h_2x3 = jnp.array([[6.0, 2.0, 1.0], [0.0, 8.0, 3.0]])
    assert edge_of_stability.sharpness(cost, jnp.ones(3), h_2x3) == pytest.approx(5, rel=1e-5)


def test_toy_is_gradient_descent_on_the_polynomial(monkeypatch):
    """Costs of 9 steps by hand in float64; with the mean cost in the place of its sharpness, looks find every third."""
    monkeypatch.setattr(edge_of_stability, "sharpness", nets.curvature.mean_cost)
    course = edge_of_stability.toy(Toy(units=5, rates=(0.2, 0.05), seeds=2, looks=3, steps_a_look=3))
    assert course.cost_RxSxE.shape == (2, 2, 9) and course.looks_T.tolist() == [0, 3, 6]
    np.testing.assert_allclose(course.sharpness_RxSxT, course.cost_RxSxE[:, :, ::3], rtol=1e-5)
    net = nets.MLP(hidden=(5,), classes=1, activation="tanh", output="identity")
    x_N = np.linspace(-1, 1, 20)
    y_N = 16 * x_N**5 - 20 * x_N**3 + 5 * x_N
    for s, key in enumerate(jax.random.split(jax.random.key(0), 2)):
        params = jax.device_get(net.init(key, np.zeros((1, 1), np.float32))["params"])
        leaves = [params[layer][leaf] for layer in ("hidden_0", "output") for leaf in ("kernel", "bias")]
        for r, rate in enumerate((0.2, 0.05)):
            w, costs = np.concatenate([np.float64(leaf).ravel() for leaf in leaves]), []
            for _ in range(9):
                value, slope = cost_and_gradient(w, x_N, y_N)
                costs.append(value)
                w = w - rate * slope
            np.testing.assert_allclose(course.cost_RxSxE[r, s], costs, rtol=1e-4)


def cost_and_gradient(w, x_N, y_N):
    """The mean squared error of a net of one hidden layer of 5 tanh with weights w = (kernel, bias, kernel, bias)."""
    k, b, v, c = w[:5], w[5:10], w[10:15], w[15]
    h_NxH = np.tanh(np.outer(x_N, k) + b)
    error_N = h_NxH @ v + c - y_N
    delta_NxH = 2 / len(x_N) * np.outer(error_N, v) * (1 - h_NxH**2)
    slope = [x_N @ delta_NxH, delta_NxH.sum(axis=0), 2 / len(x_N) * error_N @ h_NxH, [2 * error_N.mean()]]
    return np.mean(error_N**2), np.concatenate(slope)


def test_images_are_measured_by_the_cost_that_is_descended(synthetic_config, monkeypatch):
    """With the mean cost in the place of its sharpness, a look after 2 steps finds the cost before the third one, and
    the cost falls as the gradient promises."""
    monkeypatch.setattr(edge_of_stability, "sharpness", nets.curvature.mean_cost)
    config = image_config(as_config(synthetic_config), 40, (3,), 5)
    course = edge_of_stability.images(Images(config, rates=(1e-3, 2e-3), seeds=1, look_every=2))
    assert course.looks_T.tolist() == [2, 4] and course.sharpness_RxSxT.shape == (2, 1, 2)
    np.testing.assert_allclose(course.sharpness_RxSxT, course.cost_RxSxE[:, :, [2, 4]], rtol=1e-6)
    dataset, params = train.load_dataset(config, ""), train.initial_state(config).params
    slope_P, _ = ravel_pytree(nets.curvature.gradient(toolkit.cost_of(config), params, dataset[:2]))
    falls_R = course.cost_RxSxE[:, 0, 0] - course.cost_RxSxE[:, 0, 1]
    np.testing.assert_allclose(falls_R / course.rates_R, float(slope_P @ slope_P), rtol=0.05)
