"""Data sets by name, as arrays in memory: `load('mnist') -> Dataset`. The only file that reads data sets.

N training examples, V validation examples, D = pixels of an image. Images stay uint8; the training step scales them
by 1/255 on the device. Run as a command, it prepares the embedded MNIST for TensorFlow Datasets, without TensorFlow:

    python input_pipeline.py --data_dir=~/tensorflow_datasets
    python train.py --config=configs/shallow.py --config.dataset=tfds:mnist --data_dir=~/tensorflow_datasets
"""

import gzip
import importlib.util
import io
import math
import os
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nets.tables import near_match
from training.console import fail, one_line, parse_flags

EMBEDDED_MNIST = Path(__file__).parent / "data" / "mnist.npz"
DEFAULT_DATA_DIR = "~/tensorflow_datasets"
ACCEPTED = "mnist, idx:FOLDER, tfds:NAME, synthetic"


class Dataset(NamedTuple):
    """uint8 images_NxD with int32 labels_N to train on, and the same to validate on."""

    images: np.ndarray
    labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray


class DataError(ValueError):
    """A data set that is not there or not what its name says, in one line."""


def load(name: str, data_dir: str = DEFAULT_DATA_DIR) -> Dataset:
    """The whole data set of that name, validated on its published test set; DataError where it cannot be had."""
    kind, _, rest = name.partition(":")
    if name == "mnist":
        dataset = _load_embedded_mnist()
    elif name == "synthetic":
        dataset = synthetic()
    elif kind == "idx" and rest:
        dataset = _load_idx(Path(rest).expanduser())
    elif kind == "tfds" and rest:
        dataset = _load_tfds(rest, Path(data_dir).expanduser())
    else:
        raise DataError(
            f"unknown dataset {name!r}{near_match(name, ['mnist', 'synthetic', 'idx:', 'tfds:'])}; accepted: {ACCEPTED}"
        )
    return _checked(dataset, name)


def split(dataset: Dataset, train_examples: int = 0, validation: str = "test") -> Dataset:
    """The first `train_examples` for training (0: all that are left), and for validation either the published test
    set ('test') or that many examples held out from the end of the training set."""
    if validation != "test":
        held_out = int(validation)
        if held_out >= len(dataset.images):
            raise DataError(f"validation={held_out} leaves none of the {len(dataset.images)} examples to train on")
        dataset = Dataset(
            dataset.images[:-held_out],
            dataset.labels[:-held_out],
            dataset.images[-held_out:],
            dataset.labels[-held_out:],
        )
    if train_examples > len(dataset.images):
        raise DataError(f"train_examples={train_examples} is more than the {len(dataset.images)} training examples")
    if train_examples:
        dataset = dataset._replace(images=dataset.images[:train_examples], labels=dataset.labels[:train_examples])
    return dataset


def synthetic(examples: int = 512, validation_examples: int = 256, pixels: int = 784, classes: int = 10) -> Dataset:
    """Noisy copies of one random prototype a class: for tests only, always the same bytes, learnt in a few epochs."""
    random = np.random.default_rng(0)
    prototypes_CxD = random.integers(0, 256, (classes, pixels))
    count = examples + validation_examples
    labels = np.arange(count, dtype=np.int32) % classes
    noise = random.normal(0.0, 64.0, (count, pixels))
    images = np.clip(prototypes_CxD[labels] + noise, 0, 255).astype(np.uint8)
    return Dataset(images[:examples], labels[:examples], images[examples:], labels[examples:])


def _checked(dataset: Dataset, name: str) -> Dataset:
    """Flat uint8 images and int32 labels, as many of one as of the other."""
    parts = []
    pairs = [(dataset.images, dataset.labels), (dataset.validation_images, dataset.validation_labels)]
    for which, (images, labels) in zip(("training", "validation"), pairs, strict=True):
        if len(images) != len(labels):
            raise DataError(f"{name}: {len(images)} {which} images but {len(labels)} labels")
        if not len(images):
            raise DataError(f"{name}: no {which} images")
        if images.dtype != np.uint8:
            raise DataError(f"{name}: images are {images.dtype}, not uint8")
        if labels.min() < 0:
            raise DataError(f"{name}: a {which} label is {labels.min()}; accepted: whole numbers from 0")
        parts += [np.ascontiguousarray(images).reshape(len(images), -1), labels.astype(np.int32)]
    if parts[0].shape[1] != parts[2].shape[1]:
        raise DataError(f"{name}: training images have {parts[0].shape[1]} pixels, validation {parts[2].shape[1]}")
    return Dataset(*parts)


