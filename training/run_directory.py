"""What a run leaves on disk: config, metrics, TensorBoard events, checkpoints and figures.

    config.json      the resolved config, package versions, device, what else the bits depend on, git revision, digest;
                     with --init_from the file and a digest of its arrays, as `initial`
    metrics.jsonl    one object an epoch, `seconds` including validation and probes; null for what is not finite, and
                     for the accuracies of a regression; `test_loss` and `test_accuracy` where examples to validate on
                     are held out and there is a test set besides
    histograms.jsonl one object a probed epoch: {"low", "high", "counts"} of the outputs of each layer
    *.jsonl.sha256   a digest a line of those two, of the line and of all before it
    events.out.*     TensorBoard scalars and histograms
    checkpoints/     Orbax checkpoints, one folder an epoch
    best.npz         plain arrays of the weights at the best epoch so far, as of the last checkpoint
    final.npz        those of the weights after the last epoch
    figures/         learning curves, sample digits, first-layer weights, confusion matrix or, of a regression,
                     predictions; with the probes
                     activations, saturation, learning speed, update-to-weight ratio

A run killed at any instant and started again goes on from its last sound checkpoint: the metrics of later epochs are
dropped and computed again, to the same bits. Every file is written beside its place and renamed into it, or appended
to by whole lines of which a torn last one is dropped. What has been changed since it was written is reported, and is
computed again or refused.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from input_pipeline import Dataset
from training import console, figures, models, stopping
from training.checkpoints import Checkpoints, restore, set_aside_later
from training.config import Config, as_config
from training.figures import save_figure
from training.files import LineFile, RunError, lock, need_room, place, write_atomically
from training.metrics import confusion_matrix
from training.probes import PROBES
from training.provenance import provenance, warn_of_other_conditions
from training.records import event_of, histogram, is_probed, lacks, read_records
from training.untrained import Untrained
from training.weights import HasWeights, Initial, Weights, is_complete

State = TypeVar("State", bound=HasWeights)
FIRST_LAYER = "first_layer_weights.png"  # Of a model of one's own, where it begins with a dense layer or a convolution.
FIGURES = ("learning_curves.png", "sample_digits.png", FIRST_LAYER, "confusion_matrix.png")
# What config.json held before it had a digest.
FIRST_KEYS = {"config", "versions", "device", "git_revision"}


def check_exists(workdir: str | Path) -> None:
    """RunError where the directory holds no run."""
    if not (place(workdir) / "config.json").exists():
        raise RunError(f"{workdir} holds no run (no config.json); accepted: the folder of a run")


def check(workdir: str | Path, config: Config, goes_on: bool = False) -> None:
    """RunError where the directory holds a run of another config, or something that is no run; where a run goes on,
    those fields may differ that say when it ends."""
    workdir = place(workdir)
    if not (workdir / "config.json").exists():
        if workdir.exists() and not workdir.is_dir():
            raise RunError(f"{workdir} is a file; accepted: a new folder, an empty one, or the folder of a run")
        if workdir.is_dir() and any(not entry.name.startswith(".") for entry in workdir.iterdir()):
            raise RunError(f"{workdir} is neither empty nor a run (no config.json); accepted: a new or empty folder")
        try:
            str(workdir.absolute()).encode()
        except UnicodeEncodeError as error:
            raise RunError(f"{workdir} is no UTF-8; accepted: a folder whose path is") from error
        return
    there = read_config(workdir)
    recorded, wanted = there.identity(), config.identity()
    free = stopping.FIELDS if goes_on else ()
    differing = [name for name in sorted(recorded | wanted) if recorded.get(name) != wanted.get(name)]
    if goes_on and config.epochs != there.epochs and there.is_stretched:
        stretched = f"{workdir} has {there.epochs} epochs, over which its schedule={there.schedule} is stretched"
        raise RunError(f"{stretched}, {config.epochs} here; accepted with --continue: as many, or a new folder")
    if goes_on and config.epochs < there.epochs:
        raise RunError(f"{workdir} has {there.epochs} epochs, {config.epochs} here; accepted with --continue: more")
    if differing := [name for name in differing if name not in free]:
        fields = ", ".join(f"{name} {recorded.get(name)!r} there, {wanted.get(name)!r} here" for name in differing)
        instead = "--continue, " if set(differing) <= set(stopping.FIELDS) else ""
        raise RunError(
            f"{workdir} was made with another config ({fields}); accepted: {instead}the same config or a new folder"
        )


def check_initial(workdir: str | Path, initial: Initial | None) -> None:
    """RunError where the directory holds a run that began from other weights than those given, if any are."""
    path = place(workdir) / "config.json"
    if initial is None or not path.exists():
        return
    there = recorded_initial(path)
    if there is None:
        raise RunError(
            f"{workdir} holds a run that began from its own draw, not from {initial.file}; accepted: no --init_from, "
            f"or a new folder"
        )
    if there.get("sha256") != initial.digest:
        raise RunError(
            f"{workdir} holds a run that began from other weights ({there.get('file')} then) than {initial.file} has; "
            f"accepted: those, no --init_from where there is a checkpoint, or a new folder"
        )


def recorded_initial(path: Path) -> dict[str, Any] | None:
    """What config.json says of the weights that the run began from; None where it drew its own."""
    return read_recorded(path).get("initial")


def finished(workdir: str | Path, config: Config) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl of a run that has nothing left to do, else an empty list."""
    workdir = place(workdir)
    found = read_records(workdir)
    rows = found.rows
    complete = bool(stopping.reason(config, rows)) and (workdir / "checkpoints" / str(len(rows))).is_dir()
    complete = complete and not found.damages and not _without_histograms(rows, found.histograms)
    if not complete or not all((workdir / "figures" / name).exists() for name in figure_names(config, rows)):
        return []
    if not is_complete(workdir, rows):
        return []
    _warn_of_no_digests(workdir, found.digested)
    return rows


