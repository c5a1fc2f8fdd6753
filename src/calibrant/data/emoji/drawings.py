"""The packed drawings, and which of them tuning may see."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibrant.errors import InputError, unknown

PACK = Path(__file__).parent / "drawings.zip"
CANVAS = 64
"""Side of a drawing in pixels, two of them a transparent margin on each side."""

TRAINING_STYLES = ("noto", "noto-v1", "twemoji", "fxemoji")
RENDITION_STYLES = ("emojione", "fluent-emoji")
SKETCH_STYLES = ("emojione-monotone", "fluent-emoji-high-contrast")
SHIFT_STYLES = (*RENDITION_STYLES, *SKETCH_STYLES)


@dataclass(frozen=True)
class Concept:
    """Something that is drawn: its plain name, its group, and its role (a class, or held out)."""

    name: str
    group: str
    role: str


@cache
def concepts() -> tuple[Concept, ...]:
    """Read the concepts in alphabetical order.

    Returns:
        The classes (role ``"class"``) and the concepts that pre-training never saw (role ``"held-out"``).

    Example:
        >>> [c.group for c in concepts() if c.name == "violin"]
        ['instruments']
    """
    with open(PACK.parent / "classes.csv", encoding="utf-8", newline="") as file:
        return tuple(Concept(row["name"], row["group"], row["role"]) for row in csv.DictReader(file))


def split_of_styles(name: str, styles: Sequence[str]) -> dict[str, list[str]]:
    """Say which drawings of a concept are for training, validation and test.

    One training-style drawing is kept for test and one for validation, rotating with the concept's place in
    the alphabet, so that every style occurs in every split.

    Args:
        name: a concept.
        styles: the training styles that have it, in the order of `TRAINING_STYLES`.

    Returns:
        ``{"train": [...], "validation": [style], "test": [style]}``.

    Raises:
        InputError: if fewer than three styles have the concept.

    Example:
        >>> split_of_styles("violin", TRAINING_STYLES)["train"]
        ['noto-v1', 'twemoji']
    """
    if len(styles) < 3:
        raise InputError(f"concept '{name}' exists in {len(styles)} training styles; it needs 3 to be split")
    place = [concept.name for concept in concepts()].index(name)
    test = styles[place % len(styles)]
    validation = styles[(place + 1) % len(styles)]
    return {
        "train": [style for style in styles if style not in (test, validation)],
        "validation": [validation],
        "test": [test],
    }


@dataclass(frozen=True)
class Drawings:
    """All drawings of a pack, ready to be sampled at two resolutions.

    Args:
        pixels: premultiplied RGBA, full size and then half size, uint32 [K, CANVAS**2 + (CANVAS / 2)**2].
        place: (style, name) to position in `pixels`.
        styles: style to its licence, author and source.
    """

    pixels: npt.NDArray[np.uint32]
    place: dict[tuple[str, str], int]
    styles: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, path: str | Path) -> Drawings:
        """Read a pack.

        Args:
            path: a zip file with `index.json` and lossless sheets.

        Returns:
            The drawings.

        Raises:
            InputError: if the file is missing or damaged.
        """
        tiles: list[npt.NDArray[np.uint8]] = []
        place: dict[tuple[str, str], int] = {}
        styles: dict[str, dict[str, Any]] = {}
        try:
            with zipfile.ZipFile(path) as pack:
                for style, entry in json.loads(pack.read("index.json"))["styles"].items():
                    names = entry.pop("names")
                    place.update({(style, name): len(place) + i for i, name in enumerate(names)})
                    tiles.append(_tiles(pack, style, len(names)))
                    styles[style] = entry
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(f"cannot read the drawings in {path}: {error}") from error
        return cls(_two_resolutions(np.concatenate(tiles)), place, styles)

    def of(self, style: str, name: str) -> int:
        """Find a drawing.

        Args:
            style: a style of the pack.
            name: a concept.

        Returns:
            Its position in `pixels`.

        Raises:
            InputError: if the style has no such drawing.
        """
        try:
            return self.place[style, name]
        except KeyError:
            raise unknown("drawing", f"{style}/{name}", (f"{s}/{n}" for s, n in self.place)) from None

    def styles_of(self, name: str, among: Sequence[str]) -> list[str]:
        """List the styles that have a concept.

        Args:
            name: a concept.
            among: styles to look for.

        Returns:
            Those of them that have it, in the order given.
        """
        return [style for style in among if (style, name) in self.place]


def _tiles(pack: zipfile.ZipFile, style: str, count: int) -> npt.NDArray[np.uint8]:
    """Cut the sheets of one style into drawings, uint8 [count, CANVAS, CANVAS, 4]."""
    from PIL import Image

    parts = sorted(name for name in pack.namelist() if name.startswith(f"{style}/"))
    sheet = np.concatenate([np.asarray(Image.open(io.BytesIO(pack.read(part)))) for part in parts])
    rows = sheet.reshape(len(sheet) // CANVAS, CANVAS, -1, CANVAS, 4)
    return rows.swapaxes(1, 2).reshape(-1, CANVAS, CANVAS, 4)[:count]


def _two_resolutions(tiles: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """Put every drawing and its half-sized version into one row of pixels, uint32 [K, ...]."""
    count, side = len(tiles), CANVAS // 2
    half = tiles.reshape(count, side, 2, side, 2, 4).astype(np.uint16).sum((2, 4), dtype=np.uint16)
    half = ((half + 2) // 4).astype(np.uint8)
    return np.concatenate([t.reshape(count, -1).view(np.uint32) for t in (tiles, half)], axis=1)


@cache
def embedded() -> Drawings:
    """Read the drawings of the package, once.

    Returns:
        The classes and held-out concepts in all eight styles.
    """
    return Drawings.read(PACK)
