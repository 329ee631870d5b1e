"""What do the step, sigmoid, tanh and ReLU neurons answer, and how steep are they there?

    python -m experiments.lecture.neurons [--workdir=runs/neurons]      4 seconds on 2 cores

A neuron's output is a = f(w.x + b). Where its slope f'(z) is next to nothing, so is everything that gradient descent
can teach it: the sigmoid and tanh saturate on both sides, the ReLU is flat below zero, the step everywhere. Source of
the numbers: a lecture's slides and notebook. Bands: 5e-4 of each number, a float32 of (1 - .9997)^2 being no better.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments.study import command
from experiments.study.claims import Claim, exact_claim
from experiments.study.study import Study
from training import figures

NEURONS = ("step", "sigmoid", "tanh", "relu")
# Slopes below this share of the largest one teach next to nothing.
FLAT = 0.05
WITHIN = 5e-4
SOURCE = "lecture slides and notebook (P)"
SIGMOID = {-1.0: 0.2689414213699951, -2.0: 0.11920292202211757, -10.0: 4.539786870243442e-05}
SOFTMAX = ((-1.0, 1.0, 5.0), (0.0024282580, 0.0179425348, 0.9796292072))
# Costs of an output a where 1 is right.
COSTS = {
    "quadratic": {0.9997: 9e-8, 0.9: 0.01, 0.6: 0.16, 0.1192: 0.77580864},
    "cross_entropy": {0.9: 0.10536051565782628, 0.1192: 2.1269525243508878},
}


def cost_of(cost: str, output: float) -> float:
    """The cost of one sigmoid neuron with that output, target 1."""
    logit_1x1 = jnp.full((1, 1), np.log(output / (1 - output)), jnp.float32)
    return float(nets.costs.get(cost, "sigmoid").per_example(logit_1x1, jnp.ones((1, 1)))[0])


def numbers() -> list[tuple[str, str, float, float]]:
    """Key, name, printed number and computed number of everything that the lecture prints."""
    sigmoid = nets.activations.get("sigmoid").function
    rows = [
        (f"sigmoid/{z:g}", f"sigmoid({z:g})", value, float(sigmoid(jnp.float32(z)))) for z, value in SIGMOID.items()
    ]
    logits, shares = SOFTMAX
    found = nets.costs.OUTPUTS["softmax"](jnp.array([logits]))[0]
    names = ", ".join(f"{z:g}" for z in logits)
    rows += [
        (f"softmax/{i}", f"softmax({names}), output {i}", share, float(found[i])) for i, share in enumerate(shares)
    ]
    rows += [
        (f"{cost}/{a:g}", f"{cost} cost of {a:g} for 1", value, cost_of(cost, a))
        for cost in COSTS
        for a, value in COSTS[cost].items()
    ]
    return rows


def run(_: None, __: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    claims = [
        exact_claim(key, name, "number", SOURCE, value, (p * (1 - WITHIN), p * (1 + WITHIN)), published=p)
        for key, name, p, value in numbers()
    ]
    return draw(), claims


def is_flat(name: str, slope: Any) -> Any:
    """Where the neuron is flat, by its slopes there; the step, whose slope is 0 or infinite, is flat everywhere."""
    largest = nets.activations.get(name).max_slope
    return np.abs(slope) < FLAT * (largest if np.isfinite(largest) else 1.0)


def draw() -> Any:
    """Each neuron's output and slope over its weighted input, and where it is saturated."""
    z = np.linspace(-6, 6, 601, dtype=np.float32)
    figure, axes = figures.new_figure(15, 4, len(NEURONS))
    for axis, name in zip(axes, NEURONS, strict=True):
        activation = nets.activations.get(name)
        a, slope = jax.jit(jax.vmap(jax.value_and_grad(activation.function)))(z)
        axis.plot(z, a, label="output a = f(z)")
        axis.plot(z, slope, "--", label="slope f'(z)")
        flat = is_flat(name, np.asarray(slope))
        axis.fill_between(z, -1.2, 3.6, where=flat, color="tab:red", alpha=0.1, label="slope below 5 % of its largest")
        share = 100 * flat.mean()
        axis.set(xlabel="weighted input z = w.x + b", ylabel="output, slope", ylim=(-1.2, 3.6))
        axis.set_title(f"{name}: nothing to learn by\non {share:.0f} % of [-6, 6]")
        axis.grid(alpha=0.3)
        axis.legend(loc="upper left", fontsize=8)
    return figure


STUDY = Study(
    question="What do the step, sigmoid, tanh and ReLU neurons answer, and how steep are they there?",
    run=run,
    sizes={"tiny": None, "quick": None},
)

if __name__ == "__main__":
    command.main(STUDY)
