"""Every way in which data comes in: embedded MNIST, IDX files, TensorFlow Datasets, synthetic data; and the splits."""

import gc
import gzip
import hashlib
import importlib.util
import io
import json
import math
import os
import shutil
import sys

import numpy as np
import PIL.Image
import pytest

import input_pipeline
from input_pipeline import DataError, Dataset

# MD5 of the four uncompressed files that Yann LeCun published.
MNIST_MD5 = {
    "images": "6bbc9ace898e44ae57da46a324031adb",
    "labels": "a25bea736e30d166cdddb491f175f624",
    "validation_images": "2646ac647ad5339dbf082846283269ea",
    "validation_labels": "27ae3e4e09519cfbb04c329615203637",
}
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
    for name in MNIST_MD5:
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


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("names", [MNIST_FILES, EMNIST_FILES])
def test_idx_round_trip(tmp_path, names, zipped):
    """IDX files come back as written, plain or gzipped, with t10k or with test in their names."""
    expected = write_idx(tmp_path, names, zipped)
    assert_same(input_pipeline.load(f"idx:{tmp_path}"), expected)


def test_idx_prefix_chooses_between_data_sets(tmp_path):
    """A folder with two data sets is refused by the file names' beginnings, and read where one of them is given."""
    letters = write_idx(tmp_path, EMNIST_FILES, seed=1)
    digits = write_idx(tmp_path, [name.replace("letters", "digits") for name in EMNIST_FILES], zipped=True, seed=2)
    message = refusal(f"idx:{tmp_path}")
    assert "2 data sets (emnist-digits, emnist-letters)" in message and f"idx:{tmp_path}/emnist-digits" in message
    assert_same(input_pipeline.load(f"idx:{tmp_path}/emnist-letters"), letters)
    assert_same(input_pipeline.load(f"idx:{tmp_path}/emnist-digits"), digits)


def test_following_the_advice_reads_the_set(tmp_path):
    """The advice of a refusal is a name that reads one of the sets: also where one name begins the other, where words
    are set apart by dots, and where there is a folder of the same name."""
    write_idx(tmp_path, [f"emnist.{name}" for name in MNIST_FILES], seed=3)
    expected = write_idx(tmp_path, [f"emnist-a-{name}" for name in MNIST_FILES], seed=4)
    short = input_pipeline.load(f"idx:{tmp_path}/emnist")
    (tmp_path / "emnist-a").mkdir()
    message = refusal(f"idx:{tmp_path}")
    assert_same(input_pipeline.load(message.rpartition("as in ")[2]), short)
    write_idx(tmp_path, [f"b-{name}" for name in MNIST_FILES], seed=5)
    for path in tmp_path.glob("emnist.*"):
        path.unlink()
    advised = input_pipeline.load(refusal(f"idx:{tmp_path}/").rpartition("as in ")[2])
    assert_same(advised, input_pipeline.load(f"idx:{tmp_path}/b"))
    assert_same(input_pipeline.load(f"idx:{tmp_path}/emnist-a-"), expected)
    for path in tmp_path.glob("b-*"):
        path.rename(tmp_path / f"zz{path.name}")
    assert_same(input_pipeline.load(refusal(f"idx:{tmp_path}").rpartition("as in ")[2]), expected)


def test_plain_names_come_before_longer_ones(tmp_path):
    """A folder's files of the published names are its data set, whatever other sets lie beside them."""
    expected = write_idx(tmp_path, seed=1)
    letters = write_idx(tmp_path, EMNIST_FILES, seed=2)
    assert_same(input_pipeline.load(f"idx:{tmp_path}"), expected)
    assert_same(input_pipeline.load(f"idx:{tmp_path}/emnist-letters"), letters)


DOTTED = [name.replace("-idx", ".idx") for name in MNIST_FILES]


@pytest.mark.parametrize("names", [DOTTED, MNIST_FILES])
def test_folders_are_no_candidates(tmp_path, names):
    """As in Kaggle's archive: beside each file a folder of its name, here with a file of that name that is another;
    where there is the folder alone, the file in it is the data."""
    for index, name in enumerate(MNIST_FILES):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(idx_contents(random_dataset(seed=7), 5, 7)[index])
        (tmp_path / name / f"._{name}").write_bytes(b"hidden")
    assert_same(input_pipeline.load(f"idx:{tmp_path}"), random_dataset(seed=7))
    if names is DOTTED:
        assert_same(write_idx(tmp_path, names, seed=8), input_pipeline.load(f"idx:{tmp_path}"))
    assert "no file *train*labels*idx1-ubyte" in refusal(f"idx:{tmp_path / MNIST_FILES[0]}")


