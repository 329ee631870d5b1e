"""What a sweep leaves on disk, and what is read off it.

    plan.json          the base config, the fields that are swept, the packs; package versions, device, git revision
    packs/*.parquet    the rows of one finished pack each
    results.parquet    one row a trial and epoch: `trial`, config fields, `epoch`, metrics, `diverged`, probes
    summary.csv        one row a configuration: mean, standard deviation, n and 95 % interval over its seeds
    tensorboard/       a run a trial, for TensorBoard's curves and its HParams tab

S seeds. A trial is one config, seed included; a configuration is a trial but for its seed. The rows of a trial whose
cost ceases to be finite end there: that row is marked `diverged`, and what is not finite is null.
"""

import csv
import functools
import hashlib
import io
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import run_directory
import train

TYPES = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string(), tuple: pa.string()}
LEADING = pa.schema(
    [
        ("trial", pa.string()),
        *((name, TYPES[field.type]) for name, field in train.FIELDS.items()),
        ("epoch", pa.int64()),
        *((name, pa.float64()) for name in train.METRICS),
        ("diverged", pa.bool_()),
    ]
)
CONFIDENCE = 0.95
# Between what a measure can lie, whatever Student's interval says: shares between 0 and 1, costs and norms above 0.
BOUNDS = {
    **dict.fromkeys(("accuracy", "val_accuracy", "saturation", "phi", "zero_fraction", "dead_units"), (0.0, 1.0)),
    **dict.fromkeys(("dormant_units", "slope_mass", "wrong_side"), (0.0, 1.0)),
    **dict.fromkeys(("loss", "val_loss", "activation_std", "speed", "gradient_norm"), (0.0, math.inf)),
    **dict.fromkeys(("update_ratio", "displacement"), (0.0, math.inf)),
}
UNBOUNDED = (-math.inf, math.inf)


class DamagedError(Exception):
    """A pack file that does not hold what it should, in one line."""


def as_cell(value: Any) -> Any:
    """A config field's value as it stands in a column: hidden layers as '64-64', probes as 'saturation,speed'."""
    if not isinstance(value, tuple):
        return value
    return ("-" if all(isinstance(part, int) for part in value) else ",").join(map(str, value))


