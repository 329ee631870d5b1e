"""The page served once for all tests of this folder, with its worker in a thread, and one browser."""

import asyncio
import importlib.util
import threading
import time

import pytest
from chrome import CHROMEDRIVER, CHROMIUM

HAS_PAGE = bool(importlib.util.find_spec("nicegui") and CHROMIUM and CHROMEDRIVER)


def pytest_collection_modifyitems(items):
    """What needs the library and a browser is skipped where one of them is missing."""
    missing = pytest.mark.skip(reason="nicegui, chromium or chromedriver is not installed")
    for item in items:
        if not HAS_PAGE and {"address", "visitor"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(missing)


@pytest.fixture(scope="session")
def address():
    """Where the page is served."""
    from experiments import playground
    from experiments.classroom import server
    from experiments.classroom.link import Link
    from experiments.classroom.view import find_views

    listener, ready, link = playground.bound("127.0.0.1", 0), threading.Event(), Link(in_thread=True)
    served = server.make_server(link, find_views(), None, listener.getsockname()[1], ready.set)
    thread = threading.Thread(target=lambda: asyncio.run(served.serve(sockets=[listener])), daemon=True)
    thread.start()
    assert ready.wait(30)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    served.should_exit = True
    thread.join(10)
    link.close()


@pytest.fixture
def visitor(browser, address):
    """A browser at the page: opens views, waits for what they show, and complains of errors of the page at the end."""
    visitor = Visitor(browser, address)
    yield visitor
    assert not browser.errors()


class Visitor:
    """Somebody at a browser."""

    def __init__(self, browser, address):
        self.browser, self.address = browser, address

    def open(self, path):
        """Opens a view and waits for its first picture."""
        self.browser.visit(self.address + path)
        self.until("document.getElementById('classroom')?.dataset.frames > 0")

    def until(self, condition, seconds=30):
        """Waits until a JavaScript expression holds; what it gives."""
        end = time.monotonic() + seconds
        while not (found := self.browser.run(condition)):
            assert time.monotonic() < end, (
                f"{condition} did not come true; {self.words('status')}; {self.words('finding')}"
            )
            time.sleep(0.02)
        return found

    def words(self, name):
        """The text of an element."""
        return self.browser.run(f"document.getElementById('{name}')?.textContent")

    def click(self, action):
        """A click on the button of an action."""
        self.browser.click(f"[data-do={action}]")

    def set(self, name, value):
        """Sets a control, as typing and leaving it does, or choosing."""
        control = f"document.querySelector('[data-set=\"{name}\"]')"
        value = "true" if value is True else "false" if value is False else f"'{value}'"
        key = "checked" if value in ("true", "false") else "value"
        self.browser.run(
            f"({control}.{key} = {value}, {control}.dispatchEvent(new Event('change', {{bubbles: true}})))"
        )
