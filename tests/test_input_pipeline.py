"""Every way in which data comes in: embedded MNIST, IDX files, TensorFlow Datasets, synthetic data; and the splits."""

import gc
import hashlib
import importlib.util
import io
import json
import math
import shutil
import sys

import numpy as np
import PIL.Image
import pytest
from idx_files import (
    assert_same,
    idx_contents,
    random_dataset,
    refusal,
    rows,
)

import input_pipeline
from input_pipeline import DataError, Dataset

# MD5 of the four uncompressed files that Yann LeCun published.
MNIST_MD5 = {
    "images": "6bbc9ace898e44ae57da46a324031adb",
    "labels": "a25bea736e30d166cdddb491f175f624",
    "validation_images": "2646ac647ad5339dbf082846283269ea",
    "validation_labels": "27ae3e4e09519cfbb04c329615203637",
}


@pytest.fixture
def no_tensorflow(monkeypatch):
    """TensorFlow looks as if it were not installed."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorflow" else find_spec(name))


def test_embedded_mnist_is_the_published_one():
    """The embedded arrays, written as IDX files, have the checksums of the published files."""
    mnist = input_pipeline.load("mnist")
    assert mnist.shape == (28, 28)
    for name, content in zip(MNIST_MD5, idx_contents(mnist, 28, 28), strict=True):
        assert hashlib.md5(content).hexdigest() == MNIST_MD5[name], name


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no zip", "truncated"])
def test_damaged_embedded_mnist_is_named(tmp_path, monkeypatch, content):
    """A missing, empty, torn or foreign mnist.npz is an error of one line that names it; the file is closed again."""
    path = tmp_path / "mnist.npz"
    if content is not None:
        original = input_pipeline.EMBEDDED_MNIST.read_bytes()
        path.write_bytes(original[: len(original) // 2] if content == "truncated" else content)
    monkeypatch.setattr(input_pipeline, "EMBEDDED_MNIST", path)
    assert str(path) in refusal("mnist")
    gc.collect()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data_dir with a tiny MNIST prepared by prepare_tfds_mnist, and what was put in."""
    data_dir, tiny = tmp_path_factory.mktemp("tfds"), random_dataset(28, 28)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(input_pipeline, "load", lambda name: {"mnist": tiny}[name])
        folder = input_pipeline.prepare_tfds_mnist(data_dir)
    assert folder.is_relative_to(data_dir)
    return data_dir, tiny


def dataset_info(data_dir):
    """The file in which TFDS describes the prepared data set."""
    (path,) = data_dir.glob("mnist/*/dataset_info.json")
    return path


@pytest.fixture
def own_copy(prepared, tmp_path):
    """A copy of the prepared data_dir that the test may spoil."""
    return shutil.copytree(prepared[0], tmp_path / "copy")


def test_tfds_gives_what_was_prepared(prepared):
    """TFDS's array_record files hold the same examples, whatever their order, and are read without TensorFlow."""
    data_dir, tiny = prepared
    loaded = set(sys.modules)
    found = input_pipeline.load("tfds:mnist", str(data_dir))
    assert "tensorflow" not in set(sys.modules) - loaded
    assert found.images.shape == (12, 784) and found.images.dtype == np.uint8 and found.labels.dtype == np.int32
    assert rows(found.images, found.labels) == rows(tiny.images, tiny.labels)
    assert rows(found.validation_images, found.validation_labels) == rows(
        tiny.validation_images, tiny.validation_labels
    )


@pytest.mark.parametrize("name", ["tfds:cifar10", "tfds:mnist:9.9.9", "tfds:mnist/letters"])
def test_tfds_that_is_not_prepared_is_not_downloaded(prepared, name):
    """What is not prepared is an error of one line that says how to prepare, and nothing is written."""
    data_dir = prepared[0]
    before = sorted(data_dir.rglob("*"))
    message = refusal(name, data_dir)
    assert name in message and str(data_dir) in message and "input_pipeline.py" in message
    assert sorted(data_dir.rglob("*")) == before


