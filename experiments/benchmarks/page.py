"""How soon does the page for a class show and answer something, how much does it slow training down, how many visitors
does it bear, and what comes of random clicks? Part of `experiments.benchmark`.

The page is served by its command and visited by a Chromium without a screen on the same machine, whose work it so
shares. What is measured in the browser is measured there, in frames that were drawn.
"""

import contextlib
import itertools
import json
import os
import re
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import jax
import jax.numpy as jnp
from tqdm import tqdm

import input_pipeline
import train
from experiments.benchmarks import commands
from experiments.benchmarks.tables import Line, Measured, line
from experiments.classroom import browser, clicks
from experiments.classroom.browser import Browser, BrowserError
from experiments.classroom.fields import config_of
from experiments.classroom.view import find_views
from experiments.classroom.visits import FRAMES, HAS_STARTED, Served, served, until
from training.batches import make_data
from training.config import Config
from training.files import RunError

ROOT = "document.getElementById('classroom')"
RUNNING, AT = f"{ROOT}.dataset.running", f"Number({ROOT}.dataset.at)"
ARE_THERE = "document.querySelectorAll('figure:not([hidden]) svg').length >= 7"
# Notes when each frame was drawn, in seconds, and how far it was.
RECORDED = (
    "(window.drawn = [], ((show) => { classroom.show = (frame) => { show(frame); "
    "window.drawn.push([performance.now() / 1000, frame.at]); }; })(classroom.show), 0)"
)
# The time, and how far the page is.
NOW = f"[performance.now() / 1000, {AT}]"
# One click, and the milliseconds until a frame that is farther was drawn.
ANSWERED = f"""new Promise((done) => {{
  const root = {ROOT}, before = root.dataset.at, start = performance.now();
  const seen = new MutationObserver(() => {{
    if (root.dataset.at === before) return;
    seen.disconnect();
    done(performance.now() - start);
  }});
  seen.observe(root, {{ attributes: true, attributeFilter: ["data-at"] }});
  document.querySelector("[data-do=step]").click();
}})"""
# Seconds between two clicks, in which what they have set off comes to its end.
BETWEEN = 0.3
# Visitors at once: most of them train nets, of several structures and of all images; each has settings of its own.
AT_ONCE = (
    "/train?learning_rate=1",
    "/train?learning_rate=1&seed=1",
    "/train?activation=tanh&learning_rate=0.3",
    "/train?activation=relu&hidden=32-32&learning_rate=0.1",
    "/train?batch_size=32&compare=1&other.learning_rate=1",
    "/escape?rate=8",
    "/descent?rate=0.1&clock=examples+seen&surface=sigmoid+neuron",
    "/neuron?w=1.5",
)
GIGABYTES = 3.0


class Size(NamedTuple):
    """How much is measured: starts with what was compiled before; rounds of training with and without the page, and
    their seconds; clicks whose answer is waited for; visitors at once, and for how many seconds they are watched."""

    starts: int = 3
    rounds: int = 7
    seconds: float = 4.0
    answers: int = 50
    visitors: int = len(AT_ONCE)
    watched: float = 10.0


# ---------------------------------------------------------------------------------------------------------------------
# From the command to the first picture.


def start_lines(page: Browser, size: Size, errors: Path) -> list[Line]:
    """Seconds from the start of the command to the first picture, where nothing is compiled and where all is."""
    with tempfile.TemporaryDirectory() as folder:
        environment = commands.with_programs_in(Path(folder))
        seconds: list[float] = []
        for _ in range(1 + size.starts):
            start = time.perf_counter()
            with errors.open("a") as said, served(said, environment) as site:
                page.visit(f"{site.address}/train")
                until(page, HAS_STARTED)
                seconds.append(time.perf_counter() - start)
                until(page, ARE_THERE)  # All is compiled.
                page.errors()
    name = "seconds from the command to the first picture"
    return [line(f"{name}, nothing compiled before", seconds[:1], None), line(name, seconds[1:], 6.0)]


# ---------------------------------------------------------------------------------------------------------------------
# One visitor.


