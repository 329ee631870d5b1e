"""What is served of a sweep, to whom, and how the command ends."""

import http.client
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sweep_tables import table_of

from experiments.engine import plan_file, results
from experiments.engine.lanes import Shape
from experiments.engine.standing import Folder
from experiments.reporting import serving
from training.config import Config

ROOT = Path(__file__).parents[2]


def ask(port, path, host="127.0.0.1"):
    """The status and the text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={"Host": f"{host}:{port}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


@pytest.fixture
def port(tmp_path):
    """The port of a server of the folder, in which a sweep of one trial has begun."""
    planned = plan_file.PlannedPack("0" * 16, ((("0" * 12, 4),),), Shape(1, 1), ())
    plan_file.write_plan(plan_file.Recorded(Config(), (), {}, (), (planned,)), tmp_path / "plan.json")
    with serving.Server(0, serving.Shown(Folder(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_what_is_served(port, tmp_path):
    """A page that waits, then the page and its data, of another version; to nobody under another name, and no file."""
    status, text = ask(port, "/")
    assert status == 200 and "0 of 1 trial, 0 of 1 pack are finished" in text
    before = ask(port, "/version")
    results.write_table(table_of({"learning_rate": [0.1, 1.0]}), tmp_path / "results.parquet")
    (tmp_path / "plan.json").unlink()
    assert ask(port, "/version") != before
    assert 'id="data"' in ask(port, "/?x=1")[1]
    data = json.loads(ask(port, "/data")[1])
    assert data["version"] == ask(port, "/version")[1] and data["seeds"] == [1, 1]
    assert ask(port, "/results.parquet")[0] == ask(port, "/../plan.json")[0] == 404
    assert ask(port, "/data", host="evil.example")[0] == 403
    (tmp_path / "results.parquet").write_bytes(b"half")
    status, text = ask(port, "/data")
    assert status == 503 and "\n" not in text


def test_the_command_ends_on_ctrl_c(tmp_path, signals_by_default):
    """It prints where the page is, and ends with status 0 and one more line."""
    results.write_table(table_of({"learning_rate": [0.1, 1.0]}), tmp_path / "results.parquet")
    command = [sys.executable, "-m", "experiments.report", f"--workdir={tmp_path}", "--watch"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        port = int(line.partition("http://127.0.0.1:")[2].partition("/")[0])
        assert ask(port, "/version")[0] == 200
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()  # Else a server that does not end would be waited for.
    assert (process.returncode, out, err) == (0, "ended\n", "")
    assert not (tmp_path / "report.html").exists()