@pytest.mark.parametrize(
    "name",
    [
        "._{}",  # What macOS leaves on foreign disks.
        ".{}.icloud",
        "{} copy",
        "{}(1)",
        "{} (1).gz",
        "Copy of {}",
        "{}.bak",
        "{}.zip",
        "{}~",
        "old-{}",
        "{dotted[0]} copy.{dotted[1]}",
        "{dotted[0]} (1).{dotted[1]}",
        "{dotted[0]} - Copy.{dotted[1]}",
    ],
)
def test_copies_beside_are_no_candidates(tmp_path, name):
    """A hidden file, a copy, a backup or an archive of some of the files, with other bytes in it, changes nothing."""
    expected = write_idx(tmp_path)
    for original in MNIST_FILES[:3]:
        (tmp_path / name.format(original, dotted=original.rsplit("-idx", 1))).write_bytes(b"other")
    assert_same(input_pipeline.load(f"idx:{tmp_path}"), expected)


def test_files_of_one_meaning_must_be_one(tmp_path):
    """Dots or dashes, t10k or test: two files are read where they are the same, and refused by name where not."""
    expected = write_idx(tmp_path)
    write_idx(tmp_path, DOTTED)
    assert_same(input_pipeline.load(f"idx:{tmp_path}"), expected)
    other = tmp_path / "test-images-idx3-ubyte"
    other.write_bytes(b"other")
    message = refusal(f"idx:{tmp_path}")
    assert other.name in message and str(tmp_path) in message and "accepted: one of them" in message
    other.unlink()
    assert_same(input_pipeline.load(f"idx:{tmp_path}"), expected)


def test_idx_without_test_files(tmp_path):
    """Where examples are held out no test files are needed, and none are read; else the refusal says so."""
    expected = write_idx(tmp_path)
    (tmp_path / MNIST_FILES[2]).unlink()
    (tmp_path / MNIST_FILES[3]).write_bytes(b"damaged")
    assert "no file *t10k or test*images*idx3-ubyte" in refusal(f"idx:{tmp_path}")
    assert "--config.validation=N" in refusal(f"idx:{tmp_path}")
    dataset = input_pipeline.load(f"idx:{tmp_path}", validation="4")
    assert dataset.validation_images.shape == (0, 35) and dataset.validation_labels.shape == (0,)
    found = input_pipeline.split(dataset, 5, "4")
    images, labels = expected.images, expected.labels
    assert_same(found, Dataset(images[:5], labels[:5], images[-4:], labels[-4:], (5, 7)))
    with pytest.raises(DataError, match="without a test set"):
        input_pipeline.split(dataset)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("idx:~nobody-of-that-name", "idx:~nobody-of-that-name: user 'nobody-of-that-name' has no home folder"),
        ("idx:gs://bucket/mnist", "idx:gs://bucket/mnist is not on this machine"),
        ("idx:a\0b", "is no path"),
        ("idx:" + "x" * 400, "cannot be read"),
        ("tfds:mnist", "--data_dir=~nobody-of-that-name: user"),
    ],
)
def test_places_that_are_none(name, said):
    """One line for a home that is not known, another machine, what no file system takes."""
    with pytest.raises(DataError) as caught:
        input_pipeline.load(name, "~nobody-of-that-name")
    assert said in str(caught.value)


def test_home_is_expanded(tmp_path, monkeypatch):
    """`~` in idx: and in data_dir is HOME."""
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = write_idx(tmp_path / "mine")
    assert_same(input_pipeline.load("idx:~/mine"), expected)
    assert str(tmp_path / "absent") in refusal("tfds:mnist", "~/absent")


def test_names_that_are_no_utf8(tmp_path):
    """A folder and a prefix of any bytes are read."""
    folder = tmp_path / os.fsdecode(b"d\xff")
    expected = write_idx(folder, [os.fsdecode(b"\xfe-") + name for name in MNIST_FILES])
    assert_same(input_pipeline.load(f"idx:{folder}"), expected)
    assert_same(input_pipeline.load(f"idx:{folder}/" + os.fsdecode(b"\xfe")), expected)


def test_idx_beside_its_zipped_copy_is_one_file(tmp_path):
    """A file that lies there both plain and gzipped counts once."""
    expected = write_idx(tmp_path)
    write_idx(tmp_path, zipped=True)
    assert_same(input_pipeline.load(f"idx:{tmp_path}"), expected)


