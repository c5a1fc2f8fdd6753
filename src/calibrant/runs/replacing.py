"""A folder that is to be replaced stays beside its place until the new one is safe."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from calibrant.errors import InputError


def put_aside(folder: Path) -> str:
    """Rename a folder to ``<name>.old-<digits>`` in the same place.

    Args:
        folder: a folder.

    Returns:
        Its new name.

    Raises:
        InputError: if it cannot be renamed.
    """
    aside = folder.with_name(f"{folder.name}.old-{secrets.token_hex(4)}")
    try:
        os.rename(folder, aside)
    except OSError as error:
        raise InputError(f"cannot put {folder} aside to replace it: {error.strerror or error}") from error
    return aside.name


def put_back(folder: Path, aside: str) -> None:
    """Remove what has been begun in a folder's place, and give the place back to the folder that was put aside.

    Args:
        folder: the place.
        aside: what `put_aside` returned.
    """
    old = folder.with_name(aside)
    if old.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(old, folder)


def forget(folder: Path, aside: str) -> None:
    """Remove the folder that was put aside."""
    shutil.rmtree(folder.with_name(aside), ignore_errors=True)
