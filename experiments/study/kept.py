"""What a study has finished, line by line in its folder: one that was killed goes on where it was."""

import hashlib
import inspect
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import jax
import jaxlib.version

from training.files import LineFile, read_lines


def digest_of(modules: Sequence[ModuleType], *sizes: object) -> str:
    """Of what numbers are made: the modules' text, the sizes, and what computes."""
    text = [inspect.getsource(module) for module in modules]
    text += [repr(sizes), jaxlib.version.__version__, jax.default_backend()]
    return hashlib.sha256("\0".join(text).encode()).hexdigest()


class Kept:
    """Numbers by key in a file, called as `kept(key, make)` from any thread, which makes what is not there. Those that
    were made of something else (`digest_of`) are dropped, and from a damaged line on they are made anew."""

    def __init__(self, path: Path, made_of: str):
        first, rows = {"made_of": made_of}, read_lines(path).rows
        rows = rows[1:] if rows[:1] == [first] else []
        self._found: dict[str, list[float]] = {row["key"]: row["numbers"] for row in rows}
        self._file, self._lock = LineFile(path, [first, *rows]), threading.Lock()

    def __call__(self, key: str, make: Callable[[], Sequence[float]]) -> list[float]:
        """The numbers of that key; RunError where the disk refuses them."""
        if key not in self._found:
            numbers = [float(number) for number in make()]
            with self._lock:
                self._file.append({"key": key, "numbers": numbers})
                self._found[key] = numbers
        return self._found[key]

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
