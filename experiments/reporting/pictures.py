"""The pictures of a sweep: learning curves, a heat map of two fields, saturation by layer.

T trials, S seeds, C configurations, F swept fields but for the seed, E epochs. A title says the best in one short line,
the details stand below in small; no panel has more lines than can be told apart. They are read at 880 pixels' width.
"""

import io
import logging
import textwrap
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.engine import results, statistics
from experiments.reporting.labels import add_colours, best_title, codes_of, colours_of, field_label, set_words, short
from experiments.reporting.sweep_data import (
    MOST_TICKS,
    SATURATION,
    Sweep,
    configuration_name,
    counts_of,
    diverged_epochs,
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
from training import figures
from training.files import write_atomically
from training.records import LOWEST_IS_BEST

CROSS = "\N{MULTIPLICATION SIGN}"
# Costs that span more than this are drawn on a logarithmic axis.
WIDE = 100
MOST_PANELS, MOST_LAYERS, MOST_CELLS = 6, 4, 12
# Names are shown as they are, whatever mathematics their signs might be; papers take no fonts of type 3.
STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "pdf.fonttype": 42,
    "font.size": 10,
    # Texts in an SVG stay texts, and the names in it are the same at any time.
    "svg.fonttype": "none",
    "svg.hashsalt": "plateau",
}
KINDS = ("png", "pdf", "svg")
# A panel is at least so wide, and a cell of a heat map with a number in it.
PANEL_WIDTH, CELL_WIDTH = 2.6, 0.45
MOST_POINTS = 2_000

TURNED: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}


def write_pictures(table: pa.Table, sweep: Sweep, folder: Path, width: float | None = None) -> list[Path]:
    """Draws what there is to draw, so many inches wide, as PNG, and as PDF and SVG for papers; the paths of what was
    written."""
    from matplotlib import rc_context

    folder.mkdir(exist_ok=True)
    draw: dict[str, Callable[[pa.Table, Sweep, float | None], Figure | None]] = {
        "learning_curves": draw_learning_curves,
        "heat_map": draw_heat_map,
        "saturation": draw_saturation,
    }
    written = []
    # Some labels are made when the picture is saved.
    with rc_context(STYLE), warnings.catch_warnings():
        # A sign that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph")
        logging.getLogger("fontTools").setLevel(logging.WARNING)
        for name, function in draw.items():
            figure = function(table, sweep, width)
            if figure and (engine := figure.get_layout_engine()):
                # Laid out once, not for every format; of "none" a place is kept, for which each would be drawn twice.
                engine.execute(figure)
                figure.set_layout_engine(None)
            for path in (folder / f"{name}.{kind}" for kind in KINDS):
                # A picture of a sweep that was here before would be taken for this one's.
                path.unlink(missing_ok=True)
                if figure:
                    save(figure, path)
                    written.append(path)
    return written


