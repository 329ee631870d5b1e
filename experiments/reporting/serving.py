"""The page of a sweep served to browsers of this machine, which ask for what is new while the sweep runs."""

import html
import json
import os
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import input_pipeline
from experiments.engine import tuned
from experiments.engine.plan_file import SweepError
from experiments.engine.results import DamagedError
from experiments.engine.standing import Folder
from experiments.reporting.page import data_of, page_text
from experiments.reporting.sweep_data import sweep_of
from training.console import Ended, fail, say

HOST = "127.0.0.1"
# Seconds between a browser's questions whether there is something new.
EVERY = 2
WAITING = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="{every}"><title>Sweep</title>
<style>:root {{ color-scheme: light dark }} body {{ font: 16px system-ui, sans-serif; margin: 3em }}</style></head>
<body><p id="waiting">{words}. What is finished will be shown here as soon as there is something.</p></body></html>"""


class Ways(NamedTuple):
    """How settings are ranked, and where the data are, whose labels say what is at chance."""

    rank: str = "all"
    data_dir: str = input_pipeline.DEFAULT_DATA_DIR


class Shown:
    """What the page shows now, made again when the folder has changed."""

    def __init__(self, folder: Folder, ways: Ways = Ways()) -> None:  # noqa: B008
        self.folder, self.ways = folder, ways
        self._lock = threading.Lock()
        self._version, self._data = "", dict[str, Any]()
        self._words = ""

    def data(self) -> tuple[dict[str, Any], str]:
        """What the page shows with its version; while no pack is finished nothing, and how far the sweep is in words.
        DamagedError and SweepError as `Folder.read`."""
        with self._lock:
            version = self.folder.stamp()
            if version != self._version:
                table, standing = self.folder.read()
                self._words = standing.words if standing else ""
                self._data = {}
                if table is not None:
                    decision = tuned.decide(tuned.read(self.folder.workdir), table, *self.ways)
                    sweep = sweep_of(table, decision, self.ways.data_dir)
                    shown = data_of(table, sweep, self.folder.workdir, standing)
                    self._data = shown | {"version": version, "every": EVERY}
                self._version = version
            return self._data, self._words


class Server(ThreadingHTTPServer):
    """A server of the loopback, whose threads end with it."""

    daemon_threads = True

    def __init__(self, port: int, shown: Shown) -> None:
        super().__init__((HOST, port), Handler)
        self.shown = shown


class Handler(BaseHTTPRequestHandler):
    """Answers with the page, its data or its version; nothing of the disk is served by its name."""

    def do_GET(self) -> None:
        """The page, `data` as JSON, or `version`, which changes with what is finished."""
        # A page of another site could reach this one under a name of its own.
        if (self.headers.get("Host") or "").partition(":")[0] not in (HOST, "localhost"):
            self.answer(HTTPStatus.FORBIDDEN, "text/plain", "accepted: 127.0.0.1 or localhost")
            return
        try:
            self.answer(HTTPStatus.OK, *self.content_of(self.path.partition("?")[0]))
        except KeyError:
            self.answer(HTTPStatus.NOT_FOUND, "text/plain", "accepted: /, /data, /version")
        except (DamagedError, SweepError, OSError) as error:
            self.answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", str(error))

    def content_of(self, path: str) -> tuple[str, str]:
        """The type and the text of what is asked for; KeyError where there is no such thing."""
        assert isinstance(self.server, Server)
        shown = self.server.shown
        if path == "/version":
            return "text/plain", shown.folder.stamp()
        if path not in ("/", "/data"):
            raise KeyError(path)
        data, words = shown.data()
        if path == "/data":
            return "application/json", json.dumps(data, allow_nan=False)
        return "text/html", page_text(data) if data else WAITING.format(every=EVERY, words=html.escape(words))

    def answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        """Sends it; a browser that has gone is none of our business."""
        content = text.encode(errors="replace")
        try:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line every other second would say nothing."""


def serve(folder: Folder, port: int = 0, ways: Ways = Ways()) -> None:  # noqa: B008
    """Serves the page until Ctrl-C, on a free port for 0; ends in one line where the port is taken. What `Folder.read`
    cannot read is raised before."""
    shown = Shown(folder, ways)
    words = shown.data()[1]
    try:
        server = Server(port, shown)
    except OSError as error:
        fail(f"--port={port}: {os.strerror(error.errno or 0)}; accepted: a free port, or none, which takes one")
    with server:
        say(f"{words or 'what is finished is shown'}: http://{HOST}:{server.server_address[1]}/ (Ctrl-C ends it)")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt as error:
            if isinstance(error, Ended):  # SIGTERM, whose status says so.
                raise
            say("ended")
