"""Bounds on a hidden layer's curvature against its whole Gauss-Newton matrix, and where they are equal to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import slope_bounds

B, D, H, C = 6, 3, 4, 2
RANDOM = np.random.default_rng(0)
SLOPES = RANDOM.uniform(size=(B, H)).astype(np.float32)
OUTGOING = RANDOM.normal(size=(H, C)).astype(np.float32)
INPUTS = RANDOM.normal(size=(B, D)).astype(np.float32)
ROOTS = RANDOM.normal(size=(B, C, C)).astype(np.float32)
HESSIANS = ROOTS @ ROOTS.transpose(0, 2, 1)


def by_hand(slopes, outgoing, inputs, hessians, bias):
    """The largest eigenvalue of the mean of J^T K J, with J written out weight by weight in float64."""
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1) if bias else inputs
    block = 0.0
    for slope, x, hessian in zip(slopes, inputs, hessians, strict=True):
        jacobian = np.stack([np.outer(x, slope * outgoing[:, c]).ravel() for c in range(outgoing.shape[1])])
        block = block + np.float64(jacobian.T) @ hessian @ jacobian / len(inputs)
    return float(np.linalg.eigvalsh(block)[-1])


@pytest.mark.parametrize("bias", [False, True])
def test_they_bound_the_whole_matrix(bias):
    """`trace` by the formula word for word; the others between it and the eigenvalue."""
    found = slope_bounds.hidden_bounds(SLOPES, OUTGOING, INPUTS, HESSIANS, bias=bias)
    exact = by_hand(SLOPES, OUTGOING, INPUTS, HESSIANS, bias)
    square_B = (INPUTS**2).sum(axis=1) + bias
    norm_B = np.linalg.eigvalsh(HESSIANS)[:, -1]
    trace = np.mean(norm_B * square_B * (SLOPES**2 @ (OUTGOING**2).sum(axis=1)))
    assert float(found.trace) == pytest.approx(trace, rel=1e-5)
    assert exact < float(found.least) == min(float(found.inputs), float(found.units)) < trace
    assert max(float(found.inputs), float(found.units)) < trace


def test_equal_where_slopes_or_inputs_are_alike():
    """`inputs` of a linear layer, `units` of one example repeated, with the quadratic cost; all of one weight."""
    alike = np.repeat(HESSIANS[:1], B, axis=0)
    slopes = np.repeat(SLOPES[:1], B, axis=0)
    found = slope_bounds.hidden_bounds(slopes, OUTGOING, INPUTS, alike, bias=True)
    assert float(found.inputs) == pytest.approx(by_hand(slopes, OUTGOING, INPUTS, alike, True), rel=1e-5)
    inputs = np.repeat(INPUTS[:1], B, axis=0)
    found = slope_bounds.hidden_bounds(SLOPES, OUTGOING, inputs, alike, bias=False)
    assert float(found.units) == pytest.approx(by_hand(SLOPES, OUTGOING, inputs, alike, False), rel=1e-5)
    one = slope_bounds.hidden_bounds(SLOPES[:1, :1], OUTGOING[:1, :1], INPUTS[:1, :1], HESSIANS[:1, :1, :1], bias=False)
    by_formula = HESSIANS[0, 0, 0] * (SLOPES[0, 0] * OUTGOING[0, 0] * INPUTS[0, 0]) ** 2
    np.testing.assert_allclose(one, [by_formula] * 3, rtol=1e-5)


def test_dead_units_and_lanes():
    """No slope, no curvature; outgoing weights that differ by example; under vmap."""
    assert float(slope_bounds.hidden_bounds(0 * SLOPES, OUTGOING, INPUTS, HESSIANS).trace) == 0
    each = np.repeat(OUTGOING[None], B, axis=0)
    arguments = [np.stack([x, 2 * x]) for x in (SLOPES, each, INPUTS, HESSIANS)]
    both = jax.jit(jax.vmap(slope_bounds.hidden_bounds))(*arguments)
    alone = slope_bounds.hidden_bounds(SLOPES, OUTGOING, INPUTS, HESSIANS)
    np.testing.assert_allclose([bound[0] for bound in both], alone, rtol=1e-5)


def test_eigenvalues_of_the_blocks():
    """The hidden one by hand; that of the output layer's, E[(a, 1)(a, 1)^T (x) K]; the whole one by both Jacobians."""
    a = RANDOM.normal(size=(B, H)).astype(np.float32)
    key = jax.random.key(0)
    found = slope_bounds.layer_eigenvalues(SLOPES, a, OUTGOING, INPUTS, HESSIANS, key)
    assert float(found.hidden) == pytest.approx(by_hand(SLOPES, OUTGOING, INPUTS, HESSIANS, True), rel=1e-4)
    a1, x1 = (np.concatenate([x, np.ones((B, 1))], axis=1) for x in (a, INPUTS))
    output, whole = 0.0, 0.0
    for slope, x, of_a, hessian in zip(SLOPES, x1, a1, HESSIANS, strict=True):
        by_output = np.kron(np.eye(C), of_a)
        by_hidden = np.stack([np.outer(x, slope * OUTGOING[:, c]).ravel() for c in range(C)])
        both = np.concatenate([by_hidden, by_output], axis=1)
        output, whole = output + by_output.T @ hessian @ by_output / B, whole + both.T @ hessian @ both / B
    assert float(found.output) == pytest.approx(np.linalg.eigvalsh(output)[-1], rel=1e-4)
    assert float(found.whole) == pytest.approx(np.linalg.eigvalsh(whole)[-1], rel=1e-4)


def test_shapes_that_do_not_fit():
    """In one line, with what fits."""
    for call, message in (
        (lambda: slope_bounds.hidden_bounds(SLOPES, OUTGOING[1:], INPUTS, HESSIANS), r"outgoing has \(3, 2\)"),
        (lambda: slope_bounds.hidden_bounds(SLOPES, OUTGOING, INPUTS[1:], HESSIANS), r"inputs_BxD has \(5,\)"),
        (lambda: slope_bounds.hidden_bounds(SLOPES, OUTGOING, INPUTS, HESSIANS[0]), r"hessians_BxCxC has \(2, 2\)"),
        (lambda: slope_bounds.hidden_bounds(SLOPES, jnp.ones((2, H, C)), INPUTS, HESSIANS), "outgoing has 2 examples"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


def test_share_of_a_linear_layer():
    """Inputs that are all alike and wide layers of as many logits: 4 / H, the edge of square matrices."""
    assert slope_bounds.linear_share(np.ones((5, 3)), 100, 100) == pytest.approx(0.04)
    outgoing = RANDOM.normal(size=(100, 100))
    largest = np.linalg.eigvalsh(outgoing @ outgoing.T)[-1]
    assert largest / np.sum(outgoing**2) == pytest.approx(0.04, rel=0.15)
