"""What a run leaves on disk: config, metrics, TensorBoard events, checkpoints and figures.

    config.json      the resolved config, package versions, device, git revision
    metrics.jsonl    one object an epoch; null for a number that is not finite
    events.out.*     TensorBoard scalars
    checkpoints/     Orbax checkpoints, one folder an epoch
    figures/         learning curves, sample digits, first-layer weights, confusion matrix

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
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
from flax import serialization

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "orbax-checkpoint", "ml_collections", "tensorflow-datasets")
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")
FIGURES = ("learning_curves.png", "sample_digits.png", "first_layer_weights.png", "confusion_matrix.png")


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
    return rows if complete and all((workdir / "figures" / name).exists() for name in FIGURES) else []


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
    path = Path(workdir) / "metrics.jsonl"
    rows: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or row.get("epoch") != len(rows) + 1 or not row.keys() >= {*METRICS, "seconds"}:
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
        self._lock = _lock(self.workdir)
        if (self.workdir / "config.json").exists():
            self._warn_of_other_versions()
        else:
            write_atomically(self.workdir / "config.json", json.dumps(provenance(config), indent=2) + "\n")
        self._events = EventFileWriter(str(self.workdir))
        self._metrics = None
        self._checkpoints = None
        self._checkpoints_kept = config.checkpoints_kept
        self.rows: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        for file in (self._metrics, self._checkpoints, self._events):
            if file:
                file.close()
        self._lock.close()

    def _warn_of_other_versions(self) -> None:
        """Says where the run was begun under other packages, since the bits may then differ."""
        begun = json.loads((self.workdir / "config.json").read_bytes()).get("versions", {})
        differing = [
            f"{name} {begun[name]}, now {now}" for name, now in versions().items() if begun.get(name, now) != now
        ]
        if differing:
            print(f"warning: {self.workdir} was begun with {'; '.join(differing)}", file=sys.stderr)

    def restore(self, state: Any) -> tuple[Any, int]:
        """The state to go on from and its epoch. Later rows of metrics.jsonl are dropped; later checkpoints, which are
        damaged or ahead of the metrics, are set aside as `unused-EPOCH`, since they will be written again."""
        rows = read_rows(self.workdir)
        state, epoch = restore(self.workdir, state, newest=len(rows))
        folder = self.workdir / "checkpoints"
        folder.mkdir(exist_ok=True)
        for later in (number for number in checkpoint_epochs(self.workdir) if number > epoch):
            aside = folder / f"unused-{later}"
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(folder / str(later), aside)
        self.rows = rows[:epoch]
        write_atomically(self.workdir / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in self.rows))
        # Unbuffered, so that a line is in the file when write() returns, and nothing is left to be written on closing.
        self._metrics = (self.workdir / "metrics.jsonl").open("ab", buffering=0)
        self._begin_events(epoch)
        return state, epoch

    def record(self, row: dict[str, Any]) -> None:
        """Appends an epoch to metrics.jsonl and to the TensorBoard events."""
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore

        row = {name: value if math.isfinite(value) else None for name, value in row.items()}
        self.rows.append(row)
        assert self._metrics, "restore() comes first"
        line = (json.dumps(row) + "\n").encode()
        try:
            if self._metrics.write(line) < len(line):
                raise OSError("no space left on the device")
        except OSError as error:
            raise RunError(f"{self._metrics.name} cannot be written: {error}") from error
        scalars = [
            Summary.Value(tag=name, simple_value=math.nan if value is None else value)
            for name, value in row.items()
            if name != "epoch"
        ]
        self._events.add_event(Event(wall_time=time.time(), step=row["epoch"], summary=Summary(value=scalars)))

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
        """Draws FIGURES of the finished run; `baseline` is the cost of a uniform guess."""
        learning_curves, sample_digits, first_layer_weights, confusion_matrix = FIGURES
        folder = self.workdir / "figures"
        folder.mkdir(exist_ok=True)
        save_figure(draw_learning_curves(self.rows, baseline), folder / learning_curves)
        save_figure(draw_digits(dataset.images, dataset.labels), folder / sample_digits)
        save_figure(draw_first_layer(params["hidden_0"]["kernel"]), folder / first_layer_weights)
        save_figure(draw_confusion(confusion_CxC), folder / confusion_matrix)


def _lock(workdir: Path):
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


def git_revision() -> str | None:
    """The commit that is checked out, with '-dirty' where files differ from it; None outside a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


# ---------------------------------------------------------------------------------------------------------------------
# Figures. The object interface of matplotlib is used throughout, so that no display and no global state is involved.


def new_figure(width: float, height: float, columns: int = 1):
    """A figure of that many inches and its row of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def save_figure(figure, path: Path) -> None:
    """Writes a PNG, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())


