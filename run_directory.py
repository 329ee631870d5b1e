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
import hashlib
import importlib.metadata
import io
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
from flax import serialization

import figures
import probes

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "orbax-checkpoint", "ml_collections", "tensorflow-datasets")
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")
FIGURES = ("learning_curves.png", "sample_digits.png", "first_layer_weights.png", "confusion_matrix.png")
PROBE_FIGURES = {
    "saturation": ("activations.png", "saturation.png"),
    "speed": ("learning_speed.png", "update_ratios.png"),
}
HISTOGRAM_BINS = 50


class RunError(Exception):
    """A run directory that cannot be used as asked, in one line."""


# ---------------------------------------------------------------------------------------------------------------------
# Looking at a run directory without changing it.


def check_exists(workdir: str | Path) -> None:
    """RunError where the directory holds no run."""
    if not (Path(workdir) / "config.json").exists():
        raise RunError(f"{workdir} holds no run (no config.json); accepted: the folder of a run")


def check(workdir: str | Path, config: Any) -> None:
    """RunError where the directory holds a run of another config, or something that is no run."""
    workdir = Path(workdir)
    if not (workdir / "config.json").exists():
        if workdir.exists() and not workdir.is_dir():
            raise RunError(f"{workdir} is a file; accepted: a new folder, an empty one, or the folder of a run")
        if workdir.is_dir() and any(not entry.name.startswith(".") for entry in workdir.iterdir()):
            raise RunError(f"{workdir} is neither empty nor a run (no config.json); accepted: a new or empty folder")
        return
    recorded, wanted = read_config(workdir), config.to_dict()
    differing = [name for name in sorted(recorded | wanted) if recorded.get(name) != wanted.get(name)]
    if differing:
        fields = ", ".join(f"{name} {recorded.get(name)!r} there, {wanted.get(name)!r} here" for name in differing)
        raise RunError(f"{workdir} was made with another config ({fields}); accepted: the same config or a new folder")


def finished(workdir: str | Path, config: Any) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl of a run that has nothing left to do, else an empty list."""
    workdir = Path(workdir)
    rows = read_rows(workdir)
    complete = len(rows) == config.epochs and (workdir / "checkpoints" / str(config.epochs)).is_dir()
    return rows if complete and all((workdir / "figures" / name).exists() for name in figure_names(config)) else []


def figure_names(config: Any) -> list[str]:
    """The figures of a run with that config."""
    return [*FIGURES, *(name for group in probes.groups(config) for name in PROBE_FIGURES.get(group, ()))]


def read_config(workdir: str | Path) -> dict[str, Any]:
    """The config fields in config.json, lists as the tuples that they were; RunError where the file is damaged."""
    path = Path(workdir) / "config.json"
    try:
        config = json.loads(path.read_bytes())["config"].items()
        return {name: tuple(value) if isinstance(value, list) else value for name, value in config}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error!r}); accepted: a config.json written by train.py") from error


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


def checkpoint_epochs(workdir: str | Path) -> list[int]:
    """The epochs that have a checkpoint, sound or not, the last one first."""
    folder = Path(workdir) / "checkpoints"
    numbers = [int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()] if folder.is_dir() else []
    return sorted(numbers, reverse=True)


def restore(workdir: str | Path, state: Any, newest: int | None = None) -> tuple[Any, int]:
    """The last sound checkpoint up to epoch `newest`, as a state like the given one, and its epoch; (state, 0) where
    there is none. A damaged checkpoint is passed over, and said."""
    epochs = [epoch for epoch in checkpoint_epochs(workdir) if newest is None or epoch <= newest]
    for i, epoch in enumerate(epochs):
        try:
            return _read_checkpoint(Path(workdir) / "checkpoints" / str(epoch), state), epoch
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # Orbax and tensorstore raise many kinds for a damaged file.
            before = (
                f"the one before it, of epoch {epochs[i + 1]}, is used"
                if epochs[i + 1 :]
                else "there is none before it"
            )
            reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
            print(f"warning: the checkpoint of epoch {epoch} is damaged ({reason}); {before}", file=sys.stderr)
    return state, 0


def _read_checkpoint(folder: Path, state: Any) -> Any:
    """The state in one checkpoint; ValueError where its digest does not match."""
    import orbax.checkpoint as ocp

    like = serialization.to_state_dict(state)
    arguments = ocp.args.Composite(state=ocp.args.StandardRestore(like), digest=ocp.args.JsonRestore())
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler("state", "digest")) as checkpointer:
        found = checkpointer.restore(folder.absolute(), args=arguments)
    if found["digest"]["sha256"] != digest(found["state"]):
        raise ValueError("its contents do not match their digest")
    return serialization.from_state_dict(state, found["state"])


def digest(tree: Any) -> str:
    """SHA-256 of the names, types, shapes and bytes of a tree's arrays."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(tree):
        array = np.asarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


# ---------------------------------------------------------------------------------------------------------------------
# Writing a run.


class RunDirectory:
    """The folder of a run that is going on; a context manager that closes its files."""

    def __init__(self, workdir: str | Path, config: Any):
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
        self._is_probed = partial(probes.is_probed, config)
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
        self._metrics = _begin_lines(self.workdir / "metrics.jsonl", self.rows)
        self._histograms = _begin_lines(self.workdir / "histograms.jsonl", self.histograms)
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
            _append_line(self._histograms, self.histograms[-1])
        self.rows.append(row)
        _append_line(self._metrics, row)
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


def _begin_lines(path: Path, rows: list[dict[str, Any]]) -> io.FileIO:
    """The file with a line for each row, open for more. Unbuffered: a line is in the file when write() returns, and
    nothing is left to be written on closing."""
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows))
    return path.open("ab", buffering=0)


def _append_line(file: io.FileIO | None, row: dict[str, Any]) -> None:
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


def lock(workdir: Path):
    """An open file that keeps a second process out of the run; RunError where there is one. The lock ends with the
    process, however it ends."""
    import fcntl

    file = (workdir / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise RunError(f"{workdir} is in use by another process; accepted: another folder, or wait for it") from error
    return file


def need_room(workdir: Path, size: int) -> None:
    """RunError where less than that many bytes and a reserve of one MB are free."""
    needed, free = size + 2**20, shutil.disk_usage(workdir).free
    if free < needed:
        raise RunError(f"no room in {workdir}: {free:,} bytes are free; accepted: at least {needed:,}")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes the whole file or nothing: beside its place first, then renamed into it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def provenance(config: Any) -> dict[str, Any]:
    """The resolved config with what it was run by and on."""
    device = jax.devices()[0]
    return {
        "config": config.to_dict(),
        "versions": versions(),
        "device": f"{len(jax.devices())} x {device.platform} ({device.device_kind})",
        "git_revision": git_revision(),
    }


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that a run's numbers depend on."""
    return {"python": sys.version.split()[0]} | {name: importlib.metadata.version(name) for name in PACKAGES}


def warn_of_other_versions(begun: Mapping[str, str], workdir: Path) -> None:
    """Says where the folder was begun under other packages, since the bits may then differ."""
    differing = [f"{name} {begun[name]}, now {now}" for name, now in versions().items() if begun.get(name, now) != now]
    if differing:
        print(f"warning: {workdir} was begun with {'; '.join(differing)}", file=sys.stderr)


def git_revision() -> str | None:
    """The commit that is checked out, with '-dirty' where files differ from it; None outside a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def save_figure(figure, path: Path) -> None:
    """Writes a PNG, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())
