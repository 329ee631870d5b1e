"""Is the escape of SGD from a minimum a diffusion, or a large deviation?

    python -m experiments.escape.large_deviations [--budget=full]      2 minutes on 2 cores, full: 8 times the walkers

The neuron of `two_wells`: one weight, no bias, inputs 1 and 1/20, three labels 1 to one label 0 at each, quadratic cost
(a - y)^2. From w = 1.1 walkers leave the first well (minimum 1.19, barrier 4.59) for the second, and are out where
w > 8. A step takes one of a few values whose probabilities are exact at every w, so that times are exact: a chain on a
grid (`nets.step_chain`). With T the mean time, rate x steps, ln T grows as S B / eta when the rate falls, and three
theories differ in S (`nets.escape.action`): the large-deviation action, from the examples' gradients as they are; a
diffusion with their covariance at every w; and constant noise, as at the minimum. All numbers were computed
independently beforehand, medians on a grid of .05, which adds noise of its own. Large deviations of SGD: Azizian,
Iutzeler, Malick & Mertikopoulos, ICML 2024 and arXiv 2503.16398, of which the abstracts were read; the diffusion: Xie,
Sato & Sugiyama 2021 and Mori et al. 2022.

How the rate goes to 0, set before any chain at rates 4 and 2 was seen. The barrier is smooth: Kramers' prefactor has no
power of B / eta, and ln T = S B / eta + c B + b + O(eta). The main rule: the slope is eta ln (T at batch 2 / T
at batch 1) = S + c eta + O(eta^2), which is 38.35 at rate 8; those at rates 8, 4, 2 give S, c and one coefficient more.
The second: the slope is d ln T / d(1 / eta) at batch 1, from 1 / eta 1/32 to both sides of rates 8, 4, 2, and is
S + c' eta^2 + c'' eta^3. Bands, set before: by both rules within 2 % of the action, which excludes its rivals; halving
the grid changes times by less than 1 %; actions to half of their last digit; walkers within 3 % of the chain wherever
they can be waited for, by steps walked / escapes until 1.5 times the chain's mean. The 1 % of medians and of the slope
at rate 8 was set after a first look.

In two dimensions: a neuron with weight and bias, inputs 1, 1/10 and 0, of whose labels 3 to 1, 3 to 1 and 4 to 4 are 1
and 0; they were chosen by their three actions. The path that is bent until its action is least, against a chain on a
plane: T from its quasi-stationary rate at batch 1, rates 4, 2, 1, where ln T = S / eta + b + c eta gives S. Band, set
before: within 10 % of the action. Where noise is Gaussian and constant, u' = (1 - eta) u + eta xi, large deviation and
diffusion agree, to 1e-3 at r^2 = .4.
"""

from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

import nets
from experiments.study import command, toolkit
from experiments.study.claims import Band, Claim, Words, above, against, exact_claim, interval_claim
from experiments.study.study import Study
from nets import wells
from nets.actions import Action, Noise
from nets.theory.step_chain import Stay
from training import figures

SECOND = 22.0  # Near the second minimum.
NOISES: dict[Noise, float] = {"examples": 42.217, "diffusion": 32.026, "constant": 3.237}
NAMES: dict[Noise, str] = {
    "examples": "large deviation",
    "diffusion": "diffusion, true noise",
    "constant": "constant noise",
}
AGREEING: tuple[Noise, Noise] = "examples", "diffusion"  # Where noise is Gaussian.
BACK, SLOPE_AT_8, R2 = 562.4, 38.35, 0.4
COARSE = 0.05  # The grid of the medians that were computed beforehand.
MEDIANS = {(20.0, 1): 150, (20.0, 2): 205, (20.0, 4): 681, (20.0, 8): 7_371, (8.0, 1): 5_107}
SOURCE = "computed beforehand"
LOOKED = "its band was set after a first look at the chain"
PLANE_LOOKED = "rates and rule were chosen after coarse chains at rates 16, 8 and 4 were seen; the band was not"
RIVALS = Words(rival="a diffusion with the true noise, 32.026, and constant noise, 3.237", rival_at=(32.026, 3.237))
ACTION, NO_RISE = Words(rival="the action, 42.217", rival_at=42.217), Words(rival="none: 0", rival_at=0.0)

