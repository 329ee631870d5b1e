"""The pictures of a sweep: which there are, and what is drawn."""

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.text import Text
from PIL import Image
from sweep_tables import DIVERGED, SWEPT, embedded, table_of

from experiments import report
from experiments.reporting import pictures, sweep_data

EACH = ("png", "pdf", "svg")


def drawn(draw, table):
    """A figure as it is laid out, its texts that are seen, its panels."""
    with rc_context(pictures.STYLE):
        figure = draw(table, sweep_data.sweep_of(table))
        figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    return figure, texts, [axis for axis in figure.axes if axis.lines]


def details_of(figure):
    """What stands below a figure in small."""
    return " ".join(figure.get_supxlabel().split())


def test_pictures_are_written(tmp_path):
    """Of a grid all three, in true colours and as PDF, of a size that can be read, and with something drawn."""
    written = report.write(tmp_path, table_of(SWEPT, diverged=DIVERGED))
    names = [f"figures/{name}.{kind}" for name in ("learning_curves", "heat_map", "saturation") for kind in EACH]
    assert written == [tmp_path / name for name in ("report.html", *names)]
    for path in written[1::3]:
        with Image.open(path) as picture:
            assert picture.mode in ("RGB", "RGBA") and min(picture.size) >= 400
            assert len(picture.convert("RGB").getcolors(2**24)) > 100
    assert all(path.read_bytes().startswith(b"%PDF") for path in written[2::3])
    assert all(b"<svg" in path.read_bytes()[:500] for path in written[3::3])


@pytest.mark.parametrize(
    ("swept", "diverged", "names"),
    [
        ({}, {}, []),
        ({}, {0: 1}, []),
        ({"seed": [3, 5, 9]}, {}, []),
        ({"batch_norm": [False, True]}, {}, ["saturation"]),
        ({"l2": [0.0, 1e-5, 1e-3], "hidden": [(64,), (128,), (64, 64)]}, {4: 2}, ["heat_map", "saturation"]),
        ({"l2": [0.0, 1e-5], "momentum": [0.5, 0.9]}, dict.fromkeys(range(4), 1), []),
    ],
    ids=["one trial", "one that diverged at once", "seeds alone", "a bool", "zero among powers of ten", "all diverged"],
)
def test_any_sweep_has_a_report(swept, diverged, names, tmp_path, monkeypatch):
    """One trial, none that ended, seeds alone, one field: the page and the pictures that make sense."""
    monkeypatch.setattr(pictures, "KINDS", ("svg",))
    written = report.write(tmp_path, table_of(swept, diverged=diverged))
    expected = [f"{name}.svg" for name in ("learning_curves", *names)]
    assert [path.name for path in written[1:]] == expected
    data = embedded(written[0])
    fields = [name for name in swept if name != "seed"]
    assert sorted(field["name"] for field in data["fields"]) == sorted(fields)
    assert len(data["seeds"]) == int(np.prod([len(swept[name]) for name in fields]))
    assert sum(data["diverged"]) == len(diverged)
    constants = dict(data["constants"])
    assert not set(constants) & set(fields) and constants["dataset"] == "mnist"
    assert data["all_seeds"] == swept.get("seed", [0]) and ("seed" in constants) == ("seed" not in swept)


MANY = {
    "two fields of numbers": {"learning_rate": [0.1 * i for i in range(1, 11)], "momentum": [0.0, 0.5, 0.9]},
    "many words": {"dataset": [f"idx:set_{i}" for i in range(16)], "batch_norm": [False, True]},
    "two layers": {"hidden": [(8,), (8, 8)], "learning_rate": [0.1 * i for i in range(1, 9)], "l2": [0.0, 0.1]},
}


@pytest.mark.parametrize("swept", MANY.values(), ids=MANY)
def test_at_most_six_lines_a_panel(swept):
    """Six of different colours, the best of all among them; below it stands how many of how many are shown."""
    table = table_of(swept)
    figure, _, panels = drawn(pictures.draw_learning_curves, table)
    lines = [axis.lines for axis in panels]
    assert max(map(len, lines)) == 6
    assert all(len({str(line.get_color()) for line in of_axis}) == len(of_axis) for of_axis in lines)
    ends = [line.get_ydata()[-1] for of_axis in lines for line in of_axis]
    finals = [row["val_accuracy"] for row in table.to_pylist() if row["epoch"] == 4]
    assert max(ends) == max(finals) and figure.get_suptitle().startswith(f"Best: val_accuracy {max(ends):.4f}")
    assert f"Shown are {len(ends)} of {len(finals)} configurations: " in details_of(figure)


