"""The states in which the trials of a pack have ended, so that they go on from there: `states/PACK.npz`.

An array is called by its trial and its path in the state, as `0123456789ab/params/hidden_0/kernel`; beside them stands
a digest of all. No pickle is loaded.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import serialization

import train
from training import checkpoints, console, weights
from training.config import Config
from training.files import RunError, need_room, write_atomically

FOLDER, DIGEST = "states", "sha256"


def path_of(workdir: Path, pack: str) -> Path:
    """Where the states of a pack are."""
    return workdir / FOLDER / f"{pack}.npz"


def write(workdir: Path, pack: str, states: Mapping[str, train.TrainState]) -> None:
    """Writes the states of a pack's trials, whole or not at all."""
    arrays = {f"{trial}/{name}": leaf for trial, state in states.items() for name, leaf in named(state).items()}
    digest = np.frombuffer(bytes.fromhex(checkpoints.digest(arrays)), np.uint8)
    content = weights.as_bytes({**arrays, DIGEST: digest})
    need_room(workdir, len(content))
    (workdir / FOLDER).mkdir(exist_ok=True)
    write_atomically(path_of(workdir, pack), content)


def named(state: train.TrainState) -> dict[str, np.ndarray]:
    """The arrays of a state by their paths."""
    # What numpy has no type for, as bfloat16, is written as float32, which is the same number.
    arrays = {name: np.asarray(leaf) for name, leaf in by_path(state).items()}
    return {name: array.astype(np.float32) if array.dtype.kind == "V" else array for name, array in arrays.items()}


def by_path(state: train.TrainState) -> dict[str, Any]:
    """The leaves of a state, or of the shapes of one, by their paths."""
    leaves = jax.tree.leaves_with_path(serialization.to_state_dict(state))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def arrays_of(workdir: Path, pack: str) -> dict[str, np.ndarray]:
    """The arrays in the file of a pack; RunError, in one line, where it is damaged."""
    path = path_of(workdir, pack)
    arrays = weights.read_arrays(path)
    digest = arrays.pop(DIGEST, np.zeros(0, np.uint8))
    if digest.tobytes().hex() != checkpoints.digest(arrays):
        raise RunError(f"{path} is damaged (its contents do not match their digest); accepted: one written by a sweep")
    return arrays


def read(workdir: Path, pack: str, trials: Mapping[str, Config]) -> dict[str, train.TrainState]:
    """The states of those of the trials that the file of a pack has; RunError, in one line, where it is damaged or of
    other networks."""
    path = path_of(workdir, pack)
    by_trial: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays_of(workdir, pack).items():
        trial, _, leaf = name.partition("/")
        by_trial.setdefault(trial, {})[leaf] = array
    shapes: dict[Any, train.TrainState] = {}
    found: dict[str, train.TrainState] = {}
    for name in by_trial.keys() & trials.keys():
        key = trials[name].replace(seed=0)
        if key not in shapes:
            shapes[key] = train.state_shapes(key)
        found[name] = _like(shapes[key], by_trial[name], path)
    return found


def _like(shapes: train.TrainState, arrays: Mapping[str, np.ndarray], path: Path) -> train.TrainState:
    """The state made of the arrays; RunError where they are not those of such a state."""
    wanted = by_path(shapes)
    if any(name not in arrays or arrays[name].shape != leaf.shape for name, leaf in wanted.items()):
        raise RunError(f"{path} holds states of other networks; accepted: one written by this sweep")
    fitting = [arrays[name].astype(leaf.dtype) for name, leaf in wanted.items()]
    tree = jax.tree.unflatten(jax.tree.structure(serialization.to_state_dict(shapes)), fitting)
    state: Any = serialization.from_state_dict(shapes, tree)
    return state


class Store:
    """The states that a sweep's folder holds; a damaged file is reported once, and counts as not there."""

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir
        self._sound: dict[str, bool] = {}

    def has(self, pack: str) -> bool:
        """Whether there are sound states of the pack."""
        if pack not in self._sound:
            try:
                self._sound[pack] = path_of(self._workdir, pack).is_file() and bool(arrays_of(self._workdir, pack))
            except RunError as error:
                console.warn(f"{error}; what it was of is run from the first epoch")
                self._sound[pack] = False
        return self._sound[pack]

    def read(self, pack: str, trials: Mapping[str, Config]) -> dict[str, train.TrainState]:
        """The states of those trials of a pack."""
        return read(self._workdir, pack, trials)

    def write(self, pack: str, states: Mapping[str, train.TrainState]) -> None:
        """Writes the states in which a pack's trials have ended, if any did without diverging."""
        if states:
            write(self._workdir, pack, states)
            self._sound[pack] = True

    def keep_only(self, packs: Collection[str]) -> None:
        """Deletes the states of all packs but those."""
        folder = self._workdir / FOLDER
        for path in folder.glob("*.npz") if folder.is_dir() else ():
            if path.stem not in packs:
                path.unlink()
                self._sound.pop(path.stem, None)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
