"""The report of a sweep: one HTML page that opens offline, and pictures of its main plots.

    python -m experiments.report --workdir=DIR

reads DIR/results.parquet and writes DIR/report.html and DIR/figures/*.png. The page has filters, learning curves, a
heat map of any two swept fields, parallel coordinates, saturation and speed by layer, and a table of configurations.

T trials, S seeds, C configurations, F swept fields but for the seed, E epochs. A trial is one config, seed included; a
configuration is a trial but for its seed. Two rules hold for every number: the row in which a trial diverged is left
out, and what is said of the end, or of the best epoch, is said of the trials that ended; the diverged ones are counted.
"""

import json
import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from absl import app, flags

import figures
import run_directory
import train
from experiments import results
from training import console

TEMPLATE = Path(__file__).with_name("report_template.html")
MOST_EPOCHS = 100
# Numbers on the page, all curves together: 15 to 20 MB.
MOST_NUMBERS = 2_500_000
# A field whose positive values span more than this is drawn on a logarithmic axis.
LINEAR_SPAN = 20
MOST_TICKS = 12
# Numbers of more values than this, as a random search has, are filtered and mapped in so many groups.
MOST_VALUES, GROUPS = 24, 12
CROSS = "\N{MULTIPLICATION SIGN}"
LOWEST_IS_BEST = ("loss", "val_loss")
# Of these the first that was measured says how saturated a layer is.
SATURATION = ("saturation", "zero_fraction", "slope_mass")
UNITS = {
    "loss": "cost",
    "val_loss": "cost",
    "accuracy": "fraction correct",
    "val_accuracy": "fraction correct",
    "saturation": "fraction of outputs near an asymptote",
    "zero_fraction": "fraction of outputs that are zero",
    "slope_mass": "mean |f'(z)| / largest",
    "dead_units": "fraction of units",
    "dormant_units": "fraction of units",
    "wrong_side": "fraction of outputs",
    "activation_mean": "output of a unit",
    "activation_std": "output of a unit",
    "activation_p98": "output of a unit",
    "speed": "|mean dC/db|",
    "gradient_norm": "|dC/dw|",
    "update_ratio": "|update| / |weights|",
    "displacement": "|change of the parameters|",
    "noise/scale": "examples",
    "batch_size": "examples",
    "train_examples": "examples",
    "dropout": "rate",
    "hidden": "units",
}


class Sweep(NamedTuple):
    """Which rows of the table belong to which trial, and which trials to which configuration."""

    fields: list[str]
    values: dict[str, list]  # of each field, in order
    codes_CxF: np.ndarray  # the place of a configuration's value among its field's
    index_SxC: np.ndarray  # the trials of each configuration; as many as there are trials: none
    trial_R: np.ndarray
    epoch_R: np.ndarray  # the place of a row's epoch among those of the table
    epochs_E: np.ndarray
    last_T: np.ndarray  # likewise, of the last row
    diverged_T: np.ndarray


def write(workdir: Path, table: pa.Table) -> list[Path]:
    """Writes report.html and figures/*.png of the table; the paths of what was written."""
    sweep = sweep_of(table)
    page = workdir / "report.html"
    run_directory.write_atomically(page, page_text(page_data(table, sweep, workdir.resolve().name)))
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    draw = {
        "learning_curves.png": draw_learning_curves,
        "heat_map.png": draw_heat_map,
        "saturation.png": draw_saturation,
    }
    written = [page]
    for name, function in draw.items():
        figure = function(table, sweep)
        # A picture of a sweep that was here before would be taken for this one's.
        (folder / name).unlink(missing_ok=True)
        if figure:
            run_directory.save_figure(figure, folder / name)
            written.append(folder / name)
    return written


# ---------------------------------------------------------------------------------------------------------------------
# From rows to configurations.


