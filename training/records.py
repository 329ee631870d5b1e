"""What a run records of its epochs: lines of JSON, TensorBoard events, histograms of the layers' outputs."""

import io
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from training.files import RunError, write_atomically

METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")
HISTOGRAM_BINS = 50


def read_rows(workdir: str | Path) -> list[dict[str, Any]]:
    """The epochs 1, 2, ... recorded in metrics.jsonl, up to the first line that is torn or out of order."""
    rows = read_lines(Path(workdir) / "metrics.jsonl")
    for i, row in enumerate(rows):
        if row.get("epoch") != i + 1 or not row.keys() >= {*METRICS, "seconds"}:
            return rows[:i]
    return rows


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects in a file of one JSON object a line, up to the first line that is torn."""
    rows: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict):
            break
        rows.append(row)
    return rows


def begin_lines(path: Path, rows: list[dict[str, Any]]) -> io.FileIO:
    """The file with a line for each row, open for more. Unbuffered: a line is in the file when write() returns, and
    nothing is left to be written on closing."""
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows))
    return path.open("ab", buffering=0)


def append_line(file: io.FileIO | None, row: dict[str, Any]) -> None:
    """Writes one more row; RunError where the disk refuses it."""
    assert file, "restore() comes first"
    line = (json.dumps(row) + "\n").encode()
    try:
        if file.write(line) < len(line):
            raise OSError("no space left on the device")
    except OSError as error:
        raise RunError(f"{file.name} cannot be written: {error}") from error


def histogram(a_PxH: np.ndarray) -> dict[str, Any]:
    """Counts of a layer's finite outputs in equal bins between the least and the largest."""
    finite = a_PxH[np.isfinite(a_PxH)].astype(np.float64)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    # A layer whose outputs are all the same still needs bins of some width.
    high = max(high, low + 1e-6 * max(1.0, abs(low)))
    counts, _ = np.histogram(finite, bins=HISTOGRAM_BINS, range=(low, high))
    return {"low": low, "high": high, "counts": counts.tolist()}


def event_of(row: dict[str, Any], activations: Mapping[str, np.ndarray], histograms: Mapping[str, dict]):
    """An epoch as a TensorBoard event: scalars, and the histogram of each layer's outputs."""
    from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore
    from tensorboard.compat.proto.histogram_pb2 import HistogramProto  # pyright: ignore
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore

    values = [
        Summary.Value(tag=name, simple_value=math.nan if value is None else value)
        for name, value in row.items()
        if name != "epoch"
    ]
    for layer, counted in histograms.items():
        edges = np.linspace(counted["low"], counted["high"], HISTOGRAM_BINS + 1)
        finite = activations[layer][np.isfinite(activations[layer])].astype(np.float64)
        proto = HistogramProto(min=counted["low"], max=counted["high"], num=finite.size, sum=finite.sum())
        proto.sum_squares = np.square(finite).sum()
        proto.bucket_limit.extend(edges[1:].tolist())
        proto.bucket.extend(counted["counts"])
        values.append(Summary.Value(tag=f"activations/{layer}", histo=proto))
    return Event(wall_time=time.time(), step=row["epoch"], summary=Summary(value=values))
