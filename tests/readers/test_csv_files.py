"""Data sets in CSV files: which column is the label, what labels mean, what is said of cells that are no numbers."""

import gzip

import numpy as np
import pytest
from idx_files import refusal

import input_pipeline
import train


def load(folder, text, name="a.csv"):
    """The data set in a file with that text."""
    (folder / name).write_text(text, encoding="utf-8")
    return input_pipeline.load(f"csv:{folder}/{name}", validation="1")


def refused(folder, text):
    """The line with which a file of that text is refused, after its name."""
    (folder / "a.csv").write_text(text, encoding="utf-8")
    message = refusal(f"csv:{folder}/a.csv", validation="1")
    assert message.startswith(f"csv:{folder}/a.csv")
    return message.removeprefix(f"csv:{folder}/a.csv")


FEATURES = [[1.5, -2.0], [3.0, 4.0], [5.0, 0.001]]


@pytest.mark.parametrize(
    "text",
    [
        "1,1.5,-2\n0,3,4\n2,5,1e-3\n",  # No header: the first column.
        "a,b,c\n1,1.5,-2\n0,3,4\n2,5,1e-3\n",  # No such name: the first column.
        "a,b,Class\n1.5,-2,1\n3,4,0\n5,1e-3,2\n",
        "a;y;b\n1.5;1;-2\n3;0;4\n5;2;1e-3\n",
        "y,target,x\n1.5,1,-2\n3,0,4\n5,2,1e-3\n",  # target comes before y.
        '\n;;\n"a, b, c, d";"y";b\n1.5;1;-2\n3;0;4\n5;2;1e-3\n',  # Empty lines first; commas within quotes.
        "label\t1\t2\n1\t1.5\t-2\n\n0\t3\t4\n2\t5\t1e-3\n",  # An empty line; numbers as names.
        '\ufeff"label","a, b","c"\r\n1,1.5,-2\r\n0, 3,4\r\n2,5,1e-3',  # As Excel writes it.
    ],
)
def test_label_column(tmp_path, text):
    """Labels and features in their order, wherever the labels stand and whatever is between cells."""
    found = load(tmp_path, text)
    assert found.images.dtype == np.float32 and found.labels.dtype == np.int32
    assert found.labels.tolist() == [1, 0, 2] and found.class_names == () and found.shape == ()
    np.testing.assert_array_equal(found.images, np.float32(FEATURES))
    assert found.validation_images.shape == (0, 2)


def test_words_are_classes_in_sorted_order(tmp_path):
    """Also numbers among words, and a first row of a word and numbers is an example."""
    found = load(tmp_path, "cat,1\nant,2\nbee,3\ncat,4\n")
    assert found.class_names == ("ant", "bee", "cat") and found.labels.tolist() == [2, 0, 1, 2]
    found = load(tmp_path, "v,label\n1,B\n2,10\n3,9\n4,A\n")
    assert found.class_names == ("10", "9", "A", "B") and found.labels.tolist() == [3, 0, 1, 2]


def test_columns_without_a_name(tmp_path):
    """Are as good as others where they do not count the rows; words that happen to be in order do not."""
    found = load(tmp_path, ",label\n1,5\n0,6\n2,7\n")
    assert found.images.ravel().tolist() == [1, 0, 2] and found.labels.tolist() == [5, 6, 7]
    assert load(tmp_path, ",size\nant,1\nbee,2\n").class_names == ("ant", "bee")


def test_numbers_with_a_point_are_targets(tmp_path):
    """One a row, float32; whole numbers among them are targets too."""
    found = load(tmp_path, "target,a\n1.5,1\n-2,2\n3e2,3\n")
    assert found.is_regression and found.labels.dtype == np.float32
    np.testing.assert_array_equal(found.labels, np.float32([[1.5], [-2], [300]]))


def test_gzipped(tmp_path):
    """The same data."""
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"label,a\n0,1\n1,2\n"))
    found = input_pipeline.load(f"csv:{tmp_path}/a.csv.gz", validation="1")
    assert found.labels.tolist() == [0, 1] and found.images.tolist() == [[1.0], [2.0]]


