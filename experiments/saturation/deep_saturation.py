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
MNIST (the paper: Shapeset-3x2). The test errors are those after 5 or, in the full budget, 10 epochs of 50,000 images;
in the full budget the better of two learning rates is chosen for each net by the 10,000 that are held out.
Bands, set before the run: .05 about .80 and about .49 for the Jacobians, since the paper's .5 is rounded; a top layer
below .1 in the mean; of the seeds in which one depth alone leaves, so that its top layer ends at twice its lowest or
more, it is that of 4 layers in more than half; sigmoid worse than normalized tanh. That 4 layers leave in every seed
and 5 in none, as was claimed first, no number of seeds can show. The rates, the 15,000 steps and what counts as leaving
were chosen in runs of 1 to 4 seeds before, so that the phenomenon shows: these lines are exploratory. Of sigmoid nets 6
seeds are watched, as fewer than 6 that all agree do not decide a half, and 2 of the tanh nets, which are only drawn (it
was 4 of each at first); the test errors are those of 4 seeds (2 at first, which left them undecided).

That nets of 5 layers never leave is a matter of the rate and of time: at twice the rate, which the full budget tries as
well, some do. What normalization gains at this width in the end is in the note on the test errors.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import input_pipeline
import nets
import train
from configs import intermediate, shallow
from experiments.engine import executors, results, space
from experiments.study import command
from experiments.study.claims import Band, Claim, above, mean_claim, share_claim
from experiments.study.study import Study
from training import figures
from training.compiling import FAST_TO_COMPILE, compiled
from training.config import Config, as_config

LAYERS = 5
INITS = {"normalized": "glorot_uniform", "standard": "glorot_standard"}
PUBLISHED = {"normalized": 0.8, "standard": 0.5}
BANDS: dict[str, Band] = {"normalized": (0.75, 0.85), "standard": (0.44, 0.54)}
SOURCE = "Glorot & Bengio 2010"


class Net(NamedTuple):
    """A net that is trained, and its learning rate."""

    layers: int
    activation: str
    kernel_init: str
    rate: float


FOUR, FIVE, TWICE = "4 sigmoid layers", "5 sigmoid layers", "5 sigmoid layers, twice the rate"
WATCHED = {
    FOUR: Net(4, "sigmoid", "glorot_standard", 0.8),
    FIVE: Net(5, "sigmoid", "glorot_standard", 0.8),
    "5 tanh layers": Net(5, "tanh", "glorot_standard", 0.03),
    "5 normalized tanh layers": Net(5, "tanh", "glorot_uniform", 0.03),
}
TWICE_THE_RATE = {TWICE: Net(5, "sigmoid", "glorot_standard", 1.6)}
# The mean output of a layer that is saturated at 0 is below this, and it has left where it ends at so many times its
# lowest: at large rates the mean stays below .1, although the layer tells digits apart again.
SATURATED, LEAVES = 0.1, 2.0
CHOSEN = (
    "the rates, the number of steps and what counts as leaving were chosen in runs of 1 to 4 seeds, so that it shows"
)
RESTATED = "restated after all of 4 layers and none of 5, which no number of seeds can show"
RATES_LOOKED_AT = "the rates were chosen after looking"

# Test errors of nets of LAYERS layers.
ERRORS = {"sigmoid": 0.0221, "tanh": 0.0176, "normalized tanh": 0.0164}


class Watch(NamedTuple):
    """Which nets are watched in training, for how many seeds those of sigmoids, which are judged, and those of tanhs,
    which are only drawn; for how many epochs, on how many images, with how many held out, and on how many of them their
    outputs are measured."""

    nets: dict[str, Net]
    seeds: int
    drawn_seeds: int
    epochs: int
    images: int
    held_out: str
    probe_images: int

    def seeds_of(self, activation: str) -> int:
        """For how many seeds a net of such units is watched."""
        return self.seeds if activation == "sigmoid" else self.drawn_seeds


class Size(NamedTuple):
    """The Jacobians' nets: units a layer, digits and seeds. The config that trained nets start from, with their units
    and examples a step; those whose outputs are watched; those whose test errors are measured, of each name the best,
    for how many epochs and seeds, with how many images held out; from which seed on all are drawn."""

    width: int
    digits: int
    seeds: int
    config: Config
    units: int
    batch: int
    watch: Watch
    tested: dict[str, tuple[Net, ...]]
    epochs: int
    tested_seeds: int
    held_out: str = "10000"
    seeds_from: int = 0


