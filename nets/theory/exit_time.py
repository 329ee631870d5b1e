"""How long SGD stays near the minimum of a one-dimensional quadratic cost: exactly, and by many walkers at once.

K levels, N nodes or cells, W walkers.

The model is a neuron u x with cost (u x - y)^2 / 2 and examples y ~ N(0, 1), E x^2 = 1: its Hessian is 1 and its
minimum u = 0 costs 1/2. A step of SGD on a mini-batch of B drawn afresh is

    u' = (1 - eta q) u + eta sqrt(q / B) xi        with q the mean of x^2 over the batch, xi ~ N(0, 1).

Inputs x = +-1 have q = 1, the noise does not depend on u, and u is an AR(1) process. Inputs x ~ N(0, 1) have a q that
is chi-square of B degrees over B: the noise multiplies u, and |u| gets a power-law tail.

    nets.exit_time.mean_steps_of_signs(learning_rate=0.1, batch_size=1, radius=0.4**0.5)         # 428.5
    nets.exit_time.mean_steps_of_gaussians(learning_rate=0.1, batch_size=1, radius=1.0)          # 3.2e4
    nets.exit_time.tail_exponent(learning_rate=0.1, batch_size=1)                                # 17.28
    nets.exit_time.mean_steps_of_diffusion(0.1, 1, 1.0, lambda u: 1 + u**2)                      # as a diffusion has it
    nets.exit_time.first_exits(step, 0.1, levels_K, walkers=20_000, key=key)                     # any step, [K, W]

Time is counted in steps, u is looked at after every step, and starts at 0. All but `first_exits` is computed in float64
by NumPy, as a mean exit time of 10^8 steps is the inverse of a probability that float32 cannot see beside 1.
ValueError, in one line, names what is out of range.
"""

import math
from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

# Beyond this, I - K is so nearly singular that float64 leaves fewer than four digits of the mean.
MOST_STEPS = 1e11
# To find that many nodes takes seconds; to fill the table of that many cells, longer.
MOST_NODES = 1_500
# Cells that the noise at the minimum spans where nobody says how many there are.
FINE = 10
# Walkers go this many steps between two looks at how many are left.
CHUNK = 256
# Walkers close up when no more than 1 / SHRINK of the places are filled, down to FEWEST: each size is compiled anew.
SHRINK, FEWEST = 3, 300


def _check(learning_rate: float, batch_size: int, radius: float) -> None:
    """ValueError for what is out of range."""
    if not 0 < learning_rate < 2:
        raise ValueError(f"learning_rate is {learning_rate}; accepted: more than 0 and less than 2")
    if not hasattr(batch_size, "__index__") or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; accepted: a whole number >= 1")
    if not 0 < radius < math.inf:
        raise ValueError(f"radius is {radius}; accepted: a number more than 0")


