"""What a run leaves on disk: config, metrics, TensorBoard events, checkpoints and figures.

    config.json      the resolved config, package versions, device, git revision
    metrics.jsonl    one object an epoch, `seconds` including validation and probes; null for what is not finite
    histograms.jsonl one object a probed epoch: {"low", "high", "counts"} of the outputs of each layer
    events.out.*     TensorBoard scalars and histograms
    checkpoints/     Orbax checkpoints, one folder an epoch
    figures/         learning curves, sample digits, first-layer weights, confusion matrix; with the probes
                     activations, saturation, learning speed, update-to-weight ratio

A run killed at any instant and started again goes on from its last sound checkpoint: the metrics of later epochs are
dropped and computed again, to the same bits. Every file is written beside its place and renamed into it, or appended
to by whole lines of which a torn last one is dropped.
"""

import contextlib
import io
import json
import math
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
from flax import serialization

from training import figures
from training.checkpoints import checkpoint_epochs, digest, restore
from training.config import Config, as_config
from training.figures import save_figure
from training.files import RunError, lock, need_room, write_atomically
from training.probes import PROBES
from training.provenance import provenance, warn_of_other_versions
from training.records import append_line, begin_lines, event_of, histogram, read_lines, read_rows

FIGURES = ("learning_curves.png", "sample_digits.png", "first_layer_weights.png", "confusion_matrix.png")


def check_exists(workdir: str | Path) -> None:
    """RunError where the directory holds no run."""
    if not (Path(workdir) / "config.json").exists():
        raise RunError(f"{workdir} holds no run (no config.json); accepted: the folder of a run")


def check(workdir: str | Path, config: Config) -> None:
    """RunError where the directory holds a run of another config, or something that is no run."""
    workdir = Path(workdir)
    if not (workdir / "config.json").exists():
        if workdir.exists() and not workdir.is_dir():
            raise RunError(f"{workdir} is a file; accepted: a new folder, an empty one, or the folder of a run")
        if workdir.is_dir() and any(not entry.name.startswith(".") for entry in workdir.iterdir()):
            raise RunError(f"{workdir} is neither empty nor a run (no config.json); accepted: a new or empty folder")
        return
    recorded, wanted = read_config(workdir).identity(), config.identity()
    differing = [name for name in sorted(recorded | wanted) if recorded.get(name) != wanted.get(name)]
    if differing:
        fields = ", ".join(f"{name} {recorded.get(name)!r} there, {wanted.get(name)!r} here" for name in differing)
        raise RunError(f"{workdir} was made with another config ({fields}); accepted: the same config or a new folder")


