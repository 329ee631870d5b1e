"""What commands say: errors of one line that end them, and command lines of flags alone."""

import contextlib
import sys
from typing import NoReturn

# A refusal that is longer is not read; its middle, mostly a long value that was given, is left out.
LONGEST_LINE = 300


def one_line(message: object, longest: int | None = None) -> str:
    """The message as one printable line, at most that many characters of it; the type of an error that says nothing."""
    line = " ".join(str(message).split()) or type(message).__name__
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
    if longest is None or len(line) <= longest:
        return line
    end = longest // 3
    return f"{line[: longest - end - 5]} ... {line[-end:]}"


def fail(message: object) -> NoReturn:
    """Ends a program with one line and exit status 2."""
    with contextlib.suppress(OSError, ValueError):  # Whatever standard error is, also closed.
        if sys.stderr is not None:
            print(one_line(f"error: {one_line(message)}", LONGEST_LINE), file=sys.stderr)
    sys.exit(2)


def parse_flags(arguments: list[str]) -> list[str]:
    """Parses a command line of flags alone, ending with one line where it is wrong."""
    from absl import flags

    try:
        rest = flags.FLAGS(arguments)
    except flags.Error as error:
        if "Traceback" not in str(error):
            fail(error)
        # ml_collections puts the traceback of a config file into its message: raise what that file raised.
        cause: BaseException = error
        while "Traceback" in str(cause) and cause.__context__:
            cause = cause.__context__
        raise cause from None
    if len(rest) > 1:
        fail(f"unexpected argument {rest[1]!r}; accepted: flags alone, as --help lists them")
    return rest
