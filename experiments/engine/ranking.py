"""What the results of a sweep say: the ranking of its settings, and how far it can be trusted.

A setting is a config without its seed; a seed is lost where it diverged or ended at chance. The larger the share of
seeds that a setting loses, the later it comes, as the mean of the others is one of lucky seeds; `rank='survivors'` goes
by that mean all the same. Compared with each other are the settings that lose the fewest.
"""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import input_pipeline
from experiments.engine import decisions, statistics
from experiments.engine.decisions import Difference
from experiments.engine.edges import Edge, edges_of
from experiments.engine.finals import Finals, finals_of
from experiments.engine.importance import Importance, importance_of
from experiments.engine.statistics import Groups, two_groups
from training.files import write_atomically

RANKS = ("all", "survivors")
# So few seeds are shown as they are: their interval is wide, and hides that they are few.
FEW_SEEDS = 3
# Of a ranking, how many settings are held against the first one, and looked through for two groups of seeds.
MOST_DIFFERENCES, MOST_LOOKED_THROUGH = 100, 1_000
# Two groups of seeds are worth a line where so much of an accuracy, or of its mean for a cost, lies between them.
LEAST_GAP = 0.05


class Ranked(NamedTuple):
    """A setting in its place: its number and the names of its trials; the mean of its seeds' scores, the interval of
    that mean, n; where n is small its scores themselves; the mean of the test set; how many seeds there are, diverged
    and are broken; its last epoch, and whether it was cut there before its end; whether it cannot be told from the
    best, None where it was not compared."""

    number: int
    trials: tuple[str, ...]
    setting: dict[str, Any]
    mean: float
    low: float
    high: float
    n: int
    points: tuple[float, ...]
    test_mean: float
    test_n: int
    seeds: int
    diverged: int
    broken: int
    epoch: int
    is_cut: bool
    is_best: bool | None


class TwoGroups(NamedTuple):
    """A setting whose seeds fall into two groups."""

    setting: dict[str, Any]
    groups: Groups


class Decision(NamedTuple):
    """What the results say: the score; whether the test set has chosen; which way of ranking; the settings in their
    order, how many of them were compared, those that cannot be told from the best; the first one's differences from
    others in their order; about how many seeds would tell it from the next that it cannot be told from. Of a tuning it
    is said of its fresh seeds alone, whose trials these are; else of all."""

    score: str
    selected_by: str
    rank: str
    ranked: list[Ranked]
    compared: int
    best: list[dict[str, Any]]
    differences: list[Difference]
    seeds_that_decide: int | None
    edges: list[Edge]
    groups: list[TwoGroups]
    importance: Importance
    fresh: frozenset[str] = frozenset()

    @property
    def is_share(self) -> bool:
        """Whether scores are shares, whose differences are said in points."""
        return self.score.endswith("accuracy")

    def difference_from(self, number: int) -> Difference | None:
        """By how much the first setting is ahead of the one of that number, where it is there."""
        return next((difference for difference in self.differences if difference.other == number), None)


def decide(
    table: pa.Table,
    rank: str = "all",
    data_dir: str = input_pipeline.DEFAULT_DATA_DIR,
) -> Decision:
    """What the rows of a sweep say."""
    return decide_finals(finals_of(table, data_dir), rank, selected_by(table))


def selected_by(table: pa.Table) -> str:
    """What settings are chosen by in the rows: `test` where their validation set is the test set, else `validation`."""
    return "test" if pc.unique(table["validation"]).to_pylist() == ["test"] else "validation"  # pyright: ignore


def decide_finals(finals: Finals, rank: str = "all", selected_by: str = "validation") -> Decision:
    """What the last scores of a sweep say."""
    counted = finals.without_lost if rank == "survivors" else finals
    compared_C = comparable(counted, rank)
    best = decisions.best_of(counted.values_CxS, finals.sign, compared_C)
    order = order_of(counted, rank)
    differences = differences_from_first(counted, order, compared_C)
    next_one = next((c for c in best.settings if order and c != order[0]), None)
    of_next = next((difference for difference in differences if difference.other == next_one), None)
    edges = edges_of(finals.fields, finals.settings, order[0], best.settings) if order else []
    return Decision(
        score=finals.score,
        selected_by=selected_by,
        rank=rank,
        ranked=ranked_rows(counted, order, best),
        compared=best.among,
        best=[finals.named(c) for c in best.settings],
        differences=differences,
        seeds_that_decide=decisions.seeds_that_decide(of_next, best.among) if of_next else None,
        edges=edges,
        groups=groups_in(finals, order),
        importance=importance_of(finals),
    )


def comparable(finals: Finals, rank: str) -> np.ndarray:
    """Which settings are compared: those with a score, that lose the fewest seeds and were not cut."""
    has_score_C = np.logical_and(np.isfinite(finals.values_CxS).any(axis=1), ~finals.cut_CxS.any(axis=1))
    if rank == "survivors" or not has_score_C.any():
        return has_score_C
    lost_C = finals.lost_share
    return np.logical_and(has_score_C, lost_C == lost_C[has_score_C].min())


