"""Do gradients keep their size on the way through a deep tanh net before training?

    python -m experiments.deep_saturation [--workdir=runs/deep_saturation]      6 seconds on 2 cores

Source: Glorot & Bengio (2010), section 4.2.1: the mean singular value of a layer's Jacobian is about .8 with their
normalized initialization U[+-sqrt(6 / (n + m))] and .5 with the standard one U[+-1 / sqrt n]. For square layers of
linear units random-matrix theory gives 8 / (3 pi) times the scale: .849 and .490; the tanh's slope takes a little off.
Here 5 hidden layers of 500 tanh units (theirs had 1,000) look at MNIST digits, and the 4 square layers are measured.
Bands, set before the run: .05 about .80 and about .49, since the paper's .5 is rounded.

Measured: .7839 (.7813 to .7862) and .4877 (.4875 to .4882), means over 2 digits, 5 seeds (2026-11-22, 2 cores).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import figures
import input_pipeline
import nets
from experiments import studies

WIDTH, LAYERS, EXAMPLES, SEEDS = 500, 5, 2, 5
INITS = {"normalized": "glorot_uniform", "standard": "glorot_standard"}
PUBLISHED = {"normalized": 0.8, "standard": 0.5}
BANDS = {"normalized": (0.75, 0.85), "standard": (0.44, 0.54)}


def singular_values(kernel_init: str, x_BxD: np.ndarray) -> np.ndarray:
    """The singular values of each square layer's Jacobian at each digit, [seeds, layers, B, WIDTH]."""
    net = nets.MLP(hidden=(WIDTH,) * LAYERS, activation="tanh", kernel_init=kernel_init)

    @jax.jit
    def one_seed(key: jax.Array) -> jax.Array:
        variables: Any = net.init(key, x_BxD[:1])
        named: Any = net.apply(variables, x_BxD)[1]
        layers = [f"hidden_{i}" for i in range(1, LAYERS)]
        measure = nets.speed.layer_jacobian_singular_values
        return jnp.stack([measure(variables["params"][i]["kernel"], named[f"{i}/z"], "tanh") for i in layers])

    return np.stack([one_seed(jax.random.key(seed)) for seed in range(SEEDS)])


def draw(values: dict[str, np.ndarray]):
    """How the singular values are spread, with their means."""
    figure, (axis,) = figures.new_figure(7.5, 4)
    for i, (name, s_SxLxBxK) in enumerate(values.items()):
        axis.hist(s_SxLxBxK.ravel(), bins=60, density=True, alpha=0.5, color=f"C{i}", label=name)
        mean = s_SxLxBxK.mean()
        axis.axvline(mean, color=f"C{i}", label=f"mean {mean:.3f} (published {PUBLISHED[name]:.2f})")
    axis.set(xlabel="singular value of a layer's Jacobian", ylabel="density")
    factors = ", ".join(f"{s_SxLxBxK.mean():.2f} ({name})" for name, s_SxLxBxK in values.items())
    axis.set_title(f"A layer multiplies a gradient by {factors} on average")
    axis.legend()
    return figure


def study() -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    x_BxD = input_pipeline.load("mnist").images[:EXAMPLES].astype(np.float32) / 255
    values = {name: singular_values(kernel_init, x_BxD) for name, kernel_init in INITS.items()}
    claims = []
    for name, s_SxLxBxK in values.items():
        means_S, published = s_SxLxBxK.mean(axis=(1, 2, 3)), PUBLISHED[name]
        title, band = f"{name} initialization: mean singular value of a layer", BANDS[name]
        claims.append(
            studies.claim(title, published, "Glorot & Bengio 2010, section 4.2.1", means_S, means_S.mean(), band)
        )
    return draw(values), claims


if __name__ == "__main__":
    studies.main(study)
