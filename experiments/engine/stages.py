"""How far each trial of a sweep is to go, and from where: from the first epoch, or from the state in which it was left.

A trial is left at a rung of successive halving, or where a finished sweep had fewer epochs. What it goes on from is the
file of its states and the rows of its last pack, which its next one repeats.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from experiments.engine import plan, results, rungs
from experiments.engine.executors import Begun
from experiments.engine.space import Trials
from experiments.engine.states import Store
from experiments.engine.sweep_directory import Span
from training import stopping
from training.config import FIELDS, Config
from training.records import LOWEST_IS_BEST


class Stage:
    """The trials of a sweep with what is there of them, at one instant."""

    def __init__(self, trials: Trials, tables: Mapping[str, pa.Table], store: Store, goes_on: bool = False) -> None:
        self.trials, self.tables, self.store = trials, dict(tables), store
        self.there = results.reached(tables)
        self.origins = origins_of(trials, self.tables, self.there) if goes_on else {}

    def to_come(self, names: Iterable[str], end: int | None = None) -> dict[str, Span]:
        """The epochs that are missing of those trials up to the given one, or else of all of theirs."""
        spans: dict[str, Span] = {}
        for name in names:
            last, at = end or self.trials[name].epochs, self.there.get(name)
            if at and (at.is_over or at.epoch >= last):
                continue
            left = self.there.get(self.source(name))
            begun = left is not None and left.epoch < last and self.store.has(left.table)
            spans[name] = Span(left.epoch if begun and left else 0, last)
        return spans

    @property
    def is_begun(self) -> bool:
        """Whether any trial may go on from where it is."""
        return bool(self.origins) or any(not at.is_over for at in self.there.values())

    def source(self, name: str) -> str:
        """Under which name the epochs of a trial are there, as far as they are."""
        return name if name in self.there else self.origins.get(name, name)

    def begin(self, pack: plan.Pack) -> Begun | None:
        """What a pack goes on from; None where it begins with the first epoch."""
        if not pack.start:
            return None
        sources = {self.source(name): name for name in pack.trials}
        by_table: dict[str, dict[str, Config]] = {}
        for source, name in sources.items():
            by_table.setdefault(self.there[source].table, {})[source] = self.trials[name]
        states: dict[str, Any] = {}
        rows: dict[str, list[dict[str, Any]]] = {}
        for key, of_table in by_table.items():
            found = self.store.read(key, of_table, pack.optional)
            states |= {sources[source]: found[source] for source in of_table}
            table = self.tables[key]
            measured = [name for name in table.column_names if name not in FIELDS]
            there = pc.is_in(table["trial"], pa.array(list(of_table)))  # pyright: ignore
            for row in table.select(measured).filter(there).sort_by("epoch").to_pylist():
                name = sources[row["trial"]]
                rows.setdefault(name, []).append(row | {"trial": name})
        return Begun(states, rows)

    def best(self, names: Iterable[str], end: int, count: int) -> list[str]:
        """Those of the trials whose settings are the best ones after that epoch, by what a sweep is ranked by."""
        names = list(names)
        wanted = {name: min(end, self.there[name].epoch) for name in names}
        joined = results.join(results.latest(self.tables))
        score = results.score_of(joined)
        sign = -1 if score in LOWEST_IS_BEST else 1
        values = {
            row["trial"]: float("nan") if row["diverged"] or row[score] is None else sign * row[score]
            for row in joined.select(["trial", "epoch", "diverged", score]).to_pylist()
            if wanted.get(row["trial"]) == row["epoch"]
        }
        settings = rungs.settings_of({name: self.trials[name] for name in names})
        scores = {setting: [values[name] for name in of_setting] for setting, of_setting in settings.items()}
        kept = rungs.best_settings(scores, count)
        return [name for setting in kept for name in settings[setting]]

    def pack_names(self, names: Iterable[str]) -> set[str]:
        """In which packs those trials have come furthest."""
        return {self.there[name].table for name in names if name in self.there}


def origins_of(trials: Trials, tables: Mapping[str, pa.Table], there: Mapping[str, results.Reached]) -> dict[str, str]:
    """By the name of a trial that is not there, the one that is and differs from it in nothing but when it ends: of
    several the one that has come furthest. One that has diverged is none, nor one of other epochs whose rates depend on
    how many there are."""

    def key(config: Config) -> str:
        free = [name for name in stopping.FIELDS if name != stopping.EPOCHS or not config.is_stretched]
        kept = {name: value for name, value in config.identity().items() if name not in free}
        return json.dumps(kept, sort_keys=True)

    found: dict[str, str] = {}
    for at, table in tables.items():
        lost = set(table.filter(table["diverged"])["trial"].to_pylist())
        for name, config in results.configs_of(table).items():
            if there[name].table == at and name not in lost:
                before = found.get(key(config))
                if before is None or there[before].epoch < there[name].epoch:
                    found[key(config)] = name
    keys = {name: key(trial) for name, trial in trials.items() if name not in there}
    return {name: found[of_it] for name, of_it in keys.items() if of_it in found}
