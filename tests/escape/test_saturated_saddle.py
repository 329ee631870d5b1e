"""The study of the plateau as a saddle: its looks, its predictions, how it judges."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import pearsonr, t

from experiments.escape import saturated_saddle as study
from experiments.escape.saturated_saddle import Found
from experiments.study import plateau_nets as plateau
from experiments.study import toolkit
from experiments.study.claims import holds
from experiments.study.plateau_nets import Setting


def test_end_to_end(tiny_claims):
    """Four units on 60 images do not leave in 40 steps, so that no time is judged."""
    claims = tiny_claims(study.STUDY)
    assert list(claims)[:2] == ["law/3layers/rate1.6", "descent/3layers/rate1.6"]
    correlations = [f"{kind}/{name}" for name in ("law", "descent") for kind in ("correlation", "within_depths")]
    assert list(claims)[2:7] == [*correlations, "share/3layers/rate1.6"]
    assert list(claims)[7:] == [f"{name}/3layers/rate1.6" for name in ("classes", "all", "noise", "share/noise")]
    assert all(claim.kind == "oracle" for key, claim in claims.items() if not key.startswith("classes"))
    assert all(claim.exploratory for claim in claims.values())
    assert not any(claim.is_reproduced for claim in claims.values())
    # That none leaves is as right of those that stay.
    assert claims["share/3layers/rate1.6"].rival_at == (1.0,) and claims["share/3layers/rate1.6"].count == 2


def net(time: float, law: float, censored: bool = False, eigenvalue: float = -0.01) -> Found:
    """A net that left then, and what was predicted."""
    return Found(time, censored, law, 2 * law, eigenvalue)


def nets_of(setting: Setting, time: float, ratio: float, censored: int = 0) -> dict[Setting, list[Found]]:
    """Eight nets about a time, so many of them censored, predicted with that ratio."""
    spread = np.linspace(0.9, 1.1, 8)
    return {setting: [net(time * s, time * s / ratio, i < censored) for i, s in enumerate(spread)]}


def test_factors_are_judged_by_setting():
    """In the band, and outside; where nets have not left, by the medians, of which one may lie beyond the budget."""
    found = nets_of(Setting(3, 0.4), 300, 1.1) | nets_of(Setting(4, 0.4), 3_000, 1.9)
    found |= nets_of(Setting(5, 1.6), 10_000, 1.0, censored=1)
    found |= {Setting(5, 0.8): [net(12_000, 6_000, censored=True)] * 8}
    claims = study.factor_claims(found, "law", 15_000)
    assert [(claim.key, claim.verdict) for claim in claims] == [
        ("law/3layers/rate0.4", "reproduced"),
        ("law/4layers/rate0.4", "not reproduced"),
        ("law/5layers/rate1.6", "reproduced"),
        ("law/5layers/rate0.8", "not reproduced"),
    ]
    # With the plateau of the other depth both would be off by far: the band excludes it.
    assert not any(holds(study.BAND, claim.rival_at[0]) for claim in claims[:2])
    assert claims[0].rival == "the plateau of 4 layers, rate 0.4: 0.19"
    assert claims[1].rival == "the plateau of 3 layers, rate 0.4: 11"
    # Where there is none of that rate, that of the next one.
    assert claims[2].rival == "the plateau of 4 layers, rate 0.4: 6.3" and all(claim.rival_at for claim in claims)
    doubled = study.factor_claims(found, "descent", 15_000)
    assert [claim.measured for claim in doubled[:2]] == pytest.approx([0.55, 0.95])
    assert claims[3].low == 2 and claims[3].measured == np.inf


def test_correlation_takes_no_credit_for_the_rate():
    """Times that depend on the rate alone do not correlate with predictions that depend on depth, in rate x steps."""
    good, bad, deep = ({} for _ in range(3))
    for layers, time in ((3, 300.0), (4, 3_000.0), (5, 12_000.0)):
        for i, rate in enumerate((0.1, 0.2, 0.4, 0.8, 1.6)):
            slower = 2.0 ** (i % 3)
            good[Setting(layers, rate)] = time * slower * (1.02 + 0.01 * (i % 2)), time * slower
            bad[Setting(layers, rate)] = 1_000.0 * (1 + 0.1 * i), time
            # Of a prediction that knows the depth and takes the rates the other way round.
            deep[Setting(layers, rate)] = time * (1 + 0.1 * i), time * (1.4 - 0.1 * i)
    words = {"source": study.SOURCE, "exploratory": "why"}
    whole, within = study.correlation_claims("law", "a law", good, 8, **words)
    assert whole.is_reproduced and whole.count == 15 and "factor of 1.03" in whole.note
    assert within.is_reproduced and within.rival_at == (0.0,)
    # A time for each depth correlates by the root of the share of the squares that lie between the depths.
    logs_S = np.log([time for time, _ in good.values()]).reshape(3, 5)
    between = np.sum((logs_S.mean(axis=1) - logs_S.mean()) ** 2) * 5 / np.sum((logs_S - logs_S.mean()) ** 2)
    assert whole.rival_at == pytest.approx((between**0.5,)) and whole.rival_at[0] < 0.99
    assert study.correlation_claims("law", "a law", bad, 8, **words)[0].verdict == "not reproduced"
    whole, within = study.correlation_claims("law", "a law", deep, 8, **words)
    assert whole.measured > 0.98 and not whole.is_reproduced
    assert within.measured < -0.9 and within.verdict == "not reproduced"


def test_the_interval_of_a_correlation_counts_what_was_fitted():
    """As scipy's where nothing was; wider by the settings that the means of the depths take."""
    left_S, right_S = np.random.default_rng(0).normal(size=(2, 15))
    value, within = toolkit.correlated(left_S, right_S)
    expected: Any = pearsonr(left_S, right_S)
    assert (value, *within) == pytest.approx((expected.statistic, *expected.confidence_interval()), rel=1e-4)
    wider = toolkit.correlated(left_S, right_S, 2)[1]
    assert toolkit.correlated(left_S, -left_S) == (-1, (-1, -1))
    half = lambda ends: np.diff(np.arctanh(ends))[0]  # noqa: E731
    assert half(wider) / half(within) == pytest.approx((12 / 10) ** 0.5)


