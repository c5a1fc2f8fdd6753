"""The boxes of Pascal VOC's XML files, and of ImageNet's, which look alike and count differently."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from calibrant.data.masks.objects import Objects, read_objects
from calibrant.data.masks.shapes import Box, Shape
from calibrant.errors import InputError

_EDGES = ("xmin", "ymin", "xmax", "ymax")


def open_voc(path: Path) -> dict[str, Callable[[], Objects]]:
    """Find the XML files of a folder; their boxes count pixels from 1 and include the last one.

    Args:
        path: the folder, or the one that holds its ``Annotations``.

    Returns:
        Path of each XML file, from the folder on, to what reads its objects.

    Raises:
        InputError: if the folder is missing or holds no XML file.

    Source:
        Everingham et al., The PASCAL Visual Object Classes Challenge 2012 Development Kit, section 8.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>2</ymax></bndbox>"
        >>> _ = (folder / "a.xml").write_text(f"<annotation><object><name>cat</name>{box}</object></annotation>")
        >>> open_voc(folder)["a.xml"]().shapes
        (Box(left=0.0, top=0.0, right=3.0, bottom=2.0),)
    """
    return _open(path, first_pixel=1)


def open_imagenet_xml(path: Path) -> dict[str, Callable[[], Objects]]:
    """Find the XML files of a folder; their numbers are edges in pixels, counted from 0.

    Args:
        path: the folder, such as ``Annotations/CLS-LOC``, or one that holds ``Annotations``.

    Returns:
        Path of each XML file, from the folder on, to what reads its objects.

    Raises:
        InputError: if the folder is missing or holds no XML file.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> box = "<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>3</xmax><ymax>2</ymax></bndbox>"
        >>> _ = (folder / "a.xml").write_text(f"<annotation><object><name>cat</name>{box}</object></annotation>")
        >>> open_imagenet_xml(folder)["a.xml"]().shapes
        (Box(left=0.0, top=0.0, right=3.0, bottom=2.0),)
    """
    return _open(path, first_pixel=0)


def _open(path: Path, first_pixel: int) -> dict[str, Callable[[], Objects]]:
    folder = path / "Annotations" if (path / "Annotations").is_dir() else path
    if not folder.is_dir():
        raise InputError(f"{folder} is {'not a folder' if folder.exists() else 'missing'}; a folder of XML is needed")
    files = sorted(folder.rglob("*.xml"))
    if not files:
        raise InputError(f"{folder} holds no XML files")
    return {file.relative_to(folder).as_posix(): partial(_objects, file, first_pixel) for file in files}


def _objects(file: Path, first_pixel: int) -> Objects:
    try:
        root = ElementTree.parse(file).getroot()
        height, width = (int(float(root.findtext(f"size/{side}") or 0)) for side in ("height", "width"))
    except (OSError, ElementTree.ParseError, ValueError) as error:
        return Objects(str(file), fault=f"it is not an annotation in XML ({error})")
    # some tools write a size of 0, which states nothing
    return read_objects(str(file), partial(_boxes, root, first_pixel), (height, width) if height and width else None)


def _boxes(root: ElementTree.Element, first_pixel: int) -> Iterator[tuple[str, Shape]]:
    for one in root.iterfind("object"):
        name = (one.findtext("name") or "").strip()
        texts = [one.findtext(f"bndbox/{edge}") for edge in _EDGES]
        try:
            left, top, right, bottom = (float(text or "") for text in texts)
        except ValueError:
            found = ", ".join(f"{edge} '{text or ''}'" for edge, text in zip(_EDGES, texts, strict=True))
            raise InputError(f"object '{name}' has a box that is not four numbers: {found}") from None
        yield name, Box(left - first_pixel, top - first_pixel, right, bottom)
