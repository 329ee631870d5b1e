"""Does SGD on linear regression leave its minimum at a rate that is a power of the loss, and of which one?

    python -m experiments.escape.power_law_escape [--budget=full] [--workdir=runs/power_law_escape]     30 seconds on 2 cores

One weight, inputs x and targets y ~ N(0, 1), cost (u x - y)^2 / 2, batch 1: the mean loss is L = L* (1 + u^2) with
L* = 1/2, n = 1 dimension and Hessian h = E x^2 = 1. Source: Mori, Ziyin, Liu & Ueda, Power-law escape rate of SGD, ICML
2022: stationary density of u ~ L^-phi with phi = 1 + B / (eta h), and first passage of the loss above c L* after
~ c^(B / (eta h) + 1 - n / 2) steps, hence 11 and 10.5 at eta = .1. Both come from a diffusion whose gradient noise has
the variance 2 h L, as if E x^4 were 2; that of Gaussian inputs is 3.

Bands, set before the run: slope +-10 %, phi +-15 %, at eta = .1 and .05, over excess losses c - 1 from eta to 5 eta,
about 2 to 10 times the mean excess: closer, a walker needs no luck. Slope: least squares of ln (mean steps) on ln c at
LEVELS excesses, of walkers that are followed until the last has passed. phi: least squares of the log of the density of
u, in BINS bins of equal width in ln L. Walkers must agree with the exact chain
(`nets.exit_time.mean_steps_of_gaussians`) within 3 %. The bands are older than the range, which was chosen with the
exact chain in view; it matters, as from c = 1.1 to 2 the exact slope is 12.1.

The theory beyond that range is tested at eta = .1 with the same bands:
- From c = 1.5 to 2 the slope is larger: for eta to 0 at fixed c the rate is no power of c at all. The root of
  E exp(p x (y - u x)) = (1 - p^2 + 2 p u)^(-1/2) = 1, p = 2 u, is the slope of the quasi-potential: ln (steps) grows as
  u^2 / eta = (c - 1) / eta, Arrhenius' law, whose local slope is c / eta. It is ln c / eta to first order in c - 1.
  Band of the exact chain at eta = .02: +-10 %.
- For c to infinity it is a power again, by Kesten's theorem: kappa / 2 for the slope and (kappa + 1) / 2 for phi, with
  E |1 - eta x^2|^kappa = 1 (`nets.exit_time.tail_exponent`). Band of the exact chain from c = 4.5 to 6: +-5 %.

Measured (full budget, 10 groups of 20,000 walkers, of 2,000 from c = 1.5; 2026-11-25, 2 cores): 7 of 10. Near the
minimum the theory holds: slope 11.19 (11.14 to 11.23) and phi 10.84 (10.82 to 10.90) at eta = .1, 21.41 and 21.17 at
.05; the farthest of 20 mean passage times is .9 % from the exact chain. Independent runs at eta = .1 gave 10.96, and
9.86 against 11.04, over ranges that are not on record: the exact local slope is 10.9 to 11.2 for c from 1.15 to 1.4,
the exact local phi 9.8 at c = 1.15. Beyond, it does not: 12.93 (12.84 to 13.01) from c = 1.5 to 2, where the exact
chain has 12.91; kappa = 17.28 in place of 21, so 8.64 and 9.14 for c to infinity; from c = 4.5 to 6 the exact chain's
slope is .958 of Kesten's. A diffusion with E x^4 = 3 overshoots, with kappa = 1 + 1 / eta = 11.
"""

import time
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments import studies
from training import figures

RATES = (0.1, 0.05)
LEVELS, BINS, GROUPS, CELLS = 9, 20, 10, 200
# Walkers that are followed, near the minimum and farther out; walkers whose places are counted, and how often.
WALKERS, FAR_WALKERS = {"quick": 40_000, "full": 200_000}, {"quick": 4_000, "full": 20_000}
CROWD, ROUNDS = 20_000, {"quick": 200, "full": 1_000}
FAR, FARTHER = (1.5, 2.0), (4.5, 6.0)
SMALL_RATE, SMALL_RANGE = 0.02, (1.1, 1.3)
# How far the exact slope is drawn: mean steps of more than 1e11 are beyond float64.
DRAWN, DRAWN_TO = 20, {0.1: 6.0, 0.05: 2.3, 0.02: 1.4}
SOURCE = "Mori et al. 2022"


