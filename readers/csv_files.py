"""Data sets in CSV files: a row an example, one column of labels, numbers in all others.

The labels stand in the column named label, target, class or y, else in the first. Whole numbers are classes, numbers
with a point targets of a regression, and words classes in sorted order. There is no test part.
"""

import contextlib
import csv
import gzip
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from nets.tables import near_match
from readers.dataset import FEWEST_PIXELS, DataError, Dataset, NoTestError, without_test
from training.console import one_line

LABELS = ("label", "target", "class", "y")
MISSING = ("", "na", "n/a", "nan", "?")
# What pandas calls its index, and what it calls that once it has read it.
INDICES = ("", "Unnamed: 0")
# Where more of the labels than this are numbers, one that is none is a mistake and not the name of a class.
MOSTLY = 0.9


class Layout(NamedTuple):
    """How a file is laid out: the names of its columns, () where it has no header, their number, which has labels."""

    path: Path
    names: tuple[str, ...]
    width: int
    label: int

    def column(self, i: int) -> str:
        """A column as a message names it."""
        return f"column {self.names[i]!r}" if self.names and self.names[i] else f"column {i + 1}"

    def refuse(self, row: int, column: int, said: str) -> NoReturn:
        """Raises DataError for a cell."""
        where = f"csv:{self.path}: row {row}, {self.column(column)}: {said}"
        if self.names and self.names[self.label].lower() not in LABELS:
            where += f"; the labels were taken from {self.column(self.label)}, as none is named {' or '.join(LABELS)}"
        raise DataError(where)


def load_csv(path: Path, tested: bool) -> Dataset:
    """The data set in a CSV file, plain or gzipped; it has no test part."""
    if not path.is_file():
        near = near_match(path.name, [p.name for p in path.parent.glob("*")]) if path.parent.is_dir() else ""
        raise DataError(f"csv:{path}: no such file{near}; accepted: a CSV file")
    if tested:
        raise NoTestError(f"csv:{path} has no test set")
    try:
        layout, numbers_R, words, features = _read(path)
        features_NxD = np.stack(features) if features else np.empty((0, layout.width - 1), np.float32)
    except DataError:
        raise
    except (OSError, EOFError, UnicodeError, csv.Error, MemoryError, zlib.error) as error:
        raise DataError(f"csv:{path} cannot be read as CSV: {one_line(error, 150)}") from error
    if not len(features_NxD):
        raise DataError(f"csv:{path} has no rows; accepted: a row an example")
    labels, names = _labels(layout, numbers_R, words)
    _check_no_index(layout, None if names else labels, features_NxD)
    return without_test(_as_bytes(features_NxD), labels)._replace(class_names=names)


def _read(path: Path) -> tuple[Layout, list[int], list[str], list[np.ndarray]]:
    """The layout of a file, and of each example its row in the file, its label as it is written, its features."""
    numbers_R: list[int] = []
    words: list[str] = []
    features: list[np.ndarray] = []
    layout = None
    for row, cells in _rows(path):
        if layout is None:
            layout = _layout(path, cells)
            if layout.names:
                continue
        if len(cells) != layout.width:
            given = f"{len(cells)} cell{'s' * (len(cells) != 1)} where the first row has {layout.width}"
            raise DataError(f"csv:{path}: row {row} has {given}; accepted: as many in each row")
        words.append(cells[layout.label].strip())
        features.append(_features(layout, row, cells))
        numbers_R.append(row)
    if layout is None:
        raise DataError(f"csv:{path} is empty; accepted: a row an example")
    return layout, numbers_R, words, features


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with its line in the file."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with (gzip.open if zipped else open)(path, "rt", encoding="utf-8-sig", newline="") as opened:
        file: Any = opened
        first = ""
        while (line := file.readline(1_000_000)) and not first:
            first = line.strip(",;\t \r\n") and line
        delimiter = _delimiter(first)
        file.seek(0)
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        yield from ((reader.line_num, cells) for cells in reader if any(map(str.strip, cells)))


def _delimiter(line: str) -> str:
    """What stands between the cells of a line: of comma, semicolon and tab the one that is most frequent outside of
    quotes. Of several that are as frequent not the comma, which stands within numbers then."""
    return max("\t;,", key=re.sub(r'"[^"]*"', "", line).count)


