"""What the lecture's notebook shows: pictures with words for those who cannot see them, and sliders that draw again.

Sliders need ipywidgets, and a front end that shows them. Without either the picture stands as it is drawn first, so
that the notebook reads the same on paper, on a page that only shows it, and where it is run by a program.
"""

import html
import importlib
import importlib.util
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDGETS = "ipywidgets"
DPI, COLOURS = 80, 128


class Drawn(NamedTuple):
    """A picture, and what is to be seen in it, in words."""

    figure: "Figure"
    words: str


class Slider(NamedTuple):
    """Values to choose from, and the one chosen at first: numbers in their order make a slider, words a list."""

    label: str
    values: tuple[Any, ...]
    first: Any


def has_sliders() -> bool:
    """Whether there is what sliders are made of."""
    return importlib.util.find_spec(WIDGETS) is not None


def png(figure: "Figure") -> bytes:
    """The picture in few colours, a third as large as in all of them: notebooks keep what they show."""
    from PIL import Image

    whole, small = io.BytesIO(), io.BytesIO()
    figure.savefig(whole, format="png", dpi=DPI)
    picture = Image.open(whole).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def _bundle(drawn: Drawn) -> tuple[dict[str, Any], dict[str, Any]]:
    """The picture as Jupyter takes it, and its words where readers of notebooks look for them: as the picture's `alt`,
    and as the text that stands for it."""
    return {"image/png": png(drawn.figure), "text/plain": drawn.words}, {"image/png": {"alt": drawn.words}}


def _caption(drawn: Drawn) -> dict[str, str]:
    """The words below the picture: JupyterLab and Colab hand on no `alt`."""
    return {"text/html": f"<p><small>{html.escape(drawn.words)}</small></p>", "text/plain": drawn.words}


def show(drawn: Drawn) -> None:
    """Shows a picture with its words."""
    _shown(drawn)


def _shown(drawn: Drawn) -> Callable[[Drawn], None]:
    """Shows a picture with its words; gives what shows another one in its place."""
    from IPython.display import display

    bundle, metadata = _bundle(drawn)
    picture: Any = display(bundle, raw=True, metadata=metadata, display_id=True)
    caption: Any = display(_caption(drawn), raw=True, display_id=True)

    def again(drawn: Drawn) -> None:
        bundle, metadata = _bundle(drawn)
        picture.update(bundle, raw=True, metadata=metadata)
        caption.update(_caption(drawn), raw=True)

    return again


def play(draw: Callable[..., Drawn], **sliders: Slider) -> None:
    """Shows what `draw` gives of the sliders' first values, by their names, below sliders that draw it again."""
    from IPython.display import display

    controls = {name: _control(slider) for name, slider in sliders.items()} if has_sliders() else {}
    if controls:
        display(importlib.import_module(WIDGETS).VBox(list(controls.values())))
    again = _shown(draw(**{name: slider.first for name, slider in sliders.items()}))

    def changed(_: Any) -> None:
        again(draw(**{name: control.value for name, control in controls.items()}))

    for control in controls.values():
        control.observe(changed, "value")


def _control(slider: Slider) -> Any:
    widgets = importlib.import_module(WIDGETS)
    is_number = not isinstance(slider.first, str)
    options = [(f"{value:g}" if is_number else value.replace("_", "-"), value) for value in slider.values]
    look = {"style": {"description_width": "12em"}, "layout": {"width": "36em"}}
    shared = {"options": options, "value": slider.first, "description": slider.label} | look
    # A picture is drawn where the slider is let go: drawing takes longer than moving.
    return widgets.SelectionSlider(continuous_update=False, **shared) if is_number else widgets.Dropdown(**shared)
