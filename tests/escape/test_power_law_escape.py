"""The study of power-law escape: what it fits, what it counts, how it judges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.escape import power_law_escape
from nets import exit_time

KEY = jax.random.key(0)


def test_end_to_end(tiny_claims):
    """Fifty walkers decide little; the theory's tail is not Kesten's, whatever walks."""
    claims = tiny_claims(power_law_escape.STUDY)
    keys = ["near/slope/rate0.1", "near/phi/rate0.1", "chain/farthest", "far/slope", "far/arrhenius"]
    assert list(claims) == [*keys, "tail/slope", "tail/phi", "tail/exact"]
    assert [key for key, claim in claims.items() if claim.kind == "number"] == [keys[0], keys[3], "tail/slope"]
    assert [key for key, claim in claims.items() if claim.exploratory] == keys[:2]
    assert claims["tail/slope"].verdict == claims["tail/phi"].verdict == "not reproduced"
    assert claims["tail/slope"].measured == pytest.approx(17.2846 / 2, abs=1e-4)
    assert claims["near/slope/rate0.1"].verdict == "undecided" and not claims["chain/farthest"].is_reproduced


def test_an_exponent_has_the_interval_of_its_groups():
    """Ten groups at 10 and 11, five each: a standard error of .1757, Student's quantile 2.262."""
    values_G = np.repeat([10.0, 11.0], 5)
    claim = power_law_escape.group_claim("x", "x", "number", 10.5, 10.6, values_G, 0.1)
    assert (claim.low, claim.high) == pytest.approx((10.6 - 0.377, 10.6 + 0.377), abs=1e-3)
    assert claim.is_reproduced and claim.band == pytest.approx((9.45, 11.55))


def test_exponent_of_a_density_that_is_a_power():
    """phi is found back."""
    edges = power_law_escape.bin_edges(0.1, 20)
    assert power_law_escape.phi(0.1, (edges[1:] * edges[:-1]) ** (-7.5 / 2)) == pytest.approx(7.5)


def test_counted_places_are_those_of_the_stationary_density():
    """The share of walkers in the range of the fit, against the exact chain."""
    size = power_law_escape.QUICK._replace(crowd=2_000, rounds=40)
    edges = power_law_escape.bin_edges(0.1, size.bins)
    counted = power_law_escape.counts(jnp.float32(0.1), jnp.float32(edges), KEY, 40, 2_000)
    assert counted.shape == (40, len(edges) - 1)
    density_GxK = power_law_escape.density(0.1, size, 0)
    u_N, exact_N = exit_time.stationary_density_of_gaussians(0.1, 1, 2.0)
    inside = (u_N**2 + 1 > edges[0]) & (u_N**2 + 1 < edges[-1])
    found = (density_GxK.mean(axis=0) * np.diff(np.sqrt(edges - 1))).sum()
    assert found == pytest.approx(exact_N[inside].sum() * 2.0 / len(u_N), rel=0.05)