def _layout(path: Path, first: list[str]) -> Layout:
    """The layout that the first row shows: it is a header where one of its cells is a name of labels, or where none
    is a number."""
    names = tuple(cell.strip() for cell in first)
    lower = [name.lower() for name in names]
    named = [name for name in LABELS if name in lower]
    if len(names) < 2:
        raise DataError(f"csv:{path} has a single column; accepted: one of labels and one of numbers or more")
    if not named and any(map(_is_number, names)):
        return Layout(path, (), len(names), 0)
    for i, name in enumerate(lower):
        if not named and (near := near_match(name, LABELS[:-1])):
            raise DataError(
                f"csv:{path}: no column is named {' or '.join(LABELS)}, but {names[i]!r}{near}; accepted: one of them, "
                f"or labels in the first column and no such name"
            )
    if named and lower.count(named[0]) > 1:
        raise DataError(f"csv:{path}: {lower.count(named[0])} columns are named {named[0]!r}; accepted: one")
    return Layout(path, names, len(names), lower.index(named[0]) if named else 0)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def _features(layout: Layout, row: int, cells: list[str]) -> np.ndarray:
    """The numbers of a row but for its label, as float32."""
    given = cells[: layout.label] + cells[layout.label + 1 :]
    # Python takes 1_000 for a number, which nobody means in a table.
    if "_" not in "".join(given):
        with contextlib.suppress(ValueError), np.errstate(over="ignore"):
            numbers = np.array(list(map(float, given))).astype(np.float32)
            if np.isfinite(numbers).all():
                return numbers
    for i, cell in enumerate(cells):
        if i == layout.label:
            continue
        if cell.strip().lower() in MISSING:
            layout.refuse(row, i, f"{cell.strip()!r} is a missing value; accepted: a number in every cell")
        if not _is_number(cell):
            layout.refuse(row, i, f"{one_line(cell.strip(), 40)!r} is no number")
        if not abs(float(cell)) <= float(np.finfo(np.float32).max):
            layout.refuse(row, i, f"{one_line(cell.strip(), 40)!r} is not finite; accepted: finite numbers")
    raise DataError(f"csv:{layout.path}: row {row} cannot be read as numbers")


def _labels(layout: Layout, numbers_R: list[int], words: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """int classes with their names, or float targets without."""
    for row, word in zip(numbers_R, words, strict=True):
        if word.lower() in MISSING:
            layout.refuse(row, layout.label, f"{word!r} is a missing label; accepted: a label in every row")
    others = layout.names[: layout.label] + layout.names[layout.label + 1 :]
    if layout.names and layout.names[layout.label] in words and all(map(_is_number, others)):
        name = layout.names[layout.label]
        raise DataError(
            f"csv:{layout.path}: its first row may be a header, since {name!r} names labels, or an example, since "
            f"{name!r} is a label below; accepted: a header of names above it"
        )
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}", word) for word in words):
        return np.array([int(word) for word in words], np.int64), ()
    numeric = [_is_number(word) for word in words]
    if all(numeric):
        targets = np.array([float(word) for word in words])
        for row, target in zip(numbers_R, targets.tolist(), strict=True):
            if not math.isfinite(target):
                layout.refuse(row, layout.label, f"{target} is not finite; accepted: finite numbers")
        return targets, ()
    if sum(numeric) > MOSTLY * len(words):
        i = numeric.index(False)
        layout.refuse(numbers_R[i], layout.label, f"{one_line(words[i], 40)!r} is no number, as the other labels are")
    names, labels = np.unique(np.array(words), return_inverse=True)
    return labels.ravel(), tuple(names.tolist())


def _check_no_index(layout: Layout, numbers_N: np.ndarray | None, features_NxD: np.ndarray) -> None:
    """Raises DataError for a column without a name that counts the rows, as pandas writes it unless told not to; the
    labels are among them where they are numbers."""
    for i, name in enumerate(layout.names):
        column = numbers_N if i == layout.label else features_NxD[:, i - (i > layout.label)]
        if name not in INDICES or column is None or len(column) < 2 or column[0] not in (0, 1):
            continue
        if np.array_equal(column, np.arange(len(column)) + column[0]):
            raise DataError(
                f"csv:{layout.path}: column {i + 1} has no name and counts the rows; accepted: a file without such an "
                f"index, as pandas writes it with index=False"
            )


def _as_bytes(features_NxD: np.ndarray) -> np.ndarray:
    """Pixels as uint8, which are scaled in training; all other numbers as they are."""
    if features_NxD.shape[1] < FEWEST_PIXELS or features_NxD.min() < 0 or not 128 <= features_NxD.max() <= 255:
        return features_NxD
    pixels = features_NxD.astype(np.uint8)
    return pixels if np.array_equal(pixels, features_NxD) else features_NxD
