"""Short packs travel together: what the driver of a cluster hands to a task, and what comes back.

A task costs a driver the same whatever is in it, so that of packs that take moments several go into one, a *bundle*.
How many is learnt from the bundles before: twice as many as came back in time. A worker begins no further pack after
`AT_A_TIME` seconds but gives back what is left, so that a bundle whose packs turn out to be long holds up one of them,
and with a worker no more than these seconds and a pack are lost. The rows of packs with the same columns are one table.
"""

import pickle
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

P = TypeVar("P")  # A pack.
# Seconds after which a worker begins no further pack of a bundle, and the most packs of one.
AT_A_TIME, MOST = 0.5, 64


class Rows(NamedTuple):
    """The rows of packs, one after the other: a table as an Arrow stream, and how many rows are of each pack with
    what its table says beside them."""

    stream: bytes
    parts: list[tuple[int, dict[bytes, bytes] | None]]


class Answer(NamedTuple):
    """What comes back of a bundle: the rows of the first packs, and their states; how many seconds they took."""

    rows: list[Rows]
    states: list[Any]
    seconds: float


class Size:
    """How many packs the next bundle has."""

    def __init__(self) -> None:
        self._packs = 1

    def of_next(self, waiting: int, at_a_time: int) -> int:
        """So many that each of so many tasks at a time has some of those that wait."""
        return max(1, min(self._packs, waiting // at_a_time))

    def learn(self, handed: int, answer: Answer) -> None:
        """Takes in how long a bundle of so many packs took."""
        done = len(answer.states)
        if done < handed:
            self._packs = done
        elif answer.seconds < AT_A_TIME / 2:
            self._packs = max(self._packs, min(2 * done, MOST))


def packed(parcels: Sequence[Any]) -> bytes:
    """The parcels as one piece: of several arguments Ray makes several pieces, which costs its driver more than all
    else of a short pack."""
    return pickle.dumps(parcels, pickle.HIGHEST_PROTOCOL)


def worked(bundle: bytes, work: Callable[[Any], tuple[pa.Table, Any]]) -> Answer:
    """What a worker makes of a bundle: of every parcel a table and states, as long as there is time and nothing fails;
    what fails as the first one is raised."""
    start, tables, states = time.perf_counter(), list[pa.Table](), list[Any]()
    for parcel in pickle.loads(bundle):
        try:
            table, state = work(parcel)
        except Exception:
            if not tables:
                raise
            break  # Those before it are kept; handed out again, it is the first one.
        tables.append(table)
        states.append(state)
        if time.perf_counter() - start > AT_A_TIME:
            break
    return Answer(rows_of(tables), states, time.perf_counter() - start)


def rows_of(tables: Sequence[pa.Table]) -> list[Rows]:
    """The tables in order, those beside one another that have the same columns together."""
    groups: list[list[pa.Table]] = []
    for table in tables:
        if groups and groups[-1][0].schema.equals(table.schema):
            groups[-1].append(table)
        else:
            groups.append([table])
    return [_together(group) for group in groups]


def _together(tables: Sequence[pa.Table]) -> Rows:
    sink, whole = pa.BufferOutputStream(), pa.concat_tables(tables).combine_chunks()
    with pa.ipc.new_stream(sink, whole.schema) as stream:
        stream.write_table(whole)
    return Rows(sink.getvalue().to_pybytes(), [(len(table), table.schema.metadata) for table in tables])


def tables_of(answer: Answer) -> list[pa.Table]:
    """The tables that were put together."""
    found: list[pa.Table] = []
    for rows in answer.rows:
        whole, start = pa.ipc.open_stream(rows.stream).read_all(), 0
        for length, metadata in rows.parts:
            found.append(whole.slice(start, length).replace_schema_metadata(metadata))
            start += length
    return found


def next_bundle(waiting: list[P], most: int, key: Callable[[P], object]) -> list[P]:
    """Takes at most so many packs off the end of those that wait, as far as they have the same key."""
    bundle = [waiting.pop()]
    of_first = key(bundle[0]) if most > 1 else None
    while waiting and len(bundle) < most and key(waiting[-1]) == of_first:
        bundle.append(waiting.pop())
    return bundle
