"""Importance: exact shares of a grid, estimates of scattered settings, fields that vary together."""

import numpy as np
import pytest
from finals_tables import finals_of_table
from scipy.stats import qmc

from experiments.engine import importance

RATES, WORDS, MOMENTA = (0.1, 0.2, 0.4), ("relu", "tanh"), (0.0, 0.5)


def shares_of(found):
    """The shares by the names of their factors."""
    return {" x ".join(share.factors): share.share for share in found.shares}


def grid(function):
    """Settings of all combinations, and their scores, the same for both of the seeds."""
    settings = [(rate, word, momentum) for rate in RATES for word in WORDS for momentum in MOMENTA]
    values_C = np.array([function(*setting) for setting in settings])
    return finals_of_table(("learning_rate", "activation", "momentum"), settings, np.stack([values_C] * 2, axis=1))


def test_additive_table():
    """Variances 2/3 of 0, 1, 2 and 1/4 of 0, 1: shares 8/11 and 3/11, nothing in pairs, in the seeds or elsewhere."""
    found = importance.importance_of(grid(lambda rate, word, _: RATES.index(rate) + WORDS.index(word)))
    shares = shares_of(found)
    assert found.method == "grid" and list(shares)[:2] == ["learning_rate", "activation"]
    assert shares["learning_rate"] == pytest.approx(8 / 11, abs=1e-12)
    assert shares["activation"] == pytest.approx(3 / 11, abs=1e-12)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-12) and found.seeds + found.rest < 1e-12


def test_pairs_and_the_rest():
    """A product of signs is a pair; one of three fields is what is left."""
    sign = {"relu": -1.0, "tanh": 1.0}
    pair = importance.importance_of(grid(lambda _, word, momentum: sign[word] * (4 * momentum - 1)))
    assert shares_of(pair)["activation x momentum"] == pytest.approx(1, abs=1e-12)
    triple = importance.importance_of(
        grid(lambda rate, word, momentum: (RATES.index(rate) - 1) * sign[word] * (4 * momentum - 1))
    )
    assert triple.rest == pytest.approx(1, abs=1e-12) and sum(shares_of(triple).values()) < 1e-12


def test_seeds_have_the_rest_and_noise_is_no_effect():
    """Where no field does anything, the shares are the seeds'; what chance gives an effect in the mean is left out."""
    settings = [(rate, word) for rate in RATES for word in WORDS]
    random, of_fields = np.random.default_rng(0), []
    for _ in range(200):
        table = finals_of_table(("learning_rate", "activation"), settings, random.normal(size=(6, 5)))
        found = importance.importance_of(table)
        of_fields.append(sum(shares_of(found).values()))
        assert found.seeds == pytest.approx(1 - of_fields[-1])
    assert np.mean(of_fields) < 0.1
    # What a seed adds to all settings is no error of theirs.
    effects = np.arange(6.0)[:, None] + 10 * random.normal(size=(1, 5))
    found = importance.importance_of(finals_of_table(("learning_rate", "activation"), settings, effects))
    cells = np.var(np.arange(6.0)) / np.var(effects)
    assert sum(shares_of(found).values()) == pytest.approx(cells, rel=1e-9)


def test_scattered_settings():
    """64 Sobol points of a known function: within .03 of the shares of its parts; of noise nothing is said."""
    x_Nx3 = qmc.Sobol(3, rng=0).random(64)
    settings = [tuple(x) for x in x_Nx3.tolist()]
    fields = ("learning_rate", "momentum", "l2")
    score_N = np.sin(3 * x_Nx3[:, 0]) + 0.5 * x_Nx3[:, 1] + 2 * (x_Nx3[:, 0] - 0.5) * (x_Nx3[:, 2] - 0.5)
    found = importance.importance_of(finals_of_table(fields, settings, score_N[:, None]))
    shares = shares_of(found)
    # Variances of sin 3x, x/2 and 2 (x - 1/2) (z - 1/2) over the unit cube.
    mean = (1 - np.cos(3)) / 3
    parts = np.array([0.5 - np.sin(6) / 12 - mean**2, 1 / 48, 4 / 144])
    expected = dict(zip(("learning_rate", "momentum", "learning_rate x l2"), parts / parts.sum(), strict=True))
    assert found.method == "fit" and found.rest < 0.02
    assert {name: shares[name] for name in expected} == pytest.approx(expected, abs=0.03)
    noise = np.random.default_rng(0).normal(size=(64, 1))
    nothing = importance.importance_of(finals_of_table(fields, settings, noise))
    assert nothing.method == "" and "64 scattered settings" in nothing.reason


def test_fields_that_vary_together_are_one():
    """As of zipped axes; a diverged seed is the worst that ended."""
    settings = [(word, {"relu": "he_normal", "tanh": "glorot_uniform"}[word], rate) for word in WORDS for rate in RATES]
    values = np.array([[1.0, 2.0, 3.0, 1.0, 2.0, np.nan]]).T
    found = finals_of_table(("activation", "kernel_init", "learning_rate"), settings, values)
    shares = shares_of(importance.importance_of(found._replace(diverged_CxS=np.isnan(values))))
    assert set(shares) == {"activation,kernel_init", "learning_rate", "activation,kernel_init x learning_rate"}
    cells = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 1.0]])
    assert shares["learning_rate"] == pytest.approx(np.var(cells.mean(axis=0)) / np.var(cells), abs=1e-12)
