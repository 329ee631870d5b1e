"""Is there data on which a ReLU net surely gets stuck, how often do small ones, and does noise help?

    python -m experiments.escape.explicit_minima [--budget=full]      20 seconds on 2 cores, full 10 minutes

Source: Swirszcz, Czarnecki & Pascanu 2017, Local minima in training of neural networks. Two data sets of points (x, y)
with a minimum each of the summed squared error of one or two ReLU units; XOR and Jellyfish, four points that are no
more than a 2-h-1 net must separate, and the share of the nets that gradient descent brings to zero error.

Both minima lie in flat directions, and each has an example just where a unit begins, so that no Hessian speaks for
them. `nets.relu_cells.certify` proves them: nowhere within its radius is the cost lower. SGD from the second one is
counted as gone when a unit has changed between silent and active at an example, without which the cost cannot fall
below 8/3 (cost of an example: the squared error, without 1/2; mean over batches drawn with replacement).

The paper does not give steps, rates and initialization of its nets: here Glorot's normal weights, zero biases,
cross-entropy, 6,000 full-batch steps at rate .5 (ReLU) and 4 (sigmoid), chosen as what came close, so that these lines
are exploratory. Bands: costs and bounds to rounding; 15 points about each of the 24 published rates, narrowed to what
excludes the net of the other activation with the same width (a note says which next widths are not told apart); every
two cells that are published 15 points apart or more come in that order. The 24 cells, and the 12 of ReLU, are judged
jointly as well, by chi-squared against as many runs as the paper's whole percents need at least, 100; and for each ReLU
row one rate is searched for that gives the whole of it, the best of those tried, not corrected for the choice. At most
1 % of the walkers leave (that nobody does, as was claimed first, is more than any number of walkers can show: this
wider band is exploratory). Controls of that zero: at rate .01 walkers do leave, though not for the better (the right
unit dies, and 14/3 is the least without it), and from half-way to the good fit they reach it.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments.study import command, toolkit
from experiments.study.claims import Claim, Kind, above, below, exact_claim, holds, interval_claim, share_claim
from experiments.study.four_points import HIDDEN, SETS, TARGETS_B, success
from experiments.study.joint import Joint, against_runs, joint_claim
from experiments.study.study import FRESHER_SEEDS, Study
from nets.theory.relu_cells import Weights
from training import figures


class Problem(NamedTuple):
    """Points, the weights of a bad minimum of the summed squared error, and its cost."""

    points_Nx2: np.ndarray
    minimum: Weights
    cost: float


STUCK_1 = Weights(np.array([[1.0]]), np.array([-3.0]), np.array([1.0]), 0.0)
D1 = Problem(np.array([(5, 2), (4, 1), (3, 0), (1, -3), (-1, 3)], float), STUCK_1, 18.0)
STUCK_2 = Weights(np.array([[-3.0, 1.0]]), np.array([13 / 3, -10.0]), np.array([1.0, -1.0]), -3.0)
D2 = Problem(np.array([(-1, 5), (0, 0), (1, -1), (10, -3), (11, -4), (12, -5)], float), STUCK_2, 8 / 3)
# The paper gives w; b and c follow: the left unit falls from 5 to 0 and ends before x = 1, the right one begins at 8.
D2_GOOD = Weights(np.array([[-5.0, 1.0]]), np.array([1.0, -8.0]), np.array([1.0, -1.0]), -1.0)

RATES = {"relu": 0.5, "sigmoid": 4.0}
PUBLISHED = {
    ("XOR", "relu"): (23, 47, 70, 80, 89, 89),
    ("XOR", "sigmoid"): (90, 100, 100, 100, 100, 100),
    ("Jellyfish", "relu"): (16, 33, 66, 68, 69, 86),
    ("Jellyfish", "sigmoid"): (62, 100, 100, 100, 100, 100),
}
WITHIN = 0.15
PUBLISHED_RUNS = 100  # As many as whole percents need; the paper does not say how many it made.
LOOKED = "steps, rates and initial weights, which the paper does not give, were chosen as what came close; the full "
LOOKED += "size has 10,000 nets of a cell, once 5,000 had left a pair's order open on seeds from 1,000 on"
# Whether each net of each width reaches zero error, [H, L], by points and activation.
Reached = dict[tuple[str, str], np.ndarray]
WALK_RATES, CONTROL_RATE = (0.002, 0.005), 0.01
DRAWN, MOST_LEAVE = 25, 0.01  # How many walkers are drawn; the share that may leave.
RESTATED = "the band was 0 alone, which no number of walkers can show; it is wider since none had been seen to leave"
SOURCE, COMPUTED = "Swirszcz et al. 2017 (P)", "computed independently beforehand"


class Size(NamedTuple):
    """How many nets descend how long, and how many walkers walk how far."""

    nets: int
    steps: int
    walkers: int
    walk: int
    batches: tuple[int, ...]
    looks: int  # at each walker that is drawn, in its walk
    tried: tuple[float, ...]  # other rates for the ReLU nets, the first of which is drawn
    seeds_from: int = 0


FULL = Size(10_000, 6_000, walkers=1_000, walk=6_000, batches=(1, 2, 3, 4, 5, 6), looks=60, tried=(0.1, 0.05, 0.2, 1.0))
QUICK = FULL._replace(nets=400, walkers=200, tried=(0.1, 1.0))
TINY = Size(nets=50, steps=5, walkers=3, walk=60, batches=(1,), looks=2, tried=(0.1,))


def outputs_of(weights: Weights, x_BxD: jax.Array) -> jax.Array:
    """What the ReLU net answers."""
    return jax.nn.relu(x_BxD @ weights.w_DxH + weights.b_H[None, :]) @ weights.v_H + weights.c


def cost(weights: Weights, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The squared error of each example."""
    x_BxD, y_B = batch
    return (outputs_of(weights, x_BxD) - y_B) ** 2


