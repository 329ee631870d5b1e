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
    keys = ["near/slope/rate0.1", "near/phi/rate0.1", "chain/farthest", "far/slope"]
    models = [f"far/model/{model}" for model in ("chain", "mori", "true_noise", "constant_noise")]
    assert list(claims) == [*keys, *models, "far/arrhenius", "tail/slope", "tail/phi", "tail/exact"]
    assert [key for key, claim in claims.items() if claim.kind == "number"] == [keys[0], keys[3], "tail/slope"]
    assert [key for key, claim in claims.items() if claim.exploratory] == [*keys[:2], *models]
    assert claims["tail/slope"].verdict == claims["tail/phi"].verdict == "not reproduced"
    assert claims["tail/slope"].measured == pytest.approx(17.2846 / 2, abs=1e-4)
    assert claims["near/slope/rate0.1"].verdict == "undecided" and not claims["chain/farthest"].is_reproduced


def test_models_part_far_from_the_minimum():
    """The slopes of the three diffusions and of the exact chain, computed independently beforehand; each band excludes
    the three others, so that walkers as the exact chain has them are not what any diffusion says."""
    size = power_law_escape.QUICK
    exact_K = power_law_escape.exact_steps(0.1, size.far, size.cells)
    steps_GxK = exact_K * np.exp(np.random.default_rng(0).normal(scale=0.002, size=(10, 2)))
    claims = {claim.key: claim for claim in power_law_escape.far_claims(size, steps_GxK)}
    found = {key: claims[f"far/model/{key}"] for key in ("chain", "mori", "true_noise", "constant_noise")}
    assert [claim.published[0] for claim in found.values()] == pytest.approx([12.92, 9.66, 7.19, 15.97], abs=0.01)
    assert [claim.is_reproduced for claim in found.values()] == [True, False, False, False]
    assert all(len(claim.rival_at) == 3 for claim in found.values())
    assert claims["far/slope"].verdict == "not reproduced"


@pytest.mark.parametrize(
    ("rate", "slopes", "phis"), [(0.1, (9.19, 12.11), (9.86, 12.88)), (0.05, (18.34, 21.59), (19.55, 22.93))]
)
def test_bands_near_the_minimum_exclude_the_other_diffusions(rate, slopes, phis):
    """Their slopes and exponents over the range of the fit, computed independently beforehand."""
    random, steps = np.random.default_rng(0), power_law_escape.levels(rate, 9) ** (1 / rate)
    edges = power_law_escape.bin_edges(rate, 20)
    density = (edges[1:] * edges[:-1]) ** (-(1 / rate + 1) / 2)
    noise = lambda count: np.exp(random.normal(scale=1e-3, size=(10, count)))  # noqa: E731
    measured = power_law_escape.Measured(rate, steps * noise(9), density * noise(20), steps)
    slope, phi = power_law_escape.near_claims(measured)
    assert slope.rival_at == pytest.approx(slopes, abs=0.01) and phi.rival_at == pytest.approx(phis, abs=0.01)


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
