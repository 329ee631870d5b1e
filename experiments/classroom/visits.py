"""The page served for a program that visits it, as the film, the clicks and the benchmark do."""

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from experiments.classroom.browser import Browser, BrowserError, end
from training.console import one_line

ROOT = Path(__file__).resolve().parents[2]
# Seconds that a visitor waits for something.
PATIENCE = 120.0
FRAMES = "Number(document.getElementById('classroom')?.dataset.frames ?? 0)"
HAS_STARTED = f"{FRAMES} > 0 && !document.getElementById('status').textContent.startsWith('preparing')"


class Served(NamedTuple):
    """Where the page is, without a slash at its end, and the process that serves it."""

    address: str
    process: int

    def processes(self) -> list[int]:
        """The server, and the worker that it has started; where there is no /proc the server alone."""
        path = Path(f"/proc/{self.process}/task/{self.process}/children")
        with contextlib.suppress(OSError):
            return [self.process, *map(int, path.read_text().split())]
        return [self.process]


@contextlib.contextmanager
def served(errors: IO[str] | None = None, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """The page, served until the block ends; what it says of errors goes to that file, one with a name."""
    before = errors.tell() if errors else 0
    command = [sys.executable, "-m", "experiments.playground", "--no_browser"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
    ) as process:
        try:
            assert process.stdout
            found = re.search(r"http://\S+", process.stdout.readline())
            if not found:
                end(process)
                raise BrowserError(f"the page did not start: {_last_line(errors, before)}")
            yield Served(found[0].rstrip("/"), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            end(process)


def _last_line(errors: IO[str] | None, before: int) -> str:
    """The last thing that was said of errors from there on; where that is not written, it stands in the terminal."""
    if errors is None:
        return "see above"
    lines = Path(errors.name).read_bytes()[before:].decode(errors="replace").strip().splitlines()
    return one_line(lines[-1], 300) if lines else "it ended without a word"


def until(page: Browser, condition: str, seconds: float = PATIENCE) -> None:
    """Waits until a JavaScript expression holds; BrowserError where it takes too long."""
    end = time.monotonic() + seconds
    while not page.run(condition):
        if time.monotonic() > end:
            raise BrowserError(f"this did not come true within {seconds:g} s: {condition}")
        time.sleep(0.02)
