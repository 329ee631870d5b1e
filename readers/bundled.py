"""The data sets that come with scikit-learn, which is needed for nothing else."""

from typing import Any

import numpy as np

from nets.tables import near_match
from readers.dataset import DataError, Dataset, NoTestError, without_test

SETS = ("digits", "iris", "wine", "breast_cancer", "diabetes", "linnerud")
# Pictures among them by their height and width.
SHAPES = {"digits": (8, 8)}


def load_bundled(name: str, tested: bool) -> Dataset:
    """The data set of that name, its numbers as they are, in a random order that is always the same: some of them are
    sorted by class, and examples that are held out from their end would be of one."""
    if name not in SETS:
        raise DataError(f"sklearn:{name} is not known{near_match(name, SETS)}; accepted: {', '.join(SETS)}")
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DataError(
            f"sklearn:{name} needs scikit-learn, which is not installed; `pip install scikit-learn` installs it"
        ) from error
    if tested:
        raise NoTestError(f"sklearn:{name} has no test set")
    bunch: Any = getattr(datasets, f"load_{name}")()
    order_N = np.random.default_rng(0).permutation(len(bunch.data))
    dataset = without_test(bunch.data[order_N], bunch.target[order_N], SHAPES.get(name, ()))
    is_named = not dataset.is_regression and name != "digits"
    return dataset._replace(class_names=tuple(map(str, bunch.target_names)) if is_named else ())