def gradient_norm(problem: Problem) -> float:
    """The norm of the gradient of the summed cost at the bad minimum, in float64."""
    with jax.enable_x64(True):
        data = jnp.asarray(problem.points_Nx2[:, :1]), jnp.asarray(problem.points_Nx2[:, 1])
        weights = jax.tree.map(jnp.asarray, problem.minimum)
        gradient = jax.jit(jax.grad(lambda weights: jnp.sum(cost(weights, data))))(weights)
        return float(jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in gradient)))


def minimum_claims() -> list[Claim]:
    """The costs of the minima, and that they are minima."""
    lines: list[Claim] = []
    for name, problem in (("D1", D1), ("D2", D2)):
        proof = nets.relu_cells.certify(problem.minimum, problem.points_Nx2[:, :1], problem.points_Nx2[:, 1])
        title, below, slope = f"{name}'s bad minimum: ", proof.cost - proof.bound, gradient_norm(problem)
        note = f"no cost below within {proof.radius:.3f} of each unit's (w, b), in any of the {proof.cells} cells there"
        lines += [
            one_claim(f"{name}/cost", title + "summed squared error", "number", problem.cost, SOURCE, proof.cost),
            one_claim(f"{name}/gradient", title + "norm of the gradient", "oracle", 0.0, COMPUTED, slope),
            one_claim(f"{name}/proof", title + "cost less its lower bound nearby", "oracle", 0.0, "proof", below, note),
        ]
    good = nets.relu_cells.certify(D2_GOOD, D2.points_Nx2[:, :1], D2.points_Nx2[:, 1])
    title = "D2 at w = (-5, 1): summed squared error"
    return [*lines, one_claim("D2/good_fit", title, "number", 0.0, SOURCE, good.cost)]


def one_claim(
    key: str, name: str, kind: Kind, published: float, source: str, value: float, note: str = "", within: float = 1e-9
) -> Claim:
    """A single number against what is published."""
    band = (published - within, published + within)
    return exact_claim(key, name, kind, source, value, band, published=published, note=note)


# ---------------------------------------------------------------------------------------------------------------------
# How often gradient descent gets stuck. C cells, H widths, L nets.


def success_of(points: str, activation: str, rate: float, size: Size) -> np.ndarray:
    """Whether each net of each width reaches zero error, [H, L]; each row of cells has draws of its own."""
    seed = size.seeds_from + 10 * list(PUBLISHED).index((points, activation))
    return success(points, activation, rate, size.nets, size.steps, seed)