def sweep_of(table: pa.Table) -> Sweep:
    """Finds the trials and configurations of a table."""
    names = np.asarray(table["trial"].to_pylist())
    _, first_T, trial_R = np.unique(names, return_index=True, return_inverse=True)
    trials = len(first_T)
    fields = [name for name in results.swept_fields(table) if name != "seed"]
    values, codes = {}, np.zeros((trials, len(fields) + 1), int)
    for i, name in enumerate(fields):
        of_trials = table[name].take(first_T).to_pylist()
        values[name] = sorted(set(of_trials), key=order)
        place = {value: j for j, value in enumerate(values[name])}
        codes[:, i] = [place[value] for value in of_trials]
    # A last column of zeros stands for the one configuration of a sweep of nothing but seeds.
    codes_CxF, configuration_T = np.unique(codes, axis=0, return_inverse=True)
    epochs_E, epoch_R = np.unique(table["epoch"].to_numpy(), return_inverse=True)
    last_T = np.zeros(trials, int)
    np.maximum.at(last_T, trial_R, epoch_R)
    diverged_T = np.zeros(trials, bool)
    np.logical_or.at(diverged_T, trial_R, table["diverged"].to_numpy())
    index_SxC = seeds_of(configuration_T.ravel(), len(codes_CxF))
    return Sweep(fields, values, codes_CxF[:, :-1], index_SxC, trial_R, epoch_R, epochs_E, last_T, diverged_T)


def order(value: Any) -> Any:
    """A sorting key for the values of a field."""
    return train.natural_order(value) if isinstance(value, str) else value


def seeds_of(configuration_T: np.ndarray, configurations: int) -> np.ndarray:
    """The trials of each configuration as a column, filled up with the number of trials, which stands for none."""
    trials = len(configuration_T)
    by_configuration = np.argsort(configuration_T, kind="stable")
    counts = np.bincount(configuration_T, minlength=configurations)
    starts = np.cumsum(counts) - counts
    sorted_T = configuration_T[by_configuration]
    index_SxC = np.full((counts.max(), configurations), trials)
    index_SxC[np.arange(trials) - starts[sorted_T], sorted_T] = by_configuration
    return index_SxC


def values_of(table: pa.Table, sweep: Sweep, name: str) -> np.ndarray:
    """A metric by trial and epoch, NaN where there is none and in the row in which a trial diverged."""
    values_TxE = np.full((len(sweep.last_T), len(sweep.epochs_E)), np.nan)
    values_R = table[name].to_numpy()
    values_TxE[sweep.trial_R, sweep.epoch_R] = np.where(table["diverged"].to_numpy(), np.nan, values_R)
    return values_TxE


def over_seeds(sweep: Sweep, values_Tx: np.ndarray) -> results.Interval:
    """Mean, interval and so on of each configuration over its seeds."""
    nothing = np.full((1, *values_Tx.shape[1:]), np.nan)
    return results.interval(np.concatenate([values_Tx, nothing])[sweep.index_SxC])


def finals_of(sweep: Sweep, values_TxE: np.ndarray) -> np.ndarray:
    """The last value of each trial: NaN where it diverged, since that row is left out."""
    return values_TxE[np.arange(len(sweep.last_T)), sweep.last_T]


def bests_of(sweep: Sweep, values_TxE: np.ndarray, name: str) -> np.ndarray:
    """The best value of each trial that ended over its epochs, else NaN."""
    best = (np.fmin if name in LOWEST_IS_BEST else np.fmax).reduce(values_TxE, axis=1)
    return np.where(sweep.diverged_T, np.nan, best)


def counts_of(sweep: Sweep) -> tuple[np.ndarray, np.ndarray]:
    """How many trials each configuration has, and how many of them diverged."""
    trials = len(sweep.diverged_T)
    diverged = np.append(sweep.diverged_T, False)[sweep.index_SxC]
    return np.sum(sweep.index_SxC < trials, axis=0), np.sum(diverged, axis=0)


def label(value: Any) -> str:
    """A field's value in few characters."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def is_number(sweep: Sweep, name: str) -> bool:
    """Whether a field's values are numbers."""
    return not isinstance(sweep.values[name][0], (str, bool))


def groups_of(values: Sequence[Any]) -> tuple[np.ndarray, list[str]]:
    """The group of each value and what the groups are called: one a value, or for many numbers ranges of them."""
    codes = np.arange(len(values))
    if len(values) <= MOST_VALUES or isinstance(values[0], (str, bool)):
        return codes, [label(value) for value in values]
    groups = codes * GROUPS // len(values)
    ends = [np.flatnonzero(groups == group)[[0, -1]] for group in range(GROUPS)]
    return groups, [f"{values[first]:.3g} to {values[last]:.3g}" for first, last in ends]


