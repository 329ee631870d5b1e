"""Figures: what they show is what was measured, also at the edges of what a run may be."""

import matplotlib.figure
import numpy as np
import pytest

from training import figures


def rows(layers, epochs, value=0.1):
    """Rows of a run with every measure that is drawn."""
    measures = ("saturation", "activation_p98", "activation_mean", "speed", "displacement", "update_ratio")
    return [{"epoch": e} | {f"{m}/{layer}": value for m in measures for layer in layers} for e in epochs]


def counted(low, high, counts):
    return {"low": low, "high": high, "counts": counts}


def test_common_histogram_spreads_each_bin_evenly():
    """Two histograms of different ranges over their common one; every row adds up to 1."""
    edges, shares_ExK = figures.common_histogram([counted(0.0, 1.0, [1, 3]), counted(0.0, 2.0, [8])], bins=4)
    np.testing.assert_allclose(edges, [0, 0.5, 1, 1.5, 2])
    np.testing.assert_allclose(shares_ExK, [[0.25, 0.75, 0, 0], [0.25, 0.25, 0.25, 0.25]])


def test_common_histogram_of_nothing_finite():
    """An epoch whose outputs were all NaN has no share anywhere."""
    _, shares_ExK = figures.common_histogram([counted(0.0, 1.0, [2, 2]), counted(0.0, 1e-6, [0, 0])], bins=2)
    np.testing.assert_allclose(shares_ExK, [[0.5, 0.5], [0, 0]])


def test_lines_are_the_rows():
    """One line a layer; what was not finite is a gap, and so is zero on a logarithmic axis."""
    measured = [{"epoch": 2, "speed/a": 1.0, "speed/b": None}, {"epoch": 4, "speed/a": 0.0, "speed/b": 3.0}]
    axis = matplotlib.figure.Figure().subplots()
    assert figures.draw_lines(axis, measured, "speed", log=True)
    first, second = axis.get_lines()
    np.testing.assert_array_equal(first.get_ydata(), [1.0, np.nan])
    np.testing.assert_array_equal(second.get_ydata(), [np.nan, 3.0])
    np.testing.assert_array_equal(first.get_xdata(), [2, 4])
    assert axis.get_yscale() == "log"
    assert not figures.draw_lines(axis, measured, "saturation")


@pytest.mark.parametrize(
    ("layers", "epochs", "value"),
    [(1, [1], 0.1), (1, [1], None), (3, [2, 4, 5], 0.1), (3, [2, 4, 5], 0.0), (3, [2, 4, 5], None), (12, [1, 2], 0.1)],
)
def test_figures_of_any_run_are_drawn(layers, epochs, value, tmp_path):
    """One epoch, uneven epochs, many layers, values that are zero or not finite: no warning, and a picture."""
    names = [f"hidden_{i}" for i in range(layers)]
    measured = rows(names, epochs, value)
    for draw in (figures.draw_saturation, figures.draw_learning_speed, figures.draw_update_ratios):
        draw(measured).savefig(tmp_path / "figure.png")
    histograms = [{"epoch": e} | {name: counted(0.0, 1.0, [1, 2]) for name in names} for e in epochs]
    figure = figures.draw_activations(histograms)
    figure.savefig(tmp_path / "figure.png")
    meshes = [axis.collections[0] for axis in figure.axes[:layers]]
    assert all(mesh.get_array().shape == (50, len(epochs)) for mesh in meshes)


def test_montage_puts_pictures_side_by_side():
    """Three pictures of one pixel in rows of two, NaN between them and where a fourth would be."""
    tiles = figures.montage(np.arange(3.0).reshape(3, 1, 1), columns=2)
    nan = np.nan
    np.testing.assert_array_equal(tiles, [[0, nan, 1, nan], [nan] * 4, [2, nan, nan, nan], [nan] * 4])
