"""Neurons of one and two weights: paths and limits in closed form, the batches, a round of training."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nets
from experiments.lecture import gradient_descent
from experiments.study import command

X = np.array([[1.0, 0.2], [-0.5, 1.0], [0.3, -1.5], [2.0, 0.1], [-1.0, -0.4]], np.float32)
Y = np.array([1.0, 0.0, 0.0, 1.0, 1.0], np.float32)


@pytest.fixture(scope="module")
def few():
    """The three problems on the first 64 zeros and ones."""
    return gradient_descent.problems(*gradient_descent.zeros_and_ones(64)[1:])


def test_study_at_its_tiny_size(tmp_path, capsys):
    """Eight oracles; two batch sizes have no scatter about a line, so that its slope is not decided."""
    command.run(gradient_descent.STUDY, "tiny", tmp_path)
    claims = {claim["key"]: claim for claim in json.loads((tmp_path / "results.json").read_text())}
    limits = [f"{name}/{limit}" for name in ("line", "bowl", "neuron") for limit in ("overshoots", "converges")]
    assert list(claims) == [*limits, "variance/slope", "variance/trace"]
    assert {claim["kind"] for claim in claims.values()} == {"oracle"}
    assert claims["bowl/converges"]["verdict"] == "reproduced" and claims["variance/slope"]["verdict"] == "undecided"
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert "of 64\n" in capsys.readouterr().out


def test_path_on_a_bowl_is_the_linear_recursion():
    """w_k = w* + (1 - rate H)^k (w_0 - w*), with H = 2 mean(x x^T) and w* of least squares, in float64."""
    hessian = 2 * X.astype(np.float64).T @ X / len(X)
    best, start = np.linalg.lstsq(X.astype(np.float64), Y, rcond=None)[0], np.array([1.0, -1.0])
    order = jnp.broadcast_to(jnp.arange(len(X))[None], (7, len(X)))
    path = gradient_descent.descend(gradient_descent.linear, jnp.float32(start), 0.3, (X, Y), order)
    powers = [np.linalg.matrix_power(np.eye(2) - 0.3 * hessian, k) for k in range(8)]
    np.testing.assert_allclose(path, [best + power @ (start - best) for power in powers], atol=1e-5)


def test_limits_of_a_bowl_are_those_of_its_hessian():
    """1 / lambda and 2 / lambda, with lambda of numpy in float64 and of nets.curvature."""
    values, vectors = np.linalg.eigh(2 * X.astype(np.float64).T @ X / len(X))
    problem = gradient_descent.Problem(gradient_descent.linear, (X, Y), jnp.array([1.0, -1.0]))
    found, vector = gradient_descent.top_eigenvalue(problem, problem.start_P)
    assert found == pytest.approx(values[-1], rel=1e-5) and abs(vector @ vectors[:, -1]) == pytest.approx(1, rel=1e-5)
    limits = gradient_descent.limits(problem.cost, problem.start_P, problem.data, vector, 500)
    np.testing.assert_allclose(limits, [1 / values[-1], 2 / values[-1]], rtol=5e-3)
    judged = lambda top: gradient_descent.limit_claims("bowl", "bowl", problem, problem.start_P, top, 500)  # noqa: E731
    claims = [*judged((found, vector)), *judged((1.02 * found, vector))]
    assert [claim.is_reproduced for claim in claims] == [True, True, False, False]


def test_problems_are_standardized(few):
    """Mean 0 and variance 1, so that one weight has lambda = 2; the third has a bias, and targets 0 and 1."""
    line, bowl, neuron = few
    assert bowl.data[0].shape == (64, 2) and 0 < np.count_nonzero(neuron.data[1]) < 64
    np.testing.assert_array_equal(line.data[0][:, 0], 0)
    np.testing.assert_array_equal(line.data[0][:, 1], bowl.data[0][:, 1])
    np.testing.assert_allclose(np.mean(np.square(bowl.data[0]), axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose([np.mean(bowl.data[0]), np.mean(line.data[1])], 0, atol=1e-6)
    np.testing.assert_array_equal(neuron.data[0][:, 1], 1)
    assert set(np.asarray(neuron.data[1]).tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("batch_size", [1, 16, 64])
def test_every_batch_size_sees_every_example_equally_often(batch_size):
    """PASSES times, each pass complete."""
    order_SxB = gradient_descent.passes(64, batch_size)
    assert order_SxB.shape == (gradient_descent.PASSES * 64 // batch_size, batch_size)
    for one_pass in order_SxB.reshape(gradient_descent.PASSES, -1):
        np.testing.assert_array_equal(np.sort(one_pass), np.arange(64))


def test_variance_of_the_gradient_and_its_claims(few):
    """Of B draws it is tr Sigma / B; a slope of -.8, or a trace that is 12 % off, is not reproduced."""
    neuron, sizes = few[2], np.array(gradient_descent.QUICK.batch_sizes)
    # The covariance over 63 examples, as an unbiased estimate has it, is that of the draws times 64 / 63.
    trace = float(nets.curvature.gradient_covariance_trace(neuron.cost, neuron.start_P, neuron.data))
    np.testing.assert_allclose(gradient_descent.variances(neuron, sizes, 4_000) * sizes, trace * 63 / 64, rtol=0.1)
    judged = gradient_descent.variance_claims
    verdicts = lambda values_B: [claim.is_reproduced for claim in judged(neuron, sizes, values_B)]  # noqa: E731
    assert verdicts(trace / sizes) == [True, True]
    assert verdicts(1.12 * trace / sizes) == [True, False]
    assert verdicts(trace * sizes**-0.8)[0] is False
    scattered = np.exp(np.resize([0.6, -0.6], len(sizes)))
    assert judged(neuron, sizes, trace / sizes * scattered)[0].verdict == "undecided"


def test_round_by_hand_is_a_step_of_gradient_descent(few):
    """Its numbers are those of the differentiated cost, and its sums are printed right."""
    neuron = few[2]
    found = gradient_descent.round_of_training(neuron)
    batch = jax.tree.map(lambda leaf: leaf[found.chosen_B], neuron.data)
    mean_cost = partial(nets.curvature.mean_cost, neuron.cost)
    np.testing.assert_allclose(found.gradient_P, jax.grad(mean_cost)(neuron.start_P, batch), rtol=1e-4)
    path = gradient_descent.descend(
        neuron.cost, neuron.start_P, gradient_descent.ROUND_RATE, neuron.data, found.chosen_B[None]
    )
    np.testing.assert_allclose(path, [found.before_P, found.after_P], rtol=1e-4)
    for w_P in (found.before_P, found.after_P):
        np.testing.assert_allclose(
            gradient_descent.costs_of(found, w_P), neuron.cost(jnp.float32(w_P), batch), rtol=1e-3, atol=1e-6
        )
    text = "\n".join(gradient_descent.round_lines(found, 64))
    assert f"mean is {float(mean_cost(neuron.start_P, batch)):.4f}" in text
    assert f"now {float(mean_cost(jnp.float32(found.after_P), batch)):.4f}" in text
