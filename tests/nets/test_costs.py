"""The costs against golden values, against float64, and far out."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import costs

GOLDEN = [
    (0.9997, 9e-8, 0.00030004500900),
    (0.9, 0.01, 0.10536051565782628),
    (0.6, 0.16, 0.5108256237659907),
    (0.1192, 0.77580864, 2.1269525243508878),
]


@pytest.mark.parametrize(("a", "quadratic", "cross_entropy"), GOLDEN)
def test_golden_costs_of_one_sigmoid_neuron(a, quadratic, cross_entropy):
    """The lecture's table for y = 1; near 1 float32 leaves a few digits of 1 - a."""
    logit, y = jnp.full((1, 1), math.log(a / (1 - a))), jnp.ones((1, 1))
    assert float(costs.quadratic(logit, y, "sigmoid")[0]) == pytest.approx(quadratic, rel=1e-3)
    assert float(costs.cross_entropy(logit, y, "sigmoid")[0]) == pytest.approx(cross_entropy, rel=1e-5)


def test_softmax_golden_values():
    """The lecture's three outputs."""
    a = costs.OUTPUTS["softmax"](jnp.array([-1.0, 1.0, 5.0]))
    np.testing.assert_allclose(a, [0.0024282580, 0.0179425348, 0.9796292072], rtol=1e-6)


def test_uniform_guess_costs_nine_hundredths():
    """Over ten classes, with the quadratic cost; ln 10 with cross-entropy."""
    logits, y = jnp.zeros((1, 10)), jnp.eye(10)[:1]
    assert float(costs.quadratic(logits, y)[0]) == pytest.approx(0.09, rel=1e-6)
    assert float(costs.cross_entropy(logits, y)[0]) == pytest.approx(math.log(10), rel=1e-6)


@pytest.mark.parametrize(("cost", "output"), [(c, o) for c in costs.COSTS for o in costs.OUTPUTS])
def test_stable_far_out(cost, output):
    """At |logit| = 1e4 every cost and gradient is finite, and what can be said of its value holds."""
    if (cost, output) == ("cross_entropy", "identity"):
        with pytest.raises(ValueError, match=r"cross_entropy.*identity.*accepted with it: softmax, sigmoid"):
            costs.get(cost, output)
        return
    per_example = costs.get(cost, output).per_example
    y = jnp.eye(3)[jnp.array([0, 0, 1])]
    logits = jnp.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [1e4, 1e4, -1e4]])
    value, gradient = jax.value_and_grad(lambda z: per_example(z, y).sum())(logits)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if cost == "cross_entropy":
        expected = {"softmax": [0.0, 2e4, math.log(2)], "sigmoid": [math.log(2), 2e4 + math.log(2), 1e4]}[output]
        np.testing.assert_allclose(per_example(logits, y), expected, rtol=1e-6, atol=1e-6)


def test_correct_is_argmax_with_the_first_of_equals():
    """On random logits, ties and all-equal rows; NaN is wrong."""
    random = np.random.default_rng(0)
    logits = jnp.array(random.integers(0, 4, (500, 6)), jnp.float32)
    labels = jnp.array(random.integers(0, 6, 500))
    np.testing.assert_array_equal(costs.correct(logits, labels), np.argmax(logits, axis=1) == np.asarray(labels))
    np.testing.assert_array_equal(costs.correct(jnp.zeros((3, 3)), jnp.arange(3)), [True, False, False])
    assert not costs.correct(jnp.full((1, 3), jnp.nan), jnp.array([0]))[0]


def test_unknown_names_are_refused():
    """Costs and outputs, with their near match."""
    with pytest.raises(ValueError, match=r"unknown cost 'quadratc'.*'quadratic'"):
        costs.get("quadratc", "softmax")
    with pytest.raises(ValueError, match=r"unknown output 'softmx'.*'softmax'"):
        costs.get("quadratic", "softmx")
