"""The command `python train.py`, as typed, and the one line that it ends with where something is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHALLOW = f"--config={ROOT / 'configs' / 'shallow.py'}"
SYNTHETIC = "--config.dataset=synthetic"


def typed(folder, *arguments):
    """The finished process of `python train.py` with these arguments, started in that folder."""
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


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