def cost(u: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """The quadratic cost of one example."""
    return (u * x - y) ** 2 / 2


def sgd_step(u_W: jax.Array, learning_rate: jax.Array, key: jax.Array) -> jax.Array:
    """A step of SGD on a fresh example for every walker."""
    x_W, y_W = jax.random.normal(key, (2, len(u_W)))
    return u_W - learning_rate * jax.vmap(jax.grad(cost))(u_W, x_W, y_W)


def levels(learning_rate: float) -> np.ndarray:
    """The c of the losses c L* whose first passage is measured, [K]."""
    return 1 + learning_rate * np.geomspace(1, 5, LEVELS)


def bin_edges(learning_rate: float) -> np.ndarray:
    """The c between which places are counted, equally far apart in ln c, [BINS + 1]."""
    return np.geomspace(1 + learning_rate, 1 + 5 * learning_rate, BINS + 1)


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """The slope of y on x by least squares."""
    return float(np.polyfit(x, y, 1)[0])


def exact_steps(learning_rate: float, c_K: Iterable[float]) -> np.ndarray:
    """The mean steps of the exact chain until the loss is above c L*, [K]."""
    return np.array([nets.exit_time.mean_steps_of_gaussians(learning_rate, 1, (c - 1) ** 0.5, CELLS) for c in c_K])


def passage_steps(learning_rate: float, c_K: np.ndarray, walkers: int, seed: int) -> np.ndarray:
    """The mean steps until the loss is first above c L*, of GROUPS groups of walkers, [GROUPS, K]."""
    radii_K = np.sqrt(c_K - 1)
    steps_KxW = nets.exit_time.first_exits(sgd_step, np.float32(learning_rate), radii_K, walkers, jax.random.key(seed))
    return steps_KxW.reshape(len(c_K), GROUPS, -1).mean(axis=2).T


@partial(jax.jit, static_argnames="rounds")
def counts(learning_rate: jax.Array, edges: jax.Array, key: jax.Array, rounds: int) -> jax.Array:
    """How many of CROWD walkers have c = 1 + u^2 in each bin, once in 1 / eta steps, [rounds, BINS].

    They start at 0 and relax for ten times 1 / eta steps before they are counted.
    """
    steps = jnp.round(1 / learning_rate).astype(jnp.int32)

    def one_round(u_W: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        step = lambda i, u_W: sgd_step(u_W, learning_rate, jax.random.fold_in(key, i))  # noqa: E731
        u_W = jax.lax.fori_loop(0, steps, step, u_W)
        return u_W, jnp.diff(jnp.sum(1 + u_W[:, None] ** 2 < edges[None, :], axis=0))

    keys = jax.random.split(key, 10 + rounds)
    return jax.lax.scan(one_round, jnp.zeros(CROWD), keys)[1][10:]


def density(learning_rate: float, rounds: int, seed: int) -> np.ndarray:
    """The stationary density of |u| in each bin, of GROUPS groups of rounds, [GROUPS, BINS]."""
    edges = bin_edges(learning_rate)
    counted = np.asarray(counts(jnp.float32(learning_rate), jnp.float32(edges), jax.random.key(seed), rounds))
    share = counted.reshape(GROUPS, -1, BINS).mean(axis=1) / CROWD
    return share / np.diff(np.sqrt(edges - 1))


def phi(learning_rate: float, density_K: np.ndarray) -> float:
    """The exponent of the density in the loss."""
    edges = bin_edges(learning_rate)
    return -slope(np.log(edges[1:] * edges[:-1]) / 2, np.log(density_K))


class Measured(NamedTuple):
    """What the walkers of one learning rate do near the minimum, group by group: mean steps, density; exact steps."""

    learning_rate: float
    steps_GxK: np.ndarray
    density_GxK: np.ndarray
    exact_K: np.ndarray


def measure(learning_rate: float, budget: str, seed: int) -> Measured:
    """Both experiments, and the exact chain."""
    c_K = levels(learning_rate)
    return Measured(
        learning_rate,
        passage_steps(learning_rate, c_K, WALKERS[budget], seed),
        density(learning_rate, ROUNDS[budget], seed + 1),
        exact_steps(learning_rate, c_K),
    )


def near_claims(m: Measured) -> list[dict[str, Any]]:
    """Slope and phi near the minimum."""
    eta, log_c = m.learning_rate, np.log(levels(m.learning_rate))
    slopes_G = np.array([slope(log_c, np.log(steps_K)) for steps_K in m.steps_GxK])
    phis_G = np.array([phi(eta, density_K) for density_K in m.density_GxK])
    rows = [
        ("slope of first passage", 1 / eta + 0.5, slopes_G, slope(log_c, np.log(m.steps_GxK.mean(axis=0))), 0.1),
        ("phi of the density", 1 / eta + 1, phis_G, phi(eta, m.density_GxK.mean(axis=0)), 0.15),
    ]
    where = f"eta = {eta:g}, c from {1 + eta:g} to {1 + 5 * eta:g}"
    return [
        studies.claim(f"{name}, {where}", p, SOURCE, values_G, value, (p * (1 - within), p * (1 + within)))
        for name, p, values_G, value, within in rows
    ]


def one_claim(name: str, published: float, source: str, value: float, within: float) -> dict[str, Any]:
    """A number that has no spread, within that share of the published one."""
    return studies.claim(
        name, published, source, np.array([value]), value, (published * (1 - within), published * (1 + within))
    )


def far_claims(steps_GxK: np.ndarray) -> list[dict[str, Any]]:
    """The walkers' slope beyond the range of the theory, and what holds there."""
    eta, log_c = RATES[0], np.log(FAR)
    theory = 1 / eta + 0.5
    far_G = np.array([slope(log_c, np.log(steps_K)) for steps_K in steps_GxK])
    far = slope(log_c, np.log(steps_GxK.mean(axis=0)))
    exact = slope(log_c, np.log(exact_steps(eta, FAR)))
    note = (
        f"the exact chain has {exact:.2f} here; as eta falls at fixed c, the steps grow as exp((c - 1) / eta), "
        "Arrhenius' law, of which the power law is the first order in c - 1."
    )
    name = f"slope of first passage, eta = {eta:g}, c from {FAR[0]:g} to {FAR[1]:g}"
    small = SMALL_RATE * slope(np.array(SMALL_RANGE), np.log(exact_steps(SMALL_RATE, SMALL_RANGE)))
    arrhenius = f"exact eta d ln(steps) / dc, eta = {SMALL_RATE:g}, c from {SMALL_RANGE[0]:g} to {SMALL_RANGE[1]:g}"
    return [
        studies.claim(name, theory, SOURCE, far_G, far, (0.9 * theory, 1.1 * theory)) | {"note": note},
        one_claim(arrhenius, 1.0, "quasi-potential of Gaussian examples", small, 0.1),
    ]


def tail_claims() -> list[dict[str, Any]]:
    """The theory's exponents against Kesten's, and the exact chain against Kesten's."""
    eta = RATES[0]
    theory, kappa = 1 / eta + 0.5, nets.exit_time.tail_exponent(eta, 1)
    note = {
        "note": f"kappa = {kappa:.2f}, where the theory has 1 + 2 / eta = {2 * theory:g}, from a diffusion with noise "
        f"as if E x^4 = 2; with the 3 of Gaussian inputs a diffusion would have 1 + 1 / eta = {1 + 1 / eta:g}, but the "
        f"tail is made by the rare inputs with x^2 > 2 / eta = {2 / eta:g} that throw u outwards, and no diffusion has "
        "those."
    }
    exact = slope(np.log(FARTHER), np.log(exact_steps(eta, FARTHER)))
    name = f"exact slope, eta = {eta:g}, c from {FARTHER[0]:g} to {FARTHER[1]:g}, by kappa / 2"
    where = f"eta = {eta:g}, c to infinity"
    return [
        one_claim(f"slope of first passage, {where}: kappa / 2", theory, SOURCE, kappa / 2, 0.1) | note,
        one_claim(f"phi of the density, {where}: (kappa + 1) / 2", theory + 0.5, SOURCE, (kappa + 1) / 2, 0.15) | note,
        one_claim(name, 1.0, "Kesten 1973", 2 * exact / kappa, 0.05),
    ]


def claims_of(measured: list[Measured], far_GxK: np.ndarray) -> list[dict[str, Any]]:
    """Near the minimum, the walkers against the exact chain, and beyond."""
    near = [line for m in measured for line in near_claims(m)]
    far = far_GxK.mean(axis=0) / exact_steps(RATES[0], FAR)
    ratios = np.concatenate([*(m.steps_GxK.mean(axis=0) / m.exact_K for m in measured), far])
    farthest = ratios[np.argmax(np.abs(ratios - 1))]
    name = f"mean steps of walkers by the exact ones, the farthest of {len(ratios)} levels"
    return [
        *near,
        studies.claim(name, 1.0, "exact chain, in float64", ratios, farthest, (0.97, 1.03)),
        *far_claims(far_GxK),
        *tail_claims(),
    ]


def study(budget: str) -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    measured = []
    for i, learning_rate in enumerate(RATES):
        start = time.perf_counter()
        measured.append(measure(learning_rate, budget, 2 * i))
        print(f"eta = {learning_rate:g}: {WALKERS[budget]:,} walkers, {time.perf_counter() - start:.0f} s", flush=True)
    start = time.perf_counter()
    far_GxK = passage_steps(RATES[0], np.array(FAR), FAR_WALKERS[budget], 2 * len(RATES))
    print(f"farther: {FAR_WALKERS[budget]:,} walkers, {time.perf_counter() - start:.0f} s", flush=True)
    claims = claims_of(measured, far_GxK)
    return draw(measured, far_GxK, claims), claims


def draw(measured: list[Measured], far_GxK: np.ndarray, claims: list[dict[str, Any]]):
    """The density, the first passage, and how the exact slope compares with the theory's."""
    figure, axes = figures.new_figure(17, 5.2, 3)
    draw_density(axes[0], measured[0], claims[1])
    draw_passage(axes[1], measured[0], far_GxK, claims[0])
    draw_slopes(axes[2])
    for axis in axes:
        ticks = [c for c in (1, 1.5, 2, 3, 4, 6) if c <= axis.get_xlim()[1]]
        axis.set_xticks(ticks, labels=[f"{c:g}" for c in ticks])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend(fontsize=9)
    return figure


def draw_density(axis, m: Measured, claim: dict[str, Any]) -> None:
    """The stationary density of the first learning rate."""
    eta, edges = m.learning_rate, bin_edges(m.learning_rate)
    u_N, exact_N = nets.exit_time.stationary_density_of_gaussians(eta, 1, 4.5**0.5, CELLS)
    c_N = 1 + u_N**2
    shown = c_N < 3
    middle = np.sqrt(edges[1:] * edges[:-1])
    start = np.interp(middle[0], c_N, exact_N)
    axis.plot(c_N[shown], exact_N[shown], color="tab:blue", label="exact chain")
    axis.plot(
        c_N[shown],
        start * (c_N[shown] / middle[0]) ** -claim["published"],
        "k--",
        label=f"theory, phi = {claim['published']:g}",
    )
    axis.plot(
        middle,
        m.density_GxK.mean(axis=0),
        "o",
        color="tab:orange",
        markersize=4,
        label=f"SGD, phi = {claim['measured']:.2f}",
    )
    axis.axvspan(edges[0], edges[-1], color="tab:green", alpha=0.12, label="range of the fit")
    axis.set(xscale="log", yscale="log", xlabel="loss / L*", ylabel="stationary density of |u|")
    axis.set_title(f"eta = {eta:g}: near the minimum the density falls\nas the theory says, then faster")


def draw_passage(axis, m: Measured, far_GxK: np.ndarray, claim: dict[str, Any]) -> None:
    """First passage at the first learning rate."""
    eta, c_K = m.learning_rate, levels(m.learning_rate)
    c = np.geomspace(c_K[0], FARTHER[1], DRAWN)
    axis.plot(c, exact_steps(eta, c), color="tab:blue", label="exact chain")
    axis.plot(
        c, m.exact_K[0] * (c / c_K[0]) ** claim["published"], "k--", label=f"theory, slope {claim['published']:g}"
    )
    kappa = nets.exit_time.tail_exponent(eta, 1)
    last = exact_steps(eta, FARTHER[1:])[0]
    tail = c[c > 2.2]
    axis.plot(
        tail,
        last * (tail / FARTHER[1]) ** (kappa / 2),
        ":",
        color="tab:red",
        linewidth=3,
        label=f"Kesten, slope {kappa / 2:.2f}",
    )
    label = f"SGD, slope {claim['measured']:.2f} in the range"
    axis.plot(
        [*c_K, *FAR],
        [*m.steps_GxK.mean(axis=0), *far_GxK.mean(axis=0)],
        "o",
        color="tab:orange",
        markersize=4,
        label=label,
    )
    axis.axvspan(c_K[0], c_K[-1], color="tab:green", alpha=0.12, label="range of the fit")
    axis.set(xscale="log", yscale="log", xlabel="c = loss / L* to be passed", ylabel="mean steps to the first passage")
    axis.set_title(f"eta = {eta:g}: the first passage time is no power of c\nbetween the theory's range and Kesten's")


def draw_slopes(axis) -> None:
    """The exact local slope by the theory's, for several learning rates."""
    for learning_rate, top in DRAWN_TO.items():
        c = np.geomspace(1 + learning_rate, top, DRAWN)
        local = np.diff(np.log(exact_steps(learning_rate, c))) / np.diff(np.log(c))
        label = f"exact chain, eta = {learning_rate:g}"
        axis.plot(np.sqrt(c[1:] * c[:-1]), local / (1 / learning_rate + 0.5), label=label)
    c = np.array([1.0, 2.0])
    axis.plot(c, c, color="gray", linestyle="-.", label="Arrhenius, eta to 0: c")
    axis.axhline(1, color="black", linestyle="--", label="theory")
    eta = RATES[0]
    tail = nets.exit_time.tail_exponent(eta, 1) / 2 / (1 / eta + 0.5)
    label = f"Kesten, eta = {eta:g}, c to infinity"
    axis.axhline(tail, color="tab:red", linestyle=":", linewidth=3, label=label)
    axis.set(xscale="log", xlabel="c = loss / L*", ylabel="local slope / theory's slope", ylim=(0.7, 1.8))
    axis.set_title("The slope is the theory's near the minimum,\nthen rises with c, then falls to Kesten's")


if __name__ == "__main__":
    studies.main(study)