def cell_claim(points: str, activation: str, place: int, reached_L: np.ndarray) -> Claim:
    """The share of nets of a cell that reach zero error. Its rival is the net of the other activation with the same
    width, which the band excludes; the note says what it holds of the next widths."""
    row, other = PUBLISHED[points, activation], "sigmoid" if activation == "relu" else "relu"
    share, rival, hidden = row[place] / 100, PUBLISHED[points, other][place] / 100, HIDDEN[place]
    low, high = max(share - WITHIN, 0.0), min(share + WITHIN, 1.0)
    band = (max(low, above(rival)), high) if rival < share else (low, min(high, below(rival)))
    beside = [row[i] / 100 for i in (place - 1, place + 1) if 0 <= i < len(row) and row[i] != row[place]]
    held = " and ".join(f"{value:g}" for value in beside if holds(band, value))
    return share_claim(
        f"{points}/{activation}/h{hidden}",
        f"{points}, {activation}, 2-{hidden}-1: share of nets that reach zero error",
        "number",
        SOURCE,
        reached_L,
        band,
        sample="nets",
        published=share,
        rival=f"the {other} net of that width, {rival:g}",
        rival_at=rival,
        exploratory=LOOKED,
        note=f"the band cannot tell it from the next width, {held}" if held else "",
    )


def joint_of(cells: Sequence[tuple[str, str]], reached: Sequence[np.ndarray]) -> tuple[Joint, np.ndarray, float]:
    """Whole rows against the published ones: chi-squared, what is published, and the mean difference."""
    published_C, reached_CxL = np.concatenate([PUBLISHED[cell] for cell in cells]) / 100, np.concatenate(reached)
    counts_C = np.full(len(reached_CxL), reached_CxL.shape[1])
    found = against_runs(reached_CxL.sum(axis=1), counts_C, published_C, PUBLISHED_RUNS)
    return found, published_C, float(np.mean(reached_CxL.mean(axis=1) - published_C))


def table_claims(successes: Reached) -> list[Claim]:
    """All cells jointly, and those of ReLU."""
    relu = {cell: reached for cell, reached in successes.items() if cell[1] == "relu"}
    lines: list[Claim] = []
    for key, words, cells in (("joint/all", "all cells", successes), ("joint/relu", "the cells of ReLU", relu)):
        found, published_C, apart = joint_of(list(cells), list(cells.values()))
        note = f"{100 * apart:+.1f} points in the mean, taking the paper to have made {PUBLISHED_RUNS} runs a cell"
        lines.append(joint_claim(key, words, "number", SOURCE, found, len(published_C), published_C, note, LOOKED))
    return lines


def row_claims(by_rate: dict[tuple[str, float], np.ndarray]) -> list[Claim]:
    """Of each set of points the ReLU row at that rate which comes closest to the published one."""
    lines: list[Claim] = []
    for points in dict.fromkeys(points for points, _ in by_rate):
        rows = {rate: joint_of([(points, "relu")], [row]) for (of, rate), row in by_rate.items() if of == points}
        best = max(rows, key=lambda rate: rows[rate][0].p)
        found, published_C, _ = rows[best]
        tried = ", ".join(f"{rate:g} ({100 * rows[rate][2]:+.1f} points)" for rate in sorted(rows))
        gives = "it gives the whole row" if found.p >= 0.05 else "no rate that was tried gives the whole row"
        note = f"closest at rate {best:g}: {gives}; tried {tried}; the choice is not corrected for"
        name = f"{points}, relu, the row at the closest of {len(rows)} rates"
        judged = found, len(published_C), published_C, note, LOOKED
        lines.append(joint_claim(f"row/{points}", name, "number", SOURCE, *judged))
    return lines


def success_claims(successes: Reached, by_rate: dict[tuple[str, float], np.ndarray]) -> list[Claim]:
    """The share of nets of each cell that reach zero error, the tables as wholes, and the order of the cells."""
    cells = [
        cell_claim(*cell, place, reached_L)
        for cell, reached_HxL in successes.items()
        for place, reached_L in enumerate(reached_HxL)
    ]
    published = [rate / 100 for cell in successes for rate in PUBLISHED[cell]]
    order = order_claim(published, np.concatenate(list(successes.values())))
    return [*cells, *table_claims(successes), *row_claims(by_rate), order]


