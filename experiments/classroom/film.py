"""Films the page for a class: a GIF of what a visitor sees, each view opened and played, as the document shows it.

    python -m experiments.classroom.film [--views=train,escape] [--seconds=8] [--speed=1] [--out=FILE.gif]

starts the page, opens each view in a Chromium without a screen, presses the button of the first thing to try there, and
takes pictures; with --speed=4 they are shown four times as fast as they were taken. It needs chromium and chromedriver
(Debian: `apt install chromium chromium-driver`) and what the page needs. The GIF is made smaller until it has at most
--megabytes.
"""

import base64
import io
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from absl import flags
from PIL import Image

from experiments.classroom.browser import Browser, BrowserError, opened
from experiments.classroom.view import find_views
from experiments.classroom.visits import FRAMES, HAS_STARTED, ROOT, served, until
from training.console import fail, parse_flags, run, say
from training.files import place, write_atomically

OUT = ROOT / "docs" / "gallery" / "playground.gif"
WIDTH, HEIGHT = 1280, 860
# Widths of the film and numbers of its colours, from the best one on.
SIZES = ((960, 128), (960, 64), (800, 64), (800, 32), (640, 32))
# Seconds that the title of a view and its end are shown.
TITLE, END = 1.6, 1.6
# Seconds from one picture of the film to the next.
EVERY = 0.4
TRY = "[data-do=try]"


class Frame(NamedTuple):
    """A picture, and for how many seconds it is shown."""

    picture: Image.Image
    seconds: float


def photograph(page: Browser) -> Image.Image:
    """What the window shows."""
    return Image.open(io.BytesIO(base64.b64decode(page.send("GET", "/screenshot")))).convert("RGB")


def film_view(page: Browser, address: str, seconds: float, speed: float, press: str = TRY) -> list[Frame]:
    """A view: its title, then for so many seconds of the film what comes of pressing a button."""
    page.visit(address)
    until(page, HAS_STARTED)
    page.run("(document.querySelector('.intro details').open = true, 0)")
    frames, before = [Frame(photograph(page), TITLE)], page.run(FRAMES)
    page.run(f"(document.querySelector('{press}').click(), 0)")
    page.run("(document.querySelector('.intro details').open = false, 0)")
    page.run("(document.querySelector('.bar').scrollIntoView(), 0)")
    # Until it moves, where it does: what is compiled first is no part of the film.
    moves = f"({FRAMES} > {before + 1} || document.getElementById('classroom').dataset.running === 'false')"
    until(page, f"{FRAMES} > {before} && {moves} && {HAS_STARTED}")
    begun = time.monotonic()
    while time.monotonic() - begun < seconds * speed:
        at = time.monotonic()
        frames.append(Frame(photograph(page), EVERY))
        time.sleep(max(0.0, at + EVERY * speed - time.monotonic()))
    frames[-1] = frames[-1]._replace(seconds=END)
    if errors := page.errors():
        raise BrowserError(errors[0])
    return frames


def gif(frames: Sequence[Frame], width: int, colours: int) -> bytes:
    """The frames as a GIF that begins again when it ends, of one palette; equal ones are one."""
    height = round(frames[0].picture.height * width / frames[0].picture.width)
    pictures = [frame.picture.resize((width, height), Image.Resampling.LANCZOS) for frame in frames]
    # The palette is that of a few frames from all of the film, side by side.
    some = pictures[:: max(1, len(pictures) // 6)]
    sheet = Image.new("RGB", (width, height * len(some)))
    for i, picture in enumerate(some):
        sheet.paste(picture, (0, i * height))
    palette = sheet.quantize(colours)
    few = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    content = io.BytesIO()
    durations = [round(1000 * frame.seconds) for frame in frames]
    few[0].save(content, "GIF", save_all=True, append_images=few[1:], duration=durations, loop=0, optimize=True)
    return content.getvalue()


def best_within(frames: Sequence[Frame], most: int) -> bytes:
    """The best GIF of no more than so many bytes; the smallest one where none is so small."""
    content = b""
    for width, colours in SIZES:
        content = gif(frames, width, colours)
        if len(content) <= most:
            break
    return content


def _prepare(page: Browser) -> None:
    """A window of the film's size, in light colours, without scroll bars."""
    page.emulate("light")
    size: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    for name, values in (("setDeviceMetricsOverride", size), ("setScrollbarsHidden", {"hidden": True})):
        page.send("POST", "/goog/cdp/execute", {"cmd": f"Emulation.{name}", "params": values})


def main(_: list[str]) -> None:
    values, views = flags.FLAGS, find_views()
    names = values.views or list(views)
    if unknown := [name for name in names if name not in views]:
        fail(f"--views={unknown[0]}: no such view; accepted: {', '.join(views)}")
    frames: list[Frame] = []
    try:
        with opened() as page, served() as site:
            _prepare(page)
            for name in names:
                say(f"{views[name].title} ...")
                frames += film_view(page, f"{site.address}/{name}", values.seconds, values.speed)
        content, out = best_within(frames, int(1e6 * values.megabytes)), place(values.out)
        write_atomically(out, content)
    except (BrowserError, OSError) as error:
        fail(f"{error}")
    say(f"Written to {out}: {len(frames)} pictures, {len(content) / 1e6:.1f} MB")


if __name__ == "__main__":
    flags.DEFINE_list("views", [], "The views that are filmed, by their names in the address. [all]")
    flags.DEFINE_float("seconds", 6.0, "For how long each view is shown.", 0.5, 60.0)
    flags.DEFINE_float("speed", 1.0, "How much faster it is shown than it was.", 0.1, 100.0)
    flags.DEFINE_float("megabytes", 3.0, "At most so large.", 0.1)
    flags.DEFINE_string("out", str(OUT), "Where the GIF goes.")
    run(main, parse_flags)
