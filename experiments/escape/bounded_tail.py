"""Does a gradient that saturates in the residual take away the heavy tail of SGD?

    python -m experiments.escape.bounded_tail [--budget=full]      1.5 minutes on 2 cores

One weight, inputs x and targets y ~ N(0, 1), batch 1, learning rate .1, as in `power_law_escape`, with three costs of
the residual r = u x - y: the quadratic one; Huber's with threshold 1; ln cosh r, whose slope is tanh r. First passage
is that of the mean loss above c L*, each cost by its own loss L and its own minimum L*, from u = 0. The local exponent
is d ln (mean steps) / d ln c, here over one doubling of c after another, from 1.5 on: for the quadratic cost to 96, and
to 12 for the others, beyond which the mean steps near e^1000.

Kesten's theorem gives the quadratic cost a power law for c to infinity, kappa / 2 with E |1 - eta x^2|^kappa = 1
(`nets.exit_time.tail_exponent`), since its steps grow with the distance. A bounded slope has steps that do not. Far
out, a step leads outwards only if |y| > |u x|, hence by about eta / u; the Laplace exponent theta(u) of the steps, E
exp(theta (u' - u)) = 1, grows faster than u (`nets.residual_passage.laplace_exponent`), and as the steps are small
beside the distance over which theta changes, d ln (mean steps) / du is theta. The mean loss grows as |u|, so that the
local exponent grows at least as c^2: by 4 at a doubling, once c is large, and at c = 1.5 by less. In the quadratic
cost's own measure, 1 + u^2, that is at least 2.

Bands. Set before anything was computed: walkers agree within 3 % with the exact mean steps, where these are 100, 1,000
and 5,000 (full: 10,000), and half as many nodes change no exponent and no mean that is compared by 1 %. The others were
set with numbers of a prototype in view, so that these lines are exploratory; they are exact, and no fresh seeds confirm
them. The quadratic cost's exponent over the last doubling is within 5 % of kappa / 2, and within 5 % of that over the
doubling before; a diffusion has 10.5 (Mori et al. 2022) or 5.5 (with the inputs' true noise). For the bounded ones the
least growth of the exponent from one doubling to the next is 1.5 or more, and 1.25 or more where each doubles 1 + u^2;
the rival is the same tail, 1. Over their last doubling ln (mean steps) rises by the integral of theta within 5 %; a
diffusion, 2 m / v with the true drift m and variance v, and the quadratic cost's power law have another.

Afterwards the quadratic cost was followed to c = 6,144, as its exponent had been seen to swing about its limit.

The exact mean steps come of an elimination that subtracts nothing (`nets.residual_passage.log_mean_steps`), as most are
far beyond what float64 tells from an infinity when a linear system is solved.
"""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import nets
from experiments.study import command, toolkit
from experiments.study.claims import Claim, Words, against, by_key, exact_claim, interval_claim
from experiments.study.study import Study
from training import figures

LEARNING_RATE, FIRST, KESTEN = 0.1, 1.5, "Kesten 1973, recalled; root of E |1 - eta x^2|^kappa = 1"
COSTS = ("quadratic", "huber", "log_cosh")
TITLES = {"quadratic": "the quadratic cost", "huber": "Huber's cost", "log_cosh": "ln cosh (slope tanh)"}
RIVALS = {"quadratic": "huber", "huber": "quadratic", "log_cosh": "quadratic"}
# What diffusions have for the local exponent: Mori et al.'s, and one with the inputs' true noise.
DIFFUSIONS = 10.5, 5.5
SEEN = "its band was set with numbers of a prototype in view"
# As optax has them, so that the walkers' gradients are those of other people's costs.
WALKED = {"quadratic": optax.l2_loss, "huber": optax.huber_loss, "log_cosh": optax.log_cosh}
# Places of the integral of an exponent.
PLACES = 40


class Size(NamedTuple):
    """How far, how finely, and where walkers walk."""

    doublings: dict[str, int]  # of c, by cost
    farther: int  # doublings of c beyond those, of the quadratic cost
    nodes: int
    walkers: int
    means: tuple[float, ...]  # exact mean steps at the levels that walkers pass
    radius: float  # within which these levels lie


