"""What stands in and beside the pictures of a sweep: titles, details, names, and which colour is which value."""

import textwrap
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.engine import results
from experiments.reporting.sweep_data import (
    Sweep,
    configuration_name,
    is_number,
    label,
    unit_of,
)
from training import figures

MOST_COLOURS = 10


# ---------------------------------------------------------------------------------------------------------------------
# Words.


def short(text: str, most: int = 24) -> str:
    """A text of at most that many signs; of a longer one the beginning and the end."""
    # A label that begins with `_` is none to matplotlib.
    text = f" {text}" if text.startswith("_") else text
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"


def field_label(name: str) -> str:
    """An axis title."""
    return f"{name} ({unit_of(name)})" if unit_of(name) else name


class Best(NamedTuple):
    """What is best, `val_accuracy 0.9512`, where, and of how many seeds."""

    what: str
    where: str
    seeds: str


def best_of(sweep: Sweep) -> Best | None:
    """The first one of the ranking; None where no trial ended."""
    if not sweep.numbers:
        return None
    first = sweep.decision.ranked[0]
    over = f"mean of {first.n} seeds" if first.n > 1 else "one seed"
    for count, words in ((first.diverged, "diverged"), (first.broken, "broken: at chance")):
        over += f"; {count} of {first.seeds} seeds {words}" if count else ""
    where = configuration_name(sweep, sweep.numbers[0]) if sweep.fields else ""
    return Best(f"{sweep.decision.score} {first.mean:.4f}", where, over)


def set_words(figure: Figure, title: str, where: str, details: Iterable[str]) -> None:
    """The title in one line, and below the figure the details; there also where it is, if that is long."""
    room, width = int(10.8 * figure.get_figwidth()) - len(title) - 4, int(15 * figure.get_figwidth())
    details = list(details)
    if where:
        title += f" at {short(where, room)}"
        if len(where) > room:
            details.insert(0, f"That is at {where}.")
    figure.suptitle(title, fontsize=12)
    figure.supxlabel(textwrap.fill(" ".join(details), width), fontsize=8.5, color="0.3")


def best_title(table: pa.Table, sweep: Sweep) -> tuple[str, str, list[str]]:
    """The title of a picture of val_accuracy, where its best is, and of how many seeds."""
    best = best_of(sweep)
    if best is None:
        lost = f"{sweep.diverged_T.sum()} of {len(sweep.diverged_T)} diverged"
        return f"No trial ended with a {results.score_of(table)}: {lost}", "", []
    details = [f"The best: {best.seeds}."] if len(sweep.index_SxC) > 1 else []
    compared = list(sweep.numbers) if sweep.decision.fresh else slice(None)
    if len(set(sweep.late_C[compared].tolist())) > 1:
        cut = "; what was cut comes last" if sweep.cut_T.any() else ""
        details.append(f"The more seeds a configuration loses, the later it ranks{cut}.")
    if sweep.decision.fresh:
        details.append("It is one of fresh seeds; those that chose come after these.")
    return f"Best: {best.what}", best.where, details


# ---------------------------------------------------------------------------------------------------------------------
# Colours.


def colours_of(sweep: Sweep, name: str, codes: Iterable[int]) -> dict[int, Any]:
    """The colours of a field's values that are shown: from dark to light for numbers, as different as can be for
    others; of no field the first colour."""
    from matplotlib import colormaps

    shown, most = sorted(codes), max(len(sweep.values.get(name, ())) - 1, 1)
    if name and is_number(sweep, name):
        viridis = colormaps["viridis"]  # A new one each time that it is asked for.
        return {code: viridis(0.9 * code / most) for code in shown}
    # Few words keep their colours whichever are shown.
    return {code: f"C{code if most < MOST_COLOURS else place % MOST_COLOURS}" for place, code in enumerate(shown)}


def codes_of(sweep: Sweep, name: str) -> np.ndarray:
    """The place of each configuration's value among those of a field; zeros for no field."""
    return sweep.codes_CxF[:, sweep.fields.index(name)] if name else np.zeros(len(sweep.codes_CxF), int)


def add_colours(figure: Figure, axes: Iterable[Axes], sweep: Sweep, name: str, colours: dict[int, Any]) -> None:
    """Which colour stands for which value, beside the panels: a legend, or a scale for more numbers than lines."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap
    from matplotlib.lines import Line2D

    values = sweep.values[name]
    if len(colours) > figures.MOST_LINES and is_number(sweep, name):
        all_colours = ListedColormap(list(colours_of(sweep, name, range(len(values))).values()))
        scale = figure.colorbar(ScalarMappable(cmap=all_colours), ax=list(axes), label=field_label(name))
        ticks = figures.evenly(np.arange(len(values)), figures.MOST_LINES)
        scale.set_ticks(((ticks + 0.5) / len(values)).tolist(), labels=[label_of(values[code]) for code in ticks])
        return
    lines = [Line2D([], [], color=colour, label=short(label(values[code]))) for code, colour in colours.items()]
    figure.legend(handles=lines, title=short(name), loc="outside right center", fontsize=9)


def label_of(value: Any) -> str:
    """A value of a field beside an axis, of a number few digits."""
    return f"{value:.3g}" if isinstance(value, float) else short(label(value), 16)
