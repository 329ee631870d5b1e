"""How many minima can the cost of a single neuron have?

    python -m experiments.escape.many_minima [--workdir=runs/many_minima]      10 seconds on 2 cores

One sigmoid neuron without bias, d weights, n examples. Source: Auer, Herbster & Warmuth, Exponentially many local
minima for single neurons, NIPS 1995: with the quadratic cost there are examples with floor(n/d)^d local minima, with
the cross-entropy, which matches the sigmoid, there is never more than one. Construction for d = 1, computed: inputs
x_i = 1000^-i, targets rising from .55 to .9. Each example's own best weight, logit(y_i) / x_i, lies a thousand times as
far out as the one before: there all the earlier examples are saturated and the later ones still at 1/2, both flat. For
d > 1 each axis gets floor(n/d) such examples, and any that are left over repeat the last one.

Where the minima are: a weight below the best ones of all examples on its axis, negative ones among them, makes every
output there too small, so that every term of the gradient is below 0, and one above them all makes every term
positive. So all minima lie in the box between; it is scanned in log-spaced weights in float64, SCAN points an axis,
and each point that is no higher than its neighbours is followed by Newton's method and certified by gradient and
Hessian in the logarithms of the weights (`nets.escape`). Bands, set before the run: exact integers.

Measured: 11 of 11 (2026-11-25, 2 cores): n minima for n = 1 to 5; 4, 4, 9 and 16 for n = 4, 5, 6 and 8 with two
weights; 8 for n = 6 with three; one with the cross-entropy on each of these ten sets.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments import studies
from experiments.engine import lanes
from training import figures

ONE, MORE = (1, 2, 3, 4, 5), ((4, 2), (5, 2), (6, 2), (8, 2), (6, 3))
# The set with two weights whose cost is drawn.
PLANE = (6, 2)
# Points of the scan along each weight, by the number of weights.
SCAN = {1: 10_000, 2: 400, 3: 80}
SOURCE = "Auer, Herbster & Warmuth 1995"


def quadratic(logs_D: jax.Array, batch: Any) -> jax.Array:
    """The quadratic cost of each example, in the logarithms of the weights."""
    x_BxD, y_B = batch
    return nets.costs.quadratic((x_BxD @ jnp.exp(logs_D))[:, None], y_B[:, None], "sigmoid")


def cross_entropy(logs_D: jax.Array, batch: Any) -> jax.Array:
    """The cross-entropy of each example, in the logarithms of the weights."""
    x_BxD, y_B = batch
    return nets.costs.cross_entropy((x_BxD @ jnp.exp(logs_D))[:, None], y_B[:, None], "sigmoid")


COSTS = quadratic, cross_entropy


def examples(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """The construction's inputs [n, d] and targets [n]."""
    each = n // d
    x_N, y_N = 1000.0 ** -np.arange(1, each + 1), np.linspace(0.55, 0.9, each)
    x_NxD, y_N = np.kron(np.eye(d), x_N[:, None]), np.tile(y_N, d)
    chosen = np.minimum(np.arange(n), each * d - 1)
    return x_NxD[chosen], y_N[chosen]


