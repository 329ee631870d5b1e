"""Which is better, and by how much? Runs and sweeps held against each other by what they share.

    python -m experiments.compare DIR_A DIR_B [...] [--metric=val_accuracy] [--out=FOLDER]

A DIR is the folder of a run or of a sweep. The fields that differ between the folders say what is compared; the fields
that vary within them are the settings at which it is, and the seeds that all have are paired. Printed are a table and a
verdict in one sentence; with --out they are in FOLDER/compare.json too, and a picture in FOLDER/compare.png and .pdf.
"""

import functools
import json
import logging
import math
import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags

from experiments.engine import comparing, results
from experiments.engine.comparing import CompareError, Comparison
from experiments.engine.plan_file import SweepError
from experiments.reporting.pictures import STYLE, save
from training import console
from training.console import fail, say
from training.figures import label_epochs
from training.files import PlaceError, RunError, place, write_atomically
from training.pictures import new_figure
from training.records import OUTCOMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_GROUPS, MOST_POINTS = 6, 10


def as_json(found: Comparison) -> dict[str, Any]:
    """What was found as an object of JSON, null for what nobody can tell."""
    best = found.best()

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    def differences(p: int | None) -> list[dict[str, Any]]:
        return [
            {"other": found.groups[of.other], "n": of.n}
            | {key: finite(getattr(of, key)) for key in ("mean", "low", "high", "p", "p_holm")}
            for of in found.differences(best.settings[0] if best.settings else 0, p)
        ]

    return {
        "verdict": comparing.verdict(found),
        "metric": found.metric,
        "after_epoch": found.end,
        "not_finished": list(found.unfinished),
        "groups": list(found.groups),
        "seeds": list(found.seeds),
        "not_told_from_the_best": [found.groups[g] for g in best.settings],
        "ahead_of": differences(None),
        "points": [
            {"at": dict(zip(found.fields, point, strict=True)), "ahead_of": differences(p)}
            for p, point in enumerate(found.points)
        ],
    }


def draw(found: Comparison) -> "Figure":
    """The courses of the groups, and how far the best one is ahead of the others with the intervals of that."""
    figure, (left, right) = new_figure(12, 4.5, 2)
    draw_courses(left, found)
    draw_differences(right, found)
    figure.suptitle(textwrap.fill(comparing.verdict(found), 130), fontsize=11)
    return figure


def draw_courses(axis: "Axes", found: Comparison) -> None:
    """Means over the seeds, and over the settings that are shared, with the intervals of these means."""
    band, single = comparing.intervals(found), found.finals_GxPxS.shape[2] <= 3
    epochs_E = np.arange(1, band.mean.shape[1] + 1)
    for g, name in enumerate(found.groups[:MOST_GROUPS]):
        axis.plot(epochs_E, band.mean[g], color=f"C{g}", label=name, marker="." if len(epochs_E) < 20 else None)
        if single:
            axis.plot(epochs_E, found.curves[g].T, color=f"C{g}", alpha=0.35, linewidth=0.8)
        else:
            axis.fill_between(epochs_E, band.low[g], band.high[g], color=f"C{g}", alpha=0.2)
    if found.end is not None:
        axis.axvline(found.end, color="gray", linestyle="--", linewidth=1)
    label_epochs(axis)
    axis.set_ylabel(found.metric)
    shown = "a thin line a seed" if single else "95 % interval of the mean"
    axis.set_title(f"Mean of {console.count(found.seeds, 'seed')}, {shown}", fontsize=10)
    axis.legend(loc="best", frameon=False, fontsize=9)
    axis.grid(alpha=0.3)


def draw_differences(axis: "Axes", found: Comparison) -> None:
    """A line each for what the best group is ahead of, at each setting and over all of them."""
    best = found.best()
    first = best.settings[0] if best.settings else 0
    scale = 100 if found.metric.endswith("accuracy") else 1
    rows = [(p, at(found, p)) for p in range(len(found.points))][:MOST_POINTS] if len(found.points) > 1 else []
    labels: list[str] = []
    for p, where in [*rows, (None, "all" if rows else "")]:
        for of in found.differences(first, p)[:MOST_GROUPS]:
            y, colour = len(labels), f"C{of.other}"
            labels.append(" ".join(filter(None, [found.groups[of.other], where])))
            if of.n:
                axis.plot([scale * of.mean], [y], "o" if p is not None else "D", color=colour)
            if of.n > 1:
                axis.plot([scale * of.low, scale * of.high], [y, y], color=colour, linewidth=2)
    axis.axvline(0, color="gray", linestyle="--", linewidth=1)
    axis.set_yticks(range(len(labels)), labels=labels)
    axis.invert_yaxis()
    unit = "points of " if scale == 100 else ""
    axis.set_xlabel(f"{found.groups[first]} ahead by, {unit}{found.metric}")
    axis.set_title("Paired by seed, 95 % interval", fontsize=10)
    axis.grid(alpha=0.3, axis="x")


def at(found: Comparison, p: int) -> str:
    """The values of a point in words."""
    return ", ".join(comparing.named(name, value, 2) for name, value in zip(found.fields, found.points[p], strict=True))


def write(found: Comparison, folder: Path) -> list[str]:
    """Writes what was found and its picture; the names of the files."""
    from matplotlib import rc_context

    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "compare.json", json.dumps(as_json(found), indent=1, allow_nan=False) + "\n")
    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # A sign that the font lacks is drawn as a box.
        logging.getLogger("fontTools").setLevel(logging.WARNING)
        figure = draw(found)
        for suffix in ("png", "pdf"):
            save(figure, folder / f"compare.{suffix}")
    return ["compare.json", "compare.png", "compare.pdf"]


def main(arguments: list[str]) -> None:
    folders, metric = list(dict.fromkeys(arguments[1:])), flags.FLAGS.metric
    if len(folders) < 2:
        fail(f"{console.count(folders, 'folder')} given; accepted: two or more, each of a run or of a sweep")
    if metric is not None and metric not in OUTCOMES:
        fail(f"--metric={metric} is unknown; accepted: {', '.join(OUTCOMES)}")
    try:
        out = place(flags.FLAGS.out) if flags.FLAGS.out else None
        trials = [trial for folder in folders for trial in comparing.read_folder(folder)]
        found = comparing.compare(trials, metric)
        say(f"{found.metric} {found.when}, mean of the seeds that all have{points_in_words(found)}:")
        say(comparing.table_of(found))
        for line in comparing.lost_lines(found):
            say(line)
        say(comparing.verdict(found))
        if out:
            say(f"Written to {out}: {', '.join(write(found, out))}")
    except (CompareError, RunError, PlaceError, results.DamagedError, SweepError, OSError) as error:
        fail(error)


def points_in_words(found: Comparison) -> str:
    """Which of the differences is that of groups, which that of seeds."""
    return f", at {console.count(found.points, 'shared setting')}" if len(found.points) > 1 else ""


if __name__ == "__main__":
    flags.DEFINE_string("metric", None, "What is compared. [val_accuracy; where there is none, val_loss]")
    flags.DEFINE_string("out", None, "Where the comparison goes as JSON and as a picture. [nowhere: it is printed]")
    console.run(main, functools.partial(console.parse_flags, takes_others=True))
