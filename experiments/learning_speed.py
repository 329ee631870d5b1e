"""Do early layers learn more slowly than late ones, before training has begun?

    python -m experiments.learning_speed [--workdir=runs/learning_speed]      10 seconds on 2 cores

Source: Nielsen, Neural Networks and Deep Learning, chapter 5: |delta^l|, the norm of the mean of dC/db^l over the first
1,000 training images, in nets of 2, 3 and 4 hidden layers of 30 sigmoid units with cross-entropy, N(0, 1 / n_in)
weights and N(0, 1) biases. The book prints one draw of each. Bands, set before the run: each printed number inside the
5-95 % range of 60 seeds, and a speed that rises from layer to layer in at least 95 % of the seeds.

Measured: all 9 speeds inside, and rising in every one of the 180 nets; the last hidden layer's is 5, 23 and 122 times
the first one's in the median (2026-11-22, 2 cores; the README has the table).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import figures
import input_pipeline
import nets
from experiments import studies

PUBLISHED = ((0.06574, 0.30922), (0.01184, 0.05997, 0.28314), (0.00298, 0.01708, 0.06954, 0.28514))
SOURCE = "Nielsen, chapter 5"
IMAGES, SEEDS, UNITS = 1_000, 60, 30


def speeds(layers: int, images_BxD: np.ndarray, labels_B: np.ndarray) -> np.ndarray:
    """|delta| of each hidden layer for each seed, [seeds, layers]."""
    hidden = (UNITS,) * layers
    net = nets.MLP(hidden=hidden, output="sigmoid", kernel_init="nielsen_small", bias_init="normal")
    cost = nets.costs.get("cross_entropy", "sigmoid")

    @jax.jit
    def all_seeds(keys, x_BxD, targets_BxC):
        def one_seed(key: jax.Array) -> jax.Array:
            params = net.init(key, x_BxD[:1])["params"]

            def mean_cost(params) -> jax.Array:
                return jnp.mean(cost.per_example(net.apply({"params": params}, x_BxD)[0], targets_BxC))

            norms = nets.speed.bias_gradient_norms(jax.grad(mean_cost)(params))
            return jnp.stack([norms[f"hidden_{i}"] for i in range(layers)])

        return jax.lax.map(one_seed, keys)

    keys = jax.random.split(jax.random.key(layers), SEEDS)
    return np.asarray(all_seeds(keys, jnp.float32(images_BxD) / 255, jax.nn.one_hot(labels_B, 10)))


def claims_of(speed_SxL: np.ndarray, published: tuple[float, ...]) -> list[dict[str, Any]]:
    """The layers' speeds against the book's draw, and whether they rise."""
    layers = len(published)
    lines = [
        studies.range_claim(f"{layers} hidden layers: speed of layer {i + 1}", p, SOURCE, speed_SxL[:, i], (5, 95))
        for i, p in enumerate(published)
    ]
    rises_S = np.all(np.diff(speed_SxL, axis=1) > 0, axis=1)
    name = f"{layers} hidden layers: share of seeds whose speed rises with the layer"
    return [*lines, studies.claim(name, 1.0, SOURCE, rises_S.astype(float), rises_S.mean(), (0.95, 1.0))]


def draw(measured: list[np.ndarray]):
    """Each seed's speeds as a line from layer to layer, with the book's draw."""
    figure, axes = figures.new_figure(12, 4, len(measured))
    for axis, speed_SxL, published in zip(axes, measured, PUBLISHED, strict=True):
        layer = np.arange(1, speed_SxL.shape[1] + 1)
        axis.plot(layer, speed_SxL.T, color="tab:blue", alpha=0.2)
        axis.plot(
            layer, np.median(speed_SxL, axis=0), color="navy", linewidth=2, label=f"median of {len(speed_SxL)} seeds"
        )
        axis.plot(layer, published, "ko", label="Nielsen, chapter 5")
        ratio = np.median(speed_SxL[:, -1] / speed_SxL[:, 0])
        axis.set(yscale="log", xlabel="hidden layer", ylabel="|delta|: norm of the mean dC/db", xticks=layer)
        axis.set_title(f"Last layer {ratio:.0f} times as fast as the first")
        axis.grid(alpha=0.3)
        axis.legend()
    return figure


def study() -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    mnist = input_pipeline.load("mnist")
    measured = [speeds(len(published), mnist.images[:IMAGES], mnist.labels[:IMAGES]) for published in PUBLISHED]
    claims = [line for speed_SxL, p in zip(measured, PUBLISHED, strict=True) for line in claims_of(speed_SxL, p)]
    return draw(measured), claims


if __name__ == "__main__":
    studies.main(study)
