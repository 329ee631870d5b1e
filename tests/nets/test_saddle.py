"""Leaving times of saddles against descents step by step."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nets


def steps_of(values_K, u_K, rate, drop):
    """Steps of gradient descent on sum h u^2 / 2 from u until the cost has fallen by `drop` from that at the start."""
    values_K, u_K, steps = np.asarray(values_K, float), np.asarray(u_K, float), 0
    start = np.sum(values_K * u_K**2) / 2
    while start - np.sum(values_K * u_K**2) / 2 < drop:
        u_K, steps = u_K * (1 - rate * values_K), steps + 1
    return steps


def test_one_direction():
    """x^2 / 2 - .02 y^2 / 2 from y = .01: the descent wins .5 where y is 7.07; ln(707) / .02."""
    overlap = nets.saddle.overlap(-0.02, -0.02 * 0.01, drop=0.5)
    assert overlap == pytest.approx(0.01 / 50**0.5)
    time = nets.saddle.leaving_time(-0.02, overlap)
    assert time == pytest.approx(math.log(50**0.5 / 0.01) / 0.02)
    assert 0.1 * steps_of([1.0, -0.02], [0.0, 0.01], 0.1, 0.5) == pytest.approx(time, rel=2e-3)
    assert nets.saddle.descent_time([-0.02], [(0.02 * 0.01) ** 2], 0.5) == pytest.approx(time, rel=1e-5)


def test_many_directions():
    """A flat, two falling and a steep one, against small steps; one direction alone would be late by a third."""
    values_K, u_K = np.array([-0.03, -0.02, 0.0, 2.0]), np.array([0.01, 0.5, 3.0, 0.1])
    squares_K = (values_K * u_K) ** 2
    time = nets.saddle.descent_time(values_K, squares_K, 0.5)
    assert 0.05 * steps_of(values_K, u_K, 0.05, 0.5) == pytest.approx(time, rel=5e-3)
    alone = nets.saddle.leaving_time(-0.03, nets.saddle.overlap(-0.03, 0.0003, 0.5))
    assert alone > 1.3 * time


def test_ends():
    """What has left, what has no overlap, and what can never win so much."""
    assert nets.saddle.leaving_time(-1.0, 1.5) == 0 and nets.saddle.leaving_time(-1.0, 0.0) == math.inf
    assert nets.saddle.descent_time([1.0, 2.0], [1.0, 1.0], 1.0) == math.inf
    assert nets.saddle.descent_time([0.0], [2.0], 1.0) == pytest.approx(0.5)
    for wrong, words in (
        (lambda: nets.saddle.overlap(0.1, 1.0, 1.0), "eigenvalue is 0.1"),
        (lambda: nets.saddle.overlap(-0.1, 1.0, 0.0), "drop is 0"),
        (lambda: nets.saddle.leaving_time(-0.1, -1.0), "overlap is -1"),
        (lambda: nets.saddle.descent_time([1.0], [-1.0], 1.0), "squares 0 or more"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()


def test_lanczos_from_a_gradient_gives_its_shares():
    """The eigenvalues of a diagonal matrix that are in the gradient, and its squared components, in as many steps."""
    diagonal, gradient = jnp.array([-0.5, -0.1, 2.0, 3.0]), jnp.array([0.3, 0.0, 0.4, 1.2])
    run = jax.jit(lambda g: nets.curvature.lanczos(lambda x: diagonal * x, g, jax.random.key(0), 3, g))(gradient)
    t_3x3 = np.diag(run.alphas_S) + np.diag(run.betas_S[:-1], 1) + np.diag(run.betas_S[:-1], -1)
    values_S, vectors_SxS = np.linalg.eigh(t_3x3)
    np.testing.assert_allclose(values_S, [-0.5, 2.0, 3.0], atol=1e-5)
    np.testing.assert_allclose(vectors_SxS[0] ** 2 * 1.69, [0.09, 0.16, 1.44], atol=1e-5)


def logits_of(params):
    """A sigmoid unit that sees nothing, before three outputs."""
    return params["bias"] + params["weights"] * jax.nn.sigmoid(params["z"])


def test_label_noise_of_known_derivatives():
    """Logits b + w a(z): the derivatives by b are 1, by w a, by z w a'; with equal biases p is 1/3 where w is 0."""
    params = {"bias": jnp.zeros(3), "weights": jnp.zeros(3), "z": jnp.float32(0.0)}
    noise = nets.saddle.label_noise(logits_of, params, 0.8, 4)
    assert float(noise) == pytest.approx(0.8 / 16 * (2 / 3) * (1 + 0.25))
    # With w the third derivative counts, by its variance under p.
    scales_C = np.array([0.5, 1.0, 2.0])
    weights_C, p_C = 2 * np.log(scales_C), scales_C / scales_C.sum()
    noise = nets.saddle.label_noise(logits_of, params | {"weights": jnp.float32(weights_C)}, 0.8, 4)
    spread = p_C @ np.square(weights_C) - (p_C @ weights_C) ** 2
    assert float(noise) == pytest.approx(0.05 * ((1 - p_C @ p_C) * 1.25 + spread / 16), rel=1e-5)
    # Its slope is that of J J^T alone, with unequal p as they are: none by b, which changes nothing else.
    unequal = params | {"bias": jnp.float32(np.log(scales_C))}
    slopes = jax.grad(lambda params: nets.saddle.label_noise(logits_of, params, 0.8, 4))(unequal)
    np.testing.assert_array_equal(slopes["bias"], 0)
    assert float(slopes["z"]) == pytest.approx(0.05 * (1 - p_C @ p_C) * 2 * 0.5 * 0.25, rel=1e-5)
    for wrong, words in (
        (lambda: nets.saddle.label_noise(logits_of, params, 0.8, 0), "batch is 0"),
        (lambda: nets.saddle.label_noise(lambda p: p["z"], params, 0.8, 1), "one axis C"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()


def test_label_noise_saturates_a_unit_that_sees_nothing():
    """Descent on batches of labels lowers the unit's output, on average as descent with the noise's cost does; by the
    mean cost alone it would stay at 1/2."""
    rate, batch, steps = 0.5, 2, 1_500
    start = {"bias": jnp.zeros(3), "weights": jnp.zeros(3), "z": jnp.float32(0.0)}

    def cost(params, y_C):
        return -jnp.sum(y_C * jax.nn.log_softmax(logits_of(params)))

    def walk(key):
        def step(params, key):
            y_C = jnp.mean(jax.nn.one_hot(jax.random.randint(key, (batch,), 0, 3), 3), axis=0)
            return jax.tree.map(lambda p, g: p - rate * g, params, jax.grad(cost)(params, y_C)), None

        return jax.nn.sigmoid(jax.lax.scan(step, start, jax.random.split(key, steps))[0]["z"])

    def with_noise(params, _):
        whole = lambda p: cost(p, jnp.ones(3) / 3) + nets.saddle.label_noise(logits_of, p, rate, batch)  # noqa: E731
        return jax.tree.map(lambda p, g: p - rate * g, params, jax.grad(whole)(params)), None

    walked_W = jax.jit(jax.vmap(walk))(jax.random.split(jax.random.key(0), 400))
    expected = jax.nn.sigmoid(jax.jit(lambda: jax.lax.scan(with_noise, start, length=steps)[0])()["z"])
    assert float(expected) < 0.3
    assert float(jnp.mean(walked_W)) == pytest.approx(float(expected), rel=0.1)