Cell = tuple[float, int]  # Learning rate and batch size.


class Size(NamedTuple):
    """How fine the grids are, and how many walkers walk."""

    width: float  # of the grid, as a share of eta^1.5 / B, to which SGD's own noise at the barrier goes
    tolerance: float  # of the share that leaves in a step
    rates: tuple[float, float, float]
    walkers: int
    cells: tuple[Cell, ...]  # where walkers can be waited for
    plane_rates: tuple[float, float, float]
    plane_width: tuple[float, float]  # of the weight's axis, as a share of the rate, and of the bias's
    plane_walkers_rate: float
    plane_walkers: int
    pieces: int  # of a path on the plane


FULL = Size(
    width=5e-4,
    tolerance=1e-9,
    rates=(8.0, 4.0, 2.0),
    walkers=65_536,
    cells=((20.0, 1), (20.0, 2), (20.0, 4), (20.0, 8), (12.0, 1), (12.0, 2), (8.0, 1)),
    plane_rates=(4.0, 2.0, 1.0),
    plane_width=(1 / 160, 0.05),
    plane_walkers_rate=8.0,
    plane_walkers=65_536,
    pieces=64,
)
QUICK = FULL._replace(walkers=8_192, plane_width=(1 / 80, 0.1), plane_walkers=32_768, pieces=32)
TINY = Size(1.6e-2, 1e-2, (8.0, 6.0, 4.0), 60, ((20.0, 1),), (8.0, 6.0, 4.0), (0.05, 0.4), 8.0, 60, 8)

# ---------------------------------------------------------------------------------------------------------------------
# Times.


def least_actions(it: wells.Well, pieces: int) -> dict[Noise, Action]:
    """The least action from the minimum to the saddle, by each theory of noise."""
    act = partial(nets.escape.action, it.cost, it.kinds, it.minimum, it.saddle, weights=it.shares, points=pieces)
    return {noise: act(noise=noise) for noise in NOISES}


def bare(u: jax.Array, y_B: jax.Array) -> jax.Array:
    """The quadratic cost of u x for x = 1, [B]; targets y ~ N(0, 1) are the same for x = -1."""
    return (u - y_B) ** 2 / 2


def beyond(w: jax.Array) -> jax.Array:
    """Whether a walker of one weight is out."""
    return w > wells.OUT


def beyond_plane(params: jax.Array) -> jax.Array:
    """Whether a walker of weight and bias is out."""
    return params[0] > wells.PLANE_OUT


class Ratio(NamedTuple):
    """Steps walked by escapes, by those of the chain, and its standard error."""

    value: float
    error: float


def walked(it: wells.Well, start: Any, out: Any, cell: Cell, stay: Stay, walkers: int) -> Ratio:
    """Walkers of SGD against the chain, until 1.5 times its mean: those that are not out then count by their steps."""
    (rate, batch), steps = cell, int(np.ceil(1.5 * stay.mean))
    key = jax.random.fold_in(jax.random.key(batch), int(10 * rate))
    starts = jnp.broadcast_to(jnp.asarray(start, jnp.float32), (walkers, *np.shape(start)))
    passage = nets.escape.first_passage(it.cost, starts, it.examples, key, rate, batch, steps, out)
    steps_W, out_W = np.asarray(passage.steps_W, np.float64), ~np.asarray(passage.censored_W)
    share, exact = max(out_W.mean(), 1 / walkers), stay.steps_an_escape(steps)
    mean = steps_W.mean() / share
    error = np.std(steps_W - mean * out_W) / np.sqrt(walkers) / share
    return Ratio(float(mean / exact), float(error / exact))


class Times(NamedTuple):
    """What was computed: the stays on each grid and on one twice as fine, those of the second rule, those on the plane,
    and the walkers against them."""

    coarse: dict[Cell, Stay]  # on the grid of the medians
    whole: dict[Cell, Stay]
    halved: dict[Cell, Stay]
    beside: dict[float, tuple[float, float]]  # ln T a little to both sides of a rate, at batch 1
    plane: dict[float, Stay]
    walkers: dict[Cell, Ratio]
    plane_walkers: Ratio


def log_time(rate: float, stay: Stay) -> float:
    """ln of the mean time, rate x steps."""
    return float(np.log(rate * stay.mean))