def order_claim(published: list[float], reached_CxL: np.ndarray) -> Claim:
    """How many pairs of cells that are published far apart come in that order. A pair surely does, or surely does not,
    where the intervals of the two, which hold for all cells at once, do not overlap."""
    # In hundredths, where 15 points are 15.
    every = itertools.permutations(range(len(published)), 2)
    more, less = np.array([(i, j) for i, j in every if apart(published[i], published[j])]).T
    share_C, (low_C, high_C) = np.mean(reached_CxL, axis=1), toolkit.shares_at_once(reached_CxL)
    return interval_claim(
        "order",
        "pairs of cells published 15 points apart or more: share in the published order",
        "direction",
        SOURCE,
        float(np.mean(share_C[more] > share_C[less])),
        (float(np.mean(low_C[more] > high_C[less])), float(np.mean(high_C[more] > low_C[less]))),
        (below(1.0), 1.0),  # With nets enough the interval of a count of pairs is a point.
        count=reached_CxL.shape[1],
        sample=f"nets in each of {len(published)} cells, {len(more)} pairs",
        published=1.0,
        rival="a half, no order",
        rival_at=0.5,
        exploratory=LOOKED,
    )


def apart(more: float, less: float) -> bool:
    """Whether two shares are 15 points apart, which binary fractions would blur."""
    return round(100 * (more - less)) >= round(100 * WITHIN)


# ---------------------------------------------------------------------------------------------------------------------
# When noise does not help: walkers, W of them.


def changed(weights: Weights) -> jax.Array:
    """Whether a unit of D2's net is silent where it is active at the bad minimum, or the other way round.

    Without that the cost is at least 8/3. Where a unit of the minimum just begins it may be either.
    """
    z_NxH = D2.points_Nx2[:, :1] @ D2.minimum.w_DxH + D2.minimum.b_H[None, :]
    now_NxH = jnp.float32(D2.points_Nx2[:, :1]) @ weights.w_DxH + weights.b_H[None, :]
    # Written so that what is not a number counts as changed.
    same_NxH = jnp.where(jnp.asarray(z_NxH > 0), now_NxH > 0, now_NxH <= 0)
    return ~jnp.all(same_NxH | jnp.asarray(np.abs(z_NxH) < 1e-9))


def stays(_: Weights) -> jax.Array:
    """A walker that is only followed."""
    return jnp.bool_(False)


def walkers_at(share: float, count: int) -> Weights:
    """That many walkers on the straight line from D2's bad minimum, 0, to its good fit, 1."""
    between = jax.tree.map(lambda bad, good: jnp.float32(bad + share * (good - bad)), D2.minimum, D2_GOOD)
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), between)


def data_of_d2() -> tuple[jax.Array, jax.Array]:
    """Inputs and targets."""
    return jnp.float32(D2.points_Nx2[:, :1]), jnp.float32(D2.points_Nx2[:, 1])


def leaves(size: Size, rate: float, batch_size: int) -> np.ndarray:
    """Which of the walkers that start at D2's bad minimum are gone, [W]."""
    key, starts = jax.random.key(size.seeds_from + batch_size), walkers_at(0.0, size.walkers)
    found = nets.escape.first_passage(cost, starts, data_of_d2(), key, rate, batch_size, size.walk, changed)
    return ~np.asarray(found.censored_W)


def courses(size: Size, share: float, rate: float) -> np.ndarray:
    """The summed squared error of walkers with batch 1 at the start and after each part of the walk that is looked at,
    [looks + 1, W]."""
    walkers, key, data = walkers_at(share, size.walkers), jax.random.key(size.seeds_from), data_of_d2()
    totals = jax.jit(jax.vmap(lambda weights: jnp.sum(cost(weights, data))))
    courses = [totals(walkers)]
    for look in range(size.looks):
        part, steps = jax.random.fold_in(key, look), size.walk // size.looks
        walkers = nets.escape.first_passage(cost, walkers, data, part, rate, 1, steps, stays).params_W
        courses.append(totals(walkers))
    return np.array(courses)


