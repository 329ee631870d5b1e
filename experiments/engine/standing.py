"""How far a sweep is: what is finished in its folder, read at any instant, also while it runs in another process.

Nothing here needs the folder's lock: a pack's file appears whole or not at all, and plan.json is replaced as a whole.
What appears while the folder is read is there the next time.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from experiments.engine import results
from experiments.engine.plan_file import Recorded, read_plan
from training.console import count, warn


class Cached(NamedTuple):
    """A pack's table, and what its file looked like when it was read."""

    stamp: tuple[int, int]
    table: pa.Table


class Standing(NamedTuple):
    """How far a sweep is: how many of its trials and packs are finished, how long each trial took (its share of its
    pack, in seconds; trials of packs that do not say are left out), when the first pack began and the last one ended
    (seconds since 1970, None where no pack says so), how many rungs of successive halving are done; which trials
    are to go on in a pack to come."""

    trials: int
    planned: int
    packs: int
    planned_packs: int
    seconds: Mapping[str, float]
    began: float | None
    ended: float | None
    rungs: int = 0
    going: frozenset[str] = frozenset()

    def is_all_of(self, trials: Collection[str]) -> bool:
        """Whether so many trials are finished, as many are planned, and no pack is to come: then they are those."""
        return self.trials == self.planned == len(trials) and self.packs == self.planned_packs

    @property
    def words(self) -> str:
        """`37 of 192 trials, 5 of 24 packs are finished`."""
        parts = [("trial", self.trials, self.planned), ("pack", self.packs, self.planned_packs)]
        done = ", ".join(f"{done:,} of {of:,} {word}{'' if of == 1 else 's'}" for word, done, of in parts)
        halved = f"; {count(range(self.rungs), 'rung')} of halving done" if self.rungs else ""
        return f"{done} are finished{halved}"


class Folder:
    """The folder of a sweep, as whoever does not run it reads it; packs that have been read are kept."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self._cached: dict[str, Cached] = {}

    def stamp(self) -> str:
        """What changes with every pack and every start; cheap to ask."""
        paths = [self.workdir / "plan.json", self.workdir / "results.parquet", self.workdir / "packs"]
        return "-".join(f"{status[0]:x}.{status[1]:x}" for status in map(stamp_of, paths))

    def read(self) -> tuple[pa.Table | None, Standing | None]:
        """All rows of the finished packs and how far the sweep is; no rows where no pack is finished, and no standing
        where there is no plan, but a results.parquet alone. DamagedError where there is neither, SweepError where the
        plan is damaged."""
        if not (self.workdir / "plan.json").is_file():
            return results.read_table(self.workdir / "results.parquet"), None
        recorded = read_plan(self.workdir)
        tables = read_packs(self.workdir, recorded, self._cached, "its trials are left out")
        standing = standing_of(recorded, tables)
        if tables:
            there = {name for table in tables.values() for name in pc.unique(table["trial"]).to_pylist()}  # pyright: ignore
            return results.join(results.latest(tables, superseded_in(recorded, there))), standing
        # Whoever has the results may do without the packs.
        path = self.workdir / "results.parquet"
        return (results.read_table(path), None) if path.is_file() else (None, standing)


def stamp_of(path: Path) -> tuple[int, int]:
    """When a file or folder was changed last, and its size; zeros where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def read_packs(
    workdir: Path,
    recorded: Recorded,
    cached: dict[str, Cached] | None = None,
    otherwise: str = "its trials are run again",
) -> dict[str, pa.Table]:
    """The tables of the finished packs of a plan, by name; a damaged one is said, and counts as not finished. What is
    in `cached`, which grows, is not read again."""
    tables: dict[str, pa.Table] = {}
    cached = {} if cached is None else cached
    for pack in recorded.packs:
        path = workdir / "packs" / f"{pack.name}.parquet"
        stamp = stamp_of(path)
        if stamp == (0, 0):
            continue
        if pack.name not in cached or cached[pack.name].stamp != stamp:
            try:
                cached[pack.name] = Cached(stamp, results.read_pack(path, pack.epochs))
            except results.DamagedError as error:
                if path.exists():  # Else it has gone since it was listed.
                    warn(f"{path} is damaged ({error}); {otherwise}")
                continue
        tables[pack.name] = cached[pack.name].table
    return tables


def standing_of(recorded: Recorded, tables: Mapping[str, pa.Table]) -> Standing:
    """How far the sweep of that plan is with those packs finished, by name. A trial that goes on in a pack to come is
    not finished, and one that has gone on under another name is counted under that."""
    superseded = superseded_in(recorded, {name for pack in recorded.packs for name in pack.epochs})
    planned = {name for pack in recorded.packs for name in pack.epochs} - superseded
    missing = {name for pack in recorded.packs if pack.name not in tables for name in pack.epochs}
    there: set[str] = set()
    seconds: dict[str, float] = {}
    times: list[results.Times] = []
    for table in tables.values():
        there.update(pc.unique(table["trial"]).to_pylist())  # pyright: ignore
        if found := results.times_of(table):
            times.append(found)
            new = table.filter(pc.greater(table["epoch"], found.start))["trial"]  # pyright: ignore
            for row in pc.value_counts(new).to_pylist():  # pyright: ignore
                seconds[row["values"]] = seconds.get(row["values"], 0.0) + found.seconds * row["counts"] / len(new)
    finished = there - missing - superseded
    return Standing(
        len(finished),
        len(planned | finished),
        len(tables),
        len({pack.name for pack in recorded.packs} | tables.keys()),
        seconds,
        min((found.began for found in times), default=None),
        max((found.ends[-1] for found in times), default=None),
        len(recorded.rungs),
        frozenset(there & missing),
    )


def superseded_in(recorded: Recorded, there: set[str]) -> set[str]:
    """The trials that have gone on as another one of those."""
    return {source for source, name in recorded.continued.items() if name in there}
