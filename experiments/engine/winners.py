"""The weights of the best seed of each setting, as `weights/TRIAL.npz`, while a sweep runs and after it."""

import contextlib
import math
from collections.abc import Collection, Mapping
from pathlib import Path

import pyarrow as pa

import train
from experiments.engine import results
from training import weights
from training.files import RunError, write_atomically
from training.records import LOWEST_IS_BEST

FOLDER = "weights"


class Winners:
    """The best seed of each setting among the trials that have ended, and the files of their weights."""

    def __init__(self, workdir: Path) -> None:
        self._folder = workdir / FOLDER
        self._settings: dict[str, str] = {}
        self._best: dict[str, tuple[float, float, str]] = {}

    def add(self, table: pa.Table, states: Mapping[str, train.TrainState] | None = None) -> None:
        """Takes the rows of a pack in; with the states in which its trials have ended, writes the weights of those that
        are the best ones now. Seeds that have not gone as far as they may come after those that have."""
        score = results.score_of(table)
        sign = -1 if score in LOWEST_IS_BEST else 1
        there = results.reached({"": table})
        last = {row["trial"]: row for row in results.last_rows(table).select(["trial", "diverged", score]).to_pylist()}
        for name, config in results.configs_of(table).items():
            row, at = last[name], there[name]
            if row["diverged"] or row[score] is None:
                continue
            self._settings[name] = setting = config.replace(seed=0).name()
            here = math.inf if at.is_over else at.epoch, sign * row[score], name
            before = self._best.get(setting, (0, -math.inf, ""))
            if here[:2] > before[:2] or (here[:2] == before[:2] and name == before[2]):
                self._best[setting] = here
        for name, state in (states or {}).items():
            if name in self._settings and self._best[self._settings[name]][2] == name:
                self._folder.mkdir(exist_ok=True)
                weights.write(self._folder / f"{name}.npz", weights.arrays_of(state), there[name].epoch)

    def take_over(self, sources: Mapping[str, str], epoch: int) -> None:
        """Keeps the weights of trials that are there under other names, {now: then}, where they are of that epoch; a
        damaged file counts as not there."""
        for name, source in sources.items():
            path = self._folder / f"{source}.npz"
            with contextlib.suppress(RunError):
                if path.is_file() and weights.read(path)[1] == epoch:
                    write_atomically(self._folder / f"{name}.npz", path.read_bytes())

    def tidy(self, superseded: Collection[str] = ()) -> int:
        """Deletes the weights of what is not the best of its setting any more, and of what has gone on as another
        trial; how many settings have none, since they had ended before weights were to be kept."""
        names = {name for _, _, name in self._best.values()} - {*superseded}
        files = {path.stem: path for path in self._folder.glob("*.npz")}
        for name in files.keys() - names:
            files[name].unlink()
        return len(names - files.keys())