def _load_embedded_mnist() -> Dataset:
    try:
        with EMBEDDED_MNIST.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Dataset(arrays["x_train"], arrays["y_train"], arrays["x_test"], arrays["y_test"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{EMBEDDED_MNIST} cannot be read as the embedded MNIST: {one_line(error)}") from error


# IDX: the format of the four files in which MNIST, Fashion-MNIST, KMNIST and EMNIST are published.


def _load_idx(place: Path) -> Dataset:
    """`place` is a folder, or a folder plus the beginning of the file names (`emnist/emnist-letters`)."""
    folder, prefix = (place, "") if place.is_dir() else (place.parent, place.name)
    if not folder.is_dir():
        raise DataError(f"idx:{place}: no such folder")
    wanted = [(part, kind) for part in ("train", "test") for kind in ("images", "labels")]
    return Dataset(*(read_idx(_find_idx(folder, prefix, part, kind), kind) for part, kind in wanted))


def _find_idx(folder: Path, prefix: str, part: str, kind: str) -> Path:
    """The one file of that part ('train', 'test') and kind ('images', 'labels'); test files may be called t10k."""
    words = {"train"} if part == "train" else {"t10k", "test"}
    suffix = "idx3-ubyte" if kind == "images" else "idx1-ubyte"
    found = sorted(
        path
        for path in folder.iterdir()
        if path.name.startswith(prefix)
        and path.name.removesuffix(".gz").endswith(suffix)
        and kind in path.name
        and not words.isdisjoint(re.split("[-._]", path.name[len(prefix) :]))
    )
    plain_names = {path.name.removesuffix(".gz") for path in found}
    if not found:
        raise DataError(
            f"idx:{folder}: no file {prefix}*{' or '.join(sorted(words))}*{kind}*{suffix}, with or without .gz"
        )
    if len(plain_names) > 1:
        raise DataError(
            f"idx:{folder}: {len(plain_names)} candidates for the {part} {kind}; name one by the beginning of its file "
            f"names, as in idx:{folder / re.split('-(?:train|test|t10k)', found[0].name)[0]}"
        )
    return found[0]


def read_idx(path: Path, kind: str) -> np.ndarray:
    """The array of one IDX file, gzipped or not; DataError for a wrong magic number or a wrong length."""
    magic, dimensions = (0x00000803, 3) if kind == "images" else (0x00000801, 1)
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}") from error
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
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


# TensorFlow Datasets, read without TensorFlow where the files are array_record, else through TensorFlow.


def _load_tfds(name: str, data_dir: Path) -> Dataset:
    if not data_dir.is_dir():
        raise DataError(f"tfds:{name}: no folder {data_dir} (--data_dir)")
    try:
        from tensorflow_datasets.core.read_only_builder import builder_from_files

        builder = builder_from_files(name, data_dir=data_dir)
    except Exception as error:  # TFDS raises many kinds for what is damaged.
        if type(error).__name__ != "DatasetNotFoundError":
            raise DataError(f"tfds:{name} under {data_dir} (--data_dir) cannot be read: {one_line(error)}") from error
        raise DataError(
            f"tfds:{name} is not prepared under {data_dir} (--data_dir), and nothing is downloaded unasked; "
            f"`python input_pipeline.py --data_dir={data_dir}` prepares mnist"
        ) from error
    splits = builder.info.splits
    if missing := {"train", "test"} - set(splits):
        raise DataError(f"tfds:{name} has no split {', '.join(sorted(missing))}; it has {', '.join(splits)}")
    if missing := {"image", "label"} - set(builder.info.features or ()):  # pyright: ignore
        raise DataError(f"tfds:{name} has no feature {', '.join(sorted(missing))}, so it is no image classification")
    try:
        train_images, train_labels = _read_tfds_split(builder, "train")
        return Dataset(train_images, train_labels, *_read_tfds_split(builder, "test"))
    except DataError:
        raise
    except Exception as error:  # array_record, protobuf and pillow each have their own errors for a damaged file.
        raise DataError(f"tfds:{name} under {builder.data_dir} cannot be read: {one_line(error)}") from error


def _read_tfds_split(builder, part: str, chunk: int = 5_000) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one split; in chunks, since iterating a data source one by one is ten times slower."""
    if str(builder.info.file_format.value) != "array_record":
        if importlib.util.find_spec("tensorflow") is None:
            raise DataError(
                f"tfds:{builder.name} is stored as {builder.info.file_format.value}, which TensorFlow alone can read: "
                f"install tensorflow, or prepare it with file_format='array_record'"
            )
        import tensorflow_datasets as tfds

        batches = list(tfds.as_numpy(builder.as_dataset(split=part, batch_size=chunk)))
        return (
            np.concatenate([batch["image"] for batch in batches]),
            np.concatenate([batch["label"] for batch in batches]),
        )
    source = builder.as_data_source(split=part)
    images, labels = [], []
    for start in range(0, len(source), chunk):
        rows: Sequence[dict] = source.__getitems__(list(range(start, min(start + chunk, len(source)))))
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


def main(_: list[str]) -> None:
    from absl import flags, logging

    logging.set_verbosity(logging.ERROR)
    data_dir = Path(flags.FLAGS.data_dir).expanduser()
    try:
        folder = prepare_tfds_mnist(data_dir)
    except (DataError, OSError) as error:
        fail(error)
    print(f"MNIST is prepared in {folder}; train on it by --config.dataset=tfds:mnist --data_dir={os.fspath(data_dir)}")


if __name__ == "__main__":
    from absl import app, flags

    flags.DEFINE_string("data_dir", DEFAULT_DATA_DIR, "Folder under which TensorFlow Datasets keeps prepared data.")
    app.run(main, flags_parser=parse_flags)
