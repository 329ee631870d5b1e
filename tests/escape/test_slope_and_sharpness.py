"""The study of slopes and sharpness: its images, nets, descents and eigenvalues against others, how it judges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import input_pipeline
import nets
from experiments.escape import slope_and_sharpness
from experiments.escape.slope_and_sharpness import TINY, Table


def test_end_to_end(tiny_claims):
    """Four nets decide little; the matrix of two blocks is one of two blocks whatever they are."""
    claims = tiny_claims(slope_and_sharpness.STUDY)
    keys = ["holds/trace", "holds/least", "tight/unsaturated", "tight/trace", "tight/saturated", "lowers"]
    keys += [
        "rate/unsaturated",
        "rate/cohen",
        "rate/both",
        "rate/saturated",
        "rate/minimum",
        "edge/blocks",
        "edge/small",
        "edge/large",
    ]
    assert list(claims) == keys and all(claim.rival for claim in claims.values())
    assert claims["edge/blocks"].is_reproduced and claims["holds/trace"].measured == claims["holds/least"].measured == 1
    assert claims["holds/trace"].verdict == "undecided"


def test_bounded_activations():
    """Those with two ends and a slope; each unit's output stays between them."""
    assert slope_and_sharpness.BOUNDED == ("sigmoid", "tanh", "softsign", "relu6", "hard_tanh", "hard_sigmoid")


def test_images_keep_their_inner_products():
    """In the space that they span, of as many dimensions as there are images."""
    images = np.float64(input_pipeline.load("synthetic").images[:12].reshape(12, -1)) / 255
    data = slope_and_sharpness.load(TINY)
    assert data.x_BxD.shape == (12, 12) and data.targets_BxC.shape == (12, 10)
    np.testing.assert_allclose(data.x_BxD @ data.x_BxD.T, images @ images.T, rtol=1e-4, atol=1e-4)


def test_every_net_has_its_own_draw():
    """No two of a lot or of two lots are alike but for the scale, which is that of the hidden kernel or of both."""
    first, second = (slope_and_sharpness.draw_nets(TINY._replace(seeds=2), 12, lot) for lot in (0, 1))
    assert first.design_L.tolist() == ["hidden", "hidden", "both", "both"] * 2
    bare = [np.asarray(made.kernel_LxDxH)[:, 0, 0] / made.scale_L for made in (first, second)]
    assert len({f"{value:.5f}" for value in np.concatenate(bare)}) == 16
    made = slope_and_sharpness.draw_nets(TINY._replace(seeds=50, units=32), 12)
    assert np.std(made.kernel_LxDxH[1::4]) == pytest.approx(10 * (2 / 816) ** 0.5, rel=0.03)
    assert np.std(made.outgoing_LxHxC[1::4]) == pytest.approx((2 / 42) ** 0.5, rel=0.03)
    assert np.std(made.outgoing_LxHxC[3::4]) == pytest.approx(10 * (2 / 42) ** 0.5, rel=0.03)


def test_hidden_eigenvalue_is_that_of_the_cost_itself():
    """Of a net whose targets are its own outputs, the Hessian in the hidden layer is its Gauss-Newton block."""
    data, size = slope_and_sharpness.load(TINY), TINY._replace(scales=(2.0,))
    made = slope_and_sharpness.draw_nets(size, 12)
    drawn = (made.kernel_LxDxH, made.outgoing_LxHxC)
    slope, a, _, hessian = slope_and_sharpness.linearised(drawn, data, "tanh", "quadratic")
    found = slope_and_sharpness.measure(data.x_BxD, (slope, a, drawn[1], hessian), 40)
    net = nets.MLP(hidden=(3,), classes=10, activation="tanh", output="identity")
    output = {"kernel": drawn[1][0], "bias": jnp.zeros(10)}
    hidden = {"kernel": drawn[0][0], "bias": jnp.zeros(3)}
    flat_P, unravel = ravel_pytree(hidden)

    def mean_cost(flat_P):
        logits_BxC, _ = net.apply({"params": {"hidden_0": unravel(flat_P), "output": output}}, data.x_BxD)
        own_BxC, _ = net.apply({"params": {"hidden_0": hidden, "output": output}}, data.x_BxD)
        return jnp.mean(nets.costs.quadratic(logits_BxC, own_BxC, "identity"))

    largest = np.linalg.eigvalsh(jax.jit(jax.hessian(mean_cost))(flat_P))[-1]
    assert float(found["hidden"][0]) == pytest.approx(float(largest), rel=1e-3)
    assert float(found["least"][0]) >= float(largest) * (1 - 1e-5)


def test_last_stable_rate():
    """The one before the first whose cost rises, whatever comes after; none, and all."""
    rate_K = np.array([1.0, 2.0, 4.0])
    falling, rising = [3.0, 2.0, 1.0], [3.0, 2.0, 2.1]
    assert slope_and_sharpness.last_stable(rate_K, np.array([falling, rising, falling])) == 1
    assert slope_and_sharpness.last_stable(rate_K, np.array([[3.0, np.nan, np.nan], falling, falling])) == 0
    assert slope_and_sharpness.last_stable(rate_K, np.array([falling] * 3)) == 4


def table(rate, least=1.0, hidden=0.8, mass=0.9, count=40):
    """So many nets of that kind."""
    columns = {"hidden": hidden, "residual": 0.0, "output": 0.4, "whole": 0.9, "trace": 8.0, "least": least}
    numbers = {
        name: np.full(count, value) for name, value in (columns | {"rate": rate, "calm": rate, "mass": mass}).items()
    }
    names = {"activation": "tanh", "cost": "quadratic", "design": "hidden"}
    return Table(**{name: np.full(count, value) for name, value in names.items()}, **numbers, scale=np.ones(count))


def test_each_claim_can_miss():
    """A bound that is broken, a rate beyond a factor of 2, a bound that is loose."""
    assert [c.verdict for c in slope_and_sharpness.bound_claims(table(2.0, count=200))] == ["reproduced"] * 2
    broken = slope_and_sharpness.bound_claims(table(2.0, hidden=1.001, count=200))
    assert [c.verdict for c in broken] == ["reproduced", "not reproduced"]
    both = table(2.0)._replace(design=np.full(40, "both"))
    for rate, verdict in ((2.0, "reproduced"), (3.9, "reproduced"), (4.1, "not reproduced"), (0.9, "not reproduced")):
        parts = (table(rate), table(rate, mass=0.2), both)
        joined = Table(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        if verdict == "reproduced":  # One rate for all does as well.
            assert slope_and_sharpness.rate_claims(joined)[0].verdict == "undecided"
        # Of nets a hundred times as sharp as others, which no one rate suits.
        times = 10.0 ** (np.arange(len(joined.rate)) % 3)
        sharp = {name: getattr(joined, name) / times for name in ("hidden", "least", "trace")}
        joined = joined._replace(rate=joined.rate * times, calm=joined.calm * times, **sharp)
        first, _, _, saturated, calm = slope_and_sharpness.rate_claims(joined)
        assert first.verdict == calm.verdict == verdict and saturated.verdict != verdict
    tight = slope_and_sharpness.tight_claims(table(2.0, hidden=0.4), 0.05)[0]
    assert tight.measured == pytest.approx(0.4) and tight.verdict == "not reproduced"
