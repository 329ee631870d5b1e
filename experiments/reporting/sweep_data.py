"""From the rows of a sweep to what its report shows: configurations, means over seeds, curves.

T trials, S seeds, C configurations, F swept fields but for the seed, E epochs. A trial is one config, seed included; a
configuration is a trial but for its seed. Two rules hold for every number: the row in which a trial diverged is left
out, and what is said of the end, or of the best epoch, is said of the trials that ended; the diverged ones are counted.
Which configuration comes before which is what `experiments.engine.ranking` says, as on the screen.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import input_pipeline
from experiments.engine import ranking, results, statistics
from experiments.engine.finals import finals_of as last_scores
from experiments.engine.ranking import Decision
from experiments.reporting.detail import CURVE_BYTES, END_BYTES, chosen, detail_of, packed
from training.config import FIELDS, GIVEN
from training.figures import evenly
from training.probes import measure_of
from training.records import LOWEST_IS_BEST, METRICS, RATE, RATE_COLUMN
from training.screen import natural_order

# A field whose positive values span more than this is drawn on a logarithmic axis.
LINEAR_SPAN = 20
MOST_TICKS = 12
# Numbers of more values than this, as a random search has, are filtered and mapped in so many groups.
MOST_VALUES, GROUPS = 24, 12
# The field that parts a tuning's seeds: those that chose, and the fresh ones, of which the findings are.
ROLE = "role"
# Of these the first that was measured says how saturated a layer is.
SATURATION = ("saturation", "zero_fraction", "slope_mass")


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
    names_T: np.ndarray
    seed_T: np.ndarray
    broken_T: np.ndarray  # ended at chance
    cut_T: np.ndarray  # ended before others that were ahead
    late_C: np.ndarray  # how late each comes whatever its mean, as `ranking.late_of`
    decision: Decision  # what the results say
    numbers: tuple[int, ...]  # the configurations of the ranking, in its order

    @property
    def left_out(self) -> np.ndarray:
        """Whose last values are in no mean: diverged, and where the others alone are ranked, broken."""
        return self.diverged_T | (self.broken_T & (self.decision.rank == "survivors"))


# ---------------------------------------------------------------------------------------------------------------------
# From rows to configurations.


def sweep_of(
    table: pa.Table, decision: Decision | None = None, data_dir: str = input_pipeline.DEFAULT_DATA_DIR
) -> Sweep:
    """Finds the trials and configurations of a table; `decision` is what the results say where that is not of all of
    its trials, or not ranked as by default. Of a tuning the seeds that chose and the fresh ones are configurations of
    their own, by a field `role`, the fresh ones before the others."""
    fresh = () if decision is None else decision.fresh
    parts = [last_scores(part, data_dir) for part in parts_of(table, fresh)]
    decision = decision or ranking.decide_finals(parts[0], selected_by=ranking.selected_by(table))
    names = np.asarray(table["trial"].to_pylist())
    names_T, first_T, trial_R = np.unique(names, return_index=True, return_inverse=True)
    trials = len(first_T)
    fields = [name for name in results.swept_fields(table) if name != "seed"] + [ROLE] * (len(parts) > 1)
    values, codes = {}, np.zeros((trials, len(fields) + 1), int)
    for i, name in enumerate(fields):
        of_trials = roles_of(names_T, fresh) if name == ROLE else table[name].take(first_T).to_pylist()
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
    seed_T = table["seed"].take(first_T).to_numpy()
    of_trial = dict(zip(names_T.tolist(), configuration_T.ravel().tolist(), strict=True))
    late, broken, cut = dict[int, int](), list[str](), list[str]()
    for finals in parts:
        after = max(late.values(), default=-1) + 1
        for names_S, place in zip(finals.trials_CxS.tolist(), ranking.late_of(finals, decision.rank), strict=True):
            late |= {of_trial[name]: after + int(place) for name in names_S if name}
        broken += finals.trials_CxS[finals.broken_CxS].tolist()
        cut += finals.trials_CxS[finals.cut_CxS].tolist()
    broken_T, cut_T = np.isin(names_T, broken), np.isin(names_T, cut)
    return Sweep(
        fields, values, codes_CxF[:, :-1], index_SxC, trial_R, epoch_R, epochs_E, last_T, diverged_T, names_T, seed_T,
        broken_T, cut_T, np.array([late[c] for c in range(len(codes_CxF))]), decision,
        tuple(of_trial[row.trials[0]] for row in decision.ranked),
    )  # fmt: skip


def parts_of(table: pa.Table, fresh: Collection[str]) -> list[pa.Table]:
    """The rows of a tuning's fresh seeds and those of the seeds that chose; all of them in one where none is fresh."""
    is_fresh = pc.is_in(table["trial"], pa.array(list(fresh), pa.string()))  # pyright: ignore
    parts = [table.filter(is_fresh), table.filter(pc.invert(is_fresh))] if fresh else [table]  # pyright: ignore
    return parts if all(map(len, parts)) else [table]


