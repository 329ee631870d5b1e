"""What can Rosenblatt's perceptron decide, what can it learn, and what not?

    python -m experiments.lecture.perceptron [--workdir=runs/perceptron]      5 seconds on 2 cores

The lecture's hot dog detector fires when ketchup (weight 3), mustard (2) and bun (6) add up to more than 4. The
learning rule is then started at zero on points that a line separates: it makes at most (R / margin)^2 mistakes, R the
largest norm of (x, 1) and the margin the least distance of an (x, 1) from a plane through the origin that separates
them (Novikoff 1962); here that plane is the one by which the points were labelled. On XOR, which no line separates
(Minsky & Papert 1969), it never ends. Bands: the published and the proven numbers themselves.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments.study import command
from experiments.study.claims import Claim, Words, exact_claim
from experiments.study.study import Study
from training import figures

INGREDIENTS, WEIGHTS, THRESHOLD = ("ketchup", "mustard", "bun"), (3.0, 2.0, 6.0), 4.0
POINTS, MARGIN, PASSES = 60, 0.1, 1_000
XOR_INPUTS, XOR_LABELS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0], np.float32)
# By key: the name, the meal, the sum of its weights and the output.
MEALS = {
    "detector/ketchup_and_mustard": ("ketchup and mustard: sum 5 > 4, output", (1, 1, 0), 5.0, 1.0),
    "detector/mustard": ("mustard alone: sum 2, output", (0, 1, 0), 2.0, 0.0),
    "detector/bun": ("bun alone: sum 6 > 4, output", (0, 0, 1), 6.0, 1.0),
}
LECTURE, NOVIKOFF, MINSKY = "lecture, the hot dog detector (P)", "Novikoff 1962", "Minsky & Papert 1969"


class Size(NamedTuple):
    """How many sets of separable points are learnt, and in how many passes over each."""

    sets: int
    passes: int


class Learnt(NamedTuple):
    """What the learning rule did: the first set's points and unit; each set's mistakes in all, mistakes in the last
    pass and Novikoff's bound, [S]; and the mistakes on XOR in each pass, [P]."""

    points: tuple[np.ndarray, np.ndarray]
    unit: nets.perceptron.Perceptron
    total_S: np.ndarray
    last_S: np.ndarray
    bounds_S: np.ndarray
    xor_P: np.ndarray


def detector_table(
    weights: Sequence[float] = WEIGHTS, threshold: float = THRESHOLD
) -> list[tuple[tuple[int, ...], float, int]]:
    """All eight meals with the sum of their weights and the detector's output."""
    unit = nets.perceptron.from_threshold(np.array(weights), threshold)
    meals = list(itertools.product((0, 1), repeat=len(weights)))
    fires = np.asarray(nets.perceptron.forward(unit, np.array(meals, np.float32)))
    return [(meal, float(np.dot(meal, weights)), int(out)) for meal, out in zip(meals, fires, strict=True)]


def table_lines(table: list[tuple[tuple[int, ...], float, int]]) -> list[str]:
    """The detector as a table to read."""
    lines = ["".join(f"{name:>9}" for name in INGREDIENTS) + "   sum   output"]
    for meal, total, out in table:
        compared = f"{total:g} {'>' if out else '<='} {THRESHOLD:g}"
        lines.append("".join(f"{x:>9}" for x in meal) + f"   {compared:<7} {out}  {'hot dog' if out else ''}".rstrip())
    return lines