def test_shares_and_batches():
    """It counts of how many nets it is said rightly whether they leave, beside the better of saying that all do and
    that none does; batches by seed."""
    size = study.QUICK._replace(shares=(Setting(5, 0.8),))
    stays, leaves = net(12_000, 20_000, censored=True), net(2_000, 20_000)
    (claim,) = study.share_claims(size, {Setting(5, 0.8): [stays] * 16})
    assert claim.measured == 1 and claim.verdict == "undecided" and claim.rival_at == (1.0,)
    assert claim.rival == "that none leaves, 1"
    assert claim.note == "0 of 16 are to leave, and 0 do"
    mixed = [*[stays] * 10, *[net(2_000, 3_000)] * 10]
    (claim,) = study.share_claims(size, {Setting(5, 0.8): mixed})
    assert claim.measured == 1 and claim.verdict == "reproduced" and claim.rival_at == (0.5,)
    # One that leaves later counts as staying.
    (claim,) = study.share_claims(size, {Setting(5, 0.8): [net(12_001, 20_000)] * 16})
    assert claim.measured == 1 and claim.note == "0 of 16 are to leave, and 0 do"
    (claim,) = study.share_claims(size, {Setting(5, 0.8): [leaves] * 16})
    assert claim.measured == 0 and claim.verdict == "not reproduced"
    found = nets_of(Setting(3, 1.6), 300, 1.0) | nets_of(Setting(3, 1.6, 0), 600, 1.0)
    (claim,) = study.batch_claims(size, found)
    assert claim.measured == pytest.approx(2) and claim.verdict == "not reproduced" and claim.kind == "ours"
    assert claim.exploratory


def test_other_ways_are_judged_beside_small_batches():
    """The noise's cost explains it where it takes as long as batches do, and no noise where that is as all images."""
    size = study.QUICK._replace(after=(Setting(4, 0.8),), noise=(Setting(4, 0.8),), after_seeds=8)
    found = nets_of(Setting(4, 0.8), 3_000, 0.5)
    times = np.array([net.time for net in found[Setting(4, 0.8)]])
    ways: study.Ways = {(Setting(4, 0.8), "all"): list(times / 2), (Setting(4, 0.8), "classes"): list(times / 1.9)}
    ways[Setting(4, 0.8), "noise"] = list(times / 1.05)
    judged = [*study.after_claims(size, found, ways), *study.noise_claims(size, found, ways)]
    claims = {claim.key.split("/")[0]: claim for claim in judged}
    assert len(judged) == 3
    assert [claim.measured for claim in claims.values()] == pytest.approx([2 / 1.9, 0.125, 1.05])
    assert [claim.is_reproduced for claim in claims.values()] == [True, False, True]
    assert claims["noise"].rival_at == claims["classes"].rival_at == pytest.approx((2.0,))
    # One whose budget ended is left out, and said to be; where the noise costs nothing, the rival is not excluded.
    ways[Setting(4, 0.8), "noise"][0] = np.inf
    ways[Setting(4, 0.8), "all"] = list(times / 1.1)
    (line,) = study.noise_claims(size, found, ways)
    assert line.count == 7 and line.note.startswith("7 of 8 nets") and line.verdict == "undecided"


