"""Steps to a target: where a known course meets it, the best rate, the fit of a known law, whose noise is measured."""

import itertools
import json
import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import input_pipeline
import nets
import train
from experiments.batches import steps_to_target
from experiments.batches.steps_to_target import STUDY
from experiments.study import command
from experiments.study.claims import Claim
from training.config import as_config

SIZE = STUDY.sizes["quick"]
SIZES = SIZE.batches


def test_looks_until_a_course_meets_the_target():
    """A cost that halves from look to look is at 1/3 of its start after log2 3; one that rises again has met it."""
    course = [2 * 0.5**look for look in range(1, 6)]
    assert steps_to_target.looks_until(2 / 3, course, 2.0) == pytest.approx(math.log2(3))
    assert steps_to_target.looks_until(1.5, course, 2.0) == pytest.approx(math.log2(4 / 3))
    assert steps_to_target.looks_until(1.0, [1.0, 3.0, 0.5], 2.0) == pytest.approx(1.0)
    assert math.isnan(steps_to_target.looks_until(0.01, [*course, math.nan], 2.0))


def courses(looks_SxR, powers, batches=(64, 512)):
    """Courses of three rates that meet a cost of .5 at those looks, of each batch size."""
    cost_SxLxR = np.where(np.arange(1, 99)[:, None] < np.array(looks_SxR)[:, None, :], 1.0, 0.5)
    at = {power: steps_to_target.Course(cost_SxLxR[:, :, r], None) for r, power in enumerate(powers)}
    return {(batch_size, power): at[power] for batch_size in batches for power in powers}


def test_each_size_is_judged_at_its_best_rate():
    """That of the fewest steps for the other seeds, whatever a seed's own luck; what never arrives is no choice."""
    size = SIZE._replace(batches=(64, 512), targets=(0.5,), first=0, most=0, beside=1, extensions=0)
    found = courses([[4, 3, 999], [4, 3, 9], [1, 3, 9]], (-1, 0, 1))
    tuned = steps_to_target.tune(size, 0, found, lambda *_: {}, 1.0)
    # The third seed's luck at the first rate decides for the other two, not for itself; a look is 256 examples.
    assert tuned.power_BxS.tolist() == [[-1, -1, 0]] * 2
    assert tuned.steps_BxS.tolist() == [[16.0, 16.0, 12.0], [4.0, 4.0, 3.0]]
    assert tuned.at_edge_B.tolist() == [True, True]


def test_a_grid_is_extended_as_far_as_a_size_allows():
    """By factors of 2 while a best rate lies at the edge; each course is asked for once, also of another target."""
    asked = []

    def more(batch_size, powers):
        asked.append((batch_size, list(powers)))
        looks = {-2: 2, -3: 1, -4: 5}
        return courses([[looks[power] for power in powers]] * 2, powers, (batch_size,))

    size = SIZE._replace(batches=(256,), targets=(0.6, 0.5), first=-8, most=0, beside=1)
    for extensions, best, at_edge in ((1, -2, True), (2, -3, True), (3, -3, False)):
        found = courses([[3, 6, 9]] * 2, (-1, 0, 1), (256,))
        tuned = [steps_to_target.tune(size._replace(extensions=extensions), t, found, more, 1.0) for t in (0, 1)]
        assert [of_target.power_BxS.tolist() for of_target in tuned] == [[[best, best]]] * 2
        assert tuned[1].at_edge_B.tolist() == [at_edge] and tuned[1].steps_BxS.tolist() == [[best + 4] * 2]
    assert asked == [(256, [-2]), (256, [-2]), (256, [-3]), (256, [-2]), (256, [-3]), (256, [-4])]


def test_course_keeps_the_parameters_that_first_meet_each_target(synthetic_config):
    """They have the cost that was seen at that look, of every seed and rate; where none meets it, the initial draw."""
    synthetic_config.update(hidden=(4,), train_examples=200, batch_size=16)
    targets = (0.0899, 0.0895, 0.0)
    # Rates 4, 8 and 16.
    size = SIZE._replace(config=as_config(synthetic_config), seeds=2, targets=targets, look=32, examples=320, steps=1)
    size = size._replace(first=-1, most=3, beside=1)
    dataset, functions = train.load_dataset(synthetic_config, ""), train.make_train(synthetic_config)
    initial = train.initial_state(synthetic_config)
    found = steps_to_target.courses_of(size, dataset, 16, size.grid(16))
    assert list(found) == [(16, 2), (16, 3), (16, 4)]
    for (_, power), s, t in itertools.product(found, range(2), range(2)):
        cost_L = found[16, power].cost_SxL[s]
        assert len(cost_L) == 10
        params = jax.tree.map(lambda leaf: leaf[s, t], found[16, power].met_SxT)  # noqa: B023
        cost = functions.evaluate(
            initial._replace(params=params), dataset.validation_images, dataset.validation_labels
        )["loss"]
        first = np.argmax(cost_L <= targets[t])
        assert cost_L[first] <= targets[t] and float(cost) == pytest.approx(cost_L[first], rel=1e-5)
    for course in found.values():
        kernel = course.met_SxT["hidden_0"]["kernel"][0, 2]
        assert np.array_equal(kernel, initial.params["hidden_0"]["kernel"])


def law(knee, seeds=3, power=0.0):
    """Every seed's steps by the law with that knee, and rates that grow with the batch to that power."""
    sizes_B = np.array(SIZES, float)
    steps_BxS = np.repeat(80 * (1 + knee / sizes_B)[:, None], seeds, axis=1)
    power_BxS = np.repeat(power * np.log2(sizes_B)[:, None], seeds, axis=1)
    return steps_to_target.Tuned(steps_BxS, power_BxS, np.zeros(len(SIZES), bool))


