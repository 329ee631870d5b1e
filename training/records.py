"""What a run records of its epochs: lines of JSON, TensorBoard events, histograms of the layers' outputs."""

import itertools
import json
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from training.files import read_lines

METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")
# Where examples to validate on are held out, and the data set has a test set to be measured beside them.
TEST_METRICS = ("test_loss", "test_accuracy")
OUTCOMES = (*METRICS, *TEST_METRICS)
# The rate of an epoch's last step, where it is not the same at all of them.
RATE = "learning_rate"
# What it is called in the tables of sweeps, where `learning_rate` is the config's, the peak.
RATE_COLUMN = "rate"
LOWEST_IS_BEST = ("loss", "val_loss", "test_loss")
HISTOGRAM_BINS = 50


class Records(NamedTuple):
    """The sound rows of metrics.jsonl, of the epochs 1, 2, ..., and those of histograms.jsonl; what is damaged in
    either, a line each; and whether there were digests to tell by."""

    rows: list[dict[str, Any]]
    histograms: list[dict[str, Any]]
    damages: list[str]
    digested: bool


def read_records(workdir: str | Path) -> Records:
    """What a run has recorded, up to the first line that is torn, damaged or out of order."""
    path = Path(workdir) / "metrics.jsonl"
    metrics, histograms = read_lines(path), read_lines(Path(workdir) / "histograms.jsonl")
    damages = [lines.damage for lines in (metrics, histograms) if lines.damage]
    if metrics.rows and not metrics.digested and _begun_with_digests(Path(workdir)):
        return Records([], [], [f"{path} has lost its digests"], True)
    rows = list(itertools.takewhile(_is_row, metrics.rows))
    in_order = next((i for i, row in enumerate(rows) if row["epoch"] != i + 1), len(rows))
    if in_order < len(metrics.rows):
        damages.insert(0, f"line {in_order + 1} of {path} is not the row of epoch {in_order + 1}")
    counted = list(itertools.takewhile(_is_histograms, histograms.rows))
    if len(counted) < len(histograms.rows):
        damages.append(f"line {len(counted) + 1} of {Path(workdir) / 'histograms.jsonl'} holds no histograms")
    return Records(rows[:in_order], counted, damages, not rows or (metrics.digested and histograms.digested))


def _begun_with_digests(workdir: Path) -> bool:
    """Whether the run in the folder was begun by a version that gives every line a digest."""
    try:
        return "environment" in json.loads((workdir / "config.json").read_bytes())
    except (OSError, ValueError, TypeError, RecursionError):
        return False  # Whoever needs config.json says what is wrong with it.


def is_probed(row: Mapping[str, Any]) -> bool:
    """Whether the network was measured in the epoch of that row."""
    return not row.keys() <= {"epoch", *OUTCOMES, "seconds", RATE}


def lacks(row: Mapping[str, Any], name: str) -> bool:
    """Whether the metric is an accuracy that there is not, as of a regression, in a row measured or recorded."""
    value = row.get(name, 0.0)
    return name in ("accuracy", "val_accuracy", "test_accuracy") and (value is None or math.isnan(value))


def is_lost(row: Mapping[str, Any]) -> bool:
    """Whether the cost of an epoch, measured or recorded, was not finite, at which a run ends."""
    return any(row[name] is None or not math.isfinite(row[name]) for name in ("loss", "val_loss"))


def is_better(row: Mapping[str, Any], best: Mapping[str, Any] | None) -> bool:
    """Whether a recorded epoch has a higher val_accuracy than the best one before it, of a regression a lower val_loss;
    one that has lost its cost never has."""
    if best is None or is_lost(row):
        return not is_lost(row)
    if lacks(row, "val_accuracy"):
        return row["val_loss"] < best["val_loss"]
    return row["val_accuracy"] > best["val_accuracy"]


def best_of(rows: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The row of the best epoch, the first one of equals; None where there is none."""
    best = None
    for row in rows:
        best = row if is_better(row, best) else best
    return best


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_row(row: Mapping[str, Any]) -> bool:
    """Whether it is a row of metrics.jsonl: numbers, null for what was not finite."""
    measured = [value for name, value in row.items() if name not in ("epoch", "seconds")]
    return (
        type(row.get("epoch")) is int
        and row.keys() >= {*METRICS, "seconds"}
        and _is_number(row["seconds"])
        and all(value is None or _is_number(value) for value in measured)
    )


def _is_histograms(row: Mapping[str, Any]) -> bool:
    """Whether it is a row of histograms.jsonl."""

    def is_histogram(counted: Any) -> bool:
        if not isinstance(counted, dict) or not counted.keys() >= {"low", "high", "counts"}:
            return False
        counts = counted["counts"]
        whole = isinstance(counts, list) and len(counts) > 0 and all(type(count) is int for count in counts)
        return whole and _is_number(counted["low"]) and _is_number(counted["high"]) and counted["low"] < counted["high"]

    return type(row.get("epoch")) is int and all(is_histogram(row[layer]) for layer in row if layer != "epoch")


def histogram(a_PxH: np.ndarray) -> dict[str, Any]:
    """Counts of a layer's finite outputs in equal bins between the least and the largest."""
    finite = a_PxH[np.isfinite(a_PxH)].astype(np.float64)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    # A layer whose outputs are all the same still needs bins of some width.
    high = max(high, low + 1e-6 * max(1.0, abs(low)))
    counts, _ = np.histogram(finite, bins=HISTOGRAM_BINS, range=(low, high))
    return {"low": low, "high": high, "counts": counts.tolist()}


def event_of(row: dict[str, Any], activations: Mapping[str, np.ndarray], histograms: Mapping[str, dict[str, Any]]):
    """An epoch as a TensorBoard event: scalars, and the histogram of each layer's outputs."""
    from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore
    from tensorboard.compat.proto.histogram_pb2 import HistogramProto  # pyright: ignore
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore

    values = [
        Summary.Value(tag=name, simple_value=math.nan if value is None else value)
        for name, value in row.items()
        if name != "epoch" and not lacks(row, name)
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
