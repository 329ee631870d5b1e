"""Exit times and tails of SGD on a quadratic cost: closed values, limits by hand, moments, walkers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from scipy.integrate import quad

from nets import exit_time

KEY = jax.random.key(0)


def test_closed_values():
    """eta x steps at r^2 = .4, to the printed digits."""
    for learning_rate, printed, within in ((0.1, 42.85, 0.005), (0.05, 1_634, 0.5)):
        found = learning_rate * exit_time.mean_steps_of_signs(learning_rate, 1, 0.4**0.5)
        assert found == pytest.approx(printed, abs=within)


@pytest.mark.parametrize(("batch_size", "radius"), [(1, 0.5), (1, 2.0), (4, 1.5)])
def test_at_rate_one_every_step_is_a_fresh_draw(batch_size, radius):
    """The walk forgets where it was, so that the steps are geometric: their mean is 1 / P(|xi| > r sqrt(B))."""
    by_hand = 1 / math.erfc(radius * math.sqrt(batch_size / 2))
    assert exit_time.mean_steps_of_signs(1.0, batch_size, radius) == pytest.approx(by_hand, rel=1e-9)


def test_nodes_and_cells_converge():
    """Exponentially in the nodes; in the cells at least with the square of their width."""
    arguments = 0.1, 2, 0.4**0.5
    found = [exit_time.mean_steps_of_signs(*arguments, nodes) for nodes in (60, 100, 300)]
    np.testing.assert_allclose(found, found[-1], rtol=1e-8)
    # 377 nodes are needed here, and taken unasked.
    assert exit_time.mean_steps_of_signs(0.001, 1, 0.06) == pytest.approx(
        exit_time.mean_steps_of_signs(0.001, 1, 0.06, 400), rel=1e-8
    )
    coarse, middle, fine = (exit_time.mean_steps_of_gaussians(0.2, 1, 0.8, cells) for cells in (25, 50, 100))
    assert abs(coarse - middle) > 4 * abs(middle - fine)
    assert middle == pytest.approx(fine, rel=1e-3)


def test_gaussian_inputs_in_large_batches_are_like_signs():
    """The mean of x^2 over the batch is then nearly 1."""
    arguments = 0.5, 2_000, 0.05
    found = exit_time.mean_steps_of_gaussians(*arguments)
    assert found == pytest.approx(exit_time.mean_steps_of_signs(*arguments), rel=0.02)


@pytest.mark.parametrize(("learning_rate", "batch_size"), [(0.1, 1), (0.3, 4)])
def test_variance_of_the_stationary_density(learning_rate, batch_size):
    """E u^2 = (eta^2 / B) / (2 eta - eta^2 (1 + 2 / B)), as E q^2 = 1 + 2 / B."""
    u_N, density_N = exit_time.stationary_density_of_gaussians(learning_rate, batch_size, 2.0)
    width = 2.0 / len(u_N)
    by_hand = learning_rate / batch_size / (2 - learning_rate * (1 + 2 / batch_size))
    assert np.all(density_N > 0) and density_N.sum() * width == pytest.approx(1)
    assert (density_N * u_N**2).sum() * width == pytest.approx(by_hand, rel=2e-3)


def test_tail_exponent_where_its_moment_is_a_polynomial():
    """E (1 - eta q)^2 = 1 at eta = 2 / (1 + 2 / B), and E (1 - eta x^2)^4 = 1 by the moments 1, 3, 15, 105 of x^2."""
    for batch_size in (1, 3, 50):
        assert exit_time.tail_exponent(2 / (1 + 2 / batch_size), batch_size) == pytest.approx(2, rel=1e-6)
    roots = np.roots([105, -4 * 15, 6 * 3, -4])
    learning_rate = float(roots[np.abs(roots.imag) < 1e-9].real[0])
    assert exit_time.tail_exponent(learning_rate, 1) == pytest.approx(4, rel=1e-6)


def test_cells_follow_the_noise():
    """Where the noise is less than ten of 200 cells, more are taken unasked: 200 find too few steps, by no more than
    the bound says."""
    arguments = 0.001, 1, 0.05
    found = exit_time.mean_steps_of_gaussians(*arguments, nodes=20)
    assert found == exit_time.mean_steps_of_gaussians(*arguments, 500, 20)
    few = exit_time.mean_steps_of_gaussians(*arguments, 200, 20)
    assert 1.005 * few < found < (1 + 0.05**2 / 0.001 * (0.00025 / 0.001) ** 2 / 12) * few


def test_slope_of_the_exact_chain_approaches_the_tail_exponent():
    """Far out, the mean steps grow as the radius to the kappa."""
    near, far = (exit_time.mean_steps_of_gaussians(0.5, 1, radius) for radius in (30.0, 60.0))
    assert math.log2(far / near) == pytest.approx(exit_time.tail_exponent(0.5, 1), rel=0.03)


def rising(u_W, rate, key):
    """All walkers go up by the rate."""
    return u_W + rate


def test_steps_are_counted_until_the_level_is_reached():
    """By hand, over several chunks, with levels in any order."""
    steps_KxW = exit_time.first_exits(rising, -1.0, np.array([2.5, 1.0, 700.0]), 3, KEY)
    np.testing.assert_array_equal(steps_KxW, np.array([[3], [1], [700]]) + np.zeros((3, 3)))


def jumping(u_W, chance, key):
    """Each walker jumps to 1 with that chance."""
    return jnp.where(jax.random.uniform(key, u_W.shape) < chance, 1.0, u_W)


def test_walkers_that_close_up_keep_their_steps():
    """Geometric steps: mean 1 / p and standard deviation nearly 1 / p, to the last of the walkers."""
    walkers, chance = 2_000, 0.003
    (steps_W,) = exit_time.first_exits(jumping, chance, np.array([0.5]), walkers, KEY)
    assert steps_W.min() >= 1 and steps_W.max() > 5 / chance
    assert steps_W.mean() == pytest.approx(1 / chance, rel=4 / walkers**0.5)
    assert steps_W.std() == pytest.approx(1 / chance, rel=8 / walkers**0.5)


def sgd_step(u_W, rate, key):
    """SGD of each walker on one example of its own: the gradient of (u x - y)^2 / 2."""
    x_W, y_W = jax.random.normal(key, (2, *u_W.shape))
    return u_W - rate * (u_W * x_W - y_W) * x_W


def test_walkers_agree_with_the_chain_of_gaussians():
    """Real examples against the exact means at three levels, within four standard errors."""
    levels_K = np.array([0.3, 0.5, 0.8])
    steps_KxW = exit_time.first_exits(sgd_step, np.float32(0.2), levels_K, 4_000, KEY)
    for steps_W, level in zip(steps_KxW, levels_K, strict=True):
        exact = exit_time.mean_steps_of_gaussians(0.2, 1, float(level), cells=100)
        assert abs(steps_W.mean() - exact) < 4 * steps_W.std() / 4_000**0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exit_time.mean_steps_of_signs(2.0, 1, 1.0), r"learning_rate is 2.0; accepted: more than 0 and less"),
        (lambda: exit_time.mean_steps_of_signs(0.1, 0, 1.0), r"batch_size is 0; accepted: a whole number >= 1"),
        (lambda: exit_time.mean_steps_of_gaussians(0.1, 1, -1.0), r"radius is -1.0; accepted: a number more than 0"),
        (
            lambda: exit_time.mean_steps_of_signs(0.1, 1, 1.0, 20),
            r"nodes are 20; accepted at this radius and noise: 63 to 1500",
        ),
        (lambda: exit_time.mean_steps_of_signs(1e-4, 1, 1.0), r"radius is 1 with .*; accepted: at most 0.0239"),
        (lambda: exit_time.mean_steps_of_gaussians(1e-4, 1, 1.0), r"radius is 1 with .*; accepted: at most 0.015"),
        (
            lambda: exit_time.mean_steps_of_gaussians(0.1, 1, 1.0, 9),
            r"cells are 9; accepted at this radius and noise: 10 to 1500",
        ),
        (lambda: exit_time.mean_steps_of_signs(0.1, 1, 2.0), r"beyond 1e\+11 steps"),
        (lambda: exit_time.tail_exponent(0.0, 1), r"learning_rate is 0.0; accepted: more than 0"),
        (lambda: exit_time.first_exits(rising, 1.0, np.zeros(1), 3, KEY), r"levels_K are \[0.\]"),
        (lambda: exit_time.first_exits(rising, 1.0, np.ones(1), 0, KEY), r"walkers are 0; accepted"),
    ],
)
def test_what_is_out_of_range_is_refused(call, message):
    """In one line that names what was given."""
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def moment(kappa, learning_rate, batch_size):
    """E |1 - eta q|^kappa in confluent hypergeometric functions, with a = B / 2 and b = a / eta: below q = 1 / eta
    Kummer's integral of (1 - eta q)^kappa, above it Tricomi's."""
    a, b = batch_size / 2, batch_size / (2 * learning_rate)
    below = special.beta(a, kappa + 1) * special.hyp1f1(a, kappa + 1 + a, -b)
    above = math.exp(-b) * special.gamma(kappa + 1) * special.hyperu(kappa + 1, kappa + 1 + a, b)
    return b**a / special.gamma(a) * (below + above)


@pytest.mark.parametrize(
    ("learning_rate", "batch_size", "kappa"),
    [
        (1.9, 1, 0.2151),
        (1.5, 1, None),
        (1.2, 1, None),
        (1.0, 1, None),
        (0.5, 1, None),
        (1.99, 3, None),
        (1.7, 10, None),
    ],
)
def test_tail_exponent_in_closed_form(learning_rate, batch_size, kappa):
    """Above a rate of 1 the exponent is small, and the moment has a sharp cusp where an input leads to the minimum."""
    found = exit_time.tail_exponent(learning_rate, batch_size)
    assert moment(found, learning_rate, batch_size) == pytest.approx(1, abs=1e-9)
    if kappa:
        assert found == pytest.approx(kappa, abs=5e-5)


def test_tail_exponent_of_small_rates_and_large_batches():
    """The moment lies far out in the tail of the inputs: 89.11 by adaptive quadrature; 2 where the square decides."""
    assert exit_time.tail_exponent(0.02, 1) == pytest.approx(89.11042439, rel=1e-8)
    assert exit_time.tail_exponent(2 / (1 + 2 / 5_000), 5_000) == pytest.approx(2, rel=1e-6)


def test_diffusion_with_constant_noise_leaves_as_ornstein_and_uhlenbeck():
    """Its mean exit time is the integral of sqrt(pi) exp(x^2) erf(x) up to r / sqrt(eta / B); by scipy, in float64."""
    learning_rate, batch, radius = 0.1, 2, 0.7
    scale = (learning_rate / batch) ** 0.5
    exact = math.pi**0.5 * quad(lambda x: math.exp(x**2) * math.erf(x), 0, radius / scale)[0] / learning_rate
    found = exit_time.mean_steps_of_diffusion(learning_rate, batch, radius, np.ones_like)
    assert found == pytest.approx(exact, rel=1e-5)
    u_N, density_N = exit_time.stationary_density_of_diffusion(learning_rate, batch, radius, np.ones_like)
    expected_N = np.exp(-((u_N / scale) ** 2)) * 2 / (math.pi**0.5 * scale * math.erf(radius / scale))
    np.testing.assert_allclose(density_N, expected_N, rtol=1e-5)
    with pytest.raises(ValueError, match="positive values"):
        exit_time.mean_steps_of_diffusion(0.1, 1, 1.0, lambda u: u)