def test_claims_tell_a_knee_at_the_noise_scale_from_others():
    """Of the law with a knee of 200 all is reproduced where the noise scale is 100; of steps that fall for ever, or
    hardly do, or a noise scale of 10, the claims that say so fail."""
    scale_TxBxS = np.array([[[40.0] * 3] * 8, [[50.0] * 3, [200.0] * 3, *[[np.nan] * 3] * 6]])

    def verdicts(knee, scale_TxBxS, power):
        claims = steps_to_target.claims_of(SIZE, [law(80), law(knee, power=power)], scale_TxBxS)
        return [claim.is_reproduced for claim in claims]

    assert verdicts(200, scale_TxBxS, 1.0) == [True] * 7
    claims = steps_to_target.claims_of(SIZE, [law(80), law(200)], scale_TxBxS)
    assert all(claim.exploratory and claim.rival_at and not claim.holds_rival for claim in claims)
    assert verdicts(200, scale_TxBxS / 10, 0.5) == [True, True, True, False, False, False, True]
    # Of steps in proportion to 1 / B the law's fit cannot be told from theirs.
    assert verdicts(1e5, scale_TxBxS, 1.0) == [True, False, False, True, True, False, False]
    assert verdicts(5, scale_TxBxS, 1.0) == [False, True, True, True, True, False, False]


def test_small_batches_are_those_below_half_of_the_knee():
    """Where none is given; of the law with a knee of 20 all lines hold then, which they do not up to 32 or more."""
    of_knee, scale_TxBxS = SIZE._replace(small=None), np.full((2, 8, 3), 20.0)
    tuned = [law(10), law(20, power=1.0)]
    assert steps_to_target.small_up_to(of_knee, tuned[1]) == max(b for b in SIZES if b <= 10)
    assert (
        steps_to_target.small_up_to(of_knee, law(0.5)) == SIZES[1]
        and steps_to_target.small_up_to(SIZE, tuned[1]) == SIZE.small
    )
    claims = {claim.key: claim for claim in steps_to_target.claims_of(of_knee, tuned, scale_TxBxS)}
    assert all(claim.is_reproduced for claim in claims.values())
    slope = claims["slope/small"]
    assert "half of the knee" in slope.exploratory and slope.name.endswith("B <= 4")
    before = {claim.key: claim for claim in steps_to_target.claims_of(SIZE, tuned, scale_TxBxS)}
    assert not before["slope/small"].is_reproduced


def test_noise_is_that_of_the_seed_and_the_rate_that_are_judged(monkeypatch):
    """Each size's parameters at its seed's own rate; none where the target is missed, or |G|^2 comes out negative."""
    monkeypatch.setattr(
        nets.curvature, "gradient_noise_scale", lambda cost, params, batch: SimpleNamespace(noise_scale=params)
    )
    met_SxTxR = 100 * np.arange(2.0)[:, None, None] + 10 * np.arange(2.0)[:, None] + np.arange(5.0)
    found = {(1, power): steps_to_target.Course(None, met_SxTxR[..., r]) for r, power in enumerate(SIZE.grid(1))}
    found |= {(4, power): steps_to_target.Course(None, met_SxTxR[..., r] - 5) for r, power in enumerate(SIZE.grid(4))}
    low, high = SIZE.grid(1)[1], SIZE.grid(4)[3]
    power_BxS = np.array([[low, low], [high, high]])
    tuned = [
        steps_to_target.Tuned(np.array(steps_BxS), power_BxS, np.zeros(2, bool))
        for steps_BxS in ([[9.0, 9.0], [9.0, np.nan]], [[9.0, 9.0], [9.0, 9.0]])
    ]
    scale_TxBxS = steps_to_target.noise_scales(SIZE, found, tuned, input_pipeline.load("synthetic"))
    assert np.array_equal(scale_TxBxS, [[[1, 101], [np.nan, np.nan]], [[11, 111], [8, 108]]], equal_nan=True)


def test_seeds_are_those_that_are_asked_for(synthetic_config):
    """From seed 1 on, the first run is the second of those from 0 on, of batches of one example as of larger ones."""
    synthetic_config.update(hidden=(4,), train_examples=50, batch_size=4)
    size = SIZE._replace(config=as_config(synthetic_config), seeds=2, targets=(0.0,), look=8, examples=16, steps=1)
    dataset = train.load_dataset(synthetic_config, "")
    for batch_size in (1, 4):
        first, second = (
            steps_to_target.courses_of(size._replace(seeds_from=seed), dataset, batch_size, [1, 2]) for seed in (0, 1)
        )
        for power in (1, 2):
            courses = [found[batch_size, power].cost_SxL for found in (first, second)]
            np.testing.assert_allclose(courses[0][1], courses[1][0], rtol=1e-6)
            assert courses[0].shape == (2, 2) and (courses[0][0] != courses[0][1]).all()


def test_study_end_to_end(tmp_path):
    """Seven claims, all directions; two batch sizes of a net that hardly learns show no knee that moves."""
    command.run(STUDY, "tiny", tmp_path)
    claims = {line["key"]: Claim.from_dict(line) for line in json.loads((tmp_path / "results.json").read_text())}
    assert list(claims)[:4] == ["slope/small", "slope/large", "misfit", "slope/rate"] and len(claims) == 7
    assert list(claims)[4:] == ["knee/cost0.0899", "knee/cost0.0895", "knee/moves"]
    assert {claim.kind for claim in claims.values()} == {"direction"}
    assert not claims["slope/small"].is_reproduced and not claims["knee/moves"].is_reproduced
    assert (tmp_path / "figure.png").stat().st_size > 10_000
