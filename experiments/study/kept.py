"""What a study has finished, line by line in its folder: one that was killed goes on where it was."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from training.files import LineFile, digests_of, lock, read_lines, write_atomically
from training.provenance import code_digest, device, versions

# Of a study on fresh seeds, within its own folder; how long what is kept there had taken when it was opened.
FRESH, BEFORE = "fresh", "seconds_before.json"


def digest_of(rooms: tuple[str, ...], *sizes: object) -> str:
    """Of what numbers are made: this project's files in those folders, or those files, the sizes, and what computes."""
    made_of = [code_digest(rooms), versions(), device(), repr(sizes)]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


class Kept:
    """Numbers by key in a folder, called as `kept(key, make)` from any thread, which makes what is not there.

    Those that were made of something else (`digest_of`) stay beside, and from a damaged line on they are made anew. How
    long what is there took stands beside it (`seconds_before`). RunError where another process has the folder, or the
    disk refuses.
    """

    def __init__(self, folder: Path, made_of: str):
        self._held = lock(folder)
        path = folder / f"kept-{made_of[:16]}.jsonl"
        rows = read_lines(path).rows
        self._found: dict[str, list[float]] = {row["key"]: row["numbers"] for row in rows}
        self._file, self._one, self._start = LineFile(path, rows), threading.Lock(), time.monotonic()
        write_atomically(folder / BEFORE, json.dumps(_seconds_of(rows)) + "\n")

    def __call__(self, key: str, make: Callable[[], Sequence[float]]) -> list[float]:
        """The numbers of that key."""
        if key not in self._found:
            numbers = [float(number) for number in make()]
            with self._one:
                self._file.append({"key": key, "numbers": numbers, "seconds": time.monotonic() - self._start})
                self._found[key] = numbers
        return self._found[key]

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._held.close()


def _seconds_of(rows: Iterable[dict[str, Any]]) -> float:
    """How long the processes that made them ran, each from its beginning to its last row."""
    ended, last = 0.0, 0.0
    for row in rows:
        seconds = row.get("seconds", 0.0)
        ended, last = ended + last * (seconds < last), seconds
    return ended + last


def seconds_before(folder: Path) -> float:
    """How long processes that were killed had been at what the study that has ended in the folder went on with."""
    paths = [path for path in (folder / BEFORE, folder / FRESH / BEFORE) if path.exists()]
    return sum(float(json.loads(path.read_bytes())) for path in paths)


def forget(folder: Path) -> None:
    """Removes what is kept there, once a study has ended: asked for again it runs again."""
    for path in folder.glob("kept-*.jsonl"):
        path.unlink()
        digests_of(path).unlink(missing_ok=True)
