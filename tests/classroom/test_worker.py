"""The worker, in a thread: it computes for all in turn, and what is wrong with one harms no other."""

import json
import os
import queue
import socket
import threading
import time
from multiprocessing.connection import Connection

import pytest

from experiments.classroom import worker
from experiments.classroom.worker import Frame


class Waiting:
    """Stands still, and waits for three things that are there at once."""

    running, pending = False, True

    def __init__(self, settings):
        self.left = 3

    def change(self, settings):
        return False

    def prepare(self):
        pass

    def settle(self):
        self.left -= 1
        self.pending = self.left > 0
        return True

    def frame(self):
        return Frame({}, {"status": f"{self.left} left"})


class Counting:
    """Counts while it runs."""

    def __init__(self, settings):
        self.settings, self.running, self.count, self.is_prepared = settings, False, 0, False

    def change(self, settings):
        self.settings = settings
        return settings.get("goes_on", False)

    def prepare(self):
        if self.settings.get("fails_at") == "prepare":
            raise ValueError("no such net")
        self.is_prepared = True

    def do(self, name, value):
        if name == "play":
            self.running = not self.running
        elif name == "set":
            self.count = value

    def advance(self):
        self.count += 1
        if self.settings.get("fails_at") == self.count:
            raise ValueError("it fell over")

    def frame(self):
        assert self.is_prepared
        return Frame({}, {"status": str(self.count), "number": str(float("nan"))}, float(self.count))


class Napping(Counting):
    """Waits for a while, though it runs."""

    waits = True

    def advance(self):
        time.sleep(0.003)
        super().advance()
        self.waits = self.count < 100


@pytest.fixture
def line():
    """What sends to a worker and what comes from it; the worker ends with the line."""
    ours, theirs = socket.socketpair()
    connection, received = Connection(os.dup(ours.fileno())), queue.Queue()
    thread = threading.Thread(target=worker.serve, args=(Connection(theirs.detach()),))
    thread.start()

    def listen():
        try:
            while True:
                header, _, text = connection.recv_bytes().decode().partition("\n")
                received.put((json.loads(header), json.loads(text)))
        except (EOFError, OSError):
            pass

    listening = threading.Thread(target=listen)
    listening.start()
    yield Line(connection, received)
    with ours:
        ours.shutdown(socket.SHUT_RDWR)
    for one in (thread, listening):
        one.join(10)
        assert not one.is_alive()
    connection.close()


class Line:
    """A line to a worker."""

    def __init__(self, connection, received):
        self.connection, self.received = connection, received

    def say(self, who, what, value=None):
        self.connection.send_bytes(json.dumps({"of": who, "do": what, "value": value}).encode())

    def open(self, who, running=False, kind="Counting", **settings):
        value = {"simulation": f"{__name__}:{kind}", "settings": settings, "running": running}
        self.say(who, "open", value)

    def until(self, who, accepted):
        """The first message to someone of which that holds."""
        while True:
            header, content = self.received.get(timeout=10)
            if header["to"] == who and accepted(header, content):
                return header, content


def shows(words):
    return lambda _, content: content["words"].get("status") == words


def test_all_have_their_turn(line):
    """Two run, one stands still, and each has its own count."""
    line.open("a", running=True)
    line.open("b", running=True)
    line.open("c")
    line.until("c", shows("0"))
    line.until("a", lambda header, _: header.get("at", 0) > 100)
    line.until("b", lambda header, _: header.get("at", 0) > 100)
    line.say("c", "set", 7)
    line.until("c", shows("7"))
    line.say("a", "play")
    line.until("a", lambda header, content: not header["running"] and "pictures" in content)
    line.say("b", "close")


def test_nothing_is_shown_again_as_it_was(line):
    """After the first frame there is none as long as there is no news."""
    line.open("a", running=True, kind="Napping")
    first, second = (line.until("a", lambda header, _: "at" in header)[0]["at"] for _ in range(2))
    assert first < 100 <= second


def test_who_waits_is_served_while_others_run(line):
    """What comes later is taken one by one, and shown, although somebody runs."""
    line.open("a", running=True)
    line.until("a", lambda header, _: header.get("at", 0) > 10)
    line.open("b", kind="Waiting")
    shown = [line.until("b", lambda header, _: "at" in header)[1]["words"]["status"] for _ in range(4)]
    assert shown == [f"{left} left" for left in (3, 2, 1, 0)]


@pytest.mark.parametrize("fails_at", ["prepare", 50])
def test_an_error_is_told_to_whom_it_is_of(line, fails_at):
    """In one line; the other goes on, and who had it may begin again."""
    line.open("good", running=True)
    line.open("bad", running=True, fails_at=fails_at)
    header, content = line.until("bad", lambda _, content: "finding" in content["words"])
    assert not header["running"] and content["words"]["status"] == "stopped"
    assert content["words"]["finding"].startswith("This has stopped: ")
    line.until("good", lambda header, _: header.get("at", 0) > 200)
    line.say("bad", "play")
    line.open("bad")
    line.until("bad", shows("0"))


def test_what_is_done_meanwhile_waits(line):
    """A click while it is being prepared is not lost."""
    line.open("a")
    line.say("a", "set", 9)
    line.until("a", shows("9"))


def test_a_simulation_may_go_on_with_other_settings(line):
    """Where it says so; else another one begins."""
    line.open("a")
    line.until("a", shows("0"))
    line.say("a", "set", 5)
    line.until("a", shows("5"))
    line.open("a", goes_on=True)
    line.until("a", shows("5"))
    line.open("a")
    line.until("a", shows("0"))