def computed(size: Size) -> Times:
    """All chains and all walkers, the longest first, on as many threads as there are cores."""
    cells = sorted({*MEDIANS, *size.cells, *((rate, batch) for rate in size.rates for batch in (1, 2))})
    sides = {(rate, side): rate / (1 + side / 32) for rate in size.rates for side in (-1, 1)}
    widths = {cell: wells.grid_width(size.width, *cell) for cell in cells}
    with toolkit.threads() as pool:

        def on_line(cell: Cell, width: float) -> Future[Stay]:
            return pool.submit(wells.stay_on_line, cell[0], cell[1], width, size.tolerance)

        def on_plane(rate: float, finer: float = 1.0) -> Future[Stay]:
            widths = size.plane_width[0] * rate / finer, size.plane_width[1]
            return pool.submit(wells.stay_on_plane, rate, widths, size.tolerance)

        halved = {cell: on_line(cell, width / 2) for cell, width in widths.items()}
        flat = {rate: on_plane(rate) for rate in size.plane_rates[::-1]}
        fast = on_plane(size.plane_walkers_rate, 2.0)
        whole = {cell: on_line(cell, width) for cell, width in widths.items()}
        coarse = {cell: on_line(cell, COARSE) for cell in MEDIANS}
        beside = {key: on_line((rate, 1), widths[key[0], 1] / 2) for key, rate in sides.items()}
        stays = {cell: future.result() for cell, future in halved.items()}
        longest = sorted(size.cells, key=lambda cell: -stays[cell].mean)
        walk = lambda cell: walked(wells.line(), wells.START, beyond, cell, stays[cell], size.walkers)  # noqa: E731
        ratios = dict(zip(longest, pool.map(walk, longest), strict=True))
        cell = size.plane_walkers_rate, 1
        on_it = walked(wells.plane(), wells.plane().minimum, beyond_plane, cell, fast.result(), size.plane_walkers)
        times = {key: log_time(rate, beside[key].result()) for key, rate in sides.items()}
        return Times(
            {cell: future.result() for cell, future in coarse.items()},
            {cell: future.result() for cell, future in whole.items()},
            stays,
            {rate: (times[rate, -1], times[rate, 1]) for rate in size.rates},
            {rate: future.result() for rate, future in sorted(flat.items(), reverse=True)},
            ratios,
            on_it,
        )


# ---------------------------------------------------------------------------------------------------------------------
# Slopes.


def at_zero(rates: ArrayLike, slopes: ArrayLike, powers: ArrayLike) -> float:
    """What as many slopes as there are powers are at rate 0 if those powers of the rate add up to them."""
    return float(np.linalg.solve(np.array(rates, float)[:, None] ** np.array(powers)[None, :], np.array(slopes))[0])


def slopes_of(size: Size, times: Times) -> list[float]:
    """By the main rule: eta ln (T at batch 2 by T at batch 1)."""
    stays = times.halved
    return [rate * (log_time(rate, stays[rate, 2]) - log_time(rate, stays[rate, 1])) for rate in size.rates]


def slopes_at_batch_one(size: Size, times: Times) -> list[float]:
    """By the second: d ln T / d(1 / eta), rates 1 / 32 to both sides."""
    return [(times.beside[rate][1] - times.beside[rate][0]) * 16 * rate for rate in size.rates]


def plane_slope(times: Times) -> float:
    """S of ln T = S / eta + b + c eta through the three rates, T from the quasi-stationary rate."""
    rates = np.array(list(times.plane))
    logs = [np.log(rate / stay.rate) for rate, stay in times.plane.items()]
    return at_zero(rates, logs, (-1, 0, 1))


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def near(value: float, share: float) -> tuple[float, float]:
    """The band of that share to both sides."""
    return value * (1 - share), value * (1 + share)


def line_of(
    key: str, name: str, value: float, band: Band, published: float, source: str = SOURCE, **words: Unpack[Words]
) -> Claim:
    """An exact number, of which one was computed beforehand."""
    return exact_claim(key, name, "oracle", source, value, band, published=published, **words)


