"""The folder of a sweep: which packs there are, which are finished, and what is written of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NamedTuple, Self

import pyarrow as pa

from experiments.engine import plan, plan_file, results
from experiments.engine.plan_file import PlannedPack, Recorded, SweepError, read_plan
from experiments.engine.space import Trials, swept
from experiments.engine.standing import Standing, read_packs
from experiments.engine.tensorboard import Events
from training import stopping
from training.config import Config
from training.files import lock, need_room, place, write_atomically
from training.provenance import provenance, warn_of_other_conditions


class Span(NamedTuple):
    """Epochs of a trial: after which one they start, and with which one they end."""

    start: int
    end: int


class SweepDirectory:
    """The folder of a sweep: which packs there are, which are finished. A context manager that keeps others out."""

    def __init__(self, workdir: str | Path, base: Config, trials: Trials, goes_on: bool = False):
        self.workdir, self.base, self.trials, self._goes_on = place(workdir), base, trials, goes_on
        self.recorded = self._check()
        self.events: Events | None = None
        self.standing: Standing | None = None  # How far the sweep is, once it has run.
        self._lock: IO[str] | None = None

    def _check(self) -> Recorded | None:
        """plan.json of an earlier start, None where there is none; SweepError where the folder is not this sweep's."""
        if not (self.workdir / "plan.json").exists():
            if self.workdir.exists() and not self.workdir.is_dir():
                raise SweepError(f"{self.workdir} is a file; accepted: a new folder, or the folder of a sweep")
            if self.workdir.is_dir() and any(not entry.name.startswith(".") for entry in self.workdir.iterdir()):
                raise SweepError(f"{self.workdir} is neither empty nor a sweep (no plan.json); accepted: a new folder")
            return None
        recorded = read_plan(self.workdir)
        if self._goes_on:
            self._check_epochs(recorded)
        free = set(recorded.swept) & set(swept(self.trials)) | set(stopping.FIELDS if self._goes_on else ())
        there, here = recorded.base.identity(), self.base.identity()
        differing = [name for name in sorted(there | here) if name not in free and there.get(name) != here.get(name)]
        if differing:
            fields = ", ".join(f"{name} {there.get(name)!r} there, {here.get(name)!r} here" for name in differing)
            instead = "--continue, " if set(differing) <= set(stopping.FIELDS) else ""
            raise SweepError(
                f"{self.workdir} holds a sweep of another base config ({fields}); accepted: {instead}the same or a new "
                f"folder"
            )
        return recorded

    def _check_epochs(self, recorded: Recorded) -> None:
        """SweepError where trials cannot go on for the epochs that there are now: fewer, or others over which their
        rates are stretched."""
        there, here = recorded.base.epochs, self.base.epochs
        if here < there:
            raise SweepError(f"{self.workdir} has {there} epochs, {here} here; accepted with --continue: more")
        stretched = next((trial for trial in self.trials.values() if trial.is_stretched), None)
        if here > there and stretched and "epochs" not in swept(self.trials):
            raise SweepError(
                f"{self.workdir} has {there} epochs, over which its schedule={stretched.schedule} is stretched, {here} "
                "here; accepted with --continue: as many, or a new folder"
            )

    def __enter__(self) -> Self:
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.workdir)
        try:
            self.recorded = self._check()  # Another process may have been here until now.
            need_room(self.workdir, 0)
            if self.recorded and self.recorded.starts:
                warn_of_other_conditions(self.recorded.starts[-1], self.workdir)
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock:
            self._lock.close()

    def finished(self) -> dict[str, pa.Table]:
        """The tables of the finished packs, by name; a damaged one is said, and counts as not finished."""
        if not self.recorded:
            return {}
        tables = read_packs(self.workdir, self.recorded)
        if not self.recorded.is_digested:
            self.recorded = self._with_names_of_now(self.recorded, tables.values())
        return tables

    def _with_names_of_now(self, recorded: Recorded, tables: Iterable[pa.Table]) -> Recorded:
        """A plan of the first version with the names that trials have now, as far as their configs are known: those of
        finished packs and those that are wanted."""
        names = {trial.name(recorded.base): name for name, trial in self.trials.items()}
        for table in tables:
            names |= results.first_names(table)
        return recorded._replace(packs=tuple(pack.renamed(names) for pack in recorded.packs))

    def missing_packs(
        self,
        tables: Mapping[str, pa.Table],
        made_for: Mapping[str, Any],
        make_packs: Callable[[dict[str, Config]], list[plan.Pack]],
        to_come: Mapping[str, Span],
    ) -> list[plan.Pack]:
        """The packs to run for the epochs that are to come of each trial: those of an earlier start for the same
        machines and --lanes that are not finished and still wanted as they are, then new ones. So a sweep that goes on
        has the packs, and the bits, of one never stopped."""
        left, kept = dict(to_come), list[plan.Pack]()
        if self.recorded and self.recorded.made_for == made_for:
            for pack in self.recorded.packs:
                wanted = all(left.get(name) == Span(pack.start, epoch) for name, epoch in pack.epochs.items())
                if pack.name not in tables and wanted:
                    kept.append(pack.to_run())
                    for name in pack.epochs:
                        del left[name]
        parts: dict[tuple[int, int], dict[str, Config]] = {}
        for name, (start, end) in left.items():
            trial = self.trials[name]
            parts.setdefault((start, end if end < trial.epochs else 0), {})[name] = trial
        new = [
            pack._replace(start=start, end=end)
            for (start, end), of_part in parts.items()
            for pack in make_packs(of_part)
        ]
        return plan.by_program(kept + new, self.trials)

    def write_plan(
        self,
        tables: Mapping[str, pa.Table],
        made_for: Mapping[str, Any],
        missing: list[plan.Pack],
        rungs: Sequence[Mapping[str, int]] = (),
        continued: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """plan.json: the base config, the swept fields, the finished packs and those to come, and every start of the
        sweep that was by other packages, on another device or from another revision than the one before; the rungs of
        successive halving so far, and which trials have gone on as which."""
        before = self.recorded or Recorded(self.base, (), made_for, (), ())
        finished = [pack for pack in before.packs if pack.name in tables]
        start, starts = provenance(self.base), before.starts
        del start["config"]
        if not starts or (missing and starts[-1] != start):
            starts = (*starts, start)
        fields = tuple(sorted({*before.swept, *swept(self.trials)}))
        packs = (*finished, *(planned(pack, self.trials) for pack in missing))
        # What is asked for again is there for itself.
        went_on = {then: now for then, now in {**before.continued, **continued}.items() if then not in self.trials}
        self.recorded = Recorded(
            self.base, fields, made_for, starts, packs, rungs=tuple(rungs), continued=MappingProxyType(went_on)
        )
        plan_file.write_plan(self.recorded, self.workdir / "plan.json")
        (self.workdir / "packs").mkdir(exist_ok=True)

    def write_pack(self, pack: plan.Pack, table: pa.Table) -> None:
        """A finished pack's file, whole or not at all; then what TensorBoard shows of it."""
        results.write_table(table, self.workdir / "packs" / f"{pack.name}.parquet")
        if self.events:
            self.events.write(table, self.recorded.continued if self.recorded else {})

    def write_results(self, table: pa.Table, summed: pa.Table | None = None) -> list[dict[str, Any]]:
        """Writes what is read off all rows of the finished packs in this folder, the summary of `summed` where that is
        not of all of them; returns the rows of the summary. A results.parquet of the same rows is left as it is, so
        that its time says since when they are there."""
        path, content = self.workdir / "results.parquet", results.as_bytes(table)
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)
        summary = results.summary_rows(table if summed is None else summed)
        results.write_summary(summary, self.workdir / "summary.csv")
        return summary


def planned(pack: plan.Pack, trials: Trials) -> PlannedPack:
    """A pack to run as it stands in plan.json."""
    end = pack.last_epoch(trials)
    rows = tuple(tuple((name, end) for name in row) for row in pack.rows)
    return PlannedPack(pack.name, rows, pack.shape, pack.optional, pack.start, pack.end)