def trial_name(config: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that stand for the config."""
    return hashlib.sha256(json.dumps(dict(config), sort_keys=True).encode()).hexdigest()[:12]


# ---------------------------------------------------------------------------------------------------------------------
# Tables.


def pack_table(trials: Mapping[str, Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The rows {trial, epoch, metrics, diverged, probes} of a pack with the config fields of their trials."""
    probed = {name for row in rows for name in row if name not in LEADING.names}
    schema = pa.schema([*LEADING, *((name, pa.float64()) for name in sorted(probed, key=train.natural_order))])
    configs = {name: {field: as_cell(value) for field, value in config.items()} for name, config in trials.items()}
    return pa.Table.from_pylist([{**configs[row["trial"]], **row} for row in rows], schema=schema)


def write_table(table: pa.Table, path: Path) -> None:
    """A Parquet file with checksums, whole or not at all."""
    run_directory.write_atomically(path, as_bytes(table))


def as_bytes(table: pa.Table) -> bytes:
    """A table as a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    return buffer.getvalue()


def read_table(path: Path) -> pa.Table:
    """The rows in a Parquet file of a pack or a sweep; DamagedError where they cannot be read or are no such rows."""
    if not path.is_file():
        raise DamagedError("there is no such file")
    try:
        # pyarrow opens no path whose bytes are no text.
        with path.open("rb") as file:
            table = pq.read_table(file, page_checksum_verification=True)
        # The names of the columns lie outside the checksums, and are decoded here at last.
        types = dict(zip(table.schema.names, table.schema.types, strict=True))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(" ".join(str(error).split())[:120]) from error
    for field in LEADING:
        if types.get(field.name) != field.type:
            raise DamagedError(f"it lacks the column {field.name!r} of type {field.type}")
    if odd := [name for name in metric_names(table) if types[name] != pa.float64()]:
        raise DamagedError(f"its column {odd[0]!r} holds no numbers")
    if not table.num_rows:
        raise DamagedError("it has no rows")
    return table


def read_pack(path: Path, trials: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    """The rows of a finished pack of those trials; DamagedError where they are not all there."""
    table = read_table(path)
    counted = table.group_by("trial").aggregate([("epoch", "max"), ("epoch", "count"), ("diverged", "any")]).to_pylist()
    found = {row["trial"]: row for row in counted}
    for name, config in trials.items():
        row = found.get(name)
        if row is None or row["epoch_max"] != row["epoch_count"]:
            raise DamagedError(f"rows of trial {name} are missing")
        if row["epoch_count"] != config["epochs"] and not row["diverged_any"]:
            raise DamagedError(f"trial {name} has {row['epoch_count']} of {config['epochs']} epochs")
    if len(found) != len(trials):
        raise DamagedError(f"it holds {len(found)} trials, not {len(trials)}")
    return table


def join(tables: Iterable[pa.Table]) -> pa.Table:
    """All rows in the order of their swept fields and epochs, whatever packs they came from."""
    table = pa.concat_tables(tables, promote_options="default")
    probed = sorted(set(table.column_names) - set(LEADING.names), key=train.natural_order)
    table = table.select([*LEADING.names, *probed])
    return table.sort_by([*((name, "ascending") for name in swept_fields(table)), ("epoch", "ascending")])


def swept_fields(table: pa.Table) -> list[str]:
    """The config fields that have more than one value in the table, in the order of a config."""
    return [name for name in train.FIELDS if pc.count_distinct(table[name]).as_py() > 1]  # pyright: ignore


def by_epoch(table: pa.Table, metric: str) -> dict[str, np.ndarray]:
    """The metric of each trial after each of its epochs, NaN where it is not finite and after a trial has diverged."""
    found: dict[str, np.ndarray] = {}
    for row in table.select(["trial", "epochs", "epoch", metric]).to_pylist():
        course_E = found.setdefault(row["trial"], np.full(row["epochs"], np.nan))
        course_E[row["epoch"] - 1] = math.nan if row[metric] is None else row[metric]
    return found


def metric_names(table: pa.Table) -> list[str]:
    """The columns that are measured: METRICS, then the probes."""
    return [*train.METRICS, *table.column_names[len(LEADING) :]]


# ---------------------------------------------------------------------------------------------------------------------
# Over seeds.


class Interval(NamedTuple):
    """What several seeds say of a number; the bounds are those of its mean, NaN for fewer than two seeds."""

    mean: np.ndarray
    std: np.ndarray
    n: np.ndarray
    low: np.ndarray
    high: np.ndarray


@functools.cache
def student_quantile(degrees: int, confidence: float) -> float:
    """Half the width of the interval that holds that share of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + confidence / 2))


def bounds_of(metric: str) -> tuple[float, float]:
    """Between what the values of a metric, `measure` or `measure/layer`, can lie."""
    return BOUNDS.get(metric.partition("/")[0], UNBOUNDED)


def interval(
    values_Sx: np.ndarray, confidence: float = CONFIDENCE, bounds: tuple[float, float] = UNBOUNDED
) -> Interval:
    """Mean, sample standard deviation, count and Student's t interval of the mean over the first axis, NaN left out.

    Of the interval only what lies within the bounds is given: the mean that it is to hold cannot lie elsewhere, so that
    it holds it as often as the whole interval does.
    """
    n = np.sum(np.isfinite(values_Sx), axis=0)
    values_Sx = np.where(np.isfinite(values_Sx), values_Sx, np.nan)
    quantile = np.vectorize(lambda n: student_quantile(max(n - 1, 1), confidence), otypes=[float])(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.nansum(values_Sx, axis=0) / n
        std = np.sqrt(np.nansum((values_Sx - mean) ** 2, axis=0) / np.where(n > 1, n - 1, np.nan))
        half = quantile * std / np.sqrt(n)
    return Interval(mean, std, n, np.clip(mean - half, *bounds), np.clip(mean + half, *bounds))


def interval_in_words(values_S: np.ndarray, form: str = ".3g", log: bool = False) -> str:
    """The 95 % interval of the mean over the seeds, of ratios (log) that of the geometric mean."""
    found = interval(np.log(values_S) if log else values_S)
    low, high = (np.exp(bound) if log else bound for bound in (found.low, found.high))
    return f"95 % interval {low:{form}} to {high:{form}}"


def summary_rows(table: pa.Table) -> list[dict[str, Any]]:
    """One row a configuration: its swept fields, how many of its seeds ended and how many diverged, and of what was
    measured last by the seeds that ended, mean, standard deviation, n and 95 % interval."""
    fields = [name for name in swept_fields(table) if name != "seed"]
    last = table.filter(pc.or_(pc.equal(table["epoch"], table["epochs"]), table["diverged"])).to_pylist()  # pyright: ignore
    rows = []
    for values, of_seeds in grouped(last, fields):
        ended = [row for row in of_seeds if not row["diverged"]]
        row: dict[str, Any] = dict(zip(fields, values, strict=True))
        row |= {"seeds": len(of_seeds), "diverged": len(of_seeds) - len(ended)}
        for name in metric_names(table):
            values_S = np.array([math.nan if r[name] is None else r[name] for r in ended], float)
            found = interval(values_S, bounds=bounds_of(name))
            for part in Interval._fields:
                value = getattr(found, part)
                row[f"{name}_{part}"] = int(value) if part == "n" else float(value) if np.isfinite(value) else None
        rows.append(row)
    return rows


def grouped(rows: list[dict[str, Any]], fields: Sequence[str]) -> list[tuple[tuple, list[dict[str, Any]]]]:
    """The rows by their values of the fields, in the order in which these first appear."""
    found: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in fields), []).append(row)
    return list(found.items())


