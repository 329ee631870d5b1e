"""IDX files: which of a folder are the data, and what is said of those that are damaged or missing."""

import gzip
import os

import numpy as np
import pytest
from idx_files import (
    EMNIST_FILES,
    IMAGES_MAGIC,
    LABELS_MAGIC,
    MNIST_FILES,
    assert_same,
    idx_bytes,
    idx_contents,
    random_dataset,
    refusal,
    write_idx,
)

import input_pipeline
from input_pipeline import DataError, Dataset


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
    """Where examples are held out no test files are needed, but read if both are there; else the refusal says so."""
    expected = write_idx(tmp_path)
    whole = input_pipeline.split(input_pipeline.load(f"idx:{tmp_path}", validation="4"), 5, "4")
    np.testing.assert_array_equal(whole.test_images, expected.validation_images)
    np.testing.assert_array_equal(whole.test_labels, expected.validation_labels)
    (tmp_path / MNIST_FILES[2]).unlink()
    (tmp_path / MNIST_FILES[3]).write_bytes(b"damaged")
    assert "no file *t10k or test*images*idx3-ubyte" in refusal(f"idx:{tmp_path}")
    assert "--config.validation=N" in refusal(f"idx:{tmp_path}")
    dataset = input_pipeline.load(f"idx:{tmp_path}", validation="4")
    assert dataset.validation_images.shape == (0, 35) and dataset.validation_labels.shape == (0,)
    found = input_pipeline.split(dataset, 5, "4")
    images, labels = expected.images, expected.labels
    assert_same(found, Dataset(images[:5], labels[:5], images[-4:], labels[-4:], (5, 7)))
    assert not found.has_test
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
