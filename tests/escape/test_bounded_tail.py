"""The study of bounded gradients: its steps, its doublings, how it judges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.escape import bounded_tail
from experiments.escape.bounded_tail import Far, Near


def test_end_to_end(tiny_claims):
    """Few walkers and few nodes decide little, but the tail of a bounded gradient is gone."""
    claims = tiny_claims(bounded_tail.STUDY)
    growth = ["rises/loss", "rises/square", "laplace"]
    keys = [f"{cost}/{key}" for cost in ("huber", "log_cosh") for key in growth]
    walkers = [f"{cost}/walkers" for cost in bounded_tail.COSTS]
    assert list(claims) == [f"quadratic/{key}" for key in ("exponent", "stays", "farther")] + keys + [*walkers, "grid"]
    assert [key for key, claim in claims.items() if not claim.exploratory] == [*walkers, "grid"]
    assert all(claims[key].is_reproduced for key in keys)
    assert not claims["quadratic/stays"].is_reproduced and not claims["grid"].is_reproduced
    assert all(claims[key].rival_at for key in claims if key != "grid")


@pytest.mark.parametrize(("cost", "slope"), [("quadratic", 1.7), ("huber", 1.0), ("log_cosh", np.tanh(1.7))])
def test_a_step_is_the_gradient_of_its_cost(cost, slope, monkeypatch):
    """u - eta psi(u x - y) x at the residual 1.7, with psi the identity, its clip at 1 and tanh."""
    monkeypatch.setattr(jax.random, "normal", lambda key, shape: jnp.array([[-2.0], [-2.7]]))
    (after,) = bounded_tail.sgd_step(cost)(jnp.array([0.5]), jnp.float32(0.1), jax.random.key(0))
    assert float(after) == pytest.approx(0.5 - 0.1 * slope * -2.0, rel=1e-6)


def power(cost, exponent):
    """Mean steps that are a power of 1 + u^2."""
    u_N = np.linspace(0.01, 12, 5_000)
    return Far(cost, u_N, exponent * np.log(1 + u_N**2))


def test_a_power_law_keeps_its_exponent():
    """Its exponents are one number, which is judged against Kesten's; for a bounded gradient it is the rival."""
    first, stays = bounded_tail.tail_claims(power("quadratic", 8.0), 5)
    assert first.measured == pytest.approx(16 / 17.2846, rel=1e-4) and first.verdict == "not reproduced"
    assert stays.measured == pytest.approx(1, abs=1e-4) and stays.is_reproduced
    _, square = bounded_tail.growth_claims(power("huber", 8.0), 2)
    assert square.measured == pytest.approx(1, abs=1e-4) and square.verdict == "not reproduced"
    assert bounded_tail.laplace_claim(power("huber", 8.0), 2).verdict == "not reproduced"


def test_places_double_the_loss():
    """1.5, 3 and 6 are 1 + u^2 of the quadratic cost."""
    u_M = bounded_tail.places("quadratic", 2)
    np.testing.assert_allclose(1 + u_M**2, [1.5, 3, 6], rtol=1e-9)
    np.testing.assert_allclose(bounded_tail.squares(u_M[-1]), u_M, rtol=1e-9)
    np.testing.assert_allclose(bounded_tail.squares(u_M[-1] - 0.1), u_M[:2], rtol=1e-9)


def test_walkers_are_judged_at_their_farthest_level():
    """10 % off at one of two levels; exponential times of 40,000 walkers."""
    random = np.random.default_rng(0)
    exact_K = np.array([100.0, 1_000.0])
    steps_KxW = random.exponential(size=(2, 40_000)) * exact_K[:, None] * np.array([[1.0], [1.1]])
    n = Near("huber", np.array([0.4, 0.6]), exact_K, exact_K, exact_K / 7, steps_KxW)
    claim = bounded_tail.walkers_claim(n)
    assert claim.measured == pytest.approx(1.1, abs=0.02) and claim.verdict == "not reproduced"
    assert "0.14" in claim.rival and claim.rival_at == (1 / 7,)
    assert claim.count == 40_000 and claim.sample == "walkers to each of 2 levels"
