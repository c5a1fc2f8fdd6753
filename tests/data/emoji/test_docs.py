"""The page about the data says what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from calibrant.data.emoji import describe
from calibrant.data.emoji.drawings import concepts, embedded

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "emoji.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("row", [row for row in describe() if row["name"].count("/") < 2], ids=lambda r: r["name"])
def test_the_page_lists_every_set(row: dict[str, str]) -> None:
    assert f"| `{row['name']}` | {row['what']} |" in PAGE


def test_the_page_lists_no_other_set() -> None:
    known = {row["name"] for row in describe()}
    listed = [line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `emoji")]
    assert set(listed) <= known


def test_the_page_counts_the_classes_and_names_the_licences() -> None:
    assert f"{sum(concept.role == 'class' for concept in concepts())} classes" in PAGE
    for style, entry in embedded().styles.items():
        assert f"| {style} | {entry['author']} | {entry['spdx']} |" in PAGE


def test_the_picture_is_small() -> None:
    picture = DOCS / "assets" / "emoji.png"
    assert picture.stat().st_size < 300_000
    with Image.open(picture) as opened:
        assert min(opened.size) > 400