def figure_names(config: Config, rows: list[dict[str, Any]]) -> list[str]:
    """The figures of a run with that config and those rows: probes that were asked for too late have none."""
    measures = {name.partition("/")[0] for row in rows for name in row}
    groups = [PROBES[group] for group in config.probes]
    # A regression has no classes to be confused.
    outcome = "predictions.png" if rows and lacks(rows[-1], "val_accuracy") else FIGURES[-1]
    drawn = [name for group in groups if measures & set(group.measures) for name in group.figures]
    # What is drawn of hidden layers alone is empty without them.
    has_hidden = measures & {"saturation", "slope_mass"} if config.has_own_model else config.hidden
    always = [name for name in FIGURES[:-1] if not config.has_own_model or name != FIRST_LAYER]
    return [*always, outcome, *(name for name in drawn if has_hidden or name != "saturation.png")]


def _without_histograms(rows: list[dict[str, Any]], histograms: list[dict[str, Any]]) -> list[int]:
    """The epochs in which the network was measured and whose histograms are lost."""
    counted = {row["epoch"] for row in histograms}
    return [row["epoch"] for row in rows if is_probed(row) and row["epoch"] not in counted]


def _warn_of_no_digests(workdir: Path, digested: bool) -> None:
    if not digested:
        console.warn(f"the rows of {workdir} have no digests, so that a changed number would not be noticed")