def save(figure: Figure, path: Path) -> None:
    """Writes a picture, whole or not at all; the same picture is the same file at any time."""
    buffer, undated = io.BytesIO(), {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(path.suffix, {})
    figure.savefig(buffer, format=path.suffix[1:], dpi=150, metadata=undated)
    write_atomically(path, buffer.getvalue())


# ---------------------------------------------------------------------------------------------------------------------
# Learning curves.


def draw_learning_curves(table: pa.Table, sweep: Sweep, width: float | None = None) -> Figure:
    """Validation accuracy over the epochs, or cost: a panel a choice of the categories, a line a configuration."""
    score = results.score_of(table)
    values_TxE = values_of(table, sweep, score)
    curves = over_seeds(sweep, values_TxE, score)
    panels = panels_of(sweep)
    paneled = [name for name, _ in next(iter(panels))]
    rest = [name for name in sweep.fields if name not in paneled]
    coloured = max(rest, key=lambda name: (is_number(sweep, name), len(sweep.values[name])), default="")
    drawn = {chosen: lines_of(sweep, members, coloured, sweep.numbers) for chosen, members in panels.items()}
    columns = columns_for(len(panels), 3, width)
    rows = -(-len(panels) // columns)
    natural = {1: 7.5, 2: 9.0, 3: 10.5}[columns]
    figure, axes = figures.new_figure(width or natural, 2.7 * rows + 1.3, columns, rows)
    ends, codes_C = diverged_epochs(sweep), codes_of(sweep, coloured)
    all_drawn = [c for members in drawn.values() for c in members]
    colours = colours_of(sweep, coloured, {int(codes_C[c]) for c in all_drawn})
    for i, (axis, (chosen, members)) in enumerate(zip(axes, drawn.items(), strict=False)):
        axis.sharey(axes[0])
        for c in members:
            draw_curve(axis, sweep.epochs_E, curves, c, colours[int(codes_C[c])], ends[c])
        room = 36 if width is None else int(10 * width / columns)
        axis.set_title(short(", ".join(f"{name}={text}" for name, text in chosen), room), fontsize=9.5)
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        if len(sweep.epochs_E) == 1:
            axis.set_xlim(sweep.epochs_E[0] - 0.5, sweep.epochs_E[0] + 0.5)
        axis.grid(alpha=0.3)
        if i % columns:
            axis.tick_params(labelleft=False)
        else:
            axis.set_ylabel(f"{score}\n({unit_of(score)})")
        if i + columns >= len(panels):
            axis.set_xlabel("epoch")
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    if (
        score in LOWEST_IS_BEST
        and np.nanmax(curves.mean, initial=0) > WIDE * np.nanmin(curves.mean, initial=np.inf) > 0
    ):
        axes[0].set_yscale("log")
    if coloured:
        add_colours(figure, axes, sweep, coloured, colours)
    title, where, details = best_title(table, sweep)
    details += curve_details(sweep, len(all_drawn), coloured, rest, any(ends[c] for c in all_drawn))
    set_words(figure, title, where, details)
    return figure


def columns_for(panels: int, most: int, width: float | None) -> int:
    """How many panels stand side by side, as wide as they are or in so many inches."""
    fitting = most if width is None else int(width / PANEL_WIDTH)
    return max(1, min(panels, most, fitting))


def curve_details(sweep: Sweep, lines: int, coloured: str, rest: list[str], crosses: bool) -> list[str]:
    """What the lines are and which are shown."""
    seeds = len(sweep.index_SxC)
    bands = f"Lines: means over seeds; bands: {100 * statistics.CONFIDENCE:g} % intervals of these means."
    details = [bands] if seeds > 1 else ["Lines: one seed each."]
    if crosses:
        details.append(f"{CROSS}: a seed diverged and is left out from there on.")
    if lines < len(sweep.codes_CxF):
        others = [name for name in rest if name != coloured]
        of_each = f"of each {coloured} the best over {', '.join(others)}" if others else ""
        more = {True: "evenly chosen, with the best", False: "the best"}[is_number(sweep, coloured)]
        most = (
            f"at most {figures.MOST_LINES} a panel, {more}" if len(sweep.values[coloured]) > figures.MOST_LINES else ""
        )
        which = "; ".join(filter(None, (of_each, most)))
        details.append(f"Shown are {lines} of {len(sweep.codes_CxF)} configurations: {which}.")
    return details


def draw_curve(
    axis: Axes, epochs_E: np.ndarray, curves: statistics.Interval, c: int, colour: Any, ends: list[int]
) -> None:
    """The line of a configuration with its band, and a cross where seeds diverged."""
    known = np.isfinite(curves.mean[c])
    epochs, means = epochs_E[known], curves.mean[c, known]
    style: dict[str, Any] = {"marker": "o", "markersize": 2.5} if len(epochs) <= 30 else {}
    axis.plot(epochs, means, color=colour, linewidth=1.5, **style)
    axis.fill_between(epochs_E, curves.low[c], curves.high[c], alpha=0.13, linewidth=0, color=colour)
    crosses = [end for end in ends if len(epochs) and epochs[0] <= end]
    if crosses:
        at = np.searchsorted(epochs, crosses, side="right") - 1
        axis.scatter(crosses, means[at], marker="x", s=30, color="tab:red", zorder=3)


def panels_of(sweep: Sweep) -> dict[tuple[tuple[str, str], ...], list[int]]:
    """The configurations by their values of as many categories as give few panels."""
    chosen, count = [], 1
    for i, name in enumerate(sweep.fields):
        if not is_number(sweep, name) and count * len(sweep.values[name]) <= MOST_PANELS:
            chosen.append(i)
            count *= len(sweep.values[name])
    found: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for c, codes in enumerate(sweep.codes_CxF):
        key = tuple((sweep.fields[i], label(sweep.values[sweep.fields[i]][codes[i]])) for i in chosen)
        found.setdefault(key, []).append(c)
    return found


def lines_of(sweep: Sweep, members: list[int], coloured: str, ranked: Sequence[int]) -> list[int]:
    """The configurations of a panel that are drawn: of each value of the coloured field the best; of more numbers than
    lines some evenly chosen with the best among them, of more words those that are best in any panel."""
    codes_C = codes_of(sweep, coloured)
    places = {c: place for place, c in enumerate(ranked)}
    best_first = sorted(range(len(codes_C)), key=lambda c: places.get(c, len(places)))
    of_value: dict[int, int] = {}
    here = set(members)
    for c in best_first:
        if c in here:
            of_value.setdefault(int(codes_C[c]), c)
    by_value = [of_value[code] for code in sorted(of_value)]
    if coloured and not is_number(sweep, coloured):
        kept = list(dict.fromkeys(int(codes_C[c]) for c in best_first))[: figures.MOST_LINES]
        return [c for c in by_value if codes_C[c] in kept]
    if len(by_value) <= figures.MOST_LINES:
        return by_value
    shown = figures.evenly(np.arange(len(by_value)), figures.MOST_LINES)
    best = by_value.index(next(iter(of_value.values())))
    shown[np.argmin(np.abs(shown - best))] = best
    return [by_value[i] for i in shown]


# ---------------------------------------------------------------------------------------------------------------------
# The heat map.


def draw_heat_map(table: pa.Table, sweep: Sweep, width: float | None = None) -> Figure | None:
    """Final validation accuracy, or cost, by the two fields with the most values, means over all else; None for fewer
    fields."""
    if len(sweep.fields) < 2:
        return None
    x, y = sorted(sweep.fields, key=lambda name: -len(sweep.values[name]))[:2]
    if is_number(sweep, y) and not is_number(sweep, x):
        x, y = y, x
    score = results.score_of(table)
    found = over_seeds(sweep, finals_of(sweep, values_of(table, sweep, score)), score)
    groups = {name: groups_of(sweep.values[name], MOST_CELLS) for name in (y, x)}
    place = tuple(groups[name][0][codes_of(sweep, name)] for name in (y, x))
    shape = (len(groups[y][1]), len(groups[x][1]))
    total, n, diverged = np.zeros(shape), np.zeros(shape), np.zeros(shape, int)
    np.add.at(total, place, np.nan_to_num(found.mean) * found.n)
    np.add.at(n, place, found.n)
    np.add.at(diverged, place, counts_of(sweep)[1])
    if not n.any():
        return None
    means = np.divide(total, n, out=np.full(shape, np.nan), where=n > 0)
    signed = -means if score in LOWEST_IS_BEST else means
    kept = [best_places(signed, axis, is_number(sweep, name)) for axis, name in enumerate((y, x))]
    means, diverged = means[np.ix_(*kept)], diverged[np.ix_(*kept)]
    labels = {name: [short(groups[name][1][i], 20) for i in kept[axis]] for axis, name in enumerate((y, x))}
    natural = max(7.5, min(0.75 * means.shape[1] + 2.5, 10.5))
    figure, (axis,) = figures.new_figure(width or natural, 0.42 * len(means) + 2.3)
    picture = axis.imshow(means, cmap="viridis", aspect="auto", origin="lower")
    axis.set_facecolor("0.9")
    has_room = (figure.get_figwidth() - 2.2) / means.shape[1] > CELL_WIDTH
    write_cells(axis, picture, means if has_room else np.full_like(means, np.nan), diverged)
    turned = max(map(len, labels[x])) * len(labels[x]) > 70
    axis.set_xticks(range(means.shape[1]), labels[x], **(TURNED if turned else {}))
    axis.set_yticks(range(len(means)), labels[y])
    axis.set(xlabel=field_label(x), ylabel=field_label(y))
    figure.colorbar(picture, ax=axis, label=f"final {score}\n({unit_of(score)})")
    title, where, details = best_title(table, sweep)
    details.append("Cells: means over the trials that ended.")
    if diverged.any():
        details.append(f"{CROSS}: so many trials diverged, {sweep.diverged_T.sum()} in all; grey: none ended.")
    for axis_of, name in enumerate((y, x)):
        if len(kept[axis_of]) < shape[axis_of]:
            details.append(f"Of {shape[axis_of]} values of {name} the {MOST_CELLS} with the best cells are shown.")
    set_words(figure, title, where, details)
    return figure


def best_places(means: np.ndarray, axis: int, all_of_them: bool) -> np.ndarray:
    """The rows (0) or columns (1) with the best cells, no more than can be read, in their order."""
    if all_of_them or means.shape[axis] <= MOST_CELLS:
        return np.arange(means.shape[axis])
    best = np.max(np.nan_to_num(means, nan=-np.inf), axis=1 - axis)
    return np.sort(np.argsort(-best, kind="stable")[:MOST_CELLS])


def write_cells(axis: Axes, picture: Any, means: np.ndarray, diverged: np.ndarray) -> None:
    """The numbers in the cells of a heat map, and a cross and the count where trials diverged."""
    for (i, j), mean in np.ndenumerate(means):
        words = (
            [f"{mean:.3f}" if abs(mean) < 100 else f"{mean:,.0f}" if abs(mean) < 1e6 else f"{mean:.2g}"]
            if np.isfinite(mean)
            else []
        )
        words += [f"{CROSS} {diverged[i, j]}"] if diverged[i, j] else []
        dark = np.isfinite(mean) and picture.norm(mean) < 0.6
        colour = "white" if dark else "black"
        axis.text(j, i, "\n".join(words), ha="center", va="center", fontsize=8, linespacing=1.0, color=colour)


# ---------------------------------------------------------------------------------------------------------------------
# Saturation.


def draw_saturation(table: pa.Table, sweep: Sweep, width: float | None = None) -> Figure | None:
    """Final saturation by layer over the learning rate or another field; None where it was not measured."""
    columns = [name for name in results.metric_names(table) if has_numbers(table, name)]
    measure = next((m for m in SATURATION if any(name.startswith(f"{m}/") for name in columns)), None)
    if measure is None or not sweep.fields:
        return None
    measured = [name for name in columns if name.startswith(f"{measure}/")]
    layers = [measured[i] for i in figures.evenly(np.arange(len(measured)), MOST_LAYERS)]
    finals = {name: over_seeds(sweep, finals_of(sweep, values_of(table, sweep, name)), name).mean for name in layers}
    known_C = np.isfinite(list(finals.values())).any(axis=0)
    if not known_C.any():
        return None
    size = lambda name: (is_number(sweep, name), name == "learning_rate", len(sweep.values[name]))  # noqa: E731
    x, *rest = sorted(sweep.fields, key=size, reverse=True)
    coloured = min(rest, key=lambda name: (is_number(sweep, name), -len(sweep.values[name])), default="")
    across = columns_for(len(layers), 2, width)
    down = -(-len(layers) // across)
    figure, axes = figures.new_figure(width or (8.0 if across == 1 else 10.0), 3.0 * down + 1.2, across, down)
    codes = np.unique(codes_of(sweep, coloured)[known_C])
    shown = colours_of(sweep, coloured, map(int, figures.evenly(codes, figures.MOST_LINES)))
    for i, (axis, (name, values_C)) in enumerate(zip(axes, finals.items(), strict=False)):
        draw_by_field(axis, sweep, values_C, x, coloured, shown)
        axis.set_title(name, fontsize=10)
        axis.set_ylim(-0.03, 1.03)
        if i + across >= len(layers):
            axis.set_xlabel(field_label(x))
        if i % across == 0:
            axis.set_ylabel(textwrap.fill(unit_of(measure), 24))
    for axis in axes[len(layers) :]:
        axis.set_axis_off()
    if coloured:
        add_colours(figure, axes, sweep, coloured, shown)
    name, values_C = max(finals.items(), key=lambda item: np.nan_to_num(item[1], nan=-1.0).max())
    most = int(np.nanargmax(values_C))
    details = ["At the end of training, of the seeds that ended. Points: means over seeds; lines: means of the points."]
    if len(layers) < len(measured):
        details.append(f"{len(layers)} of {len(measured)} layers, evenly chosen.")
    if len(shown) < len(codes):
        details.append(f"{len(shown)} of {len(codes)} values of {coloured}, evenly chosen.")
    if (points := int(np.isin(codes_of(sweep, coloured)[known_C], list(shown)).sum())) > MOST_POINTS:
        details.append(f"About {MOST_POINTS:,} of {points:,} points are drawn, evenly chosen; lines are means of all.")
    set_words(figure, f"Highest: {name} {values_C[most]:.3f}", configuration_name(sweep, most), details)
    return figure


def draw_by_field(axis: Axes, sweep: Sweep, values_C: np.ndarray, x: str, coloured: str, shown: dict[int, Any]) -> None:
    """A point a configuration over the field x, and a line through the means for each value of the other field."""
    scale, (groups, _) = scale_of(sweep.values[x]), groups_of(sweep.values[x])
    code_C = codes_of(sweep, x)
    position_C, group_C = np.asarray(scale.positions)[code_C], groups[code_C]
    shade_C = codes_of(sweep, coloured)
    for code, colour in shown.items():
        chosen = (shade_C == code) & np.isfinite(values_C)
        members = [chosen & (group_C == group) for group in np.unique(group_C[chosen])]
        points = figures.evenly(np.flatnonzero(chosen), MOST_POINTS // len(shown))
        axis.scatter(position_C[points], values_C[points], s=10, alpha=0.5, color=colour, linewidth=0)
        axis.plot([position_C[m].mean() for m in members], [values_C[m].mean() for m in members], color=colour)
    ticks = figures.evenly(np.arange(len(scale.ticks)), MOST_TICKS)
    labels = [short(scale.tick_labels[i], 14) for i in ticks]
    turned = max(map(len, labels)) * len(labels) > 50
    axis.set_xticks([scale.ticks[i] for i in ticks], labels, **(TURNED if turned else {}))
    axis.grid(alpha=0.3)
