"""Data sets by name, as arrays in memory: `load('mnist') -> Dataset`; and what there is in one, as text and picture.

    python input_pipeline.py --describe=csv:FILE [--picture=FILE.png]
    python input_pipeline.py --data_dir=~/tensorflow_datasets     prepares MNIST for TensorFlow Datasets
    python train.py --config=configs/shallow.py --config.dataset=tfds:mnist --data_dir=~/tensorflow_datasets

N training examples, V validation examples, D = numbers of an example. Images and features stay as they came, uint8 or
float32: the training step scales bytes by 1/255 on the device and takes floats as they are. A name says its kind:

    mnist, synthetic   the embedded MNIST; a tiny one for tests
    idx:FOLDER         the four files in which MNIST, Fashion-MNIST, KMNIST and EMNIST are published
    npz:FILE           x_train, y_train and perhaps x_test, y_test; or KMNIST's files of one array each
    csv:FILE           a row an example, labels in the column label, target, class or y, else in the first
    sklearn:NAME       digits, iris, wine, breast_cancer, diabetes or linnerud of scikit-learn, if it is installed
    tfds:NAME          what TensorFlow Datasets has prepared under --data_dir
    FILE.py:NAME       what a function of yours gives, as arrays

Whole labels are classes, float ones the targets of a regression. What has no test set trains with examples held out.
"""

from training import starting as starting  # isort: skip  # Before what takes long.

import functools
import gzip
import importlib.util
import io
import math
import re
import shlex
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nets.tables import near_match
from readers import bundled, csv_files, describing, npz_files
from readers.dataset import DataError, Dataset, NoTestError, checked, without_test
from readers.own_data import load_own
from training import console, own
from training.console import fail, one_line, parse_flags
from training.files import PlaceError, place

if TYPE_CHECKING:
    from tensorflow_datasets.core.dataset_builder import DatasetBuilder

EMBEDDED_MNIST = Path(__file__).parent / "data" / "mnist.npz"
DEFAULT_DATA_DIR = "~/tensorflow_datasets"


def load(name: str, data_dir: str = DEFAULT_DATA_DIR, validation: str = "test", code: str = "") -> Dataset:
    """The whole data set of that name with its published test set, which need not be there where examples are held
    out (a number for `validation`, as in `split`): then there may be no validation examples. `code` holds the text of
    a file of one's own, which is read where it is not given. DataError where the set cannot be had."""
    kind, _, rest = name.partition(":")
    tested = validation == "test"
    try:
        if name in DATASETS:
            dataset = DATASETS[name]()
        elif own.is_reference(name):
            dataset = load_own(name, code, tested)
        elif kind in FILES and rest:
            dataset = FILES[kind](place(rest), tested)
        elif kind == "tfds" and rest:
            dataset = _load_tfds(rest, place(data_dir), tested)
        elif kind == "sklearn" and rest:
            dataset = bundled.load_bundled(rest, tested)
        else:
            near = near_match(name if name in KINDS else kind if rest else name, [*DATASETS, *KINDS])
            raise DataError(f"unknown dataset {name!r}{near}; accepted: {ACCEPTED}")
    except PlaceError as error:
        raise DataError(f"{f'{kind}:' if kind in FILES else '--data_dir='}{error}") from error
    except OSError as error:
        raise DataError(f"{name} cannot be read: {one_line(error, 150)}") from error
    return checked(dataset, name, tested)


def split(dataset: Dataset, train_examples: int = 0, validation: str = "test") -> Dataset:
    """The first `train_examples` for training (0: all that are left), and for validation either the published test
    set ('test') or that many examples held out from the end of the training set, beside which the test set is then a
    third part."""
    images, labels = dataset.images, dataset.labels
    if validation != "test":
        held_out = int(validation)
        if not 0 < held_out < len(images):
            raise DataError(f"validation={held_out} leaves none of the {len(images)} examples to train on or validate")
        dataset = dataset._replace(test_images=dataset.validation_images, test_labels=dataset.validation_labels)
        dataset = dataset._replace(validation_images=images[-held_out:], validation_labels=labels[-held_out:])
        images, labels = images[:-held_out], labels[:-held_out]
    elif not len(dataset.validation_images):
        raise NoTestError("validation='test', but the data set was read without a test set")
    if train_examples > len(images):
        raise DataError(f"train_examples={train_examples} is more than the {len(images)} training examples")
    count = train_examples or len(images)
    return dataset._replace(images=images[:count], labels=labels[:count])


