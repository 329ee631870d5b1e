"""Data sets that a function of the user's gives."""

import numpy as np
import pytest

import input_pipeline
import train
from configs import shallow
from readers.dataset import DataError

TEXT = """
import numpy as np

random = np.random.default_rng(0)
x, y = random.normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3


def pair():
    return x, y


def four():
    return x[:40], y[:40], x[40:], y[40:]


def keras():
    return (x[:40], y[:40]), (x[40:], y[40:])


def named():
    return {"x_train": x[:40], "y_train": y[:40], "x_test": x[40:], "y_test": y[40:]}


def lacking():
    return {"x_train": x}


def words():
    return x, np.array(list("abc") * 20)


def ragged():
    return [[1, 2], [3]], [0, 1]


def failing():
    return 1 / 0


def nothing():
    return None


number = 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize("name", ["four", "keras", "named"])
def test_two_parts(file, name):
    """Training and test examples, however they are given."""
    dataset = input_pipeline.load(f"{file}:{name}")
    assert dataset.images.shape == (40, 4)
    np.testing.assert_array_equal(dataset.validation_labels, np.arange(40, 60) % 3)


def test_one_part_is_trained_on_with_examples_held_out(file, tmp_path, monkeypatch):
    """By the command's own function; the text of the file is part of the run, and its data set is read by it."""
    config = shallow.get_config()
    config.update(dataset=f"{file}:pair", validation="20", inputs=4, classes=3, hidden=(5,), epochs=1, batch_size=10)
    monkeypatch.setattr(train.run_directory.RunDirectory, "draw_figures", lambda *_: None)
    rows = train.train_and_evaluate(config, tmp_path / "run")
    assert len(rows) == 1
    with pytest.raises(DataError, match="gives no test set"):
        input_pipeline.load(f"{file}:pair")
    file.unlink()
    assert train.load_dataset(train.run_directory.read_config(tmp_path / "run"), "").images.shape == (40, 4)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lacking", "gives no y_train"),
        ("words", "an array of <U1"),
        ("ragged", "no array"),
        ("failing", "ZeroDivisionError: division by zero, line 37"),
        ("nothing", "gives 'NoneType'"),
        ("number", "is 3"),
        ("missing", "has no missing"),
    ],
)
def test_what_is_no_data_set_is_one_line(file, name, said):
    """It names what was given and what is accepted."""
    with pytest.raises(DataError, match=said) as raised:
        input_pipeline.load(f"{file}:{name}", validation="5")
    assert "accepted" in str(raised.value) and "\n" not in str(raised.value)