def test_of_each_rate_the_best_is_shown():
    """By hand: of ten rates of three momenta each line is that of the best momentum at its rate."""
    swept = MANY["two fields of numbers"]
    table = table_of(swept)
    _, _, (axis,) = drawn(pictures.draw_learning_curves, table)
    rows = [row for row in table.to_pylist() if row["epoch"] == 4]
    best = {max(row["val_accuracy"] for row in rows if row["learning_rate"] == rate) for rate in swept["learning_rate"]}
    assert len(best) == 10 and {line.get_ydata()[-1] for line in axis.lines} <= best


def test_names_are_drawn_as_they_are(tmp_path):
    """No sign of a name is mathematics, none ends a picture, and each stands in it; so also on the page."""
    names = [f"idx:{name}" for name in ("$x_1$ 5$", "a_b^c", r"\frac{1}{", "_x", "<b>&amp;")]
    unknown = "idx:日本"  # Which the font lacks: a warning, but where pictures are written.
    written = report.write(tmp_path, table_of({"dataset": [*names, unknown], "learning_rate": [0.1, 1.0]}))
    assert len(written) == 10 and set(embedded(written[0])["fields"][0]["labels"]) == {*names, unknown}
    _, texts, _ = drawn(pictures.draw_learning_curves, table_of({"dataset": names, "learning_rate": [0.1, 1.0]}))
    assert all(any(name in text.get_text() for text in texts) for name in names)
    assert not any(text.get_parse_math() for text in texts)


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 30])
def test_ticks_of_epochs_are_whole(epochs):
    _, _, (axis,) = drawn(pictures.draw_learning_curves, table_of({"seed": [0, 1]}, epochs=epochs))
    low, high = axis.get_xlim()
    ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
    assert ticks and all(tick == round(tick) for tick in ticks)


def test_nothing_lies_on_the_data():
    """Legends stand beside the panels, bands within [0, 1]; the title is one line, and fits."""
    table = table_of({"activation": ["tanh", "relu"], "learning_rate": [0.1, 1.0], "seed": [0, 1]})
    for draw in (pictures.draw_saturation, pictures.draw_learning_curves):
        figure, texts, panels = drawn(draw, table)
        legend = figure.legends[0].get_window_extent()
        assert not any(legend.overlaps(axis.get_window_extent()) for axis in panels)
        title = next(text for text in texts if text.get_text() == figure.get_suptitle()).get_window_extent()
        assert "\n" not in figure.get_suptitle() and title.x0 >= 0 and title.x1 <= figure.bbox.x1
    heights = np.concatenate(
        [path.vertices[:, 1] for axis in panels for c in axis.collections for path in c.get_paths()]
    )
    assert heights.min() == 0.0 and heights.max() == 1.0


def test_the_best_of_a_picture_has_no_diverged_seed():
    """The words of a picture rank as the page does, and say what diverged."""
    table = table_of({"learning_rate": [0.1, 1.0], "seed": [0, 1, 2]}, diverged={5: 2})
    accuracy = [0.9 if rate == 1.0 else 0.5 for rate in table["learning_rate"].to_pylist()]
    table = table.set_column(table.column_names.index("val_accuracy"), "val_accuracy", [accuracy])
    figure, _, _ = drawn(pictures.draw_learning_curves, table)
    assert figure.get_suptitle() == "Best: val_accuracy 0.5000 at learning_rate=0.1"
    assert "The more seeds a configuration loses, the later it ranks." in details_of(figure)
    figure, _, _ = drawn(pictures.draw_learning_curves, table_of({"seed": [0, 1, 2]}, diverged={2: 2}))
    assert "The best: mean of 2 seeds; 1 of 3 seeds diverged." in details_of(figure)