def order_of(finals: Finals, rank: str) -> list[int]:
    """The settings that have a score, the first one first: those that were cut after all others, by how far they came,
    then by the share of lost seeds, then by the mean."""
    means_C = means_of(finals.values_CxS)
    order = np.lexsort((-finals.sign * means_C, late_of(finals, rank)))
    return [int(c) for c in order if np.isfinite(means_C[c])]


def late_of(finals: Finals, rank: str) -> np.ndarray:
    """How late each setting comes whatever its mean, [C] of whole numbers from 0: by whether it was cut, then by how
    far it came, then by the share of seeds that it loses."""
    is_cut_C = finals.cut_CxS.any(axis=1)
    came_C = np.where(is_cut_C, -finals.epochs_CxS.max(axis=1), 0)
    lost_C = np.zeros(len(finals.settings)) if rank == "survivors" else finals.lost_share
    return np.unique(np.stack([is_cut_C, came_C, lost_C], axis=1), axis=0, return_inverse=True)[1].ravel()


def means_of(values_CxS: np.ndarray) -> np.ndarray:
    """The mean of each setting's scores, NaN where it has none."""
    return statistics.interval(values_CxS.T).mean


def differences_from_first(finals: Finals, order: list[int], compared_C: np.ndarray) -> list[Difference]:
    """By how much the first setting is ahead of others that it was compared with, in their order."""
    family = [c for c in order if compared_C[c]]
    if len(family) < 2:
        return []
    others = family[1 : MOST_DIFFERENCES + 1]
    return decisions.differences(finals.values_CxS, family[0], others, finals.sign, family)


def ranked_rows(finals: Finals, order: list[int], best: decisions.Best) -> list[Ranked]:
    """A row for each setting, in order."""
    found = statistics.interval(finals.values_CxS.T, bounds=statistics.bounds_of(finals.score))
    tests = statistics.interval(finals.tests_CxS.T)
    trained_CxS = finals.epochs_CxS > 0
    rows: list[Ranked] = []
    tied = set(best.settings)
    for c in order:
        values_S = finals.values_CxS[c]
        n = int(found.n[c])
        rows.append(
            Ranked(
                number=c,
                trials=tuple(filter(None, finals.trials_CxS[c].tolist())),
                setting=finals.named(c),
                mean=float(found.mean[c]),
                low=float(found.low[c]),
                high=float(found.high[c]),
                n=n,
                points=tuple(values_S[np.isfinite(values_S)].tolist()) if 1 < n <= FEW_SEEDS else (),
                test_mean=float(tests.mean[c]),
                test_n=int(tests.n[c]),
                seeds=int(trained_CxS[c].sum()),
                diverged=int(finals.diverged_CxS[c].sum()),
                broken=int(finals.broken_CxS[c].sum()),
                epoch=int(finals.epochs_CxS[c].max()),
                is_cut=bool(finals.cut_CxS[c].any()),
                is_best=c in tied if np.isfinite(best.p_C[c]) else None,
            )
        )
    return rows


def groups_in(finals: Finals, order: list[int]) -> list[TwoGroups]:
    """The settings whose seeds fall into two groups that are far apart, in their order."""
    found: list[TwoGroups] = []
    for c in order[:MOST_LOOKED_THROUGH]:
        values_S = finals.values_CxS[c]
        groups = two_groups(values_S)
        least = LEAST_GAP * (1.0 if finals.score.endswith("accuracy") else abs(float(np.nanmean(values_S))))
        if groups and groups.high[0] - groups.low[-1] >= least:
            found.append(TwoGroups(finals.named(c), groups))
    return found


# ---------------------------------------------------------------------------------------------------------------------
# As a file.


def as_json(decision: Decision) -> dict[str, Any]:
    """What is decided as an object of JSON, null for what is not finite: all but the table, which summary.csv has."""
    names = {row.number: row.setting for row in decision.ranked}
    importance = decision.importance
    found = {
        "score": decision.score,
        "selected_by": decision.selected_by,
        "rank": decision.rank,
        "compared": decision.compared,
        "first": decision.ranked[0].setting if decision.ranked else None,
        "not_told_from_the_best": decision.best,
        "seeds_that_decide": decision.seeds_that_decide,
        "first_ahead_of": [
            {
                "other": names[one.other],
                **{key: getattr(one, key) for key in ("mean", "low", "high", "n", "p", "p_holm")},
            }
            for one in decision.differences
        ],
        "edges": [edge._asdict() for edge in decision.edges],
        "two_groups": [{"setting": one.setting, **one.groups._asdict()} for one in decision.groups],
        "importance": importance._asdict() | {"shares": [share._asdict() for share in importance.shares]},
    }
    return _finite(found)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_decision(decision: Decision, path: Path) -> None:
    """What is decided as a file of JSON, whole or not at all; one that says the same is left as it is, so that its time
    says since when that is so."""
    text = json.dumps(as_json(decision), indent=1, allow_nan=False) + "\n"
    if not path.is_file() or path.read_bytes() != text.encode():
        write_atomically(path, text)
