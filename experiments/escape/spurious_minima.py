"""How often does gradient descent get stuck where the data are unlimited and the net is learnable?

    python -m experiments.escape.spurious_minima [--budget=full]      30 seconds on 2 cores, full 7 minutes

Source: Safran & Shamir, Spurious local minima are common in two-layer ReLU neural networks, ICML 2018: a student of k
ReLU neurons, a teacher of k orthonormal ones, Gaussian inputs, and the cost over all of them in closed form
(`nets.student_teacher`). Gradient descent from Xavier's weights with steps of 5 / k, in float64, for 4,000 steps (full
budget: 8,000) or until every gradient's norm is below 1e-9. A run is trapped where its cost is above .005 then: the
spurious minima that are found cost .01 or more, and all other runs go to 0.

The paper's stored minimum at k = 7 is printed as a matrix whose columns, not rows, are the neurons: six of them have
.9969 at one input of their own, -.0351 at five and .2617 at the seventh; the seventh has .1860 at six and -.6327 at
the seventh. Read by rows the same numbers cost .0619 and are no critical point.

Bands, set before the run: the cost of that minimum within 1e-7 of .0232027, the gradient's norm below 1e-8, the
smallest eigenvalue of the Hessian above 0; of 200 runs (1,000 at k = 6; full: 1,000, and 2,500 at these three k) are
trapped at k = 6 at most 2 %, at k = 10 from 30 to 42 %, at k = 20 more than 90 % (the step is the paper's, so that no
other is searched for; jointly they say no more); and the share rises with k: from one k to the next it falls
by no more than the 95 % interval of such a difference, while the shares of k = 10 and 20 the other way round would fall
by several times that. At least 95 % of the trapped runs whose gradient has vanished are at a strict minimum at k = 6 to
10 (that all are, as was claimed first, no sample of them can show: this wider band is exploratory).

Source of the direction: the paper's abstract, which was read: such minima are hit often, and more often the larger the
net. The three shares are recalled, as its table could not be found in a text, so that their bands are ours. Where
half of many runs stand still, these go no further.
"""

import math
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import nets
from experiments.engine import lanes
from experiments.study import command
from experiments.study.claims import Claim, against, exact_claim, interval_claim, share_claim
from experiments.study.study import Study
from training import figures

CHUNK, STEP = 100, 5.0
# Lanes that stand still drop out once half do; of so many or fewer all go on until the last one stands still.
FEWEST_TO_DROP = 100
# Up to here every trapped run is certified: a Hessian of 400 parameters for each of 190 runs would take minutes.
CERTIFIED = 10
# The bands of the shares, by k.
BANDS: dict[int, tuple[float, float]] = {6: (0.0, 0.02), 10: (0.30, 0.42), 20: (0.90, 1.0)}
OWN, OTHERS, LAST, FROM_LAST, LAST_OWN = 0.9969227988, -0.0350801559, 0.2616910758, 0.1859910463, -0.6327039049
STORED_COST = 0.0232027
SOURCE, RECALLED = "Safran & Shamir 2018, abstract (P)", "after Safran & Shamir 2018, whose shares are recalled"
COMPUTED = "computed independently beforehand"
# What the share of one k has to be told from: that of another, the middle of its band.
RIVALS = {6: (10, 0.36), 10: (20, 0.95), 20: (10, 0.36)}
LEAST_STRICT = 0.95
RESTATED = "the band was 1 alone, which no sample can show; it is wider since all had been seen to be strict"


class Size(NamedTuple):
    """How many neurons, runs and steps, what counts as trapped and as standing still, and the first seed."""

    neurons: tuple[int, ...]
    runs: int
    steps: int
    more: dict[int, int]  # Runs at the k where it is another number.
    floor: float = 5e-3  # Trapped are those whose cost is above.
    still: float = 1e-9  # The norm of the gradient of those that stand still is below.
    seeds_from: int = 0


FULL = Size(tuple(range(6, 21)), 1_000, 8_000, dict.fromkeys(BANDS, 2_500))
# Those of k = 6 cost next to nothing.
QUICK = Size((6, 8, 10, 14, 20), 200, 4_000, {6: 1_000})
# At their start, nets are everything.
TINY = Size((7, 20), 4, 100, {}, floor=-1.0, still=9.0)