def read_config(workdir: str | Path) -> Config:
    """The config in config.json; RunError where the file is damaged."""
    path = place(workdir) / "config.json"
    recorded = read_recorded(path)
    try:
        return as_config(recorded["config"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error


def read_recorded(path: Path) -> dict[str, Any]:
    """What config.json holds but for its digest; RunError where that does not match, or where there is none though
    files of before there were digests held less."""
    try:
        recorded = json.loads(path.read_bytes())
        if not isinstance(recorded, dict):
            raise ValueError(f"it holds {recorded!r}")
        if "digest" in recorded:
            if recorded.pop("digest") != _digest(recorded):
                raise ValueError("its contents do not match their digest")
        elif not recorded.keys() <= FIRST_KEYS:
            raise ValueError("it has no digest")
        return recorded
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from error


def write_recorded(path: Path, recorded: Mapping[str, Any]) -> None:
    """Writes config.json with its digest."""
    write_atomically(path, json.dumps({**recorded, "digest": _digest(recorded)}, indent=2) + "\n")


def _digest(recorded: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(recorded, sort_keys=True).encode()).hexdigest()


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"{path} is damaged ({console.one_line(repr(error), 120)}); accepted: one written by train.py")


class RunDirectory:
    """The folder of a run that is going on; a context manager that closes its files."""

    def __init__(self, workdir: str | Path, config: Config, initial: Initial | None = None, goes_on: bool = False):
        check(workdir, config, goes_on)
        self.workdir = place(workdir)
        self.workdir.mkdir(parents=True, exist_ok=True)
        need_room(self.workdir, 0)
        self._lock = lock(self.workdir)
        try:
            check(workdir, config, goes_on)  # Another process may have been here until now.
            check_initial(workdir, initial)
        except BaseException:
            self._lock.close()
            raise
        self.config, self._initial = config, initial
        self._weights = Weights(self.workdir)
        self._checkpoints = Checkpoints(self.workdir, config.checkpoints_kept, config.is_saved)
        self._metrics: LineFile | None = None
        self._histograms: LineFile | None = None
        self._events: Any = None
        self.rows: list[dict[str, Any]] = []
        self.histograms: list[dict[str, Any]] = []
        self.course = stopping.Course(config)
        self.untrained: Untrained | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._metrics, self._histograms, self._checkpoints, self._events):
            if file:
                file.close()
        self._lock.close()

    def restore(self, state: State) -> tuple[State, int]:
        """The state to go on from and its epoch. Later rows of metrics.jsonl are dropped, later checkpoints set aside;
        RunError, before anything is touched, where the checkpoint is of other arrays than the state, or where there is
        none and the run began from weights that are not given."""
        found = read_records(self.workdir)
        # An epoch whose histograms are lost is computed again like one whose row is.
        lost = _without_histograms(found.rows, found.histograms)
        state, epoch = restore(self.workdir, state, newest=min([len(found.rows), *(number - 1 for number in lost)]))
        if not epoch:
            self._check_start()
        for damage in found.damages:
            console.warn(f"{damage}; epochs from {epoch + 1} on are computed again")
        _warn_of_no_digests(self.workdir, found.digested)
        self._begin_config()
        set_aside_later(self.workdir, epoch)
        self.rows = found.rows[:epoch]
        self.course = stopping.Course(self.config, self.rows)
        kept = {row["epoch"] for row in self.rows}
        self.histograms = [row for row in found.histograms if row["epoch"] in kept]
        self._metrics = LineFile(self.workdir / "metrics.jsonl", self.rows)
        self._histograms = LineFile(self.workdir / "histograms.jsonl", self.histograms)
        self._begin_events(epoch)
        self._weights.begin(self.rows, state)
        return state, epoch

    @property
    def began_with_it(self) -> bool:
        """Whether the run began with the state that `restore` was given: not where it began from weights that are no
        longer said."""
        return self._initial is not None or recorded_initial(self.workdir / "config.json") is None

    def _check_start(self) -> None:
        """RunError where the run has to begin anew, and from weights that are not given."""
        path = self.workdir / "config.json"
        there = recorded_initial(path) if path.exists() and self._initial is None else None
        if there is not None:
            raise RunError(
                f"{self.workdir} holds a run that began from {there.get('file')}, without a checkpoint to go on from; "
                f"accepted: --init_from={there.get('file')}, or a new folder"
            )

    def _begin_config(self) -> None:
        """Writes config.json, or what is recorded from now on into the one that is there."""
        path = self.workdir / "config.json"
        if not path.exists():
            initial = {"initial": self._initial.recorded()} if self._initial else {}
            write_recorded(path, provenance(self.config) | initial)
            return
        begun = read_recorded(path)
        warn_of_other_conditions(begun, self.workdir)
        if begun.keys() <= FIRST_KEYS and self.config.optimizer == "adam":
            console.warn(
                f"{self.workdir} was begun with Adam's epsilon after the bias correction; it goes on as Keras's"
            )
        if as_config(begun["config"]) != self.config or begun.keys() <= FIRST_KEYS:
            write_recorded(path, {**begun, "config": self.config.to_dict()})

    def record(self, row: dict[str, Any], activations: Mapping[str, np.ndarray] | None, state: HasWeights) -> None:
        """Appends an epoch to metrics.jsonl and to the TensorBoard events, and the histograms of the layers' outputs on
        the probe examples where there are any; keeps the weights of the state if it is the best one so far."""
        assert self._metrics and self._histograms, "restore() comes first"
        row = {name: value if math.isfinite(value) else None for name, value in row.items()}
        histograms = {layer: histogram(a_PxH) for layer, a_PxH in (activations or {}).items()}
        # First the histograms, so that no epoch in metrics.jsonl lacks its own.
        if histograms:
            self.histograms.append({"epoch": row["epoch"], **histograms})
            self._histograms.append(self.histograms[-1])
        self.rows.append(row)
        self._metrics.append(row)
        self.course.add(row)
        self._events.add_event(event_of(row, activations or {}, histograms))
        self._weights.record(row, state)

    def missing_epochs(self) -> Iterator[int]:
        """The epochs that are still to come, until the run is over."""
        while not self.course.reason:
            yield len(self.rows) + 1

    def _begin_events(self, epoch: int) -> None:
        """Tells TensorBoard to forget what an interrupted run logged after this epoch."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # pyright: ignore
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._events = EventFileWriter(str(self.workdir))
        start = SessionLog(status=SessionLog.START)
        self._events.add_event(Event(wall_time=time.time(), step=epoch + 1, session_log=start))

    def save(self, epoch: int, state: Any) -> None:
        """Writes the checkpoint of an epoch, before it the best weights so far, and drops the oldest ones."""
        self._weights.flush()
        self._checkpoints.save(epoch, state)
        self._events.flush()

    def write_weights(self, state: HasWeights) -> None:
        """Writes the weights of the finished run, the last and the best ones."""
        self._weights.finish(len(self.rows), state)

    def contents(self) -> list[str]:
        """The names of what the directory holds, TensorBoard's event files as one."""
        names = {f"{entry.name}/" if entry.is_dir() else entry.name for entry in self.workdir.iterdir()}
        names = {"events.out.tfevents.*" if name.startswith("events.") else name for name in names}
        return sorted(name for name in names if not name.startswith("."))

    def draw_figures(self, dataset: Dataset, params: dict[str, Any], outputs_VxC: np.ndarray, baseline: float) -> None:
        """Draws the figures of the finished run from its outputs for the validation examples; `baseline` is the cost of
        a uniform guess, or of the mean target. Curves begin with the untrained net, as epoch 0."""
        start = self.untrained
        rows = [start.row, *self.rows] if start else self.rows
        histograms = [start.histograms, *self.histograms] if start and start.histograms else self.histograms
        shape, labels_V = dataset.shape, dataset.validation_labels
        first = models.first_kernel(self.config, params, shape)
        draw: dict[str, Callable[[], Any]] = {
            "learning_curves.png": lambda: figures.draw_learning_curves(rows, baseline),
            "sample_digits.png": lambda: figures.draw_digits(
                dataset.images, dataset.labels, shape=shape, names=dataset.class_names
            ),
            "confusion_matrix.png": lambda: figures.draw_confusion(confusion_matrix(labels_V, outputs_VxC)),
            "predictions.png": lambda: figures.draw_predictions(labels_V, outputs_VxC),
            "activations.png": lambda: figures.draw_activations(histograms),
            "saturation.png": lambda: figures.draw_saturation(rows),
            "learning_speed.png": lambda: figures.draw_learning_speed(rows),
            "update_ratios.png": lambda: figures.draw_update_ratios(self.rows),
        }
        names = set(figure_names(self.config, self.rows))
        if first:
            names.add(FIRST_LAYER)
            draw[FIRST_LAYER] = lambda: figures.draw_first_layer(
                first.kernel_DxH, shape=first.shape, layer=first.called
            )
        folder = self.workdir / "figures"
        folder.mkdir(exist_ok=True)
        for name in sorted(names):
            save_figure(draw[name](), folder / name)
