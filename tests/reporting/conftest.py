"""One sweep and one browser for all tests of the report."""

import pytest
from chrome import chromium
from sweep_tables import DIVERGED, SWEPT, table_of

from experiments import report


@pytest.fixture(scope="session")
def sweep(tmp_path_factory):
    """A grid of 12 configurations of three seeds: its table, its folder, what was written."""
    folder = tmp_path_factory.mktemp("sweep")
    table = table_of(SWEPT, diverged=DIVERGED)
    return table, folder, report.write(folder, table)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium, for all tests of this folder."""
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser, sweep):
    """The browser with the page of the grid as it is at first: opened once, since that takes long."""
    browser.send("POST", "/window/rect", {"width": 1280, "height": 1000})
    if browser.run("document.title") != f"Sweep {sweep[1].name}":
        browser.open(sweep[1] / "report.html")
    browser.run("(document.getElementById('filters').open = true, 0)")
    browser.click("#reset")
    return browser