def finished(workdir: str | Path, config: Config) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl of a run that has nothing left to do, else an empty list."""
    workdir = Path(workdir)
    rows = read_rows(workdir)
    complete = len(rows) == config.epochs and (workdir / "checkpoints" / str(config.epochs)).is_dir()
    return rows if complete and all((workdir / "figures" / name).exists() for name in figure_names(config)) else []


def figure_names(config: Config) -> list[str]:
    """The figures of a run with that config."""
    return [*FIGURES, *(name for group in config.probes for name in PROBES[group].figures)]


def read_config(workdir: str | Path) -> Config:
    """The config in config.json; RunError where the file is damaged."""
    path = Path(workdir) / "config.json"
    try:
        return as_config(json.loads(path.read_bytes())["config"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error!r}); accepted: a config.json written by train.py") from error


class RunDirectory:
    """The folder of a run that is going on; a context manager that closes its files."""

    def __init__(self, workdir: str | Path, config: Config):
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        check(workdir, config)
        self.workdir = Path(workdir)
        self.workdir.mkdir(parents=True, exist_ok=True)
        need_room(self.workdir, 0)
        self._lock = lock(self.workdir)
        if (self.workdir / "config.json").exists():
            begun = json.loads((self.workdir / "config.json").read_bytes()).get("versions", {})
            warn_of_other_versions(begun, self.workdir)
        else:
            write_atomically(self.workdir / "config.json", json.dumps(provenance(config), indent=2) + "\n")
        self._events = EventFileWriter(str(self.workdir))
        self._metrics = None
        self._histograms = None
        self._checkpoints = None
        self._checkpoints_kept = config.checkpoints_kept
        self._figures = figure_names(config)
        self._is_probed = config.is_probed
        self.rows: list[dict[str, Any]] = []
        self.histograms: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        for file in (self._metrics, self._histograms, self._checkpoints, self._events):
            if file:
                file.close()
        self._lock.close()

    def restore(self, state: Any) -> tuple[Any, int]:
        """The state to go on from and its epoch. Later rows of metrics.jsonl are dropped; later checkpoints, which are
        damaged or ahead of the metrics, are set aside as `unused-EPOCH`, since they will be written again."""
        rows = read_rows(self.workdir)
        histograms = read_lines(self.workdir / "histograms.jsonl")
        found = {row.get("epoch") for row in histograms}
        # An epoch whose histograms are lost is computed again like one whose row is.
        lost = [row["epoch"] for row in rows if self._is_probed(row["epoch"]) and row["epoch"] not in found]
        state, epoch = restore(self.workdir, state, newest=min([len(rows), *(number - 1 for number in lost)]))
        folder = self.workdir / "checkpoints"
        folder.mkdir(exist_ok=True)
        for later in (number for number in checkpoint_epochs(self.workdir) if number > epoch):
            aside = folder / f"unused-{later}"
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(folder / str(later), aside)
        self.rows = rows[:epoch]
        kept = {row["epoch"] for row in self.rows}
        self.histograms = [row for row in histograms if row.get("epoch") in kept]
        self._metrics = begin_lines(self.workdir / "metrics.jsonl", self.rows)
        self._histograms = begin_lines(self.workdir / "histograms.jsonl", self.histograms)
        self._begin_events(epoch)
        return state, epoch

    def record(self, row: dict[str, Any], activations: Mapping[str, np.ndarray] | None = None) -> None:
        """Appends an epoch to metrics.jsonl and to the TensorBoard events, and the histograms of the layers' outputs on
        the probe examples where there are any."""
        row = {name: value if math.isfinite(value) else None for name, value in row.items()}
        histograms = {layer: histogram(a_PxH) for layer, a_PxH in (activations or {}).items()}
        # First the histograms, so that no epoch in metrics.jsonl lacks its own.
        if histograms:
            self.histograms.append({"epoch": row["epoch"], **histograms})
            append_line(self._histograms, self.histograms[-1])
        self.rows.append(row)
        append_line(self._metrics, row)
        self._events.add_event(event_of(row, activations or {}, histograms))

    def _begin_events(self, epoch: int) -> None:
        """Tells TensorBoard to forget what an interrupted run logged after this epoch."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # pyright: ignore

        start = SessionLog(status=SessionLog.START)
        self._events.add_event(Event(wall_time=time.time(), step=epoch + 1, session_log=start))

    def save(self, epoch: int, state: Any) -> None:
        """Writes the checkpoint of an epoch and drops the oldest ones."""
        import orbax.checkpoint as ocp

        # Made here, since importing Orbax would keep the first epoch waiting.
        if self._checkpoints is None:
            options = ocp.CheckpointManagerOptions(
                max_to_keep=self._checkpoints_kept, enable_async_checkpointing=False, cleanup_tmp_directories=True
            )
            self._checkpoints = ocp.CheckpointManager((self.workdir / "checkpoints").absolute(), options=options)
        tree = jax.device_get(serialization.to_state_dict(state))
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(tree), digest=ocp.args.JsonSave({"sha256": digest(tree)})
        )
        need_room(self.workdir, 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
        try:
            # Orbax's threads print what they raise, which is said below in one line.
            with contextlib.redirect_stderr(io.StringIO()):
                self._checkpoints.save(epoch, args=items)
        except Exception as error:  # Orbax and tensorstore raise many kinds for a full or read-only disk.
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise RunError(f"the checkpoint of epoch {epoch} cannot be written in {self.workdir}: {reason}") from error
        self._events.flush()

    def contents(self) -> list[str]:
        """The names of what the directory holds, TensorBoard's event files as one."""
        names = {f"{entry.name}/" if entry.is_dir() else entry.name for entry in self.workdir.iterdir()}
        names = {"events.out.tfevents.*" if name.startswith("events.") else name for name in names}
        return sorted(name for name in names if not name.startswith("."))

    def draw_figures(self, dataset, params: dict, confusion_CxC: np.ndarray, baseline: float) -> None:
        """Draws the figures of the finished run; `baseline` is the cost of a uniform guess."""
        kernel, shape = params["hidden_0"]["kernel"], dataset.shape
        draw = {
            "learning_curves.png": lambda: figures.draw_learning_curves(self.rows, baseline),
            "sample_digits.png": lambda: figures.draw_digits(dataset.images, dataset.labels, shape=shape),
            "first_layer_weights.png": lambda: figures.draw_first_layer(kernel, shape=shape),
            "confusion_matrix.png": lambda: figures.draw_confusion(confusion_CxC),
            "activations.png": lambda: figures.draw_activations(self.histograms),
            "saturation.png": lambda: figures.draw_saturation(self.rows),
            "learning_speed.png": lambda: figures.draw_learning_speed(self.rows),
            "update_ratios.png": lambda: figures.draw_update_ratios(self.rows),
        }
        folder = self.workdir / "figures"
        folder.mkdir(exist_ok=True)
        for name in self._figures:
            save_figure(draw[name](), folder / name)