def scan_axes(data: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """The logarithms of each weight that are scanned: the box that holds all minima, and a decade on both sides."""
    x_NxD, y_N = data
    axes = []
    for x_N in x_NxD.T:
        best = np.log10((np.log(y_N / (1 - y_N)) / np.where(x_N > 0, x_N, np.nan))[x_N > 0])
        axes.append(np.linspace(best.min() - 1, best.max() + 1, SCAN[x_NxD.shape[1]]) * np.log(10))
    return axes


@partial(jax.jit, static_argnames="cost")
def costs_of(cost: Any, logs_GxD: np.ndarray, data: Any) -> jax.Array:
    """The mean cost at each of the points."""
    return jax.vmap(lambda logs_D: jnp.mean(cost(logs_D, data)))(logs_GxD)


def scan(cost: Any, data: Any, axes: list[np.ndarray]) -> np.ndarray:
    """The mean cost at every point of the grid, in float64."""
    points_GxD = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    with jax.enable_x64(True):
        return np.asarray(costs_of(cost, points_GxD, data)).reshape([len(axis) for axis in axes])


def lowest_points(costs: np.ndarray) -> np.ndarray:
    """The indices of the points that are no higher than any of their neighbours, diagonal ones too, [points, D]."""
    padded = np.pad(costs, 1, constant_values=np.inf)
    lowest = np.ones(costs.shape, bool)
    for shift in itertools.product((0, 1, 2), repeat=costs.ndim):
        window = tuple(slice(s, s + size) for s, size in zip(shift, costs.shape, strict=True))
        lowest &= costs <= padded[window]
    return np.argwhere(lowest)


class Minima(NamedTuple):
    """The logarithms of the weights of all certified minima, and the mean costs there."""

    logs_MxD: np.ndarray
    costs_M: np.ndarray


def minima(cost: Any, data: tuple[np.ndarray, np.ndarray]) -> Minima:
    """All minima of the mean cost, each once."""
    axes = scan_axes(data)
    logs, costs = [], []
    for index_D in lowest_points(scan(cost, data, axes)):
        start_D = np.array([axis[i] for axis, i in zip(axes, index_D, strict=True)])
        polished_D = nets.escape.polish(cost, start_D, data)
        certificate = nets.escape.is_minimum(cost, polished_D, data)
        if certificate.holds and not any(np.allclose(polished_D, other_D, atol=1e-6) for other_D in logs):
            logs.append(polished_D)
            costs.append(certificate.cost)
    return Minima(np.array(logs).reshape(-1, len(axes)), np.array(costs))


def exact_claim(name: str, published: int, counts: list[int]) -> dict[str, Any]:
    """A whole number that all the counts have to be."""
    farthest = max(counts, key=lambda count: abs(count - published))
    return studies.claim(name, published, SOURCE, np.array(counts), farthest, (published, published))


def draw(of_n: dict[int, Minima], one: Minima, plane: Minima):
    """The cost's curves with their minima marked, and its map over two weights."""
    figure, (curves, matched, map_) = figures.new_figure(17, 5, 3)
    ln10 = np.log(10)
    for axis, cost, found in ((curves, quadratic, of_n), (matched, cross_entropy, {max(of_n): one})):
        for n, marked in found.items():
            data = examples(n, 1)
            (logs,) = scan_axes(data)
            (line,) = axis.plot(np.exp(logs), scan(cost, data, [logs]), label=f"n = {n}")
            axis.plot(np.exp(marked.logs_MxD[:, 0]), marked.costs_M, "o", color=line.get_color())
        axis.set(xscale="log", xlabel="weight w")
        axis.grid(alpha=0.3)
        axis.legend(loc="upper right" if cost is quadratic else "upper left")
    curves.set(ylabel="mean quadratic cost", title="Quadratic: n examples, n minima (dots)")
    matched.set(
        yscale="log",
        ylabel="mean cross-entropy (nats)",
        title=f"Cross-entropy on the same examples: {len(one.costs_M)} minimum",
    )
    data = examples(*PLANE)
    first, second = scan_axes(data)
    costs = scan(quadratic, data, [first, second])
    picture = map_.contourf(first / ln10, second / ln10, costs.T, 30, cmap="viridis")
    map_.plot(*plane.logs_MxD.T / ln10, "o", color="white", markeredgecolor="black")
    map_.set(xlabel="log10 of weight 1", ylabel="log10 of weight 2")
    map_.set_title(f"Quadratic, {PLANE[0]} examples, 2 weights: {len(plane.costs_M)} minima")
    figure.colorbar(picture, ax=map_, label="mean quadratic cost")
    return figure


def study() -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    sets = [*((n, 1) for n in ONE), *MORE]
    # Most of the time is compilation, which needs a core for each thread.
    with ThreadPoolExecutor(lanes.available_cores()) as pool:
        of_sets = [list(pool.map(lambda nd, cost=cost: minima(cost, examples(*nd)), sets)) for cost in COSTS]
    many, one = (dict(zip(sets, found, strict=True)) for found in of_sets)
    claims = []
    for (n, d), found in many.items():
        name = f"quadratic, n = {n}, {d} weight{'s' * (d > 1)}: local minima"
        claims.append(exact_claim(name, (n // d) ** d, [len(found.costs_M)]))
    name = f"cross-entropy, the same {len(sets)} sets of examples: local minima"
    claims.append(exact_claim(name, 1, [len(found.costs_M) for found in one.values()]))
    return draw({n: many[n, 1] for n in ONE}, one[max(ONE), 1], many[PLANE]), claims


if __name__ == "__main__":
    studies.main(study)
