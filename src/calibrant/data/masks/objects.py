"""What a source says about the objects of one image, and which of them are of the image's class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibrant.data.masks.shapes import Mask, Shape
from calibrant.errors import InputError


@dataclass(frozen=True)
class Objects:
    """The annotated objects of one image.

    Args:
        where: the file, and line or entry, for messages.
        shapes: where the objects are.
        classes: what the source calls each object; empty where it does not say.
        size: height and width of the image, as the source states them; None if it does not.
        fault: why the annotation cannot be used; empty if it can.
    """

    where: str
    shapes: tuple[Shape, ...] = ()
    classes: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    fault: str = ""

    def draw(self, height: int, width: int) -> Mask:
        """Draw all objects on one mask.

        Args:
            height: of the image, in pixels.
            width: of the image, in pixels.

        Returns:
            bool [H, W].

        Raises:
            InputError: naming the source, if an object does not belong to an image of that size.
        """
        if self.fault:
            raise InputError(f"{self.where}: {self.fault}")
        if self.size is not None and self.size != (height, width):
            stated = f"{self.size[1]} x {self.size[0]}"
            raise InputError(f"{self.where} is about {stated} pixels, but the image has {width} x {height}")
        mask = np.zeros((height, width), dtype=bool)
        for shape in self.shapes:
            try:
                mask |= shape.draw(height, width)
            except InputError as error:
                raise InputError(f"{self.where}: {error}") from None
        return mask


def read_objects(
    where: str, pairs: Callable[[], Iterable[tuple[str, Shape]]], size: tuple[int, int] | None = None
) -> Objects:
    """Collect the objects of one image; what is wrong with one of them becomes the fault of all.

    Args:
        where: the file, and line or entry.
        pairs: gives class and shape of each object; may raise `InputError`.
        size: height and width that the source states.

    Returns:
        The objects.

    Example:
        >>> from calibrant.data.masks.shapes import Box
        >>> read_objects("a.xml", lambda: [("cat", Box(4, 0, 2, 1))]).fault
        'box 4 0 2 1: right (2) must be greater than left (4)'
    """
    try:
        found = list(pairs())
    except InputError as error:
        return Objects(where, size=size, fault=str(error))
    return Objects(where, tuple(shape for _, shape in found), tuple(name for name, _ in found), size)


def of_their_class(
    objects: Sequence[Objects | None], labels: Sequence[str], words: Mapping[str, Iterable[str]]
) -> list[Objects | None]:
    """Keep the objects that are of the class of their image.

    If no object at all is called like a class of the data, the source speaks of other things (``"object"``,
    ``"lesion"``), and all are kept.

    Args:
        objects: of N images; None for an image without an annotation.
        labels: of the N images; empty for none of the classes.
        words: label to everything that the class is called.

    Returns:
        The objects of N images; one that has objects of other classes only has the fault that says so.

    Example:
        >>> from calibrant.data.masks.shapes import Box
        >>> both = Objects("a.xml", (Box(0, 0, 1, 1), Box(0, 0, 2, 2)), ("cat", "Dog"))
        >>> of_their_class([both], ["n02084071"], {"n02084071": ["dog"]})[0].shapes
        (Box(left=0, top=0, right=2, bottom=2),)
    """
    keys = {label: {_key(name) for name in (label, *names)} for label, names in words.items()}
    known = set().union(*keys.values())
    if not any(_key(name) in known for name in _all_classes(objects)):
        return list(objects)
    return [
        one if one is None or one.fault or not label else _of_class(one, label, keys[label])
        for one, label in zip(objects, labels, strict=True)
    ]


def _of_class(one: Objects, label: str, keys: set[str]) -> Objects:
    chosen = [i for i, name in enumerate(one.classes) if _key(name) in keys]
    if one.shapes and not chosen:
        others = ", ".join(f"'{name}'" for name in sorted(set(one.classes))[:3])
        return replace(one, fault=f"no object is called '{label}', only {others}")
    return replace(one, shapes=tuple(one.shapes[i] for i in chosen), classes=tuple(one.classes[i] for i in chosen))


def _all_classes(objects: Iterable[Objects | None]) -> Iterator[str]:
    return (name for one in objects if one is not None for name in one.classes if name)


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