@cache
def _gauss_legendre(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [-1, 1], which take longer to find than to use."""
    return np.polynomial.legendre.leggauss(nodes)


def _solve(stay_NxN: np.ndarray, name: str) -> np.ndarray:
    """The mean steps m_N until a chain that stays among N states with those probabilities leaves: (I - K) m = 1."""
    try:
        mean_N = np.linalg.solve(np.eye(len(stay_NxN)) - stay_NxN, np.ones(len(stay_NxN)))
    except np.linalg.LinAlgError:
        mean_N = np.full(len(stay_NxN), math.inf)
    if not np.all((mean_N > 0) & (mean_N < MOST_STEPS)):
        raise ValueError(f"the mean exit time for {name} is beyond {MOST_STEPS:.0e} steps, the most that is computed")
    return mean_N


def mean_steps_of_signs(learning_rate: float, batch_size: int, radius: float, nodes: int | None = None) -> float:
    """Mean number of steps until |u| >= radius for inputs x = +-1: u' = (1 - eta) u + eta xi / sqrt(B).

    The mean m(u) from u solves m(u) = 1 + integral of k(u, v) m(v) over |v| < radius, with k the density of the step
    (Fredholm's second kind); Nystrom's method on Gauss-Legendre nodes. The error falls exponentially in the nodes once
    they are closer than the noise: None takes 300, or as many as that needs, and ValueError is for more than 1,500.
    """
    _check(learning_rate, batch_size, radius)
    noise = learning_rate / math.sqrt(batch_size)
    # The nodes are farthest apart, by pi / 2 of their mean distance, in the middle: that is half of the noise here.
    needed = math.ceil(2 * math.pi * radius / noise)
    nodes = max(300, needed) if nodes is None else nodes
    if needed > MOST_NODES:
        most = noise * MOST_NODES / (2 * math.pi)
        raise ValueError(f"radius is {radius:g} with noise of {noise:.3g}; accepted: at most {most:.3g}")
    if not needed <= nodes <= MOST_NODES:
        raise ValueError(f"nodes are {nodes}; accepted at this radius and noise: {needed} to {MOST_NODES}")
    v_N, weight_N = _gauss_legendre(nodes)
    v_N, weight_N = v_N * radius, weight_N * radius / (noise * math.sqrt(2 * math.pi))

    def kernel(u: np.ndarray) -> np.ndarray:
        return weight_N * np.exp(-0.5 * ((v_N - (1 - learning_rate) * u) / noise) ** 2)

    name = f"learning_rate {learning_rate:g}, batch_size {batch_size}, radius {radius:g}"
    return float(1 + kernel(np.zeros(1)) @ _solve(kernel(v_N[:, None]), name))


def _root_mean_squares(batch_size: int, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes sqrt(q)_Q and weights of the distribution of the root mean square of B inputs x ~ N(0, 1).

    They go far into its tail: it is rare large inputs that throw u out.
    """
    root_Q, weight_Q = _gauss_legendre(nodes)
    root_Q = (root_Q + 1) / 2 * (1 + 15 / math.sqrt(batch_size))
    log_Q = (batch_size - 1) * np.log(root_Q) - batch_size * root_Q**2 / 2
    weight_Q = weight_Q * np.exp(log_Q - log_Q.max())
    return root_Q, weight_Q / weight_Q.sum()


@jax.jit
def _mean_inside(edges_M: jax.Array, means_QxN: jax.Array, noises_Q: jax.Array, weights_Q: jax.Array) -> jax.Array:
    """The probability of |v| < each edge, [N, M], for v ~ N(mean, noise^2) averaged over Q with those weights."""

    def add(total_NxM: jax.Array, term: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        mean_N, noise, weight = term
        edge, mean, width = edges_M[None, :], mean_N[:, None], noise * math.sqrt(2)
        twice = jax.scipy.special.erf((edge - mean) / width) + jax.scipy.special.erf((edge + mean) / width)
        return total_NxM + weight / 2 * twice, None

    nothing = jnp.zeros((means_QxN.shape[1], len(edges_M)), edges_M.dtype)
    return jax.lax.scan(add, nothing, (means_QxN, noises_Q, weights_Q))[0]


def _chain_of_gaussians(
    learning_rate: float, batch_size: int, radius: float, cells: int | None, nodes: int
) -> tuple[np.ndarray, np.ndarray]:
    """|u| < radius as a Markov chain over cells of equal width: their middles [N], the probabilities of a step [N, N].

    A step starts in the middle of its cell; the distribution of where it ends is exact, so that the error is of second
    order in the width: as a share of the mean steps at most about (radius^2 / 2 Var u) (width / noise)^2 / 12.
    """
    _check(learning_rate, batch_size, radius)
    noise, fine = learning_rate / math.sqrt(batch_size), FINE if cells is None else 1
    needed = math.ceil(fine * radius / noise)
    if needed > MOST_NODES:
        most = noise * MOST_NODES / fine
        raise ValueError(f"radius is {radius:g} with noise of {noise:.3g}; accepted: at most {most:.3g}")
    cells = max(200, needed) if cells is None else cells
    if not needed <= cells <= MOST_NODES:
        raise ValueError(f"cells are {cells}; accepted at this radius and noise: {needed} to {MOST_NODES}")
    edges_M = np.linspace(0, radius, cells + 1)
    middle_N = (edges_M[1:] + edges_M[:-1]) / 2
    root_Q, weight_Q = _root_mean_squares(batch_size, nodes)
    means_QxN = (1 - learning_rate * root_Q[:, None] ** 2) * middle_N
    noises_Q = learning_rate * root_Q / math.sqrt(batch_size)
    # NumPy has no error function, and JAX one in float64 under x64 alone.
    with jax.enable_x64(True):
        inside_NxM = np.asarray(_mean_inside(edges_M, means_QxN, noises_Q, weight_Q))
    return middle_N, np.diff(inside_NxM, axis=1)


def mean_steps_of_gaussians(
    learning_rate: float, batch_size: int, radius: float, cells: int | None = None, nodes: int = 120
) -> float:
    """Mean number of steps until |u| >= radius for inputs x ~ N(0, 1), from the middle of the cell next to 0.

    Cells find too few steps, by a share of at most about (radius^2 / 2 Var u) (width / noise)^2 / 12, with the noise
    and Var u at the minimum, eta / sqrt(B) and nearly eta / 2B. None takes 200 cells, or as many as make the noise ten
    cells wide; cells that are wider than the noise, and more than 1,500, are a ValueError.
    """
    _, stay_NxN = _chain_of_gaussians(learning_rate, batch_size, radius, cells, nodes)
    name = f"learning_rate {learning_rate:g}, batch_size {batch_size}, radius {radius:g}"
    return float(_solve(stay_NxN, name)[0])


def stationary_density_of_gaussians(
    learning_rate: float, batch_size: int, radius: float, cells: int | None = None, nodes: int = 120
) -> tuple[np.ndarray, np.ndarray]:
    """The stationary density of |u| for inputs x ~ N(0, 1) at the middles of the cells: middles [N], density [N].

    A step beyond the radius is drawn anew, which is felt near the radius alone where few go so far.
    """
    middle_N, stay_NxN = _chain_of_gaussians(learning_rate, batch_size, radius, cells, nodes)
    cells = len(middle_N)
    equations = (stay_NxN / stay_NxN.sum(axis=1, keepdims=True)).T - np.eye(cells)
    # One of the balance equations follows from the others: the total takes its place.
    equations[-1] = radius / cells
    return middle_N, np.linalg.solve(equations, np.eye(cells)[-1])


def _diffusion(
    learning_rate: float, batch_size: int, radius: float, variance: Callable[[np.ndarray], np.ndarray], nodes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places from 0 to the radius, [N], half the noise of a diffusion there, and the integral of drift over it, up to
    which its density falls as exp(-integral) / noise."""
    _check(learning_rate, batch_size, radius)
    u_N = np.linspace(0, radius, nodes)
    half_N = learning_rate / batch_size * variance(u_N) / 2
    if not np.all(half_N > 0):
        raise ValueError("variance is not above 0 everywhere; accepted: a function of u with positive values")
    return u_N, half_N, _integral(u_N / half_N, u_N)


def _integral(value_N: np.ndarray, u_N: np.ndarray) -> np.ndarray:
    """The integral from the first place to each, by the trapezoidal rule."""
    return np.concatenate([[0.0], np.cumsum((value_N[1:] + value_N[:-1]) / 2 * np.diff(u_N))])


def mean_steps_of_diffusion(
    learning_rate: float,
    batch_size: int,
    radius: float,
    variance: Callable[[np.ndarray], np.ndarray],
    nodes: int = 20_000,
) -> float:
    """Mean number of steps, time over eta, until |u| >= radius of the diffusion du = -u dt + sqrt(eta s(u) / B) dW that
    is put in the place of SGD, started at 0; `variance` is s, that of a single example's gradient at u.

    For inputs x ~ N(0, 1) it is 1 + 2 u^2; a theory that takes E x^4 for 2 has 1 + u^2, and Arrhenius' law the 1 of the
    minimum. Its error by the grid is of second order in 1 / nodes.
    """
    u_N, half_N, fall_N = _diffusion(learning_rate, batch_size, radius, variance, nodes)
    inside_N = _integral(np.exp(-fall_N) / half_N, u_N)
    return float(_integral(np.exp(fall_N) * inside_N, u_N)[-1]) / learning_rate


def stationary_density_of_diffusion(
    learning_rate: float,
    batch_size: int,
    radius: float,
    variance: Callable[[np.ndarray], np.ndarray],
    nodes: int = 20_000,
) -> tuple[np.ndarray, np.ndarray]:
    """The stationary density of |u| of that diffusion, as a share of what lies within the radius: places, density."""
    u_N, half_N, fall_N = _diffusion(learning_rate, batch_size, radius, variance, nodes)
    density_N = np.exp(-fall_N) / half_N
    return u_N, density_N / _integral(density_N, u_N)[-1]


def _tail_panels(learning_rate: float, batch_size: int, kappa: float) -> np.ndarray:
    """Edges of panels over the root mean square r of B inputs, for the moment of |1 - eta r^2| to the power kappa.

    Where r^2 = 1 / eta the factor is 0 and the integrand has a cusp, towards which panels halve. Elsewhere no panel is
    wider than the spread of r. Beyond the last, the integrand falls off like a Gaussian of that spread.
    """
    spread, zero = 1 / math.sqrt(batch_size), 1 / math.sqrt(learning_rate)
    end = max(math.sqrt(1 + 4 * kappa / batch_size), zero) + 15 * spread
    below, above = (math.ceil(length / spread) for length in (zero, end - zero))
    even = [np.linspace(0, zero, below + 1), np.linspace(zero, end, above + 1)]
    halved = 0.5 ** np.arange(1, 36)
    towards = [zero - zero / below * halved, zero + (end - zero) / above * halved]
    return np.unique(np.concatenate([*even, *towards]))


def tail_exponent(learning_rate: float, batch_size: int, nodes: int = 20) -> float:
    """kappa of P(|u| > t) ~ t^-kappa, t to infinity, for inputs x ~ N(0, 1): E |1 - eta q|^kappa = 1 (Kesten 1973).

    Gauss-Legendre quadrature with that many nodes in each of many panels; good to 10 digits.
    """
    _check(learning_rate, batch_size, 1.0)
    node_Q, of_node_Q = _gauss_legendre(nodes)

    def log_moment(kappa: float) -> float:
        edges = _tail_panels(learning_rate, batch_size, kappa)
        half_Mx1, middle_Mx1 = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
        root_MxQ = middle_Mx1 + half_Mx1 * node_Q[None, :]
        # Logarithms, as the density of r, r^(B - 1) e^(-B r^2 / 2), and the factor's power leave the range of floats.
        log_MxQ = (batch_size - 1) * np.log(root_MxQ) - batch_size * root_MxQ**2 / 2
        log_MxQ += np.log(half_Mx1 * of_node_Q[None, :])
        moved_MxQ = log_MxQ + kappa * np.log(np.abs(1 - learning_rate * root_MxQ**2))
        total, moved = (x.max() + np.log(np.exp(x - x.max()).sum()) for x in (log_MxQ, moved_MxQ))
        return float(moved - total)

    high = 1.0
    while log_moment(high) < 0:
        high *= 2
    # The log moment is convex and 0 at 0, where it falls: it is negative up to the exponent and positive beyond.
    low = high / 2 if high > 1 else 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if log_moment(middle) < 0 else (low, middle)
    return high


Step = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


@partial(jax.jit, static_argnames="step")
def _walk(step: Step, numbers: jax.Array, levels_K: jax.Array, u_W: jax.Array, peak_W: jax.Array, key: jax.Array):
    """CHUNK steps of every walker: where they are, their largest |u|, and the steps begun below each level [K, W]."""

    def one_step(carry: tuple[jax.Array, jax.Array, jax.Array], key: jax.Array):
        u_W, peak_W, steps_KxW = carry
        steps_KxW += peak_W[None, :] < levels_K[:, None]
        # Where 64-bit numbers are on, a step may draw them.
        u_W = jnp.asarray(step(u_W, numbers, key), u_W.dtype)
        return (u_W, jnp.maximum(peak_W, jnp.abs(u_W)), steps_KxW), None

    start = u_W, peak_W, jnp.zeros((len(levels_K), len(u_W)), jnp.int32)
    return jax.lax.scan(one_step, start, jax.random.split(key, CHUNK))[0]


def first_exits(
    step: Step, numbers: jax.typing.ArrayLike, levels_K: np.ndarray, walkers: int, key: jax.Array
) -> np.ndarray:
    """The steps after which |u| first reached each of the levels, [K, W] whole numbers, for walkers started at u = 0.

    `step(u_W, numbers, key) -> u_W` moves all walkers, each with random numbers of its own; it is compiled, so define
    it once and pass what changes between calls, say the learning rate, as numbers. Every walker goes on until it has
    passed the highest level, so nothing is censored: a level that is never reached is walked towards for ever. Those
    that have passed it leave, and the others close up, so that the work is that of the mean and not of the last one.
    """
    levels_K = np.asarray(levels_K, np.float32)
    if levels_K.ndim != 1 or not len(levels_K) or not np.all(levels_K > 0):
        raise ValueError(f"levels_K are {levels_K}; accepted: one or more, all more than 0")
    if walkers < 1:
        raise ValueError(f"walkers are {walkers}; accepted: a whole number >= 1")
    numbers, steps_KxW = jnp.asarray(numbers), np.zeros((len(levels_K), walkers), np.int64)
    left, size = np.arange(walkers), walkers
    u_W, peak_W = np.zeros(walkers, np.float32), np.zeros(walkers, np.float32)
    while len(left):
        while size > FEWEST and len(left) <= size // SHRINK:
            size //= SHRINK
        # Nobody reads what becomes of places without a walker.
        u_W, peak_W = (np.pad(x_W, (0, size - len(left))) for x_W in (u_W, peak_W))
        key, of_chunk = jax.random.split(key)
        u_W, peak_W, more_KxW = map(np.asarray, _walk(step, numbers, levels_K, u_W, peak_W, of_chunk))
        steps_KxW[:, left] += more_KxW[:, : len(left)]
        going = np.flatnonzero(peak_W[: len(left)] < levels_K.max())
        left, u_W, peak_W = left[going], u_W[going], peak_W[going]
    return steps_KxW
