"""A page in Chromium, as the tests of the report drive it."""

import contextlib

import pytest

from experiments.classroom import browser
from experiments.classroom.browser import CHROMEDRIVER, CHROMIUM
from experiments.classroom.browser import ELEMENT as ELEMENT

needs_browser = pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromedriver is not installed")
# Each is one line, so that plotly.js stands in the same line of every page, and is compiled once.
NO_WEBGL = (
    "<script>const anyContext = HTMLCanvasElement.prototype.getContext; HTMLCanvasElement.prototype.getContext = "
    'function (kind) { return kind === "2d" ? anyContext.call(this, kind) : null; };</script>'
)
NO_LINES = (
    '<script>for (const name of ["drawArrays", "drawElements", "clear"]) '
    "WebGLRenderingContext.prototype[name] = () => {};</script>"
)


class Browser(browser.Browser):
    """A page in Chromium, driven over WebDriver's HTTP interface."""

    def __init__(self, port, profile):
        super().__init__(port, profile)
        self.page, self.shown = profile / "report.html", ""

    def visit(self, address):
        """Opens a page, whichever was there before."""
        self.shown = ""
        super().visit(address)

    def open(self, page, state=""):
        """Opens a file, with what stands after # in its address."""
        self.visit(page.resolve().as_uri() + state)

    def show(self, text):
        """Opens a page of that text, always at one address: the scripts that it had there before are compiled."""
        self.page.write_text(text, encoding="utf-8")
        self.open(self.page)
        self.shown = text

    def choose(self, select, text):
        """Chooses the option of that text."""
        path = f"//select[@id='{select}']/option[.='{text}']"
        found = self.send("POST", "/element", {"using": "xpath", "value": path})
        self.send("POST", f"/element/{found[ELEMENT]}/click")

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


@contextlib.contextmanager
def chromium(profile):
    """The browser, which ends with the block."""
    with browser.driver() as port:
        found = Browser(port, profile)
        yield found
        found.send("DELETE", "")