def roles_of(names_T: np.ndarray, fresh: Collection[str]) -> list[str]:
    """What each trial was for."""
    return ["fresh" if name in fresh else "choosing" for name in names_T.tolist()]


def order(value: Any) -> Any:
    """A sorting key for the values of a field."""
    return natural_order(value) if isinstance(value, str) else value


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


def over_seeds(sweep: Sweep, values_Tx: np.ndarray, name: str) -> statistics.Interval:
    """Mean, interval and so on of a metric of each configuration over its seeds."""
    nothing = np.full((1, *values_Tx.shape[1:]), np.nan)
    return statistics.interval(np.concatenate([values_Tx, nothing])[sweep.index_SxC], bounds=statistics.bounds_of(name))


def finals_of(sweep: Sweep, values_TxE: np.ndarray) -> np.ndarray:
    """The last value of each trial: NaN where it diverged, since that row is left out, as in the ranking."""
    return np.where(sweep.left_out, np.nan, values_TxE[np.arange(len(sweep.last_T)), sweep.last_T])


def bests_of(sweep: Sweep, values_TxE: np.ndarray, name: str) -> np.ndarray:
    """The best value of each trial that ended over its epochs, else NaN."""
    best = (np.fmin if name in LOWEST_IS_BEST else np.fmax).reduce(values_TxE, axis=1)
    return np.where(sweep.left_out, np.nan, best)


def counts_of(sweep: Sweep) -> tuple[np.ndarray, np.ndarray]:
    """How many trials each configuration has, and how many of them diverged."""
    return np.sum(sweep.index_SxC < len(sweep.diverged_T), axis=0), count_of(sweep, sweep.diverged_T)


def count_of(sweep: Sweep, which_T: np.ndarray) -> np.ndarray:
    """How many trials of each configuration are among those."""
    return np.sum(np.append(which_T, False)[sweep.index_SxC], axis=0)


def cut_epochs(sweep: Sweep) -> np.ndarray:
    """After which epoch each configuration was cut, 0 where it was not."""
    epoch_T = np.append(np.where(sweep.cut_T, sweep.epochs_E[sweep.last_T], 0), 0)
    return epoch_T[sweep.index_SxC].max(axis=0)


def told_of(sweep: Sweep) -> list[bool | None]:
    """Of each configuration whether it cannot be told from the best, None where it was not compared."""
    found: list[bool | None] = [None] * len(sweep.codes_CxF)
    for c, row in zip(sweep.numbers, sweep.decision.ranked, strict=True):
        found[c] = row.is_best
    return found


def label(value: Any) -> str:
    """A field's value in few characters."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def is_number(sweep: Sweep, name: str) -> bool:
    """Whether a field's values are numbers."""
    return not isinstance(sweep.values[name][0], (str, bool))


def groups_of(values: Sequence[Any], most: int = MOST_VALUES) -> tuple[np.ndarray, list[str]]:
    """The group of each value and what the groups are called: one a value, or for many numbers ranges of them."""
    codes = np.arange(len(values))
    if len(values) <= most or isinstance(values[0], (str, bool)):
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
# What the page shows.


def page_data(table: pa.Table, sweep: Sweep, name: str) -> dict[str, Any]:
    """What the page shows; lists over configurations throughout, null for what is not finite."""
    score, absent = results.score_of(table), ()
    if score == "val_loss":
        absent = ("accuracy", "val_accuracy", "test_accuracy")
    # A column without a number is nothing to choose.
    metrics = [metric for metric in results.metric_names(table) if metric in METRICS or has_numbers(table, metric)]
    metrics = [metric for metric in metrics if metric not in absent]
    seeds, diverged = counts_of(sweep)
    constants = {field: table[field][0].as_py() for field in GIVEN if field not in [*sweep.fields, "seed"]}
    if len(all_seeds := np.unique(sweep.seed_T)) == 1:
        constants["seed"] = int(all_seeds[0])
    return {
        "name": name,
        "fields": [field_data(field, sweep.values[field]) for field in sweep.fields],
        "codes": sweep.codes_CxF.T.tolist(),
        "constants": [[field, label(value)] for field, value in constants.items()],
        "all_seeds": all_seeds.tolist(),
        "seeds": seeds.tolist(),
        "diverged": diverged.tolist(),
        "diverged_epochs": diverged_epochs(sweep),
        "broken": count_of(sweep, sweep.broken_T).tolist(),
        "cut": cut_epochs(sweep).tolist(),
        "late": sweep.late_C.tolist(),
        "rank": sweep.decision.rank,
        "cannot_be_told": told_of(sweep),
        "units": {metric: unit_of(metric) for metric in metrics},
        "score": score,
        "lowest_is_best": list(LOWEST_IS_BEST),
        "saturation": list(SATURATION),
        "confidence": statistics.CONFIDENCE,
        **measured_data(table, sweep, metrics, score),
    }


