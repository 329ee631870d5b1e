"""Rosenblatt's unit: the lecture's hot dog detector, convergence within Novikoff's bound, failure on XOR."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import perceptron


def test_hot_dog_detector():
    """Ketchup 3, mustard 2, bun 6 against a threshold of 4: all eight inputs."""
    unit = perceptron.from_threshold([3.0, 2.0, 6.0], threshold=4.0)
    inputs = np.array(list(itertools.product([0, 1], repeat=3)), np.float32)
    np.testing.assert_array_equal(perceptron.forward(unit, inputs), (inputs @ [3, 2, 6] > 4) * 1.0)
    assert float(perceptron.forward(unit, jnp.array([1.0, 1.0, 0.0]))) == 1.0
    assert float(perceptron.forward(unit, jnp.array([0.0, 1.0, 0.0]))) == 0.0
    assert float(perceptron.forward(unit, jnp.array([0.0, 0.0, 1.0]))) == 1.0


def test_exactly_at_the_threshold_is_zero():
    """The rule is w.x + b > 0, strictly."""
    assert float(perceptron.forward(perceptron.from_threshold([4.0], 4.0), jnp.ones(1))) == 0.0


def test_one_learning_step_by_hand():
    """A missed 1 adds the input, a false 1 subtracts it, a right answer changes nothing."""
    unit, x = perceptron.from_threshold([0.0, 0.0], 0.0), jnp.array([2.0, -1.0])
    missed, metrics = perceptron.learn(unit, 0.5, (x, 1.0))
    np.testing.assert_array_equal(missed.weights_D, [1.0, -0.5])
    assert (float(missed.bias), float(metrics["mistakes"])) == (0.5, 1.0)
    false, _ = perceptron.learn(missed, 0.5, (x, 0.0))
    np.testing.assert_array_equal(false.weights_D, [0.0, 0.0])
    right, metrics = perceptron.learn(missed, 0.5, (x, 1.0))
    np.testing.assert_array_equal(right.weights_D, missed.weights_D)
    assert float(metrics["mistakes"]) == 0.0


def learn_until_right(x, labels, passes):
    """Mistakes of each pass, from zero weights."""
    unit, mistakes = perceptron.from_threshold(jnp.zeros(x.shape[1]), 0.0), []
    learn = jax.jit(perceptron.learn_epoch)
    for _ in range(passes):
        unit, metrics = learn(unit, 1.0, x, labels)
        mistakes.append(float(metrics["mistakes"]))
        if not mistakes[-1]:
            break
    return mistakes


@pytest.mark.parametrize("seed", range(5))
def test_separable_points_are_learnt_within_novikoffs_bound(seed):
    """At most (R / margin)^2 mistakes, of the unit-norm separator known here."""
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, (300, 2))
    separator = np.array([0.6, -0.64, 0.48])  # Unit norm: two weights and the bias.
    margins = np.c_[x, np.ones(300)] @ separator
    x, margins = x[abs(margins) > 0.1], margins[abs(margins) > 0.1]
    labels = (margins > 0) * 1.0
    mistakes = learn_until_right(jnp.float32(x), jnp.float32(labels), 1_000)
    radius = np.linalg.norm(np.c_[x, np.ones(len(x))], axis=1).max()
    assert mistakes[-1] == 0
    assert 0 < sum(mistakes) <= (radius / abs(margins).min()) ** 2


def test_xor_is_never_learnt():
    """No line separates it: every pass makes mistakes."""
    x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    mistakes = learn_until_right(x, jnp.array([0.0, 1.0, 1.0, 0.0]), 200)
    assert len(mistakes) == 200
    assert min(mistakes) > 0
