"""The states in which the trials of a pack have ended, so that they go on from there: `states/PACK.npz`.

An array is called by its trial and its path in the state, as `0123456789ab/params/hidden_0/kernel`; beside them stands
a digest of all. No pickle is loaded.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization

import train
from experiments.engine import lanes
from training import checkpoints, console, weights
from training.config import Config, Hyperparameters, names_taken, number_of, optional_of
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


def read(
    workdir: Path, pack: str, trials: Mapping[str, Config], optional: Collection[str] = ()
) -> dict[str, train.TrainState]:
    """The states of those of the trials that the file of a pack has, as a program takes them that has the optional
    numbers that are named; RunError, in one line, where it is damaged or of other networks."""
    path = path_of(workdir, pack)
    by_trial: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays_of(workdir, pack).items():
        trial, _, leaf = name.partition("/")
        by_trial.setdefault(trial, {})[leaf] = array
    shapes: dict[Any, tuple[train.TrainState, train.TrainState]] = {}
    found: dict[str, train.TrainState] = {}
    for name in by_trial.keys() & trials.keys():
        own = optional_of([trials[name]])
        key = lanes.structure(trials[name]), own
        if key not in shapes:
            shapes[key] = shapes_of(trials[name], {*own, *optional}), shapes_of(trials[name], own)
        found[name] = _like(*shapes[key], by_trial[name], path)
    return found


# Of each structure and its numbers: tracing the initial draw for every pack that goes on takes longer than reading it.
_shapes: dict[Any, train.TrainState] = {}


def shapes_of(config: Config, optional: Collection[str]) -> train.TrainState:
    """The shapes of the state of a run in a program that takes those optional numbers."""
    names = names_taken(config, optional)
    known = lanes.structure(config), tuple(names), jnp.result_type(float)
    if known not in _shapes:
        numbers = {name: jnp.float32(number_of(config, name, 1) or 0.0) for name in names}
        key = train.run_keys(config.seed)[0]
        _shapes[known] = jax.eval_shape(train.make_train(config).init, Hyperparameters.of(numbers), key)
    return _shapes[known]


def _like(shapes: train.TrainState, least: train.TrainState, arrays: Mapping[str, np.ndarray], path: Path) -> Any:
    """The state made of the arrays; RunError where they are not those of such a state. What a number that may be left
    out adds to the least that the run has, as a momentum of 0 its velocity, is zero where it is not there."""
    wanted, own = by_path(shapes), by_path(least)
    added = {name: np.zeros(leaf.shape, leaf.dtype) for name, leaf in wanted.items() if name not in own}
    arrays = added | dict(arrays)
    if any(name not in arrays or arrays[name].shape != leaf.shape for name, leaf in wanted.items()):
        raise RunError(f"{path} holds states of other networks; accepted: one written by this sweep")
    fitting = [arrays[name].astype(leaf.dtype) for name, leaf in wanted.items()]
    tree = jax.tree.unflatten(jax.tree.structure(serialization.to_state_dict(shapes)), fitting)
    return serialization.from_state_dict(shapes, tree)


class Store:
    """The states that a sweep's folder holds; a damaged file is reported once, and counts as not there."""

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir
        self._sound: dict[str, set[str]] = {}  # Of each pack the trials.

    def has(self, pack: str, trial: str) -> bool:
        """Whether there is a sound state of that trial of the pack."""
        if pack not in self._sound:
            try:
                there = path_of(self._workdir, pack).is_file()
                names = arrays_of(self._workdir, pack) if there else ()
            except RunError as error:
                console.warn(f"{error}; what it was of is run from the first epoch")
                names = ()
            self._sound[pack] = {name.partition("/")[0] for name in names}
        return trial in self._sound[pack]

    def read(self, pack: str, trials: Mapping[str, Config], optional: Collection[str] = ()) -> dict[str, Any]:
        """The states of those trials of a pack, as a program with those optional numbers takes them."""
        return read(self._workdir, pack, trials, optional)

    def write(self, pack: str, states: Mapping[str, train.TrainState]) -> None:
        """Writes the states in which a pack's trials have ended, if any did without diverging."""
        if states:
            write(self._workdir, pack, states)
            self._sound[pack] = set(states)

    def keep_only(self, packs: Collection[str]) -> None:
        """Deletes the states of all packs but those."""
        folder = self._workdir / FOLDER
        for path in folder.glob("*.npz") if folder.is_dir() else ():
            if path.stem not in packs:
                path.unlink()
                self._sound.pop(path.stem, None)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