def none_leave_claim(size: Size, left_RxW: np.ndarray) -> Claim:
    """The largest share that leaves of any setting, with an interval for all settings at once."""
    low_R, high_R = toolkit.shares_at_once(left_RxW)
    _, high = toolkit.shares_at_once(left_RxW.reshape(1, -1))
    settings = f"{len(WALK_RATES)} rates, batch {size.batches[0]} to {size.batches[-1]}"
    note = f"{left_RxW.sum():,} of {left_RxW.size:,} walkers: at most {100 * high[0]:.2g} % of all (95 % confidence)"
    return interval_claim(
        "leaves/none",
        f"SGD from D2's bad minimum: largest share that leaves ({settings})",
        "oracle",
        COMPUTED,
        float(left_RxW.mean(axis=1).max()),
        (float(low_R.max()), float(high_R.max())),
        (0.0, MOST_LEAVE),
        count=left_RxW.shape[1],
        sample=f"walkers at each of {len(left_RxW)} settings",
        published=0.0,
        rival="the control, of which all leave",
        rival_at=1.0,
        exploratory=RESTATED,
        note=note,
    )


def control_claims(control_W: np.ndarray, thrown_W: np.ndarray, half_way_W: np.ndarray) -> list[Claim]:
    """That somebody could be seen to leave, and to arrive."""
    worse = f"not for the better: they end at {thrown_W.min():.2f} or more; 14/3 is the least without the right unit"
    much = f"control, rate {CONTROL_RATE:g}, batch 1: share that leaves"
    fit = "control, from half-way to the good fit: share that ends below a tenth of 8/3"
    rows = (("leaves/control", much, control_W, worse), ("arrives/control", fit, half_way_W < D2.cost / 10, ""))
    words: Any = {"sample": "walkers", "rival": "nobody, 0", "rival_at": 0.0}
    return [
        share_claim(key, title, "ours", "control", is_W, (0.95, 1.0), note=note, **words)
        for key, title, is_W, note in rows
    ]


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    successes = {cell: success_of(*cell, RATES[cell[1]], size) for cell in PUBLISHED}
    by_rate = {(points, RATES["relu"]): successes[points, "relu"] for points in SETS}
    by_rate |= {(points, rate): success_of(points, "relu", rate, size) for points in SETS for rate in size.tried}
    left_RxW = np.array([leaves(size, rate, batch) for batch in size.batches for rate in WALK_RATES])
    bad, half_way = (courses(size, share, WALK_RATES[-1]) for share in (0.0, 0.5))
    control_W, thrown = leaves(size, CONTROL_RATE, 1), courses(size, 0.0, CONTROL_RATE)
    claims = [
        *minimum_claims(),
        *success_claims(successes, by_rate),
        none_leave_claim(size, left_RxW),
        *control_claims(control_W, thrown[-1], half_way[-1]),
    ]
    return draw(size, successes, by_rate, (bad, thrown, half_way)), claims


def draw(size: Size, successes: Reached, by_rate: dict[tuple[str, float], np.ndarray], walks: Sequence[Any]) -> Any:
    """The two bad fits, the success rates, and the walkers."""
    figure, axes = figures.new_figure(15, 9, 3, 2)
    draw_fits(axes[0], D1, ((D1.minimum, f"minimum, cost {D1.cost:.0f}", "tab:red"),), (-2, 6))
    fits = ((D2.minimum, "minimum, cost 8/3", "tab:red"), (D2_GOOD, "the same net, cost 0", "tab:green"))
    draw_fits(axes[1], D2, fits, (-2, 13))
    axes[0].set_title("D1: one unit is stuck, two points unseen")
    axes[1].set_title("D2: two units are stuck, yet could fit all")
    for axis, name in zip(axes[3:5], SETS, strict=True):
        draw_success(axis, name, successes)
        rate, label = size.tried[0], f"relu at rate {size.tried[0]:g}"
        axis.plot(HIDDEN, 100 * np.mean(by_rate[name, rate], axis=1), ":", color="tab:blue", label=label)
        axis.legend(loc="lower right")
    draw_walkers(axes[2], size, walks)
    draw_points(axes[5])
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure


