"""Files that are whole or not there, folders that one process has to itself, and places that users name."""

import os
import re
import shutil
from pathlib import Path

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


def lock(workdir: Path):
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
