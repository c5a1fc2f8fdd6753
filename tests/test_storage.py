"""Files that are whole or absent, and files that are never replaced."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrant.errors import InputError
from calibrant.storage import atomic_write, write_once


@pytest.mark.parametrize("writer", [atomic_write, write_once])
def test_an_interrupted_write_leaves_nothing(tmp_path: Path, writer: Any) -> None:
    def write() -> None:
        with writer(tmp_path / "a" / "b.bin") as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.parametrize("links", [True, False])
def test_what_is_written_once_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:

        def refuse(*_: Any) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    file = tmp_path / "ü x.npy"
    with write_once(file) as temporary, open(temporary, "wb") as opened:
        np.save(opened, np.zeros(4))
    before, mapped = file.stat().st_ino, np.load(file, mmap_mode="r")
    with write_once(file) as temporary, open(temporary, "wb") as opened:
        np.save(opened, np.ones(4))
    assert file.stat().st_ino == before
    assert mapped.tolist() == [0, 0, 0, 0] == np.load(file).tolist()
    assert list(tmp_path.iterdir()) == [file]


def test_a_name_that_cannot_be_taken_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr("calibrant.storage.os.replace", full)
    with pytest.raises(InputError, match="No space left"), write_once(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"whole")
    assert not (tmp_path / "a.bin").exists()