def configuration_name(sweep: Sweep, c: int) -> str:
    """`activation=tanh, learning_rate=1`."""
    parts = [f"{name}={label(sweep.values[name][code])}" for name, code in zip(sweep.fields, sweep.codes_CxF[c])]  # noqa: B905
    return ", ".join(parts) or "the one configuration"


class Scale(NamedTuple):
    """Where the values of a field lie on an axis, and what is written there."""

    kind: str  # text, or for numbers: linear, log, rank
    positions: list[float]
    ticks: list[float]
    tick_labels: list[str]


def scale_of(values: Sequence[Any]) -> Scale:
    """Numbers lie where they are, or at their logarithms if they span much; where zero forbids that, and for all that
    are no numbers, the values stand at equal distances."""
    labels = [label(value) for value in values]
    ranks = [float(i) for i in range(len(values))]
    if isinstance(values[0], (str, bool)):
        return Scale("text", ranks, ranks, labels)
    numbers = [float(value) for value in values]
    positive = [number for number in numbers if number > 0]
    wide = bool(positive) and max(positive) > LINEAR_SPAN * min(positive)
    if wide and len(positive) < len(numbers):
        return Scale("rank", ranks, ranks, labels)
    positions = [math.log10(number) for number in numbers] if wide else numbers
    kind = "log" if wide else "linear"
    if len(values) <= MOST_TICKS:
        return Scale(kind, positions, positions, labels)
    ticks = np.linspace(positions[0], positions[-1], 6)
    powers = np.arange(math.ceil(positions[0]), math.floor(positions[-1]) + 1, dtype=float)
    if wide and len(powers) > 1:
        ticks = powers
    return Scale(kind, positions, ticks.tolist(), [f"{10**tick if wide else tick:.3g}" for tick in ticks])


# ---------------------------------------------------------------------------------------------------------------------
# The page.


def page_text(data: dict[str, Any]) -> str:
    """The page with plotly.js and the data in it."""
    from plotly.offline import get_plotlyjs

    parts = {"PLOTLY": get_plotlyjs(), "DATA": json_text(data)}
    return re.sub("@(PLOTLY|DATA)@", lambda match: parts[match[1]], TEMPLATE.read_text(encoding="utf-8"))


