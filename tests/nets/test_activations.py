"""The activations against golden values, and their table against their limits."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import activations


@pytest.mark.parametrize(
    ("z", "a"), [(-2.0, 0.11920292202211757), (-1.0, 0.2689414213699951), (-10.0, 4.539786870243442e-05)]
)
def test_sigmoid_golden_values(z, a):
    """The lecture's numbers."""
    assert float(activations.get("sigmoid").function(z)) == pytest.approx(a, rel=1e-6)


def test_other_golden_values():
    """One point each, from the formula."""
    golden = {
        "tanh": math.tanh(0.7),
        "relu": 0.7,
        "softplus": math.log1p(math.exp(0.7)),
        "softsign": 0.7 / 1.7,
        "leaky_relu": 0.7,
        "gelu": 0.7 * 0.5 * (1 + math.erf(0.7 / math.sqrt(2))),
        "identity": 0.7,
        "step": 1.0,
    }
    for name, a in golden.items():
        assert float(activations.get(name).function(jnp.float32(0.7))) == pytest.approx(a, rel=1e-6), name
    assert float(activations.get("leaky_relu").function(jnp.float32(-0.7))) == pytest.approx(-0.007, rel=1e-6)
    assert float(activations.get("step").function(jnp.float32(0.0))) == 0.0


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_table_states_range_asymptotes_and_slope(name):
    """Range and largest slope hold and are reached on a fine grid; asymptotes hold far out; nothing overflows."""
    function, (low, high), (left, right), max_slope = activations.get(name)
    z = jnp.linspace(-40.0, 40.0, 80_001)
    a = np.asarray(function(z))
    assert a.min() >= low - 1e-6 and a.max() <= high + 1e-6
    for bound, reached in ((low, a.min()), (high, a.max())):
        assert math.isinf(bound) or abs(reached - bound) < 0.03
    if math.isfinite(max_slope):
        slopes = np.asarray(jax.vmap(jax.grad(function))(z))
        assert slopes.max() == pytest.approx(max_slope, rel=1e-4)
    for end, far in ((left, -1e4), (right, 1e4)):
        value = float(function(jnp.float32(far)))
        assert math.isfinite(value)
        assert abs(value) > 50 if end is None else abs(value - end) < 1e-3


def test_unknown_name_is_refused_with_the_choices():
    """The near match and the whole table are named."""
    with pytest.raises(
        ValueError, match=r"unknown activation 'tahn' \(did you mean 'tanh'\?\); accepted: sigmoid, tanh"
    ):
        activations.get("tahn")
