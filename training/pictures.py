"""Examples as pictures, and what every figure needs. matplotlib's object interface is used throughout: no display, no
global state.

N examples, D = pixels of an image, channels included.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.files import write_atomically

if TYPE_CHECKING:  # matplotlib is imported where the first figure is drawn: it takes a while.
    from matplotlib.figure import Figure


def new_figure(width: float, height: float, columns: int = 1, rows: int = 1) -> "tuple[Figure, np.ndarray[Any, Any]]":
    """A figure of that many inches and its axes, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def draw_digits(
    images_NxD: np.ndarray,
    labels_N: np.ndarray,
    rows: int = 4,
    columns: int = 10,
    shape: tuple[int, ...] = (),
    names: Sequence[str] = (),
) -> "Figure":
    """The first training images with their labels, or their names; bytes from 0 to 255, floats from the least to the
    greatest shown. Of four channels the first three are the colours; of another number, the first is shown."""
    pictures = as_pictures(images_NxD[: rows * columns], shape)
    if pictures.ndim == 4 and pictures.shape[3] != 3:
        pictures = pictures[..., :3] if pictures.shape[3] == 4 else pictures[..., 0]
    low, high = (0, 255) if pictures.dtype == np.uint8 else (float(pictures.min()), float(pictures.max()))
    height, width = pictures.shape[1] + 1, pictures.shape[2] + 1
    tile = tile_size(height, width, 0.8)
    figure, (axis,) = new_figure(columns * tile[1], rows * tile[0] + 0.4)
    tiles = montage(pictures, columns)
    if tiles.ndim == 3:
        # Colours are drawn from 0 to 1, and white between the images.
        tiles = np.nan_to_num((tiles - low) / ((high - low) or 1.0), nan=1.0)
    axis.imshow(tiles, cmap="gray_r", vmin=low, vmax=high)
    # On white paper a label can be read as it is.
    white = tiles.ndim == 2 and pictures.dtype == np.uint8
    behind = None if white else {"facecolor": "white", "linewidth": 0, "pad": 0.6}
    for i, label in enumerate(labels_N[: rows * columns]):
        corner = (i % columns * width - 0.5, i // columns * height - 0.5)
        axis.text(*corner, _label(label, names), color="tab:blue", fontsize=9, ha="left", va="top", bbox=behind)
    axis.set_title(f"First training {'images' if shape else 'examples'}, each with its label")
    axis.set_axis_off()
    return figure


def _label(label: Any, names: Sequence[str]) -> str:
    """A class by its name or number, the first target of a regression by a few digits."""
    if np.ndim(label):
        return f"{label[0]:.3g}"
    # Dollars would begin a formula.
    return str(names[label])[:8].replace("$", r"\$") if names else str(label)


def tile_size(height: int, width: int, inches: float) -> tuple[float, float]:
    """Height and width in inches of a picture whose area is that of a square so wide, within a factor of four."""
    root = math.sqrt(min(max(height / width, 1 / 16), 16))
    return inches * root, inches / root


def as_pictures(pixels_NxD: np.ndarray, shape: tuple[int, ...] = ()) -> np.ndarray:
    """Rows of pixels as pictures of that height, width and channels, which may come first as well; where that is not
    given, as the rectangles next to a square that they fill."""
    count = pixels_NxD.shape[1]
    if math.prod(shape) != count or len(shape) not in (2, 3):
        height = next(height for height in range(math.isqrt(count), 0, -1) if count % height == 0)
        shape = (height, count // height)
    pictures = pixels_NxD.reshape(len(pixels_NxD), *shape)
    channels_first = len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3, 4)
    return np.moveaxis(pictures, 1, -1) if channels_first else pictures


def montage(pictures_NxHxW: np.ndarray, columns: int) -> np.ndarray:
    """Pictures, also with channels, side by side in rows of that many, NaN between them: drawing one image is far
    faster than many."""
    count, height, width, *channels = pictures_NxHxW.shape
    rows = -(-count // columns)
    tiles = np.full((rows * columns, height + 1, width + 1, *channels), np.nan)
    tiles[:count, :height, :width] = pictures_NxHxW
    tiles = tiles.reshape(rows, columns, height + 1, width + 1, *channels).swapaxes(1, 2)
    return tiles.reshape(rows * (height + 1), columns * (width + 1), *channels)


def save_figure(figure: "Figure", path: Path) -> None:
    """Writes a PNG, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())
