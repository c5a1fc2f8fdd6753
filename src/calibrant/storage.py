"""Files that are either whole or absent, and the digests that name their content."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.errors import InputError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that becomes `path` only if the block succeeds.

    Args:
        path: the file to write; its folder is created.

    Yields:
        The temporary path to write to.

    Raises:
        InputError: if the disk is full or the folder cannot be written.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_write(folder / "a.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> (folder / "a.txt").read_text()
        'whole'
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        # mkstemp makes files private; what people exchange should have the usual permissions
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def write_once(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that becomes `path` unless somebody else was faster.

    For files whose name stands for their content: one that exists is as good, and it may be mapped into the memory
    of a process, so it is never replaced.

    Args:
        path: the file to write; its folder is created.

    Yields:
        The temporary path to write to.

    Raises:
        InputError: if the disk is full or the folder cannot be written.

    Example:
        >>> file = Path(tempfile.mkdtemp()) / "a.txt"
        >>> for text in ("first", "second"):
        ...     with write_once(file) as temporary:
        ...         _ = temporary.write_text(text)
        >>> file.read_text()
        'first'
    """
    path = Path(path)
    own = path.with_name(f"{path.stem}.{secrets.token_hex(8)}{path.suffix}")
    with atomic_write(own) as temporary:
        yield temporary
    try:
        _take_name(own, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        own.unlink(missing_ok=True)


def _take_name(own: Path, path: Path) -> None:
    """Name a file unless the name is taken: a link, unlike a rename, fails then."""
    try:
        os.link(own, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        if not path.exists():
            os.replace(own, path)


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file atomically.

    Args:
        path: the file.
        value: anything that JSON can hold; NaN and infinities are refused.

    Raises:
        InputError: if the file cannot be written.

    Example:
        >>> file = Path(tempfile.mkdtemp()) / "a.json"
        >>> write_json(file, {"a": 1}); read_json(file)
        {'a': 1}
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def finite(value: Any) -> Any:
    """Write what JSON has no number for, NaN and infinities, as None.

    Args:
        value: mappings and lists of numbers, at any depth.

    Returns:
        The same with plain dictionaries and lists.

    Example:
        >>> finite({"ece": 0.1, "ends": (float("nan"), 2.0)})
        {'ece': 0.1, 'ends': [None, 2.0]}
    """
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Args:
        path: the file.

    Returns:
        What it holds.

    Raises:
        InputError: if the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error


def digest(*values: Any) -> str:
    """Name content by its SHA-256.

    Args:
        values: arrays, bytes, or anything that JSON can hold; arrays count with dtype and shape.

    Returns:
        64 hexadecimal characters.

    Example:
        >>> digest("a", 1)[:12]
        '2a102b98dabb'
        >>> digest(np.zeros(2)) == digest(np.zeros((2, 1)))
        False
    """
    hasher = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            head, body = f"array {value.dtype.str} {value.shape}".encode(), np.ascontiguousarray(value).tobytes()
        elif isinstance(value, bytes):
            head, body = b"bytes", value
        else:
            head, body = b"json", json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
        hasher.update(b"%d %s %d " % (len(head), head, len(body)))
        hasher.update(body)
    return hasher.hexdigest()


def cache_folder() -> Path:
    """Find the folder for what can be computed again.

    Returns:
        The folder that the variable CALIBRANT_CACHE names, otherwise the platform's usual place.

    Example:
        >>> isinstance(cache_folder(), Path)
        True
    """
    chosen = os.environ.get("CALIBRANT_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "calibrant"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "calibrant"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "calibrant"
