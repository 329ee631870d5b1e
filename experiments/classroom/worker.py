"""The worker: one process that computes for all visitors of the page, a little for each in turn.

    python -m experiments.classroom.worker FD VIEW        started by the server, with its end of a line

It is a process of its own so that nothing that it does, tracing and compiling included, keeps the page from answering,
and one for all, so that data, compiled programs and JAX itself are in the memory once. What takes long is prepared in
threads, while the simulations of others go on. It ends with the server, however that ends: the socket says so.

From the server come messages as JSON, {"of": visitor, "do": ..., "value": ...}: `open` with the simulation and the
settings, `close`, and what the simulation does. To the server go a line of JSON, {"to": visitor, "at", "keep",
"series", "running"}, and after it the frame as JSON, which the server hands on as it is.
"""

import contextlib
import functools
import importlib
import json
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Protocol, runtime_checkable

from experiments.classroom.view import State
from training import starting
from training.console import one_line

# Seconds between frames of one visitor, at least: making them takes time in which nothing is computed.
EVERY = 0.125
# Seconds after which is seen whether something that was waited for has come.
SETTLES_WITHIN = 0.2
# Of the worker against the server and the browser on the same machine: who clicks does not wait for an epoch.
NICENESS = 5
# What is prepared at a time: compiling takes a core.
PREPARED_AT_ONCE = 2


class Frame(NamedTuple):
    """What is shown at one time: pictures by the names of their places, words by the ids of the elements that hold
    them (`status`, `finding`, or a view's own); how far it is, as the slider of a saved page has it; whether that page
    keeps it; and of which series it is, where other settings make what was shown before another one."""

    pictures: dict[str, Any]
    words: dict[str, str]
    at: float = 0.0
    keep: bool = True
    series: int = 0


class Simulation(Protocol):
    """What a view shows, in the worker. The class is called with the settings, which its view has checked.

    `running` says whether `advance` is called; the worker sets it where a visitor changes settings while it runs.
    """

    running: bool

    def __init__(self, settings: State) -> None:
        """Cheap: nothing is loaded or compiled here."""

    def change(self, settings: State) -> bool:
        """Goes on with other settings, where it can; where it gives False, a new one begins with them."""
        ...

    def prepare(self) -> None:
        """All that takes longer than a tenth of a second, in a thread of its own; the rest is called after it."""

    def do(self, name: str, value: Any) -> None:
        """What a button does: `play` (or pause), `reset`, or one of the view's own."""

    def advance(self) -> None:
        """A little of the work, a tenth of a second at most, while it is running; others wait for it."""

    def frame(self) -> Frame:
        """What is to be shown now."""
        ...


@runtime_checkable
class Settling(Protocol):
    """What a simulation also has where something that it shows comes later, without its running."""

    @property
    def pending(self) -> bool:
        """Whether there is something to wait for."""
        ...

    def settle(self) -> bool:
        """Takes a little of what has come meanwhile, as `advance` does; whether that is to be shown."""
        ...


@runtime_checkable
class Waiting(Protocol):
    """What a simulation also has that, though it runs, may have to wait: nothing new is to be shown meanwhile."""

    @property
    def waits(self) -> bool:
        """Whether the last `advance` did nothing."""
        ...


class _Seat(NamedTuple):
    """A visitor's simulation with what is known of it; a new one for every `open`."""

    simulation: Simulation
    ready: threading.Event
    error: list[BaseException]
    times: dict[str, float]
    waiting: list[tuple[str, Any]]


def _has_news(seat: _Seat) -> bool:
    """Whether it is time for a frame after `advance`: one that has come to its end is shown at once."""
    if not seat.simulation.running:
        return True
    if isinstance(seat.simulation, Waiting) and seat.simulation.waits:
        return False
    return time.monotonic() - seat.times["shown"] >= EVERY