def synthetic(examples: int = 512, validation_examples: int = 256, pixels: int = 784, classes: int = 10) -> Dataset:
    """Noisy copies of one random prototype a class: for tests only, always the same bytes, learnt in a few epochs."""
    random = np.random.default_rng(0)
    prototypes_CxD = random.integers(0, 256, (classes, pixels))
    count = examples + validation_examples
    labels = np.arange(count, dtype=np.int32) % classes
    noise = random.normal(0.0, 64.0, (count, pixels))
    images = np.clip(prototypes_CxD[labels] + noise, 0, 255).astype(np.uint8)
    return Dataset(images[:examples], labels[:examples], images[examples:], labels[examples:])


def _load_embedded_mnist() -> Dataset:
    try:
        return _read_mnist(EMBEDDED_MNIST, EMBEDDED_MNIST.stat().st_mtime_ns)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{EMBEDDED_MNIST} cannot be read as the embedded MNIST: {one_line(error, 150)}") from error


@functools.lru_cache(maxsize=1)
def _read_mnist(path: Path, _: int) -> Dataset:
    """The data set in the file as it is since that time; a command asks for it several times, and may not change it."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        parts = [arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    for part in parts:
        part.flags.writeable = False
    return Dataset(*parts)


# Data sets that need no more than their name.
DATASETS: dict[str, Callable[[], Dataset]] = {
    "mnist": _load_embedded_mnist,
    "synthetic": synthetic,
}
ACCEPTED = ", ".join([*DATASETS, "idx:FOLDER", "npz:FILE", "csv:FILE", "sklearn:NAME", "tfds:NAME", "FILE.py:NAME"])
KINDS = ("idx:", "npz:", "csv:", "sklearn:", "tfds:")


def is_name(name: str) -> bool:
    """Whether a data set may be called so: one of the table, or a kind and more."""
    return name in DATASETS or own.is_reference(name) or (name.startswith(KINDS) and not name.endswith(":"))


# IDX: the format of the four files in which MNIST, Fashion-MNIST, KMNIST and EMNIST are published.


class IdxName(NamedTuple):
    """What the name of an IDX file says: of which data set (the other words), which part, images or labels."""

    dataset: str
    part: str
    kind: str


def _parse_idx_name(name: str) -> IdxName | None:
    """`emnist-letters-t10k-images.idx3-ubyte.gz`: letters' test images; None for copies (`... (1)`, `.bak`) and all
    else. Only whole words count, and the last that is a part."""
    words = re.split("[-._]", name.removesuffix(".gz"))
    kind = {"idx3-ubyte": "images", "idx1-ubyte": "labels"}.get("-".join(words[-2:]), "")
    words = words[:-2]
    parts = [i for i, word in enumerate(words) if word in ("train", "test", "t10k")]
    if kind not in words or not parts:
        return None
    part = "train" if words.pop(parts[-1]) == "train" else "test"
    words.remove(kind)
    return IdxName("-".join(words), part, kind)


def _idx_files(folder: Path) -> Iterator[tuple[IdxName, Path]]:
    """The IDX files of a folder with what their names say; hidden ones are none. A folder with such a name, as some
    archives have it, stands for the file of that name in it, after all files."""
    entries = sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=Path.is_dir)
    for entry in entries:
        if not (says := _parse_idx_name(entry.name)):
            continue
        inside = sorted(entry.iterdir()) if entry.is_dir() else [entry]
        yield from ((says, path) for path in inside if _parse_idx_name(path.name) == says and path.is_file())


def _load_idx(given: Path, tested: bool) -> Dataset:
    """`given` is a folder, or a folder plus the beginning of the file names (`emnist/emnist-letters`)."""
    folder, prefix = (given, "") if given.is_dir() else (given.parent, given.name)
    if not folder.is_dir():
        raise DataError(f"idx:{given}: no such folder")
    train, test = ([(part, kind) for kind in ("images", "labels")] for part in ("train", "test"))
    slots = _choose_idx(folder, prefix, train + test if tested else train)
    images, labels = (read_idx(_one_file(slots[slot]), slot[1]) for slot in train)
    if not all(slot in slots for slot in test):
        return without_test(images, labels)
    test_images, test_labels = (read_idx(_one_file(slots[slot]), slot[1]) for slot in test)
    return Dataset(images, labels, test_images, test_labels)


def _choose_idx(folder: Path, prefix: str, needed: list[tuple[str, str]]) -> dict[tuple[str, str], list[Path]]:
    """The files of the one data set in the folder that has all that is needed and whose names begin like that; the
    one that is called just that comes before those that go on."""
    found: dict[str, dict[tuple[str, str], list[Path]]] = {}
    for (dataset, *slot), path in _idx_files(folder):
        if path.name.startswith(prefix) or dataset.startswith(prefix):
            found.setdefault(dataset, {}).setdefault((slot[0], slot[1]), []).append(path)
    exact = "-".join(re.split("[-._]", prefix)).strip("-")
    whole = sorted(dataset for dataset, slots in found.items() if all(slot in slots for slot in needed))
    if exact in whole or len(whole) == 1:
        return found[exact if exact in whole else whole[0]]
    if whole:
        # Where there is a folder of that name as well, it would be looked into.
        chosen = folder / (whole[0] + "-" * (folder / whole[0]).is_dir())
        raise DataError(f"idx:{folder}: {len(whole)} data sets ({', '.join(whole)}); name one, as in idx:{chosen}")
    best = max(found, key=lambda dataset: (dataset == exact, len(found[dataset])), default="")
    part, kind = next(slot for slot in needed if slot not in found.get(best, {}))
    word, suffix = "train" if part == "train" else "t10k or test", "idx3-ubyte" if kind == "images" else "idx1-ubyte"
    said = f"idx:{folder}: no file {prefix or best}*{word}*{kind}*{suffix}, with or without .gz"
    raise NoTestError(said) if part == "test" else DataError(said)


def _one_file(paths: list[Path]) -> Path:
    """The first of files that should be one: plain before gzipped, in the folder before further down."""
    first = min((path for path in paths if path.parent == paths[0].parent), key=lambda path: path.suffix == ".gz")
    for other in paths:
        copy = other.parent != first.parent or other.name.removesuffix(".gz") == first.name.removesuffix(".gz")
        if not copy and other.read_bytes() != first.read_bytes():
            raise DataError(f"{first} and {other.name} are the same by name but differ; accepted: one of them there")
    return first


def read_idx(path: Path, kind: str) -> np.ndarray:
    """The array of one IDX file, gzipped or not; DataError for a wrong magic number or a wrong length."""
    magic, dimensions = (0x00000803, 3) if kind == "images" else (0x00000801, 1)
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, MemoryError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {one_line(error, 150)}") from error
    header = 4 + 4 * dimensions
    given = int.from_bytes(raw[:4], "big")
    if given != magic:
        raise DataError(f"{path}: magic number {given:#010x} where {kind} have {magic:#010x}")
    if len(raw) < header:
        raise DataError(f"{path}: {len(raw)} bytes, shorter than its header of {header}")
    shape = tuple(int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions))
    if len(raw) - header != math.prod(shape):
        raise DataError(
            f"{path}: {len(raw) - header} bytes of data where its header {shape} asks for {math.prod(shape)}"
        )
    if not all(shape[1:]):
        raise DataError(f"{path}: its header {shape} has images without pixels")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


# Kinds of files by what stands before the colon: from the place that is named and whether there must be a test set.
FILES: dict[str, Callable[[Path, bool], Dataset]] = {
    "idx": _load_idx,
    "npz": npz_files.load_npz,
    "csv": csv_files.load_csv,
}


# TensorFlow Datasets, read without TensorFlow where the files are array_record, else through TensorFlow.


def _load_tfds(name: str, data_dir: Path, tested: bool) -> Dataset:
    builder = _find_tfds(name, data_dir)
    splits = builder.info.splits
    needed = ["train", "test"] if tested or "test" in splits else ["train"]
    if missing := [part for part in needed if part not in splits]:
        said = f"tfds:{name} has no split {', '.join(missing)}; it has {', '.join(splits)}"
        raise NoTestError(said) if missing == ["test"] else DataError(said)
    if missing := {"image", "label"} - set(builder.info.features or ()):  # pyright: ignore
        raise DataError(f"tfds:{name} has no feature {', '.join(sorted(missing))}, so it is no image classification")
    try:
        (images, labels), *test = [_read_tfds_split(builder, part) for part in needed]
    except DataError as error:
        raise DataError(f"tfds:{name}: {error}") from error
    except Exception as error:  # array_record, protobuf and pillow each have their own errors for a damaged file.
        raise DataError(f"tfds:{name} under {builder.data_dir} cannot be read: {one_line(error, 150)}") from error
    return Dataset(images, labels, *test[0]) if test else without_test(images, labels)


def is_read_alone(name: str) -> bool:
    """Whether no other thread may import anything while that data set is read: TensorFlow Datasets exchanges Python's
    own `import` for one that puts imports off, in the whole process, each time one of its modules is imported."""
    return name.startswith("tfds:")


def _find_tfds(name: str, data_dir: Path) -> "DatasetBuilder":
    """The prepared data set of that name."""
    if not data_dir.is_dir():
        raise DataError(f"tfds:{name}: no folder {data_dir} (--data_dir)")
    try:
        from tensorflow_datasets.core.read_only_builder import builder_from_files

        return builder_from_files(name, data_dir=data_dir)
    except Exception as error:  # TFDS raises many kinds for what is damaged.
        if type(error).__name__ != "DatasetNotFoundError":
            said = one_line(error, 150)
            raise DataError(f"tfds:{name} under {data_dir} (--data_dir) cannot be read: {said}") from error
        near = near_match(name, sorted(entry.name for entry in data_dir.iterdir() if entry.is_dir()))
        raise DataError(
            f"tfds:{name} is not prepared under --data_dir{near}, and nothing is downloaded unasked; "
            f"`python input_pipeline.py {shlex.quote(f'--data_dir={data_dir}')}` prepares mnist"
        ) from error


def _read_tfds_split(builder: "DatasetBuilder", part: str, chunk: int = 5_000) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one split; in chunks, since iterating a data source one by one is ten times slower."""
    stored = str(builder.info.file_format.value) if builder.info.file_format else "no known format"
    if stored != "array_record":
        if importlib.util.find_spec("tensorflow") is None:
            raise DataError(
                f"stored as {stored}, which TensorFlow alone can read: install tensorflow, or prepare it with "
                f"file_format='array_record'"
            )
        import tensorflow_datasets as tfds

        batches = list(tfds.as_numpy(builder.as_dataset(split=part, batch_size=chunk)))  # pyright: ignore
        return (
            np.concatenate([batch["image"] for batch in batches]),
            np.concatenate([batch["label"] for batch in batches]),
        )
    source = builder.as_data_source(split=part)  # pyright: ignore
    images, labels, sizes = [], [], set()
    for start in range(0, len(source), chunk):
        rows: Sequence[dict[str, np.ndarray]] = source.__getitems__(list(range(start, min(start + chunk, len(source)))))
        sizes |= {np.shape(row["image"]) for row in rows}
        if len(sizes) > 1:
            some = " and ".join(" x ".join(map(str, size)) for size in sorted(sizes)[:2])
            raise DataError(f"{part} images are of several sizes, as {some}; accepted: one size for all")
        images.append(np.stack([row["image"] for row in rows]))
        labels.append(np.array([row["label"] for row in rows]))
    return np.concatenate(images), np.concatenate(labels)


