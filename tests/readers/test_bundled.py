"""The data sets that come with scikit-learn, and what is said where it is not installed."""

import sys

import numpy as np
import pytest
from idx_files import refusal

import input_pipeline


@pytest.mark.parametrize(
    ("name", "examples", "inputs", "classes"),
    [("digits", 1797, 64, 10), ("iris", 150, 4, 3), ("wine", 178, 13, 3), ("breast_cancer", 569, 30, 2)],
)
def test_classes(name, examples, inputs, classes):
    """As many examples, numbers and classes as scikit-learn's documentation says; every class among the last fifth."""
    found = input_pipeline.load(f"sklearn:{name}", validation="1")
    assert found.images.shape == (examples, inputs) and found.images.dtype == np.float32
    assert found.labels.dtype == np.int32 and set(found.labels.tolist()) == set(range(classes))
    assert set(found.labels[-examples // 5 :].tolist()) == set(range(classes))
    assert found.shape == ((8, 8) if name == "digits" else ())


@pytest.mark.parametrize(("name", "inputs", "targets"), [("diabetes", 10, 1), ("linnerud", 3, 3)])
def test_regressions(name, inputs, targets):
    """Float targets; the mean of diabetes is known."""
    found = input_pipeline.load(f"sklearn:{name}", validation="1")
    assert found.is_regression and found.labels.shape[1] == targets and found.images.shape[1] == inputs
    if name == "diabetes":
        assert found.labels.mean() == pytest.approx(152.1335, rel=1e-5)


def test_rows_keep_their_labels():
    """In another order, the same one each time: petals of the first iris are 1.4 by .2 cm, and it is a setosa."""
    found = input_pipeline.load("sklearn:iris", validation="1")
    (first,) = np.flatnonzero((found.images == np.float32([5.1, 3.5, 1.4, 0.2])).all(axis=1))
    assert found.class_names[found.labels[first]] == "setosa"
    np.testing.assert_array_equal(found.images, input_pipeline.load("sklearn:iris", validation="1").images)


def test_refusals(monkeypatch):
    """Without the package how to install it; a name that is close; no test set."""
    assert "sklearn:irsi is not known (did you mean 'iris'?); accepted: digits" in refusal("sklearn:irsi")
    assert "--config.validation=N" in refusal("sklearn:iris")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert "not installed; `pip install scikit-learn` installs it" in refusal("sklearn:iris", validation="1")
