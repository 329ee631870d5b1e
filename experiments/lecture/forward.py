"""How does one handwritten digit go through a trained net, number by number?

    python -m experiments.lecture.forward [--digit=INDEX] [--workdir=runs/forward]      6 seconds of CPU time

The lecture's shallow net, 784-64 sigmoid-10 softmax (configs/shallow.py), is trained for 3 epochs at learning rate 10
instead of its .01, which is enough to recognise digits, as by `python train.py --config=configs/shallow.py
--config.learning_rate=10 --config.epochs=3`. Then one digit of the test set is propagated: every w.x + b, sigmoid and
softmax is printed and drawn, as computed by hand in float64.

Source: the lecture's round of training, "propagate forward". Bands, set before the run: the largest difference between
the hand computation and the Flax net, over the largest number of the layer, below 1e-5; outputs that add up to 1
within 1e-6; the predicted class is the one of the largest z.
"""

import collections
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

import input_pipeline
import nets
import train
from configs import shallow
from experiments.study import command
from experiments.study.claims import Claim, exact_claim
from experiments.study.study import Study
from training import figures, models
from training.batches import scale
from training.config import Config, ConfigError, as_config

LEARNING_RATE, EPOCHS = 10.0, 3
TEST_EXAMPLES = 10_000
# Outputs of a sigmoid within 5 % of an asymptote, as `nets.saturation` counts them.
MARGIN = 0.05
COLUMNS = 3
SOURCE = "by hand, in float64"


class Size(NamedTuple):
    """The net's config, and which digit of its test set is propagated."""

    config: Config
    digit: int


class Layer(NamedTuple):
    """A layer's weighted inputs z = w.x + b, and its outputs a: [units] each."""

    wx: np.ndarray
    b: np.ndarray
    z: np.ndarray
    a: np.ndarray


def by_epoch(config: Config, dataset: input_pipeline.Dataset) -> Iterator[train.TrainState]:
    """The state before training, then after each of the config's epochs, as train.py has it."""
    numbers, shuffle_key = train.hyperparameters(config), train.run_keys(config.seed)[1]
    state, run = train.initial_state(config), train.make_train(config)
    yield state
    for number in range(1, config.epochs + 1):
        state, _ = run.epoch(state, numbers, dataset, jax.random.fold_in(shuffle_key, number))
        yield state


def trained(config: Config, dataset: input_pipeline.Dataset) -> train.TrainState:
    """The state after the config's epochs."""
    state = collections.deque(by_epoch(config, dataset), maxlen=1)[0]
    evaluate = train.make_train(config).evaluate
    accuracy = evaluate(state, dataset.validation_images, dataset.validation_labels)["accuracy"]
    print(
        f"Trained for {config.epochs} epochs at learning rate {config.learning_rate:g}: "
        f"{float(accuracy):.2%} of the {len(dataset.validation_labels):,} test digits are recognised."
    )
    return state


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-z)."""
    return 1 / (1 + np.exp(-z))


def softmax(z: np.ndarray) -> np.ndarray:
    """e^z over the sum of all, each relative to the largest, so that none overflows."""
    e = np.exp(z - z.max())
    return e / e.sum()


def by_hand(params: Any, image_D: np.ndarray) -> tuple[Layer, Layer]:
    """The hidden and the output layer for one uint8 image, in numpy and float64."""
    x, layers = image_D.astype(np.float64) / 255, []
    for name, function in (("hidden_0", sigmoid), ("output", softmax)):
        kernel, b = (np.asarray(params[name][part], np.float64) for part in ("kernel", "bias"))
        wx = x @ kernel
        x = function(wx + b)
        layers.append(Layer(wx, b, wx + b, x))
    return layers[0], layers[1]


def by_flax(config: Config, state: train.TrainState, image_D: np.ndarray) -> dict[str, np.ndarray]:
    """What the net computes, layer by layer, under the names of `nets.MLP`."""
    _, named = models.make_mlp(config).apply(train.variables(state), scale(jnp.asarray(image_D[None])))
    return {name: np.asarray(value[0], np.float64) for name, value in named.items()}  # pyright: ignore


def saturated(a_H: np.ndarray) -> np.ndarray:
    """Which sigmoid outputs are within 5 % of an asymptote, [H]."""
    return np.asarray(nets.saturation.unit_saturation(a_H[None], "sigmoid", MARGIN)) > 0


def hidden_lines(layer: Layer) -> list[str]:
    """The hidden units with all their numbers, in columns, saturated ones with a star."""
    cells = [
        f"{i:>2} {wx:+7.2f} {b:+6.2f} = {z:+7.2f} -> {a:.3f}{'*' if flat else ' '}"
        for i, (wx, b, z, a, flat) in enumerate(zip(*layer, saturated(layer.a), strict=True))
    ]
    rows = -(-len(cells) // COLUMNS)
    return [
        f"Hidden layer: unit, w.x + b = z -> a = sigmoid(z); * saturated, a < {MARGIN:g} or a > {1 - MARGIN:g}",
        *("   ".join(cells[i::rows]).rstrip() for i in range(rows)),
    ]


def output_lines(layer: Layer, true: int) -> list[str]:
    """The output neurons with all their numbers, and which is the answer."""
    lines = ["Output layer:", f"{'class':>5} {'w.x':>8} {'b':>7} {'z':>8} {'softmax':>9}"]
    for c, (wx, b, z, a) in enumerate(zip(*layer, strict=True)):
        marks = [mark for mark, of in (("predicted", int(layer.z.argmax())), ("true", true)) if c == of]
        lines.append(f"{c:>5} {wx:+8.3f} {b:+7.3f} {z:+8.3f} {a:>9.7f}  {', '.join(marks)}".rstrip())
    return [*lines, f"Predicted: {layer.z.argmax()}, true: {true}."]


def claims_of(hidden: Layer, output: Layer, named: dict[str, np.ndarray]) -> list[Claim]:
    """The Flax net against the hand computation."""
    hand = {"hidden_0/z": hidden.z, "hidden_0/a": hidden.a, "output/z": output.z, "output/a": output.a}
    errors = [float(np.abs(named[name] - values).max() / np.abs(values).max()) for name, values in hand.items()]
    total, predicted = float(named["output/a"].sum()), float(named["output/a"].argmax())
    largest = float(output.z.argmax())
    title, half = "z and a of both layers: largest difference / largest value", 1e-6
    return [
        exact_claim(
            "difference", title, "oracle", SOURCE, max(errors), (0.0, 1e-5), count=4, sample="arrays", published=0.0
        ),
        exact_claim("sum", "sum of the softmax outputs", "oracle", SOURCE, total, (1 - half, 1 + half), published=1.0),
        exact_claim(
            "class",
            "predicted class, against argmax of z",
            "oracle",
            SOURCE,
            predicted,
            (largest, largest),
            published=largest,
            rival="the nine other classes",
            rival_at=[other for other in range(len(output.z)) if other != largest],
        ),
    ]


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims for the test digit of that index."""
    config, digit = size.config, size.digit
    dataset = train.load_dataset(config, "")
    if not 0 <= digit < len(dataset.validation_labels):
        raise ConfigError(f"test digit {digit}; accepted: from 0 to {len(dataset.validation_labels) - 1}")
    state = trained(config, dataset)
    image_D, true = dataset.validation_images[digit], int(dataset.validation_labels[digit])
    hidden, output = by_hand(state.params, image_D)
    print("\n".join([f"Test digit {digit}.", *hidden_lines(hidden), *output_lines(output, true)]))
    figure = draw(digit, image_D, true, hidden, output)
    return figure, claims_of(hidden, output, by_flax(config, state, image_D))