def action_claims(actions: dict[Noise, Action]) -> list[Claim]:
    """The three actions over the barrier, that of the way back, and Gaussian noise, where theories agree."""
    it, lines = wells.line(), list[Claim]()
    for noise, published in NOISES.items():
        name, band = f"action from 1.19 over 4.59: {NAMES[noise]}", (published - 5e-4, published + 5e-4)
        others = [NOISES[other] for other in NOISES if other != noise]
        words: Words = {"rival": "the other theories, {:g} and {:g}".format(*others), "rival_at": others}
        lines.append(line_of(f"action/{noise}", name, actions[noise].value, band, published, **words))
    second = nets.escape.polish(it.cost, SECOND, it.examples)
    back = nets.escape.action(it.cost, it.kinds, second, it.saddle, weights=it.shares).value
    band, note = (BACK - 0.05, BACK + 0.05), "nobody returns, so that walkers end in the flatter, more saturated well"
    lines.append(line_of("action/back", "action back from the second well", back, band, BACK, note=note))
    # Gauss and Hermite's nodes are targets y ~ N(0, 1) to all digits of these exponentials.
    node_N, weight_N = np.polynomial.hermite_e.hermegauss(40)
    weight_N /= weight_N.sum()
    for noise in AGREEING:
        value = nets.escape.action(bare, node_N, 0.0, R2**0.5, weights=weight_N, noise=noise).value
        name = f"Gaussian noise, action to r^2 = .4: {NAMES[noise]}"
        lines.append(line_of(f"gaussian/{noise}", name, value, near(R2, 1e-3), R2, source="r^2"))
    return lines


def time_claims(times: Times) -> list[Claim]:
    """The medians by those computed beforehand, on the same grid and without what that grid adds; and its halving."""
    lines = list[Claim]()
    for key, stays, grid in (
        ("coarse", times.coarse, f"a grid of {COARSE:g}"),
        ("refined", times.halved, "a fine grid"),
    ):
        ratios = {cell: stays[cell].median / published for cell, published in MEDIANS.items()}
        rate, batch = cell = max(ratios, key=lambda cell: abs(ratios[cell] - 1))
        name = f"medians on {grid}, by those computed beforehand on one of {COARSE:g}, the farthest of {len(ratios)}"
        note = f"at rate {rate:g}, batch {batch}: {stays[cell].median:,.0f} steps, beforehand {MEDIANS[cell]:,}"
        line = line_of(f"median/{key}", name, ratios[cell], near(1.0, 0.01), 1.0, note=note, exploratory=LOOKED)
        lines.append(line)
    coarse, refined = lines
    lines = [against(coarse, f"a fine grid, {refined.measured:.3f}", refined.measured), refined]
    changes = {cell: abs(stay.mean / times.whole[cell].mean - 1) for cell, stay in times.halved.items()}
    cell = max(changes, key=lambda cell: changes[cell])
    name, note = f"change of the mean by halving the grid, the largest of {len(changes)}", "at rate {:g}, batch {}"
    lines.append(line_of("grid/halved", name, changes[cell], (0.0, 0.01), 0.0, source="none", note=note.format(*cell)))
    return lines


def slope_claims(size: Size, times: Times, action: float) -> list[Claim]:
    """The slope at rate 8, its rise, and what it is at rate 0 by both rules."""
    main, other = slopes_of(size, times), slopes_at_batch_one(size, times)
    first = "d ln T / d(B/eta), batch 2 by batch 1, rate 8"
    rises = "the least rise of that slope from a rate to half of it"
    at_8 = near(SLOPE_AT_8, 0.01)
    notes, other_notes = (
        ", ".join(f"{slope:.2f} at rate {rate:g}" for rate, slope in zip(size.rates, slopes, strict=True))
        for slopes in (main, other)
    )
    lines = [
        line_of("slope/rate8", first, main[0], at_8, SLOPE_AT_8, **(ACTION | {"exploratory": LOOKED})),
        line_of(
            "slope/rises", rises, float(min(np.diff(main))), (above(0.0), None), 0.0, **(NO_RISE | {"note": notes})
        ),
    ]
    rules = {
        "slope/extrapolated": ("batch 2 by batch 1", at_zero(size.rates, main, (0, 1, 2)), notes),
        "slope/at_batch_one": ("at batch 1", at_zero(size.rates, other, (0, 2, 3)), other_notes),
    }
    for key, (rule, value, note) in rules.items():
        name, band = f"d ln T / d(B/eta) at rate 0, {rule}", near(action, 0.02)
        lines.append(line_of(key, name, value, band, action, "the action", **(RIVALS | {"note": note})))
    return lines


