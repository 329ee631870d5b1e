"""Runs and sweeps held against each other by what they share.

G groups, P points, S seeds, E epochs. The fields that are the same within every folder and differ between them say what
is compared: folders that are alike in them are one group, as five runs of five seeds are. The fields that vary within a
folder are the points at which groups are compared, and seeds are paired, since the same seed means the same draw and
the same batches. Only what every group has counts.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from experiments.engine import decisions, results, statistics
from experiments.engine.chance import level_in
from experiments.engine.decisions import Difference
from experiments.engine.space import cells_of
from experiments.engine.standing import Folder
from training import stopping
from training.config import AXES
from training.console import shown
from training.files import place
from training.records import LOWEST_IS_BEST, OUTCOMES, TEST_METRICS, is_lost, read_records
from training.run_directory import read_config

ACCEPTED = "accepted: the folders of runs (metrics.jsonl) and of sweeps (results.parquet)"
# Fields that say which examples a score is of.
OF_SCORE = ("dataset", "validation")
MOST_NAMED = 3


class CompareError(Exception):
    """Folders that cannot be compared, in one line."""


class Trial(NamedTuple):
    """A run, or a trial of a sweep: the folder it is from, its config as it stands in columns, whether it diverged, its
    metrics by epoch, NaN where they are not finite, and whether it has ended."""

    folder: str
    cells: Mapping[str, Any]
    diverged: bool
    courses: Mapping[str, np.ndarray]
    is_over: bool = True


class Group(NamedTuple):
    """What is held against others: its name, and its trials by point and seed."""

    name: str
    trials: Mapping[tuple[tuple[Any, ...], int], Trial]


class Comparison(NamedTuple):
    """Groups over what they share: the metric, the names of the groups, the fields and values of the points, the seeds;
    the courses of the metric, and of each group how many of its trials diverged and are broken. Where trials have not
    ended yet, those folders, and the last epoch that all trials have, after which they are compared."""

    metric: str
    groups: tuple[str, ...]
    fields: tuple[str, ...]
    points: tuple[tuple[Any, ...], ...]
    seeds: tuple[int, ...]
    courses_GxPxSxE: np.ndarray  # NaN after the end of a trial, where it is not finite, and where none is shared
    finals_GxPxS: np.ndarray
    diverged_G: tuple[int, ...]
    broken_G: tuple[int, ...]
    unfinished: tuple[str, ...] = ()
    end: int | None = None

    @property
    def when(self) -> str:
        """After which epoch trials are compared, in words, and why."""
        if self.end is None:
            return "at the end"
        names = ", ".join([*self.unfinished[:MOST_NAMED], *(["..."] if len(self.unfinished) > MOST_NAMED else [])])
        return f"after epoch {self.end}, the last one that all have (not finished: {names})"

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return -1 if self.metric in LOWEST_IS_BEST else 1

    @property
    def overall(self) -> np.ndarray:
        """The scores of each group and seed, over those points that all groups have with that seed."""
        told_PxS = np.isfinite(self.finals_GxPxS).all(axis=0)
        sums_GxS = np.sum(np.where(told_PxS, self.finals_GxPxS, 0.0), axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return sums_GxS / told_PxS.sum(axis=0)

    @property
    def curves(self) -> np.ndarray:
        """The courses, in the mean over points."""
        told = np.isfinite(self.courses_GxPxSxE)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.sum(np.where(told, self.courses_GxPxSxE, 0.0), axis=1) / told.sum(axis=1)

    def best(self) -> decisions.Best:
        """The groups that cannot be told from the best."""
        return decisions.best_of(self.overall, self.sign)

    def differences(self, first: int, p: int | None = None) -> list[Difference]:
        """By how much a group is ahead of each other one, over all points or at one."""
        finals_GxS = self.overall if p is None else self.finals_GxPxS[:, p]
        others = [g for g in range(len(self.groups)) if g != first]
        return decisions.differences(finals_GxS, first, others, self.sign)


# ---------------------------------------------------------------------------------------------------------------------
# What is in a folder.


def read_folder(given: str | Path) -> list[Trial]:
    """The trials of a run or a sweep, of which what is finished; CompareError for what is neither, DamagedError,
    SweepError, RunError for what is damaged."""
    folder = place(given)
    if any((folder / name).is_file() for name in ("plan.json", "results.parquet")):
        table, _ = Folder(folder).read()
        if table is None:
            raise CompareError(f"{shown(str(given))} has no finished pack yet; {ACCEPTED}")
        return trials_of(table, str(given))
    if not (folder / "metrics.jsonl").is_file():
        raise CompareError(f"{shown(str(given))} is neither a run nor a sweep; {ACCEPTED}")
    rows = read_records(folder).rows
    if not rows:
        raise CompareError(f"{shown(str(given))} has no epoch yet; {ACCEPTED}")
    courses = {
        name: np.array([math.nan if row.get(name) is None else row[name] for row in rows], float) for name in OUTCOMES
    }
    config, diverged = read_config(folder), is_lost(rows[-1])
    is_over = diverged or bool(stopping.reason(config, rows))
    return [Trial(str(given), cells_of(config), diverged, courses, is_over)]


def trials_of(table: pa.Table, folder: str) -> list[Trial]:
    """The trials in the table of a sweep, without those that were cut, whose last scores are of earlier epochs."""
    last = results.last_rows(table)
    cut = pc.filter(last["trial"], pa.array(results.cut_rows(table, last)))  # pyright: ignore
    table = table.filter(pc.invert(pc.is_in(table["trial"], cut.combine_chunks())))  # pyright: ignore
    table = table.sort_by([("trial", "ascending"), ("epoch", "ascending")])
    names = np.asarray(table["trial"].combine_chunks().dictionary_encode().indices)
    starts = np.flatnonzero(np.append(True, np.diff(names) != 0))
    ends = np.append(starts[1:], len(names))
    cells = table.select([*AXES, "code"]).take(pa.array(starts)).to_pylist()
    diverged_R = table["diverged"].to_numpy()
    columns = {name: table[name].to_numpy() for name in OUTCOMES if name in table.column_names}
    missing = {name: np.full(len(names), math.nan) for name in OUTCOMES if name not in columns}
    reached, trials = results.reached({folder: table}), table["trial"].take(pa.array(starts)).to_pylist()
    return [
        Trial(
            folder,
            row,
            bool(diverged_R[end - 1]),
            {name: of[start:end] for name, of in (columns | missing).items()},
            reached[trial].is_over,
        )
        for trial, row, start, end in zip(trials, cells, starts.tolist(), ends.tolist(), strict=True)
    ]


# ---------------------------------------------------------------------------------------------------------------------
# What they share.


def compare(trials: Sequence[Trial], metric: str | None = None) -> Comparison:
    """The groups among the trials of several folders over what they share, at their ends, or while one of them has not
    ended after the last epoch that all have; CompareError where nothing is shared, or where scores are not of the same
    examples."""
    metric = metric or ("val_accuracy" if has_metric(trials, "val_accuracy") else "val_loss")
    if not has_metric(trials, metric):
        raise CompareError(f"--metric={metric} is not measured there; accepted: {', '.join(metrics_in(trials))}")
    within, between = fields_of(trials)
    check_scores(trials, metric, {*within, *between})
    groups = groups_of(trials, within, between)
    if len(groups) < 2:
        raise CompareError(
            f"there is one config alone, {groups[0].name}; accepted: folders that differ, or two at least"
        )
    shared = set(groups[0].trials)
    for group in groups[1:]:
        shared &= set(group.trials)
    if not shared:
        raise CompareError(nothing_shared(groups, within))
    points = list(dict.fromkeys(point for point, seed in groups[0].trials if (point, seed) in shared))
    place_of, seeds = {point: p for p, point in enumerate(points)}, sorted({seed for _, seed in shared})
    compared = [group.trials[key] for group in groups for key in shared]
    unfinished = tuple(sorted({trial.folder for trial in compared if not trial.is_over}))
    lengths = [len(of_metric(trial, metric)) for trial in compared if not trial.diverged]
    end = min(lengths) if unfinished else None
    most = max(len(of_metric(group.trials[key], metric)) for group in groups for key in shared)
    courses = np.full((len(groups), len(points), len(seeds), most), math.nan)
    finals = np.full(courses.shape[:-1], math.nan)
    diverged, broken = [0] * len(groups), [0] * len(groups)
    for g, group in enumerate(groups):
        for point, seed in shared:
            trial = group.trials[point, seed]
            at = g, place_of[point], seeds.index(seed)
            course_E = of_metric(trial, metric)
            courses[at][: len(course_E)] = course_E
            diverged[g] += trial.diverged
            broken[g] += is_broken(trial, end)
            if not trial.diverged:
                finals[at] = course_E[:end][-1]
    return Comparison(
        metric, tuple(group.name for group in groups), within, tuple(points), tuple(seeds), courses, finals,
        tuple(diverged), tuple(broken), unfinished, end,
    )  # fmt: skip


def of_metric(trial: Trial, metric: str) -> np.ndarray:
    """The course of a metric; that of the test set is what is validated on where the test set is that."""
    by_test = metric in TEST_METRICS and trial.cells["validation"] == "test"
    return trial.courses[metric.replace("test", "val") if by_test else metric]


def has_metric(trials: Iterable[Trial], metric: str) -> bool:
    """Whether all trials have measured it."""
    return metric in OUTCOMES and all(np.isfinite(of_metric(trial, metric)).any() or trial.diverged for trial in trials)


def metrics_in(trials: Sequence[Trial]) -> list[str]:
    """The metrics that all trials have."""
    return [name for name in OUTCOMES if has_metric(trials, name)]


def is_broken(trial: Trial, end: int | None = None) -> bool:
    """Whether it was at chance after the epoch of that number, or else ended so."""
    cells, accuracy = trial.cells, float(trial.courses["val_accuracy"][:end][-1])
    known = math.isfinite(accuracy) and not trial.diverged
    return known and accuracy <= level_in(str(cells["dataset"]), str(cells["validation"]), int(cells["classes"]))


def fields_of(trials: Sequence[Trial]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields that vary within a folder, and those that only differ between folders, the seed apart."""
    names = [name for name in (*AXES, "code") if name != "seed"]
    folders = list(by_folder(trials).values())
    within = [name for name in names if any(len({trial.cells[name] for trial in each}) > 1 for each in folders)]
    differing = [name for name in names if len({trial.cells[name] for trial in trials}) > 1]
    return tuple(within), tuple(name for name in differing if name not in within)