class Alone:
    """Epochs as `train.py` runs them, validation included, in this process."""

    def __init__(self, config: Config) -> None:
        config = config.replace(probes=())
        dataset = train.load_dataset(config, input_pipeline.DEFAULT_DATA_DIR)
        data, self._numbers = make_data(config, dataset), train.hyperparameters(config, len(dataset.images))
        with ThreadPoolExecutor() as pool:
            self._programs = train.Programs(*(part.result() for part in train.compile_programs(config, data, pool)))
        self._data, self._key = jax.device_put(data), train.run_keys(config.seed)[1]
        self._state, self._epoch = jax.tree.map(jnp.copy, train.initial_state(config)), 0

    def seconds(self, seconds: float) -> float:
        """Seconds of an epoch, of as many as there is time for, one at least, after one to warm up."""
        self._run()
        start, count = time.perf_counter(), 0
        while not count or time.perf_counter() - start < seconds:
            self._run()
            count += 1
        return (time.perf_counter() - start) / count

    def _run(self) -> None:
        self._epoch += 1
        key = jax.random.fold_in(self._key, self._epoch)
        self._state, metrics = self._programs.epoch(self._state, self._numbers, self._data, key)
        jax.device_get((metrics, self._programs.evaluate(self._state, *self._data.validation)))


def training_lines(page: Browser, address: str, alone: Alone, size: Size) -> list[Line]:
    """Updates of a page that trains, and its epochs beside those of `train.py`, in turn."""
    page.visit(address)
    until(page, f"{HAS_STARTED} && {ARE_THERE}")
    page.run(RECORDED)
    gaps: list[float] = []
    ratios: list[float] = []
    press(page, "play", "true")
    until(page, f"{AT} > 1")
    for _ in tqdm(range(size.rounds), desc="epochs with the page", leave=False, disable=None):
        if page.run(RUNNING) != "true":
            press(page, "play", "true")
        # What is gone through right after the click, and right before the next, does not count.
        page.run("(window.drawn.length = 0, 0)")
        until(page, "window.drawn.length > 3")
        page.run(f"(window.drawn = [{NOW}], 0)")
        time.sleep(size.seconds)
        watched: list[tuple[float, float]] = page.run(f"[...window.drawn, {NOW}]")
        press(page, "play", "false")
        drawn = moved(watched)
        if len(drawn) < 2:
            raise BrowserError(f"what trains moved {len(drawn)} times within {size.seconds:g} s")
        (first, at_first), (last, at_last) = drawn[0], drawn[-1]
        gaps.append((watched[-1][0] - watched[0][0]) / len(drawn))
        ratios.append((last - first) / (at_last - at_first) / alone.seconds(size.seconds / 2))
    images = "on all 60,000 images"
    return [
        line(f"the shallow net {images}: seconds from one update to the next (five a second: 0.2)", gaps, 0.2),
        line(f"the shallow net {images}: epoch with the page / without, in turn", ratios, 1.3),
    ]


def press(page: Browser, action: str, running: str) -> None:
    """Presses a button, and waits until the worker has said that it runs, or does not."""
    before = page.run(FRAMES)
    page.run(f"(document.querySelector('[data-do={action}]').click(), 0)")
    until(page, f"{RUNNING} === '{running}' && {FRAMES} > {before}")


def answer_lines(page: Browser, count: int) -> list[Line]:
    """Milliseconds from a click to the picture that answers it, of a page that stands still: one step of training."""
    found: list[float] = []
    for _ in tqdm(range(count), desc="clicks", leave=False, disable=None):
        time.sleep(BETWEEN)
        found.append(page.run(ANSWERED))
    return [line("a click's answer in the browser, one step of training: milliseconds", found, 150.0)]


# ---------------------------------------------------------------------------------------------------------------------
# Many visitors.


def visitor_lines(page: Browser, site: Served, size: Size) -> list[Line]:
    """Visitors at once, each in a frame of one window: whether all go on, with what is their own, and the memory."""
    paths = AT_ONCE[: size.visitors]
    page.visit(f"{site.address}/nothing")  # A page of the same server, in which they are.
    frames = "".join(f'<iframe src="{path}" width="640" height="240"></iframe>' for path in paths)
    page.run(f"(document.body.innerHTML = {json.dumps(frames)}, 0)")
    of_all = "[...document.querySelectorAll('iframe')].map((e) => e.contentWindow)"
    until(page, f'{of_all}.every((window) => window.eval("{HAS_STARTED}"))')
    page.run(f"({of_all}.forEach((window) => window.eval({json.dumps(RECORDED)})), 0)")
    page.run(f"({of_all}.forEach((window) => window.document.querySelector('[data-do=play]').click()), 0)")
    until(page, f"{of_all}.every((window) => window.drawn.length > 3)")
    page.run(f"({of_all}.forEach((window) => {{ window.drawn = [window.eval({json.dumps(NOW)})]; }}), 0)")
    time.sleep(size.watched)
    drawn = page.run(f"{of_all}.map((window) => [...window.drawn, window.eval({json.dumps(NOW)})])")
    places = page.run(f"{of_all}.map((window) => window.location.pathname + window.location.search)")
    still = sum(not moved(of_one) for of_one in drawn)
    waits = [max_gap(of_one) for of_one in drawn]
    strange = sum(place != own_address(path) for place, path in zip(places, paths, strict=True))
    page.errors()
    words = f"{len(paths)} visitors at once"
    lines = [
        line(f"{words}: those who stand still within {size.watched:g} seconds", [float(still)], 0.0),
        line(f"{words}: those whose settings are not their own", [float(strange)], 0.0),
        line(f"{words}: seconds without an update, the longest of each", waits, None),
    ]
    if memory := sum(map(peak_memory, site.processes())):
        lines.append(line(f"{words}: peak memory of server and worker, GB", [memory], GIGABYTES))
    return lines


