"""The page as text: self-contained, small, and every name of the user's escaped."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrant.errors import InputError
from calibrant.reporting import RunResults, SetResult, write_report


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(page: Path) -> Tags:
    tags = Tags()
    tags.feed(page.read_text(encoding="utf-8"))
    return tags


def test_small_and_self_contained(several_page: Path) -> None:
    text = several_page.read_text(encoding="utf-8")
    assert len(text.encode()) < 3_000_000
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"url\((?!#)", text)
    sources = [attributes.get("src") for _, attributes in parsed(several_page).found if "src" in attributes]
    assert sources
    assert all((source or "").startswith("data:image/") for source in sources)


def test_sections_and_numbers_are_there(single_page: Path) -> None:
    text = single_page.read_text(encoding="utf-8")
    for heading in ("Summary", "Set by set", "Reliability", "Answers to look at", "How it was made"):
        assert f"<h2>{heading}" in text
    for said in (
        "What to do next",
        "calibrant tune tiny emoji --method coop",
        "numpy 2.4.6",
        "training 1",
        "Apache-2.0",
    ):
        assert said in text


def test_names_of_the_user_are_text_not_markup(tmp_path: Path, make_set: Callable[..., SetResult]) -> None:
    evil = "<script>alert(1)</script> & \"q\" 'é' ${x}_蝶"
    one = make_set(name=evil, n=60)
    run = RunResults(evil, evil, evil, evil, [one], [evil], [evil], [evil], {evil: evil}, {evil: 1}, {evil: evil})
    tags = parsed(write_report([run, dataclasses.replace(run, title="other")], tmp_path / "evil.html"))
    assert sum(tag == "script" for tag, _ in tags.found) == 1
    assert not any(tag in ("b", "i") and "bold" in str(attributes) for tag, attributes in tags.found)
    assert not any(name.startswith("on") for _, attributes in tags.found for name in attributes)
    assert any(evil in text for text in tags.text)
    assert any("<b>bold</b> & sons" in str(attributes.get("alt")) for tag, attributes in tags.found if tag == "img")


def test_ids_are_unique(several_page: Path) -> None:
    ids = [attributes["id"] for _, attributes in parsed(several_page).found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_two_data_sets_give_two_parts(tmp_path: Path, make_set: Callable[..., SetResult]) -> None:
    runs = [RunResults("A", "coop", "tiny", data, [make_set(n=50)]) for data in ("emoji", "emoji/base")]
    text = write_report(runs, tmp_path / "two.html").read_text(encoding="utf-8")
    assert text.count('<div class="part">') == 2
    assert "<h2>tiny on emoji/base</h2>" in text


def test_a_warning_of_several_runs_is_said_once(several_page: Path, single_page: Path) -> None:
    line = "3 classes have codes for names (n0123); give words with --names"
    text = several_page.read_text(encoding="utf-8")
    assert text.count(line) == 1
    assert f"{line} <em>(all runs)</em>" in text
    assert single_page.read_text(encoding="utf-8").count(line) == 1


def test_a_warning_names_its_runs(tmp_path: Path, make_set: Callable[..., SetResult]) -> None:
    given = {"A": ["slow"], "B": ["slow", "odd"], "C": []}
    runs = [RunResults(title, "ft", "tiny", "mine", [make_set(n=30)], warnings=said) for title, said in given.items()]
    text = write_report(iter(runs), tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<li>slow <em>(A, B)</em></li>" in text
    assert "<li>odd <em>(B)</em></li>" in text


def test_pictures_that_do_not_fit_are_counted(
    tmp_path: Path, make_set: Callable[..., SetResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibrant.reporting.page.PICTURE_BUDGET", 60_000)
    runs = [RunResults(title, "ft", "tiny", "mine", [make_set(n=30)]) for title in "ABC"]
    text = write_report(runs, tmp_path / "a.html").read_text(encoding="utf-8")
    shown = text.count("<h3>A on") + text.count("<summary>B on") + text.count("<summary>C on")
    left_out = re.search(r"The pictures of (\d) further sets were left out", text)
    assert left_out is not None
    diagrams = 3  # each run has its diagrams besides
    assert int(left_out[1]) == 3 - (shown - diagrams)


def test_the_smallest_run(tmp_path: Path) -> None:
    certain = np.array([[1.0, 0.0]])
    one = SetResult("mine/test", "id", np.array([1]), ["a", "b"], {"none": certain})
    text = write_report([RunResults("A", "ft", "tiny", "mine", [one])], tmp_path / "a.html").read_text(encoding="utf-8")
    assert "∞" in text  # the likelihood of what was held impossible
    assert "no interval" in text
    assert "nan" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL).lower().replace("finance", "")


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one run"):
        write_report([], tmp_path / "a.html")


def test_an_image_source_that_forgets_one(tmp_path: Path, make_arguments: Callable[..., dict[str, Any]]) -> None:
    broken = SetResult(**make_arguments(n=50) | {"images": lambda ids: []})
    with pytest.raises(InputError, match="emoji/test: asked for 16 images, got 0"):
        write_report([RunResults("A", "ft", "tiny", "emoji", [broken])], tmp_path / "a.html")
