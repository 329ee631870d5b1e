"""Does SGD on linear regression leave its minimum at a rate that is a power of the loss, and of which one?

    python -m experiments.escape.power_law_escape [--budget=full]      30 seconds on 2 cores

One weight, inputs x and targets y ~ N(0, 1), cost (u x - y)^2 / 2, batch 1: the mean loss is L = L* (1 + u^2) with
L* = 1/2, n = 1 dimension and Hessian h = E x^2 = 1. Source: Mori, Ziyin, Liu & Ueda, Power-law escape rate of SGD, ICML
2022: stationary density of u ~ L^-phi with phi = 1 + B / (eta h), and first passage of the loss above c L* after
~ c^(B / (eta h) + 1 - n / 2) steps, hence 11 and 10.5 at eta = .1. Both come from a diffusion whose gradient noise has
the variance 2 h L, as if E x^4 were 2; that of Gaussian inputs is 3.

Near the minimum, at eta = .1 and .05 over excess losses c - 1 from eta to 5 eta, about 2 to 10 times the mean: the
slope, by least squares of ln (mean steps) on ln c at 9 excesses, of walkers that are followed until the last has
passed; and phi, of the log of the density of u in 20 bins of equal width in ln L. The first bands, 10 and 15 %, held
some of the rivals: other diffusions (`nets.exit_time.mean_steps_of_diffusion`), with the inputs' true noise 1 + 2 u^2
and with constant noise, Arrhenius' law. They are narrowed to what excludes both: 10 % at eta = .1, 5 and 6 % at .05.
The range was chosen with the exact chain in view, and matters: from c = 1.1 to 2 the exact slope is 12.1. So these
lines are exploratory. Walkers must agree with the exact chain (`mean_steps_of_gaussians`) within 3 %.

From c = 1.5 to 2 at eta = .1 the three diffusions and the exact chain are far apart, and there all four are judged,
each by a band of 5 % about its own slope, chosen with the walkers' slope, 13.0, known: exploratory lines.

The theory beyond that range is tested at eta = .1, 10 % about its printed slope (15 % of phi):
- From c = 1.5 to 2 the slope is larger: for eta to 0 at fixed c the rate is no power of c at all. The root of
  E exp(p x (y - u x)) = (1 - p^2 + 2 p u)^(-1/2) = 1, p = 2 u, is the slope of the quasi-potential: ln (steps) grows as
  u^2 / eta = (c - 1) / eta, Arrhenius' law, whose local slope is c / eta. It is ln c / eta to first order in c - 1.
  Band of the exact chain at eta = .02: +-10 %.
- For c to infinity it is a power again, by Kesten's theorem: kappa / 2 for the slope and (kappa + 1) / 2 for phi, with
  E |1 - eta x^2|^kappa = 1 (`nets.exit_time.tail_exponent`). Band of the exact chain from c = 4.5 to 6: +-5 %.

What holds near the minimum holds of errors that cancel: the theory takes the noise of Gaussian inputs for smaller than
it is, and a diffusion with their true noise, 1 + 2 u^2, is farther off than the theory. Beyond, where the models part,
all three diffusions fail. That with E x^4 = 3 overshoots too, with kappa = 1 + 1 / eta = 11 for c to infinity.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments.engine.statistics import interval, student_quantile
from experiments.study import command, toolkit
from experiments.study.claims import Claim, Kind, Words, against, by_key, exact_claim, interval_claim
from experiments.study.study import Study
from training import figures

FARTHER = (4.5, 6.0)
SMALL_RATE, SMALL_RANGE = 0.02, (1.1, 1.3)
SOURCE, CHAIN = "Mori et al. 2022 (P)", "exact chain, in float64"
# The theory's only printed number; its others here are its closed form.
PRINTED_AT = 0.1
KNOWN = "the walkers' slope had been seen when the four models' bands were set"
LOOKED = "the range of c was chosen with the exact chain in view, and the exact slope hangs on it"
# Diffusions, by the variance of a single example's gradient at u.
THEIRS, TRUE_NOISE, CONSTANT_NOISE = "Mori's diffusion", "a diffusion with the inputs' true noise", "constant noise"
VARIANCES = {
    THEIRS: lambda u: 1 + u**2,
    TRUE_NOISE: lambda u: 1 + 2 * u**2,
    CONSTANT_NOISE: np.ones_like,
}
KEYS = {CHAIN: "chain", THEIRS: "mori", TRUE_NOISE: "true_noise", CONSTANT_NOISE: "constant_noise"}
# Shares of the published slope and phi within which the bands exclude the other diffusions, by learning rate.
WITHIN = {0.1: (0.1, 0.1), 0.05: (0.05, 0.06)}
WITHIN_FAR = 0.05


class Size(NamedTuple):
    """How many walkers walk, and how finely."""

    rates: tuple[float, ...]
    walkers: int  # followed near the minimum
    far_walkers: int  # and farther out, between the two levels of `far`
    crowd: int  # whose places are counted
    rounds: int  # how often
    levels: int
    bins: int
    cells: int  # of the exact chain
    far: tuple[float, float]
    drawn: int  # points of the exact curves
    drawn_to: dict[float, float]  # how far the exact slope is drawn, by learning rate
    groups: int  # of walkers, whose scatter gives the intervals
    seeds_from: int = 0


FULL = Size(
    rates=(0.1, 0.05),
    walkers=200_000,
    far_walkers=40_000,
    crowd=20_000,
    rounds=1_000,
    levels=9,
    bins=20,
    cells=200,
    far=(1.5, 2.0),
    drawn=20,
    # Mean steps of more than 1e11 are beyond float64.
    drawn_to={0.1: 6.0, 0.05: 2.3, 0.02: 1.4},
    groups=20,
)
QUICK = FULL._replace(walkers=40_000, far_walkers=4_000, rounds=200, groups=10)
TINY = Size((0.1,), 50, 50, 2_000, 20, 3, 2, cells=40, far=(1.5, 2.0), drawn=3, drawn_to={0.1: 1.5}, groups=10)


def cost(u: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """The quadratic cost of one example."""
    return (u * x - y) ** 2 / 2


def sgd_step(u_W: jax.Array, learning_rate: jax.Array, key: jax.Array) -> jax.Array:
    """A step of SGD on a fresh example for every walker."""
    x_W, y_W = jax.random.normal(key, (2, len(u_W)))
    return u_W - learning_rate * jax.vmap(jax.grad(cost))(u_W, x_W, y_W)


def levels(learning_rate: float, count: int) -> np.ndarray:
    """The c of the losses c L* whose first passage is measured, [K]."""
    return 1 + learning_rate * np.geomspace(1, 5, count)


def bin_edges(learning_rate: float, bins: int) -> np.ndarray:
    """The c between which places are counted, equally far apart in ln c, [bins + 1]."""
    return np.geomspace(1 + learning_rate, 1 + 5 * learning_rate, bins + 1)


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """The slope of y on x by least squares."""
    return float(np.polyfit(x, y, 1)[0])


def exact_steps(learning_rate: float, c_K: Iterable[float], cells: int) -> np.ndarray:
    """The mean steps of the exact chain until the loss is above c L*, [K]."""
    return np.array([nets.exit_time.mean_steps_of_gaussians(learning_rate, 1, (c - 1) ** 0.5, cells) for c in c_K])


def steps_of(model: str, learning_rate: float, c_K: Iterable[float]) -> np.ndarray:
    """The mean steps of a diffusion until the loss is above c L*, [K]."""
    of_diffusion = nets.exit_time.mean_steps_of_diffusion
    return np.array([of_diffusion(learning_rate, 1, (c - 1) ** 0.5, VARIANCES[model]) for c in c_K])


def slope_of(model: str, learning_rate: float, c_K: np.ndarray) -> float:
    """The slope of a diffusion's first passage over those c."""
    return slope(np.log(c_K), np.log(steps_of(model, learning_rate, c_K)))


