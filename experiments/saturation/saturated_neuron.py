"""Why does a badly wrong neuron learn slowly, and does the cost function cure it?

    python -m experiments.saturation.saturated_neuron [--workdir=runs/saturated_neuron]      4 seconds on 2 cores

One sigmoid neuron with input 1 and target 0 descends its cost for 300 steps. Source: Nielsen, Neural Networks and Deep
Learning, chapter 3, whose cost is C = (a - y)^2 / 2 or the cross-entropy. Started at w = .6, b = .9 it learns at once;
started at w = b = 2 its output .98 is saturated on the wrong side, and with the quadratic cost, whose gradient has the
factor a (1 - a), it hardly moves for 150 steps. With the cross-entropy that factor cancels.

The book's animation of the cross-entropy (learning rate .005) descends by dC/da = 1 / (1 - a) where dC/dz = a belongs:
it shows a neuron that learns far faster than cross-entropy does at that rate. Both are run here; the true gradient is
right, as dC/dw = a x. Bands: the computed numbers to half of their last digit.
"""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments.study import command
from experiments.study.claims import Claim, Kind, Words, exact_claim
from experiments.study.study import Study
from training import figures

STEPS, TARGET = 300, 0.0
PANELS = (
    # Cost, its w, b and learning rate, title.
    ("quadratic", 0.6, 0.9, 0.15),
    ("quadratic", 2.0, 2.0, 0.15),
    ("cross_entropy", 0.6, 0.9, 0.15),
    ("cross_entropy", 2.0, 2.0, 0.15),
)
ANIMATION_RATE = 0.005
SOURCE, COMPUTED = "Nielsen, chapter 3 (P)", "recursion of Nielsen, chapter 3, in float64"


class Course(NamedTuple):
    """A neuron before the first step and after each of STEPS: w, b, output a and dC/dz, [STEPS + 1] each."""

    w_S: np.ndarray
    b_S: np.ndarray
    a_S: np.ndarray
    slope_S: np.ndarray


def cost_at(cost: str, z: jax.Array) -> jax.Array:
    """The neuron's cost at a weighted input; Nielsen's quadratic cost is half of the one in `nets`."""
    per_example = nets.costs.get(cost, "sigmoid").per_example
    return (0.5 if cost == "quadratic" else 1.0) * per_example(z.reshape(1, 1), jnp.full((1, 1), TARGET))[0]


def true_slope(cost: str, z: jax.Array) -> jax.Array:
    """dC/dz of the neuron's cost, by differentiating it."""
    return jax.grad(lambda z: cost_at(cost, z))(z)


def animation_slope(_: str, z: jax.Array) -> jax.Array:
    """What the book's animation descends by: dC/da of the cross-entropy for target 0."""
    return 1 / (1 - jax.nn.sigmoid(z))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _descend(slope: Any, cost: str, w: jax.Array, b: jax.Array, rate: jax.Array) -> tuple[jax.Array, ...]:
    def step(parameters: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], Any]:
        w, b = parameters
        dz = slope(cost, w + b)
        after = w - rate * dz, b - rate * dz
        return after, after

    _, (w_S, b_S) = jax.lax.scan(step, (w, b), length=STEPS)
    w_S, b_S = jnp.append(w, w_S), jnp.append(b, b_S)
    z_S = w_S + b_S
    return w_S, b_S, jax.nn.sigmoid(z_S), jax.vmap(functools.partial(slope, cost))(z_S)


def course(slope: Any, cost: str, w: float, b: float, rate: float) -> Course:
    """The descent by that slope from w and b; other numbers need no other program."""
    return Course(*map(np.asarray, _descend(slope, cost, *map(jnp.float32, (w, b, rate)))))


def outputs(slope: Any, cost: str, w: float, b: float, rate: float) -> np.ndarray:
    """The neuron's output before the first step and after each of STEPS, [STEPS + 1]."""
    return course(slope, cost, w, b, rate).a_S