def draw(digit: int, image_D: np.ndarray, true: int, hidden: Layer, output: Layer) -> Any:
    """The digit, the hidden units on the sigmoid, the output neurons' z and their softmax."""
    figure, (picture, curve, inputs, outputs) = figures.new_figure(17, 4.4, 4)
    picture.imshow(figures.as_pictures(image_D[None])[0], cmap="gray_r", vmin=0, vmax=255)
    picture.set_title(f"Test digit {digit}: a {true}")
    picture.set_axis_off()
    flat = saturated(hidden.a)
    reach = 1.05 * max(6, np.abs(hidden.z).max())
    z = np.linspace(-reach, reach, 301)
    curve.plot(z, sigmoid(z), color="lightgray", zorder=0)
    for which, colour, label in ((~flat, "tab:blue", "not saturated"), (flat, "tab:red", "saturated")):
        curve.plot(hidden.z[which], hidden.a[which], "o", color=colour, alpha=0.6, label=f"{which.sum()} {label}")
    for border in (MARGIN, 1 - MARGIN):
        curve.axhline(border, color="tab:red", linestyle=":", linewidth=1)
    curve.set(xlabel="weighted input z = w.x + b", ylabel="output a = sigmoid(z)")
    curve.set_title(f"{flat.sum()} of {len(flat)} hidden units are saturated")
    curve.legend(loc=(0.02, 0.7))
    predicted = int(output.z.argmax())
    colours = ["tab:orange" if c == predicted else "tab:green" if c == true else "tab:blue" for c in range(10)]
    inputs.bar(range(10), output.z, color=colours)
    inputs.axhline(0, color="gray", linewidth=1)
    inputs.set(
        xlabel="class", ylabel="weighted input z = w.x + b", title=f"Output neurons: z is largest for {predicted}"
    )
    bars = outputs.bar(range(10), output.a, color=colours)
    outputs.bar_label(bars, [f"{a:.1%}" if a >= 5e-4 else "" for a in output.a], fontsize=9)
    verdict = "right" if predicted == true else f"wrong, it is a {true}"
    outputs.set(xlabel="class", ylabel="output a = softmax(z)", ylim=(0, 1.25))
    outputs.set_title(f"The net says {predicted} with {output.a[predicted]:.1%}: {verdict}")
    outputs.bar(0, 0, color="tab:orange", label="predicted" + (" and true" if predicted == true else ""))
    if predicted != true:
        outputs.bar(0, 0, color="tab:green", label="true")
    outputs.legend(loc="upper center")
    for axis in (inputs, outputs):
        axis.set_xticks(range(10))
    for axis in (curve, inputs, outputs):
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
    return figure


QUICK = Size(as_config(shallow.get_config()).replace(learning_rate=LEARNING_RATE, epochs=EPOCHS, probes=()), 0)
STUDY = Study(
    question="How does one handwritten digit go through a trained net, number by number?",
    run=run,
    sizes={"tiny": QUICK._replace(config=QUICK.config.replace(dataset="synthetic", batch_size=100)), "quick": QUICK},
)


def propagate_flag() -> bool:
    """Runs the study of the digit that --digit names, and says whether that is another one than the study's own."""
    digit = flags.FLAGS.digit
    if digit != QUICK.digit:
        sizes = {name: size._replace(digit=digit) for name, size in STUDY.sizes.items()}
        command.run(STUDY._replace(sizes=sizes), flags.FLAGS.budget, flags.FLAGS.workdir)
    return digit != QUICK.digit


if __name__ == "__main__":
    flags.DEFINE_integer(
        "digit", QUICK.digit, "Which digit of the test set.", lower_bound=0, upper_bound=TEST_EXAMPLES - 1
    )
    command.main(STUDY, propagate_flag)
