"""What a folder or a manifest says about its images, and what may be asked of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from calibrant.data.images import PIXEL_LIMIT, ImageReader
from calibrant.data.masks.objects import Objects
from calibrant.data.names import DEFAULT_TEMPLATE
from calibrant.errors import InputError, unknown

SPLITS = ("train", "validation", "test")
ALL_TEST = "none: all images are test images"
LICENCE = "the user's own"
LIMITS = "one label per image; no animations or multi-page files; 16-bit grey needs a window"
_SPELLINGS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


def as_split(name: str) -> str | None:
    """Recognise the usual spellings of a split.

    Args:
        name: a folder name or an entry of a manifest.

    Returns:
        ``"train"``, ``"validation"``, ``"test"``, or None if it is none of them.

    Example:
        >>> as_split("Val"), as_split("cats")
        ('validation', None)
    """
    return _SPELLINGS.get(name.strip().casefold())


@dataclass(frozen=True)
class Listing:
    """N image files with their labels, before any of them is read.

    Args:
        name: the data set's name, such as ``"folder:pets"``.
        paths: N files.
        ids: N unique names that stay when the whole folder moves.
        labels: N labels as spelt in the source; empty for an image of none of the classes.
        splits: N splits, or None if the split is to be made.
        columns: further columns of N texts each; ``"group"`` is never divided by a split.
        about: what there is to know about the source.
        objects: what is known about the object of each file, None for a file without; None if there are no masks.
    """

    name: str
    paths: list[Path]
    ids: list[str]
    labels: list[str]
    splits: list[str] | None
    columns: dict[str, list[str]] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    objects: list[Objects | None] | None = None

    def subset(self, indices: Sequence[int]) -> Listing:
        """Choose some of the files.

        Args:
            indices: M positions.

        Returns:
            The M files, in that order.
        """
        return Listing(
            self.name,
            [self.paths[i] for i in indices],
            [self.ids[i] for i in indices],
            [self.labels[i] for i in indices],
            None if self.splits is None else [self.splits[i] for i in indices],
            {name: [values[i] for i in indices] for name, values in self.columns.items()},
            self.about,
            None if self.objects is None else [self.objects[i] for i in indices],
        )


@dataclass(frozen=True)
class Options:
    """What may be asked of a folder or a manifest.

    Args:
        seed: decides the split, where there is none.
        names: a CSV file that gives the words for each folder or label.
        templates: class prompts, each with one ``{}``.
        on_bad_image: ``"fail"`` or ``"skip"`` unreadable images.
        window: values (low, high) of 16-bit and float greyscale that become black and white.
        background: RGB values behind transparent pixels.
        pixel_limit: width x height above which an image is refused.
        progress: show a progress bar on a terminal.
        masks: where the object masks are, see `calibrant.data.masks.layouts`; None for the columns of a manifest, if
            it has such, and ``"none"`` to ignore them.
        on_bad_mask: ``"fail"`` or ``"skip"`` images whose mask is missing or cannot be used.
        mask_grid: ``"stored"`` if masks refer to the pixels as they are stored, ``"upright"`` if to the image as EXIF
            turns it.
    """

    seed: int = 1
    names: str | Path | None = None
    templates: str | Sequence[str] = (DEFAULT_TEMPLATE,)
    on_bad_image: str = "fail"
    window: tuple[float, float] | None = None
    background: tuple[int, int, int] = (255, 255, 255)
    pixel_limit: int = PIXEL_LIMIT
    progress: bool = True
    masks: str | None = None
    on_bad_mask: str = "fail"
    mask_grid: str = "stored"

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Options:
        """Take options by name.

        Args:
            values: option name to value.

        Returns:
            The options.

        Raises:
            InputError: for an unknown option, with the nearest known one, and for a seed that is no whole
                number from 0.

        Example:
            >>> Options.from_mapping({"seed": 3}).seed
            3
        """
        known = [item.name for item in fields(cls)]
        for name in values:
            if name not in known:
                raise unknown("option of a folder or manifest", name, known)
        options = cls(**values)
        if isinstance(options.seed, bool) or not isinstance(options.seed, int) or options.seed < 0:
            raise InputError(f"seed must be a whole number from 0; got {options.seed!r}")
        return options

    @property
    def reader(self) -> ImageReader:
        """The image reader with these options."""
        return ImageReader(self.window, self.background, self.pixel_limit)

    @property
    def given(self) -> dict[str, Any]:
        """The options that differ from the defaults, as a run records them to load the same again."""
        values = {item.name: (getattr(self, item.name), item.default) for item in fields(self)}
        changed = {name: value for name, (value, default) in values.items() if value != default}
        changed.pop("progress", None)
        return {name: str(value) if isinstance(value, Path) else value for name, value in changed.items()}
