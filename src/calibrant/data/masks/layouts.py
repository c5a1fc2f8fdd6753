"""Sources of masks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from calibrant.data.masks.coco import open_coco
from calibrant.data.masks.cub import open_cub
from calibrant.data.masks.imagenet import open_imagenet
from calibrant.data.masks.matching import match
from calibrant.data.masks.objects import Objects
from calibrant.data.masks.voc import open_voc
from calibrant.errors import InputError, unknown

LAYOUTS: Mapping[str, Callable[[Path], dict[str, Callable[[], Objects]]]] = {
    "coco": open_coco,
    "cub": open_cub,
    "imagenet": open_imagenet,
    "voc": open_voc,
}
FORMS = ("coco:FILE.json", "cub:FOLDER", "imagenet:FILE.csv", "imagenet:FOLDER", "voc:FOLDER")


def find_objects(masks: str, ids: Sequence[str]) -> list[Objects | None]:
    """Read the annotated objects of images.

    Args:
        masks: ``"coco:FILE.json"``, ``"cub:FOLDER"``, ``"imagenet:FILE.csv"``, ``"imagenet:FOLDER"`` or
            ``"voc:FOLDER"``.
        ids: paths of N images.

    Returns:
        The objects of the N images; None for an image that the source does not have.

    Raises:
        InputError: if the layout is unknown, the source cannot be read, it has none of the images, or names do not
            tell which image an annotation is about.

    Example:
        >>> find_objects("vok:boxes", ["a.jpg"])
        Traceback (most recent call last):
        calibrant.errors.InputError: unknown layout of masks 'vok'; did you mean 'voc'?
    """
    layout, mark, path = masks.partition(":")
    if layout not in LAYOUTS:
        raise unknown("layout of masks", layout, LAYOUTS)
    if not mark or not path:
        raise InputError(f"masks '{masks}' has no path; write one of {', '.join(FORMS)}")
    readers = LAYOUTS[layout](Path(path))
    names = list(readers)
    found = match(names, ids, masks)
    if not any(i is not None for i in found):
        shown = f", such as '{names[0]}'," if names else ""
        raise InputError(
            f"{masks} has {len(names)} annotations{shown} but none of an image of the data, such as '{ids[0]}'; "
            "they are compared by file name"
        )
    return [None if i is None else readers[names[i]]() for i in found]
