"""The weights of a run as plain arrays: out of it into `final.npz` and `best.npz`, and from such a file into another.

An array is called by its path, as `hidden_0/kernel`, a running statistic as `batch_stats/batch_norm_0/mean`; beside
them stands `epoch`, a whole number. `final.npz` is of the last epoch, `best.npz` of the one with the best val_accuracy,
of a regression the lowest val_loss, and of equals the first. No pickle is loaded.

What is best is kept in memory and written with the next checkpoint, before it: a run goes on from checkpoints, so that
`best.npz` is then that of the rows which are kept, or of a later epoch, which comes again.
"""

import io
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from nets.tables import near_match
from training import checkpoints, console
from training.files import RunError, place, write_atomically
from training.records import best_of, is_better, is_lost

FINAL, BEST = "final.npz", "best.npz"
STATISTICS, EPOCH = "batch_stats", "epoch"
ACCEPTED = f"accepted: an npz file of this network's weights, or the folder of a run that has a {FINAL}"
Arrays: TypeAlias = dict[str, np.ndarray]


class HasWeights(Protocol):
    """A state, or the shapes of one, as `train.TrainState` is."""

    @property
    def params(self) -> Any: ...

    @property
    def batch_stats(self) -> Any: ...


# ---------------------------------------------------------------------------------------------------------------------
# Arrays by path, and their files.


def _named(state: HasWeights) -> dict[str, Any]:
    """The leaves of the parameters and of the running statistics by their paths."""
    parts = (("", state.params), (f"{STATISTICS}/", state.batch_stats))
    return {prefix + _path(path): leaf for prefix, tree in parts for path, leaf in jax.tree.leaves_with_path(tree)}


