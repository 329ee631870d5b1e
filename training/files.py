"""Places that users name: folders of this machine."""

import os
import re
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
