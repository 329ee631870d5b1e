"""Escape from poor minima: the first passage of SGD walkers, survival curves, certificates of minima.

W walkers, N examples of the data set, B examples of a batch, P parameters, K distinct times, S samples. As everywhere
in `nets`, `cost(params, batch) -> cost_B` gives one cost an example, and the function with the minima is its mean over
all examples. From any cost of one's own to the time that SGD takes to leave a minimum:

    def cost(w, batch):                                             # one neuron, one weight, no bias
        x_B, y_B = batch
        return (jax.nn.sigmoid(w * x_B) - y_B) ** 2

    half = jnp.repeat(jnp.array([1.0, 0.0]), jnp.array([96, 32]))
    data = jnp.repeat(jnp.array([1.0, 0.05]), 128), jnp.tile(half, 2)
    minimum = nets.escape.polish(cost, 1.0, data)
    assert nets.escape.is_minimum(cost, minimum, data).holds
    start_W = jnp.full(400, minimum)
    passage = nets.escape.first_passage(cost, start_W, data, jax.random.key(0), 20.0, 4, 8_000, lambda w: w > 8)
    print(nets.escape.median_passage(passage.steps_W, passage.censored_W))    # median, and its 95 % interval

How unlikely the way out is without walking it, `action` says, by the theories of `nets.actions`.

A walker that has not escaped by the last step is censored there, not left out: `kaplan_meier` and `median_passage`
count it as still at risk until then. ValueError, in one line, names what does not fit.
"""

import math
from collections.abc import Callable
from functools import partial
from statistics import NormalDist
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from nets.actions import Action as Action
from nets.actions import action as action
from nets.chunks import Cost, Tree, check_cost, check_whole
from nets.draws import doubled

# Examples that a walker draws at a time, at least: fewer draws of more are faster until they leave the cache.
DRAWN = 64
# A dense Hessian of more parameters than this takes minutes.
MOST_PARAMETERS = 2_000

# ---------------------------------------------------------------------------------------------------------------------
# Walkers.


class FirstPassage(NamedTuple):
    """When each walker first escaped, where that left it, and whether it never did.

    `steps_W` (int32) counts the steps of SGD after which `escaped` first held, 0 where it held at the start; where
    `censored_W` it never held, and steps_W is the number of steps that the walker took. `params_W` is a tree like the
    starts: the params at the first passage, or after the last step of those that are censored.
    """

    steps_W: jax.Array
    censored_W: jax.Array
    params_W: Tree


