"""Commands of this checkout as somebody types them: how long they take, what they print when, and their memory."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from training.files import RunError

ROOT = Path(__file__).parents[2]
PACK = re.compile(r"Pack \d+/(\d+) ")


class Ran(NamedTuple):
    """A command that has come to its end: its seconds from the interpreter's start to its exit, its peak memory in GB,
    and each line that it has printed with the seconds until then."""

    seconds: float
    memory: float
    printed: Sequence[tuple[float, str]]

    def until(self, words: str) -> float:
        """Seconds until the first line with those words; RunError where there is none."""
        for seconds, text in self.printed:
            if words in text:
                return seconds
        raise RunError(f"a command has not printed {words!r}")

    @property
    def packs(self) -> list[float]:
        """Seconds until each of the packs that a sweep has run was finished."""
        return [seconds for seconds, text in self.printed if PACK.match(text)]


def timed(arguments: Sequence[str], label: str, environment: Mapping[str, str] | None = None) -> Ran:
    """Runs Python with the arguments in the checkout, with a bar that follows the packs of a sweep; RunError where it
    fails."""
    start, printed = time.perf_counter(), list[tuple[float, str]]()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        with process.stdout, tqdm(desc=label, unit="pack", leave=False, disable=None) as bar:
            for text in process.stdout:
                printed.append((time.perf_counter() - start, text))
                if found := PACK.match(text):
                    bar.total = int(found[1])
                    bar.update()
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    seconds, process.returncode = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RunError(f"`python {' '.join(arguments)}` ended with status {process.returncode}")
    return Ran(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9, printed)


def with_programs_in(folder: Path) -> dict[str, str]:
    """The environment in which commands find and keep what they compile in that folder alone."""
    environment = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    return environment | {"XDG_CACHE_HOME": str(folder)}