QUICK = Size({"quadratic": 6, "huber": 3, "log_cosh": 3}, 6, 500, 40_000, (100.0, 1_000.0, 5_000.0), 1.3)
FULL = QUICK._replace(nodes=800, walkers=100_000, means=(100.0, 1_000.0, 10_000.0))
TINY = Size({"quadratic": 2, "huber": 2, "log_cosh": 2}, 1, 60, 300, (10.0, 30.0), 1.0)


@cache
def sgd_step(cost: str) -> nets.exit_time.Step:
    """A step of SGD under that cost on a fresh example for every walker."""

    def example_cost(u: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        return WALKED[cost](u * x, y)

    def step(u_W: jax.Array, learning_rate: jax.Array, key: jax.Array) -> jax.Array:
        x_W, y_W = jax.random.normal(key, (2, len(u_W)))
        return u_W - learning_rate * jax.vmap(jax.grad(example_cost))(u_W, x_W, y_W)

    return step


class Far(NamedTuple):
    """The exact mean steps of a cost: at the places of the grid, and at each doubling of c and of 1 + u^2."""

    cost: str
    u_N: np.ndarray
    log_N: np.ndarray

    def at(self, u_M: np.ndarray) -> np.ndarray:
        """ln (mean steps) at those places."""
        return np.interp(u_M, self.u_N, self.log_N)

    def exponents(self, u_M: np.ndarray) -> np.ndarray:
        """The local exponents between places that double a measure of loss, [M - 1]."""
        return np.diff(self.at(u_M)) / np.log(2)


@cache
def places(cost: str, doublings: int) -> np.ndarray:
    """The u at which the loss is FIRST, 2 FIRST, ... times that of the minimum, [1 + doublings]."""
    return np.array([nets.residual_passage.radius_of_loss(cost, FIRST * 2**k) for k in range(1 + doublings)])


def squares(last: float) -> np.ndarray:
    """The u up to the last one at which 1 + u^2 is FIRST, 2 FIRST, ..."""
    count = int(np.log2((1 + last**2) / FIRST) + 1e-9)
    return np.sqrt(FIRST * 2.0 ** np.arange(count + 1) - 1)


def far(cost: str, size: Size, nodes: int) -> Far:
    """The exact mean steps as far out as the doublings go."""
    doublings = size.doublings[cost] + (size.farther if cost == "quadratic" else 0)
    radius = float(places(cost, doublings)[-1])
    return Far(cost, *nets.residual_passage.log_mean_steps(cost, LEARNING_RATE, radius, nodes))


class Near(NamedTuple):
    """The levels of a cost that walkers pass: places, exact mean steps, those of half as many nodes, and walkers'."""

    cost: str
    u_K: np.ndarray
    exact_K: np.ndarray
    coarse_K: np.ndarray
    rival_K: np.ndarray  # the exact mean steps of another cost to the same places
    steps_KxW: np.ndarray


def near(cost: str, size: Size, seed: int) -> Near:
    """Walkers to the levels whose exact mean steps are given."""
    given = (cost, size.nodes), (cost, size.nodes // 2), (RIVALS[cost], size.nodes // 2)
    fine, coarse, other = (
        Far(c, *nets.residual_passage.log_mean_steps(c, LEARNING_RATE, size.radius, n)) for c, n in given
    )
    u_K = np.interp(np.log(size.means), fine.log_N, fine.u_N)
    key, rate = jax.random.key(seed), np.float32(LEARNING_RATE)
    steps_KxW = nets.exit_time.first_exits(sgd_step(cost), rate, u_K, size.walkers, key)
    exact_K, coarse_K, rival_K = (np.exp(f.at(u_K)) for f in (fine, coarse, other))
    return Near(cost, u_K, exact_K, coarse_K, rival_K, steps_KxW)


def mean_over(exponent: Any, cost: str, low: float, high: float) -> float:
    """The mean of an exponent in u between two places."""
    return float(
        np.mean([exponent(cost, LEARNING_RATE, u) for u in low + (high - low) * (np.arange(PLACES) + 0.5) / PLACES])
    )


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def tail_claims(f: Far, doublings: int) -> list[Claim]:
    """The quadratic cost: Kesten's exponent, and no growth."""
    exponents, kappa = f.exponents(places(f.cost, doublings)), nets.exit_time.tail_exponent(LEARNING_RATE, 1)
    ends = f"c from {FIRST * 2 ** (doublings - 1):g} to {FIRST * 2**doublings:g}"
    note = f"exponents over the doublings of c: {listed(exponents)}; kappa / 2 = {kappa / 2:.3f}"
    name = f"the quadratic cost, exact local exponent, {ends}, by kappa / 2"
    value, band = 2 * exponents[-1] / kappa, (0.95, 1.05)
    words = diffusions(kappa) | Words(exploratory=SEEN, note=note)
    first = exact_claim("quadratic/exponent", name, "oracle", KESTEN, value, band, published=1.0, **words)
    name = f"the quadratic cost, exact local exponent, {ends}, by that of the doubling before"
    value = exponents[-1] / exponents[-2]
    words = {"rival": "growth as of a bounded gradient: 1.5 or more", "rival_at": 1.5, "exploratory": SEEN}
    return [first, exact_claim("quadratic/stays", name, "oracle", KESTEN, value, band, published=1.0, **words)]


def diffusions(kappa: float) -> Words:
    """What diffusions have by kappa / 2."""
    mori, true_noise = (2 * exponent / kappa for exponent in DIFFUSIONS)
    words = f"diffusions: {mori:.2f} (Mori's, 10.5) and {true_noise:.2f} (the inputs' true noise, 5.5)"
    return {"rival": words, "rival_at": (mori, true_noise)}


def farther_claim(f: Far, size: Size) -> Claim:
    """The quadratic cost beyond: its exponent swings about Kesten's, and ever less."""
    first, doublings = size.doublings["quadratic"], size.doublings["quadratic"] + size.farther
    kappa = nets.exit_time.tail_exponent(LEARNING_RATE, 1)
    ratios = 2 * f.exponents(places(f.cost, doublings))[first:] / kappa
    ends = f"c from {FIRST * 2**first:,g} to {FIRST * 2**doublings:,g}"
    words = diffusions(kappa) | Words(
        exploratory="added after the exponent was seen to swing about its limit up to c = 96",
        note=f"by kappa / 2: {', '.join(f'{ratio:.3f}' for ratio in ratios)}",
    )
    return exact_claim(
        "quadratic/farther",
        f"the quadratic cost, {ends}, exact exponent of a doubling that is farthest from kappa / 2, by it",
        "oracle",
        KESTEN,
        float(ratios[np.argmax(np.abs(ratios - 1))]),
        (0.95, 1.05),
        count=len(ratios),
        sample="doublings",
        published=1.0,
        **words,
    )


def listed(values: np.ndarray) -> str:
    """Numbers for a note."""
    return ", ".join(f"{value:,.1f}" for value in values)


def growth_claims(f: Far, doublings: int) -> list[Claim]:
    """A bounded gradient: the exponent grows from each doubling to the next, of its own loss and of 1 + u^2."""
    u_M, claims = places(f.cost, doublings), list[Claim]()
    kinds = {"loss": (u_M, "c", 1.5), "square": (squares(u_M[-1]), "1 + u^2", 1.25)}
    for key, (of_M, measure, least) in kinds.items():
        exponents = f.exponents(of_M)
        growth = exponents[1:] / exponents[:-1]
        end = FIRST * 2 ** (len(of_M) - 1)
        name = f"{TITLES[f.cost]}, least growth of its exponent at a doubling of {measure}, 1.5 to {end:g}"
        claims.append(
            exact_claim(
                f"{f.cost}/rises/{key}",
                name,
                "oracle",
                "integral equation, in float64",
                float(growth.min()),
                (least, None),
                count=len(growth),
                sample="doublings",
                rival="the same tail: 1",
                rival_at=1.0,
                exploratory=SEEN,
                note=f"exponents: {listed(exponents)}; ln (mean steps) at the ends: {listed(f.at(of_M))}",
            )
        )
    return claims


def laplace_claim(f: Far, doublings: int) -> Claim:
    """A bounded gradient: the Laplace exponent of the far steps gives the rise of ln (mean steps)."""
    low, high = places(f.cost, doublings)[-2:]
    rise = float(np.diff(f.at(np.array([low, high])))[0]) / (high - low)
    theta = mean_over(nets.residual_passage.laplace_exponent, f.cost, low, high)
    diffusion = mean_over(nets.residual_passage.diffusion_exponent, f.cost, low, high)
    power = nets.exit_time.tail_exponent(LEARNING_RATE, 1) * np.log((1 + high**2) / (1 + low**2)) / 2 / (high - low)
    note = (
        f"per unit of u between u = {low:.2f} and {high:.2f}: exact {rise:.1f}, Laplace exponent {theta:.1f}, "
        f"diffusion {diffusion:.1f}, the quadratic cost's power law {power:.1f}"
    )
    rival = f"a diffusion: {diffusion / theta:.2f}, and the quadratic cost's power law: {power / theta:.2f}"
    claim = exact_claim(
        f"{f.cost}/laplace",
        f"{TITLES[f.cost]}, rise of ln (mean steps) over the last doubling of c, by Laplace exponent",
        "oracle",
        "Laplace exponent of the steps",
        rise / theta,
        (0.95, 1.05),
        published=1.0,
        exploratory=SEEN,
        note=note,
    )
    return against(claim, rival, (diffusion / theta, power / theta))


def walkers_claim(n: Near) -> Claim:
    """The level at which the walkers of a cost are farthest from the exact mean steps."""
    ratios = n.steps_KxW.mean(axis=1) / n.exact_K
    errors = n.steps_KxW.std(axis=1, ddof=1) / n.steps_KxW.shape[1] ** 0.5 / n.exact_K
    value, within = toolkit.farthest(ratios, errors)
    rival = float(n.rival_K[-1] / n.exact_K[-1])
    claim = interval_claim(
        f"{n.cost}/walkers",
        f"{TITLES[n.cost]}, mean steps of walkers by the exact ones, farthest level",
        "oracle",
        "integral equation, in float64",
        value,
        within,
        (0.97, 1.03),
        count=n.steps_KxW.shape[1],
        sample=f"walkers to each of {len(ratios)} levels",
        published=1.0,
        values=ratios,
        note=f"|u| = {', '.join(f'{u:.3f}' for u in n.u_K)}, exact mean steps {listed(n.exact_K)}",
    )
    return against(claim, f"the exact steps of {TITLES[RIVALS[n.cost]]} to the last level: {rival:.2f}", rival)


def grid_claim(fine: list[Far], coarse: list[Far], levels: list[Near], size: Size) -> Claim:
    """What half as many nodes change."""
    changes = [np.abs(n.coarse_K / n.exact_K - 1) for n in levels]
    for f, c in zip(fine, coarse, strict=True):
        u_M = places(f.cost, size.doublings[f.cost])
        changes += [np.abs(c.exponents(of_M) / f.exponents(of_M) - 1) for of_M in (u_M, squares(u_M[-1]))]
    found = np.concatenate(changes)
    return exact_claim(
        "grid",
        f"largest change of an exponent or a mean by half of the {size.nodes} nodes",
        "ours",
        "integral equation, in float64",
        float(found.max()),
        (0.0, 0.01),
        count=len(found),
        sample="exponents and means",
    )


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims; as much at once as there are cores, as walkers and eliminations are one thread's."""
    with toolkit.threads() as pool:
        walks = [pool.submit(near, cost, size, seed) for seed, cost in enumerate(COSTS)]
        fars = [[pool.submit(far, cost, size, nodes) for cost in COSTS] for nodes in (size.nodes, size.nodes // 2)]
        fine, coarse = ([job.result() for job in jobs] for jobs in fars)
        levels = [walk.result() for walk in walks]
    claims = [*tail_claims(fine[0], size.doublings["quadratic"]), farther_claim(fine[0], size)]
    for f in fine[1:]:
        claims += [*growth_claims(f, size.doublings[f.cost]), laplace_claim(f, size.doublings[f.cost])]
    claims += [*map(walkers_claim, levels), grid_claim(fine, coarse, levels, size)]
    return draw(fine, levels, claims), claims


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def draw(fine: list[Far], levels: list[Near], claims: list[Claim]) -> Any:
    """Mean steps and local exponents against the loss, and the rise with u against the theories."""
    figure, axes = figures.new_figure(17, 5.2, 3)
    for i, (f, n) in enumerate(zip(fine, levels, strict=True)):
        draw_cost(axes[0], axes[1], f, n, f"C{i}")
    half_kappa = nets.exit_time.tail_exponent(LEARNING_RATE, 1) / 2
    axes[1].axhline(half_kappa, color="black", linestyle=":", label=f"Kesten, {half_kappa:.2f}")
    axes[0].set(
        xscale="log", xlabel="c = loss / L* to be passed", ylabel="log10 of the mean steps to the first passage"
    )
    axes[0].set_yscale("log")
    axes[0].set_title("A bounded gradient keeps SGD in")
    axes[1].set(xscale="log", yscale="log", xlabel="c = loss / L*", ylabel="local exponent, d ln (mean steps) / d ln c")
    by = by_key(claims)
    axes[1].set_title(f"The tail stays ({by['quadratic/exponent'].measured:.2f} kappa / 2), or is gone")
    for axis in axes[:2]:
        ticks = [c for c in (1, 1.5, 3, 6, 12, 48, 192, 768, 3072) if c <= 1.1 * axis.get_xlim()[1]]
        axis.set_xticks(ticks, labels=[f"{c:g}" for c in ticks])
        axis.minorticks_off()
    for i, f in enumerate(fine[1:], 1):
        draw_theories(axes[2], f, f"C{i}")
    axes[2].set(xlabel="u", ylabel="d ln (mean steps) / du")
    axes[2].set_title("Far steps are no diffusion: their Laplace exponent rules")
    for axis in axes:
        axis.grid(alpha=0.3)
        toolkit.legend_below(axis)
    return figure


def draw_cost(passage: Any, exponent: Any, f: Far, n: Near, color: str) -> None:
    """A cost's mean steps, the walkers' and the exact ones, and its local exponent."""
    u_M = np.geomspace(max(0.3, f.u_N[0]), f.u_N[-1], 60)
    c_M, log_M = nets.residual_passage.relative_loss(f.cost, u_M), f.at(u_M)
    passage.plot(c_M, log_M / np.log(10), color=color, label=f"{TITLES[f.cost]}, exact")
    c_K = nets.residual_passage.relative_loss(f.cost, n.u_K)
    passage.plot(c_K, np.log10(n.steps_KxW.mean(axis=1)), "o", color=color, markersize=5, label="walkers")
    local_M = np.diff(log_M) / np.diff(np.log(c_M))
    exponent.plot(np.sqrt(c_M[1:] * c_M[:-1]), local_M, color=color, label=TITLES[f.cost])


def draw_theories(axis: Any, f: Far, color: str) -> None:
    """The rise of a bounded cost's ln (mean steps) with u: exact, by the Laplace exponent, by a diffusion."""
    u_M = np.linspace(0.5, f.u_N[-1], 25)
    middle_M, rise_M = (u_M[1:] + u_M[:-1]) / 2, np.diff(f.at(u_M)) / np.diff(u_M)
    axis.plot(middle_M, rise_M, "o", color=color, markersize=4, label=f"{TITLES[f.cost]}, exact")
    theories = {
        "Laplace exponent": ("-", nets.residual_passage.laplace_exponent),
        "diffusion": (":", nets.residual_passage.diffusion_exponent),
    }
    for name, (style, theory) in theories.items():
        axis.plot(u_M, [theory(f.cost, LEARNING_RATE, u) for u in u_M], style, color=color, label=name)


STUDY = Study(
    question="Does a gradient that saturates in the residual take away the heavy tail of SGD?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
)

if __name__ == "__main__":
    command.main(STUDY)
