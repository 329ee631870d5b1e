"""The command `python -m experiments.playground`: how it begins, and that nothing is left of it."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import ROOT, one_line, run_here

PLAYGROUND = "experiments.playground"
needs_library = pytest.mark.skipif(not importlib.util.find_spec("nicegui"), reason="nicegui is not installed")


@pytest.fixture
def refused(monkeypatch, capsys):
    """What one line says of a command that ends with status 2."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            run_here(PLAYGROUND, monkeypatch, *arguments)
        assert ended.value.code == 2
        return one_line(capsys.readouterr().err)

    return run


def test_a_missing_library_is_named(refused, monkeypatch):
    """With what installs it."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nicegui" else find(name))
    assert "pip install -r requirements-playground.txt" in refused()


@needs_library
def test_wrong_ports_and_hosts(refused):
    """One line each, before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--port={port}: " in refused(f"--port={port}", "--no_browser")
    assert "port" in refused("--port=70000")
    assert "--host=192.0.2.1" in refused("--host=192.0.2.1")
    assert "accepted: an address of this machine" in refused("--host=no.such.host.invalid")


def children_of(process):
    """The processes that a process has started."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


@needs_library
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="there is no /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left(number, tmp_path):
    """Neither a process nor a file, however it is ended."""
    command = [sys.executable, "-m", PLAYGROUND, "--no_browser", "--host=0.0.0.0", f"--port={free_port()}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = process.stdout.readline()
        assert "/?token=" in said and "Ctrl-C ends it" in said
        (worker,) = children_of(process)
        process.send_signal(number)
        status = process.wait(10)
    assert status == (-signal.SIGKILL if number == signal.SIGKILL else 128 + signal.SIGTERM)
    end = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and "Z" not in state_of(worker):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def state_of(pid):
    """`R`, `S`, or `Z` for a process that has ended and was not asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
