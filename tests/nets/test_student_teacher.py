"""The population cost of a student of ReLU neurons: drawn inputs, the gradient by hand, the teacher."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import student_teacher

# Compiled once for each shape: operation by operation, a gradient takes seconds.
value_and_slope = jax.jit(jax.value_and_grad(student_teacher.population_cost))


@pytest.fixture(autouse=True)
def float64():
    """The derivatives are compared far below what float32 can tell."""
    with jax.enable_x64(True):
        yield


def draw(neurons, inputs, seed=0):
    """Some weights."""
    return np.random.default_rng(seed).normal(size=(neurons, inputs))


def gradient_by_hand(student_KxD, teacher_MxD):
    """Safran & Shamir 2018, section 4: the sum of g(w_i, w_j) over the other students, less that over the teachers."""

    def g(w_D, v_D):
        w, v = np.linalg.norm(w_D), np.linalg.norm(v_D)
        angle = np.arccos(np.clip(w_D @ v_D / (w * v), -1, 1))
        return (v * np.sin(angle) * w_D / w + (np.pi - angle) * v_D) / (2 * np.pi)

    return np.array(
        [
            w_D / 2
            + sum(g(w_D, other_D) for j, other_D in enumerate(student_KxD) if j != i)
            - sum(g(w_D, v_D) for v_D in teacher_MxD)
            for i, w_D in enumerate(student_KxD)
        ]
    )


def test_correlations_are_those_of_drawn_inputs():
    """E relu(w.x) relu(v.x) over 200,000 inputs, within 5 standard errors."""
    student_KxD, teacher_MxD = draw(3, 4), draw(2, 4, seed=1)
    x_NxD = np.random.default_rng(2).normal(size=(200_000, 4))
    products = np.maximum(x_NxD @ student_KxD.T, 0)[:, :, None] * np.maximum(x_NxD @ teacher_MxD.T, 0)[:, None, :]
    error_KxM = products.std(axis=0) / len(x_NxD) ** 0.5
    found_KxM = student_teacher.relu_correlations(student_KxD, teacher_MxD)
    assert np.all(np.abs(found_KxM - products.mean(axis=0)) < 5 * error_KxM)
    assert np.all(error_KxM < 0.02 * products.mean(axis=0).max())


def test_correlations_at_known_angles():
    """Equal 1/2, opposite 0, at a right angle 1 / (2 pi), at 60 degrees (sin + (2 pi / 3) cos) / (2 pi)."""
    w_KxD = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.5, 0.75**0.5]])
    expected = [0.5, 0.0, 1 / (2 * np.pi), (0.75**0.5 + np.pi / 3) / (2 * np.pi)]
    assert student_teacher.relu_correlations(w_KxD[:1], 3 * w_KxD)[0] == pytest.approx(
        3 * np.array(expected), abs=1e-15
    )


def test_cost_and_gradient():
    """The cost by its definition on drawn inputs, the gradient by the paper's formula, for fewer teachers too."""
    x_NxD = np.random.default_rng(2).normal(size=(100_000, 4))
    for teachers in (4, 2):
        student_KxD, teacher_MxD = draw(4, 4), draw(teachers, 4, seed=1)
        outputs = [np.maximum(x_NxD @ weights.T, 0).sum(axis=1) for weights in (student_KxD, teacher_MxD)]
        costs_N = (outputs[0] - outputs[1]) ** 2 / 2
        found, slope_KxD = value_and_slope(student_KxD, teacher_MxD)
        assert abs(found - costs_N.mean()) < 5 * costs_N.std() / len(costs_N) ** 0.5 < 0.1 * found
        assert np.asarray(slope_KxD) == pytest.approx(gradient_by_hand(student_KxD, teacher_MxD), abs=1e-12)


def test_hessian_by_differences_of_the_gradient():
    """Also where two neurons of the student coincide with each other, and one with the teacher's."""

    def slope(flat_P):
        return jax.grad(student_teacher.population_cost)(flat_P.reshape(3, 3), np.eye(3)).ravel()

    slopes, hessian = jax.jit(jax.vmap(slope)), jax.jit(jax.jacfwd(slope))
    steps_PxP = 1e-5 * np.eye(9)
    for student_KxD in (draw(3, 3), np.array([[1, 0, 0], [0.3, -0.4, 0.5], [0.3, -0.4, 0.5]])):
        flat_1xP = student_KxD.reshape(1, 9)
        differences_PxP = (slopes(flat_1xP + steps_PxP) - slopes(flat_1xP - steps_PxP)) / 2e-5
        assert np.asarray(hessian(flat_1xP[0])) == pytest.approx(np.asarray(differences_PxP), abs=1e-5)


def test_zero_at_the_teacher_in_any_order():
    """Its neurons permuted cost nothing and have no gradient; doubled, they cost as much as none at all."""
    teacher_MxD = draw(4, 4)
    student_KxD = teacher_MxD[[3, 0, 1, 2]]
    found, slope_KxD = value_and_slope(student_KxD, teacher_MxD)
    assert abs(found) < 1e-13 and np.abs(slope_KxD).max() < 1e-13
    doubled, alone = (float(value_and_slope(factor * student_KxD, teacher_MxD)[0]) for factor in (2.0, 1e-12))
    assert doubled == pytest.approx(alone, rel=1e-9) and alone > 0.1


def test_float32():
    """The cost to its digits; the gradient at the teacher to the fourth, where float32 does not tell small angles."""
    student_KxD, teacher_MxD = draw(4, 4), np.eye(4)
    exact, _ = value_and_slope(student_KxD, teacher_MxD)
    single, _ = value_and_slope(jnp.float32(student_KxD), jnp.float32(teacher_MxD))
    assert single.dtype == jnp.float32 and single == pytest.approx(float(exact), rel=1e-5)
    _, slope_KxD = value_and_slope(jnp.float32(np.eye(4) + 1e-5 * draw(4, 4)), jnp.float32(teacher_MxD))
    assert np.abs(slope_KxD).max() < 1e-3


def test_initial_weights():
    """N(0, 2 / (K + D)), Xavier's, for each shape."""
    weights_KxD = student_teacher.initial_weights(jax.random.key(0), 100, 300)
    assert weights_KxD.shape == (100, 300) and weights_KxD.dtype == jnp.float64
    assert np.std(weights_KxD) == pytest.approx(400**-0.5 * 2**0.5, rel=0.02)
    square = jax.eval_shape(lambda key: student_teacher.initial_weights(key, 7), jax.random.key(0))
    assert square.shape == (7, 7)


def test_refusals():
    """Weights that do not see the same inputs, in one line."""
    with pytest.raises(ValueError, match=r"\(3, 4\) and \(3, 5\); accepted: \[K, D\] and \[M, D\]"):
        student_teacher.relu_correlations(draw(3, 4), draw(3, 5))
    with pytest.raises(ValueError, match="accepted"):
        student_teacher.population_cost(draw(3, 4)[0], draw(3, 4))
