"""What the trials of a sweep have come to: their last scores, by setting and seed.

C settings, S seeds. A setting is a config without its seed. A seed is lost where its cost ceased to be finite or where
it ended at chance, as `experiments.engine.chance` says.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import input_pipeline
from experiments.engine import results
from experiments.engine.chance import level_in
from training.records import LOWEST_IS_BEST


class Finals(NamedTuple):
    """The last scores of the trials. NaN stands where there is none: no such trial, or one that diverged."""

    score: str
    fields: tuple[str, ...]  # the swept ones but for the seed
    settings: tuple[tuple[Any, ...], ...]  # their values, of each setting
    seeds: tuple[int, ...]
    values_CxS: np.ndarray
    tests_CxS: np.ndarray  # the same score of the test set, where it is measured beside
    epochs_CxS: np.ndarray  # the last epoch of each trial, 0 where there is none
    diverged_CxS: np.ndarray
    broken_CxS: np.ndarray
    cut_CxS: np.ndarray  # ended before the others, since it was behind them
    trials_CxS: np.ndarray  # their names, '' where there is none

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return -1 if self.score in LOWEST_IS_BEST else 1

    @property
    def lost(self) -> np.ndarray:
        """Which seeds diverged or are broken."""
        return self.diverged_CxS | self.broken_CxS

    @property
    def lost_share(self) -> np.ndarray:
        """The share of each setting's seeds that are lost."""
        return self.lost.sum(axis=1) / np.maximum((self.epochs_CxS > 0).sum(axis=1), 1)

    @property
    def without_lost(self) -> "Finals":
        """The scores of the seeds that are not lost alone."""
        values_CxS, tests_CxS = (np.where(self.lost, np.nan, of) for of in (self.values_CxS, self.tests_CxS))
        return self._replace(values_CxS=values_CxS, tests_CxS=tests_CxS)

    def named(self, c: int) -> dict[str, Any]:
        """A setting's values by field."""
        return dict(zip(self.fields, self.settings[c], strict=True))


def finals_of(
    table: pa.Table,
    data_dir: str = input_pipeline.DEFAULT_DATA_DIR,
    score: str | None = None,
) -> Finals:
    """The last scores in the table of a sweep; `score` is the metric, where it is not the one that trials are ranked
    by."""
    last, score = results.last_rows(table), score or results.score_of(table)
    fields = [name for name in results.swept_fields(table) if name != "seed"]
    settings = results.settings_of(last, fields)
    seeds, seed_R = np.unique(last["seed"].to_numpy(), return_inverse=True)
    shape = len(settings.values), len(seeds)

    def placed(values_R: np.ndarray, fill: Any) -> np.ndarray:
        values_CxS = np.full(shape, fill, dtype=values_R.dtype)
        values_CxS[settings.setting_R, seed_R.ravel()] = values_R
        return values_CxS

    def measured(name: str) -> np.ndarray:
        if name not in last.column_names:
            return np.full(shape, math.nan)
        values_R = last[name].to_numpy()
        return placed(np.where(diverged_R | ~np.isfinite(values_R), math.nan, values_R), math.nan)

    diverged_R = last["diverged"].to_numpy()
    accuracy_R = last["val_accuracy"].to_numpy()
    with np.errstate(invalid="ignore"):
        broken_R = ~diverged_R & (accuracy_R <= levels_of(last, data_dir))
    return Finals(
        score=score,
        fields=tuple(fields),
        settings=tuple(settings.values),
        seeds=tuple(seeds.tolist()),
        values_CxS=measured(score),
        tests_CxS=measured(score.replace("val", "test")),
        epochs_CxS=placed(last["epoch"].to_numpy(), 0),
        diverged_CxS=placed(diverged_R, False),
        broken_CxS=placed(broken_R, False),
        cut_CxS=placed(results.cut_rows(table, last), False),
        trials_CxS=placed(np.asarray(last["trial"].to_pylist(), dtype=object), ""),
    )


def levels_of(rows: pa.Table, data_dir: str) -> np.ndarray:
    """The accuracy up to which each row may have guessed, NaN for those without one."""
    kinds = results.settings_of(rows, ("dataset", "validation", "classes"))
    return np.array([level_in(*kind, data_dir) for kind in kinds.values])[kinds.setting_R]
