"""Loading: errors that help, scenes rendered once, damage noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibrant.data.emoji import describe, load, names, rendering
from calibrant.data.emoji.load import _evaluation_set
from calibrant.data.registry import load_data
from calibrant.errors import InputError


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("emoji/animal", {}, "did you mean 'emoji/animals'"),
        ("emoji", {"scene": 5}, "did you mean 'scenes'"),
        ("emoji", {"scenes": 0}, "scenes must be at least 1, not 0"),
    ],
)
def test_wrong_names_and_options_are_named(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_data(name, **options)


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(InputError, match="unknown split of emoji/pose 'train'"):
        load("emoji/pose").split("train")
    with pytest.raises(InputError, match="did you mean 'validation'"):
        load("emoji").split("validate")


def test_scenes_cut_evaluation_but_not_training(cache_folder: Path) -> None:
    data = load("emoji/instruments/new", scenes=7)
    assert len(data.split("test")) == len(data.split("validation")) == 7
    assert len(data.split("train")) == 2560
    assert len({row["path"] for row in data.manifest()}) == 2574


def test_every_set_is_described() -> None:
    assert [row["name"] for row in describe()] == names()
    assert all(row[key] for row in describe() for key in ("what", "licence", "source", "limits"))


def rendered_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*"))


def test_scenes_are_rendered_once(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load("emoji/hard", scenes=40).split("test")
    assert len(rendered_files(cache_folder)) == 1
    assert isinstance(first.images, np.memmap)
    _evaluation_set.cache_clear()
    monkeypatch.setattr(rendering, "render", lambda *_: pytest.fail("rendered again"))
    second = load("emoji/hard", scenes=40).split("test")
    np.testing.assert_array_equal(first.images, second.images)
    assert first.fingerprint == second.fingerprint


def test_another_cache_folder_is_respected(cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load("emoji/hard", scenes=3).split("test")
    monkeypatch.setenv("CALIBRANT_CACHE", str(tmp_path / "other"))
    load("emoji/hard", scenes=3).split("test")
    assert len(rendered_files(tmp_path / "other" / "emoji")) == len(rendered_files(cache_folder)) == 1


def flip_a_bit(data: bytearray) -> bytes:
    data[len(data) // 2] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_bit,
        lambda data: bytes(data[: len(data) // 2]),
        lambda data: b"",
        lambda data: bytes(data[:500]) + bytes(len(data) - 500),
    ],
    ids=["one bit", "half", "empty", "zeros"],
)
def test_a_damaged_file_is_rendered_anew(cache_folder: Path, damage: object) -> None:
    before = np.array(load("emoji/sketch", scenes=9).split("test").images)
    (file,) = rendered_files(cache_folder)
    whole = file.read_bytes()
    _evaluation_set.cache_clear()
    file.unlink()
    file.write_bytes(damage(bytearray(whole)))  # type: ignore[operator]
    np.testing.assert_array_equal(load("emoji/sketch", scenes=9).split("test").images, before)
    assert file.read_bytes() == whole


def test_a_crash_leaves_no_half_file(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rendering, "_altered", crash)
    with pytest.raises(KeyboardInterrupt):
        load("emoji/hard", scenes=3).split("test")
    assert rendered_files(cache_folder) == []


def test_the_fingerprint_tells_sets_splits_and_lengths_apart(cache_folder: Path) -> None:
    wanted = [("emoji/hard", "test", 3), ("emoji/pose", "test", 3), ("emoji", "test", 3), ("emoji", "test", 4),
              ("emoji", "validation", 3)]  # fmt: skip
    found = [load(name, scenes=count).split(split).fingerprint for name, split, count in wanted]
    assert len(set(found)) == len(found)