def write_summary(rows: list[dict[str, Any]], path: Path) -> None:
    """The summary as CSV, empty cells for what is not finite."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    run_directory.write_atomically(path, buffer.getvalue())


# ---------------------------------------------------------------------------------------------------------------------
# TensorBoard.


def write_tensorboard(table: pa.Table, folder: Path) -> None:
    """A run a trial with its curves, its hyperparameters and how it ended; the folder is replaced as a whole."""
    from tensorboard.plugins.hparams import summary_v2

    fields, metrics = swept_fields(table), metric_names(table)
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shown = [summary_v2.Metric(name, display_name=name) for name in train.METRICS]
    hparams = [summary_v2.HParam(name, domain(pc.unique(table[name]).to_pylist())) for name in fields]  # pyright: ignore
    write_events(fresh, [(0, summary_v2.hparams_config_pb(hparams, shown, time_created_secs=0.0))])
    for trial, rows in by_trial(table.select(["trial", *fields, "epoch", *metrics, "diverged"])):
        chosen = {name: rows[0][name] for name in fields}
        start = summary_v2.hparams_pb(chosen, trial_id=trial, start_time_secs=0.0)
        scalars = [(row["epoch"], scalar_summary(row, metrics)) for row in rows]
        write_events(fresh / trial, [(0, start), *scalars, (0, end_summary(rows[-1]["diverged"]))])
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def domain(values: list[Any], most: int = 50) -> Any:
    """What the HParams tab filters a field by: its values, or for more numbers than that their interval."""
    from tensorboard.plugins.hparams import summary_v2

    if isinstance(values[0], bool | str):
        return summary_v2.Discrete(values)
    numbers = sorted(map(float, values))
    return summary_v2.RealInterval(numbers[0], numbers[-1]) if len(numbers) > most else summary_v2.Discrete(numbers)


def by_trial(table: pa.Table) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The rows of each trial in the order of their epochs; only one trial's are Python objects at a time."""
    table = table.sort_by([("trial", "ascending"), ("epoch", "ascending")])
    names, starts = np.unique(table["trial"].to_numpy(zero_copy_only=False), return_index=True)
    for name, start, end in zip(names, starts, [*starts[1:], len(table)], strict=True):
        yield str(name), table.slice(start, end - start).to_pylist()


def write_events(folder: Path, summaries: Iterable[tuple[int, Any]]) -> None:
    """A TensorBoard event file of (step, summary) pairs."""
    from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(parents=True)
    with (folder / "events.out.tfevents.0.sweep").open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(file_version="brain.Event:2").SerializeToString())
        for step, summary in summaries:
            writer.write(Event(step=step, summary=summary).SerializeToString())
        writer.flush()


def scalar_summary(row: Mapping[str, Any], names: Sequence[str]):
    """The numbers of an epoch, NaN for what is not finite."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore

    measured = [name for name in names if row[name] is not None or name in train.METRICS]
    number = lambda name: math.nan if row[name] is None else row[name]  # noqa: E731
    return Summary(value=[Summary.Value(tag=name, simple_value=number(name)) for name in measured])


def end_summary(diverged: bool):
    """How a trial ended, as the HParams tab reads it."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_FAILURE if diverged else api_pb2.STATUS_SUCCESS  # pyright: ignore
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=0.0)  # pyright: ignore
    data = plugin_data_pb2.HParamsPluginData(session_end_info=end)  # pyright: ignore
    summary_metadata = metadata.create_summary_metadata(data)
    tensor = metadata.NULL_TENSOR
    return Summary(value=[Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=summary_metadata, tensor=tensor)])
