"""What commands say: one line, printable, not too long, on any output; and how signals end them."""

import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from training import console

pytestmark = pytest.mark.usefixtures("signals_by_default")


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


class Broken(io.StringIO):
    """An output that fails with an error."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))


def test_say_on_any_output(monkeypatch):
    """None, closed, a terminal that has gone, one without the letter; a reader that has gone is an error as ever."""
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed, Broken(errno.EIO)):
        monkeypatch.setattr(sys, "stdout", stream)
        console.say("lost")
        with console.progress(3, "epoch") as bar:
            bar.say("lost")
            bar.update()
    monkeypatch.setattr(sys, "stdout", Broken(errno.EPIPE))
    with pytest.raises(BrokenPipeError):
        console.say("lost")
    ascii_alone = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", ascii_alone)
    console.say("caf\xe9 \udcff\x1b\nsecond line")
    assert ascii_alone.buffer.getvalue() == rb"caf\xe9 \udcff\x1b" + b"\nsecond line\n"


def test_warn_is_one_line(capsys):
    """On standard error, at most 300 characters."""
    console.warn("a\nb" + "x" * 1_000)
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("warning: a bxx") and err.count("\n") == 1 and len(err) == 301


def test_progress_is_silent_without_a_terminal(capsys):
    """Lines come as they are, and no bar."""
    with console.progress(2, "pack", "sweep") as bar:
        bar.say("one\ntwo")
        bar.update()
    assert capsys.readouterr() == ("one\ntwo\n", "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_signals_end_as_ctrl_c(number, status):
    """KeyboardInterrupt, once, with the status that shells know; afterwards all is as before."""
    with pytest.raises(KeyboardInterrupt) as caught, console.endings():
        try:
            signal.raise_signal(number)
        finally:
            if number != signal.SIGINT:
                signal.raise_signal(number)  # What comes while things are put in order is not heard.
    assert console.exit_status(caught.value) == status
    assert isinstance(caught.value, console.Ended) == (number != signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def test_ignored_signals_stay_ignored():
    """As SIGHUP is under nohup; and the handlers of others stay theirs."""
    heard = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    with console.endings(), console.held() as signals:
        signal.raise_signal(signal.SIGHUP)
        assert not signals.asked
        signal.raise_signal(signal.SIGTERM)
        assert signals.asked and not heard
    assert heard == [signal.SIGTERM]


def test_held_signals_wait():
    """For the end of the block or for deliver(), also of a block within; a second Ctrl-C does not wait."""
    reached = []
    with pytest.raises(console.Ended), console.endings(), console.held() as signals:
        with console.held() as inner:
            signal.raise_signal(signal.SIGTERM)
            reached.append(inner.asked)
        reached.append(signals.asked)
        signals.deliver()
        reached.append("never")
    assert reached == [True, True]
    with pytest.raises(KeyboardInterrupt), console.held():
        signal.raise_signal(signal.SIGINT)
        reached.append("first")
        signal.raise_signal(signal.SIGINT)
        reached.append("never")
    assert reached == [True, True, "first"]


class Noisy:
    """What gets a signal while it is thrown away."""

    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_in_a_finalizer_is_not_lost():
    """Python drops what a finalizer raises; the block ends by it all the same, and the hook of before is back."""
    hook = sys.unraisablehook
    with pytest.raises(console.Ended, match="SIGTERM"), console.endings():
        Noisy()
        time.sleep(20)
    assert sys.unraisablehook is hook


INTERRUPTED = """
import atexit, signal, threading, time
from training import console

def main(_):
    threading.Thread(target=time.sleep, args=(60,)).start()
    atexit.register(print, "tidied up")
    signal.raise_signal(signal.SIGTERM)

console.run(main, console.parse_flags)
"""


def test_an_ended_command_waits_for_no_thread():
    """What goes on in another thread is neither waited for nor asked; what was registered for the end is called."""
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "interrupted\ntidied up\n", "")


def test_other_threads_have_no_signals():
    """Python lets the main thread alone have handlers; elsewhere nothing is done."""
    seen = []

    def work():
        with console.endings(), console.held() as signals:
            seen.append((signal.getsignal(signal.SIGTERM), signals.asked))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(signal.SIG_DFL, False)]