class Worker:
    """The simulations of all visitors, over a connection to the server."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._sending = connection, threading.Lock()
        self._seats: dict[str, _Seat] = {}
        self._messages: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(PREPARED_AT_ONCE, "prepare")
        self._has_ended = False
        self._settled_at = 0.0  # When nothing that is waited for had come.

    def listen(self) -> None:
        """Takes the server's messages until it has gone."""
        while True:
            try:
                message = json.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                break
            with self._changed:
                self._messages.append(message)
                self._changed.notify()
        with self._changed:
            self._has_ended = True
            self._changed.notify()

    def run(self) -> None:
        """Computes for all in turn until the server has gone."""
        while True:
            busy = [name for name, seat in self._seats.items() if seat.ready.is_set() and seat.simulation.running]
            for name in busy or [""]:
                with self._changed:
                    while not (self._messages or busy or self._has_ended):
                        if not self._changed.wait(self._patience()):
                            break
                    if self._has_ended:
                        self._pool.shutdown(wait=False, cancel_futures=True)
                        return
                    messages, self._messages = self._messages, []
                for message in messages:
                    self._take(message)
                self._settle_all()
                if (seat := self._seats.get(name)) and seat.ready.is_set() and seat.simulation.running:
                    self._guarded(name, seat, seat.simulation.advance)
                    if _has_news(seat):
                        self._show(name, seat)

    def _pending(self) -> list[tuple[str, _Seat]]:
        """Who waits for something without running, and sees a first frame."""
        shown = [(n, s) for n, s in self._seats.items() if s.ready.is_set() and s.times["shown"]]
        seats = [(n, s) for n, s in shown if not s.simulation.running]
        return [(n, s) for n, s in seats if isinstance(s.simulation, Settling) and s.simulation.pending]

    def _patience(self) -> float | None:
        """Seconds until it is seen whether what is waited for has come; None where nothing is."""
        return max(0.0, self._settled_at + SETTLES_WITHIN - time.monotonic()) if self._pending() else None

    def _settle_all(self) -> None:
        """Everybody who waits takes a little of what has come, also while others run."""
        if time.monotonic() - self._settled_at < SETTLES_WITHIN:
            return
        came: list[bool] = []
        for name, seat in self._pending():
            self._guarded(name, seat, functools.partial(self._settle, name, seat, came))
        if came and not any(came):
            self._settled_at = time.monotonic()

    def _settle(self, name: str, seat: _Seat, came: list[bool]) -> None:
        assert isinstance(seat.simulation, Settling)
        came.append(seat.simulation.settle())
        if came[-1]:
            self._show(name, seat)

    def _take(self, message: dict[str, Any]) -> None:
        name, what = message["of"], message["do"]
        if what == "open":
            self._open(name, message["value"])
        elif what == "close":
            self._seats.pop(name, None)
        elif what == "ready":
            if (seat := self._seats.get(name)) and seat.ready.is_set():
                for done, value in seat.waiting:
                    self._guarded(name, seat, functools.partial(seat.simulation.do, done, value))
                seat.waiting.clear()
                self._show(name, seat)
        elif (seat := self._seats.get(name)) and seat.ready.is_set():
            self._guarded(name, seat, functools.partial(seat.simulation.do, what, message.get("value")))
            self._show(name, seat)
        elif seat and seat.error:
            self._say(name, seat, {"status": "stopped"})
        elif seat:  # It is done when it is ready.
            seat.waiting.append((what, message.get("value")))

    def _open(self, name: str, value: dict[str, Any]) -> None:
        """Another simulation for that visitor; the one before is let go at once."""
        simulation, before = made(value), self._seats.get(name)
        is_same = before and type(before.simulation) is type(simulation) and before.ready.is_set()
        if before and is_same and self._goes_on(name, before, value):
            return
        simulation.running = bool(value.get("running"))
        seat = _Seat(simulation, threading.Event(), [], {"shown": 0.0}, [])
        self._seats[name] = seat

        def prepare() -> None:
            if self._seats.get(name) is not seat:  # The settings have changed again while it waited.
                return
            self._guarded(name, seat, simulation.prepare)
            if self._seats.get(name) is seat:
                with self._changed:
                    if not seat.error:
                        self._messages.append({"of": name, "do": "ready"})
                        seat.ready.set()
                    self._changed.notify()

        self._say(name, seat, {"status": "preparing ..."})
        self._pool.submit(prepare)

    def _goes_on(self, name: str, seat: _Seat, value: dict[str, Any]) -> bool:
        """Whether the simulation takes other settings without beginning again."""
        went_on: list[bool] = []
        self._guarded(name, seat, lambda: went_on.append(seat.simulation.change(value["settings"])))
        if not any(went_on):
            return False
        seat.simulation.running = bool(value.get("running"))
        self._show(name, seat)
        return True

    def _guarded(self, name: str, seat: _Seat, function: Callable[[], None]) -> None:
        """Calls it; what it raises is told to the visitor, and to nobody else's harm."""
        try:
            function()
        except Exception as error:
            seat.error.append(error)
            seat.simulation.running = False
            seat.ready.clear()
            if not isinstance(error, ValueError):
                traceback.print_exc()
            self._say(name, seat, {"status": "stopped", "finding": f"This has stopped: {one_line(error, 300)}"})

    def _show(self, name: str, seat: _Seat) -> None:
        """Sends the frame of now."""
        if not seat.ready.is_set():
            return
        frames: list[Frame] = []
        self._guarded(name, seat, lambda: frames.append(seat.simulation.frame()))
        if not frames:
            return
        frame, running = frames[0], seat.simulation.running
        content = {"pictures": frame.pictures, "words": frame.words, "at": frame.at, "running": running}
        header = {"to": name, "at": frame.at, "keep": frame.keep, "series": frame.series, "running": running}
        self._send(header, content)
        seat.times["shown"] = time.monotonic()

    def _say(self, name: str, seat: _Seat, words: dict[str, str]) -> None:
        """Sends words alone."""
        if self._seats.get(name) is seat:
            running = seat.simulation.running
            self._send({"to": name, "running": running}, {"words": words, "running": running})

    def _send(self, header: dict[str, Any], content: dict[str, Any]) -> None:
        try:
            text = json.dumps(content, allow_nan=False, separators=(",", ":"))
        except ValueError:  # Something is not finite.
            text = json.dumps(finite(content), allow_nan=False, separators=(",", ":"))
        with self._sending:
            try:
                self._connection.send_bytes(f"{json.dumps(header)}\n{text}".encode())
            except OSError:  # The server has gone; `listen` sees it, too.
                self._has_ended = True


