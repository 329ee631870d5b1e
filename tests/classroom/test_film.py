"""The film of the page: what it shows, how it is packed, and what it says where it cannot be made."""

import io
import itertools

import numpy as np
import pytest
from commands import run_here
from PIL import Image

from experiments.classroom import film

SMALL = "/train?train_examples=1000&batch_size=100&learning_rate=1&hidden=16"


def frames(count):
    """Pictures of noise, each with a bar that moves."""
    random = np.random.default_rng(0)
    for i in range(count):
        pixels = random.integers(0, 255, (86, 128, 3), dtype=np.uint8)
        pixels[:, 10 * i : 10 * i + 10] = (255, 0, 0)
        yield film.Frame(Image.fromarray(pixels), 0.5 if i else 1.5)


def test_gif_plays_again_and_again():
    """All frames in their order for as long as they are shown, of the width that is asked for."""
    picture = Image.open(io.BytesIO(film.gif(list(frames(4)), 64, 32)))
    assert (picture.format, picture.size, picture.n_frames, picture.info["loop"]) == ("GIF", (64, 43), 4, 0)
    durations, at = [], []
    for i in range(4):
        picture.seek(i)
        durations.append(picture.info["duration"])
        shown = np.asarray(picture.convert("RGB")).astype(int)
        at.append(int((shown[..., 0] - shown[..., 1] - shown[..., 2]).mean(axis=0).argmax()))
    assert durations == [1500, 500, 500, 500]
    assert all(later > earlier for earlier, later in itertools.pairwise(at)), at


def test_gif_is_the_best_that_fits(monkeypatch):
    """Widths and colours go down until it is small enough; the smallest one is what there is where none is."""
    monkeypatch.setattr(film, "SIZES", ((128, 64), (64, 32), (32, 8)))
    shown = list(frames(3))
    sizes = [len(film.gif(shown, *size)) for size in film.SIZES]
    assert sizes == sorted(sizes, reverse=True)
    for most, best in ((sizes[0], 0), (sizes[0] - 1, 1), (sizes[1] - 1, 2), (1, 2)):
        assert len(film.best_within(shown, most)) == sizes[best]


def test_a_view_is_filmed(visitor):
    """Its title first, then what moves."""
    shown = film.film_view(visitor.browser, visitor.address + SMALL, 0.6, 1.0, "[data-do=play]")
    assert len(shown) >= 2 and (shown[0].seconds, shown[-1].seconds) == (film.TITLE, film.END)
    title, first, last = (np.asarray(shown[i].picture) for i in (0, 1, -1))
    assert title.shape == last.shape and (title != first).any() and (first != last).any()


def test_unknown_view(monkeypatch, capsys):
    """One line that names those that there are, and exit status 2."""
    with pytest.raises(SystemExit) as ended:
        run_here("experiments.classroom.film", monkeypatch, "--views=trian")
    assert ended.value.code == 2
    assert "--views=trian: no such view; accepted: train" in capsys.readouterr().err
