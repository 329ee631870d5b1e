"""What `--describe` says of a data set, and the picture of samples."""

import numpy as np
import PIL.Image
import pytest
from commands import refused
from idx_files import MNIST_FILES, refusal, write_idx

import input_pipeline
from input_pipeline import Dataset
from readers import describing
from training import pictures


class Command:
    """`python input_pipeline.py` with arguments, in this process."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch

    def __call__(self, *arguments):
        given = dict(argument.removeprefix("--").split("=") for argument in arguments)
        input_pipeline.describe(given["describe"], "/nowhere", given.get("picture"))


@pytest.fixture
def describe(monkeypatch, tmp_path):
    """The command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch)


def test_classes(describe, tmp_path, capsys):
    """Parts, shape, type, range, names and counts, and flags that train on it; the picture has the default's name."""
    (tmp_path / "a.csv").write_text("size,label\n1.5,ant\n2,bee\n-3,ant\n4,ant\n5,bee\n")
    describe("--describe=csv:a.csv")
    assert capsys.readouterr().out.splitlines() == [
        "csv:a.csv",
        "  examples: 5 training; no test set",
        "  inputs: 1, float32 from -3 to 5, taken as they are",
        "  labels: 2 classes",
        "  class  training",
        "    ant         3",
        "    bee         2",
        "  train on it: --config.dataset=csv:a.csv --config.inputs=1 --config.classes=2 --config.validation=1 "
        "--config.batch_size=4",
        "  samples: csv-a-csv-samples.png",
    ]
    with PIL.Image.open("csv-a-csv-samples.png") as picture:
        assert picture.size[0] > 100


def test_test_sets_are_described(describe, tmp_path, capsys):
    """Those of IDX files, which need not be there; a test file that is damaged is no test set that is not there."""
    write_idx(tmp_path / "my idx")
    describe("--describe=idx:my idx")
    said = capsys.readouterr().out
    assert "  examples: 12 training, 6 test\n" in said and "--config.validation" not in said
    assert "  train on it: '--config.dataset=idx:my idx' --config.inputs=35" in said
    (tmp_path / "my idx" / MNIST_FILES[3]).write_bytes(b"")
    assert "magic number" in refusal("idx:my idx")
    with pytest.raises(SystemExit):
        describe("--describe=idx:my idx")
    assert "magic number" in capsys.readouterr().err
    (tmp_path / "my idx" / MNIST_FILES[3]).unlink()
    describe("--describe=idx:my idx")
    assert "  examples: 12 training; no test set\n" in capsys.readouterr().out


def test_names_of_classes_and_flags():
    """A name of several lines is one line; a single example is not enough; a folder of data is among the flags."""
    images, labels = np.zeros((2, 3), np.float32), np.int32([0, 1])
    two = Dataset(images, labels, images[:0], labels[:0], (), ("a\nb", "c" * 99))
    lines = describing.in_words(two, "tfds:mine", ["--data_dir=my data"]).splitlines()
    assert lines[5].split() == ["a", "b", "1"] and max(map(len, lines[4:7])) < 60
    assert lines[7].endswith("--config.validation=1 --config.batch_size=1 '--data_dir=my data'")
    prices = Dataset(images, np.int32([0, 350]), images[:0], labels[:0])
    assert "\n  and 311 more\n  more classes than examples: targets need" in describing.in_words(prices, "mine")
    one = Dataset(images[:1], labels[:1], images[:0], labels[:0])
    assert describing.in_words(one, "mine").endswith("train on it: 2 examples or more are needed")


def test_pictures_and_targets():
    """Both parts of pictures; mean, deviation and range of targets."""
    images, labels = np.zeros((4, 12), np.uint8), np.int32([0, 2, 2, 1])
    said = describing.in_words(Dataset(images, labels, images[:2], labels[:2], (3, 4)), "mine")
    assert "examples: 4 training, 2 test\n" in said and "12 (3 x 4), uint8 from 0 to 0, scaled by 1/255" in said
    assert "      0         1         1\n      1         1         0\n      2         2         1\n" in said
    targets = np.float32([[1, 0], [3, 0]])
    said = describing.in_words(Dataset(np.float32(images[:2]), targets, images[:0], targets[:0]), "mine")
    assert "training target 0: mean 2, standard deviation 1, from 1 to 3" in said
    assert "--config.classes=2 --config.output=identity --config.cost=quadratic" in said


def test_mistakes(describe, tmp_path, capsys):
    """An unknown name, and a picture that cannot be written, end in one line."""
    assert "did you mean 'mnist'?" in refused(describe, capsys, "--describe=mnits")
    (tmp_path / "a.csv").write_text("size,label\n1.5,ant\n2,bee\n")
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        describe("--describe=csv:a.csv", "--picture=s3://bucket/a.png")
    assert "error: --picture=s3://bucket/a.png is not on this machine" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        describe("--describe=csv:a.csv", "--picture=file/a.png")
    assert caught.value.code == 2 and "the picture file/a.png cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("first", [False, True])
def test_colours_of_wide_pictures(first):
    """Height, width and colours are those of the file, whether channels come last or first."""
    colours = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3)).astype(np.uint8)
    given = np.moveaxis(colours, -1, 1) if first else colours
    figure = pictures.draw_digits(given.reshape(2, -1), np.int32([1, 0]), 1, 2, given.shape[1:], ("ant", "a bee $5"))
    (axis,) = figure.axes
    drawn = np.asarray(axis.images[0].get_array())
    assert drawn.shape == (5, 14, 3)
    np.testing.assert_allclose(drawn[:4, 7:13], colours[1] / 255)
    assert [text.get_text() for text in axis.texts] == [r"a bee \$5", "ant"]


def test_labels_of_a_regression():
    """The first target in few digits."""
    figure = pictures.draw_digits(np.zeros((1, 4), np.float32), np.float32([[151.25, 1]]), 1, 1)
    assert [text.get_text() for text in figure.axes[0].texts] == ["151"]
