"""Commands as typed, in a process of their own or in that of the tests, and the one line that they end with where
something is wrong."""

import contextlib
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags, logging

from training import console
from training.command_line import parse_flags

ROOT = Path(__file__).parent.parent
SHALLOW = f"--config={ROOT / 'configs' / 'shallow.py'}"
SYNTHETIC = "--config.dataset=synthetic"


def typed(folder, *arguments):
    """The finished process of `python train.py` with these arguments, started in that folder."""
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@contextlib.contextmanager
def in_this_process(module, monkeypatch):
    """What runs the command of a module, with flags of its own, as often as it is called."""
    before, verbosity = set(flags.FLAGS), logging.get_verbosity()

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *arguments])
        monkeypatch.delitem(sys.modules, "config_config", raising=False)
        try:
            module.define_flags()
            module.main(parse_flags(sys.argv))
        finally:
            for name in set(flags.FLAGS) - before:
                delattr(flags.FLAGS, name)
            flags.FLAGS.unparse_flags()

    yield run
    logging.set_verbosity(verbosity)


def run_here(module, monkeypatch, *arguments):
    """Runs `python -m MODULE` in this process: as it is typed, but for the start and the end of a process."""
    before, verbosity = set(flags.FLAGS), logging.get_verbosity()
    monkeypatch.setattr(sys, "argv", [f"{module}.py", *arguments])
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(console, "run", lambda main, parse: main(parse(sys.argv)))
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
        flags.FLAGS.unparse_flags()
        logging.set_verbosity(verbosity)


def refused(run, capsys, *arguments):
    """What one line on stderr says, after checking that it is one, that the status is 2 and that nothing was made."""
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert list(Path.cwd().iterdir()) == []
    return one_line(output.err)


def one_line(text):
    """The message of a text that is one line beginning with `error: ` and no traceback."""
    assert text.startswith("error: ") and text.endswith("\n") and text.count("\n") == 1, text
    assert "Traceback" not in text and '.py", line' not in text, text
    return text.removeprefix("error: ").rstrip("\n")