def by_folder(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """The trials of each folder."""
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        found.setdefault(trial.folder, []).append(trial)
    return found


def check_scores(trials: Sequence[Trial], metric: str, differing: set[str]) -> None:
    """CompareError where scores are of other examples in one trial than in another."""
    of_score = [name for name in OF_SCORE if name in differing and (name == "dataset" or metric.startswith("val"))]
    if of_score:
        values = list(dict.fromkeys(str(trial.cells[of_score[0]]) for trial in trials))
        others = [name for name in metrics_in(trials) if name in TEST_METRICS and of_score[0] == "validation"]
        hint = f"--metric={others[-1]}, or the same {of_score[0]}" if others else f"the same {of_score[0]}"
        raise CompareError(f"their {metric} is of other examples ({of_score[0]} {', '.join(values)}); accepted: {hint}")


def groups_of(trials: Sequence[Trial], within: Sequence[str], between: Sequence[str]) -> list[Group]:
    """The groups by the fields that differ between folders; folders that have the same trials, or do not differ in any
    field, are groups of their own, by their names."""
    alike: dict[tuple[Any, ...], dict[str, list[Trial]]] = {}
    for folder, of_folder in by_folder(trials).items():
        alike.setdefault(tuple(of_folder[0].cells[name] for name in between), {})[folder] = of_folder
    groups: list[Group] = []
    for values, folders in alike.items():
        each = {folder: keyed(of_folder, within) for folder, of_folder in folders.items()}
        together = {key: trial for keys in each.values() for key, trial in keys.items()}
        name = ", ".join(named(field, value, len(between)) for field, value in zip(between, values, strict=True))
        if len(alike) > 1 and len(together) == sum(map(len, each.values())):
            groups.append(Group(name, together))
        else:
            groups += [Group(f"{name} in {folder}" if name else folder, keys) for folder, keys in each.items()]
    return groups


def keyed(trials: Iterable[Trial], within: Sequence[str]) -> dict[tuple[tuple[Any, ...], int], Trial]:
    """The trials by point and seed."""
    return {(tuple(trial.cells[name] for name in within), trial.cells["seed"]): trial for trial in trials}


def named(field: str, value: Any, fields: int) -> str:
    """`tanh`, or `learning_rate=0.1` for what is no word or one of several."""
    if fields == 1 and isinstance(value, str) and any(letter.isalpha() for letter in value):
        return value
    return f"{field}={value:g}" if isinstance(value, float) else f"{field}={value}"


def nothing_shared(groups: Sequence[Group], within: Sequence[str]) -> str:
    """Why there is nothing to compare."""
    points = [{point for point, _ in group.trials} for group in groups]
    if not set.intersection(*points):
        apart = next((i for i in range(len(within)) if not set.intersection(*({p[i] for p in of} for of in points))), 0)
        values = " and ".join(", ".join(sorted({str(point[apart]) for point in of})) for of in points)
        return f"the folders share no {within[apart]}: {values}; accepted: settings that all of them have"
    seeds = " and ".join(", ".join(map(str, sorted({seed for _, seed in group.trials}))) for group in groups)
    return f"the folders share no seed: {seeds}; accepted: the same seeds, whose draws and batches are the same"


# ---------------------------------------------------------------------------------------------------------------------
# In words.


def table_of(found: Comparison, most: int = 12) -> str:
    """A row a point, with the mean of each group, and of two groups the difference with its 95 % interval."""
    wide = len(found.groups) > 2
    header = ["at", *found.groups, *([] if wide else [f"{found.groups[0]} ahead by", "95 % interval"]), "seeds"]
    rows = [row_of(found, p, wide) for p in range(len(found.points))][:most]
    if len(found.points) > 1:
        rows.append(row_of(found, None, wide))
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    if len(found.points) > most:
        lines.insert(-1, f"... and {len(found.points) - most} more")
    return "\n".join(line.rstrip() for line in lines)


def row_of(found: Comparison, p: int | None, wide: bool) -> list[str]:
    """The cells of a row, p None: over all points."""
    finals_GxS = found.overall if p is None else found.finals_GxPxS[:, p]
    told_S = np.isfinite(finals_GxS).all(axis=0)
    means = [f"{float(np.mean(final_S[told_S])):.4f}" if told_S.any() else "none" for final_S in finals_GxS]
    point = found.points[p] if p is not None else ()
    at = ", ".join(named(field, value, 2) for field, value in zip(found.fields, point, strict=False))
    cells = [at or ("all" if p is None else "the same config"), *means]
    if not wide:
        (of,) = found.differences(0, p)
        interval = f"{gap(found, of.low)} to {gap(found, of.high)}" if of.n > 1 else ""
        cells += [gap(found, of.mean) if of.n else "none", interval]
    return [*cells, str(int(told_S.sum()))]


def gap(found: Comparison, value: float) -> str:
    """A difference, of accuracies in points."""
    return f"{100 * value:+.2f}" if found.metric.endswith("accuracy") else f"{value:+.3g}"


def verdict(found: Comparison) -> str:
    """Which group is ahead, by how much, and how many seeds suffice, in one sentence."""
    best = found.best()
    if not best.settings:
        return "Nothing can be said: no seed ended in all of them."
    first = best.settings[0]
    after = found.differences(first)
    other = max(after, key=lambda of: (of.other in best.settings, -of.mean if math.isfinite(of.mean) else -math.inf))
    leader, follower = found.groups[first], found.groups[other.other]
    unit = " points of " if found.metric.endswith("accuracy") else " of "
    after_epoch = "" if found.end is None else f" after epoch {found.end}"
    amount = f"{gap(found, other.mean).lstrip('+')}{unit}{found.metric}{after_epoch}"
    if other.n < 2:
        return f"{leader} ahead of {follower} by {amount} with one shared seed, which tells no difference from chance."
    within = f"{gap(found, other.low).lstrip('+')} to {gap(found, other.high).lstrip('+')}"
    seeds = decisions.seeds_that_decide(other, len(found.groups))
    if len(best.settings) == 1:
        beyond = "" if len(found.groups) == 2 else f", the next of {len(found.groups)},"
        enough = f"; {seeds} seeds suffice" if seeds else ""
        return f"{leader} ahead of {follower}{beyond} by {amount}, {within}{enough}."
    names = " and ".join([", ".join(found.groups[g] for g in best.settings[:-1]), found.groups[best.settings[-1]]])
    more = f"about {seeds:,} would" if seeds else "no number below 10,000 would"
    return f"{names} cannot be told apart by {other.n} seeds: {amount}, {within}; {more}."


def lost_lines(found: Comparison) -> list[str]:
    """What is to be said of groups that lost trials."""
    count = len(found.points) * len(found.seeds)
    said: list[str] = []
    for name, diverged, broken in zip(found.groups, found.diverged_G, found.broken_G, strict=True):
        words = [f"{diverged} diverged"] if diverged else []
        words += [f"{broken} broken: at chance"] if broken else []
        said += [f"{name}: of {count} trials {', '.join(words)}"] if words else []
    return said


def intervals(found: Comparison) -> statistics.Interval:
    """Mean and interval of the course of each group over the seeds, [G, E]."""
    curves_SxGxE = np.swapaxes(found.curves, 0, 1)
    return statistics.interval(curves_SxGxE, bounds=statistics.bounds_of(found.metric))
