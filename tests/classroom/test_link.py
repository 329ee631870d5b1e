"""The line to the worker, where that ends of itself."""

import asyncio
import subprocess
import sys

import pytest

from experiments.classroom import link as link_module
from experiments.classroom import visits
from experiments.classroom.browser import BrowserError
from experiments.classroom.link import Link, Message
from experiments.classroom.session import LOST_FOR_NOW, Session
from experiments.classroom.view import find_views


@pytest.fixture
def dying(monkeypatch):
    """A link whose workers end at once."""
    monkeypatch.setattr(link_module, "WORKER", "this")
    link = Link()
    yield link
    link.close()


async def until(condition):
    """Waits until it holds."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true")


def test_a_worker_that_ends_again_and_again_is_let_go(dying, monkeypatch):
    """After a few times it is not started again, which every visitor is told; a click later tries once more."""
    told, said = [], []

    async def run():
        dying.start(asyncio.get_running_loop())
        dying.listen("a", lambda message: told.append((message.header["again"], message.header["begins"])))
        await until(lambda: (False, False) in told)
        assert told == [(True, True)] + [(True, False)] * (link_module.MOST_ENDS - 2) + [(False, False)]
        session = Session(find_views()["train"], "", dying, said.append)
        assert LOST_FOR_NOW in said[-1] and '"status": "stopped"' in said[-2]
        ended = dying.process
        dying.leave("a")
        with monkeypatch.context() as later:
            later.setattr(link_module, "WITHIN", 0.0)
            session.heard("play", None)
        assert dying.process is not ended and LOST_FOR_NOW not in said[-1]
        await until(lambda: LOST_FOR_NOW in said[-1])

    asyncio.run(run())
    assert len(told) == link_module.MOST_ENDS


class Recorded:
    """A link that notes what is sent."""

    def __init__(self):
        self.sent = []

    def listen(self, visitor, listener):
        pass

    def send(self, visitor, what, value=None):
        self.sent.append(what)


@pytest.mark.parametrize("begins", [True, False])
def test_what_ended_the_worker_is_opened_by_a_click_alone(begins):
    """After its first end all that was open is opened again, after another one what somebody clicks at."""
    line, said = Recorded(), []
    session = Session(find_views()["neuron"], "", line, said.append)
    line.sent.clear()
    session.received(Message({"lost": True, "again": True, "begins": begins}, ""))
    assert line.sent == ["open"] * begins
    session.heard("shown", None)
    assert line.sent == ["open"] * begins
    session.heard("play", None)
    session.heard("step", None)
    assert line.sent == ["open", "play", "step"]


def test_a_worker_that_does_not_end_is_killed(monkeypatch):
    """Nobody waits for it without a limit."""
    monkeypatch.setattr(link_module, "ENDS_WITHIN", 0.1)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        link_module.end(process)
    assert process.returncode < 0


def test_why_the_page_did_not_start_is_said(tmp_path, monkeypatch):
    """The last thing that it says."""
    monkeypatch.setattr(sys, "executable", "/bin/sh")
    with (
        (tmp_path / "errors").open("a") as errors,
        pytest.raises(BrowserError, match=r"did not start: .*experiments\.playground"),
        visits.served(errors),
    ):
        pass
