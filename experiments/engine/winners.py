"""The weights of the best seed of each setting, as `weights/TRIAL.npz`, while a sweep runs and after it."""

import functools
import math
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

import train
from experiments.engine import results
from experiments.engine.space import Trials
from training import weights
from training.records import LOWEST_IS_BEST

FOLDER = "weights"


class Winners:
    """The best seed of each setting among the trials that have ended, and the files of their weights."""

    def __init__(self, workdir: Path, trials: Trials) -> None:
        self._folder, self._trials = workdir / FOLDER, trials
        self._best: dict[str, tuple[int, float, str]] = {}

    @functools.cached_property
    def _settings(self) -> dict[str, str]:
        """What the setting of each trial is called: a second for ten thousand, wanted only where weights are kept."""
        return {name: trial.replace(seed=0).name() for name, trial in self._trials.items()}

    def add(self, table: pa.Table, states: Mapping[str, train.TrainState] | None = None) -> None:
        """Takes the rows of a pack in; with the states in which its trials have ended, writes the weights of those that
        are the best ones now."""
        score = results.score_of(table)
        sign = -1 if score in LOWEST_IS_BEST else 1
        last = {row["trial"]: row for row in table.select(["trial", "epoch", "diverged", score]).to_pylist()}
        for name, row in last.items():
            if row["diverged"] or row[score] is None or name not in self._settings:
                continue
            setting, here = self._settings[name], (row["epoch"], sign * row[score], name)
            before = self._best.get(setting, (0, -math.inf, ""))
            if here[:2] > before[:2] or (here[:2] == before[:2] and name == before[2]):
                self._best[setting] = here
        for name, state in (states or {}).items():
            setting = self._settings[name]
            if self._best.get(setting, (0, 0.0, ""))[2] == name:
                self._folder.mkdir(exist_ok=True)
                weights.write(self._folder / f"{name}.npz", weights.arrays_of(state), self._best[setting][0])

    def tidy(self) -> int:
        """Deletes the weights of what is not the best of its setting any more; how many settings have none, since they
        had ended before weights were to be kept."""
        names = {name for _, _, name in self._best.values()}
        files = {path.stem: path for path in self._folder.glob("*.npz")}
        for name, path in files.items():
            if name not in names:
                path.unlink()
        return len(names - files.keys())
