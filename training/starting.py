"""Ctrl-C while a command still imports: it ends in one line, and not where Python drops it or shows a traceback.

Commands import this before anything that takes long. A process that merely imports parts of this project keeps its own
handlers. `console.endings` takes over once a command runs. Nor is garbage looked for until then: what is imported
stays, and looking through it again and again takes a seventh of the time that imports take.
"""

import gc
import itertools
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

_ROOT = Path(__file__).resolve().parent.parent
_FILES = (_ROOT / "train.py", _ROOT / "input_pipeline.py")


def is_command() -> bool:
    """Whether this process is a command of this project: one of its files, or `python -m experiments.NAME`."""
    if any(flag == "-m" and name.startswith("experiments.") for flag, name in itertools.pairwise(sys.orig_argv)):
        return True
    return bool(sys.argv) and Path(sys.argv[0]).resolve() in _FILES


def _end(number: int, _: FrameType | None) -> None:
    """Ends the process at once: nothing has been begun."""
    os.write(1, b"interrupted\n")
    os._exit(128 + number)


def hand_over() -> None:
    """Gives Ctrl-C back to Python, which raises KeyboardInterrupt, and garbage to its collector."""
    gc.enable()
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if is_command():
    gc.disable()
# What was ignored from the start stays ignored.
_is_python_s = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _is_python_s and threading.current_thread() is threading.main_thread() and is_command():
    signal.signal(signal.SIGINT, _end)
