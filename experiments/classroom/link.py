"""The server's end of the line to the worker: starts it, and hands on what visitors do and what they are shown."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
WORKER = "experiments.classroom.worker"
# A worker that has ended so often within so many seconds is not started again until as many have gone by.
MOST_ENDS, WITHIN = 3, 60.0
# Where one has ended within so many seconds before, what a visitor had may be what ends them: it begins again when that
# visitor does something, and not of itself.
SUSPECTED = 600.0
# Seconds that a worker whose end of the line is closed may take to end.
ENDS_WITHIN = 5.0


class Message(NamedTuple):
    """What the worker says to a visitor: the header, and the frame as JSON that goes on to the browser as it is."""

    header: dict[str, Any]
    text: str


class Link:
    """A worker in a process of its own, or, for tests, in a thread of this one.

    `start(loop)` before anything else; what comes is handed to the listener of its visitor in that loop. A worker that
    has ended of itself, as one does that needs more memory than there is, is started again, of which every listener is
    told by a message with the header `lost`, `again` whether it was, and `begins` whether the listener is to open what
    it had of itself. Where it ends again and again it is not started, until some visitor does something later.
    """

    def __init__(self, in_thread: bool = False) -> None:
        self._in_thread = in_thread
        self._listeners: dict[str, Callable[[Message], None]] = {}
        self._connection: Connection | None = None
        self._socket: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closing = False
        self._ends: list[float] = []  # When workers have ended, of late.

    def begin(self, first: str = "") -> None:
        """Starts the worker, which takes a while until it can work: as early as possible. It prepares what the first
        page that is asked for will show, the view of that name as it is at first."""
        self._connection = self._thread() if self._in_thread else self._spawn(first)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hands on what comes, in that loop."""
        self._loop = loop
        if self._connection is None:
            self.begin()
        self._read()

    def _read(self) -> None:
        what = self._connection, self.process
        threading.Thread(target=self._listen, args=what, name="link", daemon=True).start()

    def _spawn(self, first: str) -> Connection:
        theirs = self._ours()
        with theirs:
            command = [sys.executable, "-m", WORKER, str(theirs.fileno()), first]
            # A folder that has a file of the name of a module of ours is not looked into.
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        return self._end()

    def _thread(self) -> Connection:
        from experiments.classroom import worker

        theirs = Connection(self._ours().detach())
        threading.Thread(target=worker.serve, args=(theirs,), name="worker", daemon=True).start()
        return self._end()

    def _ours(self) -> socket.socket:
        """A new line; the worker's end of it."""
        self._socket, theirs = socket.socketpair()
        return theirs

    def _end(self) -> Connection:
        assert self._socket
        return Connection(os.dup(self._socket.fileno()))

    def _listen(self, connection: Connection, process: "subprocess.Popen[bytes] | None") -> None:
        assert self._loop
        while True:
            try:
                header, _, text = connection.recv_bytes().decode().partition("\n")
            except (EOFError, OSError):
                break
            self._hand_on(self._received, Message(json.loads(header), text))
        if not self._is_closing:
            if process:  # Its end is waited for here, where that holds nobody up.
                end(process)
            self._hand_on(self._again)

    def _hand_on(self, function: Callable[..., None], *arguments: Any) -> None:
        assert self._loop
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # The server has ended.
            self._is_closing = True

    def _received(self, message: Message) -> None:
        if listener := self._listeners.get(message.header["to"]):
            listener(message)

    def _again(self) -> None:
        """Another worker for the one that has ended, unless that happens again and again."""
        if self._is_closing:
            return
        now = time.monotonic()
        self._ends = [*(at for at in self._ends if now - at < SUSPECTED), now]
        if self._connection and self._socket:
            self._connection.close()
            self._socket.close()
        self._connection = self._socket = None
        again = sum(now - at < WITHIN for at in self._ends) < MOST_ENDS
        if again:
            self._restart()
        self._tell(self._listeners, again)

    def _restart(self) -> None:
        self.begin()
        self._read()

    def _tell(self, visitors: Iterable[str], again: bool) -> None:
        """That the worker has ended, and whether there is another."""
        header = {"lost": True, "again": again, "begins": again and len(self._ends) == 1}
        for visitor in list(visitors):
            if listener := self._listeners.get(visitor):
                listener(Message(header, ""))

    def listen(self, visitor: str, listener: Callable[[Message], None]) -> None:
        """What is for that visitor is handed to the listener from now on."""
        self._listeners[visitor] = listener

    def send(self, visitor: str, what: str, value: Any = None) -> None:
        """Tells the worker what that visitor does."""
        if self._connection is None:  # It has ended again and again.
            if time.monotonic() - self._ends[-1] < WITHIN:
                self._tell([visitor], False)
                return
            self._restart()
        assert self._connection
        with contextlib.suppress(OSError):  # It has ended; another one is started.
            self._connection.send_bytes(json.dumps({"of": visitor, "do": what, "value": value}).encode())

    def leave(self, visitor: str) -> None:
        """That visitor has gone."""
        self._listeners.pop(visitor, None)
        if self._connection:
            self.send(visitor, "close")

    def close(self) -> None:
        """Ends the worker."""
        self._is_closing = True
        if self._socket:
            # Closing it would not end the reading that is under way.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        if self.process:
            end(self.process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Waits for a worker whose line is closed; one that does not end is killed."""
    try:
        process.wait(timeout=ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