DAMAGES = {
    "wrong magic": lambda content: LABELS_MAGIC.to_bytes(4, "big") + content[4:],
    "little-endian": lambda content: content[3::-1] + content[4:],
    "empty": lambda content: b"",
    "magic alone": lambda content: content[:4],
    "half a header": lambda content: content[:11],
    "a byte short": lambda content: content[:-1],
    "a byte too many": lambda content: content + b"\0",
    "dimensions beyond 64 bits": lambda content: idx_bytes(IMAGES_MAGIC, (2**31, 2**31, 4), b""),
    "no pixels": lambda content: idx_bytes(IMAGES_MAGIC, (6, 0, 2**32 - 1), b""),
    "torn gzip": lambda content: gzip.compress(content)[:-20],
    "gzip without its checksum": lambda content: gzip.compress(content)[:-8],
    "damaged gzip": lambda content: gzip.compress(content)[:12] + b"\xff\xff\xff\xff" + gzip.compress(content)[16:],
    "gzip of a torn file": lambda content: gzip.compress(content[:-1]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_idx_is_named(tmp_path, damage):
    """A damaged IDX file is an error of one line that names the file."""
    write_idx(tmp_path)
    path = tmp_path / MNIST_FILES[2]
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert str(path) in refusal(f"idx:{tmp_path}")


@pytest.mark.parametrize(("index", "part"), [(1, "training"), (3, "validation")])
def test_idx_counts_must_agree(tmp_path, index, part):
    """Fewer labels than images is an error that gives both counts."""
    expected = write_idx(tmp_path)
    labels = expected[index][:-1]
    (tmp_path / MNIST_FILES[index]).write_bytes(
        idx_bytes(LABELS_MAGIC, labels.shape, labels.astype(np.uint8).tobytes())
    )
    message = refusal(f"idx:{tmp_path}")
    assert str(tmp_path) in message and f"{len(labels) + 1} {part} images but {len(labels)} labels" in message


def test_idx_sizes_must_agree(tmp_path):
    """Test images of another size than the training images are refused, and so is an empty training set."""
    write_idx(tmp_path)
    (tmp_path / MNIST_FILES[2]).write_bytes(idx_bytes(IMAGES_MAGIC, (6, 5, 6), bytes(180)))
    assert "training images are 5 x 7 pixels, validation images 5 x 6" in refusal(f"idx:{tmp_path}")
    # As many pixels in another order would be trained on without a word.
    (tmp_path / MNIST_FILES[2]).write_bytes(idx_bytes(IMAGES_MAGIC, (6, 7, 5), bytes(210)))
    assert "validation images 7 x 5" in refusal(f"idx:{tmp_path}")
    (tmp_path / MNIST_FILES[2]).write_bytes(idx_bytes(IMAGES_MAGIC, (6, 5, 7), bytes(210)))
    (tmp_path / MNIST_FILES[0]).write_bytes(idx_bytes(IMAGES_MAGIC, (0, 5, 6), b""))
    (tmp_path / MNIST_FILES[1]).write_bytes(idx_bytes(LABELS_MAGIC, (0,), b""))
    assert "no training images" in refusal(f"idx:{tmp_path}")


@pytest.mark.parametrize("missing", MNIST_FILES)
def test_missing_idx_file_is_named(tmp_path, missing):
    """The message says which of the four files is not there."""
    write_idx(tmp_path)
    (tmp_path / missing).unlink()
    part, kind, suffix = missing.split("-", 2)
    part = "t10k or test" if part == "t10k" else part
    message = refusal(f"idx:{tmp_path}")
    assert str(tmp_path) in message and f"{part}*{kind}*{suffix}" in message


def test_missing_idx_folder_is_named(tmp_path):
    """A folder that is not there is an error of one line."""
    folder = tmp_path / "absent" / "mnist"
    assert str(folder) in refusal(f"idx:{folder}")


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
        (dataset.labels.astype(np.float32), "labels are float32; accepted: whole numbers"),
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
        (lambda images: images.astype(np.float32), "float32 from 0 to 255, and floats are not scaled"),
        (lambda images: np.where(images == images[0, 0], np.nan, images / 255), "from nan to nan; accepted: finite"),
        (lambda images: images / 255 - np.where(images == images[0, 0], np.inf, 0), "from -inf to"),
        (lambda images: images / 255 + 1e39, "from 1e\\+39 to 1e\\+39; accepted: finite"),
        (lambda images: images.astype(np.int64), "training images are int64; accepted: uint8, or floats"),
        (lambda images: images.astype(object), "training images are object; accepted: uint8, or floats"),
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
