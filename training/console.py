"""What commands say and how they end: lines that any output takes, progress, errors of one line, signals."""

import atexit
import contextlib
import errno
import gc
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Generator, Iterable, Sized
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self, TextIO, TypeVar

from tqdm import tqdm

from training import starting

T = TypeVar("T")
# A refusal that is longer is not read; its middle, mostly a long value that was given, is left out.
LONGEST_LINE = 300
WIDTH = 100
# The flags that ask for help, and whether for all of it.
HELP = {"help": False, "helpshort": False, "?": False, "helpfull": True, "helpxml": True}
# After how many more objects garbage is looked for, and how often among older ones.
SELDOM = (50_000, 20, 50)
PACKAGES = ("absl", "ml_collections", "tensorflow", "etils", "jax", "orbax", "flax", "chex")
# What a scheduler and a closed terminal send; Ctrl-C sends SIGINT, for which Python has a handler already.
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


# ---------------------------------------------------------------------------------------------------------------------
# Lines.


def one_line(message: object, longest: int | None = None) -> str:
    """The message as one printable line, at most that many characters of it; the type of an error that says nothing."""
    line = " ".join(str(message).split()) or type(message).__name__
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
    if longest is None or len(line) <= longest:
        return line
    end = longest // 3
    return f"{line[: longest - end - 5]} ... {line[-end:]}"


def say(text: object) -> None:
    """Prints the lines of a text at once, on whatever standard output is: none, closed, or one that lacks a letter."""
    _write("\n".join(map(_printable, str(text).split("\n"))), sys.stdout)


def warn(text: object) -> None:
    """Prints `warning: ` and the text as one line on standard error, if there is one."""
    _write(one_line(f"warning: {one_line(text)}", LONGEST_LINE), sys.stderr)


def fail(message: object) -> NoReturn:
    """Ends a program with one line and exit status 2; but that the reader of its output has gone, which is no mistake
    of anybody, goes on to `run`."""
    if isinstance(message, BrokenPipeError):
        raise message
    with contextlib.suppress(BrokenPipeError):
        _write(one_line(f"error: {one_line(message)}", LONGEST_LINE), sys.stderr)
    sys.exit(2)


def _printable(line: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)


def _write(text: str, stream: TextIO | None) -> None:
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except ValueError:  # It is closed.
        return
    except OSError as error:
        # A reader that has gone ends the program, as everywhere; a terminal that was closed does not.
        if error.errno == errno.EPIPE:
            raise


def count(things: Sized, word: str) -> str:
    """`1 pack`, `24 packs`."""
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


class Progress:
    """A bar of what is done, on a terminal alone, with lines said above it; a context manager that clears it."""

    def __init__(self, bar: "tqdm[NoReturn] | None"):
        self._bar = bar

    def say(self, text: object) -> None:
        """Prints the lines of a text above the bar."""
        if self._bar is None:
            say(text)
        else:
            with self._bar.external_write_mode():
                say(text)

    def update(self, done: float = 1) -> None:
        """Moves the bar on by so many units."""
        if self._bar is not None:
            self._bar.update(done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def progress(total: float, unit: str, desc: str | None = None, initial: float = 0) -> Progress:
    """A bar of that many units, of which `initial` are done; silent where standard output is no terminal."""
    try:
        shown = sys.stdout is not None and sys.stdout.isatty() and sys.stderr is not None
    except ValueError:  # It is closed.
        shown = False
    if not shown:
        return Progress(None)
    return Progress(tqdm(total=total, unit=unit, desc=desc, initial=initial, leave=False))


# ---------------------------------------------------------------------------------------------------------------------
# Endings.


class Ended(KeyboardInterrupt):
    """A signal that ends the program as Ctrl-C does."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_status(error: KeyboardInterrupt) -> int:
    """The exit status of a program that a signal has ended: 143 for SIGTERM, 129 for SIGHUP, 130 for Ctrl-C."""
    return 128 + (error.number if isinstance(error, Ended) else signal.SIGINT)


@contextlib.contextmanager
def endings() -> Generator[None]:
    """Within the block SIGTERM and SIGHUP raise `Ended` in the main thread, as Ctrl-C raises KeyboardInterrupt.

    What was ignored from the start, as SIGHUP is under `nohup`, stays ignored; handlers of others are left alone. What
    is raised where Python drops it, in a finalizer or while garbage is collected, is raised again a moment later.
    """
    ours: list[int] = []
    ended: list[int] = []
    dropped_before, is_open = sys.unraisablehook, threading.Event()
    is_open.set()

    def end(number: int, _: FrameType | None) -> None:
        ended.append(number)
        # Once: what follows the first signal is the saving of what is finished.
        if len(ended) == 1:
            raise Ended(number)

    def dropped(unraisable: "sys.UnraisableHookArgs") -> None:
        error = unraisable.exc_value
        if not isinstance(error, KeyboardInterrupt):
            dropped_before(unraisable)
            return
        ended.clear()
        number, main = exit_status(error) - 128, threading.main_thread().ident
        again = threading.Timer(0.05, lambda: is_open.is_set() and main and signal.pthread_kill(main, number))
        again.daemon = True
        again.start()

    if threading.current_thread() is threading.main_thread():
        ours = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
        sys.unraisablehook = dropped
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        is_open.clear()
        if sys.unraisablehook is dropped:
            sys.unraisablehook = dropped_before
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


class Held:
    """Signals that wait for the end of a block; `asked` says whether there is one. See `held`."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], object]] = {}
        self._waiting: list[int] = []

    @property
    def asked(self) -> bool:
        """Whether a signal is waiting that will end the program."""
        return bool(self._waiting)

    def deliver(self) -> None:
        """Hands what has waited to its handler, which raises."""
        while self._waiting:
            number = self._waiting.pop(0)
            self._handlers[number](number, None)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *_ENDING):
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._wait)
        return self

    def _wait(self, number: int, frame: FrameType | None) -> None:
        # Who presses Ctrl-C twice does not want to wait.
        if self._waiting and number == signal.SIGINT:
            self._waiting.clear()
            self._handlers[number](number, frame)
        else:
            self._waiting.append(number)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if error is None:
            self.deliver()