def tested(sigmoid: tuple[float, ...], tanh: tuple[float, ...]) -> dict[str, tuple[Net, ...]]:
    """The nets of the paper's table, each at those rates."""
    return {
        "sigmoid": tuple(Net(LAYERS, "sigmoid", "glorot_standard", rate) for rate in sigmoid),
        "tanh": tuple(Net(LAYERS, "tanh", "glorot_standard", rate) for rate in tanh),
        "normalized tanh": tuple(Net(LAYERS, "tanh", "glorot_uniform", rate) for rate in tanh),
    }


QUICK = Size(
    width=500,
    digits=2,
    seeds=5,
    config=as_config(intermediate.get_config()),
    units=50,
    batch=10,
    watch=Watch(WATCHED, seeds=6, drawn_seeds=2, epochs=30, images=5_000, held_out="1000", probe_images=300),
    tested=tested((2.4,), (0.03,)),
    epochs=5,
    tested_seeds=4,
)
FULL = QUICK._replace(
    watch=QUICK.watch._replace(nets=WATCHED | TWICE_THE_RATE, seeds=8),
    tested=tested((1.6, 2.4), (0.01, 0.03)),
    epochs=10,
    tested_seeds=6,
)
# One net for all: fewer programs to compile.
TINY = QUICK._replace(
    width=30,
    digits=1,
    seeds=1,
    config=as_config(shallow.get_config()).replace(dataset="synthetic"),
    units=4,
    watch=Watch(dict.fromkeys(WATCHED, WATCHED[FIVE]), 2, 2, epochs=1, images=100, held_out="50", probe_images=20),
    tested=dict.fromkeys(ERRORS, (WATCHED[FIVE],)),
    epochs=1,
    tested_seeds=2,
    held_out="50",
)


def singular_values(kernel_init: str, size: Size, x_BxD: np.ndarray) -> np.ndarray:
    """The singular values of each square layer's Jacobian at each digit, [seeds, layers, B, width]."""
    net = nets.MLP(hidden=(size.width,) * LAYERS, activation="tanh", kernel_init=kernel_init)

    @jax.jit
    def one_seed(key: jax.Array) -> jax.Array:
        variables: Any = net.init(key, x_BxD[:1])
        named: Any = net.apply(variables, x_BxD)[1]
        layers = [f"hidden_{i}" for i in range(1, LAYERS)]
        measure = nets.speed.layer_jacobian_singular_values
        return jnp.stack([measure(variables["params"][i]["kernel"], named[f"{i}/z"], "tanh") for i in layers])

    return np.stack([one_seed(jax.random.key(size.seeds_from + seed)) for seed in range(size.seeds)])


def config_of(size: Size, net: Net) -> Config:
    """A net of the paper, narrower, and how it is trained."""
    config = size.config.replace(hidden=(size.units,) * net.layers, activation=net.activation)
    return config.replace(kernel_init=net.kernel_init, batch_size=size.batch, learning_rate=net.rate)


def watched(name: str, config: Config, watch: Watch, seeds_from: int = 0) -> dict[str, np.ndarray]:
    """Mean, deviation and 98th percentile of each hidden layer's outputs, before training and after each epoch:
    activation_mean/hidden_0 and so on, [epochs + 1, seeds]."""
    config = config.replace(train_examples=watch.images, validation=watch.held_out, epochs=watch.epochs)
    config = config.replace(probes=("saturation",), probe_examples=watch.probe_images)
    dataset = train.load_dataset(config, "")
    functions, probe, numbers = train.make_train(config), train.make_probe(config), train.hyperparameters(config)

    def before_training(seed: jax.Array) -> dict[str, jax.Array]:
        state = functions.init(numbers, train.run_keys(seed)[0])
        probed = dataset.images[: watch.probe_images], dataset.labels[: watch.probe_images]
        return probe(state, numbers, state.params, probed, train.probe_key(seed))[0]

    count = watch.seeds_of(config.activation)
    seeds = range(seeds_from, seeds_from + count)
    numbered = jnp.array(seeds, dtype=jnp.uint32)
    start = compiled(jax.vmap(before_training), numbered, cpu_options=FAST_TO_COMPILE)(numbered)
    table = executors.train_all(space.make_trials(config, None, {"seed": seeds}), dataset, name)
    return {
        metric: np.concatenate([start[metric][None], table[metric].to_numpy().reshape(count, -1).T])
        for metric in start
        if metric.startswith("activation_")
    }


