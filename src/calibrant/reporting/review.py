"""The page on which people judge heat maps: one file, no network, nothing that gives the answer away."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from calibrant.arrays import Array
from calibrant.errors import InputError
from calibrant.rationality.judgements import COLUMNS, WORDS
from calibrant.rationality.overlays import SMALLEST, Picture, enlarged, jpeg, legend, overlay, png
from calibrant.storage import digest

LARGEST = 320  # pixels of the longer edge: 100 photographs then make a page of a few megabytes
QUALITY = 70


def review_page(
    images: Sequence[Picture],
    maps: Sequence[Array],
    ids: Sequence[str],
    targets: Sequence[str],
    settings: str,
) -> str:
    """Write the page that shows image and map side by side and collects judgements.

    It does not say which model was explained, what it answered, how sure it was or whether it was right. With maps that
    explain the answer instead of the label, the name of the target would tell.

    Args:
        images: n images uint8 [H, W, 3], as the model saw them: each map covers all of its image. Longer edges than
            320 pixels are scaled down, so a page of 100 images of 64 pixels has below 3 MB, one of photographs about 3.
        maps: n heat maps, floats [h, w].
        ids: n unique names, which the saved file repeats; not shown.
        targets: n names of the class that each map explains, shown: the reviewer must know which object is meant.
        settings: what `settings_digest` gives for these maps; the saved file repeats it.

    Returns:
        The page, in the order given; `choose_for_review` draws one that mixes right and wrong answers.

    Raises:
        InputError: if there is no image, lengths differ, an id comes twice, or an array has another type or shape.

    Example:
        >>> import numpy as np
        >>> page = review_page([np.zeros((64, 64, 3), np.uint8)], [np.eye(8)], ["a"], ["cat"], "0123abcd")
        >>> page.startswith("<!DOCTYPE html>"), "://" in page
        (True, False)
    """
    _check(len(images), len(maps), ids, targets)
    shown = [
        _shown(image, heat_map, name, target)
        for image, heat_map, name, target in zip(images, maps, ids, targets, strict=True)
    ]
    page = digest(settings, list(ids))  # what a browser keeps of one page is not shown on another
    return _fill({"page": page, "settings": settings, "words": WORDS, "columns": COLUMNS, "shown": shown})


def _check(images: int, maps: int, ids: Sequence[str], targets: Sequence[str]) -> None:
    counts = {"images": images, "maps": maps, "ids": len(ids), "targets": len(targets)}
    if images == 0:
        raise InputError("there is no image to review")
    if len(set(counts.values())) > 1:
        raise InputError("a review needs as many of each: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    if len(set(ids)) < len(ids):
        twice = next(name for index, name in enumerate(ids) if name in ids[:index])
        raise InputError(f"image '{twice}' comes twice in the review")


def _shown(image: Picture, heat_map: Array, name: str, target: str) -> dict[str, Any]:
    over = overlay(image, heat_map, largest=LARGEST, name=name)
    small = max(image.shape[:2]) < SMALLEST
    source = _address("png", png(image)) if small else _jpeg(enlarged(image, LARGEST, name))
    return {"id": name, "target": target, "image": source, "map": _jpeg(over), "small": small}


def _jpeg(picture: Picture) -> str:
    return _address("jpeg", jpeg(picture, QUALITY, subsampling=2))


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")


def _fill(review: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("calibrant.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("review.html").render(review=review, legend=legend())
