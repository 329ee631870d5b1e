"""Data sets in npz files: Keras's four arrays in one file, or KMNIST's four files of one array. No pickle is loaded."""

import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nets.tables import near_match
from readers.dataset import DataError, Dataset, NoTestError, without_test
from training.console import one_line

KEYS = ("x_train", "y_train", "x_test", "y_test")
ACCEPTED = "x_train and y_train, with x_test and y_test where there is a test set"
# How pickles begin, and single arrays of numpy, which may hold one.
PICKLES = (b"\x80", b"\x93NUMPY")
# What can be wrong with a zip archive of arrays: torn, foreign, pickled.
DAMAGES = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    SyntaxError,
    MemoryError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


class PartName(NamedTuple):
    """What the name of one of KMNIST's files says: of which data set, which part, images or labels."""

    dataset: str
    part: str
    kind: str


def parse_name(name: str) -> PartName | None:
    """`k49-train-imgs.npz`: k49's training images; None for other names."""
    words = re.fullmatch(r"(?:(.*)[-_])?(train|test)[-_](imgs|labels)\.npz", name)
    return PartName(words[1] or "", words[2], words[3]) if words else None


def load_npz(given: Path, tested: bool) -> Dataset:
    """The data set of a file with `x_train` and `y_train`, or of KMNIST's files, of which one or their folder is
    named; without a test set where there is none, unless it is asked for."""
    if given.is_dir():
        return _load_parts(given, _the_one_dataset(given), tested)
    if not given.is_file():
        folder = given.parent
        near = near_match(given.name, [path.name for path in folder.glob("*.npz")]) if folder.is_dir() else ""
        raise DataError(f"npz:{given}: no such file{near}; accepted: an npz file, or the folder of KMNIST's")
    arrays = _read(given)
    says = parse_name(given.name)
    if says and not set(KEYS[:2]) <= arrays.keys():
        return _load_parts(given.parent, says.dataset, tested)
    for key in KEYS if "x_test" in arrays or "y_test" in arrays else KEYS[:2]:
        if key not in arrays:
            near = near_match(key, [name for name in arrays if name not in KEYS])
            there = ", ".join(arrays) or "nothing"
            raise DataError(f"npz:{given} lacks {key}{near}; it has {one_line(there, 80)}; accepted: {ACCEPTED}")
    return _dataset([arrays.get(key) for key in KEYS], str(given), tested)


def _load_parts(folder: Path, dataset: str, tested: bool) -> Dataset:
    """The data set of that name in KMNIST's layout."""
    slots = [(part, kind) for part in ("train", "test") for kind in ("imgs", "labels")]
    paths = {says[1:]: path for path, says in _parts(folder).items() if says.dataset == dataset}
    has_test = any(part == "test" for part, _ in paths)
    for part, kind in slots:
        if (part, kind) not in paths and (part == "train" or has_test):
            raise DataError(f"npz:{folder} has no file {'-'.join(filter(None, (dataset, part, kind)))}.npz")
    arrays = [_single(paths[slot]) if slot in paths else None for slot in slots]
    return _dataset(arrays, str(folder), tested)


def _parts(folder: Path) -> dict[Path, PartName]:
    """The files of a folder whose names are as KMNIST's, with what these say."""
    said = {path: parse_name(path.name) for path in sorted(folder.iterdir()) if path.is_file()}
    return {path: says for path, says in said.items() if says}


def _the_one_dataset(folder: Path) -> str:
    """The name of the one data set of a folder in KMNIST's layout."""
    parts = _parts(folder)
    names = sorted({says.dataset for says in parts.values()})
    if len(names) == 1:
        return names[0]
    if names:
        one = next(path for path, says in parts.items() if says.dataset == names[0])
        raise DataError(f"npz:{folder}: {len(names)} data sets ({', '.join(names)}); name one, as in npz:{one}")
    others = sorted(path.name for path in folder.glob("*.npz"))
    instead = f"; name its file, as npz:{folder / others[0]}" if others else ""
    raise DataError(f"npz:{folder}: no file NAME-train-imgs.npz{instead}")


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name."""
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise DataError(f"npz:{path} is a single array; accepted: an npz file with {ACCEPTED}")
            with arrays:
                return _arrays(arrays, path)
    except DAMAGES as error:
        if isinstance(error, DataError):
            raise
        said = str(error)
        if "pickle" in said.lower():
            # Whatever numpy does not know it takes for a pickle.
            with path.open("rb") as file:
                is_pickle = file.read(6).startswith(PICKLES)
            said = "it holds a pickle, which could run any code and is not loaded" if is_pickle else "it is no npz file"
        raise DataError(f"npz:{path} cannot be read: {one_line(said, 120)}") from error


def _arrays(arrays: Mapping[str, Any], path: Path) -> dict[str, np.ndarray]:
    """Those that a data set takes; one array of any name; of others the names alone."""
    wanted = [key for key in arrays if key in KEYS or len(arrays) == 1]
    found: dict[str, Any] = {}
    for key in arrays:
        try:
            found[key] = arrays[key] if key in wanted else np.empty(0)
        except ValueError as error:
            if "Object arrays" not in str(error):
                raise
            raise DataError(
                f"npz:{path}: {key} holds Python objects, a pickle that could run any code and is not loaded; "
                f"accepted: numbers"
            ) from error
        if not isinstance(found[key], np.ndarray):
            raise DataError(f"npz:{path}: {key} is no array; accepted: {ACCEPTED}")
    return found


def _single(path: Path) -> np.ndarray:
    """The one array of a file."""
    arrays = _read(path)
    if len(arrays) != 1:
        raise DataError(f"npz:{path} holds {', '.join(arrays) or 'nothing'}; accepted: one array, arr_0")
    return next(iter(arrays.values()))


def _dataset(arrays: list[np.ndarray | None], where: str, tested: bool) -> Dataset:
    """The data set of images and labels to train on and to test with, the last two None where there is no test."""
    images, labels, test_images, test_labels = arrays
    assert images is not None and labels is not None
    if not (images.ndim and labels.ndim):
        given = f"images of shape {images.shape} with labels of shape {labels.shape}"
        raise DataError(f"npz:{where}: {given}; accepted: an image and a label for every example")
    if test_images is None or test_labels is None or test_images.size == test_labels.size == 0:
        if tested:
            raise NoTestError(f"npz:{where} has no test set")
        return without_test(images, _flat(labels))
    return Dataset(images, _flat(labels), test_images, _flat(test_labels))


def _flat(labels: np.ndarray) -> np.ndarray:
    """Whole labels in one column, as Keras has those of CIFAR-10, in none."""
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 and labels.dtype.kind in "iub" else labels
