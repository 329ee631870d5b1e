"""The pictures of nets that train: one colour a layer, or a net; what is of the second net is dashed."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import nets
from experiments.advising.advice import stability
from experiments.classroom import pictures
from experiments.classroom.pictures import Picture, axis, line, mark
from experiments.classroom.simulations.side import Answers, Curve, Side
from experiments.classroom.simulations.train_words import NAMES
from training import models
from training.pictures import as_pictures, montage
from training.screen import natural_order

OUTPUT_COLOUR = 7
BINS = 44
# What is drawn of what is saturated, by the names of the measures.
KINDS = {
    "saturation": "saturated",
    "zero_fraction": "zero",
    "dead_units": "dead units",
    "dormant_units": "dormant units",
    "wrong_side": "wrong side",
}
# First-layer units that are shown.
MOST_UNITS = 64


def pictures_of(sides: Sequence[Side]) -> dict[str, Picture]:
    """All pictures by the names of their places."""
    found = {
        "cost": _cost(sides),
        "accuracy": _accuracy(sides),
        "outputs": _outputs(sides),
        "saturated": _saturated(sides),
        "speed": _by_layer(sides, "speed", "|mean dC/db|", "How fast the biases of each layer would learn"),
        "updates": _updates(sides),
        "stability": _stability(sides),
    }
    found |= sides[0].pictures
    if len(sides) > 1:
        found |= {f"other_{name}": picture for name, picture in sides[1].pictures.items()}
    return {name: picture for name, picture in found.items() if picture}


def epochs(sides: Sequence[Side]) -> dict[str, Any]:
    """The axis of epochs, as far as they are."""
    return axis("epoch", 0.0, max(1.0, *(side.run.at for side in sides)), whole=max(side.run.at for side in sides) > 4)


def named(name: str, number: int, sides: Sequence[Side]) -> str:
    """A name in the legend, with which of two settings it is of."""
    return name if len(sides) == 1 else f"{name}, {NAMES[number].lower()}"


def curve(name: str, curve: Curve, colour: int, **style: Any) -> dict[str, Any]:
    """A curve over epochs as a line."""
    return line(name, curve.at, curve.values, colour, **style)


def colour_of(layer: str) -> int:
    """The colour of a layer: by its number, the output grey."""
    digits = "".join(letter for letter in layer if letter.isdigit())
    return int(digits) % OUTPUT_COLOUR if digits else OUTPUT_COLOUR


def _cost(sides: Sequence[Side]) -> Picture:
    guesses = list(dict.fromkeys(round(side.guess, 6) for side in sides))
    drawn: list[dict[str, Any]] = []
    for i, side in enumerate(sides):
        drawn.append(curve(named("training", i, sides), side.cost, i, width=1.2))
        drawn.append(curve(named("validation", i, sides), side.validated["val_loss"], i, dash=True, width=2.4))
    values = [v for side in sides for c in (side.cost, side.validated["val_loss"]) for v in c.values]
    top = max([1.15 * max(guesses), *sorted(values)[: max(1, math.ceil(0.995 * len(values)))]])
    cost = sides[0].config.cost.replace("_", "-")
    label = "cost" if len({side.config.cost for side in sides}) > 1 else f"{cost} cost"
    said = f"The cost over {sides[0].run.at:.1f} epochs, with that of a uniform guess"
    marks = [mark(f"uniform guess {guess:.4g}", y=guess) for guess in guesses]
    return pictures.lines(drawn, epochs(sides), axis(label, 0.0, top), said, marks)


def _accuracy(sides: Sequence[Side]) -> Picture:
    drawn: list[dict[str, Any]] = []
    for i, side in enumerate(sides):
        drawn.append(curve(named("training", i, sides), side.accuracy, i, width=1.2))
        drawn.append(curve(named("validation", i, sides), side.validated["val_accuracy"], i, dash=True, width=2.4))
    said = "The share of correct answers over epochs"
    return pictures.lines(drawn, epochs(sides), axis("fraction correct", 0.0, 1.0), said, [mark("chance", y=0.1)])


def _hidden(side: Side) -> list[tuple[str, str]]:
    """The hidden layers with their activations."""
    names = nets.activations.of_layers(",".join(models.activations_of(side.config)), len(side.config.hidden))
    return [(f"hidden_{i}", name) for i, name in enumerate(names)]


def _outputs(sides: Sequence[Side]) -> Picture | None:
    """Histograms of what the hidden neurons put out, with the asymptotes."""
    hidden = [(i, side, *layer) for i, side in enumerate(sides) for layer in _hidden(side) if layer[0] in side.outputs]
    if not hidden:
        return None
    values = [side.outputs[layer] for _, side, layer, _ in hidden]
    of_all = [nets.activations.get(name) for *_, name in hidden]
    low, high = _ends([a.range[0] for a in of_all], values, -1), _ends([a.range[1] for a in of_all], values, 1)
    room = 0.02 * (high - low)
    edges = np.linspace(low - room, high + room, BINS + 1)
    drawn = [
        pictures.histogram(named(layer, i, sides), side.outputs[layer].ravel(), edges, colour_of(layer), dash=i > 0)
        for i, side, layer, _ in hidden
    ]
    ends = {value for activation in of_all for value in activation.asymptotes if value is not None}
    marks = [mark("asymptote", x=float(value)) for value in sorted(ends)]
    said = "How often the outputs of each hidden layer have which value"
    return pictures.lines(drawn, axis("output of a neuron", *edges[[0, -1]].tolist()), axis("share", 0.0), said, marks)


def _ends(limits: Sequence[float], values: Sequence[np.ndarray], side: int) -> float:
    """Where the axis of outputs ends: at the limit of the activations, or at a round number beyond nearly all."""
    found = [limit for limit in limits if math.isfinite(limit)]
    if len(found) < len(limits):
        finite = np.concatenate([value[np.isfinite(value)].ravel() for value in values])
        far = float(np.quantile(side * finite, 0.998)) if finite.size else 1.0
        # Powers of the root of two: the axis does not move with every frame.
        found.append(side * 2 ** (math.ceil(2 * math.log2(far)) / 2) if far > 1e-6 else 0.0)
    return max(found) if side > 0 else min(found)


def _saturated(sides: Sequence[Side]) -> Picture | None:
    """Shares over epochs: saturated, zero and dead by layer, and outputs on the wrong side."""
    drawn: list[dict[str, Any]] = []
    for i, side in enumerate(sides):
        has_dead = any(name.startswith("dead_units/") for name in side.measured)
        for name in sorted(side.measured, key=natural_order):
            kind, _, layer = name.partition("/")
            if kind not in KINDS or (kind == "dormant_units" and has_dead):
                continue
            words = named(f"{layer} {KINDS[kind]}", i, sides)
            width = 3.0 if kind == "dead_units" else None
            drawn.append(curve(words, side.measured[name], colour_of(layer), dash=i > 0, width=width))
    said = "Which share of each layer's outputs is saturated, zero or dead, over epochs"
    if not drawn:
        return None
    height = 230 + 14 * max(0, math.ceil(len(drawn) / 2) - 2)
    return pictures.lines(drawn, epochs(sides), axis("share", 0.0, 1.0), said, height=height)


def _by_layer(
    sides: Sequence[Side], measure: str, label: str, said: str, marks: Sequence[dict[str, Any]] = ()
) -> Picture | None:
    """A measure of each layer over epochs, on a logarithmic axis."""
    drawn = [
        curve(named(name.partition("/")[2], i, sides), side.measured[name], colour_of(name), dash=i > 0)
        for i, side in enumerate(sides)
        for name in sorted(side.measured, key=natural_order)
        if name.startswith(f"{measure}/")
    ]
    return pictures.lines(drawn, epochs(sides), axis(label, log=True), said, marks) if drawn else None


def _updates(sides: Sequence[Side]) -> Picture | None:
    said = "How large one step is against the weights of its layer, over epochs"
    return _by_layer(sides, "update_ratio", "|step| / |weights|", said, [mark("rule of thumb .001", y=1e-3)])


def _stability(sides: Sequence[Side]) -> Picture | None:
    """The largest eigenvalue of the Hessian over epochs, with the one at which the rate stops being stable."""
    drawn: list[dict[str, Any]] = []
    marks: list[dict[str, Any]] = []
    for i, side in enumerate(sides):
        drawn.append(curve(named("largest eigenvalue", i, sides), side.top, i, dash=i > 0))
        factor = stability(side.config)
        if factor is not None:
            limit, name = factor / side.config.learning_rate, "2 / rate" if factor == 2 else f"{factor:.3g} / rate"
            marks.append(mark(f"{named(name, i, sides)} = {limit:.3g}", y=limit))
    if not any(line["x"] for line in drawn):
        return None
    note = None if marks else "Adam and its kin divide a step by the gradient's size: 2 / eigenvalue limits no rate."
    said = "The largest eigenvalue of the cost's Hessian over epochs; above the marked line the rate is not stable"
    return pictures.lines(drawn, epochs(sides), axis("eigenvalue", log=True), said, marks, note=note)


def weights(kernel_DxH: np.ndarray, shape: tuple[int, ...]) -> Picture:
    """The weights into the units of the first layer as pictures, for examples of that shape."""
    count = kernel_DxH.shape[1]
    shown_DxU = kernel_DxH[:, :MOST_UNITS]
    limit = float(np.abs(shown_DxU[np.isfinite(shown_DxU)]).max(initial=0)) or 1.0
    units = as_pictures(shown_DxU.T, shape)
    sheet = montage(units / (2 * limit) + 0.5, 16 if len(units) > 16 else max(1, len(units)))
    which = f"all {count} units" if count <= MOST_UNITS else f"the first {MOST_UNITS} of {count} units"
    note = f"{which}; blue {-limit:.2g}, grey 0, orange {limit:.2g}"
    return pictures.image(sheet, f"The weights from each pixel into {which}", colours=True, note=note)


def wrong(answers: Answers) -> Picture:
    """Digits that the net gets wrong, those first of which it is most sure."""
    items = [(one.pixels, f"{one.label}, said {one.answer}") for one in answers.shown]
    of = f"{answers.wrong:,} of the first {answers.asked:,} validation images at epoch {answers.at:.2f}"
    return pictures.tiles(items, f"{of}; the surest first")