def held() -> Held:
    """A context in which Ctrl-C, SIGTERM and SIGHUP wait for its end, or for `deliver()`; a second Ctrl-C does not.

    For what should not be torn: a step that uses its arguments up, or a library that leaves its threads in disorder.
    """
    return Held()


def run(main: Callable[[list[str]], object], parse: Callable[[list[str]], list[str]]) -> NoReturn:
    """Runs a command whose flags are defined: `app.run` that ends in one line and with its status on every signal."""
    from absl import app

    # What is imported stays: looking through it for garbage would take its share of the time in which programs compile.
    # So would looking every 700 objects, of which a large sweep has millions that stay.
    gc.freeze()
    gc.set_threshold(*SELDOM)
    try:
        with endings():
            starting.hand_over()
            app.run(main, flags_parser=parse)
    except KeyboardInterrupt as error:
        with contextlib.suppress(OSError):
            say("interrupted")
        _leave(exit_status(error))
    except BrokenPipeError:
        # Who read the output has gone, as `head` does; nothing is left for Python to write at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _leave(128 + signal.SIGPIPE)
    except SystemExit as ended:
        if isinstance(ended.code, int) and ended.code:
            _leave(ended.code)
        raise
    sys.exit(0)


def _leave(status: int) -> NoReturn:
    """Ends the process without taking Python down: what goes on computing or compiling in another thread would ask for
    it, and abort the process instead of its exit status."""
    atexit._run_exitfuncs()  # pyright: ignore
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


# ---------------------------------------------------------------------------------------------------------------------
# Command lines.


def parse_flags(arguments: list[str], takes_others: bool = False) -> list[str]:
    """Parses a command line, of flags alone unless others are taken too, ending with one line where it is wrong; what
    is left are the command and the others. `--help` prints the flags."""
    from absl import flags

    try:
        print_help(flags.FLAGS.read_flags_from_files(arguments[1:], force_gnu=False))
        rest = flags.FLAGS(arguments)
    except (flags.Error, OSError, UnicodeError) as error:
        fail(cause_of(error))
    if len(rest) > 1 and not takes_others:
        fail(f"unexpected argument {rest[1]!r}; accepted: flags alone, as --help lists them")
    return rest


def cause_of(error: BaseException) -> BaseException:
    """What a config file raised, where ml_collections has put its traceback into the message of another error."""
    while "Traceback" in str(error) and error.__context__:
        error = error.__context__
    return error


def print_help(arguments: Iterable[str], more: Iterable[str] = ()) -> None:
    """Prints what `--help` or `--helpfull` asks for and ends the program, where it is among the arguments."""
    asked = [argument.lstrip("-") for argument in arguments if argument.startswith("-")]
    asked = [HELP[name] for name in asked if name in HELP]
    if asked:
        say(help_text(more, everything=any(asked)))
        raise SystemExit(0)


def help_text(more: Iterable[str] = (), *, everything: bool = False) -> str:
    """The first paragraph of the command's docstring and its example, its flags and `more`; with `everything` also the
    flags of the packages that it uses."""
    from absl import flags

    import __main__

    by_module = flags.FLAGS.flags_by_module_dict()
    own = [flag for module, flags_of in by_module.items() if not module.startswith(PACKAGES) for flag in flags_of]
    # A field's flag is there once it is given.
    own = [flag for flag in dict.fromkeys(own) if not flag.name.startswith("config.")]
    title, *rest = (__main__.__doc__ or "").strip("\n").split("\n\n")
    usage = [text for text in rest if text.startswith(" ")][:1]
    parts = [title.strip(), *usage, "Flags:", *map(_flag_lines, own), *more]
    if everything:
        named = {flag.name for flag in own}
        others = {flag.name: flag for flags_of in by_module.values() for flag in flags_of}
        parts += ["Flags of the packages:"]
        parts += [_flag_lines(flag) for name, flag in sorted(others.items()) if name not in named and "." not in name]
    else:
        parts += ["--helpfull also lists the flags of the packages."]
    return "\n".join(parts)


def _flag_lines(flag: Any) -> str:
    default = "" if flag.default is None or flag.default is False or flag.default == [] else f" [{flag.default_as_str}]"
    return wrapped(f"  --{flag.name}", f"{flag.help or ''}{default}")


def wrapped(name: str, words: str, indent: int = 22) -> str:
    """A name and the words on it, in lines that are as wide as help is."""
    start = f"{name:<{indent}}" if len(name) < indent else f"{name}  "
    lines = textwrap.wrap(start + " ".join(words.split()), WIDTH, subsequent_indent=" " * indent)
    return "\n".join(lines)


def shown(value: object, longest: int = 120) -> str:
    """The value as an error shows it: without its middle where it is long, and where Python does not print it, as a
    number of 5,000 digits, by its type."""
    try:
        return one_line(repr(value), longest)
    except ValueError:
        return f"a {type(value).__name__} too long to print"