def claims_of(courses: list[np.ndarray], true: np.ndarray, animated: np.ndarray) -> list[Claim]:
    """What the book prints, to its two digits; then what a recursion in float64 says, to half of its last digit."""
    (good, bad, _, cured), half = courses, 5e-5
    nothing, slowly = ("", ()), ("the cross-entropy, .0120", 0.0120)
    printed = (
        ("quadratic/good/start", "quadratic from w=.6 b=.9: output at the start", 0.82, good[0], 5e-3, nothing),
        ("quadratic/good/end", "quadratic from w=.6 b=.9: output after 300 steps", 0.09, good[300], 5e-3, nothing),
    )
    fastest = float(np.argmax(-np.diff(bad)))
    fall = float(cured[0] - cured[150])
    rate, animation = ("the book's animation, .0479", 0.0479), ("the gradient, .7796", 0.7796)
    computed = (
        ("quadratic/bad/start", "quadratic from w=b=2: output at the start", 0.9820, bad[0], half, nothing),
        ("quadratic/bad/end", "quadratic from w=b=2: output after 300 steps", 0.2028, bad[300], half, slowly),
        ("quadratic/bad/fastest", "quadratic from w=b=2: steps before its fastest one", 221, fastest, 0.5, ("0", 0.0)),
        (
            "quadratic/bad/first_half",
            "quadratic from w=b=2: fall in the first 150 steps",
            0.05,
            bad[0] - bad[150],
            0.05,
            (f"the cross-entropy's, {fall:.2f}", fall),
        ),
        ("cross_entropy/50", "cross-entropy from w=b=2: output after 50 steps", 0.0985, cured[50], half, nothing),
        ("cross_entropy/300", "cross-entropy from w=b=2: output after 300 steps", 0.0120, cured[300], half, nothing),
        ("erratum/true", "cross-entropy at rate .005: output after 300 steps", 0.7796, true[300], half, rate),
        (
            "erratum/animated",
            "the book's animation of it: output after 300 steps",
            0.0479,
            animated[300],
            half,
            animation,
        ),
    )
    claims: list[Claim] = []
    kinds: tuple[tuple[Kind, str, Any], ...] = (("number", SOURCE, printed), ("oracle", COMPUTED, computed))
    for kind, source, rows in kinds:
        for key, name, expected, value, within, (rival, at) in rows:
            band, words = (expected - within, expected + within), Words(rival=rival, rival_at=at)
            claims.append(exact_claim(key, name, kind, source, value, band, published=expected, **words))
    return claims


def run(_: None, __: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    courses = [outputs(true_slope, *panel) for panel in PANELS]
    animated = outputs(animation_slope, "cross_entropy", 2.0, 2.0, ANIMATION_RATE)
    true = outputs(true_slope, "cross_entropy", 2.0, 2.0, ANIMATION_RATE)
    return draw(courses, true, animated), claims_of(courses, true, animated)


def draw(courses: list[np.ndarray], true: np.ndarray, animated: np.ndarray) -> Any:
    """Nielsen's four panels, then the erratum."""
    figure, axes = figures.new_figure(14, 7.5, 3, 2)
    order = (0, 1, 3, 4)
    for place, (cost, w, b, rate), a_S in zip(order, PANELS, courses, strict=True):
        slow = int(np.argmax(a_S < (a_S[0] + a_S[-1]) / 2))
        axes[place].plot(a_S, color="tab:blue" if cost == "quadratic" else "tab:green")
        start, course = f"w={w:g} b={b:g}, rate {rate:g}", f"{a_S[0]:.2f} to {a_S[-1]:.2f}, half-way at {slow}"
        axes[place].set_title(f"{cost.replace('_', '-')}, {start}:\n{course}")
    axes[2].plot(animated, color="tab:red", label=f"dC/da, as animated: {animated[-1]:.2f}")
    axes[2].plot(true, color="tab:green", label=f"dC/dz, the gradient: {true[-1]:.2f}")
    axes[2].set_title(f"Erratum, cross-entropy at rate {ANIMATION_RATE:g}:\nthe animation learns by dC/da")
    axes[2].legend()
    z = np.linspace(-6, 6, 201)
    a = 1 / (1 + np.exp(-z))
    axes[5].plot(z, a * a * (1 - a), color="tab:blue", label="quadratic: a · a(1-a)")
    axes[5].plot(z, a, color="tab:green", label="cross-entropy: a")
    axes[5].axvline(4, color="gray", linestyle=":", label="w = b = 2")
    axes[5].set(
        xlabel="weighted input z",
        ylabel="dC/dz at target 0",
        title="Quadratic: no slope where\nthe neuron is most wrong",
    )
    axes[5].legend()
    for axis in axes[:5]:
        axis.set(xlabel="step", ylabel="output a (target 0)", ylim=(0, 1.02))
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure


STUDY = Study(
    question="Why does a badly wrong neuron learn slowly, and does the cost function cure it?",
    run=run,
    sizes={"tiny": None, "quick": None},
)

if __name__ == "__main__":
    command.main(STUDY)
