"""The pictures of one digit on its way through a net: the net as a drawing, and the numbers of the unit looked at.

D inputs, H hidden units, C classes. Blue is what is below 0, orange what is above it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import nets
from experiments.classroom import pictures
from experiments.classroom.pictures import Picture, axis, line, mark
from experiments.classroom.simulations.tables import MINUS, Cell, added, said, table
from training.pictures import as_pictures

HIDDEN, OUTPUT = "hidden_0", "output"
# Of a sum, so many of its largest terms are shown.
TERMS = 8
COLUMNS = 8
# Outputs of a bounded unit within 5 % of an asymptote, as `nets.saturation` counts them.
MARGIN = 0.05
TICK, SPACE, DOT = "\N{CHECK MARK}", "\N{NO-BREAK SPACE}", "\N{MIDDLE DOT}"


class Pass(NamedTuple):
    """A digit's way through the net: the image, uint8 [D], and what it is, None for a drawing; `named` are z and a of
    both layers, as the net gives them; kernels and biases by layer; the layer and the number of the unit looked at."""

    image_D: np.ndarray
    label: int | None
    activation: str
    named: dict[str, np.ndarray]
    kernels: dict[str, np.ndarray]
    biases: dict[str, np.ndarray]
    chosen: tuple[str, int]

    def inputs_of(self, layer: str) -> np.ndarray:
        """What a layer reads: pixels, or the outputs of the hidden units."""
        return self.image_D / 255 if layer == HIDDEN else self.named[f"{HIDDEN}/a"]

    def products(self, layer: str) -> np.ndarray:
        """Weight x input of each input of each unit, [inputs, units]."""
        return self.inputs_of(layer)[:, None] * self.kernels[layer]

    @property
    def answer(self) -> int:
        """The class of the largest share."""
        return int(self.named["output/a"].argmax())


def pictures_of(passed: Pass) -> dict[str, Picture]:
    """All pictures by the names of their places."""
    found = {
        "net": pictures.svg(_net(passed)),
        "sum": pictures.svg(_sum(passed)),
        "weights": _of_inputs(passed, passed.kernels[passed.chosen[0]], "Weights"),
        "products": _of_inputs(passed, passed.products(passed.chosen[0]), "Weight times input"),
        "curve": _curve(passed),
        "shares": pictures.svg(_shares(passed)),
        "hidden": pictures.svg(_hidden(passed)),
    }
    return found


def called(layer: str, number: int) -> str:
    """A unit in words."""
    return f"{'hidden unit' if layer == HIDDEN else 'output neuron'} {number}"


def saturated(passed: Pass) -> np.ndarray:
    """Which hidden units sit where their activation function is flat, [H]: at an asymptote, or, of ReLU, at 0."""
    a_H = passed.named[f"{HIDDEN}/a"]
    if passed.activation == "relu":
        return a_H == 0
    return np.asarray(nets.saturation.unit_saturation(a_H[None], passed.activation, MARGIN)) > 0


def finding(passed: Pass) -> str:
    """What the net answers, in a sentence."""
    shares, answer = passed.named["output/a"], passed.answer
    words = f"The net says {answer} with {shares[answer]:.1%}"
    if not passed.image_D.any():
        return (
            f"{words} to nothing at all: every pixel is 0, so every hidden sum is its bias alone, and the answer is "
            "the same for any blank picture."
        )
    if passed.label is None:
        second = int(np.argsort(-shares)[1])
        return f"{words}, then {second} with {shares[second]:.1%}."
    if answer == passed.label:
        return f"{words}: right."
    return f"{words}: wrong, it is a {passed.label}, to which it gives {shares[passed.label]:.1%}."


# ---------------------------------------------------------------------------------------------------------------------
# The net.

WIDTH, HEIGHT, TOP = 960, 372, 44
IMAGE, IMAGE_X = 224, 14
CELL, GRID_X = 38, 322
OUTPUT_X, OUTPUT_STEP, BAR_X, BAR = 742, 32, 772, 118


def _place(layer: str, number: int) -> tuple[float, float]:
    """Where the middle of a unit is."""
    if layer == HIDDEN:
        return GRID_X + CELL * (number % COLUMNS) + CELL / 2, TOP + CELL * (number // COLUMNS) + CELL / 2
    return OUTPUT_X, TOP + OUTPUT_STEP * number + OUTPUT_STEP / 2 - 8


def _net(passed: Pass) -> str:
    layer, number = passed.chosen
    a_H, shares = passed.named[f"{HIDDEN}/a"], passed.named["output/a"]
    label = f"The net: the digit, 64 hidden units, 10 output neurons; {called(layer, number)} is looked at"
    source = pictures.png(as_pictures(passed.image_D[None])[0] / 255)
    image_y = TOP + 40
    inside = [
        _wedge(passed, image_y),
        *_lines(passed),
        f'<image class="pixelated" href="{source}" x="{IMAGE_X}" y="{image_y}" width="{IMAGE}" height="{IMAGE}"/>',
        f'<rect class="frame" x="{IMAGE_X}" y="{image_y}" width="{IMAGE}" height="{IMAGE}"/>',
        _text(IMAGE_X + IMAGE / 2, 22, "784 pixels x"),
        _text(GRID_X + CELL * COLUMNS / 2, 22, f"64 hidden units: a = {passed.activation}(w {DOT} x + b)"),
        _text((OUTPUT_X + WIDTH) / 2 - 10, 22, "10 output neurons: softmax"),
    ]
    size = max(1.0, float(np.abs(a_H).max(initial=0)))
    for i, a in enumerate(a_H):
        inside.append(_unit(HIDDEN, i, a / size, _short(a), f"output {said(a)}", passed.chosen))
    for c, share in enumerate(shares):
        y = _place(OUTPUT, c)[1]
        inside.append(_unit(OUTPUT, c, share, str(c), f"share {share:.1%}", passed.chosen))
        colour, weight = ("c1", "700") if c == passed.answer else ("c7", "400")
        mine = f" {TICK}" if c == passed.label else ""
        width = BAR * share
        inside.append(f'<rect class="fill {colour}" x="{BAR_X}" y="{y - 8}" width="{width:.1f}" height="16"/>')
        words = f"{share:.1%}{mine}"
        inside.append(f'<text x="{BAR_X + width + 6:.1f}" y="{y + 5}" font-weight="{weight}">{words}</text>')
    return (
        f'<svg class="net" role="group" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="14">'
        f"{''.join(inside)}</svg>"
    )


def _text(x: float, y: float, words: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="middle" font-weight="600">{words}</text>'


def _short(a: float) -> str:
    """A number that fits into a circle."""
    text = said(a, 2 if abs(a) < 9.995 else 0)
    return text.replace("0.", ".", 1) if abs(a) < 0.995 else text.removesuffix("0") if abs(a) < 9.995 else text


def _unit(layer: str, number: int, strength: float, words: str, value: str, chosen: tuple[str, int]) -> str:
    x, y = _place(layer, number)
    radius, is_chosen = (16 if layer == HIDDEN else 14), (layer, number) == chosen
    colour = "c1" if strength >= 0 else "c0"
    setting = f"{'hidden' if layer == HIDDEN else 'output'} {number}"
    name = f"{called(layer, number)}: {value}"
    return (
        f'<g data-setting="unit" data-value="{setting}" role="button" tabindex="{0 if is_chosen else -1}" '
        f'aria-label="{name}" aria-pressed="{str(is_chosen).lower()}"><title>{name}</title>'
        f'<circle cx="{x}" cy="{y}" r="{radius}" style="fill: var(--paper)"/>'
        f'<circle class="fill {colour}" cx="{x}" cy="{y}" r="{radius}" fill-opacity="{0.65 * abs(strength):.2f}"/>'
        f'<circle class="{"ring" if is_chosen else "rim"}" cx="{x}" cy="{y}" r="{radius}"/>'
        f'<text x="{x}" y="{y + 4}" text-anchor="middle" font-size="{11 if layer == HIDDEN else 14}">{words}</text></g>'
    )


def _wedge(passed: Pass, image_y: float) -> str:
    """From all pixels to the hidden unit looked at."""
    layer, number = passed.chosen
    if layer != HIDDEN:
        return ""
    x, y = _place(layer, number)
    right = IMAGE_X + IMAGE
    return f'<polygon class="wedge" points="{right},{image_y} {right},{image_y + IMAGE} {x},{y}"/>'


def _lines(passed: Pass) -> Iterator[str]:
    """What goes from the hidden unit looked at to the output neurons, or from all of them to that output neuron."""
    products_HxC, (layer, number) = passed.products(OUTPUT), passed.chosen
    size = float(np.abs(products_HxC).max(initial=0)) or 1.0
    ends = (
        [(number, c) for c in range(products_HxC.shape[1])]
        if layer == HIDDEN
        else [(h, number) for h in range(len(products_HxC))]
    )
    for h, c in ends:
        product = products_HxC[h, c]
        (x1, y1), (x2, y2) = _place(HIDDEN, h), _place(OUTPUT, c)
        style = f"stroke-width: {0.4 + 6 * abs(product) / size:.2f}; stroke-opacity: .7"
        colour = "c1" if product >= 0 else "c0"
        yield f'<line class="{colour}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" style="{style}"/>'


# ---------------------------------------------------------------------------------------------------------------------
# The unit looked at.


def _of_inputs(passed: Pass, values_DxH: np.ndarray, what: str) -> Picture:
    """One number an input as a picture: where the pixels are, or where the hidden units are in the drawing."""
    layer, number = passed.chosen
    values_D = values_DxH[:, number]
    limit = float(np.abs(values_D).max(initial=0)) or 1.0
    where = "pixel" if layer == HIDDEN else "hidden unit, in the places of the drawing above"
    note = f"of each {where}: blue {MINUS}{limit:.2g}, pale 0, orange {limit:.2g}"
    text = f"{what} of {called(layer, number)}, {note}"
    return pictures.image(as_pictures(values_D[None])[0] / (2 * limit) + 0.5, text, colours=True, note=note)


def _sum(passed: Pass) -> str:
    """w.x + b with its largest terms, and what becomes of it."""
    layer, number = passed.chosen
    w_D, x_D = passed.kernels[layer][:, number], passed.inputs_of(layer)
    terms_D, b = passed.products(layer)[:, number], passed.biases[layer][number]
    z, a = passed.named[f"{layer}/z"][number], passed.named[f"{layer}/a"][number]
    wx = float(terms_D.sum())
    largest = [int(i) for i in np.argsort(-np.abs(terms_D), kind="stable")[:TERMS] if terms_D[i] != 0]
    rows = [[_input_name(layer, i), said(w_D[i]), said(x_D[i], 2), said(terms_D[i])] for i in largest]
    others = len(terms_D) - len(largest)
    rows.append([f"the other {others}", "", "", said(wx - float(terms_D[largest].sum()))])
    rows.append(["together", "", "", said(wx)])
    equation = f"z = w {DOT} x + b = {said(wx)} {added(b)} = <b>{said(z)}</b>"
    head = "row, column" if layer == HIDDEN else "hidden unit"
    terms = table([head, "w", "x", f"w {DOT} x"], rows, total=True)
    return f'<p class="equation">{called(layer, number)}:<br>{equation}<br>{_answer_words(passed, z, a)}</p>{terms}'


def _input_name(layer: str, i: int) -> str:
    return f"{i // 28}, {i % 28}" if layer == HIDDEN else str(i)


def _answer_words(passed: Pass, z: float, a: float) -> str:
    """What the unit makes of its sum, with the formula."""
    if passed.chosen[0] == OUTPUT:
        return f"share = e<sup>z</sup> / sum of all ten e<sup>z</sup> = <b>{said(a, 4)}</b>"
    slope = float(nets.saturation.slopes(np.array([[z]], np.float32), passed.activation)[0, 0])
    formula = {
        "sigmoid": f"1 / (1 + e<sup>{said(-z, 2)}</sup>)",
        "tanh": f"tanh({said(z)})",
        "relu": f"max(0, {said(z)})",
    }[passed.activation]
    flat = ": saturated" if saturated(passed)[passed.chosen[1]] else ""
    flat = ": it is off" if flat and passed.activation == "relu" else flat
    return f"a = {formula} = <b>{said(a)}</b>; slope {said(slope)}{flat}"


def _curve(passed: Pass) -> Picture | None:
    """The hidden units on their activation function; the one looked at stands out."""
    z_H, a_H = passed.named[f"{HIDDEN}/z"], passed.named[f"{HIDDEN}/a"]
    reach = 1.05 * max(6.0, float(np.abs(z_H).max()))
    z = np.linspace(-reach, reach, 201, dtype=np.float32)
    activation, flat = nets.activations.get(passed.activation), saturated(passed)
    what = "at 0" if passed.activation == "relu" else "saturated"
    drawn = [
        line("", z, np.asarray(activation.function(jnp.asarray(z))), 7),
        line(f"{(~flat).sum()} not {what}", z_H[~flat], a_H[~flat], 0, points=True),
        line(f"{flat.sum()} {what}", z_H[flat], a_H[flat], 1, points=True),
    ]
    marks = []
    if passed.chosen[0] == HIDDEN:
        number = passed.chosen[1]
        marks.append(mark(f"unit {number}: z = {said(z_H[number], 2)}", x=float(z_H[number])))
    text = f"Weighted input and output of all hidden units: {flat.sum()} of {len(flat)} are {what}"
    return pictures.lines(drawn, axis("weighted input z"), axis(f"a = {passed.activation}(z)"), text, marks, height=300)


def _shares(passed: Pass) -> str:
    """The output layer as a table with bars."""
    z_C, a_C, b_C = passed.named["output/z"], passed.named["output/a"], passed.biases[OUTPUT]
    wx_C = passed.products(OUTPUT).sum(axis=0)
    rows = [
        [
            f"{c} {TICK}" if c == passed.label else str(c),
            said(wx_C[c], 2),
            said(b_C[c], 2),
            said(z_C[c], 2),
            said(a_C[c], 4),
            Cell(f'<div class="share"><i style="width: {100 * a_C[c]:.1f}%"></i></div>'),
        ]
        for c in range(len(a_C))
    ]
    label = f"; {TICK} what it is." if passed.label is not None else "."
    note = f"All ten shares add up to {said(float(a_C.sum()), 4)}. Marked: what the net says{label}"
    head = ["class", f"w {DOT} x", "b", "z", "share", ""]
    return f'{table(head, rows, marked=passed.answer)}<p class="note">{note}</p>'


def _hidden(passed: Pass) -> str:
    """All hidden units with all their numbers, in columns."""
    z_H, a_H, b_H = passed.named[f"{HIDDEN}/z"], passed.named[f"{HIDDEN}/a"], passed.biases[HIDDEN]
    wx_H, flat = passed.products(HIDDEN).sum(axis=0), saturated(passed)
    columns = []
    for first in range(0, len(z_H), len(z_H) // 4):
        numbers = range(first, first + len(z_H) // 4)
        rows = [
            [str(i), said(wx_H[i], 2), said(b_H[i], 2), said(z_H[i], 2), said(a_H[i]) + ("*" if flat[i] else SPACE)]
            for i in numbers
        ]
        marked = passed.chosen[1] - first if passed.chosen[0] == HIDDEN else -1
        columns.append(table(["unit", f"w {DOT} x", "b", "z", f"a{SPACE}"], rows, marked=marked))
    what = "at 0, where the slope of ReLU is 0" if passed.activation == "relu" else "saturated"
    return f'<div class="sums">{"".join(columns)}</div><p class="note">* {what}: {flat.sum()} of {len(flat)}</p>'
