"""The figures of a run. matplotlib's object interface is used throughout: no display, no global state.

E epochs, D inputs, H hidden units, C classes. A row is an epoch of metrics.jsonl, a histogram one of histograms.jsonl.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from training.metrics import Measure
from training.pictures import as_pictures, montage, new_figure, tile_size
from training.pictures import draw_digits as draw_digits
from training.pictures import save_figure as save_figure
from training.probes import measure_of
from training.records import lacks

if TYPE_CHECKING:  # matplotlib is imported where the first figure is drawn: it takes a while.
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# More columns than this cannot be told apart in a picture, and are slow to draw.
MOST_EPOCHS_SHOWN = 300
# Nor can more lines in one panel.
MOST_LINES = 6

# Up to so many epochs, and the untrained net before them, have markers.
FEW = 31


def evenly(items: "np.ndarray[Any, Any]", most: int) -> "np.ndarray[Any, Any]":
    """No more than that many of the items, evenly chosen, the first and the last among them."""
    return items[np.unique(np.linspace(0, len(items) - 1, min(len(items), most)).round().astype(int))]


def label_epochs(axis: Any) -> None:
    """Names an axis of epochs, whose ticks are whole numbers."""
    axis.set_xlabel("epoch")
    axis.xaxis.get_major_locator().set_params(integer=True)


def draw_learning_curves(rows: list[dict[str, Any]], baseline: float) -> "Figure":
    """Cost and accuracy over the epochs, the cost of a uniform guess marked as the plateau that it is; of a regression
    the cost alone, beside that of the mean target as a guess. What a test set gives is drawn faintly. A row of epoch 0,
    the untrained net, has no running mean of a training."""
    is_regression = lacks(rows[-1], "val_accuracy")
    names = ("loss",) if is_regression else ("loss", "accuracy")
    figure, axes = new_figure(5 + 5 * (len(names) - 1), 4, len(names))
    epochs, is_tested = [row["epoch"] for row in rows], any("test_loss" in row for row in rows)
    style: dict[str, Any] = {"marker": "o", "markersize": 3} if len(rows) <= FEW else {}
    for axis, name in zip(axes, names, strict=True):
        axis.plot(epochs, [_or_nan(row.get(name)) for row in rows], label="training (running mean)", **style)
        axis.plot(epochs, [row[f"val_{name}"] for row in rows], label="validation", **style)
        if is_tested:
            axis.plot(epochs, [_or_nan(row.get(f"test_{name}")) for row in rows], label="test", alpha=0.35, **style)
        label_epochs(axis)
        axis.grid(alpha=0.3)
    guess = "mean target as a guess" if is_regression else "uniform guess"
    axes[0].axhline(baseline, color="gray", linestyle="--", label=f"{guess}, {baseline:.4g}")
    axes[0].set(ylabel="cost", title=f"Cost: validation ends at {rows[-1]['val_loss']:.4f}")
    if not is_regression:
        best = max(rows, key=lambda row: row["val_accuracy"])
        title = f"Accuracy: validation ends at {rows[-1]['val_accuracy']:.4f}, best {best['val_accuracy']:.4f}"
        axes[1].set(ylabel="accuracy (fraction correct)", title=title)
    columns = 1 if is_regression else 3 + is_tested
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False)
    return figure


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def draw_first_layer(
    kernel_DxH: np.ndarray, most: int = 64, shape: tuple[int, ...] = (), layer: str = "first hidden layer"
) -> "Figure":
    """The weights into each unit of the first layer as a picture, one scale for all. Where images have colours,
    a unit's channels stand one below the other: signs and sizes can be read, which mixed colours would hide."""
    units = kernel_DxH.shape[1]
    shown = min(most, units)
    columns = min(shown, 16)
    pictures = as_pictures(kernel_DxH.T[:shown], shape)
    channels = 1
    if pictures.ndim == 4:
        channels = pictures.shape[-1]
        below = [(0, 0), (0, 1), (0, 0)]
        parts = [np.pad(part, below, constant_values=np.nan) for part in np.moveaxis(pictures, -1, 0)]
        # Wider gaps between the units than between a unit's channels.
        pictures = np.pad(np.concatenate(parts, axis=1), [(0, 0), (0, 2), (0, 3)], constant_values=np.nan)
    tile = tile_size(pictures.shape[1] + 1, pictures.shape[2] + 1, 0.6)
    figure, (axis,) = new_figure(max(columns * tile[1] + 2.0, 5.0), -(-shown // columns) * tile[0] + 0.6)
    limit = float(np.abs(kernel_DxH).max()) or 1.0
    picture = axis.imshow(montage(pictures, columns), cmap="RdBu_r", vmin=-limit, vmax=limit)
    which = f"all {units} units" if shown == units else f"the first {shown} of {units} units"
    which = "the one unit" if units == 1 else which
    order = {1: "", 3: "\nof each: red, green, blue, from the top"}.get(channels, f"\nof each: its {channels} channels")
    axis.set_title(f"Weights into {which} of the {layer}{order}")
    axis.set_axis_off()
    figure.colorbar(picture, ax=axis, label="weight", shrink=0.8)
    return figure


def draw_confusion(confusion_CxC: np.ndarray) -> "Figure":
    """Validation examples by true and predicted label; the colours show each true label's mistakes."""
    classes = len(confusion_CxC)
    figure, (axis,) = new_figure(max(6.0, 0.45 * classes + 1.5), max(5.0, 0.42 * classes + 1.0))
    shares_CxC = confusion_CxC / np.maximum(confusion_CxC.sum(axis=1, keepdims=True), 1)
    picture = axis.imshow(shares_CxC, cmap="Blues", vmin=0, vmax=1)
    for true, row in enumerate(confusion_CxC):
        for predicted, count in enumerate(row):
            colour = "white" if shares_CxC[true, predicted] > 0.5 else "black"
            axis.text(predicted, true, str(count) if count else "", ha="center", va="center", color=colour, fontsize=8)
    wrong = int(confusion_CxC.sum() - np.trace(confusion_CxC))
    axis.set(
        xlabel="predicted label",
        ylabel="true label",
        title=f"{wrong:,} of {confusion_CxC.sum():,} validation examples are wrong",
    )
    axis.set_xticks(range(classes))
    axis.set_yticks(range(classes))
    figure.colorbar(picture, ax=axis, label="share of the true label's examples")
    return figure


def draw_predictions(targets_VxC: np.ndarray, outputs_VxC: np.ndarray, most: int = 5_000) -> "Figure":
    """Outputs of a regression over their targets, a panel a target up to six; on the diagonal they are equal."""
    targets = min(targets_VxC.shape[1], MOST_LINES)
    columns = min(targets, 3)
    figure, axes = new_figure(4.2 * columns + 0.8, 4.2 * -(-targets // columns) + 0.4, columns, -(-targets // columns))
    shown = evenly(np.arange(len(targets_VxC)), most)
    for i, axis in enumerate(axes[:targets]):
        target_V, output_V = targets_VxC[shown, i], outputs_VxC[shown, i]
        ends = [float(np.nanmin(target_V)), float(np.nanmax(target_V))]
        axis.plot(ends, ends, color="gray", linestyle="--")
        axis.plot(target_V, output_V, ".", markersize=4, alpha=0.5)
        axis.set(xlabel="target", ylabel="output", title=f"Target {i}" if targets > 1 else "")
        axis.grid(alpha=0.3)
    for axis in axes[targets:]:
        axis.set_axis_off()
    figure.suptitle(f"{len(targets_VxC):,} validation examples; dashed: output = target")
    return figure


def probed_layers(rows: list[dict[str, Any]], measure: str) -> dict[str, tuple[list[int], list[float]]]:
    """Epochs and values of a measure by layer, `measure/layer` in the rows; NaN for what was not finite."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name.startswith(f"{measure}/"):
                epochs, values = found.setdefault(name.removeprefix(f"{measure}/"), ([], []))
                epochs.append(row["epoch"])
                values.append(math.nan if value is None else value)
    return found


def draw_lines(axis: "Axes", rows: list[dict[str, Any]], measure: str, **style: Any) -> bool:
    """One line a layer of a measure over the epochs, in the layers' own colours, the axis as is said of the measure in
    `training.probes`; of more than six layers the first, the last and some evenly between. Whether there was any."""
    layers, of_measure = probed_layers(rows, measure), measure_of(measure) or Measure()
    log, names = of_measure.log, evenly(np.array(list(layers)), MOST_LINES)
    for i, layer in enumerate(names.tolist()):
        epochs, values = layers[layer]
        # A logarithmic axis has no place for zero.
        heights = [value if value > 0 or not log else math.nan for value in values]
        marker = {"marker": "o", "markersize": 3} if len(epochs) <= FEW else {}
        line: dict[str, Any] = {"label": layer, "color": f"C{i}"} | marker | style
        axis.plot(epochs, heights, **line)
    axis.set_ylabel(of_measure.unit)
    label_epochs(axis)
    axis.grid(alpha=0.3)
    if log and any(value > 0 for _, values in layers.values() for value in values):
        axis.set_yscale("log")
    return bool(layers)


def legend_outside(axis: "Axes") -> None:
    """The layers' colours beside the last axes."""
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def draw_activations(histograms: list[dict[str, Any]]) -> "Figure":
    """How the outputs of each layer are spread, epoch by epoch: saturation gathers them at the asymptotes."""
    shown = [histograms[int(i)] for i in evenly(np.arange(len(histograms)), MOST_EPOCHS_SHOWN)]
    layers = [name for name in shown[0] if name != "epoch"]
    columns = min(len(layers), 4)
    rows = -(-len(layers) // columns)
    figure, axes = new_figure(4.0 * columns + 1.0, 3.4 * rows + 0.4, columns, rows)
    epochs = np.array([row["epoch"] for row in shown], float)
    # Each epoch's column reaches half-way to its neighbours.
    gaps = np.diff(epochs) if len(epochs) > 1 else np.ones(1)
    borders = np.array([epochs[0] - gaps[0] / 2, *(epochs[:-1] + epochs[1:]) / 2, epochs[-1] + gaps[-1] / 2])
    picture: Any = None
    for axis, layer in zip(axes, layers, strict=False):
        edges, shares_ExK = common_histogram([row[layer] for row in shown])
        # The root lets the few outputs between the asymptotes be seen beside the many at them.
        picture = axis.pcolormesh(borders, edges, np.sqrt(shares_ExK.T), cmap="magma_r", vmin=0, vmax=1)
        axis.set(title=layer, ylabel="output a of a unit")
        label_epochs(axis)
    for axis in axes[len(layers) :]:
        axis.set_axis_off()
    bar = figure.colorbar(picture, ax=list(axes), label="share of the layer's outputs, by bin")
    shares = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
    bar.set_ticks(np.sqrt(shares).tolist(), labels=[f"{share:g}" for share in shares])
    figure.suptitle("Outputs of each layer on the probe examples")
    return figure


def common_histogram(counted: list[dict[str, Any]], bins: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Histograms, each of its own range, over one range: edges [K + 1], shares [E, K], even within a bin."""
    low, high = min(row["low"] for row in counted), max(row["high"] for row in counted)
    edges = np.linspace(low, high, bins + 1)
    shares_ExK = np.zeros((len(counted), bins))
    for share_K, row in zip(shares_ExK, counted, strict=True):
        own_edges = np.linspace(row["low"], row["high"], len(row["counts"]) + 1)
        below = np.concatenate([[0.0], np.cumsum(row["counts"])])
        share_K[:] = np.diff(np.interp(edges, own_edges, below)) / max(below[-1], 1.0)
    return edges, shares_ExK


def draw_saturation(rows: list[dict[str, Any]]) -> "Figure":
    """How many outputs of each hidden layer are saturated, and where the layer's outputs lie."""
    figure, axes = new_figure(12, 4, 2)
    if draw_lines(axes[0], rows, "saturation"):
        axes[0].set_title("Outputs within 5 % of the range of an asymptote")
    elif draw_lines(axes[0], rows, "zero_fraction"):
        axes[0].set_title("Outputs that are exactly zero")
    else:
        draw_lines(axes[0], rows, "slope_mass")
        axes[0].set_title("Slope mass: how much of the slope is left")
    axes[0].set_ylim(-0.02, 1.02)
    draw_lines(axes[1], rows, "activation_p98")
    draw_lines(axes[1], rows, "activation_mean", linestyle="--", label=None)
    axes[1].set_title("98th percentile (solid) and mean (dashed) of the outputs")
    legend_outside(axes[-1])
    return figure


def draw_learning_speed(rows: list[dict[str, Any]]) -> "Figure":
    """How fast each layer learns, by the gradient of its biases, and how far it goes in an epoch."""
    figure, axes = new_figure(12, 4, 2)
    draw_lines(axes[0], rows, "speed")
    axes[0].set_title("Learning speed by layer, on the probe examples")
    draw_lines(axes[1], rows, "displacement")
    axes[1].set_title("Displacement in an epoch")
    legend_outside(axes[-1])
    return figure


def draw_update_ratios(rows: list[dict[str, Any]]) -> "Figure":
    """How large one step of the optimizer is beside the weights that it moves."""
    figure, (axis,) = new_figure(7, 4)
    draw_lines(axis, rows, "update_ratio")
    axis.set_title("Update-to-weight ratio of a step on the probe examples")
    legend_outside(axis)
    return figure
