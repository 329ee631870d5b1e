"""A page in Chromium, as the tests of the report drive it."""

import contextlib
import http.client
import json
import re
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromedriver is not installed")
QUIET = ("no-first-run", "disable-quic", "disable-background-networking", "disable-component-update", "disable-sync")
BROWSER_FLAGS = ["headless", "no-sandbox", "disable-gpu", "enable-unsafe-swiftshader", "disable-dev-shm-usage", *QUIET]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
# Each is one line, so that plotly.js stands in the same line of every page, and is compiled once.
NO_WEBGL = (
    "<script>const anyContext = HTMLCanvasElement.prototype.getContext; HTMLCanvasElement.prototype.getContext = "
    'function (kind) { return kind === "2d" ? anyContext.call(this, kind) : null; };</script>'
)
NO_LINES = (
    '<script>for (const name of ["drawArrays", "drawElements", "clear"]) '
    "WebGLRenderingContext.prototype[name] = () => {};</script>"
)


class Browser:
    """A page in Chromium, driven over WebDriver's HTTP interface."""

    def __init__(self, port, profile):
        self.port, self.session, self.page, self.shown = port, "", profile / "report.html", ""
        options = {"binary": CHROMIUM, "args": [*BROWSER_FLAGS, "window-size=1280,1000", f"user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = "/" + self.send("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def send(self, method, path, body=None):
        """The value that the driver answers with."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, f"/session{self.session}{path}", json.dumps(body or {}))
            value = json.loads(connection.getresponse().read())["value"]
        assert not (isinstance(value, dict) and "error" in value), value
        return value

    def open(self, page, state=""):
        """Opens a file, with what stands after # in its address."""
        self.shown = ""
        self.send("POST", "/url", {"url": page.resolve().as_uri() + state})

    def show(self, text):
        """Opens a page of that text, always at one address: the scripts that it had there before are compiled."""
        self.page.write_text(text, encoding="utf-8")
        self.open(self.page)
        self.shown = text

    def run(self, script):
        """What a JavaScript expression gives."""
        return self.send("POST", "/execute/sync", {"script": f"return ({script})", "args": []})

    def click(self, selector):
        """A click in the middle of an element, as a hand does it: refused where another element is in front."""
        found = self.send("POST", "/element", {"using": "css selector", "value": selector})
        self.send("POST", f"/element/{found[ELEMENT]}/click")

    def choose(self, select, text):
        """Chooses the option of that text."""
        path = f"//select[@id='{select}']/option[.='{text}']"
        found = self.send("POST", "/element", {"using": "xpath", "value": path})
        self.send("POST", f"/element/{found[ELEMENT]}/click")

    def errors(self):
        """What went wrong by the browser's console since the last call."""
        return [
            entry["message"]
            for entry in self.send("POST", "/se/log", {"type": "browser"})
            if entry["level"] == "SEVERE"
        ]

    def draw_all(self):
        """Has the plots drawn that wait until they come near the window, as before the page is printed."""
        self.run("(window.dispatchEvent(new Event('beforeprint')), 0)")

    def curves(self):
        """How many curves are drawn: the pieces of the lines, without the bands."""
        paths = "[...document.querySelectorAll('#curves .scatterlayer .js-line')]"
        lines = f"{paths}.filter((path) => path.style.strokeWidth !== '0px')"
        return self.run(f"{lines}.reduce((sum, path) => sum + path.getAttribute('d').split('M').length - 1, 0)")

    def table(self):
        """The texts of the table's cells, row by row."""
        rows = "document.querySelectorAll('#table tbody tr')"
        return self.run(f"[...{rows}].map((row) => [...row.cells].map((cell) => cell.textContent))")


def without_webgl(text):
    """A page that finds no WebGL, and has all but the parallel coordinates, whose drawing in software takes most of a
    test's time: for what they have no part in."""
    return text.replace("<script", f"{NO_WEBGL}<script", 1)


def without_lines(text):
    """A page that has all, but the lines of the parallel coordinates are not painted: for what is asked of its parts'
    sizes and colours, not of these lines."""
    return text.replace("<script", f"{NO_LINES}<script", 1)


def emulate(browser, scheme):
    """Makes the browser prefer a colour scheme."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.send("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}})


@contextlib.contextmanager
def chromium(profile):
    """The browser, which ends with the block."""
    command = [CHROMEDRIVER, "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
        try:
            port = next(
                int(found[1]) for line in driver.stdout if (found := re.search(r"successfully on port (\d+)", line))
            )
            browser = Browser(port, profile)
            yield browser
            browser.send("DELETE", "")
        finally:
            driver.terminate()