def test_missing_data_dir_is_named(tmp_path):
    """A data_dir that is not there is an error of one line, and is not made."""
    assert str(tmp_path / "absent") in refusal("tfds:mnist", tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_tfrecord_without_tensorflow_names_the_format(own_copy, no_tensorflow):
    """A data set in a format that TensorFlow alone reads is refused by the format's name."""
    path = dataset_info(own_copy)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fileFormat": "tfrecord"}))
    message = refusal("tfds:mnist", own_copy)
    assert "tfrecord" in message and "array_record" in message


def test_tfds_without_test_split_is_refused(own_copy):
    """A data set that lacks a split is refused by the split's name."""
    path = dataset_info(own_copy)
    info = json.loads(path.read_text())
    info["splits"] = [split for split in info["splits"] if split["name"] != "test"]
    path.write_text(json.dumps(info))
    message = refusal("tfds:mnist", own_copy)
    assert "no split test; it has train" in message and "--config.validation=N" in message
    dataset = input_pipeline.load("tfds:mnist", str(own_copy), "5")
    found = input_pipeline.split(dataset, 0, "5")
    assert not found.has_test
    assert len(dataset.images) == 12 and len(found.images) == 7 and len(found.validation_images) == 5
    np.testing.assert_array_equal(found.validation_images, dataset.images[7:])
    assert found.shape == (28, 28)


def test_damaged_array_record_is_named(own_copy):
    """A torn data file is an error of one line that names its folder."""
    (path,) = own_copy.glob("mnist/*/*train.array_record*")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert str(path.parent) in refusal("tfds:mnist", own_copy)


def numbered(examples=20, validation_examples=4):
    """A data set in which every image and label is the example's number."""
    numbers = np.arange(examples + validation_examples)
    images, labels = numbers[:, None].astype(np.uint8), numbers.astype(np.int32)
    return Dataset(images[:examples], labels[:examples], images[examples:], labels[examples:])


@pytest.mark.parametrize(
    ("train_examples", "validation", "trained_on", "validated_on"),
    [
        (0, "test", range(20), range(20, 24)),
        (20, "test", range(20), range(20, 24)),
        (7, "test", range(7), range(20, 24)),
        (0, "5", range(15), range(15, 20)),
        (15, "5", range(15), range(15, 20)),
        (1, "19", range(1), range(1, 20)),
    ],
)
def test_split(train_examples, validation, trained_on, validated_on):
    """Training takes the first examples; a held-out validation set is cut from the end, before that."""
    found = input_pipeline.split(numbered(), train_examples, validation)
    for part, numbers in ((found[:2], trained_on), (found[2:4], validated_on)):
        assert part[0][:, 0].tolist() == part[1].tolist() == list(numbers)
    # Beside examples that are held out the test set is a part of its own.
    assert found.test_labels.tolist() == ([] if validation == "test" else [20, 21, 22, 23])
    assert len(found.test_images) == len(found.test_labels) and found.has_test == (validation != "test")


@pytest.mark.parametrize(
    ("train_examples", "validation", "said"),
    [
        (21, "test", "train_examples=21 is more than the 20"),
        (16, "5", "train_examples=16 is more than the 15"),
        (0, "20", "validation=20 leaves none of the 20"),
        (0, "21", "validation=21 leaves none of the 20"),
    ],
)
def test_split_refuses_more_than_there_is(train_examples, validation, said):
    """Asking for more examples than there are is an error that gives both numbers."""
    with pytest.raises(DataError, match=said):
        input_pipeline.split(numbered(), train_examples, validation)


def test_synthetic_is_deterministic():
    """The synthetic data are the same at every call, fit MNIST's shapes, hold every class, and can be learnt."""
    np.random.seed(1)
    first = input_pipeline.load("synthetic")
    np.random.seed(2)
    assert_same(input_pipeline.load("synthetic"), first)
    assert first.images.shape == (512, 784) and first.validation_images.shape == (256, 784)
    assert first.images.dtype == np.uint8 and first.labels.dtype == np.int32
    assert set(first.labels.tolist()) == set(first.validation_labels.tolist()) == set(range(10))
    means_CxD = np.stack([first.images[first.labels == label].mean(axis=0) for label in range(10)])
    distances_NxC = np.linalg.norm(first.validation_images[:, None] - means_CxD[None], axis=-1)
    assert (distances_NxC.argmin(axis=1) == first.validation_labels).all()


def test_synthetic_takes_other_shapes():
    """Numbers of examples, pixels and classes are free."""
    found = input_pipeline.synthetic(examples=30, validation_examples=9, pixels=4, classes=3)
    assert found.images.shape == (30, 4) and len(found.validation_labels) == 9 and found.labels.max() == 2


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("mnsit", "mnist"),
        ("syntetic", "synthetic"),
        ("idx", "idx:"),
        ("cifar", None),
        ("tfds:", "tfds:"),
        ("", None),
    ],
)
def test_unknown_names_are_refused(name, near):
    """An unknown name is refused with what is accepted, and with a near match where there is one."""
    message = refusal(name)
    assert repr(name) in message and input_pipeline.ACCEPTED in message
    assert (f"did you mean {near!r}?" in message) if near else ("did you mean" not in message)


