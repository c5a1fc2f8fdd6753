"""The page in headless Chromium: layout on a desk and on a phone, sorting, pictures, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser


def _open(browser: Any, page: Path, width: int, scheme: str = "light") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme_feature = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme_feature})
    browser.get(page.as_uri())


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", ["several_page", "explained_page"])
def test_nothing_overflows_and_the_console_is_silent(
    browser: Any, request: pytest.FixtureRequest, page: str, width: int
) -> None:
    _open(browser, request.getfixturevalue(page), width)
    browser.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    wide, visible = browser.execute_script(
        "const root = document.documentElement; return [root.scrollWidth, root.clientWidth]"
    )
    assert width - 20 < visible <= width  # less a scroll bar
    assert wide <= visible
    assert browser.get_log("browser") == []


def test_the_page_asks_for_nothing_but_itself(browser: Any, single_page: Path) -> None:
    browser.get_log("performance")
    _open(browser, single_page, 1280)
    log = [entry["message"] for entry in browser.get_log("performance")]
    requests = [line for line in log if '"Network.requestWillBeSent"' in line]
    assert requests
    assert all('"url":"file:' in line or '"url":"data:' in line for line in requests)


def test_pictures_and_figures_are_there(browser: Any, single_page: Path) -> None:
    _open(browser, single_page, 1280)
    browser.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    images = browser.execute_script(
        "return Array.from(document.images, one => [one.complete, one.naturalWidth, one.alt])"
    )
    assert len(images) == 4 * 16
    assert all(complete and width > 0 and alt for complete, width, alt in images)
    figures = browser.execute_script(
        "return Array.from(document.querySelectorAll('figure svg'),"
        " one => [one.getBoundingClientRect().height, one.getAttribute('aria-label')])"
    )
    assert len(figures) == 2 + 4 * 2
    assert all(height > 50 and label for height, label in figures)


def test_maps_are_there_beside_one_another(browser: Any, explained_page: Path) -> None:
    _open(browser, explained_page, 390)
    browser.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    maps = browser.execute_script(
        "return Array.from(document.querySelectorAll('.maps img'),"
        " one => [one.naturalWidth, one.getBoundingClientRect().width])"
    )
    assert len(maps) == 6 + 4
    assert all(natural > 0 and 150 < width < 195 for natural, width in maps)  # two in a row, also on a phone
    # the last column of the measures is seen without scrolling
    hidden = browser.execute_script(
        "return Array.from(document.querySelectorAll('table.reasons'),"
        " one => one.parentElement.scrollWidth - one.parentElement.clientWidth)"
    )
    assert hidden == [0]


def test_a_press_on_a_heading_sorts_and_another_turns_round(browser: Any, several_page: Path) -> None:
    _open(browser, several_page, 1280)

    def press(heading: str) -> tuple[list[str], str]:
        return tuple(
            browser.execute_script(
                "const table = document.querySelector('table.sortable');"
                "const heads = Array.from(table.tHead.rows[0].cells);"
                "const at = heads.findIndex(one => one.querySelector('button').textContent === arguments[0]);"
                "heads[at].querySelector('button').click();"
                "const cells = Array.from(table.tBodies[0].rows, row => row.cells[at].dataset.sort);"
                "return [cells, heads[at].getAttribute('aria-sort')]",
                heading,
            )
        )

    cells, direction = press("NLL")
    values = [float(cell) for cell in cells]
    assert len(set(values)) > 8
    assert (values, direction) == (sorted(values), "ascending")
    cells, direction = press("NLL")
    assert ([float(cell) for cell in cells], direction) == (sorted(values, reverse=True), "descending")
    cells, _ = press("Method")
    assert [cells[0], cells[-1]] == ["CoOp", "zero-shot"]


def test_the_filter_shows_one_set(browser: Any, several_page: Path) -> None:
    _open(browser, several_page, 1280)
    shown = (
        "return Array.from(document.querySelectorAll('table.sortable tbody tr'))"
        ".filter(row => row.offsetHeight > 0).map(row => row.dataset.set)"
    )
    assert set(browser.execute_script(shown)) == {"emoji/test"}  # a long table starts with its main set
    browser.execute_script(
        "const list = document.querySelector('.filter select'); list.value = '';list.dispatchEvent(new Event('change'))"
    )
    assert len(browser.execute_script(shown)) == 4 * 4 * 2


CONTRAST = """
const luminance = text => {
  const [r, g, b] = text.match(/[\\d.]+/g).map(Number).slice(0, 3).map(v => {
    v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = node => {
  for (; node; node = node.parentElement) {
    const colour = getComputedStyle(node).backgroundColor;
    if (colour !== 'rgba(0, 0, 0, 0)') return colour;
  }
};
const found = [];
const all = 'p, dt, dd, td, th, small, li, summary, figcaption, a, .said, .truth';
for (const node of document.querySelectorAll(all)) {
  const [a, b] = [luminance(getComputedStyle(node).color), luminance(ground(node))].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) found.push(node.outerHTML.slice(0, 80));
}
return found;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["single_page", "explained_page"])
def test_text_stands_out_from_its_ground(browser: Any, request: pytest.FixtureRequest, page: str, scheme: str) -> None:
    _open(browser, request.getfixturevalue(page), 1280, scheme)
    assert browser.execute_script(CONTRAST) == []


def test_printing_opens_what_is_folded(browser: Any, single_page: Path) -> None:
    _open(browser, single_page, 1280)
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script("return document.querySelectorAll('details:not([open])').length") == 0