def draw_fits(axis: Any, problem: Problem, fits: Sequence[tuple[Weights, str, str]], ends: tuple[int, int]) -> None:
    """A problem's points and what nets make of them."""
    grid = np.linspace(*ends, 400)
    for weights, label, colour in fits:
        output = np.maximum(grid[:, None] @ weights.w_DxH + weights.b_H, 0) @ weights.v_H + weights.c
        axis.plot(grid, output, color=colour, label=label)
    axis.plot(*problem.points_Nx2.T, "ko", label="data")
    low, high = problem.points_Nx2[:, 1].min(), problem.points_Nx2[:, 1].max()
    axis.set(xlabel="x", ylabel="y", ylim=(low - 1, high + 1))
    axis.legend()


def draw_success(axis: Any, name: str, successes: Reached) -> None:
    """Success rates by width with 95 % intervals, and the published ones with their bands."""
    for activation, colour in (("sigmoid", "tab:orange"), ("relu", "tab:blue")):
        reached_HxL, published = successes[name, activation], np.array(PUBLISHED[name, activation])
        rate_H, count = 100 * np.mean(reached_HxL, axis=1), reached_HxL.shape[1]
        low_H, high_H = nets.escape.wilson(reached_HxL.sum(axis=1), np.full(len(HIDDEN), count))
        errors = np.maximum([rate_H - 100 * low_H, 100 * high_H - rate_H], 0)
        label = f"{activation}, {count:,} nets"
        axis.errorbar(HIDDEN, rate_H, errors, color=colour, marker=".", capsize=3, label=label)
        axis.plot(HIDDEN, published, "*", color=colour, markersize=10, markeredgecolor="black")
        band = published - 100 * WITHIN, np.minimum(published + 100 * WITHIN, 100)
        axis.fill_between(HIDDEN, *band, color=colour, alpha=0.12)
    axis.plot([], [], "k*", markersize=10, label="published, and 15 points")
    axis.set(xlabel="hidden units h", ylabel="nets that reach zero error, %", ylim=(0, 104), xticks=HIDDEN)
    axis.set_title(f"{name}: sigmoids get stuck less often")
    axis.legend(loc="lower right")


def draw_walkers(axis: Any, size: Size, walks: Sequence[np.ndarray]) -> None:
    """The costs of some walkers from the bad minimum, at two rates, and from half-way to the good fit."""
    steps, rate = np.linspace(0, size.walk, size.looks + 1), WALK_RATES[-1]
    groups = (
        ("tab:red", f"from the minimum, rate {rate:g}: all stay"),
        ("tab:orange", f"from the minimum, rate {CONTROL_RATE:g}: a unit dies"),
        ("tab:green", f"from half-way to the good fit, rate {rate:g}"),
    )
    for course, (colour, label) in zip(walks, groups, strict=True):
        axis.plot(steps, course[:, :DRAWN], color=colour, alpha=0.25, linewidth=0.8)
        axis.plot([], [], color=colour, label=label)
    axis.axhline(D2.cost, color="black", linestyle="--", label="8/3: the least without leaving")
    axis.set(yscale="log", xlabel="step of SGD", ylabel="summed squared error")
    # Room for the legend.
    low, high = axis.get_ylim()
    axis.set_ylim(low, high * (high / low) ** 0.4)
    least = min(np.min(walk) for walk in walks[:2])
    axis.set_title(f"D2: noise does not help, least cost {least:.3f}")
    axis.legend(fontsize=8, loc="upper left")


def draw_points(axis: Any) -> None:
    """The four points of XOR and Jellyfish."""
    for (name, points_Bx2), marker, size in zip(SETS.items(), ("o", "^"), (15, 8), strict=True):
        for of_class, colour in ((TARGETS_B == 1, "tab:purple"), (TARGETS_B == 0, "tab:cyan")):
            sign = "+" if colour == "tab:purple" else "-"
            style = {"color": colour, "marker": marker, "markersize": size, "linestyle": "", "alpha": 0.7}
            axis.plot(*points_Bx2[of_class].T, label=f"{name}, {sign}", **style)
    axis.set(xlabel="first input", ylabel="second input", aspect="equal", xlim=(-0.15, 1.15), ylim=(-0.15, 1.15))
    axis.set_title("The four points of each set")
    axis.legend(loc="center", fontsize=8, markerscale=0.5)


STUDY = Study(
    question="Is there data on which a ReLU net surely gets stuck, how often do small ones, and does noise help?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
    fresh_seeds=FRESHER_SEEDS,
)

if __name__ == "__main__":
    command.main(STUDY)