def test_labels_are_classes():
    """Labels below 0, of absurd size (also beyond int32, where they would come round), or no whole numbers."""
    dataset = random_dataset()
    for labels, said in (
        (dataset.labels - 2, "validation label is -2"),
        (dataset.labels.astype(np.int64) + 2**32, "label is 4294967296; accepted: whole numbers from 0 to 999,999"),
        (dataset.labels.astype(np.float32), r"training labels are int32 \[12\], validation labels float32 \[12\]"),
        (dataset.labels.astype(str), "labels are <U11; accepted: whole numbers from 0; targets of a regression"),
        (dataset.labels[:, None], r"labels of shape \(12, 1\)"),
    ):
        given = dataset._replace(validation_images=dataset.images, validation_labels=labels)
        with pytest.raises(DataError, match=said):
            input_pipeline.checked(given, "mine")
    assert_same(input_pipeline.checked(dataset, "mine"), dataset)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_stay_as_they_are(kind):
    """Floats of any width are float32 of the same values, also below 0, and train as such."""
    dataset = random_dataset()
    images = (dataset.images.reshape(12, 5, 7, 1) / 64 - 2).astype(kind)
    found = input_pipeline.checked(dataset._replace(images=images, validation_images=images[:6]), "mine")
    assert found.images.dtype == np.float32 and found.shape == (5, 7)
    np.testing.assert_array_equal(found.images, images.reshape(12, 35))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda images: images.astype(np.float32), "whole numbers from 0 to 255, and floats are not scaled"),
        (lambda images: np.where(images == images[0, 0], np.nan, images / 255), "from nan to nan; accepted: finite"),
        (lambda images: images / 255 - np.where(images == images[0, 0], np.inf, 0), "from -inf to"),
        (lambda images: images / 255 + 1e39, "from 1e\\+39 to 1e\\+39; accepted: finite"),
        (lambda images: images.astype(object), "training images are object; accepted: uint8, other whole numbers"),
        (lambda images: images.astype(complex), "training images are complex128; accepted: uint8, other whole"),
        (lambda images: images[:, :0], "no training images, but empty ones"),
        (lambda images: images[:, 0], r"images of shape \(12,\)"),
    ],
)
def test_images_that_cannot_be_trained_on(change, said):
    """Bytes in the clothes of floats, what is not finite in float32, other types, nothing."""
    dataset = random_dataset()
    images = change(np.where(dataset.images == 254, 255, dataset.images).astype(np.uint8))
    given = dataset._replace(images=images, validation_images=images[:6], validation_labels=dataset.labels[:6])
    with pytest.raises(DataError, match=said):
        input_pipeline.checked(given, "mine")


@pytest.mark.parametrize(
    ("given", "kept"), [((4, 6), (4, 6)), ((4, 6, 1), (4, 6)), ((4, 6, 3), (4, 6, 3)), ((24,), ()), ((2, 3, 4, 1), ())]
)
def test_shape_of_images(given, kept):
    """Height, width and several channels are kept beside the flat pixels, whose order is that of the images."""
    images = np.arange(5 * math.prod(given), dtype=np.uint8).reshape(5, *given)
    found = input_pipeline.checked(Dataset(images, np.arange(5), images[:2], np.arange(2)), "mine")
    assert found.shape == kept
    np.testing.assert_array_equal(found.images, images.reshape(5, -1))


def prepare_tfds(data_dir, images, feature):
    """A TFDS data set `own` in array_record files: these images, label 7, in its splits train and validation."""
    import tensorflow_datasets as tfds

    class Own(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        name = "own"

        def _info(self):
            features = tfds.features.FeaturesDict({"image": feature, "label": tfds.features.ClassLabel(num_classes=9)})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {part: self._generate_examples() for part in ("train", "validation")}

        def _generate_examples(self):
            for i, image in enumerate(images):
                buffer = io.BytesIO()
                if image.dtype == np.uint8:
                    PIL.Image.fromarray(image).save(buffer, "PNG")
                    buffer.seek(0)
                yield i, {"image": buffer if image.dtype == np.uint8 else image, "label": 7}

    Own(data_dir=data_dir, file_format="array_record").download_and_prepare()


def test_tfds_of_colours_floats_and_several_sizes(tmp_path):
    """By holding out, for want of a test split: colours keep their shape, floats their values; sizes must be one."""
    import tensorflow_datasets as tfds

    colours = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3)).astype(np.uint8)
    prepare_tfds(tmp_path / "colours", colours, tfds.features.Image(shape=(6, 5, 3)))
    assert "no split test; it has train, validation; " in refusal("tfds:own", tmp_path / "colours")
    found = input_pipeline.load("tfds:own", str(tmp_path / "colours"), "1")
    assert found.shape == (6, 5, 3) and rows(found.images, found.labels) == rows(colours, [7] * 4)
    floats = colours[..., :1].astype(np.float32) / 255
    prepare_tfds(tmp_path / "floats", floats, tfds.features.Tensor(shape=(6, 5, 1), dtype=np.float32))
    found = input_pipeline.load("tfds:own", str(tmp_path / "floats"), "1")
    assert found.shape == (6, 5) and rows(found.images, found.labels) == rows(floats, [7] * 4)
    ragged = [colours[0], colours[1, :, :4]]
    prepare_tfds(tmp_path / "ragged", ragged, tfds.features.Image(shape=(None, None, 3)))
    message = refusal("tfds:own", tmp_path / "ragged", "1")
    assert "tfds:own: train images are of several sizes, as 6 x 4 x 3 and 6 x 5 x 3" in message