def _draw(key: jax.Array, shape: tuple[int, int], count: int) -> jax.Array:
    """Whole numbers below the count, uniform to a relative error of count / 2^32, and exactly for a power of two.

    Where the count divides 2^8 or 2^16, each random word is cut into four or two: the words take most of the time.
    """
    width = next((width for width in (8, 16) if 2**width % count == 0), 32)
    size, per_word = math.prod(shape), 32 // width
    words = jax.random.bits(key, (-(-size // per_word),), jnp.uint32)
    pieces = jax.lax.bitcast_convert_type(words, jnp.dtype(f"uint{width}")).reshape(-1)
    return (pieces[:size].astype(jnp.uint32) % count).reshape(shape)


@partial(jax.jit, static_argnames=("cost", "batch_size", "escaped"))
def first_passage(
    cost: Cost,
    params_W: Tree,
    data: Tree,
    key: jax.Array,
    learning_rate: ArrayLike,
    batch_size: int,
    steps: ArrayLike,
    escaped: Callable[[Tree], ArrayLike],
) -> FirstPassage:
    """SGD from every start until `escaped(params)` first holds, for at most that many steps.

    `params_W` is a pytree of floats with a leading axis W, one start a walker; `escaped` takes one walker's params and
    gives one truth value. It is asked at the start and after every step, and a walker for which it held stays where it
    is: with one that never holds, the walkers are simply those of SGD after `steps` steps. A step moves by the learning
    rate times the gradient of the mean cost of B examples drawn with replacement, by a key of each walker's own, so
    that a walker's course does not depend on how many others there are. The memory does not depend on the steps. It
    stops early once all have escaped. `cost`, `batch_size` and `escaped` are static, learning rate and steps are
    numbers of the run. A walker that diverges is censored unless `escaped` holds of what it has become.
    """
    check_whole("batch_size", batch_size, 1)
    starts = jax.tree.map(jnp.asarray, params_W)
    walkers = _walkers(starts)
    count = check_cost(cost, jax.tree.map(lambda x: x[0], starts), data, batch_size)
    data = jax.tree.map(jnp.asarray, data)
    length = -(-DRAWN // batch_size)
    slope = jax.grad(lambda params, batch: jnp.mean(cost(params, batch)))

    def walk(params: Tree, key: jax.Array) -> FirstPassage:
        def step(carry: tuple[Tree, jax.Array, jax.Array], index_B: jax.Array):
            params, done, taken = carry
            gradient = slope(params, jax.tree.map(lambda x: x.at[index_B].get(mode="promise_in_bounds"), data))
            going = ~done & (taken < steps)
            params = jax.tree.map(
                lambda x, g: jnp.where(going, x - jnp.asarray(learning_rate * g, x.dtype), x), params, gradient
            )
            return (params, done | _truth(escaped, params), taken + going), None

        def round_of_steps(carry: tuple[jax.Array, Tree, jax.Array, jax.Array]):
            rounds, params, done, taken = carry
            indices = _draw(jax.random.fold_in(key, rounds), (length, batch_size), count)
            return rounds + 1, *jax.lax.scan(step, (params, done, taken), indices)[0]

        def goes_on(carry: tuple[jax.Array, Tree, jax.Array, jax.Array]) -> jax.Array:
            _, _, done, taken = carry
            return ~done & (taken < steps)

        start = jnp.int32(0), params, _truth(escaped, params), jnp.int32(0)
        _, params, done, taken = jax.lax.while_loop(goes_on, round_of_steps, start)
        return FirstPassage(taken, ~done, params)

    keys_W = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(walkers))
    return jax.vmap(walk)(starts, keys_W)


def _walkers(params_W: Tree) -> int:
    """The length of the leading axis; ValueError where there is none that all leaves share."""
    shapes = [leaf.shape for leaf in jax.tree.leaves(params_W)]
    if not shapes or () in shapes or len({shape[0] for shape in shapes}) > 1 or shapes[0][0] == 0:
        raise ValueError(f"params_W have the shapes {shapes}; accepted: a pytree of arrays with one leading axis W")
    return shapes[0][0]


def _truth(escaped: Callable[[Tree], ArrayLike], params: Tree) -> jax.Array:
    """Whether the walker has escaped; ValueError unless it is one truth value."""
    value = jnp.asarray(escaped(params))
    if value.shape != () or value.dtype != bool:
        raise ValueError(f"escaped gives {value.dtype} of shape {value.shape}; accepted: one truth value a walker")
    return value


# ---------------------------------------------------------------------------------------------------------------------
# Survival.


def _normal_quantile(confidence: float) -> float:
    """How many standard errors an interval of that confidence reaches to each side."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; accepted: more than 0 and less than 1")
    return NormalDist().inv_cdf((1 + confidence) / 2)


class Survival(NamedTuple):
    """The share of walkers that have not escaped after each of the times, with a pointwise interval, as float64.

    `times_K` are the distinct first passage times in rising order, with 0 before them; between two of them the share
    is that of the earlier.
    """

    times_K: np.ndarray
    survival_K: np.ndarray
    low_K: np.ndarray
    high_K: np.ndarray


def kaplan_meier(steps_W: ArrayLike, censored_W: ArrayLike, confidence: float = 0.95) -> Survival:
    """The product-limit estimate of Kaplan & Meier (1958) from first passage times, some of them censored.

    S(t) = product over times t_k <= t of 1 - d_k / n_k, where d_k escape at t_k of the n_k still at risk; who is
    censored at t_k is at risk then. The interval has Greenwood's (1926) variance, sum d_k / (n_k (n_k - d_k)) of ln S,
    on the scale of ln(-ln S), where it cannot leave [0, 1] (Kalbfleisch & Prentice 1980). Once all have escaped that
    scale ends: the interval is then from 0 to where it reached before.
    """
    z, steps_W, censored_W = _normal_quantile(confidence), np.asarray(steps_W), np.asarray(censored_W, bool)
    if steps_W.ndim != 1 or steps_W.shape != censored_W.shape or not len(steps_W):
        shapes = f"{steps_W.shape} and {censored_W.shape}"
        raise ValueError(f"steps_W and censored_W have the shapes {shapes}; accepted: one axis W in common, not empty")
    times_K, escapes_K = np.unique(steps_W[~censored_W], return_counts=True)
    at_risk_K = len(steps_W) - np.searchsorted(np.sort(steps_W), times_K)
    survival_K = np.cumprod(1 - escapes_K / at_risk_K)
    left_K = at_risk_K - escapes_K
    some = left_K > 0
    variance_K = np.cumsum(escapes_K[some] / (at_risk_K[some] * left_K[some]))
    # ln S is negative, so the lower bound has the larger power.
    reach_K = np.exp(z * np.sqrt(variance_K) / -np.log(survival_K[some]))
    low_K, high_K = survival_K[some] ** reach_K, survival_K[some] ** (1 / reach_K)
    ended = np.zeros(len(times_K) - len(low_K))
    highs_K = np.concatenate([[1.0], high_K])
    return Survival(
        np.concatenate([[0], times_K]),
        np.concatenate([[1.0], survival_K]),
        np.concatenate([[1.0], low_K, ended]),
        np.concatenate([highs_K, ended + highs_K[-1]]),
    )


class Median(NamedTuple):
    """The median first passage time in steps with its interval; infinite where the curve does not fall so far."""

    median: float
    low: float
    high: float


def median_passage(steps_W: ArrayLike, censored_W: ArrayLike, confidence: float = 0.95) -> Median:
    """The first time at which at most half of the walkers survive, by the Kaplan-Meier curve.

    The interval is Brookmeyer & Crowley's (1982): the first times at which the curve's lower and upper bounds are at
    most one half.
    """
    curve = kaplan_meier(steps_W, censored_W, confidence)

    def first(share_K: np.ndarray) -> float:
        return float(curve.times_K[np.argmax(share_K <= 0.5)]) if np.any(share_K <= 0.5) else math.inf

    return Median(first(curve.survival_K), first(curve.low_K), first(curve.high_K))


def wilson(successes: ArrayLike, trials: ArrayLike, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's (1927) score interval of a success rate, (low, high), elementwise; it is no point at 0 or at all."""
    z = _normal_quantile(confidence)
    successes, trials = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    if not np.all((trials >= 1) & (successes >= 0) & (successes <= trials)):
        raise ValueError(f"successes are {successes} of {trials} trials; accepted: 0 to all of 1 trial or more")
    rate = successes / trials
    middle = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    # Both bounds are exact there; rounding would put them past the end.
    return np.where(successes == 0, 0.0, middle - half), np.where(successes == trials, 1.0, middle + half)


# ---------------------------------------------------------------------------------------------------------------------
# Certificates, in float64.


@partial(jax.jit, static_argnames="cost")
def _derivatives(cost: Cost, params: Tree, data: Tree) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The mean cost, its gradient [P] and its Hessian [P, P]."""
    flat_P, unravel = ravel_pytree(params)

    def mean(flat_P: jax.Array) -> jax.Array:
        return jnp.mean(cost(unravel(flat_P), data))

    value, gradient_P = jax.value_and_grad(mean)(flat_P)
    return value, gradient_P, jax.hessian(mean)(flat_P)


def _check_dense(cost: Cost, params: Tree, data: Tree) -> None:
    """ValueError for what does not fit, and for more than MOST_PARAMETERS; under enable_x64."""
    check_cost(cost, params, data, max(1, *(len(x) for x in jax.tree.leaves(data) if jnp.ndim(x))))
    if (size := sum(x.size for x in jax.tree.leaves(params))) > MOST_PARAMETERS:
        raise ValueError(f"params are {size} numbers; accepted: at most {MOST_PARAMETERS}, as the Hessian is dense")


def polish(cost: Cost, params: Tree, data: Tree, steps: int = 50) -> Tree:
    """The critical point to which Newton's method leads from the params: a tree like params, in float64 NumPy arrays.

    For a start that is already near a minimum: from elsewhere it may lead to a saddle point or a maximum, or away, and
    `is_minimum` says what was found. It stops where the gradient's norm no longer falls. A Hessian without an inverse
    is met with its pseudo-inverse, so that flat directions are left alone.
    """
    check_whole("steps", steps, 1)
    with jax.enable_x64(True):
        params, data = doubled(params), doubled(data)
        _check_dense(cost, params, data)
        best, least = params, math.inf
        for _ in range(steps + 1):
            gradient_P, hessian_PxP = map(np.asarray, _derivatives(cost, params, data)[1:])
            # Not a number is no progress either.
            if not np.linalg.norm(gradient_P) < least:
                break
            best, least = params, float(np.linalg.norm(gradient_P))
            flat_P, unravel = ravel_pytree(params)
            params = unravel(flat_P - np.linalg.pinv(hessian_PxP, hermitian=True) @ gradient_P)
        return jax.tree.map(np.asarray, best)


class Certificate(NamedTuple):
    """What gradient and Hessian of the mean cost say about params, in float64.

    `newton_step` is the norm of H^-1 g: to second order, how far away the critical point is, in the params' unit;
    infinite for a singular Hessian. `holds` is whether this is a strict local minimum: the smallest eigenvalue is more
    than rounding above 0, and the Newton step is at most the tolerance.
    """

    cost: float
    gradient_norm: float
    smallest_eigenvalue: float
    largest_eigenvalue: float
    newton_step: float
    holds: bool


def is_minimum(cost: Cost, params: Tree, data: Tree, tolerance: float = 1e-6) -> Certificate:
    """Whether the params are a strict local minimum of the mean cost over the data, to the tolerance in the params.

    By the sufficient conditions of second order, at a critical point that may be a Newton step away; `polish` takes it.
    The cost must be twice differentiable there: at the kink of a ReLU the derivatives are those of one side, and a
    minimum along a flat direction, as ReLU nets have, is not strict and not certified. `lowest_in_ball` tests those.
    The Hessian is dense, so it is for at most 2,000 params; neither jit nor vmap can go around it.
    """
    with jax.enable_x64(True):
        params, data = doubled(params), doubled(data)
        _check_dense(cost, params, data)
        value, gradient_P, hessian_PxP = map(np.asarray, _derivatives(cost, params, data))
    if not (np.all(np.isfinite(gradient_P)) and np.all(np.isfinite(hessian_PxP))):
        return Certificate(float(value), math.nan, math.nan, math.nan, math.nan, False)
    eigenvalues_P, vectors_PxP = np.linalg.eigh(hessian_PxP)
    # eigh's error: a few roundings of the largest eigenvalue.
    rounding = len(eigenvalues_P) * np.finfo(np.float64).eps * np.abs(eigenvalues_P).max()
    singular = np.abs(eigenvalues_P).min() <= rounding
    newton_step = math.inf if singular else float(np.linalg.norm(vectors_PxP.T @ gradient_P / eigenvalues_P))
    return Certificate(
        float(value),
        float(np.linalg.norm(gradient_P)),
        float(eigenvalues_P[0]),
        float(eigenvalues_P[-1]),
        newton_step,
        bool(eigenvalues_P[0] > rounding and newton_step <= tolerance),
    )


@partial(jax.jit, static_argnames=("cost", "samples"))
def _lowest(
    cost: Cost, params: Tree, data: Tree, key: jax.Array, radius: ArrayLike, samples: int
) -> tuple[jax.Array, Tree]:
    """The lowest of the samples' costs less that of the params, and where it is."""
    flat_P, unravel = ravel_pytree(params)

    def mean(flat_P: jax.Array) -> jax.Array:
        return jnp.mean(cost(unravel(flat_P), data))

    def place(key: jax.Array) -> jax.Array:
        of_direction, of_distance = jax.random.split(key)
        direction_P = jax.random.normal(of_direction, flat_P.shape, flat_P.dtype)
        distance = radius * 1000 ** -jax.random.uniform(of_distance, (), flat_P.dtype)
        return flat_P + distance * direction_P / jnp.linalg.norm(direction_P)

    keys_S = jax.random.split(key, samples)
    costs_S = jax.lax.map(lambda key: mean(place(key)), keys_S, batch_size=min(samples, 1000))
    lowest = jnp.argmin(costs_S)
    return costs_S[lowest] - mean(flat_P), unravel(place(keys_S[lowest]))


class Ball(NamedTuple):
    """The lowest mean cost that was found in a ball around params, less that of the params, and where.

    `rise` below 0 disproves a local minimum, if it is beyond rounding; 0 or more is evidence for one, and no proof.
    """

    rise: float
    params: Tree


def lowest_in_ball(cost: Cost, params: Tree, data: Tree, key: jax.Array, radius: float, samples: int = 10_000) -> Ball:
    """A test for minima that are not strict, or where the cost has kinks: the lowest cost at random points of a ball.

    The directions are uniform; the distances are uniform on a logarithmic scale from radius / 1000 to the radius, as
    in many dimensions a uniform point of a ball is hardly ever near its centre. Costs are in float64.
    """
    check_whole("samples", samples, 1)
    if not 0 < radius < math.inf:
        raise ValueError(f"radius is {radius}; accepted: a number more than 0")
    with jax.enable_x64(True):
        params, data = doubled(params), doubled(data)
        check_cost(cost, params, data, 1)
        rise, lowest = _lowest(cost, params, data, key, radius, samples)
        return Ball(float(rise), jax.tree.map(np.asarray, lowest))
