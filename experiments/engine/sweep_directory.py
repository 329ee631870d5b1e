"""The folder of a sweep: which packs there are, which are finished, and what is written of them."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from experiments.engine import lanes, plan, results
from experiments.engine.space import Trials, swept
from experiments.engine.tensorboard import write_tensorboard
from training.config import Config, as_config
from training.files import lock, need_room, write_atomically
from training.provenance import provenance, warn_of_other_conditions


class SweepError(Exception):
    """A sweep that cannot be run as asked, in one line."""


class SweepDirectory:
    """The folder of a sweep: which packs there are, which are finished. A context manager that keeps others out."""

    def __init__(self, workdir: str | Path, base: Config, trials: Trials):
        self.workdir, self.base, self.trials = Path(workdir), base, trials
        self.recorded = self._check()
        self._lock = None

    def _check(self) -> dict[str, Any]:
        """plan.json of an earlier start, {} where there is none; SweepError where the folder is not this sweep's."""
        if not (self.workdir / "plan.json").exists():
            if self.workdir.exists() and not self.workdir.is_dir():
                raise SweepError(f"{self.workdir} is a file; accepted: a new folder, or the folder of a sweep")
            if self.workdir.is_dir() and any(not entry.name.startswith(".") for entry in self.workdir.iterdir()):
                raise SweepError(f"{self.workdir} is neither empty nor a sweep (no plan.json); accepted: a new folder")
            return {}
        recorded = read_plan(self.workdir)
        free = set(recorded["swept"]) & set(swept(self.trials))
        there, here = as_config(recorded["base"]).identity(), self.base.identity()
        differing = [name for name in sorted(there | here) if name not in free and there.get(name) != here.get(name)]
        if differing:
            fields = ", ".join(f"{name} {there.get(name)!r} there, {here.get(name)!r} here" for name in differing)
            raise SweepError(
                f"{self.workdir} holds a sweep of another base config ({fields}); accepted: the same or a new folder"
            )
        return recorded

    def __enter__(self) -> "SweepDirectory":
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.workdir)
        self.recorded = self._check()  # Another process may have been here until now.
        need_room(self.workdir, 0)
        if self.recorded.get("starts"):
            warn_of_other_conditions(self.recorded["starts"][-1], self.workdir)
        return self

    def __exit__(self, *_) -> None:
        if self._lock:
            self._lock.close()

    def finished(self) -> dict[str, pa.Table]:
        """The tables of the finished packs, by name; a damaged one is said, and counts as not finished."""
        tables = {}
        for pack in self.recorded.get("packs", []):
            path = self.workdir / "packs" / f"{pack['name']}.parquet"
            if not path.exists():
                continue
            try:
                epochs = {name: epochs for row in pack["rows"] for name, epochs in row}
                tables[pack["name"]] = results.read_pack(path, epochs)
            except results.DamagedError as error:
                print(f"warning: {path} is damaged ({error}); its trials are run again", file=sys.stderr)
        return tables

    def missing_packs(
        self,
        tables: Mapping[str, pa.Table],
        made_for: Mapping[str, Any],
        make_packs: Callable[[dict[str, Config]], list[plan.Pack]],
    ) -> list[plan.Pack]:
        """The packs to run: those of an earlier start for the same machines and --lanes that are not finished and still
        wanted as they are, then new ones. So a sweep that goes on has the packs, and the bits, of one never stopped."""
        done = finished_trials(tables)
        kept = []
        for pack in self.recorded.get("packs", []):
            names = [name for row in pack["rows"] for name, _ in row]
            wanted = done.isdisjoint(names) and all(name in self.trials for name in names)
            if pack["name"] not in tables and wanted and self.recorded.get("made_for") == made_for:
                rows = tuple(tuple(name for name, _ in row) for row in pack["rows"])
                kept.append(plan.Pack(rows, lanes.Shape(*pack["shape"]), pack["has_momentum"]))
                done.update(names)
        new = {name: trial for name, trial in self.trials.items() if name not in done}
        return plan.by_program(kept + make_packs(new), self.trials)

    def write_plan(self, tables: Mapping[str, pa.Table], made_for: Mapping[str, Any], missing: list[plan.Pack]) -> None:
        """plan.json: the base config, the swept fields, the finished packs and those to come, and every start of the
        sweep that was by other packages, on another device or from another revision than the one before."""
        finished = [pack for pack in self.recorded.get("packs", []) if pack["name"] in tables]
        to_come = [
            {
                "name": pack.name,
                "shape": list(pack.shape),
                "has_momentum": pack.has_momentum,
                "rows": [[[name, self.trials[name].epochs] for name in row] for row in pack.rows],
            }
            for pack in missing
        ]
        start = provenance(self.base)
        base, starts = start.pop("config"), self.recorded.get("starts", [])
        content = {
            "base": base,
            "swept": sorted({*self.recorded.get("swept", []), *swept(self.trials)}),
            "made_for": made_for,
            "starts": [*starts, start] if not starts or (missing and starts[-1] != start) else starts,
            "packs": finished + to_come,
        }
        write_atomically(self.workdir / "plan.json", json.dumps(content) + "\n")
        (self.workdir / "packs").mkdir(exist_ok=True)

    def write_pack(self, pack: plan.Pack, table: pa.Table) -> None:
        """A finished pack's file, whole or not at all."""
        results.write_table(table, self.workdir / "packs" / f"{pack.name}.parquet")

    def write_results(self, table: pa.Table) -> list[dict[str, Any]]:
        """Writes what is read off all rows of the finished packs in this folder; returns the rows of the summary."""
        results.write_table(table, self.workdir / "results.parquet")
        summary = results.summary_rows(table)
        results.write_summary(summary, self.workdir / "summary.csv")
        write_tensorboard(table, self.workdir / "tensorboard")
        return summary


def read_plan(workdir: Path) -> dict[str, Any]:
    """plan.json; SweepError where it is damaged."""
    path = workdir / "plan.json"
    try:
        recorded = json.loads(path.read_bytes())
        whole = isinstance(recorded["base"], dict) and isinstance(recorded["swept"], list)
        whole = whole and all(isinstance(start["versions"], dict) for start in recorded["starts"])
        for pack in recorded["packs"]:
            whole = whole and {"name", "has_momentum"} <= pack.keys() and len(lanes.Shape(*pack["shape"])) == 2
            whole = whole and all(type(epochs) is int for row in pack["rows"] for _, epochs in row)
        if not whole:
            raise ValueError("it is no plan")
        return recorded
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SweepError(f"{path} is damaged ({error!r}); accepted: a plan.json written by this command") from error


def finished_trials(tables: Mapping[str, pa.Table]) -> set[str]:
    """The names of the trials in finished packs."""
    return {name for table in tables.values() for name in pc.unique(table["trial"]).to_pylist()}  # pyright: ignore