def json_text(data: Any) -> str:
    """JSON that can stand in a script element, which the first `</script` would end."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def page_data(table: pa.Table, sweep: Sweep, name: str) -> dict[str, Any]:
    """What the page shows; lists over configurations throughout, null for what is not finite."""
    # A column without a number is nothing to choose.
    metrics = [
        metric for metric in results.metric_names(table) if metric in train.METRICS or has_numbers(table, metric)
    ]
    seeds, diverged = counts_of(sweep)
    constants = {field: table[field][0].as_py() for field in train.FIELDS if field not in [*sweep.fields, "seed"]}
    if table["seed"].combine_chunks().unique().to_pylist() == [table["seed"][0].as_py()]:
        constants["seed"] = table["seed"][0].as_py()
    return {
        "name": name,
        "fields": [field_data(field, sweep.values[field]) for field in sweep.fields],
        "codes": sweep.codes_CxF.T.tolist(),
        "constants": [[field, label(value)] for field, value in constants.items()],
        "all_seeds": sorted(table["seed"].combine_chunks().unique().to_pylist()),
        "seeds": seeds.tolist(),
        "diverged": diverged.tolist(),
        "diverged_epochs": diverged_epochs(sweep),
        "metrics": metrics,
        "units": {metric: unit_of(metric) for metric in metrics},
        "lowest_is_best": list(LOWEST_IS_BEST),
        "saturation": list(SATURATION),
        "confidence": results.CONFIDENCE,
        **measured_data(table, sweep, metrics),
    }


def has_numbers(table: pa.Table, name: str) -> bool:
    """Whether anything finite was measured."""
    return bool(np.isfinite(table[name].to_numpy()).any())


def unit_of(name: str) -> str:
    """The unit of a metric or field; '' where it has none."""
    return UNITS.get(name) or UNITS.get(name.split("/")[0], "")


def field_data(name: str, values: list[Any]) -> dict[str, Any]:
    """A swept field: its values as they are written, and where they lie on an axis."""
    groups, group_labels = groups_of(values)
    return {
        "name": name,
        "unit": unit_of(name),
        "labels": [label(value) for value in values],
        "groups": groups.tolist(),
        "group_labels": group_labels,
        **scale_of(values)._asdict(),
    }


def diverged_epochs(sweep: Sweep) -> list[list[int]]:
    """The epochs at which trials of each configuration diverged."""
    epoch_T = np.append(np.where(sweep.diverged_T, sweep.epochs_E[sweep.last_T], 0), 0)
    return [sorted(column[column > 0].tolist()) for column in epoch_T[sweep.index_SxC].T]


def measured_data(table: pa.Table, sweep: Sweep, metrics: list[str]) -> dict[str, Any]:
    """Finals, bests and curves of every metric. Probes' curves have bands if all fit onto the page."""
    configurations, probes = len(sweep.codes_CxF), len(metrics) - len(train.METRICS)
    fitting = MOST_NUMBERS // (3 * configurations * len(metrics))
    banded = metrics if fitting >= MOST_EPOCHS else list(train.METRICS)
    most = MOST_NUMBERS // (configurations * (3 * len(banded) + len(metrics) - len(banded)))
    most = int(np.clip(most, 10, MOST_EPOCHS))
    grids: dict[tuple[int, ...], int] = {}
    finals, bests, curves = {}, {}, {}
    for name in metrics:
        values_TxE = values_of(table, sweep, name)
        finals[name] = interval_data(over_seeds(sweep, finals_of(sweep, values_TxE)))
        if name in train.METRICS:
            bests[name] = interval_data(over_seeds(sweep, bests_of(sweep, values_TxE, name)))
        parts = ("mean", "low", "high") if name in banded else ("mean",)
        curves[name] = curve_data(over_seeds(sweep, values_TxE), parts, sweep.epochs_E, most, grids)
    return {
        "finals": finals,
        "bests": bests,
        "curves": curves,
        "grids": [list(grid) for grid in grids],
        "most_epochs": most if len(sweep.epochs_E) > most else None,
        "probes_without_bands": bool(probes) and banded is not metrics,
    }


def interval_data(found: results.Interval) -> dict[str, list]:
    """Mean, half-width of the interval and count by configuration."""
    half = (found.high - found.low) / 2
    return {"mean": as_lists(found.mean, 5), "half": as_lists(half, 3), "n": found.n.tolist()}


def curve_data(
    found: results.Interval, parts: Sequence[str], epochs_E: np.ndarray, most: int, grids: dict[tuple[int, ...], int]
) -> dict[str, list]:
    """A metric over the epochs, at no more than `most` of those at which a configuration has it, the last one included.

    `grid` gives each configuration's epochs as a place in `grids`, which grows; null where there is nothing.
    """
    masks, kind_C = np.unique(np.isfinite(found.mean), axis=0, return_inverse=True)
    curves: dict[str, list] = {name: [None] * len(found.mean) for name in ("grid", *parts)}
    for kind, mask in enumerate(masks):
        if not mask.any():
            continue
        at = evenly(np.flatnonzero(mask), most)
        grid = grids.setdefault(tuple(epochs_E[at].tolist()), len(grids))
        alike = np.flatnonzero(kind_C.ravel() == kind)
        for name in parts:
            for c, values in zip(alike, as_lists(getattr(found, name)[np.ix_(alike, at)]), strict=True):
                curves[name][c] = values
        for c in alike:
            curves["grid"][c] = grid
    return curves


def evenly(items: np.ndarray, most: int) -> np.ndarray:
    """No more than that many of the items, evenly chosen, the first and the last among them."""
    return items[np.unique(np.linspace(0, len(items) - 1, min(len(items), most)).round().astype(int))]