def test_pixels_are_bytes(tmp_path):
    """Whole numbers up to 255 in 64 columns are scaled in training as bytes are; fewer columns, or other numbers, are
    not."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64))

    def written(numbers_NxD):
        return "".join(f"{i}," + ",".join(map(str, row)) + "\n" for i, row in enumerate(numbers_NxD.tolist()))

    found = load(tmp_path, written(pixels))
    assert found.images.dtype == np.uint8
    np.testing.assert_array_equal(found.images, pixels)
    for numbers in (pixels[:, :63], pixels // 2, pixels + 1, np.where(pixels == pixels[0, 0], 0.5, pixels)):
        found = load(tmp_path, written(numbers))
        assert found.images.dtype == np.float32
        np.testing.assert_array_equal(found.images, np.float32(numbers))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label,age,size\n0,1,2\n1,x,4\n", ": row 3, column 'age': 'x' is no number"),
        ("0,1,2\n1,3,1_000\n", ": row 2, column 3: '1_000' is no number"),
        ("label,age\n0,1\n\n1,\n", ": row 4, column 'age': '' is a missing value"),
        ("label,age\n0,1\n1,NaN\n", ": row 3, column 'age': 'NaN' is a missing value"),
        ("label,age\n0,1\n1,-inf\n", ": row 3, column 'age': '-inf' is not finite"),
        ("label,age\n0,1e39\n1,1\n", ": row 2, column 'age': '1e39' is not finite"),
        ("label,age\n0,1\n,2\n", ": row 3, column 'label': '' is a missing label"),
        ("label,age\n0.5,1\ninf,2\n", ": row 3, column 'label': inf is not finite"),
        ("label,age\n0,1,2\n", ": row 2 has 3 cells where the first row has 2"),
        ("label,age\n0,1\n1\n", ": row 3 has 1 cell where the first row has 2"),
        ("label,age\n" + "1,2\n" * 20 + "l,2\n", ": row 22, column 'label': 'l' is no number, as the other labels"),
        (
            "size,kind\n1.5,cat\n",
            ": row 2, column 'kind': 'cat' is no number; the labels were taken from column 'size'",
        ),
        ("labels,a\n0,1\n", ": no column is named label or target or class or y, but 'labels' (did you mean 'label'?)"),
        ("label,label\n0,1\n", ": 2 columns are named 'label'; accepted: one"),
        ("label\n0\n1\n", " has a single column; accepted: one of labels"),
        ("label,age\n", " has no rows"),
        ("", " is empty"),
        ("label,age\n-1,2\n", ": a training label is -1; accepted: whole numbers from 0 to 999,999; targets of a"),
        (
            "y,1,2\nn,3,4\ny,5,6\n",
            ": its first row may be a header, since 'y' names labels, or an example, since 'y' is a label below",
        ),
        (",size,label\n0,3,1\n1,5,0\n2,4,1\n", ": column 1 has no name and counts the rows; accepted: a file without"),
        (",size\n1,3\n2,5\n3,4\n", ": column 1 has no name and counts the rows"),
        ("label,a,Unnamed: 0\n5,1.5,0\n3,2,1\n", ": column 3 has no name and counts the rows"),
        ("0;1,5\n1;2,5\n", ": row 1, column 2: '1,5' is no number"),
        ('label,age\n0,"1\n', " cannot be read as CSV: unexpected end of data"),
    ],
)
def test_what_is_refused(tmp_path, text, said):
    """One line with the row of the file, its first being 1, and the column."""
    message = refused(tmp_path, text)
    assert message.startswith(said), message


def test_bytes_that_are_no_text(tmp_path):
    """Not UTF-8, or a torn archive."""
    for content in (b"label,a\n0,\xff\n", gzip.compress(b"label,a\n" + b"0,1\n" * 99)[:-8]):
        (tmp_path / "a.csv").write_bytes(content)
        assert "cannot be read as CSV" in refusal(f"csv:{tmp_path}/a.csv", validation="1")


def test_there_is_no_test_set(tmp_path):
    """Refused with the way out, which works; a file that is not there is named with its neighbour."""
    load(tmp_path, "label,a\n0,1\n1,2\n0,3\n")
    assert "has no test set; --config.validation=N holds N examples out" in refusal(f"csv:{tmp_path}/a.csv")
    found = input_pipeline.split(input_pipeline.load(f"csv:{tmp_path}/a.csv", validation="1"), 0, "1")
    assert found.labels.tolist() == [0, 1] and found.validation_images.tolist() == [[3.0]]
    assert "no such file (did you mean 'a.csv'?)" in refusal(f"csv:{tmp_path}/b.csv")


def test_sorted_by_class(tmp_path, capsys):
    """Held-out examples of classes that are not trained on are counted in a warning; others are not spoken of."""
    fields = {"dataset": f"csv:{tmp_path}/a.csv", "validation": "2", "inputs": 1, "batch_size": 1, "probes": ()}
    load(tmp_path, "label,a\n0,1\n0,2\n1,3\n1,4\n2,5\n")
    train.load_dataset(train.as_config(fields), "")
    assert "warning: 1 of the 2 examples held out from the end of csv:" in capsys.readouterr().err
    train.load_dataset(train.as_config({**fields, "classes": 1, "output": "identity"}), "")
    load(tmp_path, "label,a\n0,1\n1,2\n0,3\n1,4\n")
    train.load_dataset(train.as_config(fields), "")
    assert not capsys.readouterr().err
