"""One sweep and one browser for all tests of the report."""

import pytest
from chrome import without_lines, without_webgl
from sweep_tables import DIVERGED, SWEPT, table_of

from experiments.reporting import page as report_page
from experiments.reporting import sweep_data


@pytest.fixture(scope="session")
def sweep(tmp_path_factory):
    """A grid of 12 configurations of three seeds: its table, and the folder with its page."""
    folder = tmp_path_factory.mktemp("sweep")
    table = table_of(SWEPT, diverged=DIVERGED)
    data = report_page.data_of(table, sweep_data.sweep_of(table), folder)
    (folder / "report.html").write_text(report_page.page_text(data), encoding="utf-8")
    return table, folder


@pytest.fixture
def page(browser, sweep):
    """The browser with the page of the grid as it is at first: opened once, since that takes long."""
    return as_at_first(browser, text_of(sweep))


@pytest.fixture
def unpainted_page(browser, sweep):
    """The same page without the lines of its parallel coordinates, but with all that is drawn when it comes near."""
    page = as_at_first(browser, without_lines(text_of(sweep)))
    page.draw_all()
    return page


@pytest.fixture
def light_page(browser, sweep):
    """The same page without WebGL."""
    return as_at_first(browser, without_webgl(text_of(sweep)))


def text_of(sweep):
    """The page that was written of the grid."""
    return (sweep[1] / "report.html").read_text(encoding="utf-8")


def as_at_first(browser, text):
    """The browser with that page, opened where it shows another one."""
    browser.send("POST", "/window/rect", {"width": 1280, "height": 1000})
    if browser.shown != text:
        browser.show(text)
        return browser
    browser.run("(document.getElementById('filters').open = true, 0)")
    browser.click("#reset")
    return browser
