"""People at the review page: by keys, mouse and touch, on a desk and on a phone; what they save is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrant.rationality.choosing import choose_for_review
from calibrant.rationality.judged_cells import judged_summary
from calibrant.rationality.judgements import CANNOT_TELL, OFF, ON, WORDS, Judgements, read_judgements
from calibrant.rationality.kappa import agreement_of_reviewers
from calibrant.reporting.review import review_page

pytestmark = pytest.mark.browser

IDS = [f"shelf/{index}, 'the' \"Käfer\".png" for index in range(30)]
CORRECT = np.arange(30) >= 6
CHOSEN = choose_for_review(CORRECT, 10, seed=2)
TARGETS = ["</script><b>cat</b>" if index % 2 else "Großer Käfer" for index in CHOSEN]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (64, 64, 3)).astype(np.uint8) for _ in CHOSEN]
    maps = [generator.random((8, 8)) for _ in CHOSEN]
    file = tmp_path / "review.html"
    # the folder is in the digest here, so that tests do not find what others left in the browser
    file.write_text(review_page(images, maps, [IDS[i] for i in CHOSEN], TARGETS, tmp_path.name), encoding="utf-8")
    return file


def _open(browser: Any, page: Path, width: int) -> None:
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    downloads = {"behavior": "allow", "downloadPath": str(page.parent)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
    browser.get(page.as_uri())


def _press(browser: Any, *keys: str) -> None:
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def _text(browser: Any, name: str) -> str:
    return str(browser.execute_script("return document.getElementById(arguments[0]).textContent", name))


def _saved(browser: Any, page: Path, reviewer: str) -> Judgements:
    from selenium.webdriver.support.ui import WebDriverWait

    file = page.parent / f"judgements-{reviewer}.csv"
    WebDriverWait(browser, 60, 0.05).until(lambda _: file.exists() and file.stat().st_size > 0)
    return read_judgements(file, IDS, page.parent.name)


def test_ten_images_are_judged_by_keys_and_measured(browser: Any, page: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get_log("performance")
    _open(browser, page, 1280)
    assert (_text(browser, "count"), _text(browser, "target")) == ("Image 1 of 10", TARGETS[0])
    _press(browser, "1", "2", "3", "x", "3")
    assert (_text(browser, "count"), _text(browser, "target")) == ("Image 5 of 10", TARGETS[4])
    _press(browser, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    pressed = "return document.querySelector('[aria-pressed=true]').textContent"
    assert "Cannot tell" in browser.execute_script(pressed)
    _press(browser, "1", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)  # changed; and nobody gets past what is not judged
    assert _text(browser, "count") == "Image 5 of 10"

    browser.refresh()
    assert _text(browser, "count") == "Image 5 of 10"
    assert _text(browser, "save") == "Save 4 judgements"
    _press(browser, *"112112")
    assert browser.find_element("id", "done").is_displayed()
    browser.find_element("id", "save").click()
    assert "name first" in _text(browser, "note")
    _press(browser, "Ann 2", Keys.ENTER)  # the 2 is part of a name, not a judgement

    found = _saved(browser, page, "Ann-2")
    words = [ON, OFF, ON, CANNOT_TELL, ON, ON, OFF, ON, ON, OFF]
    assert found.image.tolist() == CHOSEN.tolist()
    assert found.word.tolist() == words
    assert found.reviewers == ["Ann 2"]
    valid = np.array(words) == ON
    told = (np.array(words) != CANNOT_TELL) & CORRECT[CHOSEN]
    assert judged_summary(found, CORRECT)["PT"].value == pytest.approx(valid[told].mean())

    assert browser.get_log("browser") == []
    log = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [one["params"] for one in log if one["method"] == "Network.requestWillBeSent"]
    # what the browser asks for by itself is not the page's doing
    asked = [one["request"]["url"] for one in sent if one["documentURL"].startswith(("file:", "blob:"))]
    assert asked
    assert [address for address in asked if not address.startswith(("file:", "data:", "blob:"))] == []


def _tap(browser: Any, element: Any) -> None:
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    box = browser.execute_script("const b = arguments[0].getBoundingClientRect(); return [b.x, b.y, b.width]", element)
    point = {"x": box[0] + box[2] / 2, "y": box[1] + 10}
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_phone_that_keeps_nothing_judges_by_touch_and_a_mouse_agrees(browser: Any, page: Path) -> None:
    broken = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('private'); }})"
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": broken})
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        _open(browser, page, 390)
        wide, visible = browser.execute_script(
            "const root = document.documentElement; return [root.scrollWidth, root.clientWidth]"
        )
        assert wide <= visible <= 390
        shown = browser.execute_script(
            "return ['image', 'map'].map(one => document.getElementById(one).getBoundingClientRect().width)"
        )
        assert min(shown) >= 192
        buttons = browser.find_elements("css selector", "[data-word]")
        assert all(button.rect["height"] >= 44 for button in buttons)
        for index in range(10):
            assert _text(browser, "count") == f"Image {index + 1} of 10"
            _tap(browser, buttons[index % 3])
        assert "save before you close" in _text(browser, "note")
        browser.find_element("id", "reviewer").send_keys("Bob")
        _tap(browser, browser.find_element("id", "save"))
        bob = _saved(browser, page, "Bob")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert [WORDS[word] for word in bob.word[:3]] == list(WORDS)

    _open(browser, page, 1280)
    for index in range(10):
        browser.find_elements("css selector", "[data-word]")[index % 3].click()
    browser.find_element("id", "reviewer").send_keys("Cy")
    browser.find_element("id", "save").click()
    cy = _saved(browser, page, "Cy")
    both = read_judgements(
        [page.parent / "judgements-Bob.csv", page.parent / "judgements-Cy.csv"], IDS, page.parent.name
    )
    (found,) = agreement_of_reviewers(both, len(IDS))
    assert (found.kappa.value, found.images, found.left_out) == (1, 7, 3)
    assert np.array_equal(bob.word, cy.word)