def draw_learning_curves(rows: list[dict[str, Any]], baseline: float):
    """Cost and accuracy over the epochs, the cost of a uniform guess marked as the plateau that it is."""
    figure, axes = new_figure(10, 4, 2)
    epochs = [row["epoch"] for row in rows]
    style = {"marker": "o", "markersize": 3} if len(rows) <= 30 else {}
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        axis.plot(epochs, [row[name] for row in rows], label="training (running mean)", **style)
        axis.plot(epochs, [row[f"val_{name}"] for row in rows], label="validation", **style)
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
    axes[0].axhline(baseline, color="gray", linestyle="--", label=f"uniform guess, {baseline:.4g}")
    best = max(rows, key=lambda row: row["val_accuracy"])
    axes[0].set(ylabel="cost", title=f"Cost: validation ends at {rows[-1]['val_loss']:.4f}")
    title = f"Accuracy: validation ends at {rows[-1]['val_accuracy']:.4f}, best {best['val_accuracy']:.4f}"
    axes[1].set(ylabel="accuracy (fraction correct)", title=title)
    axes[0].legend()
    axes[1].legend()
    return figure


def draw_digits(images_NxD: np.ndarray, labels_N: np.ndarray, rows: int = 4, columns: int = 10):
    """The first training images with their labels."""
    figure, (axis,) = new_figure(columns * 0.8, rows * 0.8 + 0.4)
    pictures = as_pictures(images_NxD[: rows * columns])
    axis.imshow(montage(pictures, columns), cmap="gray_r", vmin=0, vmax=255)
    height, width = pictures.shape[1] + 1, pictures.shape[2] + 1
    for i, label in enumerate(labels_N[: rows * columns]):
        corner = (i % columns * width, i // columns * height)
        axis.text(*corner, str(label), color="tab:blue", fontsize=9, ha="left", va="top")
    axis.set_title("First training images, each with its label")
    axis.set_axis_off()
    return figure


def draw_first_layer(kernel_DxH: np.ndarray, most: int = 64):
    """The weights into each unit of the first hidden layer as a picture, one scale for all."""
    units = kernel_DxH.shape[1]
    shown = min(most, units)
    columns = min(shown, 16)
    figure, (axis,) = new_figure(columns * 0.6 + 2.0, -(-shown // columns) * 0.6 + 0.6)
    limit = float(np.abs(kernel_DxH).max()) or 1.0
    pictures = montage(as_pictures(kernel_DxH.T[:shown]), columns)
    picture = axis.imshow(pictures, cmap="RdBu_r", vmin=-limit, vmax=limit)
    which = f"all {units}" if shown == units else f"the first {shown} of {units}"
    axis.set_title(f"Weights into {which} units of the first hidden layer")
    axis.set_axis_off()
    figure.colorbar(picture, ax=axis, label="weight", shrink=0.8)
    return figure


def as_pictures(pixels_NxD: np.ndarray) -> np.ndarray:
    """Rows of pixels as square pictures, or as one line each where they are no square number."""
    side = math.isqrt(pixels_NxD.shape[1])
    height = side if side * side == pixels_NxD.shape[1] else 1
    return pixels_NxD.reshape(len(pixels_NxD), height, -1)


def montage(pictures_NxHxW: np.ndarray, columns: int) -> np.ndarray:
    """Pictures side by side in rows of that many, NaN between them: drawing one image is far faster than many."""
    count, height, width = pictures_NxHxW.shape
    rows = -(-count // columns)
    tiles = np.full((rows * columns, height + 1, width + 1), np.nan)
    tiles[:count, :height, :width] = pictures_NxHxW
    tiles = tiles.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2)
    return tiles.reshape(rows * (height + 1), columns * (width + 1))


def draw_confusion(confusion_CxC: np.ndarray):
    """Validation examples by true and predicted label; the colours show each true label's mistakes."""
    classes = len(confusion_CxC)
    figure, (axis,) = new_figure(max(6.0, 0.45 * classes + 1.5), max(5.0, 0.42 * classes + 1.0))
    shares_CxC = confusion_CxC / np.maximum(confusion_CxC.sum(axis=1, keepdims=True), 1)
    picture = axis.imshow(shares_CxC, cmap="Blues", vmin=0, vmax=1)
    for true, row in enumerate(confusion_CxC):
        for predicted, count in enumerate(row):
            colour = "white" if shares_CxC[true, predicted] > 0.5 else "black"
            axis.text(predicted, true, str(count) if count else "", ha="center", va="center", color=colour, fontsize=8)
    wrong = int(confusion_CxC.sum() - np.trace(confusion_CxC))
    axis.set(
        xlabel="predicted label",
        ylabel="true label",
        title=f"{wrong:,} of {confusion_CxC.sum():,} validation examples are wrong",
    )
    axis.set_xticks(range(classes))
    axis.set_yticks(range(classes))
    figure.colorbar(picture, ax=axis, label="share of the true label's examples")
    return figure
