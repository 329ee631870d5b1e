"""Checkpoints of a run, written and read by Orbax, each with a digest of what it holds."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import serialization


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
