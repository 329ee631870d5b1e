"""What a sweep leaves on disk, and what is read off it.

    plan.json          the base config, the fields that are swept, the packs; package versions, device, git revision
    packs/*.parquet    the rows of one finished pack each
    results.parquet    one row a trial and epoch: `trial`, config fields, `epoch`, metrics, `diverged`; where a test set
                       is measured beside the validation examples, `test_loss` and `test_accuracy`; of trials whose
                       rate changes the `rate` of the epoch's last step; probes
    summary.csv        one row a configuration: mean, standard deviation, n and 95 % interval over its seeds
    decisions.json     which settings cannot be told from the best, differences, edges, importance
    tensorboard/       a run a trial, for TensorBoard's curves and its HParams tab
    finished.json      digests of the files of a sweep that has come to its end, and what was said there

S seeds. A trial is one config, seed included; a configuration is a trial but for its seed. The rows of a trial whose
cost ceases to be finite end there: that row is marked `diverged`, and what is not finite is null.
"""

import csv
import hashlib
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from experiments.engine.space import as_cell, cells_of, of_cells
from experiments.engine.statistics import bounds_of, interval
from training import stopping
from training.config import FIELDS, GIVEN, Config, ConfigError
from training.files import write_atomically
from training.records import METRICS, RATE_COLUMN, TEST_METRICS
from training.screen import natural_order

TYPES = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string(), tuple: pa.string()}
LEADING = pa.schema(
    [
        ("trial", pa.string()),
        *((name, TYPES[field.type]) for name, field in FIELDS.items()),
        ("epoch", pa.int64()),
        *((name, pa.float64()) for name in METRICS),
        ("diverged", pa.bool_()),
    ]
)
# Where the digest of a file stands in its metadata, and what stands there while it is made.
DIGEST_KEY, MARK = b"digest", b"plateau-sha256:"
BLANK = MARK + b"0" * 64
# Where a pack's file says when it was run.
TIMES_KEY = b"times"


class DamagedError(Exception):
    """A pack file that does not hold what it should, in one line."""


class Times(NamedTuple):
    """When a pack was run, in seconds since 1970: its beginning, compilation included, and the end of each epoch after
    the one from which its trials went on."""

    began: float
    ends: tuple[float, ...]
    start: int = 0

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(self.ends[-1] - self.began, 0.0)


def with_times(table: pa.Table, times: Times) -> pa.Table:
    """The rows of a pack with when it was run, which `write_table` keeps and `times_of` reads."""
    rounded = [round(times.began, 3), [round(end, 3) for end in times.ends], times.start]
    return table.replace_schema_metadata({TIMES_KEY: json.dumps(rounded).encode()})


def times_of(table: pa.Table) -> Times | None:
    """When a pack was run; None where its table does not say, as those of earlier versions."""
    try:
        began, ends, start = json.loads((table.schema.metadata or {})[TIMES_KEY])
        return Times(float(began), tuple(map(float, ends)), int(start)) if ends else None
    except (KeyError, ValueError, TypeError):
        return None


