"""First passage under costs of the residual: the quadratic one's chain, closed forms, walkers, far out."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import exit_time, residual_passage

RATE = 0.1


def at(cost, radius, nodes=200, rate=RATE):
    """ln of the mean steps to the radius."""
    return residual_passage.log_mean_steps(cost, rate, radius, nodes)[1][-1]


def test_quadratic_cost_has_the_chain_of_gaussians():
    """Two discretisations of one equation; and a place on the way is passed as if it were the end."""
    for radius in (0.5, 2.0):
        exact = exit_time.mean_steps_of_gaussians(RATE, 1, radius, 200)
        assert at("quadratic", radius) == pytest.approx(math.log(exact), abs=2e-3)
    u_N, log_N = residual_passage.log_mean_steps("quadratic", RATE, 2.0, 200)
    np.testing.assert_allclose(np.interp(1.0, u_N, log_N), at("quadratic", 1.0), atol=3e-3)


def test_tail_of_the_quadratic_cost_is_kestens():
    """From e^31 to e^45 steps, where no linear system is solved in float64."""
    near, far = (at("quadratic", radius) for radius in (5.0, 10.0))
    kappa = exit_time.tail_exponent(RATE, 1)
    assert (far - near) / math.log(101 / 26) == pytest.approx(kappa / 2, rel=0.05) and far > 45


def test_halving_the_cells_changes_little():
    """Less than 1 % of the mean near by, and of its logarithm far out."""
    assert at("huber", 1.0, 100) == pytest.approx(at("huber", 1.0, 200), abs=0.01)
    assert at("log_cosh", 4.0, 100) == pytest.approx(at("log_cosh", 4.0, 200), rel=0.01)


def test_elimination_against_a_linear_system():
    """A chain of four states whose jumps are drawn: the mean steps until it is beyond each."""
    random = np.random.default_rng(0)
    jump = random.uniform(size=(4, 5))
    jump /= jump.sum(axis=1, keepdims=True)
    start = random.uniform(size=5)
    start /= start.sum()
    expected = []
    for k in range(1, 5):
        inner = jump[:k, :k]
        expected.append(1 + start[:k] @ np.linalg.solve(np.eye(k) - inner, np.ones(k)))
    found = residual_passage.log_passages(jump.copy(), start.copy())
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-12)


def test_walkers_under_hubers_cost():
    """The mean steps of real examples, within four standard errors."""

    def step(u_W, rate, key):
        x_W, y_W = jax.random.normal(key, (2, *u_W.shape))
        return u_W - rate * jnp.clip(u_W * x_W - y_W, -1, 1) * x_W

    (steps_W,) = exit_time.first_exits(step, np.float32(0.3), np.array([0.6]), 4_000, jax.random.key(0))
    assert abs(steps_W.mean() - math.exp(at("huber", 0.6, rate=0.3))) < 4 * steps_W.std() / 4_000**0.5


def test_laplace_exponent():
    """2 u / eta of the quadratic cost in closed form; far out it outgrows u, and gives the rise of the exact steps."""
    assert residual_passage.laplace_exponent("quadratic", 0.2, 3.0) == pytest.approx(30, rel=1e-6)
    theta = {u: residual_passage.laplace_exponent("huber", RATE, u) for u in (3.0, 3.5, 4.0)}
    assert theta[4.0] / theta[3.0] > 4 / 3
    u_N, log_N = residual_passage.log_mean_steps("huber", RATE, 4.0, 200)
    rise = np.interp(4.0, u_N, log_N) - np.interp(3.0, u_N, log_N)
    assert rise == pytest.approx(theta[3.5], rel=0.05)


def test_diffusion_exponent():
    """2 m / v of the quadratic cost: m = eta u, E step^2 = eta^2 (1 + 3 u^2)."""
    assert residual_passage.diffusion_exponent("quadratic", RATE, 2.0) == pytest.approx(4 / (RATE * 9), rel=1e-6)


def test_loss_of_each_cost():
    """1 + u^2; Huber's by its closed form for N(0, s^2) residuals; and back again."""
    u_M = np.array([0.5, 3.0])
    np.testing.assert_allclose(residual_passage.relative_loss("quadratic", u_M), 1 + u_M**2, rtol=1e-9)

    def huber(s):
        inside, density = math.erf(1 / s / 2**0.5), math.exp(-0.5 / s**2) / (2 * math.pi) ** 0.5
        return s**2 / 2 * (inside - 2 * density / s) + 2 * s * density - 0.5 * (1 - inside)

    expected = [huber(math.hypot(1, u)) / huber(1) for u in u_M]
    np.testing.assert_allclose(residual_passage.relative_loss("huber", u_M), expected, rtol=1e-8)
    u = residual_passage.radius_of_loss("log_cosh", 3.0)
    assert residual_passage.relative_loss("log_cosh", np.array([u]))[0] == pytest.approx(3, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: at("hubber", 1.0), r"unknown cost of the residual 'hubber' \(did you mean 'huber'\?\)"),
        (lambda: at("huber", 1.0, rate=2.0), r"learning_rate is 2.0; accepted: more than 0 and less than 2"),
        (lambda: at("huber", -1.0), r"radius is -1.0; accepted: a number more than 0"),
        (lambda: at("huber", 1.0, 1), r"nodes are 1; accepted: 2 to 1500"),
        (lambda: residual_passage.laplace_exponent("huber", 0.1, 0.0), r"u is 0.0; accepted: a number more than 0"),
        (lambda: residual_passage.radius_of_loss("huber", 1.0), r"c is 1.0; accepted: a number more than 1"),
    ],
)
def test_what_is_out_of_range_is_refused(call, message):
    """In one line that names what was given."""
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
