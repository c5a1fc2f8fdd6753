"""The boxes of ImageNet: the table of the localisation challenge, or the official XML files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from calibrant.data.csv_table import read_table
from calibrant.data.masks.objects import Objects, read_objects
from calibrant.data.masks.shapes import Box, Shape
from calibrant.data.masks.voc import open_imagenet_xml
from calibrant.errors import InputError


def open_imagenet(path: Path) -> dict[str, Callable[[], Objects]]:
    r"""Read ``LOC_val_solution.csv`` or ``LOC_train_solution.csv``, or find the XML files of a folder.

    The numbers of a box are edges in pixels, counted from 0. The source does not say whether the last pixel is
    included, so boxes may be a pixel too small at the right and at the bottom.

    Args:
        path: the table, with the columns ``ImageId`` and ``PredictionString`` (class and four numbers, repeated), or
            the folder.

    Returns:
        Name of each image to what reads its objects.

    Raises:
        InputError: naming what is missing.

    Source:
        Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "LOC_val_solution.csv"
        >>> _ = file.write_text("ImageId,PredictionString\nval_1,n02084071 1 2 8 9 \n")
        >>> open_imagenet(file)["val_1"]()
        Objects(where='...', shapes=(Box(left=1.0, top=2.0, right=8.0, bottom=9.0),), classes=('n02084071',), ...)
    """
    if path.is_dir():
        return open_imagenet_xml(path)
    table = read_table(path, ["ImageId", "PredictionString"], may_be_empty=["PredictionString"])
    rows = zip(table.columns["ImageId"], table.columns["PredictionString"], table.lines, strict=True)
    return {name: partial(_objects, f"{path}, line {line}", text) for name, text, line in rows}


def _objects(where: str, text: str) -> Objects:
    return read_objects(where, partial(_boxes, text))


def _boxes(text: str) -> Iterator[tuple[str, Shape]]:
    words = text.split()
    if len(words) % 5:
        raise InputError(f"'{text}' is not classes with four numbers each")
    for i in range(0, len(words), 5):
        try:
            edges = [float(word) for word in words[i + 1 : i + 5]]
        except ValueError:
            raise InputError(f"'{' '.join(words[i : i + 5])}' is not a class with four numbers") from None
        yield words[i], Box(*edges)
