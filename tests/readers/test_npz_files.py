"""Data sets in npz files: Keras's four arrays, KMNIST's four files; pickles and damages."""

import pickle
import zipfile

import numpy as np
import pytest
from idx_files import assert_same, random_dataset, refusal

import input_pipeline


def keras_file(path, **changed):
    """A file with a data set's arrays as Keras keeps them, some changed, None left out; the data set."""
    dataset = random_dataset()
    images, test_images = (part.reshape(-1, 5, 7) for part in (dataset.images, dataset.validation_images))
    arrays = {"x_train": images, "y_train": dataset.labels, "x_test": test_images, "y_test": dataset.validation_labels}
    np.savez(path, **{key: value for key, value in (arrays | changed).items() if value is not None})
    return dataset


def kmnist_files(folder, name="kmnist", seed=0, parts=("train", "test")):
    """Four files of one array each; the data set."""
    dataset = random_dataset(seed=seed)
    for part, images, labels in (("train", *dataset[:2]), ("test", *dataset[2:4])):
        if part in parts:
            np.savez(folder / f"{name}-{part}-imgs.npz", images.reshape(-1, 5, 7))
            np.savez_compressed(folder / f"{name}-{part}-labels.npz", labels.astype(np.uint8))
    return dataset


@pytest.mark.parametrize("column", [False, True])
def test_four_arrays(tmp_path, column):
    """Keras's names; labels in one column, as those of CIFAR-10, are labels."""
    labels = random_dataset().labels
    expected = keras_file(tmp_path / "a.npz", y_train=labels[:, None] if column else labels, other=np.arange(3))
    assert_same(input_pipeline.load(f"npz:{tmp_path}/a.npz"), expected)


def test_without_test_arrays(tmp_path):
    """Refused unless examples are held out, and so are those without examples; half a test set is none."""
    expected = keras_file(tmp_path / "a.npz", x_test=np.empty((0, 5, 7)), y_test=np.empty(0, int))
    assert "has no test set; --config.validation=N" in refusal(f"npz:{tmp_path}/a.npz")
    expected = keras_file(tmp_path / "a.npz", x_test=None, y_test=None)
    assert "has no test set; --config.validation=N" in refusal(f"npz:{tmp_path}/a.npz")
    found = input_pipeline.split(input_pipeline.load(f"npz:{tmp_path}/a.npz", validation="4"), 0, "4")
    assert found.shape == (5, 7)
    np.testing.assert_array_equal(found.images, expected.images[:8])
    np.testing.assert_array_equal(found.validation_labels, expected.labels[8:])
    keras_file(tmp_path / "b.npz", y_test=None)
    assert "lacks y_test; it has x_train, y_train, x_test" in refusal(f"npz:{tmp_path}/b.npz", validation="4")


@pytest.mark.parametrize("named", ["", "/kmnist-train-imgs.npz", "/kmnist-test-labels.npz"])
def test_four_files(tmp_path, named):
    """Naming the folder or any of them finds the others."""
    expected = kmnist_files(tmp_path)
    assert_same(input_pipeline.load(f"npz:{tmp_path}{named}"), expected)


def test_two_data_sets_in_a_folder(tmp_path):
    """One of them must be named, and the refusal names a file that does it."""
    kmnist_files(tmp_path, "kmnist", seed=1)
    expected = kmnist_files(tmp_path, "k49", seed=2)
    message = refusal(f"npz:{tmp_path}")
    assert "2 data sets (k49, kmnist)" in message
    assert_same(input_pipeline.load(message.rpartition("as in ")[2]), expected)


