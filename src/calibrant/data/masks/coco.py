"""The objects of a COCO file: polygons, run lengths, boxes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from calibrant.data.masks.objects import Objects, read_objects
from calibrant.data.masks.run_lengths import RunLengths
from calibrant.data.masks.shapes import Box, Polygon, Shape
from calibrant.errors import InputError

Entry = Mapping[str, Any]


def open_coco(path: Path) -> dict[str, Callable[[], Objects]]:
    """Read a COCO file of instances.

    Polygons and run lengths count where an annotation has them, otherwise its box (left, top, width, height). Crowds
    count like single objects.

    Args:
        path: the JSON file.

    Returns:
        Image file name to what reads its objects.

    Raises:
        InputError: if the file is not of this format.

    Source:
        Lin et al., Microsoft COCO: Common Objects in Context, 2014; format of its annotations.

    Example:
        >>> import tempfile
        >>> box = {"image_id": 1, "category_id": 7, "bbox": [1, 1, 2, 2]}
        >>> image = {"id": 1, "file_name": "a.jpg", "height": 4, "width": 4}
        >>> coco = {"images": [image], "annotations": [box], "categories": [{"id": 7, "name": "cat"}]}
        >>> file = Path(tempfile.mkdtemp()) / "boxes.json"
        >>> _ = file.write_text(json.dumps(coco))
        >>> open_coco(file)["a.jpg"]().draw(4, 4).sum()
        np.int64(4)
    """
    content = _content(path)
    try:
        names = {one["id"]: str(one["name"]) for one in content.get("categories", [])}
        by_image: defaultdict[Any, list[Entry]] = defaultdict(list)
        for one in content["annotations"]:
            by_image[one["image_id"]].append(one)
        images = {str(image["file_name"]): image for image in content["images"]}
        return {
            name: partial(_objects, f"{path}, image '{name}'", image, by_image[image["id"]], names)
            for name, image in images.items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not a COCO file of instances: it needs images (id, file_name), annotations (image_id, "
            f"category_id, bbox or segmentation) and categories (id, name); {_told(error)}"
        ) from None


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a COCO file of instances, but a list")
    return content


def _objects(where: str, image: Entry, annotations: Sequence[Entry], names: Mapping[Any, str]) -> Objects:
    size = (image["height"], image["width"]) if image.get("height") and image.get("width") else None
    return read_objects(where, partial(_shapes, annotations, names), size)


def _shapes(annotations: Sequence[Entry], names: Mapping[Any, str]) -> Iterator[tuple[str, Shape]]:
    for one in annotations:
        name = names.get(one.get("category_id"), "")
        try:
            for shape in _outline(one):
                yield name, shape
        except InputError as error:
            raise InputError(f"annotation {one.get('id', name)}: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"annotation {one.get('id', name)} is not of COCO's format; {_told(error)}") from None


def _outline(one: Entry) -> Iterator[Shape]:
    outline = one.get("segmentation")
    if not outline:
        left, top, width, height = map(float, one["bbox"])
        yield Box(left, top, left + width, top + height)
    elif isinstance(outline, dict):
        height, width = map(int, outline["size"])
        counts = outline["counts"]
        if isinstance(counts, str):
            yield RunLengths.from_text(height, width, counts)
        else:
            yield RunLengths(height, width, tuple(map(int, counts)))
    else:
        for line in outline:
            numbers = list(map(float, line))
            yield Polygon(tuple(zip(numbers[::2], numbers[1::2], strict=True)))


def _told(error: Exception) -> str:
    return f"it has no '{error.args[0]}'" if isinstance(error, KeyError) else str(error)
