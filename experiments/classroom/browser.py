"""Chromium without a screen, driven over WebDriver's HTTP interface: for the film of the page, and for tests."""

import contextlib
import http.client
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.console import one_line

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
QUIET = ("no-first-run", "disable-quic", "disable-background-networking", "disable-component-update", "disable-sync")
FLAGS = ["headless", "no-sandbox", "disable-gpu", "enable-unsafe-swiftshader", "disable-dev-shm-usage", *QUIET]
INSTALLED_BY = "on Debian, after `apt install chromium chromium-driver`"
# What WebDriver calls an element that it has found.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class BrowserError(RuntimeError):
    """What the driver could not do."""


def missing() -> str:
    """The name of what is not installed of both; '' where nothing is missing."""
    return next((name for name, path in (("chromium", CHROMIUM), ("chromedriver", CHROMEDRIVER)) if not path), "")


class Browser:
    """A page in Chromium."""

    def __init__(self, port: int, profile: Path) -> None:
        self.port, self.session = port, ""
        options = {"binary": CHROMIUM, "args": [*FLAGS, "window-size=1280,1000", f"user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = "/" + self.send("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The value that the driver answers with; BrowserError where that is an error."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            try:
                connection.request(method, f"/session{self.session}{path}", json.dumps(body or {}))
                value = json.loads(connection.getresponse().read())["value"]
            except (http.client.HTTPException, ValueError) as error:  # The driver ends.
                raise BrowserError(f"{CHROMEDRIVER} gives no answer: {error!r}") from error
        if isinstance(value, dict) and "error" in value:
            raise BrowserError(one_line(f"{value['error']}: {value.get('message', '')}", 300))
        return value

    def visit(self, address: str) -> None:
        """Opens a page."""
        self.send("POST", "/url", {"url": address})

    def run(self, script: str) -> Any:
        """What a JavaScript expression gives."""
        return self.send("POST", "/execute/sync", {"script": f"return ({script})", "args": []})

    def click(self, selector: str) -> None:
        """A click in the middle of an element, as a hand does it: refused where another element is in front."""
        found = self.send("POST", "/element", {"using": "css selector", "value": selector})
        self.send("POST", f"/element/{found[ELEMENT]}/click")

    def emulate(self, scheme: str) -> None:
        """Makes the browser prefer a colour scheme, `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}})

    def errors(self) -> list[str]:
        """What went wrong by the browser's console since the last call."""
        entries = self.send("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


@contextlib.contextmanager
def driver() -> Iterator[int]:
    """The port of a running chromedriver, which ends with the block."""
    assert CHROMEDRIVER, "the caller looks whether there is one"
    with subprocess.Popen(
        [CHROMEDRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout
            begun = (re.search(r"successfully on port (\d+)", line) for line in process.stdout)
            if not (port := next(filter(None, begun), None)):
                raise BrowserError(f"{CHROMEDRIVER} has ended before it began")
            yield int(port[1])
        finally:
            process.terminate()
            end(process)


def end(process: "subprocess.Popen[Any]", seconds: float = 10.0) -> None:
    """Waits for a process that was told to end; one that does not is killed."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def opened() -> Iterator[Browser]:
    """A browser with a profile of its own, which ends with the block; BrowserError where none is installed."""
    if found := missing():
        raise BrowserError(f"{found} is not installed; accepted: {INSTALLED_BY}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, driver() as port:
        page = Browser(port, Path(profile))
        try:
            yield page
        finally:
            with contextlib.suppress(BrowserError, OSError):  # What went wrong before is what is told.
                page.send("DELETE", "")
