"""What a picture is, as Python says it and `pictures.js` draws it: dictionaries that go to the browser as JSON.

A picture says its `kind` and all that is in it; a number that is not finite leaves a gap. `said` is what a reader hears
who does not see it. Colours are numbers: those of lines that stand for the same thing are the same in all pictures.
"""

import base64
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

Picture: TypeAlias = dict[str, Any]
# More points than this are not seen in a line, and only take time.
MOST_POINTS = 250


def numbers(values: Iterable[Any], digits: int = 5) -> list[float | None]:
    """The values as JSON has them: rounded to so many digits, None for what is not finite."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in map(float, values)]


def axis(
    label: str,
    low: float | None = None,
    high: float | None = None,
    *,
    log: bool = False,
    whole: bool = False,
) -> dict[str, Any]:
    """An axis: its label, its ends where they do not follow from the data, whether it is logarithmic, whether only
    whole numbers are ticks."""
    said = {"label": label, "min": low, "max": high, "log": log or None, "whole": whole or None}
    return {name: value for name, value in said.items() if value is not None}


def line(
    name: str,
    x: Sequence[Any] | np.ndarray,
    y: Sequence[Any] | np.ndarray,
    colour: int = 0,
    *,
    dash: bool = False,
    area: bool = False,
    points: bool = False,
    width: float | None = None,
    gaps: bool = False,
) -> dict[str, Any]:
    """A line of a picture, of at most `MOST_POINTS` evenly chosen points, the last among them; without a name it is
    not in the legend. `area` fills what is below, `points` draws the points alone; one with `gaps` is of parts
    of a curve, between which its numbers are none."""
    chosen = range(len(x))
    if len(x) > MOST_POINTS:
        chosen = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int))
    said: dict[str, Any] = {"name": name, "colour": colour}
    said |= {"x": numbers(x[i] for i in chosen), "y": numbers(y[i] for i in chosen)}
    said |= {"dash": dash or None, "area": area or None, "points": points or None, "width": width}
    said["gaps"] = gaps or None
    return {key: value for key, value in said.items() if value is not None}


def dots(
    name: str, x: Sequence[Any] | np.ndarray, y: Sequence[Any] | np.ndarray, colour: int, radius: float
) -> list[dict[str, Any]]:
    """Points of that size, all of them, as lines with as many each as a line may have; the first has the name."""
    pieces = [slice(start, start + MOST_POINTS) for start in range(0, max(len(x), 1), MOST_POINTS)]
    return [
        line("" if piece.start else name, x[piece], y[piece], colour, points=True) | {"radius": radius}
        for piece in pieces
    ]


def path(x: np.ndarray, y: np.ndarray, colour: int, width: float) -> list[dict[str, Any]]:
    """A line of all its points, in pieces of as many as a line may have; each begins where the one before ends."""
    starts = range(0, max(len(x) - 1, 1), MOST_POINTS - 1)
    pieces = [slice(start, start + MOST_POINTS) for start in starts]
    return [line("", x[piece], y[piece], colour, width=width) for piece in pieces]


def mark(text: str, *, x: float | None = None, y: float | None = None) -> dict[str, Any]:
    """A straight line across the picture, with its words: at that x, or at that y."""
    return {"text": text} | ({"x": x} if x is not None else {"y": y})


def lines(
    drawn: Sequence[dict[str, Any]],
    x: dict[str, Any],
    y: dict[str, Any],
    said: str,
    marks: Sequence[dict[str, Any]] = (),
    *,
    height: int = 230,
    note: str | None = None,
) -> Picture:
    """A picture of lines."""
    picture: Picture = {"kind": "lines", "lines": list(drawn), "x": x, "y": y, "marks": list(marks)}
    picture |= {"said": said, "height": height}
    return picture if note is None else picture | {"note": note}


def histogram(
    name: str, values: np.ndarray, edges: np.ndarray, colour: int = 0, *, dash: bool = False
) -> dict[str, Any]:
    """The shares of the values between the edges, as the line of a picture: stairs with what is below filled. Values
    beyond the ends are counted in the last bins."""
    finite = values[np.isfinite(values)]
    counts = np.histogram(np.clip(finite, edges[0], edges[-1]), edges)[0]
    shares = np.repeat(counts / max(len(finite), 1), 2)
    return line(name, np.repeat(edges, 2)[1:-1], shares, colour, area=True, dash=dash)


def png(values: np.ndarray, colours: bool = False) -> str:
    """An array of numbers in [0, 1], [height, width], as the address of a PNG in itself: black to white; with `colours`
    blue for 0 over grey for a half to orange for 1. What is not finite is transparent."""
    from PIL import Image

    is_there = np.isfinite(values)
    levels = np.where(is_there, np.clip(np.nan_to_num(values), 0, 1) * 254, 255).round().astype(np.uint8)
    image = Image.frombytes("P", (levels.shape[1], levels.shape[0]), levels.tobytes())
    image.putpalette((_BLUE_TO_ORANGE if colours else _BLACK_TO_WHITE).tobytes())
    content = io.BytesIO()
    image.save(content, "PNG", transparency=255)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def _ramp(*stops: tuple[int, int, int]) -> np.ndarray:
    """256 colours, evenly from one stop to the next; the last is for what is transparent."""
    at = np.linspace(0, 254, len(stops))
    found = np.stack([np.interp(np.arange(256), at, [stop[i] for stop in stops]) for i in range(3)], axis=1)
    return found.round().astype(np.uint8)


_BLACK_TO_WHITE = _ramp((0, 0, 0), (255, 255, 255))
_BLUE_TO_ORANGE = _ramp((0, 90, 181), (128, 172, 218), (238, 238, 238), (236, 170, 112), (200, 80, 0))


def image(values: np.ndarray, said: str, *, colours: bool = False, note: str | None = None) -> Picture:
    """An array of numbers in [0, 1] as a picture of pixels."""
    height, width = values.shape
    picture = {"kind": "image", "source": png(values, colours), "width": width, "height": height}
    picture |= {"said": said, "pixelated": True}
    return picture if note is None else picture | {"note": note}


def tiles(items: Sequence[tuple[np.ndarray, str]], note: str | None = None) -> Picture:
    """Small pictures of numbers in [0, 1], each with its words."""
    picture: Picture = {"kind": "tiles", "items": [{"source": png(values), "text": text} for values, text in items]}
    return picture if note is None else picture | {"note": note}


def svg(markup: str) -> Picture:
    """A picture that Python draws itself; an element with `data-do="NAME"` and perhaps `data-value` does what a button
    of that name does, with a click and with the keyboard."""
    return {"kind": "svg", "markup": markup}
