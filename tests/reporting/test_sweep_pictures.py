"""The pictures of a sweep: which there are, and what is drawn."""

import numpy as np
import pytest
from PIL import Image
from sweep_tables import embedded, table_of

from experiments import report


def test_pictures_are_written(sweep):
    """Of a grid all three, of a size that can be read, and with something drawn."""
    _, folder, written = sweep
    names = ["report.html", "figures/learning_curves.png", "figures/heat_map.png", "figures/saturation.png"]
    assert written == [folder / name for name in names]
    for path in written[1:]:
        with Image.open(path) as picture:
            assert min(picture.size) >= 400
            assert len(picture.convert("RGB").getcolors(2**24)) > 100


@pytest.mark.parametrize(
    ("swept", "diverged", "pictures"),
    [
        ({}, {}, []),
        ({}, {0: 1}, []),
        ({"seed": [3, 5, 9]}, {}, []),
        ({"batch_norm": [False, True]}, {}, ["saturation"]),
        ({"l2": [0.0, 1e-5, 1e-3], "hidden": [(64,), (128,), (64, 64)]}, {4: 2}, ["heat_map", "saturation"]),
    ],
    ids=["one trial", "one that diverged at once", "seeds alone", "a bool", "zero among powers of ten"],
)
def test_any_sweep_has_a_report(swept, diverged, pictures, tmp_path):
    """One trial, none that ended, seeds alone, one field: the page and the pictures that make sense."""
    written = report.write(tmp_path, table_of(swept, diverged=diverged))
    assert [path.stem for path in written[1:]] == ["learning_curves", *pictures]
    data = embedded(written[0])
    fields = [name for name in swept if name != "seed"]
    assert sorted(field["name"] for field in data["fields"]) == sorted(fields)
    assert len(data["seeds"]) == int(np.prod([len(swept[name]) for name in fields]))
    assert sum(data["diverged"]) == len(diverged)
    constants = dict(data["constants"])
    assert not set(constants) & set(fields) and constants["dataset"] == "mnist"
    assert data["all_seeds"] == swept.get("seed", [0]) and ("seed" in constants) == ("seed" not in swept)
