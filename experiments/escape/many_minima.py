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
positive. So all minima lie in the box between; it is scanned in log-spaced weights in float64, `scan` points an axis,
and each point that is no higher than its neighbours is followed by Newton's method and certified by gradient and
Hessian in the logarithms of the weights (`nets.escape`). Bands, set before the run: exact integers.
"""

import itertools
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments.study import command, toolkit
from experiments.study.claims import Claim, exact_claim
from experiments.study.study import Study
from training import figures

SOURCE = "Auer, Herbster & Warmuth 1995"


class Size(NamedTuple):
    """The sets of examples, and how finely the cost on each is scanned."""

    one: tuple[int, ...]  # n, with one weight
    more: tuple[tuple[int, int], ...]  # n and d, with more
    plane: tuple[int, int]  # the one of these, with two weights, whose cost is drawn
    scan: dict[int, int]  # points along each weight, by the number of weights


FULL = Size((1, 2, 3, 4, 5), ((4, 2), (5, 2), (6, 2), (8, 2), (6, 3)), (6, 2), {1: 10_000, 2: 400, 3: 80})
TINY = FULL._replace(one=(2,), more=((6, 2),), scan={1: 1_000, 2: 100})


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


def scan_axes(data: tuple[np.ndarray, np.ndarray], count: int) -> list[np.ndarray]:
    """The logarithms of each weight that are scanned, so many: the box that holds all minima, and a decade on both
    sides."""
    x_NxD, y_N = data
    axes: list[np.ndarray] = []
    for x_N in x_NxD.T:
        best = np.log10((np.log(y_N / (1 - y_N)) / np.where(x_N > 0, x_N, np.nan))[x_N > 0])
        axes.append(np.linspace(best.min() - 1, best.max() + 1, count) * np.log(10))
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


def minima(cost: Any, data: tuple[np.ndarray, np.ndarray], count: int) -> Minima:
    """All minima of the mean cost, each once, from a scan of so many points along each weight."""
    axes = scan_axes(data, count)
    logs: list[np.ndarray] = []
    costs: list[float] = []
    for index_D in lowest_points(scan(cost, data, axes)):
        start_D = np.array([axis[i] for axis, i in zip(axes, index_D, strict=True)])
        polished_D = nets.escape.polish(cost, start_D, data)
        certificate = nets.escape.is_minimum(cost, polished_D, data)
        if certificate.holds and not any(np.allclose(polished_D, other_D, atol=1e-6) for other_D in logs):
            logs.append(polished_D)
            costs.append(certificate.cost)
    return Minima(np.array(logs).reshape(-1, len(axes)), np.array(costs))


def claims_of(many: dict[tuple[int, int], Minima], one: dict[tuple[int, int], Minima]) -> list[Claim]:
    """How many minima the quadratic cost has on each set, and the count farthest from 1 with the cross-entropy."""
    claims: list[Claim] = []
    for (n, d), found in many.items():
        name = f"quadratic, n = {n}, {d} weight{'s' * (d > 1)}: local minima"
        count = (n // d) ** d
        rival = "one minimum" if count > 1 else ""
        key, band = f"quadratic/n{n}/d{d}", (count, count)
        claims.append(exact_claim(key, name, "oracle", SOURCE, len(found.costs_M), band, published=count, rival=rival))
    counts = [len(found.costs_M) for found in one.values()]
    name = f"cross-entropy, the same {len(counts)} sets of examples: local minima, the farthest from 1"
    farthest = max(counts, key=lambda count: abs(count - 1))
    line = exact_claim(
        "cross_entropy",
        name,
        "oracle",
        SOURCE,
        farthest,
        (1, 1),
        count=len(counts),
        sample="sets of examples",
        published=1,
        rival="as many as with the quadratic cost",
    )
    return [*claims, line]


def draw(size: Size, of_n: dict[int, Minima], one: Minima, plane: Minima) -> Any:
    """The cost's curves with their minima marked, and its map over two weights."""
    figure, (curves, matched, map_) = figures.new_figure(17, 5, 3)
    ln10 = np.log(10)
    for axis, cost, found in ((curves, quadratic, of_n), (matched, cross_entropy, {max(of_n): one})):
        for n, marked in found.items():
            data = examples(n, 1)
            (logs,) = scan_axes(data, size.scan[1])
            (line,) = axis.plot(np.exp(logs), scan(cost, data, [logs]), label=f"n = {n}")
            axis.plot(np.exp(marked.logs_MxD[:, 0]), marked.costs_M, "o", color=line.get_color())
        axis.plot([], [], "o", color="gray", label="minimum")
        axis.set(xscale="log", xlabel="weight w")
        axis.grid(alpha=0.3)
    curves.set(ylabel="mean quadratic cost", title="Quadratic: n examples, n minima")
    curves.set_ylim(0, 1.35 * curves.get_ylim()[1])
    curves.legend(loc="upper center", ncols=3)
    matched.set(yscale="log", ylabel="mean cross-entropy (nats)")
    count = len(one.costs_M)
    matched.set_title(f"Cross-entropy, the same examples: {count} {'minimum' if count == 1 else 'minima'}")
    matched.legend(loc="upper left")
    data = examples(*size.plane)
    first, second = scan_axes(data, size.scan[2])
    costs = scan(quadratic, data, [first, second])
    picture = map_.contourf(first / ln10, second / ln10, costs.T, 30, cmap="viridis")
    map_.plot(*plane.logs_MxD.T / ln10, "o", color="white", markeredgecolor="black")
    map_.set(xlabel="log10 of weight 1", ylabel="log10 of weight 2")
    map_.set_title(f"Quadratic, {size.plane[0]} examples, 2 weights: {len(plane.costs_M)} minima")
    figure.colorbar(picture, ax=map_, label="mean quadratic cost")
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    sets = [*((n, 1) for n in size.one), *size.more]
    find = lambda nd, cost: minima(cost, examples(*nd), size.scan[nd[1]])  # noqa: E731
    # Most of the time is compilation, which needs a core for each thread.
    with toolkit.threads() as pool:
        of_sets = [list(pool.map(partial(find, cost=cost), sets)) for cost in COSTS]
    many, one = (dict(zip(sets, found, strict=True)) for found in of_sets)
    figure = draw(size, {n: many[n, 1] for n in size.one}, one[max(size.one), 1], many[size.plane])
    return figure, claims_of(many, one)


STUDY = Study(
    question="How many minima can the cost of a single neuron have?",
    run=run,
    sizes={"tiny": TINY, "quick": FULL},
)

if __name__ == "__main__":
    command.main(STUDY)
