"""One pass over image files: which can be read, what they contain, and a few bytes that describe each."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from calibrant.data.duplicates import THUMBNAIL, difference_hash, thumbnail
from calibrant.data.images import CURE, BadImageError, ImageReader
from calibrant.errors import CalibrantWarning, InputError, unknown
from calibrant.progress import progress_bar
from calibrant.storage import digest

_AT_ONCE = 1024


class _Picture(NamedTuple):
    content: str
    hash: int
    thumbnail: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scan:
    """What one pass over N files found.

    Args:
        readable: int64 [M], positions of the files that could be read.
        content: M SHA-256 hashes of the decoded pixels.
        hashes: uint64 [M], difference hashes.
        thumbnails: uint8 [M, 8, 8, 3].
        bad: path and reason of every file that could not be read.
    """

    readable: npt.NDArray[np.int64]
    content: list[str]
    hashes: npt.NDArray[np.uint64]
    thumbnails: npt.NDArray[np.uint8]
    bad: list[tuple[Path, str]]


def scan(
    paths: Sequence[str | Path],
    reader: ImageReader | None = None,
    *,
    on_bad_image: str = "fail",
    progress: bool = True,
) -> Scan:
    """Decode every file once and keep some 300 bytes of each.

    Args:
        paths: N image files.
        reader: how they are read; the default reader if None.
        on_bad_image: ``"fail"`` or ``"skip"`` (leave unreadable files out, with a warning that counts and
            names them).
        progress: show a progress bar on a terminal.

    Returns:
        What was found.

    Raises:
        InputError: if files cannot be read and `on_bad_image` is ``"fail"``, after all have been tried.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> file = Path(tempfile.mkdtemp()) / "a.png"
        >>> Image.new("RGB", (9, 8)).save(file)
        >>> scan([file]).readable.tolist()
        [0]
    """
    refuse_unknown_choice(on_bad_image)
    readable: list[int] = []
    pictures: list[_Picture] = []
    bad: list[tuple[Path, str]] = []
    for i, picture in enumerate(_pictures(paths, reader or ImageReader(), progress)):
        if isinstance(picture, BadImageError):
            bad.append((picture.path, picture.reason))
        else:
            readable.append(i)
            pictures.append(picture)
    _report(bad, len(paths), on_bad_image)
    small = [picture.thumbnail for picture in pictures]
    return Scan(
        readable=np.array(readable, dtype=np.int64),
        content=[picture.content for picture in pictures],
        hashes=np.array([picture.hash for picture in pictures], dtype=np.uint64),
        thumbnails=np.stack(small) if small else np.empty((0, THUMBNAIL, THUMBNAIL, 3), np.uint8),
        bad=bad,
    )


def refuse_unknown_choice(on_bad_image: str) -> None:
    """Refuse anything but ``"fail"`` and ``"skip"``, with an `InputError`."""
    if on_bad_image not in ("skip", "fail"):
        raise unknown("choice for on_bad_image", str(on_bad_image), ["skip", "fail"])


def _pictures(paths: Sequence[str | Path], reader: ImageReader, progress: bool) -> Iterator[_Picture | BadImageError]:
    """Describe the files in order, on all cores (decoding needs no lock), a bounded number at once."""

    def describe(path: str | Path) -> _Picture | BadImageError:
        try:
            pixels = reader(path)
        except BadImageError as error:
            return BadImageError(error.path, error.reason)  # without the frames that hold the pixels
        return _Picture(digest(pixels), difference_hash(pixels), thumbnail(pixels))

    with ThreadPoolExecutor(os.cpu_count()) as pool, progress_bar("reading images", len(paths), progress) as advance:
        for start in range(0, len(paths), _AT_ONCE):
            for picture in pool.map(describe, paths[start : start + _AT_ONCE]):
                advance(1)
                yield picture


def _report(bad: list[tuple[Path, str]], total: int, on_bad_image: str) -> None:
    if not bad:
        return
    # the cure of one image is said once for all
    shown = [f"{path}: {reason.removesuffix(CURE)}" for path, reason in bad[:3]]
    named = "; ".join(shown) + ("; ..." if len(bad) > 3 else "")
    if on_bad_image == "fail":
        cure = "repair or remove them, or go on without them (--on-bad-image skip)"
        raise InputError(f"{len(bad)} of {total} images cannot be used: {named}; {cure}")
    warnings.warn(
        f"{len(bad)} of {total} images cannot be used and are left out: {named}",
        CalibrantWarning,
        stacklevel=4,
    )
