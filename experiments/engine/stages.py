"""How far each trial of a sweep is to go, and from where: from the first epoch, or from the state in which it was left.

A trial is left at a rung of successive halving, or where a finished sweep had fewer epochs. What it goes on from is the
file of its states and the rows of its last pack, which its next one repeats. What has come as far as is wanted of it,
under the name that it had by another end, is not trained again: its rows are taken over under its name of now.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
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
        begun_as = beginnings_of(trials, self.tables, self.there) if goes_on else {}
        self.origins = {name: there[-1] for name, there in begun_as.items()}
        # By what is there and no trial of its own any more what it is called now.
        self.continued = {there: name for name, of in begun_as.items() for there in of if there not in trials}
        self._now: dict[str, tuple[int, bool]] = {}

    def to_come(self, names: Iterable[str], end: int | None = None) -> dict[str, Span]:
        """The epochs that are missing of those trials up to the given one, or else of all of theirs."""
        spans: dict[str, Span] = {}
        names = list(names)
        taken = self.to_take_over(names, end)
        for name in names:
            last, at = end or self.trials[name].epochs, self.there.get(name)
            if name in taken or (at and (at.is_over or at.epoch >= last)):
                continue
            source = self.source(name)
            left = self.there.get(source)
            begun = left is not None and left.epoch < last and self.store.has(left.table, source)
            spans[name] = Span(left.epoch if begun and left else 0, last)
        return spans

    def to_take_over(self, names: Iterable[str], end: int | None = None) -> dict[str, Span]:
        """Those of the trials that are there under another name alone, and have no epoch to come up to the given one,
        or else of all of theirs: each with no epochs to run, after the last one that it has."""
        spans: dict[str, Span] = {}
        for name in names:
            if name in self.origins:
                at, is_over = self._as_now(name)
                if is_over or at >= (end or self.trials[name].epochs):
                    spans[name] = Span(at, at)
        return spans

    def _as_now(self, name: str) -> tuple[int, bool]:
        """How far a trial has come that is there under another name, by what its own config says of its end, and
        whether it goes no further."""
        if name not in self._now:
            trial, left = self.trials[name], self.there[self.origins[name]]
            rows, course = self._rows_of(left.table, [self.origins[name]], trial.epochs), stopping.Course(trial)
            stops = next((row["epoch"] for row in rows if course.add(row)), None)
            self._now[name] = (rows[-1]["epoch"], rows[-1]["diverged"]) if stops is None else (stops, True)
        return self._now[name]

    @property
    def is_begun(self) -> bool:
        """Whether any trial may go on from where it is."""
        return bool(self.origins) or any(not at.is_over for at in self.there.values())

    def source(self, name: str) -> str:
        """Under which name the epochs of a trial are there, as far as they are."""
        return name if name in self.there else self.origins.get(name, name)

    def begin(self, pack: plan.Pack) -> Begun | None:
        """What a pack goes on from; None where it begins with the first epoch."""
        return Begun(self._states(pack), self._rows(pack)) if pack.start else None

    def taken_over(self, pack: plan.Pack) -> tuple[pa.Table, dict[str, Any]]:
        """The rows of a pack that has no epochs to run, and the states of those of its trials that may go on from its
        end, as far as states were kept."""
        rows = self._rows(pack)
        table = results.pack_table({name: self.trials[name] for name in pack.trials}, list(chain(*rows.values())))
        return table, self._states(pack, {name for name, of_trial in rows.items() if not of_trial[-1]["diverged"]})

    def _by_table(self, pack: plan.Pack) -> dict[str, dict[str, str]]:
        """By table the trials of a pack that are there, by the names that they have there."""
        found: dict[str, dict[str, str]] = {}
        for name in pack.trials:
            found.setdefault(self.there[self.source(name)].table, {})[self.source(name)] = name
        return found

    def _states(self, pack: plan.Pack, of: Collection[str] | None = None) -> dict[str, Any]:
        """The states of the trials of a pack after the epoch at which it starts; with `of`, of those alone that are
        there then, have such a state, and are among these."""
        states: dict[str, Any] = {}
        for key, names in self._by_table(pack).items():
            if of is not None:
                wanted = [there for there, now in names.items() if now in of and self.there[there].epoch == pack.start]
                names = {there: names[there] for there in wanted if self.store.has(key, there)}
            if names:
                found = self.store.read(key, {there: self.trials[now] for there, now in names.items()}, pack.optional)
                states |= {now: found[there] for there, now in names.items()}
        return states

    def _rows(self, pack: plan.Pack) -> dict[str, list[dict[str, Any]]]:
        """The rows of the trials of a pack up to the epoch at which it starts, under their names of now."""
        rows: dict[str, list[dict[str, Any]]] = {}
        for key, names in self._by_table(pack).items():
            for row in self._rows_of(key, list(names), pack.start):
                name = names[row["trial"]]
                rows.setdefault(name, []).append(row | {"trial": name})
        return rows

    def _rows_of(self, key: str, names: Sequence[str], last: int) -> list[dict[str, Any]]:
        """What is measured of those trials in a table, epoch by epoch up to the last one."""
        table = self.tables[key]
        measured = [name for name in table.column_names if name not in FIELDS]
        there = pc.and_(pc.is_in(table["trial"], pa.array(names)), pc.less_equal(table["epoch"], last))  # pyright: ignore
        return table.select(measured).filter(there).sort_by("epoch").to_pylist()

    def best(self, names: Iterable[str], end: int, count: int) -> list[str]:
        """Those of the trials whose settings are the best ones after that epoch, by what a sweep is ranked by."""
        names = list(names)
        # Trials that differ in nothing but when they end may have begun as the same one.
        called: dict[str, list[str]] = {}
        for name in names:
            called.setdefault(self.source(name), []).append(name)
        reached = {name: self.there[name].epoch if name in self.there else self._as_now(name)[0] for name in names}
        wanted = {name: min(end, epoch) for name, epoch in reached.items()}
        joined = results.join(results.latest(self.tables))
        score = results.score_of(joined)
        sign = -1 if score in LOWEST_IS_BEST else 1
        values = {
            name: float("nan") if row["diverged"] or row[score] is None else sign * row[score]
            for row in joined.select(["trial", "epoch", "diverged", score]).to_pylist()
            for name in called.get(row["trial"], ())
            if wanted[name] == row["epoch"]
        }
        settings = rungs.settings_of({name: self.trials[name] for name in names})
        scores = {setting: [values[name] for name in of_setting] for setting, of_setting in settings.items()}
        kept = rungs.best_settings(scores, count)
        return [name for setting in kept for name in settings[setting]]

    def is_ahead(self, name: str, continued: Mapping[str, str]) -> bool:
        """Whether a trial has come further than what it is called now, {then: now}, step by step."""
        now, seen = name, set[str]()
        while now in continued and now not in seen:
            seen.add(now)
            now = continued[now]
        return name in self.there and now in self.there and self.there[name].epoch > self.there[now].epoch

    def pack_names(self, names: Iterable[str]) -> set[str]:
        """In which packs those trials have come furthest."""
        return {self.there[name].table for name in names if name in self.there}


def beginnings_of(
    trials: Trials, tables: Mapping[str, pa.Table], there: Mapping[str, results.Reached]
) -> dict[str, list[str]]:
    """By the name of a trial that is not there, those that are and differ from it in nothing but when they end, in the
    order of how far they have come: of equals the latest last, which took the states of others over. One of other
    epochs is none where rates depend on how many there are."""

    def key(config: Config) -> str:
        free = [name for name in stopping.FIELDS if name != stopping.EPOCHS or not config.is_stretched]
        kept = {name: value for name, value in config.identity().items() if name not in free}
        return json.dumps(kept, sort_keys=True)

    found: dict[str, list[str]] = {}
    for at, table in tables.items():
        for name, config in results.configs_of(table).items():
            if there[name].table == at:
                found.setdefault(key(config), []).append(name)
    for names in found.values():
        names.sort(key=lambda name: there[name].epoch)
    keys = {name: key(trial) for name, trial in trials.items() if name not in there}
    return {name: found[of_it] for name, of_it in keys.items() if of_it in found}