def plane_claims(times: Times, actions: dict[Noise, Action]) -> list[Claim]:
    """The chain's slope with weight and bias, by the least action."""
    least = actions["examples"].value
    others = {NAMES[noise]: actions[noise].value / least for noise in NOISES if noise != "examples"}
    rival = ", ".join(f"{name}: {value:.3f}" for name, value in others.items())
    steps = ", ".join(f"{1 / stay.rate:.4g} at rate {rate:g}" for rate, stay in times.plane.items())
    note = f"the least action is {least:.3f}; mean steps of the chain: {steps}"
    name, source = "weight and bias: d ln T / d(B/eta) at rate 0 by the least action", "geometric minimum action method"
    ratio, band = plane_slope(times) / least, near(1.0, 0.1)
    line = line_of("plane/slope", name, ratio, band, 1.0, source, note=note, exploratory=PLANE_LOOKED)
    return [against(line, rival, tuple(others.values()))]


def walker_claims(size: Size, times: Times, *actions: dict[Noise, Action]) -> list[Claim]:
    """Walkers by the chain, beside a diffusion as far as its action goes; actions on the line, and on the plane."""
    ratios, (value, error) = times.walkers, times.plane_walkers
    gaps = [of["diffusion"].value - of["examples"].value for of in actions]
    settings = list(ratios), [(size.plane_walkers_rate, 1)]
    at_2 = [max(float(np.exp(gap * b / r)) for r, b in of) for gap, of in zip(gaps, settings, strict=True)]
    words_2 = [f"a diffusion by its action alone, where it is nearest: {at:.2f}" for at in at_2]
    farthest, within = toolkit.farthest([r.value for r in ratios.values()], [r.error for r in ratios.values()])
    cells = ", ".join(f"{rate:g} and {batch} {ratio.value:.3f}" for (rate, batch), ratio in sorted(ratios.items()))
    judge = partial(interval_claim, kind="oracle", source="exact chain", band=near(1.0, 0.03), published=1.0)
    name = f"steps that walkers need to escape over the chain's, farthest of {len(ratios)}"
    words: dict[str, Any] = {"values": [r.value for r in ratios.values()], "note": f"by rate and batch: {cells}"}
    sample = f"walkers in each of {len(ratios)} settings"
    line = judge("walkers/line", name, measured=farthest, within=within, count=size.walkers, sample=sample, **words)
    name = f"the same with weight and bias, rate {size.plane_walkers_rate:g}, batch 1"
    within, words = (value - 1.96 * error, value + 1.96 * error), {"count": size.plane_walkers, "sample": "walkers"}
    flat = judge("walkers/plane", name, measured=value, within=within, **words)
    return [against(*of) for of in zip((line, flat), words_2, at_2, strict=True)]


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def draw_forces(axis: Any, actions: dict[Noise, Action]) -> None:
    """p along the way up: the areas are the actions."""
    for noise, action in actions.items():
        label = f"{NAMES[noise]}: area {action.value:.1f}"
        axis.plot(action.path_MxP[:, 0], action.momentum_MxP[:, 0], label=label)
    axis.set(
        xlabel="weight w, from the minimum to the barrier", ylabel="what the way up costs, dS / dw", ylim=(0, None)
    )
    axis.set_title("The noise dies where the neuron saturates, and its tails are bounded")
    axis.legend(loc="upper left")


def draw_times(axis: Any, size: Size, times: Times, actions: dict[Noise, Action]) -> None:
    """ln T by B / eta, with the slopes of the three theories through the chain's last time."""
    cells = sorted(((rate, batch) for rate in size.rates for batch in (1, 2)), key=lambda cell: cell[1] / cell[0])
    last = 2 / size.rates[-1]
    for batch in (1, 2):
        own = [cell for cell in cells if cell[1] == batch]
        logs = [log_time(cell[0], times.halved[cell]) for cell in own]
        axis.plot([batch / cell[0] for cell in own], logs, "o", label=f"exact chain, batch {batch}")
    end = log_time(size.rates[-1], times.halved[size.rates[-1], 2])
    for (noise, action), style in zip(actions.items(), ("-", "--", ":"), strict=True):
        label = f"slope {action.value:.1f}: {NAMES[noise]}"
        axis.axline((last, end), slope=action.value, linestyle=style, color="gray", label=label)
    axis.set(xlabel="B / eta", ylabel="ln (rate x mean steps until w > 8)", ylim=(0, 1.05 * end))
    axis.set_title("The exact times rise as the large deviation says")
    axis.legend(loc="lower right", fontsize=9)