def pack_table(trials: Mapping[str, Config], rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The rows {trial, epoch, metrics, diverged, test metrics, probes} of a pack with the config fields of their
    trials."""
    schema = pa.schema([*LEADING, *((name, pa.float64()) for name in in_order({name for row in rows for name in row}))])
    configs = {name: cells_of(config) for name, config in trials.items()}
    return pa.Table.from_pylist([{**configs[row["trial"]], **row} for row in rows], schema=schema)


def in_order(columns: Iterable[str]) -> list[str]:
    """Those columns that not every table has, in their order: what the test set gives, the rate, then the probes."""
    others, first = set(columns) - set(LEADING.names), (*TEST_METRICS, RATE_COLUMN)
    return [name for name in first if name in others] + sorted(others - {*first}, key=natural_order)


def write_table(table: pa.Table, path: Path) -> None:
    """A Parquet file with checksums and a digest, whole or not at all."""
    write_atomically(path, as_bytes(table))


def as_bytes(table: pa.Table) -> bytes:
    """A table as a Parquet file. The checksums of its pages cover the numbers, a digest among its metadata the whole
    file, made while zeros stand in its own place."""
    buffer = io.BytesIO()
    kept = {key: value for key, value in (table.schema.metadata or {}).items() if key == TIMES_KEY}
    pq.write_table(table.replace_schema_metadata(kept | {DIGEST_KEY: BLANK}), buffer, write_page_checksum=True)
    content = buffer.getvalue()
    # The metadata lie at the end of the file.
    before, after = content.rsplit(BLANK, 1)
    return before + MARK + hashlib.sha256(content).hexdigest().encode() + after


def check_digest(content: bytes) -> bool:
    """Whether the file has a digest, as those of the first version have not; DamagedError where it is another one."""
    before, mark, after = content.rpartition(MARK)
    if not mark:
        return False
    size = len(BLANK) - len(MARK)
    if hashlib.sha256(before + BLANK + after[size:]).hexdigest().encode() != after[:size]:
        raise DamagedError("it is not what was written")
    return True


def read_table(path: Path) -> pa.Table:
    """The rows in a Parquet file of a pack or a sweep; DamagedError where they cannot be read or are no such rows.

    Files of the first version are read as they would be written now: fields that were added since then have their
    defaults, and trials the names that their configs have now.
    """
    if not path.is_file():
        raise DamagedError("there is no such file")
    content = path.read_bytes()
    has_digest = check_digest(content)
    try:
        # The threads and the data set of `pq.read_table` cost more than a pack.
        table = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True).read(use_threads=False)
        # The names of the columns lie outside the checksums, and are decoded here at last.
        types = dict(zip(table.schema.names, table.schema.types, strict=True))
        metadata = table.schema.metadata or {}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(" ".join(str(error).split())[:120]) from error
    if DIGEST_KEY in metadata and not has_digest:
        raise DamagedError("its digest is missing")
    if len(types) < table.num_columns:
        raise DamagedError("it has two columns of one name")
    kept = {TIMES_KEY: metadata[TIMES_KEY]} if TIMES_KEY in metadata else None
    table = checked(table, types).replace_schema_metadata(kept)
    # What has a digest is as it was written, and names its trials as it does now.
    return table if has_digest else with_names_of_now(table)


def checked(table: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The table with all columns in their order; DamagedError where it holds something else."""
    for column in LEADING:
        field = FIELDS.get(column.name)
        if field and field.spec.later and column.name not in types:
            default = pa.repeat(pa.scalar(as_cell(field.default), column.type), table.num_rows)
            table = table.append_column(column.name, default)
        elif types.get(column.name) != column.type:
            raise DamagedError(f"it lacks the column {column.name!r} of type {column.type}")
    probed = [name for name in table.column_names if name not in LEADING.names]
    if odd := [name for name in probed if types[name] != pa.float64()]:
        raise DamagedError(f"its column {odd[0]!r} holds no numbers")
    if not table.num_rows:
        raise DamagedError("it has no rows")
    if table["trial"].null_count:
        raise DamagedError("a row has no trial")
    return table.select([*LEADING.names, *probed])


def with_names_of_now(table: pa.Table) -> pa.Table:
    """The table with the trials named by their configs, as they stand in its columns."""
    configs = configs_of(table)
    names = {name: config.name() for name, config in configs.items()}
    if len(set(names.values())) < len(names):
        raise DamagedError("a config has two names")
    if all(name == now for name, now in names.items()):
        return table
    renamed = pa.array([names[name] for name in table["trial"].to_pylist()], pa.string())
    return table.set_column(0, LEADING.field("trial"), renamed)


def configs_of(table: pa.Table) -> dict[str, Config]:
    """The config of each trial, as it stands in the columns; DamagedError where it is none."""
    names, first = np.unique(np.asarray(table["trial"].to_pylist(), dtype=str), return_index=True)
    cells = table.select(list(FIELDS)).take(pa.array(first)).to_pylist()
    try:
        return {str(name): of_cells(row) for name, row in zip(names, cells, strict=True)}
    except ConfigError as error:
        raise DamagedError(str(error)) from error


def first_names(table: pa.Table) -> dict[str, str]:
    """What the first version, in which what is recorded was part of a name, called the trials: {then: now}."""
    return {config.name(config): name for name, config in configs_of(table).items()}


def read_pack(path: Path, epochs: Mapping[str, int]) -> pa.Table:
    """The rows of a finished pack of trials of so many epochs each, or fewer where they have ended before, which may be
    called as in the first version; DamagedError where they are not all there."""
    table = read_table(path)
    there = {row["trial"]: row for row in counted(table)}
    if there.keys() != epochs.keys():
        names = first_names(table)
        epochs = {names.get(name, name): count for name, count in epochs.items()}
    for name, count in epochs.items():
        row = there.get(name)
        if row is None or row["epoch_max"] != row["epoch_count"]:
            raise DamagedError(f"rows of trial {name} are missing")
        if row["epoch_count"] != count and not (row["diverged_any"] or name in stopped(table)):
            raise DamagedError(f"trial {name} has {row['epoch_count']} of {count} epochs")
    if len(there) != len(epochs):
        raise DamagedError(f"it holds {len(there)} trials, not {len(epochs)}")
    return table


def stopped(table: pa.Table) -> set[str]:
    """The trials that have ended before their last epoch, by what their configs say of that."""
    table = table.filter(may_have_stopped(table))
    if not len(table):
        return set()
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in table.select(["trial", "epoch", *METRICS]).sort_by("epoch").to_pylist():
        rows.setdefault(row["trial"], []).append(row)
    return {name for name, config in configs_of(table).items() if stopping.reason(config, rows[name])}


def may_have_stopped(table: pa.Table) -> pa.ChunkedArray:
    """Which of the rows are of trials that may end before their last epoch, by their configs."""
    return pc.or_(pc.not_equal(table["stop_at"], ""), pc.greater(table["patience"], 0))  # pyright: ignore


class Reached(NamedTuple):
    """How far a trial has come: its last epoch, whether it goes no further, and in which table its rows are."""

    epoch: int
    is_over: bool
    table: str


def reached(tables: Mapping[str, pa.Table]) -> dict[str, Reached]:
    """How far the trials in the tables have come, which may be in several of them."""
    return _furthest(_in_tables(tables))


def _furthest(everywhere: Iterable[tuple[str, Reached]]) -> dict[str, Reached]:
    """Each trial where it has come furthest, the first of them where it has come as far in several."""
    found: dict[str, Reached] = {}
    for name, at in everywhere:
        if name not in found or found[name].epoch < at.epoch:
            found[name] = at
    return found


def _in_tables(tables: Mapping[str, pa.Table]) -> list[tuple[str, Reached]]:
    """How far each trial has come in each of the tables in which it is. A sweep may have thousands of them, which are
    counted together."""
    if not tables:
        return []
    keys, names = list(tables), ["trial", "epoch", "epochs", "diverged", "stop_at", "patience"]
    rows = pa.concat_tables([table.select(names) for table in tables.values()])
    of_row = np.repeat(np.arange(len(keys)), [len(table) for table in tables.values()])
    grouped = rows.append_column("table", pa.array(of_row)).group_by(["trial", "table"], use_threads=False)
    counted = grouped.aggregate([("epoch", "max"), ("epochs", "max"), ("diverged", "any")])
    may_stop = set(of_row[np.asarray(may_have_stopped(rows))].tolist())
    over = {table: stopped(tables[keys[table]]) for table in may_stop}
    columns = (counted[name].to_pylist() for name in ("trial", "table", "epoch_max", "epochs_max", "diverged_any"))
    return [
        (name, Reached(epoch, diverged or epoch >= epochs or name in over.get(table, ()), keys[table]))
        for name, table, epoch, epochs, diverged in zip(*columns, strict=True)
    ]


def latest(tables: Mapping[str, pa.Table], but_for: Iterable[str] = ()) -> list[pa.Table]:
    """The tables with each trial in the one alone in which it has come furthest, and without those that are named."""
    everywhere, left_out = _in_tables(tables), set(but_for)
    trials = Counter(at.table for _, at in everywhere)
    kept: dict[str, list[str]] = {}
    for name, at in _furthest(everywhere).items():
        if name not in left_out:
            kept.setdefault(at.table, []).append(name)

    def part(key: str) -> pa.Table:
        table, names = tables[key], kept[key]
        whole = trials[key] == len(names)
        return table if whole else table.filter(pc.is_in(table["trial"], pa.array(names)))  # pyright: ignore

    return [part(key) for key in kept]


def counted(table: pa.Table) -> list[dict[str, Any]]:
    """Of each trial its last epoch, how many rows it has, and whether one of them is marked as diverged."""
    encoded = pc.dictionary_encode(table["trial"].combine_chunks())  # pyright: ignore
    trial_R, names = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
    most_T = np.zeros(len(names), int)
    np.maximum.at(most_T, trial_R, table["epoch"].to_numpy())
    count_T = np.bincount(trial_R, minlength=len(names))
    diverged_T = np.bincount(trial_R[table["diverged"].to_numpy()], minlength=len(names)) > 0
    parts = zip(names, most_T.tolist(), count_T.tolist(), diverged_T.tolist(), strict=True)
    return [dict(zip(("trial", "epoch_max", "epoch_count", "diverged_any"), part, strict=True)) for part in parts]


def join(tables: Iterable[pa.Table]) -> pa.Table:
    """All rows in the order of their swept fields and epochs, whatever packs they came from."""
    table = pa.concat_tables(tables, promote_options="default").replace_schema_metadata(None)
    table = table.select([*LEADING.names, *in_order(table.column_names)])
    return table.sort_by([*((name, "ascending") for name in swept_fields(table)), ("epoch", "ascending")])


def swept_fields(table: pa.Table) -> list[str]:
    """The config fields that have more than one value in the table, in the order of a config."""
    return [name for name in GIVEN if pc.count_distinct(table[name]).as_py() > 1]  # pyright: ignore


def by_epoch(table: pa.Table, metric: str) -> dict[str, np.ndarray]:
    """The metric of each trial after each of its epochs, NaN where it is not finite and after a trial has diverged."""
    found: dict[str, np.ndarray] = {}
    for row in table.select(["trial", "epochs", "epoch", metric]).to_pylist():
        course_E = found.setdefault(row["trial"], np.full(row["epochs"], np.nan))
        course_E[row["epoch"] - 1] = math.nan if row[metric] is None else row[metric]
    return found


def metric_names(table: pa.Table) -> list[str]:
    """The columns that have a number an epoch: METRICS, those of the test set and the rate where there are any, then
    the probes."""
    return [*METRICS, *table.column_names[len(LEADING) :]]


def score_of(table: pa.Table) -> str:
    """What trials are ranked by: `val_accuracy`, or where none has one, as of a regression, `val_loss`; never by the
    test set where there are other examples to validate on."""
    return "val_accuracy" if table["val_accuracy"].null_count < table.num_rows else "val_loss"


def last_rows(table: pa.Table) -> pa.Table:
    """The last row that each trial has, in the order of the table: that of its last epoch, or of the one at which it
    diverged or was ended."""
    trial_R = np.asarray(table["trial"].combine_chunks().dictionary_encode().indices)
    by_trial = np.lexsort((table["epoch"].to_numpy(), trial_R))
    is_last = np.append(np.diff(trial_R[by_trial]) != 0, True)
    return table.take(pa.array(np.sort(by_trial[is_last])))


def cut_rows(table: pa.Table, last: pa.Table) -> np.ndarray:
    """Which of the last rows of the trials in the table are of trials that were ended before the others, since these
    were ahead of them, as successive halving does: fewer epochs than their configs say and than others have, without
    having diverged or been stopped by what their configs say."""
    epoch_R = last["epoch"].to_numpy()
    is_cut_R = ~last["diverged"].to_numpy() & (epoch_R < np.minimum(last["epochs"].to_numpy(), epoch_R.max(initial=0)))
    if is_cut_R.any():
        is_cut_R &= ~np.isin(last["trial"].to_numpy(zero_copy_only=False), list(stopped(table)))
    return is_cut_R


class Settings(NamedTuple):
    """Which rows belong to which of C settings, which are in the order in which they first appear."""

    values: list[tuple[Any, ...]]  # of the fields, of each setting
    setting_R: np.ndarray
    place_R: np.ndarray  # of a row among those of its setting

    def columns(self, values_R: np.ndarray, fill: Any = math.nan) -> np.ndarray:
        """The values of each setting as a column, [S, C], filled up where it has fewer than another."""
        values_SxC = np.full((int(self.place_R.max(initial=0)) + 1, len(self.values)), fill)
        values_SxC[self.place_R, self.setting_R] = values_R
        return values_SxC


def settings_of(rows: pa.Table, fields: Sequence[str]) -> Settings:
    """The rows by their values of the fields."""
    codes = [np.asarray(rows[name].combine_chunks().dictionary_encode().indices) for name in fields]
    codes_RxF = np.stack([np.zeros(len(rows), int), *codes], axis=1)
    _, first, setting_R = np.unique(codes_RxF, axis=0, return_index=True, return_inverse=True)
    by_first = np.argsort(first)
    setting_R = np.argsort(by_first)[setting_R.ravel()]
    by_setting = np.argsort(setting_R, kind="stable")
    counts = np.bincount(setting_R)
    place_R = np.empty(len(rows), int)
    place_R[by_setting] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    of_first = rows.select(list(fields)).take(pa.array(first[by_first])).to_pylist() if fields else [{}]
    return Settings([tuple(row.values()) for row in of_first], setting_R, place_R)


def summary_rows(table: pa.Table) -> list[dict[str, Any]]:
    """One row a configuration: its swept fields, how many seeds it has and how many of them diverged, where some ended
    early the last epoch of any of them, where some were cut by successive halving after which one (None: it was not),
    and of what was measured last by the seeds that did not diverge, mean, standard
    deviation, n and 95 % interval."""
    fields, last = [name for name in swept_fields(table) if name != "seed"], last_rows(table)
    settings, diverged_R = settings_of(last, fields), last["diverged"].to_numpy()
    counts = np.bincount(settings.setting_R), np.bincount(settings.setting_R, diverged_R).astype(int)
    columns: dict[str, list[Any]] = dict(zip(("seeds", "diverged"), (of.tolist() for of in counts), strict=True))
    if (last["epoch"].to_numpy() < last["epochs"].to_numpy())[~diverged_R].any():
        columns["epoch"] = settings.columns(last["epoch"].to_numpy(), 0).max(axis=0).tolist()
    if (is_cut_R := cut_rows(table, last)).any():
        ends_C = settings.columns(np.where(is_cut_R, last["epoch"].to_numpy(), 0), 0).max(axis=0)
        columns["cut_after"] = [end or None for end in ends_C.tolist()]
    for name in metric_names(table):
        if name == RATE_COLUMN:
            continue  # What follows from the config alone has no spread.
        values_SxC = settings.columns(np.where(diverged_R, math.nan, last[name].to_numpy()))
        for part, values_C in interval(values_SxC, bounds=bounds_of(name))._asdict().items():
            listed = values_C.tolist()
            columns[f"{name}_{part}"] = listed if part == "n" else [x if math.isfinite(x) else None for x in listed]
    measured = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [dict(zip(fields, values, strict=True)) | row for values, row in zip(settings.values, measured, strict=True)]


def write_summary(rows: list[dict[str, Any]], path: Path) -> None:
    """The summary as CSV, empty cells for what is not finite."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    write_atomically(path, buffer.getvalue())
