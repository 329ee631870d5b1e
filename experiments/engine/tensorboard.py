"""The results of a sweep for TensorBoard: a run a trial, with its hyperparameters and how it ended, written as its pack
ends. A run is called by what is swept and by its trial, `learning_rate=0.1,seed=0-1f2e3d4c5b6a`; its events have the
times at which its epochs ended."""

import io
import math
import os
import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from experiments.engine.results import Times, metric_names, times_of
from experiments.engine.space import Trials, as_cell, text_of
from training.config import GIVEN
from training.records import METRICS, OUTCOMES, RATE, RATE_COLUMN, lacks

# TensorBoard is slow with more runs than this, and so is writing them.
MOST_RUNS = 250
# What a file system takes: a value and the whole name are cut to so many signs.
LONGEST_VALUE, LONGEST_NAME = 32, 180
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
_OF_TRIAL = re.compile(r"(?:.*-)?([0-9a-f]{12})")


class Events:
    """The folder of a sweep's events. What is there of a trial under its name is not written again; a trial that has
    gone on as another one is there under the name of that one alone."""

    def __init__(self, folder: Path, trials: Trials) -> None:
        self.folder, self._values, self._trials = folder, values_of(trials), trials
        self._described: tuple[Any, ...] = ()
        self._there = runs_in(folder)
        self._ended: dict[str, dict[int, float]] = {}

    def catch_up(self, tables: Iterable[pa.Table], continued: Mapping[str, str] = MappingProxyType({})) -> None:
        """Writes what is missing of finished packs. Runs that an earlier start called otherwise, by other swept fields,
        are written anew. `continued` says which trials go on as which."""
        tables = list(tables)
        there = {name for table in tables for name in pc.unique(table["trial"]).to_pylist()}  # pyright: ignore
        gone = {source for source, name in continued.items() if name in there} - self._trials.keys()
        for table in tables:
            self._remember(table, continued)
            of_now = without(table, continued.keys() - self._trials.keys())
            for name, values in self._values.items():
                values.update(pc.unique(of_now[name]).to_pylist())  # pyright: ignore
        # What has not gone on yet stays as it was.
        for table in tables:
            if len(part := without(table, gone)):
                self.write(part)
        self._remove(gone)

    def write(self, table: pa.Table, continued: Mapping[str, str] = MappingProxyType({})) -> None:
        """Writes the runs of a pack's trials, and removes those as which they had begun."""
        fields = [name for name, values in self._values.items() if len(values) > 1]
        fields.sort(key=lambda name: name == "seed")
        metrics = metric_names(table)
        self._describe(fields, [name for name in metrics if name in OUTCOMES])
        self._remember(table, continued)
        times, by_trial = times_of(table), dict[str, list[dict[str, Any]]]()
        for row in table.select(["trial", *fields, "epoch", *metrics, "diverged"]).to_pylist():
            by_trial.setdefault(row["trial"], []).append(row)
        for trial, rows in by_trial.items():
            rows.sort(key=lambda row: row["epoch"])
            name = run_name({field: rows[0][field] for field in fields}, trial)
            for other in self._there.get(trial, ()):
                if other != name:
                    shutil.rmtree(self.folder / other, ignore_errors=True)
            self._there[trial] = [name]
            run = self.folder / name
            if times and times.start and any(run.glob(f"*-{times.start:06d}.sweep")):
                rows = [row for row in rows if row["epoch"] > times.start]  # Earlier epochs are there.
            if rows:
                self._write_run(run, trial, rows, fields, metrics, wall_times(self._ended[trial], times, rows))
        self._remove(source for source, name in continued.items() if name in by_trial)

    def _remember(self, table: pa.Table, continued: Mapping[str, str]) -> None:
        """When the epochs of a pack's trials have ended, those before it too: by epoch, 0 their beginning."""
        times, sources = times_of(table), {name: source for source, name in continued.items()}
        for trial in pc.unique(table["trial"]).to_pylist():  # pyright: ignore
            ended = self._ended.get(sources.get(trial, ""), {}) | self._ended.get(trial, {})
            if times:
                ended |= {times.start + i: end for i, end in enumerate(times.ends, start=1)}
                ended.setdefault(0, times.began)
            self._ended[trial] = ended

    def _remove(self, trials: Iterable[str]) -> None:
        """Removes the runs of trials that are not wanted under these names."""
        for trial in trials:
            for run in self._there.pop(trial, ()) if trial not in self._trials else ():
                shutil.rmtree(self.folder / run, ignore_errors=True)

    def _write_run(
        self,
        run: Path,
        trial: str,
        rows: Sequence[Mapping[str, Any]],
        fields: Sequence[str],
        metrics: Sequence[str],
        times: Sequence[float],
    ) -> None:
        """A run's file, which is called by the epochs in it; what goes on from another epoch has a file beside it."""
        from tensorboard.plugins.hparams import summary_v2

        start = f"events.out.tfevents.{rows[0]['epoch']:06d}"
        path = run / f"{start}-{rows[-1]['epoch']:06d}.sweep"
        if path.exists():
            return
        run.mkdir(parents=True, exist_ok=True)
        for old in [*run.glob(f"{start}-*.sweep"), run / "events.out.tfevents.0.sweep"]:
            old.unlink(missing_ok=True)
        chosen = {name: rows[0][name] for name in fields}
        begin = (times[0], 0, summary_v2.hparams_pb(chosen, trial_id=trial, start_time_secs=times[0]))
        scalars = [
            (ended, row["epoch"], scalar_summary(row, metrics)) for ended, row in zip(times[1:], rows, strict=True)
        ]
        write_events(path, [begin, *scalars, (times[-1], 0, end_summary(rows[-1]["diverged"], times[-1]))], self.folder)

    def _describe(self, fields: Sequence[str], shown: Sequence[str]) -> None:
        """What the HParams tab knows of all runs: the fields with their values, and the metrics."""
        from tensorboard.plugins.hparams import summary_v2

        described = (tuple(fields), tuple(shown))
        if self._described == described:
            return
        hparams = [summary_v2.HParam(name, domain(list(self._values[name]))) for name in fields]
        measured = [summary_v2.Metric(name, display_name=name) for name in shown]
        summary = summary_v2.hparams_config_pb(hparams, measured, time_created_secs=time.time())
        self.folder.mkdir(parents=True, exist_ok=True)
        write_events(self.folder / "events.out.tfevents.0.sweep", [(time.time(), 0, summary)], self.folder)
        self._described = described


