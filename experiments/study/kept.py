"""What a study has finished, line by line in its folder: one that was killed goes on where it was."""

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from training.files import LineFile, digests_of, lock, read_lines
from training.provenance import code_digest, device, versions


def digest_of(rooms: tuple[str, ...], *sizes: object) -> str:
    """Of what numbers are made: this project's files in those folders, or those files, the sizes, and what computes."""
    made_of = [code_digest(rooms), versions(), device(), repr(sizes)]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


class Kept:
    """Numbers by key in a folder, called as `kept(key, make)` from any thread, which makes what is not there.

    Those that were made of something else (`digest_of`) stay beside, and from a damaged line on they are made anew.
    RunError where another process has the folder, or the disk refuses.
    """

    def __init__(self, folder: Path, made_of: str):
        self._held = lock(folder)
        path = folder / f"kept-{made_of[:16]}.jsonl"
        rows = read_lines(path).rows
        self._found: dict[str, list[float]] = {row["key"]: row["numbers"] for row in rows}
        self._file, self._one = LineFile(path, rows), threading.Lock()

    def __call__(self, key: str, make: Callable[[], Sequence[float]]) -> list[float]:
        """The numbers of that key."""
        if key not in self._found:
            numbers = [float(number) for number in make()]
            with self._one:
                self._file.append({"key": key, "numbers": numbers})
                self._found[key] = numbers
        return self._found[key]

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._held.close()


def forget(folder: Path) -> None:
    """Removes what is kept there, once a study has ended: asked for again it runs again."""
    for path in folder.glob("kept-*.jsonl"):
        path.unlink()
        digests_of(path).unlink(missing_ok=True)
