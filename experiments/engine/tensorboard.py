"""The results of a sweep for TensorBoard: a run a trial, with its hyperparameters and how it ended."""

import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from experiments.engine.results import metric_names, swept_fields
from training.records import METRICS, OUTCOMES, lacks


def write_tensorboard(table: pa.Table, folder: Path) -> None:
    """A run a trial with its curves, its hyperparameters and how it ended; the folder is replaced as a whole."""
    from tensorboard.plugins.hparams import summary_v2

    fields, metrics = swept_fields(table), metric_names(table)
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shown = [summary_v2.Metric(name, display_name=name) for name in metrics if name in OUTCOMES]
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

    measured = [name for name in names if row[name] is not None or (name in METRICS and not lacks(row, name))]
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