def without(table: pa.Table, trials: Iterable[str]) -> pa.Table:
    """The rows of all other trials."""
    trials = list(trials)
    if not trials:
        return table
    return table.filter(pc.invert(pc.is_in(table["trial"], pa.array(trials, pa.string()))))  # pyright: ignore


def values_of(trials: Trials) -> dict[str, set[Any]]:
    """The values of each config field, as they stand in the columns of a table."""
    return {name: {as_cell(value) for value in {getattr(t, name) for t in trials.values()}} for name in GIVEN}


def runs_in(folder: Path) -> dict[str, list[str]]:
    """What the runs of each trial in the folder are called."""
    found: dict[str, list[str]] = {}
    for entry in os.scandir(folder) if folder.is_dir() else ():
        if (match := _OF_TRIAL.fullmatch(entry.name)) and entry.is_dir():
            found.setdefault(match[1], []).append(entry.name)
    return found


def run_name(chosen: Mapping[str, Any], trial: str) -> str:
    """`learning_rate=0.1,activation=tanh,seed=0-<trial>`, of signs that every file system takes, and bounded."""
    parts = [f"{name}={_UNSAFE.sub('_', text_of(value))[-LONGEST_VALUE:]}" for name, value in chosen.items()]
    return "-".join(filter(None, (",".join(parts)[:LONGEST_NAME], trial)))


def wall_times(ended: Mapping[int, float], times: Times | None, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """When a trial began and when each of its rows was finished; of epochs that nobody has seen the beginning of their
    pack, and now where no pack says when it was run."""
    if 0 not in ended or rows[-1]["epoch"] not in ended:
        return [time.time()] * (len(rows) + 1)
    began = times.began if times else ended[0]
    first = began if rows[0]["epoch"] > 1 else ended[0]
    return [first, *(ended.get(row["epoch"], began) for row in rows)]


def domain(values: list[Any], most: int = 50) -> Any:
    """What the HParams tab filters a field by: its values, or for more numbers than that their interval."""
    from tensorboard.plugins.hparams import summary_v2

    if isinstance(values[0], bool | str):
        return summary_v2.Discrete(sorted(values))
    numbers = sorted(map(float, values))
    return summary_v2.RealInterval(numbers[0], numbers[-1]) if len(numbers) > most else summary_v2.Discrete(numbers)


def write_events(path: Path, events: Iterable[tuple[float, int, Any]], beside: Path) -> None:
    """A TensorBoard event file of (wall time, step, summary), whole or not at all: written first under a name in the
    folder `beside` that TensorBoard does not read."""
    from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer, events = io.BytesIO(), list(events)
    writer = RecordWriter(buffer)
    writer.write(Event(wall_time=events[0][0], file_version="brain.Event:2").SerializeToString())
    for wall_time, step, summary in events:
        writer.write(Event(wall_time=wall_time, step=step, summary=summary).SerializeToString())
    temporary = beside / f".{path.parent.name[-12:]}.{os.getpid()}.tmp"
    try:
        temporary.write_bytes(buffer.getvalue())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def scalar_summary(row: Mapping[str, Any], names: Sequence[str]):
    """The numbers of an epoch, NaN for what is not finite."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore

    measured = [name for name in names if row[name] is not None or (name in METRICS and not lacks(row, name))]
    number = lambda name: math.nan if row[name] is None else row[name]  # noqa: E731
    tag = lambda name: RATE if name == RATE_COLUMN else name  # noqa: E731  # As runs call it.
    return Summary(value=[Summary.Value(tag=tag(name), simple_value=number(name)) for name in measured])


def end_summary(diverged: bool, ended: float):
    """How a trial ended and when, as the HParams tab reads it."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_FAILURE if diverged else api_pb2.STATUS_SUCCESS  # pyright: ignore
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=ended)  # pyright: ignore
    data = plugin_data_pb2.HParamsPluginData(session_end_info=end)  # pyright: ignore
    summary_metadata = metadata.create_summary_metadata(data)
    tensor = metadata.NULL_TENSOR
    return Summary(value=[Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=summary_metadata, tensor=tensor)])