def has_numbers(table: pa.Table, name: str) -> bool:
    """Whether anything finite was measured."""
    return bool(np.isfinite(table[name].to_numpy()).any())


def unit_of(name: str) -> str:
    """The unit of a metric or field; '' where it has none."""
    name = RATE if name == RATE_COLUMN else name
    measure = measure_of(name)
    return measure.unit if measure else FIELDS[name].spec.unit if name in FIELDS else ""


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
    epoch_SxC = epoch_T[sweep.index_SxC]
    found: list[list[int]] = [[] for _ in range(epoch_SxC.shape[1])]
    for c in np.flatnonzero(epoch_SxC.any(axis=0)):
        found[c] = sorted(epoch_SxC[epoch_SxC[:, c] > 0, c].tolist())
    return found


def measured_data(table: pa.Table, sweep: Sweep, metrics: list[str], score: str) -> dict[str, Any]:
    """Finals, bests and curves of every metric, as far as they fit onto the page, and what was left out."""
    configurations, epochs = len(sweep.codes_CxF), len(sweep.epochs_E)
    core = [name for name in metrics if name.partition("/")[0] in (*SATURATION, "speed")]
    detail = detail_of(metrics, score, core, configurations, epochs)
    has_curves_C = chosen(sweep.numbers, configurations, detail.configurations)
    ended_C = counts_of(sweep)[0] - count_of(sweep, sweep.left_out)
    grids: dict[tuple[int, ...], int] = {}
    finals, bests, curves = {}, {}, {}
    for name in detail.metrics:
        values_TxE = values_of(table, sweep, name)
        found = over_seeds(sweep, finals_of(sweep, values_TxE), name)
        finals[name] = interval_data(found, name in detail.intervals, ended_C, detail.is_packed)
        if name in detail.bests:
            found = over_seeds(sweep, bests_of(sweep, values_TxE, name), name)
            bests[name] = interval_data(found, True, ended_C, detail.is_packed)
        if name in detail.curves:
            parts = ("mean", "low", "high") if name in detail.bands else ("mean",)
            shown = over_seeds(sweep, values_TxE, name)
            shown.mean[~has_curves_C] = np.nan
            curves[name] = curve_data(shown, parts, sweep.epochs_E, detail.epochs, grids, detail.is_packed)
    return {
        "metrics": list(detail.metrics),
        "finals": finals,
        "bests": bests,
        "curves": curves,
        "grids": [list(grid) for grid in grids],
        "most_epochs": detail.epochs if epochs > detail.epochs else None,
        "probes_without_bands": len(detail.bands) < len(detail.curves),
        "metrics_left_out": [name for name in metrics if name not in detail.metrics],
        "curves_of": detail.configurations if detail.configurations < configurations else None,
    }


def interval_data(found: statistics.Interval, has_bounds: bool, ended_C: np.ndarray, is_packed: bool) -> dict[str, Any]:
    """Mean, bounds of the interval and count by configuration; null for the bounds where they are left out, and for
    counts that are of all trials that ended."""
    lists = lambda values, digits: packed(values, END_BYTES) if is_packed else as_lists(values, digits)  # noqa: E731
    known = found.n.tolist() if not is_packed or not np.array_equal(found.n, ended_C) else None
    bounds = {part: lists(getattr(found, part), 4) if has_bounds else None for part in ("low", "high")}
    return {"mean": lists(found.mean, 5), **bounds, "n": known}


def curve_data(
    found: statistics.Interval,
    parts: Sequence[str],
    epochs_E: np.ndarray,
    most: int,
    grids: dict[tuple[int, ...], int],
    is_packed: bool = False,
) -> dict[str, Any]:
    """A metric over the epochs, at no more than `most` of those at which a configuration has it, the last one included.

    `grid` gives each configuration's epochs as a place in `grids`, which grows; null where there is nothing. The parts
    are a list a configuration, or packed, one after the other.
    """
    masks, kind_C = np.unique(np.isfinite(found.mean), axis=0, return_inverse=True)
    grid_C: list[int | None] = [None] * len(found.mean)
    rows: dict[str, list[Any]] = {name: [None] * len(found.mean) for name in parts}
    for kind, mask in enumerate(masks):
        if not mask.any():
            continue
        at = evenly(np.flatnonzero(mask), most)
        grid = grids.setdefault(tuple(epochs_E[at].tolist()), len(grids))
        alike = np.flatnonzero(kind_C.ravel() == kind)
        for name in parts:
            values = getattr(found, name)[np.ix_(alike, at)]
            for c, row in zip(alike, values if is_packed else as_lists(values), strict=True):
                rows[name][c] = row
        for c in alike:
            grid_C[c] = grid
    if not is_packed:
        return {"grid": grid_C, **rows}
    joined = {name: [row for row in rows[name] if row is not None] for name in parts}
    return {"grid": grid_C} | {
        name: packed(np.concatenate(of_part), CURVE_BYTES) if of_part else "" for name, of_part in joined.items()
    }


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
