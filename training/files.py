"""Files that are whole or not there, lines that are sound or known not to be, folders that one process has to itself,
and places that users name."""

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

# Two letters or more, since one is a drive of Windows; one slash is what `Path` leaves of two.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class PlaceError(OSError):
    """A place that is none on this machine, in one line."""


def place(given: str | Path) -> Path:
    """The folder or file that was named, `~` and `~user` expanded; PlaceError for what is no path of this machine.

    What comes out goes in again unchanged: `./~mnist`, a folder of that name, becomes a full path.
    """
    text = str(given)
    if not text or "\0" in text:
        raise PlaceError(f"{text!r} is no path; accepted: a folder of this machine")
    if _SCHEME.match(text):
        raise PlaceError(f"{text} is not on this machine; accepted: a folder of this machine")
    if not text.startswith("~"):
        path = Path(text)
        return path.absolute() if path.parts and path.parts[0].startswith("~") else path
    first = text.partition("/")[0]
    # An empty HOME would make `~/mine` of the root folder.
    if os.path.isabs(os.path.expanduser(first)) and (first != "~" or os.environ.get("HOME") != ""):
        return Path(os.path.expanduser(text))
    whose, instead = f"user {first[1:]!r}", f", or ./{text} as it stands"
    if first == "~":
        whose, instead = "this user", " (HOME is not set to one)"
    raise PlaceError(f"{text}: {whose} has no home folder; accepted: a path without ~{instead}")


class RunError(Exception):
    """A run directory that cannot be used as asked, in one line."""


def lock(workdir: Path) -> io.TextIOWrapper:
    """An open file that keeps a second process out of the run; RunError where there is one. The lock ends with the
    process, however it ends."""
    import fcntl

    file = (workdir / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise RunError(f"{workdir} is in use by another process; accepted: another folder, or wait for it") from error
    return file


def need_room(workdir: Path, size: int) -> None:
    """RunError where less than that many bytes and a reserve of one MB are free."""
    needed, free = size + 2**20, shutil.disk_usage(workdir).free
    if free < needed:
        raise RunError(f"no room in {workdir}: {free:,} bytes are free; accepted: at least {needed:,}")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes the whole file or nothing: beside its place first, then renamed into it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Lines(NamedTuple):
    """The sound objects in a file of one JSON object a line, up to the first line that is not: what is wrong with that
    line, '' where nothing is, and whether there were digests to tell by."""

    rows: list[dict[str, Any]]
    damage: str
    digested: bool


def digests_of(path: Path) -> Path:
    """Where the digests of a file's lines are kept: one a line, each of the line and of all before it."""
    return path.with_name(f"{path.name}.sha256")


def _chained(before: bytes, line: bytes) -> bytes:
    return hashlib.sha256(before + line).hexdigest().encode()


def read_lines(path: Path) -> Lines:
    """The objects in a file that a `LineFile` wrote; a last line without its end was torn when the machine stopped, and
    is no damage. Files of before there were digests are read without them."""
    text = path.read_bytes() if path.exists() else b""
    # Not splitlines, which would also cut at a carriage return that does not belong there.
    lines = [line + b"\n" for line in text.split(b"\n")[:-1]]
    digested = digests_of(path).exists()
    digests = digests_of(path).read_bytes().split() if digested else []
    rows: list[dict[str, Any]] = []
    before = b""
    for i, line in enumerate(lines):
        if digested:
            before = _chained(before, line)
            if digests[i : i + 1] != [before]:
                reason = "does not match its digest" if digests[i:] else "has no digest"
                return Lines(rows, f"line {i + 1} of {path} {reason}", digested)
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            return Lines(rows, f"line {i + 1} of {path} is no JSON object", digested)
        rows.append(row)
    return Lines(rows, "", digested)


class LineFile:
    """A file of one JSON object a line, and beside it the digests of its lines, open for more. Unbuffered: a line is in
    the file when `append` returns, and nothing is left to be written on closing."""

    def __init__(self, path: Path, rows: Iterable[dict[str, Any]]):
        lines = [_line_of(row) for row in rows]
        digests: list[bytes] = []
        self._last = b""
        for line in lines:
            self._last = _chained(self._last, line)
            digests.append(self._last + b"\n")
        # Stopped between the two, the digests are those of more lines, of which these are the first.
        write_atomically(path, b"".join(lines))
        write_atomically(digests_of(path), b"".join(digests))
        self._lines, self._digests = path.open("ab", buffering=0), digests_of(path).open("ab", buffering=0)

    def append(self, row: dict[str, Any]) -> None:
        """Writes one more object; RunError where the disk refuses it."""
        line = _line_of(row)
        self._last = _chained(self._last, line)
        # First the digest, so that no line lacks its own.
        for file, content in ((self._digests, self._last + b"\n"), (self._lines, line)):
            try:
                if file.write(content) < len(content):
                    raise OSError("no space left on the device")
            except OSError as error:
                raise RunError(f"{file.name} cannot be written: {error}") from error

    def close(self) -> None:
        """Closes both files."""
        self._digests.close()
        self._lines.close()


def _line_of(row: dict[str, Any]) -> bytes:
    return (json.dumps(row) + "\n").encode()