def _path(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def arrays_of(state: HasWeights) -> Arrays:
    """Copies of a state's weights by path: the next epoch uses the state up."""
    return {name: np.array(leaf) for name, leaf in jax.device_get(_named(state)).items()}


def write(path: Path, arrays: Mapping[str, np.ndarray], epoch: int) -> None:
    """Writes an npz file, whole or not at all: the same bytes for the same arrays."""
    write_atomically(path, as_bytes({**arrays, EPOCH: np.array(epoch, np.int64)}))


def as_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The arrays as an npz file."""
    buffer = io.BytesIO()
    # Not np.savez, whose own arguments could not be the names of arrays.
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                # numpy has no bfloat16 of its own; in float32 it is the same number.
                array = array.astype(np.float32) if array.dtype.kind == "V" else array
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def read(path: Path) -> tuple[Arrays, int]:
    """The arrays of an npz file by name, and the epoch that it says it is of, 0 where it says none; RunError, in one
    line, where it cannot be read."""
    arrays = read_arrays(path)
    epoch = arrays.pop(EPOCH, np.array(0))
    return arrays, int(epoch) if epoch.shape == () and epoch.dtype.kind in "iu" else 0


def read_arrays(path: Path) -> Arrays:
    """The arrays of an npz file by name; RunError, in one line, where it cannot be read."""
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise RunError(f"{path} is a single array; {ACCEPTED}")
            with loaded, zipfile.ZipFile(file) as archive:
                # Of an array that is cut short by its own header the checksum would not be looked at.
                if damaged := archive.testzip():
                    raise ValueError(f"{damaged} does not match its checksum")
                return {name: _numbers(loaded, name, path) for name in loaded}
    except RunError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise many kinds for a damaged file.
        said = console.one_line(error, 120)
        if "pickled data" in said or "Object arrays" in said:
            said = "it is no npz file, or holds a pickle, which is not loaded"
        raise RunError(f"{path} cannot be read ({said}); {ACCEPTED}") from error


def _numbers(loaded: Mapping[str, Any], name: str, path: Path) -> np.ndarray:
    """One array of a file; RunError for objects and for what is no array."""
    try:
        array = loaded[name]
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        raise RunError(f"{path}: {name} holds Python objects, which are not loaded; {ACCEPTED}") from error
    if not isinstance(array, np.ndarray):
        raise RunError(f"{path}: {name} is no array; {ACCEPTED}")
    return array


# ---------------------------------------------------------------------------------------------------------------------
# Into a run.


class Initial(NamedTuple):
    """Weights that a run begins from: the file, a digest of its arrays, and the arrays."""

    file: str
    digest: str
    arrays: Arrays

    def recorded(self) -> dict[str, str]:
        """What config.json says of it."""
        return {"file": self.file, "sha256": self.digest}

    def trees(self, like: HasWeights) -> tuple[Any, Any]:
        """The parameters and running statistics as trees like those of the state."""

        def of(prefix: str, tree: Any) -> Any:
            return jax.tree.map_with_path(lambda path, _: jnp.array(self.arrays[prefix + _path(path)]), tree)

        return of("", like.params), of(f"{STATISTICS}/", like.batch_stats)


def read_initial(given: str | Path, like: HasWeights) -> Initial:
    """The weights in a file, or in the final.npz of a run's folder, for a network like that of the state, of which
    shapes are enough; RunError, in one line, where they do not fit it."""
    path = place(given)
    if path.is_dir():
        instead = f", but {BEST}, which may be named" if (path / BEST).is_file() else ""
        if not (path / FINAL).is_file():
            raise RunError(f"{path} has no {FINAL}{instead}; {ACCEPTED}")
        path = path / FINAL
    elif not path.is_file():
        near = near_match(path.name, [file.name for file in path.parent.glob("*.npz")])
        raise RunError(f"{path}: no such file{near}; {ACCEPTED}")
    wanted = _named(like)
    arrays, _ = read(path)
    for names, others, said in ((wanted, arrays, "lacks"), (arrays, wanted, "has besides this network's weights")):
        if odd := [name for name in names if name not in others]:
            raise RunError(f"{path} {said} {_some(odd)}; {ACCEPTED}")
    for name, leaf in wanted.items():
        arrays[name] = _fitting(arrays[name], leaf, f"{path}: {name}")
    arrays = {name: arrays[name] for name in wanted}
    return Initial(str(path), checkpoints.digest(arrays), arrays)


def _some(names: Iterable[str]) -> str:
    return console.one_line(", ".join(names), 100)


def _fitting(array: np.ndarray, leaf: Any, called: str) -> np.ndarray:
    """The array as the leaf's type; RunError where it is of another shape or kind, or not finite in that type."""
    if array.shape != leaf.shape:
        raise RunError(f"{called} has the shape {list(array.shape)} there, {list(leaf.shape)} here; {ACCEPTED}")
    is_float = bool(jnp.issubdtype(leaf.dtype, jnp.floating))
    if array.dtype.kind not in ("f" if is_float else "iu"):
        raise RunError(f"{called} is {array.dtype}; accepted: {'floats' if is_float else 'whole numbers'}")
    with np.errstate(over="ignore"):
        fitting = array.astype(leaf.dtype)
    if is_float and not np.isfinite(fitting.astype(np.float64)).all():
        raise RunError(f"{called} has numbers that are not finite as {np.dtype(leaf.dtype)}; accepted: finite ones")
    return fitting


# ---------------------------------------------------------------------------------------------------------------------
# Out of a run.


def _epoch_in(path: Path) -> int:
    """The epoch that a file of a run is of; 0 where there is none, or a damaged one, which is reported."""
    if not path.exists():
        return 0
    try:
        return read(path)[1]
    except RunError as error:
        console.warn(str(error).rpartition("; accepted")[0])
        return 0


def is_complete(workdir: Path, rows: list[dict[str, Any]]) -> bool:
    """Whether the folder of a run that has all of its rows lacks no weights that it could still write. Of a best.npz
    that cannot be had again this is said; runs of earlier versions have neither file, and lack nothing."""
    final, best = workdir / FINAL, workdir / BEST
    if not (final.exists() or best.exists()):
        return True
    row = best_of(rows)
    if _epoch_in(final) != len(rows) or row is None:
        return False
    if _epoch_in(best) == row["epoch"]:
        return True
    if row["epoch"] in checkpoints.checkpoint_epochs(workdir):
        return False
    _warn_of_loss(best, row["epoch"])
    return True


def _warn_of_loss(path: Path, epoch: int) -> None:
    console.warn(f"{path} cannot be written again: no checkpoint of epoch {epoch}, the best one, is there any more")


class Weights:
    """The two files in the folder of a run that is going on."""

    def __init__(self, workdir: Path):
        self._workdir = workdir
        self._best: dict[str, Any] | None = None
        self._waiting: tuple[int, Arrays] | None = None
        self._written = 0

    def begin(self, rows: list[dict[str, Any]], state: HasWeights) -> None:
        """Looks at what is there of the rows that are kept. A best.npz of a later epoch than these stays: that epoch
        comes again. One that is missing, damaged or of another epoch is made again from a checkpoint of its epoch, as
        long as that is there."""
        self._best, self._written = best_of(rows), _epoch_in(self._workdir / BEST)
        if self._best and self._written <= len(rows):
            self._restore_best(state)

    def record(self, row: dict[str, Any], state: HasWeights) -> None:
        """Keeps the weights of an epoch that is better than all before it."""
        if is_better(row, self._best):
            self._best, self._waiting = row, (row["epoch"], arrays_of(state))
        if is_lost(row):  # No checkpoint comes after it.
            self.flush()

    def flush(self) -> None:
        """Writes best.npz where a better epoch has come since; before the checkpoint of the same or a later epoch."""
        if self._waiting:
            epoch, arrays = self._waiting
            write(self._workdir / BEST, arrays, epoch)
            self._waiting, self._written = None, epoch

    def finish(self, epoch: int, state: HasWeights) -> None:
        """Writes both after the last epoch, and says so where best.npz cannot be had: what is there is then of another
        epoch, and is set aside."""
        self.flush()
        write(self._workdir / FINAL, arrays_of(state), epoch)
        if self._best and not self._restore_best(state):
            path = self._workdir / BEST
            _warn_of_loss(path, self._best["epoch"])
            if path.exists():
                os.replace(path, path.with_name(f"unused-{BEST}"))

    def _restore_best(self, state: HasWeights) -> bool:
        """Whether best.npz is of the best epoch, perhaps since it was made again from a checkpoint of it."""
        epoch = self._best["epoch"] if self._best else 0
        if self._written != epoch and epoch in checkpoints.checkpoint_epochs(self._workdir):
            restored, found = checkpoints.restore(self._workdir, state, newest=epoch)
            if found == epoch:
                write(self._workdir / BEST, arrays_of(restored), epoch)
                self._written = epoch
        return self._written == epoch