def phi_of(model: str, learning_rate: float, bins: int) -> float:
    """The exponent of a diffusion's density in the loss, in the bins in which the walkers are counted."""
    edges, of_diffusion = bin_edges(learning_rate, bins), nets.exit_time.stationary_density_of_diffusion
    u_N, density_N = of_diffusion(learning_rate, 1, float(edges[-1] - 1) ** 0.5, VARIANCES[model])
    return phi(learning_rate, np.interp(np.sqrt(np.sqrt(edges[1:] * edges[:-1]) - 1), u_N, density_N))


def passage_steps(learning_rate: float, c_K: np.ndarray, walkers: int, seed: int, groups: int) -> np.ndarray:
    """The mean steps until the loss is first above c L*, of G groups of walkers, [G, K]."""
    radii_K = np.sqrt(c_K - 1)
    steps_KxW = nets.exit_time.first_exits(sgd_step, np.float32(learning_rate), radii_K, walkers, jax.random.key(seed))
    return steps_KxW.reshape(len(c_K), groups, -1).mean(axis=2).T


@partial(jax.jit, static_argnames=("rounds", "crowd"))
def counts(learning_rate: jax.Array, edges: jax.Array, key: jax.Array, rounds: int, crowd: int) -> jax.Array:
    """How many of a crowd of walkers have c = 1 + u^2 in each bin, once in 1 / eta steps, [rounds, bins].

    They start at 0 and relax for ten times 1 / eta steps before they are counted.
    """
    steps = jnp.round(1 / learning_rate).astype(jnp.int32)

    def one_round(u_W: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        step = lambda i, u_W: sgd_step(u_W, learning_rate, jax.random.fold_in(key, i))  # noqa: E731
        u_W = jax.lax.fori_loop(0, steps, step, u_W)
        return u_W, jnp.diff(jnp.sum(1 + u_W[:, None] ** 2 < edges[None, :], axis=0))

    keys = jax.random.split(key, 10 + rounds)
    return jax.lax.scan(one_round, jnp.zeros(crowd), keys)[1][10:]


def density(learning_rate: float, size: Size, seed: int) -> np.ndarray:
    """The stationary density of |u| in each bin, of G groups of rounds, [G, bins]."""
    edges, key = bin_edges(learning_rate, size.bins), jax.random.key(seed)
    counted = np.asarray(counts(jnp.float32(learning_rate), jnp.float32(edges), key, size.rounds, size.crowd))
    share = counted.reshape(size.groups, -1, size.bins).mean(axis=1) / size.crowd
    return share / np.diff(np.sqrt(edges - 1))


def phi(learning_rate: float, density_K: np.ndarray) -> float:
    """The exponent of the density in the loss."""
    edges = bin_edges(learning_rate, len(density_K))
    return -slope(np.log(edges[1:] * edges[:-1]) / 2, np.log(density_K))


class Measured(NamedTuple):
    """What the walkers of one learning rate do near the minimum, group by group: mean steps, density; exact steps."""

    learning_rate: float
    steps_GxK: np.ndarray
    density_GxK: np.ndarray
    exact_K: np.ndarray


def measure(learning_rate: float, size: Size, seed: int) -> Measured:
    """Both experiments, and the exact chain."""
    c_K = levels(learning_rate, size.levels)
    return Measured(
        learning_rate,
        passage_steps(learning_rate, c_K, size.walkers, seed, size.groups),
        density(learning_rate, size, seed + 1),
        exact_steps(learning_rate, c_K, size.cells),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def group_claim(
    key: str,
    name: str,
    kind: Kind,
    published: float,
    measured: float,
    values_G: np.ndarray,
    within: float,
    source: str = SOURCE,
    **words: Unpack[Words],
) -> Claim:
    """An exponent that is fitted to all walkers, with Student's interval of what their groups have; the band is that
    share of the published one."""
    spread = interval(values_G)
    half = student_quantile(len(values_G) - 1, 0.95) * float(spread.std) / len(values_G) ** 0.5
    return interval_claim(
        key,
        name,
        kind,
        source,
        measured,
        (measured - half, measured + half),
        (published * (1 - within), published * (1 + within)),
        count=len(values_G),
        sample="groups of walkers",
        published=published,
        values=values_G,
        **words,
    )


def near_claims(m: Measured) -> list[Claim]:
    """Slope and phi near the minimum, against the theory's; the bands exclude the other diffusions."""
    eta, c_K, bins = m.learning_rate, levels(m.learning_rate, m.steps_GxK.shape[1]), m.density_GxK.shape[1]
    log_c, (of_slope, of_phi), others = np.log(c_K), WITHIN[eta], (TRUE_NOISE, CONSTANT_NOISE)
    slopes_G = np.array([slope(log_c, np.log(steps_K)) for steps_K in m.steps_GxK])
    phis_G = np.array([phi(eta, density_K) for density_K in m.density_GxK])
    fitted, fitted_phi = slope(log_c, np.log(m.steps_GxK.mean(axis=0))), phi(eta, m.density_GxK.mean(axis=0))
    where, is_printed = f"eta = {eta:g}, c from {1 + eta:g} to {1 + 5 * eta:g}", eta == PRINTED_AT
    slopes, phis = [slope_of(other, eta, c_K) for other in others], [phi_of(other, eta, bins) for other in others]
    note = "agreement of errors that cancel: with the inputs' true noise a diffusion is farther off"
    name, kind = f"slope of first passage, {where}", "number" if is_printed else "oracle"
    key, published, words = f"near/slope/rate{eta:g}", 1 / eta + 0.5, rivals(others, slopes)
    words |= {"exploratory": LOOKED, "note": note}
    line = group_claim(key, name, kind, published, fitted, slopes_G, of_slope, **words)
    key, name, published = f"near/phi/rate{eta:g}", f"phi of the density, {where}", 1 / eta + 1
    words |= rivals(others, phis)
    return [line, group_claim(key, name, "oracle", published, fitted_phi, phis_G, of_phi, **words)]


def rivals(names: Sequence[str], values: Sequence[float]) -> Words:
    """Other models with what they have, which a band is to exclude."""
    words = ", and ".join(f"{name}, {value:.2f}" for name, value in zip(names, values, strict=True))
    return {"rival": words, "rival_at": values}


def one_claim(key: str, name: str, kind: Kind, published: float, source: str, value: float, within: float) -> Claim:
    """A number that has no spread, within that share of the published one."""
    band = (published * (1 - within), published * (1 + within))
    return exact_claim(key, name, kind, source, value, band, published=published)


def far_claims(size: Size, steps_GxK: np.ndarray) -> list[Claim]:
    """The walkers' slope beyond the range of the theory, and what holds there."""
    eta, log_c = size.rates[0], np.log(size.far)
    far_G = np.array([slope(log_c, np.log(steps_K)) for steps_K in steps_GxK])
    far = slope(log_c, np.log(steps_GxK.mean(axis=0)))
    exact = slope(log_c, np.log(exact_steps(eta, size.far, size.cells)))
    note = (
        f"the exact chain has {exact:.2f} here; as eta falls at fixed c, the steps grow as exp((c - 1) / eta), "
        "Arrhenius' law, of which the power law is the first order in c - 1."
    )
    name = f"slope of first passage, eta = {eta:g}, c from {size.far[0]:g} to {size.far[1]:g}"
    found = {CHAIN: exact} | {model: slope_of(model, eta, np.array(size.far)) for model in VARIANCES}
    words = rivals([CHAIN], [exact]) | {"note": note}
    lines = [group_claim("far/slope", name, "number", 1 / eta + 0.5, far, far_G, 0.1, **words)]
    for model, value in found.items():
        key, others = f"far/model/{KEYS[model]}", [other for other in found if other != model]
        words = rivals(others, [found[other] for other in others]) | {"exploratory": KNOWN}
        lines.append(group_claim(key, f"{name}: {model}", "oracle", value, far, far_G, WITHIN_FAR, model, **words))
    steps = exact_steps(SMALL_RATE, SMALL_RANGE, size.cells)
    small = SMALL_RATE * slope(np.array(SMALL_RANGE), np.log(steps))
    arrhenius = f"exact eta d ln(steps) / dc, eta = {SMALL_RATE:g}, c from {SMALL_RANGE[0]:g} to {SMALL_RANGE[1]:g}"
    line = one_claim("far/arrhenius", arrhenius, "oracle", 1.0, "quasi-potential of Gaussian examples", small, 0.1)
    power = (1 + SMALL_RATE / 2) * slope(np.array(SMALL_RANGE), np.log(SMALL_RANGE))
    return [*lines, against(line, f"the theory's power of the loss, {power:.2f}", power)]


def tail_claims(size: Size) -> list[Claim]:
    """The theory's exponents against Kesten's, and the exact chain against Kesten's."""
    eta = size.rates[0]
    theory, kappa = 1 / eta + 0.5, nets.exit_time.tail_exponent(eta, 1)
    note = (
        f"kappa = {kappa:.2f}, where the theory has 1 + 2 / eta = {2 * theory:g}, from a diffusion with noise "
        f"as if E x^4 = 2; with the 3 of Gaussian inputs a diffusion would have 1 + 1 / eta = {1 + 1 / eta:g}, but the "
        f"tail is made by the rare inputs with x^2 > 2 / eta = {2 / eta:g} that throw u outwards, and no diffusion has "
        "those."
    )
    exact = slope(np.log(FARTHER), np.log(exact_steps(eta, FARTHER, size.cells)))
    name = f"exact slope, eta = {eta:g}, c from {FARTHER[0]:g} to {FARTHER[1]:g}, by kappa / 2"
    where = f"eta = {eta:g}, c to infinity"
    title = f"slope of first passage, {where}: kappa / 2"
    of_slope = one_claim("tail/slope", title, "number", theory, SOURCE, kappa / 2, 0.1)
    title = f"phi of the density, {where}: (kappa + 1) / 2"
    of_phi = one_claim("tail/phi", title, "oracle", theory + 0.5, SOURCE, (kappa + 1) / 2, 0.15)
    of_chain = one_claim("tail/exact", name, "oracle", 1.0, "Kesten 1973", 2 * exact / kappa, 0.05)
    of_chain = against(of_chain, f"the theory's slope, {2 * theory / kappa:.2f}", 2 * theory / kappa)
    return [*(dataclasses.replace(line, note=note) for line in (of_slope, of_phi)), of_chain]


def chain_claim(size: Size, measured: list[Measured], far_GxK: np.ndarray) -> Claim:
    """The level at which the walkers are farthest from the exact chain, beside that at which each diffusion is."""
    eta, far_c, band = size.rates[0], np.array(size.far), (0.97, 1.03)
    found = [(m.learning_rate, levels(m.learning_rate, len(m.exact_K)), m.exact_K, m.steps_GxK) for m in measured]
    found.append((eta, far_c, exact_steps(eta, far_c, size.cells), far_GxK))
    ratios = np.concatenate([steps_GxK.mean(axis=0) / exact_K for _, _, exact_K, steps_GxK in found])
    errors = np.concatenate([steps_GxK.std(axis=0, ddof=1) / exact_K for _, _, exact_K, steps_GxK in found])
    value, within = toolkit.farthest(ratios, errors / size.groups**0.5, degrees=size.groups - 1)
    ways = {model: [steps_of(model, rate, c_K) / exact_K for rate, c_K, exact_K, _ in found] for model in VARIANCES}
    off = [float(max(np.concatenate(way), key=lambda ratio: abs(ratio - 1))) for way in ways.values()]
    name = f"mean steps of walkers by the exact ones, the farthest of {len(ratios)} levels"
    words: Any = {"sample": f"groups of walkers at each of {len(ratios)} levels", "published": 1.0, "values": ratios}
    line = interval_claim("chain/farthest", name, "oracle", CHAIN, value, within, band, count=size.groups, **words)
    return against(line, f"farthest of theirs: {rivals(list(VARIANCES), off).get('rival')}", off)


def claims_of(size: Size, measured: list[Measured], far_GxK: np.ndarray) -> list[Claim]:
    """Near the minimum, the walkers against the exact chain, and beyond."""
    near = [line for m in measured for line in near_claims(m)]
    return [*near, chain_claim(size, measured, far_GxK), *far_claims(size, far_GxK), *tail_claims(size)]


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims; as many walks at once as there are cores: each is one thread's work."""
    seed = size.seeds_from + 2 * len(size.rates)
    with toolkit.threads() as pool:
        far = pool.submit(passage_steps, size.rates[0], np.array(size.far), size.far_walkers, seed, size.groups)
        near = [pool.submit(measure, rate, size, size.seeds_from + 2 * i) for i, rate in enumerate(size.rates)]
        measured, far_GxK = [future.result() for future in near], far.result()
    claims = claims_of(size, measured, far_GxK)
    return draw(size, measured, far_GxK, claims), claims


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def draw(size: Size, measured: list[Measured], far_GxK: np.ndarray, claims: list[Claim]) -> Any:
    """The density, the first passage, and how the exact slope compares with the theory's."""
    figure, axes = figures.new_figure(17, 5.2, 3)
    by, eta = by_key(claims), f"rate{measured[0].learning_rate:g}"
    draw_density(axes[0], size, measured[0], by[f"near/phi/{eta}"])
    draw_passage(axes[1], size, measured[0], far_GxK, by[f"near/slope/{eta}"])
    draw_slopes(axes[2], size)
    for axis in axes:
        ticks = [c for c in (1, 1.5, 2, 3, 4, 6) if c <= axis.get_xlim()[1]]
        axis.set_xticks(ticks, labels=[f"{c:g}" for c in ticks])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend(fontsize=9)
    return figure


def draw_density(axis: Any, size: Size, m: Measured, claim: Claim) -> None:
    """The stationary density of the first learning rate."""
    eta, edges = m.learning_rate, bin_edges(m.learning_rate, size.bins)
    u_N, exact_N = nets.exit_time.stationary_density_of_gaussians(eta, 1, 4.5**0.5, size.cells)
    c_N = 1 + u_N**2
    shown = c_N < 3
    middle = np.sqrt(edges[1:] * edges[:-1])
    start, (theory,) = np.interp(middle[0], c_N, exact_N), claim.published
    axis.plot(c_N[shown], exact_N[shown], color="tab:blue", label="exact chain")
    falling = start * (c_N[shown] / middle[0]) ** -theory
    axis.plot(c_N[shown], falling, "k--", label=f"theory, phi = {theory:g}")
    density_K, label = m.density_GxK.mean(axis=0), f"SGD, phi = {claim.measured:.2f}"
    axis.plot(middle, density_K, "o", color="tab:orange", markersize=4, label=label)
    axis.axvspan(edges[0], edges[-1], color="tab:green", alpha=0.12, label="range of the fit")
    axis.set(xscale="log", yscale="log", xlabel="loss / L*", ylabel=f"stationary density of |u| at eta = {eta:g}")
    axis.set_title("Far out the density falls faster than the theory says")


def draw_passage(axis: Any, size: Size, m: Measured, far_GxK: np.ndarray, claim: Claim) -> None:
    """First passage at the first learning rate."""
    eta, c_K = m.learning_rate, levels(m.learning_rate, size.levels)
    c, (theory,) = np.geomspace(c_K[0], FARTHER[1], size.drawn), claim.published
    axis.plot(c, exact_steps(eta, c, size.cells), color="tab:blue", label="exact chain")
    axis.plot(c, m.exact_K[0] * (c / c_K[0]) ** theory, "k--", label=f"theory, slope {theory:g}")
    for model, style in ((TRUE_NOISE, "--"), (CONSTANT_NOISE, ":")):
        near = c[c < 2.2]
        axis.plot(near, steps_of(model, eta, near), style, color="tab:green", label=model)
    half_kappa = nets.exit_time.tail_exponent(eta, 1) / 2
    last, tail = exact_steps(eta, FARTHER[1:], size.cells)[0], c[c > 2.2]
    steps, label = last * (tail / FARTHER[1]) ** half_kappa, f"Kesten, slope {half_kappa:.2f}"
    axis.plot(tail, steps, ":", color="tab:red", linewidth=3, label=label)
    places, steps = [*c_K, *size.far], [*m.steps_GxK.mean(axis=0), *far_GxK.mean(axis=0)]
    label = f"SGD, slope {claim.measured:.2f} in the range"
    axis.plot(places, steps, "o", color="tab:orange", markersize=4, label=label)
    axis.axvspan(c_K[0], c_K[-1], color="tab:green", alpha=0.12, label="range of the fit")
    axis.set(xscale="log", yscale="log", xlabel="c = loss / L* to be passed")
    axis.set(ylabel=f"mean steps to the first passage at eta = {eta:g}")
    axis.set_title("Between the theory's range and Kesten's it is no power")


def draw_slopes(axis: Any, size: Size) -> None:
    """The exact local slope by the theory's, for several learning rates."""
    for learning_rate, top in size.drawn_to.items():
        c = np.geomspace(1 + learning_rate, top, size.drawn)
        local = np.diff(np.log(exact_steps(learning_rate, c, size.cells))) / np.diff(np.log(c))
        label = f"exact chain, eta = {learning_rate:g}"
        axis.plot(np.sqrt(c[1:] * c[:-1]), local / (1 / learning_rate + 0.5), label=label)
    c = np.array([1.0, 2.0])
    axis.plot(c, c, color="gray", linestyle="-.", label="Arrhenius, eta to 0: c")
    axis.axhline(1, color="black", linestyle="--", label="theory")
    eta = size.rates[0]
    tail = nets.exit_time.tail_exponent(eta, 1) / 2 / (1 / eta + 0.5)
    label = f"Kesten, eta = {eta:g}, c to infinity"
    axis.axhline(tail, color="tab:red", linestyle=":", linewidth=3, label=label)
    axis.set(xscale="log", xlabel="c = loss / L*", ylabel="local slope / theory's slope", ylim=(0.7, 1.8))
    axis.set_title("The slope rises with c, then falls to Kesten's")


STUDY = Study(
    question="Does SGD on linear regression leave its minimum at a rate that is a power of the loss, and of which one?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
)

if __name__ == "__main__":
    command.main(STUDY)
