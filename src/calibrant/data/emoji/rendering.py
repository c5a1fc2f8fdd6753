"""Scenes rendered once, into a file that is memory-mapped and checked before it is used."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibrant.data.corruptions import CORRUPTIONS, corrupt
from calibrant.data.emoji.backgrounds import SIDE
from calibrant.data.emoji.drawings import Drawings
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.sampling import UNKNOWN_KINDS, Casting
from calibrant.data.emoji.scenes import render
from calibrant.data.emoji.suites import Suite
from calibrant.storage import write_once

SEED = 0
CHUNK = 32
"""Scenes that are rendered together: few enough that their temporaries stay in the processor's cache."""

SCENE = np.dtype([("image", np.uint8, (SIDE, SIDE, 3)), ("mask", np.uint8, (SIDE * SIDE // 8,)), ("checksum", "<u4")])
"""One stored scene: the image, the mask with eight pixels a byte, and the CRC-32 of both."""

Records = npt.NDArray[np.void]


@dataclass(frozen=True)
class PackedMasks:
    """Object masks, bool [64, 64] each, kept with eight pixels a byte, uint8 [N, 512]."""

    packed: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, index: int) -> npt.NDArray[np.bool_]:
        return np.unpackbits(self.packed[index]).reshape(SIDE, SIDE).astype(bool)


def stored_scenes(file: Path, suite: Suite, stream: str, casting: Casting, drawings: Drawings) -> Records:
    """Map the scenes of a casting, rendering them first unless a whole and undamaged file is there.

    Args:
        file: where they are kept; its name must stand for everything that decides the pixels.
        suite: the evaluation set.
        stream: the name of the random numbers.
        casting: what the N scenes show.
        drawings: the packed drawings.

    Returns:
        Read-only records of type `SCENE`, [N].

    Raises:
        InputError: if the file cannot be written.
    """
    existed = file.exists()
    records = _read(file, len(casting.labels))
    if records is not None:
        return records
    if existed:  # and is damaged; whoever has mapped it keeps it
        file.unlink(missing_ok=True)
    with write_once(file) as temporary, open(temporary, "wb") as opened:
        header = {"descr": np.lib.format.dtype_to_descr(SCENE), "fortran_order": False}
        np.lib.format.write_array_header_2_0(opened, {**header, "shape": (len(casting.labels),)})
        for part in rendered_parts(suite, stream, casting, drawings):
            opened.write(part.tobytes())
    return np.load(file, mmap_mode="r")  # type: ignore[no-any-return]


def _read(file: Path, count: int) -> Records | None:
    """Map a file of scenes; None if it is missing, cut short or damaged."""
    try:
        records = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    if records.dtype != SCENE or records.shape != (count,):
        return None
    whole = all(int(record["checksum"]) == _checksum(record) for record in records)
    return records if whole else None


def _checksum(record: np.void) -> int:
    return zlib.crc32(record["mask"], zlib.crc32(record["image"]))


def rendered_parts(
    suite: Suite,
    stream: str,
    casting: Casting,
    drawings: Drawings,
    chunk: int = CHUNK,
    threads: int | None = None,
) -> Iterator[Records]:
    """Render the scenes of a casting in threads.

    Args:
        suite: the evaluation set.
        stream: the name of the random numbers.
        casting: what the N scenes show.
        drawings: the packed drawings.
        chunk: scenes in a part; changes nothing but the speed.
        threads: how many parts are made at once; None for one per processor.

    Yields:
        Records of type `SCENE`, [at most chunk], in the order of the scenes.
    """

    def part(start: int) -> Records:
        some = slice(start, min(start + chunk, len(casting.labels)))
        draws = Draws(stream, np.arange(some.start, some.stop), SEED)
        chosen = casting.drawing[some], casting.distractor[some], casting.family[some]
        scenes = render(drawings.pixels, *chosen, suite.look, draws)
        records = np.empty(len(draws), SCENE)
        records["image"] = _altered(suite, scenes.images, draws, some.start)
        records["mask"] = np.packbits(scenes.masks.reshape(len(draws), -1), axis=1)
        records["checksum"] = [_checksum(record) for record in records]
        return records

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        yield from pool.map(part, range(0, len(casting.labels), chunk))


def _altered(suite: Suite, images: npt.NDArray[np.uint8], draws: Draws, start: int) -> npt.NDArray[np.uint8]:
    """Corrupt the scenes, or replace some by noise, where the suite asks for it."""
    places = np.arange(start, start + len(images))
    if suite.filling == "corrupted":
        kinds, severities = corruption_of(places)
        damage = zip(images, kinds.tolist(), severities.tolist(), places.tolist(), strict=True)
        return np.stack([corrupt(*each) for each in damage])
    if suite.filling == "unknown":
        static = draws.pixels("static", SIDE * SIDE * 3) >> np.uint32(24)
        noisy = places % len(UNKNOWN_KINDS) == UNKNOWN_KINDS.index("noise")
        return np.where(noisy[:, None, None, None], static.astype(np.uint8).reshape(images.shape), images)
    return images


def corruption_of(places: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.int64]]:
    """Say which corruption befalls a scene: 75 scenes in a row have every kind at every severity.

    Args:
        places: scene numbers, int64 [N].

    Returns:
        Names of `CORRUPTIONS`, str [N], and severities 1 to 5, int64 [N].

    Example:
        >>> corruption_of(np.array([0, 15]))[1].tolist()
        [1, 2]
    """
    kinds = len(CORRUPTIONS)
    return np.array(CORRUPTIONS)[places % kinds], places // kinds % 5 + 1
