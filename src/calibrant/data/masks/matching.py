"""Which annotation is of which image, by name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from calibrant.errors import InputError


def match(names: Sequence[str], ids: Sequence[str], source: str) -> list[int | None]:
    """Find the annotation of each image.

    Suffixes do not count (an image ``a.jpg`` may have an annotation ``a.xml``). A file name that occurs once on
    both sides is enough. Where it occurs more often, the folders decide: one path must be the end of the other.

    Args:
        names: paths of the M annotations, or of the images they are about.
        ids: paths of the N images.
        source: of the annotations, for messages.

    Returns:
        N positions in `names`; None for an image without an annotation.

    Raises:
        InputError: if an image has two annotations, or an annotation two images.

    Example:
        >>> match(["val/a.xml", "val/b.xml"], ["test/cat/a.jpg", "test/dog/c.jpg"], "boxes")
        [0, None]
    """
    annotations = [_parts(name) for name in names]
    images = [_parts(name) for name in ids]
    by_name = defaultdict(list)
    for i, parts in enumerate(annotations):
        by_name[parts[-1]].append(i)
    often = Counter(parts[-1] for parts in images)
    found: list[int | None] = []
    for name, parts in zip(ids, images, strict=True):
        near = by_name.get(parts[-1], [])
        if len(near) > 1 or often[parts[-1]] > 1:
            near = _longest([i for i in near if _one_ends_the_other(annotations[i], parts)], annotations, parts)
        if len(near) > 1:
            raise InputError(f"{source}: both '{names[near[0]]}' and '{names[near[1]]}' may be about {name}")
        found.append(near[0] if near else None)
    _refuse_shared(found, names, ids, source)
    return found


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name.replace("\\", "/")).with_suffix("").parts


def _one_ends_the_other(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shared = min(len(one), len(other))
    return one[-shared:] == other[-shared:]


def _longest(near: list[int], annotations: Sequence[tuple[str, ...]], parts: tuple[str, ...]) -> list[int]:
    """Those that agree with the image in the most folders."""
    agreeing = [min(len(annotations[i]), len(parts)) for i in near]
    return [i for i, count in zip(near, agreeing, strict=True) if count == max(agreeing)]


def _refuse_shared(found: Sequence[int | None], names: Sequence[str], ids: Sequence[str], source: str) -> None:
    first: dict[int, str] = {}
    for name, i in zip(ids, found, strict=True):
        if i is not None and first.setdefault(i, name) != name:
            raise InputError(f"{source}: '{names[i]}' may be about {first[i]} and about {name}")
