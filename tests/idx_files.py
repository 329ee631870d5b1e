"""IDX files of random images, and what is said of those that cannot be read: helpers of tests."""

import gzip

import numpy as np
import pytest

import input_pipeline
from input_pipeline import DataError, Dataset

IMAGES_MAGIC, LABELS_MAGIC = 0x00000803, 0x00000801
MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
EMNIST_FILES = (
    "emnist-letters-train-images-idx3-ubyte",
    "emnist-letters-train-labels-idx1-ubyte",
    "emnist-letters-test-images-idx3-ubyte",
    "emnist-letters-test-labels-idx1-ubyte",
)


def idx_bytes(magic, shape, data):
    """The content of an IDX file: magic number and dimensions, big-endian, then the bytes."""
    return b"".join(n.to_bytes(4, "big") for n in (magic, *shape)) + data


def idx_contents(dataset, height, width):
    """The four IDX files of a data set: training images and labels, test images and labels."""
    return [
        idx_bytes(IMAGES_MAGIC, (len(part), height, width), part.tobytes())
        if part.ndim == 2
        else idx_bytes(LABELS_MAGIC, part.shape, part.astype(np.uint8).tobytes())
        for part in dataset[:4]
    ]


def random_dataset(height=5, width=7, examples=12, validation_examples=6, seed=0):
    """A few random images; not square, so that a transposed header shows."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (examples + validation_examples, height * width)).astype(np.uint8)
    labels = (np.arange(examples + validation_examples) * 3 % 10).astype(np.int32)
    return Dataset(images[:examples], labels[:examples], images[examples:], labels[examples:], (height, width))


def write_idx(folder, names=MNIST_FILES, zipped=False, seed=0):
    """Writes a random data set as four IDX files and returns it."""
    dataset = random_dataset(seed=seed)
    folder.mkdir(exist_ok=True)
    for name, content in zip(names, idx_contents(dataset, 5, 7), strict=True):
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(content) if zipped else content)
    return dataset


def assert_same(found, expected):
    """The same four arrays, types included, and the same shape of images."""
    assert found.shape == expected.shape
    for name in ("images", "labels", "validation_images", "validation_labels"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, err_msg=name)


def refusal(name, data_dir="/nowhere", validation="test"):
    """The one line that `load` refuses a name with."""
    with pytest.raises(DataError) as caught:
        input_pipeline.load(name, str(data_dir), validation)
    message = str(caught.value)
    assert message and "\n" not in message and len(message) <= 293, len(message)
    return message


def rows(images, labels):
    """Examples as a sorted list, for comparing without regard to order."""
    return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))