def ends_of(title: str, config: Config, seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """The accuracy on what is held out and the test error after the last epoch, of each seed."""
    dataset = train.load_dataset(config, "")
    trials = space.make_trials(config, None, {"seed": seeds})
    table, states = executors.train_states(trials, dataset, title)
    held_out, evaluate = results.by_epoch(table, "val_accuracy"), train.make_train(config).evaluate
    tests = dataset.test_images, dataset.test_labels
    errors = [1 - float(evaluate(states[trial]._replace(opt_state=()), *tests)["accuracy"]) for trial in trials]
    return np.array([held_out[trial][-1] for trial in trials]), np.array(errors)


def errors_of(name: str, size: Size) -> np.ndarray:
    """The test errors of the seeds after the last epoch, at the rate with the best mean accuracy on what is held out.

    The same seeds choose and are measured, by other images.
    """
    seeds = range(size.seeds_from, size.seeds_from + size.tested_seeds)
    found: list[tuple[float, np.ndarray]] = []
    for net in size.tested[name]:
        config = config_of(size, net).replace(epochs=size.epochs, validation=size.held_out, probes=())
        accuracy_S, error_S = ends_of(f"{LAYERS} {name} layers, learning rate {net.rate:g}", config, seeds)
        found.append((float(np.mean(accuracy_S)), error_S))
    return max(found, key=lambda accuracy_and_errors: accuracy_and_errors[0])[1]


def top_layer(statistics: dict[str, np.ndarray]) -> np.ndarray:
    """The mean output of the top hidden layer, [epochs + 1, seeds]."""
    return list(statistics[name] for name in statistics if name.startswith("activation_mean/"))[-1]


def leaves(top_ExS: np.ndarray) -> np.ndarray:
    """In which seeds the top layer's mean output ends well above its lowest."""
    return top_ExS[-1] >= LEAVES * top_ExS.min(axis=0)


def jacobian_claims(values: dict[str, np.ndarray]) -> list[Claim]:
    """The mean singular values before training."""
    claims: list[Claim] = []
    for (name, s_SxLxBxK), other in zip(values.items(), reversed(values), strict=True):
        title, source = f"{name} initialization: mean singular value of a layer", f"{SOURCE}, section 4.2.1 (P)"
        rival = f"{other} initialization, {PUBLISHED[other]:g}"
        words: Any = {"published": PUBLISHED[name], "bounds": (0.0, np.inf), "rival": rival}
        words["rival_at"] = PUBLISHED[other]
        means_S = s_SxLxBxK.mean(axis=(1, 2, 3))
        claims.append(mean_claim(f"jacobian/{name}", title, "number", source, means_S, BANDS[name], **words))
    return claims


def course_claims(courses: dict[str, dict[str, np.ndarray]], steps: int) -> list[Claim]:
    """The top sigmoid layer falls to 0 and leaves again where there are 4, not where there are 5."""
    source, key = f"{SOURCE}, section 3.1 (P)", "leaves"
    tops = {name: top_layer(statistics) for name, statistics in courses.items()}
    left = {name: leaves(tops[name]) for name in (FOUR, FIVE, TWICE) if name in tops}
    each = "; ".join(f"{name}: {left_S.sum():.0f} of {len(left_S)} seeds leave" for name, left_S in left.items())
    title, lowest_S = f"{FOUR}: lowest mean output of the top hidden layer", tops[FOUR].min(axis=0)
    words: Any = {"published": 0.0, "bounds": (0.0, 1.0), "rival": "no saturation, .5"}
    words |= {"rival_at": 0.5, "exploratory": CHOSEN}
    claims = [mean_claim("4/lowest", title, "direction", source, lowest_S, (0.0, SATURATED), **words)]
    title = f"seeds in which one depth alone leaves within {steps:,} steps: share in which it is 4 layers"
    words = {"rival": "as often 5 layers, 1/2", "rival_at": 0.5, "exploratory": f"{CHOSEN}; {RESTATED}", "note": each}
    of_four_S = left[FOUR][left[FOUR] != left[FIVE]]
    claims.append(share_claim(key, title, "direction", source, of_four_S, (above(0.5), 1.0), **words))
    return claims


def error_claim(errors: dict[str, np.ndarray]) -> Claim:
    """Sigmoid against normalized tanh, with all three errors as a note."""
    differences_S = errors["sigmoid"] - errors["normalized tanh"]
    published = ERRORS["sigmoid"] - ERRORS["normalized tanh"]
    title = "5 layers: test error of sigmoid minus that of normalized tanh"
    each = ", ".join(f"{name} {error_S.mean():.2%} ({ERRORS[name]:.2%})" for name, error_S in errors.items())
    note = f"test errors, published ones of 1,000 units a layer in brackets: {each}"
    words: Any = {"published": published, "bounds": (-1.0, 1.0), "rival": "no difference, 0", "note": note}
    words |= {"rival_at": 0.0, "exploratory": RATES_LOOKED_AT}
    band = (above(0.0), None)
    return mean_claim("5/error", title, "direction", f"{SOURCE}, table 1 (P)", differences_S, band, **words)


def draw_jacobians(axis: Any, values: dict[str, np.ndarray]) -> None:
    """How the singular values are spread, with their means."""
    for i, (name, s_SxLxBxK) in enumerate(values.items()):
        axis.hist(s_SxLxBxK.ravel(), bins=60, density=True, alpha=0.5, color=f"C{i}", label=name)
        mean = s_SxLxBxK.mean()
        axis.axvline(mean, color=f"C{i}", label=f"mean {mean:.3f} (published {PUBLISHED[name]:.2f})")
    axis.set(xlabel="singular value of a layer's Jacobian", ylabel="density")
    factors = ", ".join(f"{s_SxLxBxK.mean():.2f} ({name})" for name, s_SxLxBxK in values.items())
    axis.set_title(f"Before training a layer multiplies a gradient\nby {factors} on average")
    axis.set(ylim=(0, 1.5 * axis.get_ylim()[1]))
    axis.legend(loc="upper right")


def draw_course(axis: Any, name: str, statistics: dict[str, np.ndarray], steps_an_epoch: int) -> None:
    """Each layer's outputs through training, means over the seeds: the mean of sigmoids and the deviation of tanhs; and
    of the top layer the deviation of sigmoids and the 98th percentile of tanhs."""
    (measure, words), (other, other_words) = ("mean", "mean"), ("std", "standard deviation")
    if "tanh" in name:
        (measure, words), (other, other_words) = (other, other_words), ("p98", "98th percentile")
    layers = [metric.partition("/")[2] for metric in statistics if metric.startswith("activation_mean/")]
    course = lambda measure, layer: statistics[f"activation_{measure}/{layer}"].mean(axis=1)  # noqa: E731
    thousands = np.arange(len(course(measure, layers[0]))) * steps_an_epoch / 1_000
    for i, layer in enumerate(layers):
        width = 2.5 if layer == layers[-1] else 1.2
        axis.plot(thousands, course(measure, layer), color=f"C{i}", linewidth=width, label=f"layer {i + 1}")
    axis.plot(thousands, course(other, layers[-1]), "k:", label=f"the last layer's {other_words}")
    axis.set(xlabel="thousand steps", ylabel=f"output of the layer's units: {words}", ylim=(-0.02, 1.25))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, ncols=2, loc="upper center")