def made(value: dict[str, Any]) -> Simulation:
    """The simulation that is named, with the settings beside."""
    module, _, called = value["simulation"].partition(":")
    return getattr(importlib.import_module(module), called)(value["settings"])


def finite(value: Any) -> Any:
    """The value as JSON takes it: None for a number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    return [finite(part) for part in value] if isinstance(value, list | tuple) else value


def serve(connection: Connection) -> None:
    """Works until the other end of the connection is closed."""
    worker = Worker(connection)
    threading.Thread(target=worker.listen, name="listen", daemon=True).start()
    worker.run()


def main() -> None:
    import signal

    starting.hand_over()
    # Ctrl-C is for the server, with which this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    from training.compiling import keep_programs

    keep_programs()
    connection = Connection(int(sys.argv[1]))
    worker = Worker(connection)

    def listen() -> None:
        worker.listen()
        os._exit(0)  # Whatever is being computed is for nobody.

    threading.Thread(target=listen, name="listen", daemon=True).start()
    threading.Thread(target=warm, args=(sys.argv[2],), name="warm", daemon=True).start()
    worker.run()


def warm(name: str) -> None:
    """Prepares a view as it is at first, so that what it loads and compiles is there for the first visitor."""
    from experiments.classroom.view import find_views

    if view := find_views().get(name):
        with contextlib.suppress(Exception):  # Who opens it is told.
            simulation = made({"simulation": view.simulation, "settings": view.defaults()})
            simulation.prepare()
            if isinstance(simulation, Settling):  # What it needs later is compiled now.
                simulation.settle()


if __name__ == "__main__":
    main()
