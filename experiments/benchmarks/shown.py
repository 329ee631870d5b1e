"""How soon does a browser show a sweep's page?"""

import time
from pathlib import Path

from experiments.classroom import browser, visits

# The table has rows, and all plots that are within the window are drawn.
SHOWN = (
    "document.readyState === 'complete' && document.querySelector('#table tbody tr') && "
    "[...document.querySelectorAll('.plot')].every((plot) => plot.getBoundingClientRect().top > innerHeight || "
    "plot.querySelector('.main-svg'))"
)
TIMES, MOST_SECONDS = 3, 120.0


def seconds_to_show(page: Path) -> list[float]:
    """Seconds from the address to what is within the window, of a Chromium without a screen that has started before,
    each time anew; none where Chromium or its driver is not installed. BrowserError where it never comes."""
    if browser.missing():
        return []
    found: list[float] = []
    for _ in range(TIMES):
        with browser.opened() as chromium:
            start = time.perf_counter()
            chromium.visit(page.resolve().as_uri())
            visits.until(chromium, SHOWN, MOST_SECONDS)
            found.append(time.perf_counter() - start)
    return found
