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
    assert figures.draw_lines(axis, measured, "speed")
    first, second = axis.get_lines()
    np.testing.assert_array_equal(first.get_ydata(), [1.0, np.nan])
    np.testing.assert_array_equal(second.get_ydata(), [np.nan, 3.0])
    np.testing.assert_array_equal(first.get_xdata(), [2, 4])
    assert (axis.get_yscale(), axis.get_ylabel()) == ("log", "|mean dC/db|")
    axis = matplotlib.figure.Figure().subplots()
    assert figures.draw_lines(axis, [{"epoch": 1, "phi/a": 0.5}], "phi")
    assert axis.get_yscale() == "linear"
    assert not figures.draw_lines(axis, measured, "saturation")


def test_of_many_layers_six_are_drawn():
    """The first, the last and four evenly between, each in a colour of its own."""
    axis = matplotlib.figure.Figure().subplots()
    assert figures.draw_lines(axis, rows([f"hidden_{i}" for i in range(11)], [1, 2]), "speed")
    assert [line.get_label() for line in axis.get_lines()] == [f"hidden_{i}" for i in (0, 2, 4, 6, 8, 10)]
    assert [line.get_color() for line in axis.get_lines()] == [f"C{i}" for i in range(6)]


@pytest.mark.parametrize(
    ("layers", "epochs", "value"),
    [(1, [1], 0.1), (3, [2, 4, 5], 0.0), (3, [2, 4, 5], None), (12, [1, 2], 0.1)],
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


def test_montage_of_colours():
    """The channels stay last."""
    tiles = figures.montage(np.arange(6.0).reshape(2, 1, 1, 3), columns=2)
    assert tiles.shape == (2, 4, 3)
    np.testing.assert_array_equal(tiles[0, [0, 2]], [[0, 1, 2], [3, 4, 5]])
    assert np.isnan(tiles[1]).all() and np.isnan(tiles[0, [1, 3]]).all()


@pytest.mark.parametrize(
    ("pixels", "shape", "height_and_width"),
    [(784, (), (28, 28)), (600, (20, 30), (20, 30)), (600, (), (24, 25)), (7, (), (1, 7)), (12, (2, 2, 3), (2, 2, 3))],
)
def test_pictures_have_their_shape(pixels, shape, height_and_width):
    """As given, else as near to a square as the number of pixels allows."""
    assert figures.as_pictures(np.zeros((2, pixels)), shape).shape == (2, *height_and_width)


def shown(figure):
    """What the first axes of a figure show, NaN where nothing is."""
    return np.ma.filled(figure.axes[0].images[0].get_array().astype(float), np.nan)


def test_digits_that_are_not_square_or_have_colours():
    """Each pixel in its place: bytes in grey as they are, colours from 0 to 1, floats by their own range."""
    grey = np.arange(12, dtype=np.uint8).reshape(2, 6)
    picture = figures.draw_digits(grey, np.array([3, 4]), 1, 2, shape=(2, 3))
    np.testing.assert_array_equal(shown(picture)[:2, 4:7], [[6, 7, 8], [9, 10, 11]])
    assert picture.axes[0].images[0].get_clim() == (0, 255)
    assert [text.get_text() for text in picture.axes[0].texts] == ["3", "4"]
    colours = np.full((2, 12), 255, np.uint8)
    colours[1, :3] = 0, 51, 102
    picture = shown(figures.draw_digits(colours, np.array([3, 4]), 1, 2, shape=(2, 2, 3)))
    np.testing.assert_allclose(picture[0, 3], [0, 0.2, 0.4])
    np.testing.assert_allclose(picture[2], 1)
    assert figures.draw_digits(grey / 4 - 1, np.array([3, 4]), 1, 2, (2, 3)).axes[0].images[0].get_clim() == (-1, 1.75)


def test_first_layer_shows_each_channel(tmp_path):
    """One below the other, on the scale of all weights; of images that are not square, in their shape."""
    kernel_DxH = np.arange(24.0).reshape(12, 2)
    figure = figures.draw_first_layer(kernel_DxH, shape=(2, 2, 3))
    figure.savefig(tmp_path / "figure.png")
    picture, unit_HxWxC = shown(figure), kernel_DxH[:, 1].reshape(2, 2, 3)
    for channel in range(3):
        np.testing.assert_array_equal(picture[3 * channel : 3 * channel + 2, 6:8], unit_HxWxC[..., channel])
    assert np.isnan(picture[[2, 5, 8]]).all()
    assert "red, green, blue" in figure.axes[0].get_title()
    picture = shown(figures.draw_first_layer(kernel_DxH, shape=(2, 6)))
    np.testing.assert_array_equal(picture[:2, :6], kernel_DxH[:, 0].reshape(2, 6))