def draw_errors(axis: Any, errors: dict[str, np.ndarray]) -> None:
    """Test errors beside the published ones."""
    places = np.arange(len(errors))
    axis.bar(places, [100 * error_S.mean() for error_S in errors.values()], 0.6, color="tab:blue", alpha=0.6)
    for place, (name, error_S) in zip(places, errors.items(), strict=True):
        axis.plot(np.full(len(error_S), place), 100 * error_S, "o", color="tab:blue", label="seeds, 50 units a layer")
        axis.plot(place, 100 * ERRORS[name], "k*", markersize=12, label="published, 1,000 units a layer")
    axis.set(ylabel="MNIST test error, %", xticks=places, xticklabels=errors)
    handles, labels = axis.get_legend_handles_labels()
    axis.legend(handles[:2], labels[:2], loc="upper right")
    axis.set(ylim=(0, 1.3 * axis.get_ylim()[1]))
    means = {name: error_S.mean() for name, error_S in errors.items()}
    axis.set_title(f"5 layers: {max(means, key=lambda name: means[name])} is the worst")


def draw(
    values: dict[str, np.ndarray],
    courses: dict[str, dict[str, np.ndarray]],
    errors: dict[str, np.ndarray],
    steps_an_epoch: int,
) -> Any:
    """The courses of the four nets with the gradients before and the errors after."""
    figure, axes = figures.new_figure(16, 9, 3, 2)
    for axis, name in zip(axes[[0, 1, 3, 4]], WATCHED, strict=True):
        draw_course(axis, name, courses[name], steps_an_epoch)
    for axis, name in zip(axes[:2], (FOUR, FIVE), strict=True):
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


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    x_BxD = input_pipeline.load("mnist").images[: size.digits].astype(np.float32) / 255
    values = {name: singular_values(kernel_init, size, x_BxD) for name, kernel_init in INITS.items()}
    courses = {
        name: watched(name, config_of(size, net), size.watch, size.seeds_from) for name, net in size.watch.nets.items()
    }
    errors = {name: errors_of(name, size) for name in size.tested}
    steps = size.watch.images // size.batch
    claims = [*jacobian_claims(values), *course_claims(courses, size.watch.epochs * steps), error_claim(errors)]
    return draw(values, courses, errors, steps), claims


STUDY = Study(
    question="Why do deep sigmoid nets get stuck, and do gradients keep their size on the way through a deep tanh net?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
)

if __name__ == "__main__":
    command.main(STUDY)
