"""Choosing from a table by name, with an error that helps."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def near_match(given: str, accepted: Iterable[str]) -> str:
    """` (did you mean 'tanh'?)` where something accepted is close to what was given, else nothing."""
    near = difflib.get_close_matches(given, list(accepted), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def look_up(table: Mapping[str, T], name: str, kind: str) -> T:
    """The table's entry of that name; a ValueError that lists the choices where there is none."""
    if name not in table:
        raise ValueError(f"unknown {kind} {name!r}{near_match(str(name), table)}; accepted: {', '.join(table)}")
    return table[name]
