"""The pictures of a sweep: learning curves, a heat map of two fields, saturation by layer.

T trials, S seeds, C configurations, F swept fields but for the seed, E epochs.
"""

import textwrap
from typing import Any

import numpy as np
import pyarrow as pa

import figures
from experiments import results
from experiments.reporting.sweep_data import (
    MOST_TICKS,
    SATURATION,
    Sweep,
    configuration_name,
    counts_of,
    diverged_epochs,
    evenly,
    finals_of,
    groups_of,
    has_numbers,
    is_number,
    label,
    over_seeds,
    scale_of,
    unit_of,
    values_of,
)

CROSS = "\N{MULTIPLICATION SIGN}"


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
