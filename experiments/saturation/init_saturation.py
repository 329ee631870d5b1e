"""How many sigmoid units are saturated before training has begun, and does the initializer decide it?

    python -m experiments.saturation.init_saturation [--workdir=runs/init_saturation]      12 seconds on 2 cores

256 sigmoid units with zero biases look at x drawn uniformly from [0, 1)^784; an output below .05 or above .95 counts as
saturated. With N(0, 1) weights z is about N(0, 784/3), so that P(|z| > ln 19) = .8555 in closed form. A published
notebook gives 88.67 %, which is 227 of 256 outputs: the layer's answer to a single x. With Glorot's weights z is about
N(0, 784/3 * 2/1040), and hardly any output is saturated. Bands, set before the run: 3 points about the closed form; the
notebook's number inside the 5-95 % range of single answers, one a seed; for Glorot, whose fraction is tiny, a factor of
2. Saturated there are few units, whose weights lean one way, so that it takes 1,000 layers at 100 x each to know their
share (60 at 1,000 x, as was tried first, left it undecided; so that this line is exploratory).
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import nets
from experiments.study import command
from experiments.study.claims import Claim, draw_claim, mean_claim
from experiments.study.study import Study
from training import figures

INPUTS, UNITS = 784, 256
# The sigmoid is within .05 of an asymptote where |z| exceeds ln 19.
EDGE = math.log(19)
VARIANCES = {"nielsen_large": 1.0, "glorot_uniform": 2 / (INPUTS + UNITS)}
# Percentiles of the seeds, between which the published draw is to lie.
RANGE_OF_DRAWS = (5, 95)

MORE_LAYERS = "how many layers are drawn was chosen once 60 had left this line undecided"


class Size(NamedTuple):
    """How many layers are drawn, and how many x each looks at; the first seed."""

    seeds: int
    examples: int
    seeds_from: int = 0


def closed_form(kernel_init: str) -> float:
    """P(|z| > ln 19) for z ~ N(0, 784/3 var w): E[x^2] = 1/3."""
    return math.erfc(EDGE / math.sqrt(2 * INPUTS / 3 * VARIANCES[kernel_init]))


def measure(kernel_init: str, size: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The saturated fraction of each seed, [S], that of its first x alone, [S], and the outputs of one seed, [B, H]."""
    net = nets.MLP(hidden=(UNITS,), activation="sigmoid", kernel_init=kernel_init)

    @jax.jit
    def outputs(key: jax.Array) -> jax.Array:
        data_key, net_key = jax.random.split(key)
        x_BxD = jax.random.uniform(data_key, (size.examples, INPUTS))
        named: Any = net.apply(net.init(net_key, x_BxD[:1]), x_BxD)[1]
        return named["hidden_0/a"]

    def fractions(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        a_BxH = outputs(key)
        fraction = nets.saturation.saturated_fraction
        return fraction(a_BxH, "sigmoid"), fraction(a_BxH[:1], "sigmoid")

    keys = jax.random.split(jax.random.key(size.seeds_from), size.seeds)
    all_S, one_S = jax.lax.map(fractions, keys)
    return np.asarray(all_S), np.asarray(one_S), np.asarray(outputs(keys[0]))


def draw(outputs: dict[str, np.ndarray], fractions: dict[str, np.ndarray]) -> Any:
    """The outputs of one draw of each initializer, the saturated zones shaded."""
    figure, axes = figures.new_figure(11, 4, len(outputs))
    for axis, (name, a_BxH) in zip(axes, outputs.items(), strict=True):
        axis.hist(a_BxH.ravel(), bins=np.linspace(0, 1, 41), weights=np.full(a_BxH.size, 1 / a_BxH.size))
        axis.axvspan(0, 0.05, color="tab:red", alpha=0.2)
        axis.axvspan(0.95, 1, color="tab:red", alpha=0.2, label="saturated")
        axis.set(xlabel="output a of a sigmoid unit", ylabel="share of outputs", xlim=(0, 1))
        percent, expected = 100 * fractions[name].mean(), 100 * closed_form(name)
        axis.set_title(f"{name}: {percent:.3g} % saturated\n(closed form {expected:.3g} %)")
        axis.legend()
    return figure


def claims_of(fractions: dict[str, np.ndarray], one_S: np.ndarray) -> list[Claim]:
    """The saturated fractions against the closed forms, and the published layer's answer to a single x."""
    large, glorot = closed_form("nielsen_large"), closed_form("glorot_uniform")
    name, notebook = "saturated fraction", "a published notebook, 227 of 256 outputs (P)"
    return [
        mean_claim(
            "nielsen_large",
            f"N(0, 1) weights: {name}",
            "oracle",
            "closed form",
            fractions["nielsen_large"],
            (large - 0.03, large + 0.03),
            published=large,
            bounds=(0.0, 1.0),
            rival="Glorot's weights, 3e-5",
            rival_at=glorot,
        ),
        draw_claim(
            "nielsen_large/one",
            f"N(0, 1) weights: {name} for one x",
            notebook,
            227 / UNITS,
            one_S,
            RANGE_OF_DRAWS,
            rival="Glorot's weights, 3e-5",
            rival_at=glorot,
        ),
        mean_claim(
            "glorot_uniform",
            f"Glorot weights: {name}",
            "oracle",
            "closed form",
            fractions["glorot_uniform"],
            (glorot / 2, glorot * 2),
            published=glorot,
            bounds=(0.0, 1.0),
            rival="N(0, 1) weights, .86",
            rival_at=large,
            exploratory=MORE_LAYERS,
        ),
    ]


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    measured = {name: measure(name, size) for name in VARIANCES}
    fractions = {name: all_S for name, (all_S, _, _) in measured.items()}
    figure = draw({name: a_BxH for name, (_, _, a_BxH) in measured.items()}, fractions)
    return figure, claims_of(fractions, measured["nielsen_large"][1])


STUDY = Study(
    question="How many sigmoid units are saturated before training has begun, and does the initializer decide it?",
    run=run,
    sizes={"tiny": Size(3, 20), "quick": Size(1_000, 100)},
)

if __name__ == "__main__":
    command.main(STUDY)