def draw_slopes(axis: Any, size: Size, times: Times, actions: dict[Noise, Action]) -> None:
    """Slopes at three rates, and what they are at rate 0."""
    rates_G = np.linspace(0, size.rates[0], 100)
    rules = {"batch 2 by batch 1": (slopes_of, (0, 1, 2)), "at batch 1": (slopes_at_batch_one, (0, 2, 3))}
    for i, (rule, (slopes, powers)) in enumerate(rules.items()):
        found = slopes(size, times)
        curve = np.linalg.solve(np.array(size.rates)[:, None] ** np.array(powers)[None, :], np.array(found))
        axis.plot(size.rates, found, "o", color=f"C{i}")
        value = at_zero(size.rates, found, powers)
        label = f"{rule}: {value:.2f} at 0"
        axis.plot(rates_G, rates_G[:, None] ** np.array(powers)[None, :] @ curve, "--", color=f"C{i}", label=label)
    for noise in AGREEING:
        axis.axhline(actions[noise].value, color="gray", linestyle="-" if noise == "examples" else "--")
        axis.annotate(
            f"{NAMES[noise]} {actions[noise].value:.1f}", (0.5 * size.rates[0], actions[noise].value), va="bottom"
        )
    axis.set(xlabel="learning rate eta", ylabel="d ln T / d(B / eta) of the exact chain")
    axis.set_title("As the rate falls, the slope rises past the diffusion's")
    axis.legend(loc="lower left")


def draw_plane(axis: Any, actions: dict[Noise, Action]) -> None:
    """The mean cost over weight and bias, with the paths of least action."""
    it = wells.plane()
    w_G, b_G = np.linspace(-0.5, 7, 120), np.linspace(-0.8, 1.2, 90)
    grid = jnp.stack(jnp.meshgrid(jnp.asarray(w_G), jnp.asarray(b_G)), axis=-1).reshape(-1, 2)
    costs = jax.vmap(lambda params: jnp.dot(it.cost(params, it.kinds), jnp.asarray(it.shares, jnp.float32)))(grid)
    costs = np.asarray(costs).reshape(len(b_G), len(w_G))
    drawn = axis.contourf(w_G, b_G, costs, levels=25, cmap="viridis")
    axis.figure.colorbar(drawn, ax=axis, label="mean cost")
    for (noise, action), style in zip(actions.items(), ("-", "--", ":"), strict=True):
        path = np.concatenate([[it.minimum], action.path_MxP, [it.saddle]])
        axis.plot(*path.T, style, color="white", linewidth=2, label=f"{NAMES[noise]}: {action.value:.1f}")
    axis.plot(*it.minimum, "o", color="white")
    axis.plot(*it.saddle, "x", color="white", markersize=9)
    axis.set(xlabel="weight w", ylabel="bias b")
    axis.set_title("Weight and bias: the least unlikely ways over the saddle")
    axis.legend(loc="lower left", facecolor="gray", labelcolor="white")


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    of_line, of_plane = (least_actions(it, size.pieces) for it in (wells.line(), wells.plane()))
    times = computed(size)
    claims = [
        *action_claims(of_line),
        *time_claims(times),
        *slope_claims(size, times, of_line["examples"].value),
        *walker_claims(size, times, of_line, of_plane),
        *plane_claims(times, of_plane),
    ]
    figure, (forces, of_times, slopes, paths) = figures.new_figure(15, 10, 2, 2)
    draw_forces(forces, of_line)
    draw_times(of_times, size, times, of_line)
    draw_slopes(slopes, size, times, of_line)
    draw_plane(paths, of_plane)
    for axis in (forces, of_times, slopes):
        axis.grid(alpha=0.3)
    return figure, claims


STUDY = Study(
    question="Is the escape of SGD from a minimum a diffusion, or a large deviation?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
)

if __name__ == "__main__":
    command.main(STUDY)