def cost(student_KxD: jax.Array, teachers_BxMxD: jax.Array) -> jax.Array:
    """The population cost against each of a batch of teachers, as `nets.escape` asks for."""
    return jax.vmap(nets.student_teacher.population_cost, (None, 0))(student_KxD, teachers_BxMxD)


def stored_minimum() -> np.ndarray:
    """The paper's minimum at k = 7, [K, D]."""
    weights_KxD = np.full((7, 7), OTHERS)
    np.fill_diagonal(weights_KxD, OWN)
    weights_KxD[:6, 6], weights_KxD[6, :6], weights_KxD[6, 6] = LAST, FROM_LAST, LAST_OWN
    return weights_KxD


# ---------------------------------------------------------------------------------------------------------------------
# Many runs. L lanes, one a run.


class Runs(NamedTuple):
    """The ends of the runs with some number of neurons: weights [L, K, K], costs, which are trapped and which stand
    still; costs on the way, [chunks + 1, L]."""

    weights_LxKxD: np.ndarray
    costs_L: np.ndarray
    trapped_L: np.ndarray
    still_L: np.ndarray
    courses_CxL: np.ndarray


@jax.jit
def descend(weights_LxKxD: jax.Array, teacher_KxD: jax.Array, rate: float, steps: int) -> tuple[jax.Array, ...]:
    """That many steps of gradient descent: the weights, their costs and the norms of their gradients."""
    population_cost = nets.student_teacher.population_cost
    value_and_slope = jax.vmap(jax.value_and_grad(population_cost), (0, None))

    def step(_, weights_LxKxD: jax.Array) -> jax.Array:
        return weights_LxKxD - rate * value_and_slope(weights_LxKxD, teacher_KxD)[1]

    weights_LxKxD = jax.lax.fori_loop(0, steps, step, weights_LxKxD)
    costs_L, slope_LxKxD = value_and_slope(weights_LxKxD, teacher_KxD)
    return weights_LxKxD, costs_L, jnp.linalg.norm(slope_LxKxD, axis=(1, 2))


