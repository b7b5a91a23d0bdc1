"""No page jumps while it loads: what comes late has its place kept."""

import pytest

GOOD = 0.1
"""The most cumulative layout shift that web.dev calls good: the share of the view that moved, times how far."""

PATHS = ("/", "/curves", "/hyperparameters", "/compare?runs=good,middling", "/pairs", "/run/good")
WATCH = """
    window.shifts = [];
    new PerformanceObserver((list) => list.getEntries().forEach((one) => window.shifts.push(one.value)))
        .observe({type: 'layout-shift', buffered: true});
"""


@pytest.mark.parametrize("width", [1440, 390])
def test_no_page_jumps_while_it_loads(url, open_page, width):
    page = open_page(f"{url}/health", width=width, height=844)
    page.add_init_script(WATCH)
    moved = {}
    for path in PATHS:
        page.goto(url + path)
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(1_500)
        moved[path] = round(sum(page.evaluate("window.shifts")), 3)
    assert {path: far for path, far in moved.items() if far > GOOD} == {}