def test_the_farthest_setting_is_judged():
    """The interval counts all settings, and the rival is how far the linearised descent errs where it errs most."""
    settings = (Setting(3, 0.1), Setting(3, 0.2), Setting(4, 0.8))
    found = nets_of(settings[0], 300, 1.0) | nets_of(settings[1], 300, 0.4) | nets_of(settings[2], 3_000, 1.0)
    spread = np.exp(np.linspace(-0.1, 0.1, 8))
    ways: study.Ways = {
        (of, "noise"): [net.time * s / off for net, s in zip(found[of], spread, strict=True)]
        for of, off in zip(settings, (1.02, 0.8, 1.1), strict=True)
    }
    size = study.QUICK._replace(after=(), noise=settings, shares=(), after_seeds=8)
    (claim,) = study.noise_claims(size, found, ways)
    assert claim.key == "noise/farthest" and claim.measured == pytest.approx(0.8) and claim.is_reproduced
    assert claim.rival_at == pytest.approx((0.2,)) and "3 layers, rate 0.2, batch 10 0.800" in claim.note
    half = t.ppf(1 - 0.025 / 3, 7) * np.log(spread).std(ddof=1) / 8**0.5
    assert (claim.low, claim.high) == pytest.approx((0.8 * np.exp(-half), 0.8 * np.exp(half)))
    # A setting with a line of its own is not judged twice.
    (own, claim) = study.noise_claims(
        size._replace(after=settings[:1]), found, ways | {(settings[0], "all"): [300.0] * 8}
    )
    assert own.key == "noise/3layers/rate0.1" and "farthest of 2 settings" in claim.name
    # Outside the band it is a miss; what never leaves is as far off as the budget.
    ways[settings[1], "noise"] = [net.time / 0.4 for net in found[settings[1]]]
    (claim,) = study.noise_claims(size, found, ways)
    assert claim.measured == pytest.approx(0.4) and claim.verdict == "not reproduced" and "budget" not in claim.note
    ways[settings[0], "noise"] = [np.inf] * 8
    (claim,) = study.noise_claims(size, found, ways)
    assert claim.measured < 0.02 and claim.verdict == "not reproduced" and "of 8 nets the budget ended" in claim.note


def test_the_noise_is_judged_over_all_depths():
    """Its medians, of the nets that went that way, correlate with measured ones within the depths as well."""
    settings = [Setting(layers, rate) for layers in (3, 4, 5) for rate in (0.1, 0.2, 0.4, 0.8, 1.6)]
    found, ways = {}, {}
    for i, setting in enumerate(settings):
        found |= nets_of(setting, 10.0**setting.layers * 2.0 ** (i % 4), 1.0)
        ways[setting, "noise"] = [1.02 * net.time for net in found[setting][:6]]
    size = study.QUICK._replace(after=(), noise=tuple(settings), shares=(), after_seeds=6, steps=10**8)
    claims = study.noise_claims(size, found, ways)
    assert [claim.key for claim in claims] == ["noise/farthest", "correlation/noise", "within_depths/noise"]
    assert claims[0].measured == pytest.approx(1 / 1.02) and "farthest of 15 settings" in claims[0].name
    assert all(claim.is_reproduced and claim.count == 15 and "of 6 nets each" in claim.note for claim in claims[1:])


def test_said_rightly_with_the_noise():
    """It counts for how many nets leaving or staying was said, beside that all leave."""
    late, leaves = net(24_001, 10_000), net(9_000, 10_000)
    stays, late_too = net(480_000, 10_000, censored=True), 25_000.0
    nets_S, noise_S = [stays] * 4 + [late] * 4 + [leaves] * 12, np.array([np.inf, late_too] * 4 + [8_000.0] * 12)
    claim = study.noise_share_claim(Setting(5, 1.6), study.QUICK, nets_S, noise_S)
    assert claim.measured == 1 and claim.is_reproduced and claim.rival_at == (0.6,)
    assert "the law: 0.6" in claim.rival and claim.note == "12 of 20 are to leave, and 12 do"


def test_one_image_of_each_class_leaves_the_output_biases_alone():
    """From a plateau with the best biases they stay where they are, whichever images are drawn; in random batches they
    do not."""
    data = plateau.load(60, 5)
    chosen: tuple[plateau.Way, ...] = ("draws", "classes")
    of = {way: plateau.programs(2, 4, 10, way) for way in chosen}
    params = of["draws"].draw(jax.random.key(0), data.axes_DxK)
    params["output"]["kernel"] = jnp.zeros_like(params["output"]["kernel"])
    params = plateau.settled(params, jnp.zeros((60, 4)), data.y_NxC)[0]
    numbers = tuple(map(jnp.asarray, (0.5, 0.5, 1, 1, 0.0)))
    walk = plateau.Walk(params, jnp.int32(0), jnp.asarray(False))
    moved = {way: of[way].descend(walk, jax.random.key(1), data, numbers).params["output"]["bias"] for way in of}
    np.testing.assert_allclose(moved["classes"], params["output"]["bias"], atol=1e-6)
    assert float(jnp.max(jnp.abs(moved["draws"] - params["output"]["bias"]))) > 0.01


