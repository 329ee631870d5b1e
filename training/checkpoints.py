"""Checkpoints of a run, written and read by Orbax, each with a digest of what it holds."""

import contextlib
import gc
import hashlib
import io
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from flax import serialization

from training import console
from training.files import RunError, need_room

State = TypeVar("State")


def checkpoint_epochs(workdir: str | Path) -> list[int]:
    """The epochs that have a checkpoint, sound or not, the last one first."""
    folder = Path(workdir) / "checkpoints"
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return sorted((int(name) for name in names if name.isdecimal() and len(name) < 20), reverse=True)


def restore(workdir: str | Path, state: State, newest: int | None = None) -> tuple[State, int]:
    """The last sound checkpoint up to epoch `newest`, as a state like the given one, and its epoch; (state, 0) where
    there is none. A damaged checkpoint is reported and passed over; RunError for a sound one of other arrays."""
    epochs = [epoch for epoch in checkpoint_epochs(workdir) if newest is None or epoch <= newest]
    for i, epoch in enumerate(epochs):
        folder = Path(workdir) / "checkpoints" / str(epoch)
        # Orbax leaves coroutines behind where it is interrupted, and where it cannot read what it should.
        with console.held():
            restored, reason = _tried(folder, state)
        if restored is not None:
            return restored, epoch
        before = (
            f"the one before it, of epoch {epochs[i + 1]}, is used" if epochs[i + 1 :] else "there is none before it"
        )
        console.warn(f"the checkpoint of epoch {epoch} is damaged ({reason}); {before}")
    return state, 0


def _tried(folder: Path, state: State) -> tuple[State | None, str]:
    """The state in one checkpoint and '', or None and what is wrong with it; RunError where it is sound for itself and
    of other arrays."""
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            other = _other_arrays(folder, state)
            restored = None if other else _read_checkpoint(folder, state)
            reason = ""
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # Orbax and tensorstore raise many kinds for a damaged file.
            other, restored = "", None
            reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        if reason:
            gc.collect()  # What Orbax has left behind is complained of here, unseen.
    if other:
        raise RunError(
            f"the checkpoint of epoch {folder.name} in {folder.parent.parent} is of other arrays than this run "
            f"({other}); accepted: JAX set as it was then (config.json), or another folder"
        )
    return restored, reason


def set_aside_later(workdir: str | Path, epoch: int) -> None:
    """Renames checkpoints of later epochs, which are damaged or ahead of the metrics, to `unused-EPOCH`, since they
    will be written again."""
    folder = Path(workdir) / "checkpoints"
    folder.mkdir(exist_ok=True)
    for later in (number for number in checkpoint_epochs(workdir) if number > epoch):
        aside = folder / f"unused-{later}"
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(folder / str(later), aside)


class Checkpoints:
    """The checkpoints that a run writes: the last ones of the regular epochs are kept, and one of another epoch, which
    an interrupted run has left, until there is a later one."""

    def __init__(self, workdir: Path, kept: int, is_regular: Callable[[int], bool]):
        self._workdir, self._kept, self._is_regular = workdir, kept, is_regular
        self._manager: Any = None

    def save(self, epoch: int, state: Any) -> None:
        """Writes the checkpoint of an epoch and drops the oldest ones."""
        import orbax.checkpoint as ocp

        # Made here, since importing Orbax would keep the first epoch waiting.
        if self._manager is None:
            options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False, cleanup_tmp_directories=True)
            self._manager = ocp.CheckpointManager((self._workdir / "checkpoints").absolute(), options=options)
        tree = jax.device_get(serialization.to_state_dict(state))
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(tree), digest=ocp.args.JsonSave({"sha256": digest(tree)})
        )
        need_room(self._workdir, 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
        try:
            # Orbax's threads print what they raise, which is said below in one line; interrupted, it leaves coroutines.
            with console.held(), contextlib.redirect_stderr(io.StringIO()):
                self._manager.save(epoch, args=items)
                self._drop_old()
        except Exception as error:  # Orbax and tensorstore raise many kinds for a full or read-only disk.
            reason = console.one_line(error, 200)
            raise RunError(f"the checkpoint of epoch {epoch} cannot be written in {self._workdir}: {reason}") from error

    def _drop_old(self) -> None:
        epochs = checkpoint_epochs(self._workdir)
        regular = [epoch for epoch in epochs if self._is_regular(epoch)]
        kept = {*regular[: self._kept], *(epoch for epoch in epochs[:1])}
        for epoch in epochs:
            if epoch not in kept:
                self._manager.delete(epoch)

    def close(self) -> None:
        """Ends Orbax's threads."""
        if self._manager is not None:
            self._manager.close()


def _read_checkpoint(folder: Path, like: State) -> State:
    """The state in one checkpoint; ValueError where its digest does not match."""
    restored: Any = serialization.from_state_dict(like, _read_tree(folder, serialization.to_state_dict(like)))
    return restored


def _read_tree(folder: Path, like: Any) -> Any:
    import orbax.checkpoint as ocp

    arguments = ocp.args.Composite(state=ocp.args.StandardRestore(like), digest=ocp.args.JsonRestore())
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler("state", "digest")) as checkpointer:
        restored = checkpointer.restore(folder.absolute(), args=arguments)
    if restored["digest"]["sha256"] != digest(restored["state"]):
        raise ValueError("its contents do not match their digest")
    return restored["state"]


def _other_arrays(folder: Path, state: Any) -> str:
    """In words, the first array that differs in shape or type from the state's in a checkpoint that is sound for
    itself; '' where none differs. Raises whatever Orbax does where it is damaged."""
    import orbax.checkpoint as ocp

    stored = ocp.StandardCheckpointHandler().metadata((folder / "state").absolute()).tree  # pyright: ignore
    there, here = _described(stored), _described(serialization.to_state_dict(state))
    differing = [name for name in sorted(there.keys() | here.keys()) if there.get(name) != here.get(name)]
    if not differing:
        return ""
    _read_tree(folder, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), stored))
    name = differing[0]
    return f"{name} {there.get(name, 'missing')} there, {here.get(name, 'missing')} here"


def _described(tree: Any) -> dict[str, str]:
    """The types and shapes of a tree's arrays by path, as `uint32[2]`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): f"{np.dtype(leaf.dtype)}{list(leaf.shape)}"
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def digest(tree: Any) -> str:
    """SHA-256 of the names, types, shapes and bytes of a tree's arrays."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(tree):
        array = np.asarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
