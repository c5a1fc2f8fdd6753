"""From the command to a person at the page and back: what is judged in a browser is measured by the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser


def test_maps_of_a_run_are_judged_in_a_browser(
    calibrant: Any, finished: Path, new_pictures: Path, tmp_path: Path, browser: Any
) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    run = shutil.copytree(finished, tmp_path / "mein lauf")
    words = ["explain", run, "--data", f"folder:{new_pictures}", "--offline", "--json"]
    asked = json.loads(calibrant(*words, "--review", "6").stdout)["review"]
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    browser.get(Path(asked["page"]).as_uri())
    for key in [*"121212"[: asked["images"]], "Cleo", Keys.ENTER]:
        browser.switch_to.active_element.send_keys(key)
        if browser.find_element("id", "done").is_displayed() and key in "12":
            browser.find_element("id", "save").click()  # asks for a name first
    saved = tmp_path / "judgements-Cleo.csv"
    WebDriverWait(browser, 60, 0.05).until(lambda _: saved.exists() and saved.stat().st_size > 0)

    judged = json.loads(calibrant(*words, "--judgements", saved).stdout)["judged"]
    assert (judged["reviewers"], judged["images"]) == (["Cleo"], asked["images"])
    half = judged["measures"]
    assert half["RR"]["value"] + half["RW"]["value"] + half["WR"]["value"] + half["WW"]["value"] == pytest.approx(1)
    assert 0 < half["valid"]["value"] < 1
