"""How many sigmoid units are saturated before training has begun, and does the initializer decide it?

    python -m experiments.saturation.init_saturation [--workdir=runs/init_saturation]      6 seconds on 2 cores

256 sigmoid units with zero biases look at x drawn uniformly from [0, 1)^784; an output below .05 or above .95 counts as
saturated. With N(0, 1) weights z is about N(0, 784/3), so that P(|z| > ln 19) = .8555 in closed form. A published
notebook gives 88.67 %, which is 227 of 256 outputs: the layer's answer to a single x. With Glorot's weights z is about
N(0, 784/3 * 2/1040), and hardly any output is saturated. Bands, set before the run: 3 points about the closed form; the
notebook's number inside the 5-95 % range of 60 single answers; for Glorot, whose fraction is tiny, a factor of 2.

Measured: .8551 (.8428 to .8680), one x at a time .7969 to .9023, and 3.8e-5 (0 to .0011), 60 seeds each (2026-11-22,
2 cores).
"""

import math
from typing import Any

import jax
import numpy as np

import nets
from experiments import studies
from training import figures

INPUTS, UNITS, EXAMPLES, SEEDS = 784, 256, 1_000, 60
# The sigmoid is within .05 of an asymptote where |z| exceeds ln 19.
EDGE = math.log(19)
VARIANCES = {"nielsen_large": 1.0, "glorot_uniform": 2 / (INPUTS + UNITS)}


def closed_form(kernel_init: str) -> float:
    """P(|z| > ln 19) for z ~ N(0, 784/3 var w): E[x^2] = 1/3."""
    return math.erfc(EDGE / math.sqrt(2 * INPUTS / 3 * VARIANCES[kernel_init]))


def measure(kernel_init: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The saturated fraction of each seed, [S], that of its first x alone, [S], and the outputs of one seed, [B, H]."""
    net = nets.MLP(hidden=(UNITS,), activation="sigmoid", kernel_init=kernel_init)

    @jax.jit
    def outputs(key: jax.Array) -> jax.Array:
        data_key, net_key = jax.random.split(key)
        x_BxD = jax.random.uniform(data_key, (EXAMPLES, INPUTS))
        named: Any = net.apply(net.init(net_key, x_BxD[:1]), x_BxD)[1]
        return named["hidden_0/a"]

    def fractions(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        a_BxH = outputs(key)
        fraction = nets.saturation.saturated_fraction
        return fraction(a_BxH, "sigmoid"), fraction(a_BxH[:1], "sigmoid")

    keys = jax.random.split(jax.random.key(0), SEEDS)
    all_S, one_S = jax.lax.map(fractions, keys)
    return np.asarray(all_S), np.asarray(one_S), np.asarray(outputs(keys[0]))


def draw(outputs: dict[str, np.ndarray], fractions: dict[str, np.ndarray]):
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


def study() -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    measured = {name: measure(name) for name in VARIANCES}
    fractions = {name: all_S for name, (all_S, _, _) in measured.items()}
    large, glorot = closed_form("nielsen_large"), closed_form("glorot_uniform")
    large_S, glorot_S, one_S = fractions["nielsen_large"], fractions["glorot_uniform"], measured["nielsen_large"][1]
    name, notebook = "saturated fraction", "a published notebook, 227 of 256 outputs"
    claims = [
        studies.claim(
            f"N(0, 1) weights: {name}", large, "closed form", large_S, large_S.mean(), (large - 0.03, large + 0.03)
        ),
        studies.range_claim(f"N(0, 1) weights: {name} for one x", 227 / 256, notebook, one_S, (5, 95)),
        studies.claim(
            f"Glorot weights: {name}", glorot, "closed form", glorot_S, glorot_S.mean(), (glorot / 2, glorot * 2)
        ),
    ]
    figure = draw({name: a_BxH for name, (_, _, a_BxH) in measured.items()}, fractions)
    return figure, claims


if __name__ == "__main__":
    studies.main(study)
