"""What can Rosenblatt's perceptron decide, what can it learn, and what not?

    python -m experiments.lecture.perceptron [--workdir=runs/perceptron]      5 seconds on 2 cores

The lecture's hot dog detector fires when ketchup (weight 3), mustard (2) and bun (6) add up to more than 4. The
learning rule is then started at zero on points that a line separates: it makes at most (R / margin)^2 mistakes, R the
largest norm of (x, 1) and the margin the least distance of an (x, 1) from a plane through the origin that separates
them (Novikoff 1962); here that plane is the one by which the points were labelled. On XOR, which no line separates
(Minsky & Papert 1969), it never ends.

Measured: 6 of 6 (2026-11-23, 2 cores).
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments import studies
from training import figures

INGREDIENTS, WEIGHTS, THRESHOLD = ("ketchup", "mustard", "bun"), (3.0, 2.0, 6.0), 4.0
SETS, POINTS, MARGIN, MOST_PASSES = 100, 60, 0.1, 1_000
XOR_INPUTS, XOR_LABELS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0], np.float32)


def detector_table() -> list[tuple[tuple[int, ...], float, int]]:
    """All eight meals with the sum of their weights and the detector's output."""
    unit = nets.perceptron.from_threshold(np.array(WEIGHTS), THRESHOLD)
    meals = list(itertools.product((0, 1), repeat=len(WEIGHTS)))
    fires = np.asarray(nets.perceptron.forward(unit, np.array(meals, np.float32)))
    return [(meal, float(np.dot(meal, WEIGHTS)), int(out)) for meal, out in zip(meals, fires, strict=True)]


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


@jax.jit
def learn(x_BxD: jax.Array, labels_B: jax.Array) -> tuple[nets.perceptron.Perceptron, jax.Array]:
    """The learning rule from zero, pass after pass, and its mistakes in each, [MOST_PASSES]."""

    def one_pass(unit, _):
        unit, metrics = nets.perceptron.learn_epoch(unit, 1.0, x_BxD, labels_B)
        return unit, metrics["mistakes"]

    start = nets.perceptron.Perceptron(jnp.zeros(x_BxD.shape[1]), jnp.float32(0.0))
    return jax.lax.scan(one_pass, start, length=MOST_PASSES)


def study() -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    table = detector_table()
    print("\n".join(table_lines(table)))
    found = {meal: (total, out) for meal, total, out in table}
    points = [separable(seed) for seed in range(SETS)]
    mistakes_S, units = [], []
    for x_BxD, labels_B, _ in points:
        unit, mistakes_P = learn(x_BxD, labels_B)
        units.append(unit)
        mistakes_S.append(np.asarray(mistakes_P))
    bounds = np.array([bound for _, _, bound in points])
    total_S, last_S = np.array([m.sum() for m in mistakes_S]), np.array([m[-1] for m in mistakes_S])
    _, xor_P = learn(XOR_INPUTS, XOR_LABELS)
    lecture, novikoff = "lecture, the hot dog detector", "Novikoff 1962"
    rows = [
        ("ketchup and mustard: sum 5 > 4, output", 1.0, lecture, [found[1, 1, 0][1] * (found[1, 1, 0][0] == 5)]),
        ("mustard alone: sum 2, output", 0.0, lecture, [found[0, 1, 0][1] + (found[0, 1, 0][0] != 2)]),
        ("bun alone: sum 6 > 4, output", 1.0, lecture, [found[0, 0, 1][1] * (found[0, 0, 1][0] == 6)]),
        ("separable points: share of sets learnt without a mistake left", 1.0, novikoff, last_S == 0),
        ("separable points: share of sets within the bound on mistakes", 1.0, novikoff, total_S <= bounds),
        ("XOR: share of passes with a mistake", 1.0, "Minsky & Papert 1969", np.asarray(xor_P) > 0),
    ]
    claims = []
    for name, published, source, values in rows:
        values = np.asarray(values, float)
        claims.append(studies.claim(name, published, source, values, values.mean(), (published, published)))
    return draw(points[0], units[0], total_S, bounds, np.asarray(xor_P)), claims


def draw(points, unit, total_S: np.ndarray, bounds_S: np.ndarray, xor_P: np.ndarray):
    """The detector's boundary, a learnt boundary, mistakes against the bound, and XOR."""
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
    x_BxD, labels_B, _ = points
    axes[1].scatter(*x_BxD.T, c=labels_B, cmap="coolwarm", s=18)
    w, b = np.asarray(unit.weights_D), float(unit.bias)
    line = np.linspace(-1, 1, 2)
    axes[1].plot(line, -(w[0] * line + b) / w[1], "k", label="learnt boundary")
    axes[1].set(xlabel="x1", ylabel="x2", xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
    axes[1].set_title(f"Separable points: {int(total_S[0])} mistakes, then none")
    axes[1].legend()
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


if __name__ == "__main__":
    studies.main(study)
