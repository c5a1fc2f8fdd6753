"""A cache folder of its own for every test that renders."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from calibrant.data.emoji.load import _evaluation_set

# tests import the golden scenes by name
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point the cache of rendered scenes to an empty folder."""
    monkeypatch.setenv("CALIBRANT_CACHE", str(tmp_path))
    yield tmp_path / "emoji"
    _evaluation_set.cache_clear()