def test_the_noise_pushes_the_top_layer_down():
    """With a top layer of 0 its cost is rate / 40 (1 - p p) (1 + |a|^2), with a the outputs below at the mean image: a
    step differs from one with all images by the slope of that, and not at all in the output layer."""
    data, length, rate = plateau.load(60, 5), 0.5, 0.25
    chosen: tuple[plateau.Way, ...] = ("all", "noise")
    of = {way: plateau.programs(2, 4, 10, way) for way in chosen}
    params = of["all"].draw(jax.random.key(0), data.axes_DxK)
    params["output"]["kernel"] = jnp.zeros_like(params["output"]["kernel"])
    params = plateau.settled(params, jnp.zeros((60, 4)), data.y_NxC)[0]
    numbers = tuple(map(jnp.asarray, (length, rate, 1, 1, 0.0)))
    walk = plateau.Walk(params, jnp.int32(0), jnp.asarray(False))
    moved = {way: of[way].descend(walk, jax.random.key(1), data, numbers).params for way in of}
    a_H = jnp.mean(data.x_NxK, axis=0)
    for layer in ("hidden_0", "hidden_1"):
        a_H = jax.nn.sigmoid(a_H @ params[layer]["kernel"] + params[layer]["bias"])
    shares_C = data.y_NxC.mean(axis=0)
    expected_H = -length * rate / 40 * (1 - shares_C @ shares_C) * 2 * a_H * a_H * (1 - a_H)
    difference = jax.tree.map(jnp.subtract, moved["noise"], moved["all"])
    np.testing.assert_allclose(difference["hidden_1"]["bias"], expected_H, atol=1e-6)
    np.testing.assert_allclose(difference["output"]["kernel"], 0, atol=1e-6)
    assert float(expected_H.max()) < -5e-5


def test_a_low_rate_is_followed_in_long_steps(monkeypatch):
    """The noise's descent of a rate below .8 goes in steps of .8, from the same place, to the same end."""
    data, small = plateau.load(60, 5), plateau.Net(Setting(3, 0.2), 0, 4, 600)
    at_look, ended, length = plateau.walked(small, data, "noise")
    assert length == 0.8 and int(at_look.steps) == 250 and int(ended.steps) == 150 and not ended.left
    assert plateau.walked(small, data)[2] == 0.2
    assert plateau.time_after(small, data, "noise") == np.inf
    # A net that has left when it is first looked at, at 8 in rate x steps, is where it was in steps of .8 too.
    monkeypatch.setattr(plateau, "LEFT", -9.0)
    at_look, ended, _ = plateau.walked(small, data, "noise")
    assert int(at_look.steps) == 40 and int(ended.steps) == 10 and ended.left
    assert plateau.time_after(small, data, "noise") == pytest.approx(8)


def test_medians_count_those_that_stay():
    """The middle one of those that left and those that did not; infinite where more than half stay."""
    assert plateau.median_of(np.array([5.0, np.inf, 3.0])) == 5 and plateau.median_of(np.array([2.0, 4.0, 9.0])) == 4
    assert (
        plateau.median_of(np.array([5.0, np.inf, np.inf])) == np.inf and plateau.median_of(np.array([3, np.inf])) == 3
    )


def test_settled_biases_are_the_best():
    """The mean outputs are the shares of the classes, where the cost has no slope in the biases."""
    key, noise = jax.random.split(jax.random.key(0))
    top_NxH, y_NxC = jax.random.uniform(key, (30, 4)), jax.nn.one_hot(jnp.arange(30) % 7, 10)
    kernel_HxC = 0.3 * jax.random.normal(noise, (4, 10))
    params, cost = plateau.settled({"output": {"kernel": kernel_HxC, "bias": jnp.ones(10)}}, top_NxH, y_NxC)
    means_C = jnp.mean(jax.nn.softmax(top_NxH @ kernel_HxC + params["output"]["bias"][None]), axis=0)
    np.testing.assert_allclose(means_C, y_NxC.mean(axis=0), atol=1e-5)
    other = study.nets.costs.cross_entropy(top_NxH @ kernel_HxC, y_NxC, "softmax")
    assert float(cost) < float(jnp.mean(other))