def as_lists(values: np.ndarray, digits: int = 4) -> list:
    """Numbers with that many significant digits, None for what is not finite."""
    finite = np.isfinite(values)
    size = np.where(finite & (values != 0), np.abs(values), 1.0)
    # Scaling by a power of ten from 10 on is exact, so that the result has no more digits than asked for.
    places = digits - 1 - np.floor(np.log10(size))
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    rounded = (np.round(np.where(finite, values, 0.0) * up / down) / up * down).astype(object)
    rounded[~finite] = None
    return rounded.tolist()


# ---------------------------------------------------------------------------------------------------------------------
# The pictures.


def field_label(name: str) -> str:
    """An axis title."""
    return f"{name} ({unit_of(name)})" if unit_of(name) else name


def best_line(table: pa.Table, sweep: Sweep) -> str:
    """`Best: val_accuracy 0.9512 at activation=tanh, learning_rate=1`, of the means at the end."""
    found = over_seeds(sweep, finals_of(sweep, values_of(table, sweep, "val_accuracy")))
    if not found.n.any():
        return f"No trial ended with a val_accuracy: {sweep.diverged_T.sum()} of {len(sweep.diverged_T)} diverged"
    best = int(np.nanargmax(found.mean))
    over = f", mean of {found.n[best]} seeds," if found.n[best] > 1 else ""
    where = f" at {configuration_name(sweep, best)}" if sweep.fields else ""
    return f"Best: val_accuracy {found.mean[best]:.4f}{over}{where}"


def set_title(figure, *lines: str) -> None:
    """The figure's title, broken into lines that fit its width."""
    width = int(11 * figure.get_figwidth())
    figure.suptitle("\n".join(textwrap.fill(line, width) for line in lines), fontsize=11)


def draw_learning_curves(table: pa.Table, sweep: Sweep):
    """Validation accuracy over the epochs: a panel a choice of the categories, a line a configuration."""
    curves = over_seeds(sweep, values_of(table, sweep, "val_accuracy"))
    panels = panels_of(sweep)
    paneled = [name for name, _ in next(iter(panels))]
    rest = [name for name in sweep.fields if name not in paneled]
    coloured = max(rest, key=lambda name: (is_number(sweep, name), len(sweep.values[name])), default="")
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure, axes = figures.new_figure(4.4 * columns + 2.4, 3.6 * rows + 0.8, columns, rows)
    banded = len(sweep.index_SxC) > 1 and max(map(len, panels.values())) <= 12
    ends = diverged_epochs(sweep)
    for axis, (chosen, members) in zip(axes, panels.items(), strict=False):
        axis.sharey(axes[0])
        for c in members:
            draw_curve(axis, sweep.epochs_E, curves, c, banded, colour_of(sweep, coloured, c), len(members), ends[c])
        title = ", ".join(f"{name}={text}" for name, text in chosen)
        axis.set(xlabel="epoch", ylabel="val_accuracy (fraction correct)", title=title)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    if coloured:
        add_colour_legend(axes[columns - 1], sweep, coloured)
    legend = "Lines: means over seeds" + banded * "; bands: 95 % intervals of the means"
    set_title(figure, best_line(table, sweep), legend + any(ends) * f"; {CROSS} a seed diverged")
    return figure


def draw_curve(axis, epochs_E, curves: results.Interval, c: int, banded: bool, colour, lines: int, ends: list[int]):
    """The line of a configuration, thinner among many, with a cross where seeds diverged."""
    known = np.isfinite(curves.mean[c])
    epochs, means = epochs_E[known], curves.mean[c, known]
    style: dict[str, Any] = {"alpha": 0.6, "linewidth": 0.8} if lines > 30 else {}
    if (lines <= 30 and len(epochs) <= 30) or len(epochs) == 1:
        style |= {"marker": "o", "markersize": 2.5}
    axis.plot(epochs, means, color=colour, **style)
    if banded:
        axis.fill_between(epochs_E, curves.low[c], curves.high[c], alpha=0.2, linewidth=0, color=colour)
    crosses = [end for end in ends if len(epochs) and epochs[0] <= end]
    if crosses:
        at = np.searchsorted(epochs, crosses, side="right") - 1
        axis.scatter(crosses, means[at], marker="x", s=30, color="tab:red", zorder=3)


