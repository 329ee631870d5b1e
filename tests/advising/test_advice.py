"""What advice makes of measures that are given: values, doubts and words."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from experiments.advising import words
from experiments.advising.advice import Advice
from experiments.advising.advice import advise as make_advice
from experiments.advising.along import Along
from experiments.advising.edges import RATE_STEPS, Edges, stability
from experiments.advising.estimates import Estimate
from experiments.advising.measuring import FACTORS, Measured, Parts, Point
from training.config import Config

K = 5
EDGES = (Estimate(2.4, 2.0, 2.8),) * K
ALONG = Along(Estimate(12.0, 10.0, 15.0), 0.75)
# Of a net with one hidden layer: the largest eigenvalue 4, tr Sigma 60 and |G|^2 2.
MEASURES = {
    "curvature/top_eigenvalue": 4.0,
    "curvature/top_residual": 1e-4,
    "noise/covariance_trace": 60.0,
    "noise/gradient_squared": 2.0,
    "saturation/hidden_0": 0.2,
    "slope_mass/hidden_0": 0.6,
}


def measured(epochs: int = 1, has_statistics: bool = False, **changed: float) -> Measured:
    """A net on five probe sets that agree; `changed` after the last epoch, by name with / for __."""
    last = MEASURES | {name.replace("__", "/"): value for name, value in changed.items()}
    state: Any = None
    points = [
        Point(epoch, 0.1, {name: np.full(K, value) for name, value in found.items()}, state)
        for epoch, found in ((0, MEASURES), (1, last))
    ][: epochs + 1]
    factors_Fx1 = np.array(FACTORS)[:, None] * np.ones((1, 3))
    # Slopes are 1 at small scales and .4 from 2 on; the layers are even at 1 and 4.
    scales = {
        "slope_mass/hidden_0": np.where(factors_Fx1 < 2, 1.0, 0.4),
        "speed/hidden_0": np.minimum(factors_Fx1, 1.0),
        "speed/output": np.ones_like(factors_Fx1),
    }
    return Measured(points, FACTORS, scales, 0, has_statistics, 100)


def advise(config: Config, found: Measured, edges: Sequence[Estimate] = EDGES, along: Along = ALONG) -> Advice:
    """The advice where descent comes back from rates of up to 2 to 2.8 on every probe set, and has a noise scale of
    12."""
    return make_advice(config, found, Edges(list(edges), examples=10), along)


def said(config: Config, found: Measured, edges: Sequence[Estimate] = EDGES, along: Along = ALONG) -> str:
    """The advice in one line of words."""
    parts = Parts(np.zeros((K, 10, 1)), np.zeros((K, 10)), (np.zeros((90, 1)), np.zeros(90)))
    return " ".join(words.in_words(config, advise(config, found, edges, along), found, parts).split())


def test_rate_batch_and_scale():
    """2 / 4, the noise scale along descent beside 60 / 2, and the scale of even speeds where slopes are still there."""
    advice = advise(Config(), measured())
    assert advice.rate is not None and advice.rate.value == pytest.approx(0.5)
    assert advice.batch == ALONG.scale and advice.batches[-1].value == pytest.approx(30.0)
    assert advice.to_dict()["useful_batch"] == {
        "advised": ALONG.scale,
        "steps": 32,
        "rate": 0.75,
        "left_out": 0.0,
        "noise_scale_by_point": advice.batches,
        "doubts": [],
    }
    assert advice.scale is not None and advice.scale.advised.value == 1.0 and advice.scale.survives_to == 1.0
    assert not (advice.rate_doubts or advice.batch_doubts or advice.scale_doubts or advice.layers[0].faults)
    text = said(Config(batch_size=12), measured())
    assert "up to about 12 (10 to 15) in the next 32 steps after epoch 1, at their best rate, 0.75." in text
    assert "of the state alone, tr(Sigma) / |G|^2, is 30 (30 to 30) after epoch 1 (30 (30 to 30) at the start)" in text
    assert "that of descent at the rate by which it was reached" in text
    assert "stable up to a rate of 0.5 (0.5 to 0.5) at the start" in text and "which is 2 / lambda" in text
    assert "takes about 2 times the least steps" in text and "save 25 % of them" in text
    assert "None is saturated or dying after epoch 1" in text


def test_two_rates_and_what_each_is_for():
    """From where on a step may raise the cost, and from where on descent does not come back."""
    advice = advise(Config(), measured())
    assert advice.largest == pytest.approx((2.4, 2.4 / 2**0.25, 2.4 * 2**0.25))
    assert advice.to_dict()["largest_rate"] == {
        "advised": advice.largest,
        "by_set": list(EDGES),
        "steps": RATE_STEPS,
        "doubts": [],
    }
    text = said(Config(learning_rate=0.25), measured())
    assert "Run on 10 examples of each of 5 probe sets" in text
    assert "come back from a rate of up to 2.4 (2.02 to 2.85), and diverge beyond it; descent comes back where" in text
    assert "Start a search for the best rate from 0.5 on and end it at 2.4" in text
    assert "The config's, 0.25, is 0.5 times the lowest stable rate, and is 0.104 times the largest." in text
    assert "is 6 times the lowest stable rate, and is 1.25 times the largest: descent diverges" in said(
        Config(learning_rate=3.0), measured()
    )
    assert "the largest: descent may diverge." in said(Config(learning_rate=2.5), measured())
    assert "0.833 times the largest." in said(Config(learning_rate=2.0), measured())
    adam = said(Config(optimizer="adam", learning_rate=0.001), measured())
    assert "60 steps of descent of adam come back from a rate of up to 2.4" in adam
    assert "Search for the best rate below 2.4; the config's, 0.001, is 1/2,400 of the largest." in adam
    assert "Search for the best rate below 0.24;" in said(Config(), measured(), [Estimate(0.24, 0.2, 0.28)] * 3)
    beyond = said(Config(learning_rate=9.0), measured(), [Estimate(8.0, 8.0, math.inf)] * 3)
    assert "come back from a rate of 8, and diverged at none above it" in beyond and "end it at above 8" not in beyond
    assert (
        "is larger than any that was tried" in beyond
        and "n all 3 sets descent came back from every rate tried" in beyond
    )
    nowhere = said(Config(), measured(), [Estimate(0.1, 0.0, 0.1)] * 3)
    assert "come back from no rate: the largest lies below 0.1" in nowhere and "earch for the best" not in nowhere


def test_sets_that_are_known_from_one_side_are_counted():
    """One of five does not speak for all."""
    closed, above, below = Estimate(2.4, 2.0, 2.8), Estimate(8.0, 8.0, math.inf), Estimate(0.5, 0.0, 0.5)
    text = said(Config(learning_rate=9.0), measured(), [closed] * 4 + [above])
    assert "come back from a rate of up to 2.4 (2 to 2.8), and diverge beyond it" in text
    assert "On 1 of 5 sets descent came back from every rate tried." in text and "descent diverges" in text
    text = said(Config(), measured(), [closed] * 4 + [below])
    assert "up to 2.4 (2 to 2.8)" in text and "On 1 of 5 sets descent came back from no rate tried." in text


def test_steps_that_are_left_out_are_said():
    """And nothing of the rate of a run that was not begun."""
    text = said(Config(), measured(epochs=0), along=ALONG._replace(left_out=0.125))
    assert "at their best rate, 0.75, without the 12 % at which the cost lies above its start." in text
    assert "is 30 (30 to 30) at the start. " in text and "was reached" not in text


def test_what_was_cut_is_said():
    """Fewer steps and sets than is usual, or none at all."""
    found, config = measured(), Config()
    parts = Parts(np.zeros((K, 10, 1)), np.zeros((K, 10)), (np.zeros((90, 1)), np.zeros(90)))
    for cut, expected in (
        (
            Edges(list(EDGES)[:3], 30, 10, is_cut=True),
            "To end within 2 minutes, 30 steps on 3 sets were run instead of 60 on 5.",
        ),
        (Edges([], 0, 10, is_cut=True), "was not looked for: running it would take more than 2 minutes."),
    ):
        advice = make_advice(config, found, cut, Along(Estimate(math.nan), steps=0))
        assert expected in " ".join(words.in_words(config, advice, found, parts).split())


@pytest.mark.parametrize(
    ("fields", "factor"),
    [
        ({}, 2.0),
        ({"momentum": 0.5}, 3.0),
        ({"momentum": 0.5, "nesterov": True}, 1.5),
        ({"optimizer": "adam"}, None),
    ],
)
def test_factor_of_stability(fields, factor):
    """What descent keeps of one direction of curvature 1: its steps grow beyond the factor and fade below it."""
    config = Config(**fields)
    assert stability(config) == factor
    if factor is None:
        return
    kept = config.momentum

    def end(rate: float) -> float:
        w, v = 1.0, 0.0
        for _ in range(400):
            v = kept * v + w
            w -= rate * (w + kept * v if config.nesterov else v)
        return abs(w)

    assert end(0.97 * factor) < 1e-2 and end(1.03 * factor) > 1e2


def test_decay_of_weights_bends_the_cost():
    """L2 is part of what is descended."""
    advice = advise(Config(l2=1.0), measured())
    assert advice.rates[0].value == pytest.approx(2 / 5)


def test_what_does_not_apply_is_said():
    """Adam, statistics of the batch, a schedule, dropout, an eigenvalue that did not settle or that moves."""
    adam = advise(Config(optimizer="adam", learning_rate=0.001), measured())
    assert adam.rate is None and "adam divides each step" in adam.rate_doubts[0]
    assert adam.to_dict()["stable_rate"]["advised"] is None and "plain descent" in adam.batch_doubts[0]
    assert "the lowest stable rate" not in said(Config(optimizer="adam", learning_rate=0.001), measured())
    normalized = advise(Config(), measured(has_statistics=True))
    for doubts in (normalized.rate_doubts, normalized.batch_doubts, normalized.scale_doubts):
        assert "normalization" in " ".join(doubts)
    assert "l2 adds" in " ".join(advise(Config(l2=0.1), measured()).batch_doubts)
    doubts = " ".join(advise(Config(schedule="cosine", dropout=0.2), measured()).rate_doubts)
    assert "schedule" in doubts and "dropout" in doubts
    found = measured(curvature__top_eigenvalue=1.0)
    found.points[0].measured["curvature/top_residual"][:] = 2.0
    doubts = " ".join(advise(Config(), found).rate_doubts)
    assert "may be off by 50 %" in doubts and "by a factor of 4" in doubts


def test_noise_that_hides_the_gradient():
    """Nothing is said of a batch that nobody can know; and where descent was not run, the state alone says it."""
    hidden = Along(Estimate(50.0, 20.0, math.inf), 0.5, at_edge=True)
    doubts = advise(Config(), measured(), along=hidden).batch_doubts
    assert "a better one may lie beyond" in doubts[0] and "from below alone" in doubts[1]
    found = measured()
    found.points[-1].measured["noise/gradient_squared"][:] = [2.0, -1.0, 0.5, -0.5, 0.1]
    assert not any("below alone" in doubt for doubt in advise(Config(), found).batch_doubts)
    advice = advise(Config(), found, along=Along(Estimate(math.nan), steps=0))
    assert advice.batch == advice.batches[-1] and math.isinf(advice.batch.high)
    assert "of this state alone" in advice.batch_doubts[0] and "from below alone" in advice.batch_doubts[1]
    text = said(Config(), measured(), along=Along(Estimate(math.nan), steps=0))
    assert "up to about 30 (30 to 30) after epoch 1 (30 (30 to 30) at the start), the noise scale of the state" in text
    assert text.count("noise scale") == 1
    text = said(Config(), measured(), along=Along(Estimate(math.inf, 20.0, math.inf), 0.5))
    assert "worth their examples up to 20 or more in the next 32 steps" in text and "the least steps" not in text


def test_layers_that_are_saturated_or_dying():
    """Each fault comes with its number."""
    found = measured(saturation__hidden_0=0.7, slope_mass__hidden_0=0.05)
    text = said(Config(), found)
    assert "Layer hidden_0 is saturated: 70 %" in text and "slopes gone: 5 %" in text
    (layer,) = advise(Config(), measured(dead_units__hidden_0=0.25)).layers
    assert layer.faults == ["dying: 25 % of its units give 0 on every example"]


def test_a_net_without_curvature_or_hidden_layers():
    """Any rate is stable, and there is no scale to choose."""
    found = measured(epochs=0)
    flat = {"curvature/top_eigenvalue": np.zeros(K), "curvature/top_residual": np.zeros(K)}
    noise = {name: values for name, values in found.points[0].measured.items() if name.startswith("noise/")}
    found = found._replace(
        points=[found.points[0]._replace(measured=flat | noise)], scales={"speed/output": np.ones((9, 3))}
    )
    advice = advise(Config(), found)
    assert math.isinf(advice.rates[0].value) and advice.scale is None and not advice.layers
    text = said(Config(), found)
    assert "no largest stable rate follows" in text and "No hidden layer has an activation" in text