def separable(seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Points of [-1, 1]^2 that a random line separates by a margin, their labels, and Novikoff's bound."""
    random = np.random.default_rng(seed)
    angle, bias = random.uniform(0, 2 * np.pi), random.uniform(-0.3, 0.3)
    normal = np.array([np.cos(angle), np.sin(angle), bias])
    normal /= np.linalg.norm(normal)
    points = random.uniform(-1, 1, (40 * POINTS, 2))
    heights = np.c_[points, np.ones(len(points))] @ normal
    points, heights = points[np.abs(heights) > MARGIN][:POINTS], heights[np.abs(heights) > MARGIN][:POINTS]
    radius = np.linalg.norm(np.c_[points, np.ones(POINTS)], axis=1).max()
    return points.astype(np.float32), (heights > 0).astype(np.float32), (radius / np.abs(heights).min()) ** 2


@functools.partial(jax.jit, static_argnames="passes")
def learn(
    x_BxD: np.ndarray, labels_B: np.ndarray, passes: int = PASSES
) -> tuple[nets.perceptron.Perceptron, jax.Array]:
    """The learning rule from zero, pass after pass, and its mistakes in each, [passes]."""

    def one_pass(unit: nets.perceptron.Perceptron, _: None) -> tuple[nets.perceptron.Perceptron, jax.Array]:
        unit, metrics = nets.perceptron.learn_epoch(unit, 1.0, x_BxD, labels_B)
        return unit, metrics["mistakes"]

    start = nets.perceptron.Perceptron(jnp.zeros(x_BxD.shape[1]), jnp.float32(0.0))
    return jax.lax.scan(one_pass, start, length=passes)


def learn_all(size: Size) -> Learnt:
    """The learning rule on every set of points, and on XOR."""
    points = [separable(seed) for seed in range(size.sets)]
    units, mistakes = zip(*(learn(x_BxD, labels_B, size.passes) for x_BxD, labels_B, _ in points), strict=True)
    mistakes_SxP = np.array([np.asarray(mistakes_P) for mistakes_P in mistakes])
    bounds_S = np.array([bound for _, _, bound in points])
    _, xor_P = learn(XOR_INPUTS, XOR_LABELS, size.passes)
    return Learnt(points[0][:2], units[0], mistakes_SxP.sum(axis=1), mistakes_SxP[:, -1], bounds_S, np.asarray(xor_P))


def claims_of(table: list[tuple[tuple[int, ...], float, int]], learnt: Learnt) -> list[Claim]:
    """The detector's outputs, which count only with the right sums; then what is proven of the learning rule."""
    found, claims = {meal: (total, out) for meal, total, out in table}, list[Claim]()
    for key, (name, meal, right_sum, right) in MEALS.items():
        total, out = found[meal]
        output, band = out if total == right_sum else math.nan, (right, right)
        words: Words = {"rival": f"{1 - right:g}", "rival_at": 1 - right}
        claims.append(exact_claim(key, name, "number", LECTURE, output, band, published=right, **words))
    of_sets = "separable points: share of sets"
    for key, name, source, holds, sample in (
        ("separable/learnt", f"{of_sets} learnt without a mistake left", NOVIKOFF, learnt.last_S == 0, "sets"),
        (
            "separable/bound",
            f"{of_sets} within the bound on mistakes",
            NOVIKOFF,
            learnt.total_S <= learnt.bounds_S,
            "sets",
        ),
        ("xor/mistakes", "XOR: share of passes with a mistake", MINSKY, learnt.xor_P > 0, "passes"),
    ):
        # The theorems leave nothing to chance: one exception would refute them.
        count, band = {"count": len(holds), "sample": sample}, (1.0, 1.0)
        claims.append(exact_claim(key, name, "oracle", source, float(holds.mean()), band, published=1.0, **count))
    return claims


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    table = detector_table()
    print("\n".join(table_lines(table)))
    learnt = learn_all(size)
    return draw(learnt), claims_of(table, learnt)


def draw(learnt: Learnt) -> Any:
    """The detector's boundary, a learnt boundary, mistakes against the bound, and XOR."""
    total_S, bounds_S, xor_P = learnt.total_S, learnt.bounds_S, learnt.xor_P
    figure, axes = figures.new_figure(18, 4.3, 4)
    across = np.linspace(-0.5, 1.5, 2)
    for bun, colour in ((0, "tab:blue"), (1, "tab:orange")):
        axes[0].plot(across, (THRESHOLD - WEIGHTS[2] * bun - WEIGHTS[0] * across) / WEIGHTS[1], color=colour)
        axes[0].plot([], [], color=colour, label=f"boundary, bun={bun}")
    for meal, _, out in detector_table():
        shift = 0.04 * meal[2]
        axes[0].plot(meal[0] + shift, meal[1] + shift, "o", ms=9, mfc="tab:red" if out else "white", mec=f"C{meal[2]}")
    axes[0].set(
        xlabel="ketchup", ylabel="mustard", xlim=(-0.3, 1.4), ylim=(-2, 2.4), title="Filled: the detector fires"
    )
    axes[0].legend()
    x_BxD, labels_B = learnt.points
    axes[1].scatter(*x_BxD.T, c=labels_B, cmap="coolwarm", s=18)
    w, b = np.asarray(learnt.unit.weights_D), float(learnt.unit.bias)
    line = np.linspace(-1, 1, 2)
    axes[1].plot(line, -(w[0] * line + b) / w[1], "k", label="learnt boundary")
    axes[1].set(xlabel="x1", ylabel="x2", xlim=(-1.1, 1.1), ylim=(-1.1, 1.4))
    axes[1].set_title(f"Separable points: {int(total_S[0])} mistakes, then none")
    axes[1].legend(loc="upper right")
    axes[2].loglog(bounds_S, np.maximum(total_S, 1), "o", alpha=0.5)
    span = [bounds_S.min(), bounds_S.max()]
    axes[2].plot(span, span, "k--", label="Novikoff's bound")
    axes[2].set(xlabel="(R / margin)^2", ylabel="mistakes until all are right")
    axes[2].set_title(f"{(total_S <= bounds_S).sum()} of {len(bounds_S)} sets within the bound")
    axes[2].legend()
    axes[3].plot(np.arange(1, 51), xor_P[:50], "o-", ms=3)
    axes[3].set(xlabel="pass over the four points", ylabel="mistakes", ylim=(0, 4.2))
    axes[3].set_title(f"XOR: {int(xor_P.min())} mistakes or more\nin each of {len(xor_P):,} passes")
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure


STUDY = Study(
    question="What can Rosenblatt's perceptron decide, what can it learn, and what not?",
    run=run,
    sizes={"tiny": Size(2, 60), "quick": Size(100, PASSES)},
)

if __name__ == "__main__":
    command.main(STUDY)
