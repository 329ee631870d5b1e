"""Data sets that a function of the user's gives."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from readers.dataset import DataError, Dataset, NoTestError, without_test
from training import own
from training.console import one_line, shown

KEYS = ("x_train", "y_train", "x_test", "y_test")
ACCEPTED = (
    "a function that gives (x, y), (x_train, y_train, x_test, y_test), ((x_train, y_train), (x_test, y_test)) or these "
    "by name"
)


def load_own(reference: str, code: str, tested: bool) -> Dataset:
    """What the function FILE.py:NAME gives, called without arguments; the text of its file is in `code`, else read."""
    try:
        function = own.load(reference, code or own.code_of([reference]))
        if not callable(function):
            raise DataError(f"{reference} is {shown(function)}; accepted: {ACCEPTED}")
        given: Any = function()
    except DataError:
        raise
    except own.OwnError as error:
        raise DataError(f"{reference}: {error}; accepted: {ACCEPTED}") from error
    except (Exception, SystemExit) as error:  # It may raise anything.
        said = own.said_of(error, own.parts_of(reference)[0])
        raise DataError(f"{reference} fails: {one_line(said, 150)}; accepted: {ACCEPTED}") from error
    arrays = [_array(part, reference) for part in _parts(given, reference)]
    if len(arrays) == 2:
        if tested:
            raise NoTestError(f"{reference} gives no test set")
        return without_test(arrays[0], arrays[1])
    return Dataset(arrays[0], arrays[1], arrays[2], arrays[3])


def _parts(given: Any, reference: str) -> list[Any]:
    """The two or four arrays of what the function gives."""
    if isinstance(given, Mapping):
        keys = KEYS if {"x_test", "y_test"} & given.keys() else KEYS[:2]
        if missing := [key for key in keys if key not in given]:
            raise DataError(f"{reference} gives no {missing[0]}; accepted: {ACCEPTED}")
        return [given[key] for key in keys]
    if isinstance(given, tuple | list) and len(given) == 2 and all(isinstance(part, tuple) for part in given):
        given = [array for pair in given for array in pair]
    if isinstance(given, tuple | list) and len(given) in (2, 4):
        return list(given)
    raise DataError(f"{reference} gives {shown(type(given).__name__)}; accepted: {ACCEPTED}")


def _array(part: Any, reference: str) -> np.ndarray:
    """One of them as numpy has it."""
    try:
        array = np.asarray(part)
    except ValueError as error:  # Rows of several lengths.
        raise DataError(f"{reference} gives what is no array ({one_line(error, 100)}); accepted: {ACCEPTED}") from error
    if array.dtype.kind not in "iufb":
        raise DataError(f"{reference} gives an array of {array.dtype}; accepted: numbers")
    return array