def panels_of(sweep: Sweep, most: int = 6) -> dict[tuple[tuple[str, str], ...], list[int]]:
    """The configurations by their values of as many categories as give few panels."""
    chosen, count = [], 1
    for i, name in enumerate(sweep.fields):
        if not is_number(sweep, name) and count * len(sweep.values[name]) <= most:
            chosen.append(i)
            count *= len(sweep.values[name])
    found: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for c, codes in enumerate(sweep.codes_CxF):
        key = tuple((sweep.fields[i], label(sweep.values[sweep.fields[i]][codes[i]])) for i in chosen)
        found.setdefault(key, []).append(c)
    return found


def shade(sweep: Sweep, name: str, code: int) -> Any:
    """The colour of a field's value: from dark to light for numbers, as different as can be for others."""
    from matplotlib import colormaps

    if not is_number(sweep, name):
        return f"C{code % 10}"
    return colormaps["viridis"](0.9 * code / max(len(sweep.values[name]) - 1, 1))


def colour_of(sweep: Sweep, name: str, c: int) -> Any:
    """The colour of a configuration by a field, or the first colour without one."""
    return shade(sweep, name, int(sweep.codes_CxF[c, sweep.fields.index(name)])) if name else "C0"


def add_colour_legend(axis, sweep: Sweep, name: str, codes: np.ndarray | None = None) -> None:
    """Which colour stands for which value, or for which of the values of those codes, beside the axes."""
    from matplotlib.lines import Line2D

    shown = evenly(np.arange(len(sweep.values[name])) if codes is None else np.unique(codes), MOST_TICKS)
    lines = [Line2D([], [], color=shade(sweep, name, code), label=label(sweep.values[name][code])) for code in shown]
    axis.legend(handles=lines, title=name, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)


def draw_heat_map(table: pa.Table, sweep: Sweep):
    """Final validation accuracy by the two fields with the most values, means over all else; None for fewer fields."""
    if len(sweep.fields) < 2:
        return None
    x, y = sorted(sweep.fields, key=lambda name: -len(sweep.values[name]))[:2]
    if is_number(sweep, y) and not is_number(sweep, x):
        x, y = y, x
    found = over_seeds(sweep, finals_of(sweep, values_of(table, sweep, "val_accuracy")))
    groups = {name: groups_of(sweep.values[name]) for name in (y, x)}
    place = tuple(groups[name][0][sweep.codes_CxF[:, sweep.fields.index(name)]] for name in (y, x))
    shape = (len(groups[y][1]), len(groups[x][1]))
    total, n, diverged = np.zeros(shape), np.zeros(shape), np.zeros(shape, int)
    np.add.at(total, place, np.nan_to_num(found.mean) * found.n)
    np.add.at(n, place, found.n)
    np.add.at(diverged, place, counts_of(sweep)[1])
    means = np.divide(total, n, out=np.full(shape, np.nan), where=n > 0)
    figure, (axis,) = figures.new_figure(max(7.0, 0.8 * shape[1] + 2.5), max(3.6, 0.5 * shape[0] + 2.0))
    picture = axis.imshow(means, cmap="viridis", aspect="auto", origin="lower")
    axis.set_facecolor("0.9")
    write_cells(axis, picture, means, diverged)
    turned = 30 if max(map(len, groups[x][1])) > 10 else 0
    axis.set_xticks(range(shape[1]), groups[x][1], rotation=turned, ha="right" if turned else "center")
    axis.set_yticks(range(shape[0]), groups[y][1])
    axis.set(xlabel=field_label(x), ylabel=field_label(y))
    figure.colorbar(picture, ax=axis, label="final val_accuracy (fraction correct)")
    crosses = f"; {CROSS} trials that diverged, {diverged.sum()} in all" if diverged.any() else ""
    axis.set_title(f"Means over the trials that ended{crosses}", fontsize=10)
    set_title(figure, best_line(table, sweep))
    return figure


