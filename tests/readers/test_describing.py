"""What `--describe` says of a data set, and the picture of samples."""

import numpy as np
import PIL.Image
import pytest
from commands import refused

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
