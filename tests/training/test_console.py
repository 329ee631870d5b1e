"""What commands say: one line, printable, not too long."""

import subprocess
import sys

import pytest

from training import console


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("two\n  lines\there", "two lines here"),
        (ValueError(), "ValueError"),
        (OSError("disk\nfull"), "disk full"),
        ("caf\xe9 \udcff \x1b[31m", r"caf" + "\xe9" + r" \udcff \x1b[31m"),
    ],
)
def test_one_line(message, line):
    """Words by single spaces; what cannot be printed is escaped, letters of every language are not."""
    assert console.one_line(message) == line


def test_long_lines_lose_their_middle():
    """Both ends stay: what was given, and what is accepted."""
    line = console.one_line("given " + "x" * 500 + "; accepted: mnist", 100)
    assert len(line) == 100 and line.startswith("given xx") and line.endswith("x; accepted: mnist") and " ... " in line
    assert console.one_line("y" * 100, 100) == "y" * 100


def test_fail_is_one_line_and_status_2(capsys):
    """On standard error, at most 300 characters in all."""
    with pytest.raises(SystemExit) as caught:
        console.fail("a\nb " + "x" * 1_000 + " accepted: y")
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: a b xx") and err.endswith("accepted: y\n")
    assert len(err) == 301 and err.count("\n") == 1


def test_fail_without_standard_error():
    """Where standard error is closed, the exit status remains."""
    command = [sys.executable, "-c", "from training import console; console.fail('lost')"]
    ended = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *command], stdout=subprocess.PIPE)
    assert (ended.returncode, ended.stdout) == (2, b"")
