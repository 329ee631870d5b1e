"""The line to the worker, where that ends of itself."""

import asyncio

import pytest

from experiments.classroom import link as link_module
from experiments.classroom.link import Link
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
        dying.listen("a", lambda message: told.append(message.header["again"]))
        await until(lambda: False in told)
        assert told == [True] * (link_module.MOST_ENDS - 1) + [False]
        Session(find_views()["train"], "", dying, said.append)
        assert LOST_FOR_NOW in said[-1] and '"status": "stopped"' in said[-2]
        ended = dying.process
        dying.leave("a")
        with monkeypatch.context() as later:
            later.setattr(link_module, "WITHIN", 0.0)
            dying.send("b", "play")
        assert dying.process is not ended and LOST_FOR_NOW not in said[-1]
        await until(lambda: LOST_FOR_NOW in said[-1])

    asyncio.run(run())
    assert told.count(False) == 1