def prepare_tfds_mnist(data_dir: Path) -> Path:
    """Writes the embedded MNIST as the TFDS data set `mnist` in array_record files; returns its folder."""
    import tensorflow_datasets as tfds
    from PIL import Image

    mnist = load("mnist")

    class Mnist(tfds.image_classification.MNIST, skip_registration=True):  # pyright: ignore
        """TFDS's own MNIST, its examples taken from the embedded arrays instead of a download."""

        name = "mnist"

        def _split_generators(self, dl_manager):  # pyright: ignore
            del dl_manager
            return {
                "train": self._generate_examples(mnist.images, mnist.labels),
                "test": self._generate_examples(mnist.validation_images, mnist.validation_labels),
            }

        def _generate_examples(self, images, labels):  # pyright: ignore
            for i, (image, label) in enumerate(zip(images, labels, strict=True)):
                buffer = io.BytesIO()
                Image.fromarray(image.reshape(28, 28)).save(buffer, "PNG")
                buffer.seek(0)
                yield i, {"image": buffer, "label": int(label)}

    builder = Mnist(data_dir=data_dir, file_format="array_record")
    builder.download_and_prepare()
    return Path(builder.data_dir)


def _with_or_without_test(name: str, data_dir: str) -> Dataset:
    """The data set with its test set, where it has one."""
    try:
        return load(name, data_dir)
    except NoTestError:
        return load(name, data_dir, validation="0")