def write_cells(axis, picture, means: np.ndarray, diverged: np.ndarray) -> None:
    """The numbers in the cells of a heat map, and a cross and the count where trials diverged."""
    for (i, j), mean in np.ndenumerate(means):
        lines = [f"{mean:.3f}"] if np.isfinite(mean) else []
        lines += [f"{CROSS} {diverged[i, j]}"] if diverged[i, j] else []
        dark = np.isfinite(mean) and picture.norm(mean) < 0.6
        axis.text(j, i, "\n".join(lines), ha="center", va="center", fontsize=8, color="white" if dark else "black")


def draw_saturation(table: pa.Table, sweep: Sweep, most_layers: int = 4):
    """Final saturation by layer over the learning rate or another field; None where it was not measured."""
    columns = [name for name in results.metric_names(table) if has_numbers(table, name)]
    measure = next((m for m in SATURATION if any(name.startswith(f"{m}/") for name in columns)), None)
    if measure is None or not sweep.fields:
        return None
    layers = [name for name in columns if name.startswith(f"{measure}/")][:most_layers]
    finals = {name: over_seeds(sweep, finals_of(sweep, values_of(table, sweep, name))).mean for name in layers}
    if not any(np.isfinite(values).any() for values in finals.values()):
        return None
    size = lambda name: (is_number(sweep, name), name == "learning_rate", len(sweep.values[name]))  # noqa: E731
    x, *rest = sorted(sweep.fields, key=size, reverse=True)
    coloured = min(rest, key=lambda name: (is_number(sweep, name), -len(sweep.values[name])), default="")
    figure, axes = figures.new_figure(max(8.0, 3.6 * len(layers) + 3.0), 4.4, len(layers))
    for axis, (name, values_C) in zip(axes, finals.items(), strict=True):
        draw_by_field(axis, sweep, values_C, x, coloured)
        axis.set(xlabel=field_label(x), title=name, ylim=(-0.03, 1.03))
    axes[0].set_ylabel(unit_of(measure))
    if coloured:
        measured = np.isfinite(list(finals.values())).any(axis=0)
        add_colour_legend(axes[-1], sweep, coloured, sweep.codes_CxF[measured, sweep.fields.index(coloured)])
    name, values_C = max(finals.items(), key=lambda item: np.nan_to_num(item[1], nan=-1.0).max())
    most = int(np.nanargmax(values_C))
    title = f"Highest: {name} {values_C[most]:.3f} at {configuration_name(sweep, most)}"
    set_title(figure, title, "At the end of training. Points: means over seeds; lines: means of the points.")
    return figure


def draw_by_field(axis, sweep: Sweep, values_C: np.ndarray, x: str, coloured: str) -> None:
    """A point a configuration over the field x, and a line through the means for each value of the other field."""
    scale, (groups, _) = scale_of(sweep.values[x]), groups_of(sweep.values[x])
    code_C = sweep.codes_CxF[:, sweep.fields.index(x)]
    position_C, group_C = np.asarray(scale.positions)[code_C], groups[code_C]
    shade_C = sweep.codes_CxF[:, sweep.fields.index(coloured)] if coloured else np.zeros_like(code_C)
    for code in np.unique(shade_C):
        colour = shade(sweep, coloured, int(code)) if coloured else "C0"
        chosen = (shade_C == code) & np.isfinite(values_C)
        members = [chosen & (group_C == group) for group in np.unique(group_C[chosen])]
        axis.scatter(position_C[chosen], values_C[chosen], s=10, alpha=0.5, color=colour, linewidth=0)
        axis.plot([position_C[m].mean() for m in members], [values_C[m].mean() for m in members], color=colour)
    axis.set_xticks(scale.ticks, scale.tick_labels)
    axis.grid(alpha=0.3)


# ---------------------------------------------------------------------------------------------------------------------


def main(_: list[str]) -> None:
    accepted = "accepted: --workdir=DIR with the results.parquet that a sweep wrote"
    if not flags.FLAGS.workdir:
        console.fail(f"--workdir is not given; {accepted}")
    path = Path(flags.FLAGS.workdir) / "results.parquet"
    try:
        table = results.read_table(path)
        print("\n".join(map(str, write(path.parent, table))))
    except results.DamagedError as error:
        console.fail(f"{path}: {error}; {accepted}")
    except OSError as error:
        console.fail(error)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "The folder of a finished sweep.")
    app.run(main, flags_parser=console.parse_flags)