def runs_of(neurons: int, size: Size) -> Runs:
    """Descents of students with that many neurons, until they stand still or their steps are over."""
    count = size.more.get(neurons, size.runs)
    keys = jax.random.split(jax.random.key(size.seeds_from + neurons), count)
    teacher, rate = np.eye(neurons), STEP / neurons
    with jax.enable_x64(True):
        weights_LxKxD = np.array(jax.vmap(lambda key: nets.student_teacher.initial_weights(key, neurons))(keys))
        costs_L, norms_L, going_L = np.empty(count), np.empty(count), np.arange(count)
        courses, weights = list[np.ndarray](), spread(weights_LxKxD)
        while not courses or (len(courses) <= size.steps // CHUNK and norms_L.max() > size.still):
            weights, costs, norms = descend(weights, teacher, rate, CHUNK if courses else 0)
            costs_L[going_L], norms_L[going_L] = costs, norms
            courses.append(costs_L.copy())
            # Those that stand still go no further, once they are so many that another program is worth its making.
            half = count_for_devices(len(going_L) // 2)
            if len(going_L) > FEWEST_TO_DROP and np.sum(norms_L[going_L] > size.still) <= half:
                weights_LxKxD[going_L] = weights
                going_L = going_L[np.argsort(-norms_L[going_L], kind="stable")[:half]]
                weights = spread(weights_LxKxD[going_L])
        weights_LxKxD[going_L] = weights
    return Runs(weights_LxKxD, costs_L, costs_L > size.floor, norms_L < size.still, np.array(courses))


def count_for_devices(count: int) -> int:
    """So many lanes or a few more, which are spread evenly over this machine's devices."""
    return -(-count // jax.local_device_count()) * jax.local_device_count()


def spread(weights_LxKxD: np.ndarray) -> jax.Array:
    """The lanes over as many of this machine's devices as have equally many."""
    mesh = lanes.make_mesh(math.gcd(len(weights_LxKxD), jax.local_device_count()))
    return jax.device_put(weights_LxKxD, NamedSharding(mesh, PartitionSpec("rows")))


def certified(runs: Runs) -> np.ndarray:
    """Whether each trapped run that stands still is at a strict minimum, by gradient and Hessian."""
    teachers_1xMxD = np.eye(runs.weights_LxKxD.shape[1])[None]
    chosen = runs.weights_LxKxD[runs.trapped_L & runs.still_L]
    return np.array([nets.escape.is_minimum(cost, weights_KxD, teachers_1xMxD).holds for weights_KxD in chosen])


# ---------------------------------------------------------------------------------------------------------------------
# The claims.


def stored_claims() -> list[Claim]:
    """The paper's minimum at k = 7, after Newton's method."""
    teachers_1xMxD = np.eye(7)[None]
    found = nets.escape.is_minimum(cost, nets.escape.polish(cost, stored_minimum(), teachers_1xMxD), teachers_1xMxD)
    least, eigenvalue = "smallest eigenvalue of the Hessian, > 0", found.smallest_eigenvalue
    rows = (
        (
            "cost",
            "cost",
            STORED_COST,
            found.cost,
            (STORED_COST - 1e-7, STORED_COST + 1e-7),
            "read by rows, .0619",
            0.0619,
        ),
        ("gradient", "norm of the gradient", 0.0, found.gradient_norm, (0.0, 1e-8), "read by rows, above .3", 0.3),
        ("eigenvalue", least, None, eigenvalue, (1e-9, None), "a saddle, below 0", 0.0),
    )
    return [
        exact_claim(
            f"stored/{key}",
            f"stored minimum at k = 7: {name}",
            "oracle",
            COMPUTED,
            value,
            band,
            published=published,
            rival=rival,
            rival_at=rival_at,
        )
        for key, name, published, value, band, rival, rival_at in rows
    ]


def share_claims(found: dict[int, Runs]) -> list[Claim]:
    """The shares of trapped runs."""
    return [
        share_claim(
            f"trapped/k{neurons}",
            f"k = {neurons}: share of {len(found[neurons].trapped_L)} runs that are trapped",
            "ours",
            RECALLED,
            found[neurons].trapped_L,
            band,
            sample="runs",
            rival=f"what k = {RIVALS[neurons][0]} has, {RIVALS[neurons][1]:g}",
            rival_at=RIVALS[neurons][1],
            note=f"{int(np.sum(~found[neurons].still_L))} runs still move at the end",
        )
        for neurons, band in BANDS.items()
        if neurons in found
    ]


def rise_claim(found: dict[int, Runs]) -> Claim:
    """Whether the share rises with k: the largest fall from one k to the next, in standard errors.

    Each fall is known to one standard error, and all of them at once by Bonferroni's inequality; two shares that are
    both 0 or both 1 have no error to measure by, and leave it open.
    """
    share_K = np.array([np.mean(runs.trapped_L) for runs in found.values()])
    count_K = np.array([len(runs.trapped_L) for runs in found.values()])
    variance_K = share_K * (1 - share_K) / count_K
    error_K = np.sqrt(variance_K[1:] + variance_K[:-1])
    fall_K = -np.diff(share_K) / np.where(error_K > 0, error_K, 1)
    most, half = float(fall_K.max()), NormalDist().inv_cdf(1 - 0.025 / len(fall_K))
    high = most + half if np.all((error_K > 0) | (fall_K < 0)) else math.inf
    line = interval_claim(
        "trapped/largest_fall",
        "largest fall of the share from one k to the next, in standard errors",
        "direction",
        SOURCE,
        max(0.0, most),
        (max(0.0, most - half), max(0.0, high)),
        (0.0, 1.96),
        count=int(count_K.min()),
        sample=f"runs or more at each of {len(share_K)} k",
        published=0.0,
        values=fall_K,
    )
    # The shares of two k by the middles of their bands, of as many runs as these are.
    (_, more), (_, less) = RIVALS[10], RIVALS[20]
    fall = (more - less) / math.sqrt((more * (1 - more) + less * (1 - less)) / int(count_K.min()))
    return against(line, f"the shares of k = 10 and 20 the other way round, {fall:.1f}", fall)


def strict_claims(found: dict[int, Runs]) -> list[Claim]:
    """Of the runs up to CERTIFIED that are trapped and stand still, how many are at a strict minimum; nothing where
    there are none."""
    holds = np.concatenate([certified(runs) for neurons, runs in found.items() if neurons <= CERTIFIED])
    if not len(holds):
        return []
    name = f"k up to {CERTIFIED}: share of the trapped runs that stand still at a strict minimum"
    words: Any = {"published": 1.0, "rival": "saddles and slow descents, 0", "rival_at": 0.0, "exploratory": RESTATED}
    band, source = (LEAST_STRICT, 1.0), "gradient and Hessian"
    return [share_claim("trapped/strict", name, "oracle", source, holds, band, sample="trapped runs", **words)]


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    found = {neurons: runs_of(neurons, size) for neurons in size.neurons}
    claims = [*stored_claims(), *share_claims(found), rise_claim(found), *strict_claims(found)]
    return draw(found), claims


def draw(found: dict[int, Runs]) -> Any:
    """The stored minimum, the courses of one k, and the shares."""
    figure, axes = figures.new_figure(16, 4.8, 3)
    weights_KxD = stored_minimum()
    picture = axes[0].imshow(weights_KxD, cmap="RdBu_r", vmin=-1, vmax=1)
    for (i, j), weight in np.ndenumerate(weights_KxD):
        colour = "white" if abs(weight) > 0.6 else "black"
        axes[0].text(j, i, f"{weight:.2f}", ha="center", va="center", fontsize=8, color=colour)
    axes[0].set(xlabel="input, each seen by one neuron of the teacher", ylabel="neuron of the student")
    axes[0].set_xticks(range(7), [str(i + 1) for i in range(7)])
    axes[0].set_yticks(range(7), [str(i + 1) for i in range(7)])
    axes[0].set_title("A minimum at k = 7: the last neuron points away")
    figure.colorbar(picture, ax=axes[0], label="weight", shrink=0.8)
    neurons = 10 if 10 in found else min(found)
    draw_courses(axes[1], neurons, found[neurons])
    draw_shares(axes[2], found)
    return figure


def draw_courses(axis: Any, neurons: int, runs: Runs) -> None:
    """The cost of each run on its way."""
    trapped_L, steps = runs.trapped_L, CHUNK * np.arange(len(runs.courses_CxL))
    # What has reached 0 but for rounding stays on the picture.
    shown_CxL = np.maximum(runs.courses_CxL, 1e-12)
    for group, colour, words in ((~trapped_L, "tab:green", "reach 0"), (trapped_L, "tab:red", "are trapped")):
        axis.plot(steps, shown_CxL[:, group], color=colour, alpha=0.2, linewidth=0.8)
        axis.plot([], [], color=colour, label=f"{group.sum()} runs {words}")
    axis.set(yscale="log", xlabel="step of gradient descent", ylabel="population cost")
    axis.set_title(f"k = {neurons}: {100 * trapped_L.mean():.0f} % of the runs end above 0")
    axis.grid(alpha=0.3)
    axis.legend(loc="center right")


def draw_shares(axis: Any, found: dict[int, Runs]) -> None:
    """The share of trapped runs by the number of neurons, with 95 % intervals and the published ranges."""
    count_K = np.array([np.sum(runs.trapped_L) for runs in found.values()])
    runs_K = np.array([len(runs.trapped_L) for runs in found.values()])
    low_K, high_K = nets.escape.wilson(count_K, runs_K)
    share_K = count_K / runs_K
    errors = 100 * np.maximum([share_K - low_K, high_K - share_K], 0)
    label = f"trapped, of {runs_K.min():,} runs or more"
    axis.errorbar(list(found), 100 * share_K, errors, marker="o", capsize=3, label=label)
    for neurons, (low, high) in BANDS.items():
        axis.fill_between([neurons - 0.4, neurons + 0.4], 100 * low, 100 * high, color="tab:green", alpha=0.3)
    axis.fill_between([], [], [], color="tab:green", alpha=0.3, label="band")
    axis.set(xlabel="neurons k of student and teacher", ylabel="runs that are trapped, %", ylim=(-2, 102))
    axis.set_title("The larger the net, the more often it is trapped")
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right")


STUDY = Study(
    question="How often does gradient descent get stuck where the data are unlimited and the net is learnable?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
)

if __name__ == "__main__":
    command.main(STUDY)