def describe(name: str, data_dir: str, picture: str | None) -> None:
    """Prints what is in the data set of that name, and writes a picture of samples."""
    try:
        path = place(picture or f"{describing.file_name(name)}-samples.png")
        described = _with_or_without_test(name, data_dir)
    except DataError as error:
        fail(error)
    except PlaceError as error:
        fail(f"--picture={error}")
    more = [f"--data_dir={data_dir}"] if name.startswith("tfds:") and data_dir != DEFAULT_DATA_DIR else []
    console.say(describing.in_words(described, name, more))
    try:
        describing.write_samples(described, path)
    except (OSError, ValueError) as error:
        fail(f"the picture {path} cannot be written: {one_line(error, 150)}; accepted: --picture=FILE.png")
    console.say(f"  samples: {path}")


def prepare(data_dir: str) -> None:
    """Prepares MNIST for TensorFlow Datasets, and says how to train on it."""
    try:
        folder = prepare_tfds_mnist(place(data_dir))
    except PlaceError as error:
        fail(f"--data_dir={error}")
    except Exception as error:  # TFDS raises many kinds for a folder that it cannot use.
        fail(f"MNIST cannot be prepared under --data_dir={data_dir}: {one_line(error, 150)}")
    command = f"--config.dataset=tfds:mnist {shlex.quote(f'--data_dir={place(data_dir)}')}"
    print(one_line(f"MNIST is prepared in {folder}; train on it by {command}"))


def main(_: list[str]) -> None:
    from absl import flags, logging

    logging.set_verbosity(logging.ERROR)
    given = flags.FLAGS
    if given.describe is not None:
        describe(given.describe, given.data_dir, given.picture)
    elif given.picture is not None:
        fail("--picture is for --describe=NAME; accepted with it: the name of a data set")
    else:
        prepare(given.data_dir)


if __name__ == "__main__":
    from absl import flags

    flags.DEFINE_string("describe", None, f"A data set to describe: {ACCEPTED}. [MNIST is prepared for --data_dir]")
    flags.DEFINE_string("picture", None, "Where --describe writes a picture of samples. [NAME-samples.png]")
    flags.DEFINE_string("data_dir", DEFAULT_DATA_DIR, "Folder under which TensorFlow Datasets keeps prepared data.")
    console.run(main, parse_flags)