def test_files_that_are_missing(tmp_path):
    """By the name of the file; without the test files examples can be held out."""
    expected = kmnist_files(tmp_path, parts=("train",))
    assert "has no test set" in refusal(f"npz:{tmp_path}")
    np.testing.assert_array_equal(input_pipeline.load(f"npz:{tmp_path}", validation="3").images, expected.images)
    (tmp_path / "kmnist-train-labels.npz").unlink()
    assert "has no file kmnist-train-labels.npz" in refusal(f"npz:{tmp_path}/kmnist-train-imgs.npz")
    assert "did you mean 'kmnist-train-imgs.npz'?" in refusal(f"npz:{tmp_path}/kmnist-trian-imgs.npz")
    (tmp_path / "none").mkdir()
    assert "no file NAME-train-imgs.npz" in refusal(f"npz:{tmp_path}/none")


class Bomb:
    """What runs as soon as its pickle is loaded."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


@pytest.mark.parametrize("kind", ["array", "file", "label"])
def test_pickles_are_never_loaded(tmp_path, kind):
    """Neither as an array of objects nor as the file itself."""
    path = tmp_path / "a.npz"
    bombs = np.array([Bomb()] * 12, dtype=object)
    if kind == "file":
        path.write_bytes(pickle.dumps({"x_train": Bomb()}))
    else:
        keras_file(path, **{"x_train" if kind == "array" else "y_test": bombs})
    message = refusal(f"npz:{path}")
    assert str(path) in message and "pickle" in message and "is not loaded" in message


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"x_train": None}, "lacks x_train; it has y_train, x_test, y_test; accepted: x_train and y_train"),
        ({"y_train": None, "y_tarin": np.arange(12)}, "lacks y_train (did you mean 'y_tarin'?)"),
        ({"y_train": np.arange(11)}, "12 training images but 11 labels"),
        (
            {"y_train": np.eye(12, dtype=int)},
            "labels of shape (12, 12); accepted: examples first, and one class each, as argmax(-1) makes of one-hot",
        ),
        ({"x_train": np.array(3)}, "images of shape () with labels of shape (12,); accepted: an image and a label for"),
        ({"x_train": np.array(3), "x_test": None, "y_test": None}, "images of shape () with labels of shape (12,)"),
        ({"y_train": np.array(3)}, "with labels of shape (); accepted: an image and a label for every example"),
        ({"y_train": np.arange(12) / 10}, "training labels are float64 [12], validation labels int32 [6]"),
        ({"x_train": np.full((12, 35), np.nan)}, "from nan to nan; accepted: finite numbers"),
        ({"x_train": np.zeros((12, 5, 8))}, "training images are 5 x 8 pixels, validation images 5 x 7"),
        ({"x_train": np.array(["a"] * 12)[:, None]}, "training images are <U1; accepted: uint8, other whole"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, changed, said):
    """A line each that says what was found."""
    keras_file(tmp_path / "a.npz", **changed)
    assert said in refusal(f"npz:{tmp_path}/a.npz", validation="1" if "x_test" in changed else "test")


@pytest.mark.parametrize("content", ["", "no zip", "torn", "npy", "text"])
def test_damaged_files(tmp_path, content):
    """Empty, foreign, torn; a single array; an archive of something else."""
    path = tmp_path / "a.npz"
    keras_file(path)
    if content == "torn":
        path.write_bytes(path.read_bytes()[:500])
    elif content == "npy":
        with path.open("wb") as file:
            np.save(file, np.arange(3))
    elif content == "text":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x_train", "text")
            archive.writestr("y_train", "text")
    else:
        path.write_text(content)
    message = refusal(f"npz:{path}")
    assert str(path) in message
    assert {"npy": "is a single array", "text": "x_train is no array", "no zip": "it is no npz file"}.get(
        content, "cannot be read"
    ) in message


def test_whole_numbers_become_floats(tmp_path):
    """Whole numbers that are no bytes are float32 of the same values, unscaled; bytes stay bytes."""
    images = np.arange(60, dtype=np.int64).reshape(12, 5) - 7
    keras_file(tmp_path / "a.npz", x_train=images, x_test=images[:6].astype(np.int16))
    found = input_pipeline.load(f"npz:{tmp_path}/a.npz")
    assert found.images.dtype == found.validation_images.dtype == np.float32 and found.shape == ()
    np.testing.assert_array_equal(found.images, images)