def own_address(path: str) -> str:
    """The address of the settings that an address asks for, as the page of one who has them says it."""
    views, asked = find_views(), urlsplit(path)
    view = views[asked.path.strip("/")]
    return view.address(view.restored(asked.query)[0])


def moved(drawn: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The frames that are elsewhere than the one before: what is drawn again as it was is no news."""
    return [after for before, after in itertools.pairwise(drawn) if after[1] != before[1]]


def max_gap(drawn: Sequence[tuple[float, float]]) -> float:
    """The longest time without a frame that is elsewhere than the one before; the first and the last entry are the
    ends of the time in which it was watched."""
    times = [drawn[0][0], *(time for time, _ in moved(drawn)), drawn[-1][0]]
    return max(after - before for before, after in itertools.pairwise(times))


def peak_memory(process: int) -> float:
    """The most that a process has had in memory, in GB; 0 where there is no /proc."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
        return int(found[1]) * 1024 / 1e9 if found else 0.0
    return 0.0


# ---------------------------------------------------------------------------------------------------------------------
# Random clicks.


def click_lines(page: Browser, address: str, count: int, errors: Path, seed: int = 0) -> tuple[list[Line], Measured]:
    """What comes of so many random settings and clicks over all views, and how many tracebacks there were in all."""
    visitor = clicks.Visitor(page, address, find_views(), seed)
    with tqdm(total=count, desc="random clicks", leave=False, disable=None) as bar:
        visitor.click_around(count, bar.update)
    total = {name: sum(counts[name] for counts in visitor.counts.values()) for name in clicks.CLASSES}
    said = errors.read_text(errors="replace")
    tracebacks = [one.strip().splitlines()[-1][:200] for one in said.split("Traceback (most recent call last)")[1:]]
    words = f"{count} random settings and clicks"
    lines = [
        line(f"{words}: tracebacks", [float(len(tracebacks))], 0.0),
        line(f"{words}: pages that hung", [float(total["hung"])], 0.0),
        line(f"{words}: errors in the browser", [float(total["error"])], 0.0),
        line(f"{words}: divergence that is not told in words", [float(total["diverged, not told"])], 0.0),
    ]
    counts = {f"view {name}": {each: found[each] for each in clicks.CLASSES} for name, found in visitor.counts.items()}
    return lines, {"counts": counts, "bad": visitor.bad + [f"traceback: {one}" for one in tracebacks]}


# ---------------------------------------------------------------------------------------------------------------------
# All of it.


def figures(count: int, size: Size) -> Measured:
    """All lines and counts; RunError where there is no browser, or the page does not answer."""
    if missing := browser.missing():
        raise RunError(f"{missing} is not installed; accepted: {browser.INSTALLED_BY}")
    try:
        with browser.opened() as page, tempfile.TemporaryDirectory() as folder:
            errors = Path(folder) / "errors"
            lines = start_lines(page, size, errors)
            alone = Alone(config_of(find_views()["train"].defaults()))
            with errors.open("a") as said, served(said, dict(os.environ)) as site:
                lines += training_lines(page, f"{site.address}/train", alone, size)
                lines += answer_lines(page, size.answers)
                lines += visitor_lines(page, site, size)
                of_clicks, counted = click_lines(page, site.address, count, errors)
    except (BrowserError, OSError) as error:
        raise RunError(f"the page could not be measured: {error}; accepted: a page that is served") from error
    return {"figures": lines + of_clicks, **counted}
