"""The segmentations of CUB-200-2011."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from calibrant.data.masks.mask_files import AnnotatorMean
from calibrant.data.masks.objects import Objects
from calibrant.errors import InputError


def open_cub(path: Path) -> dict[str, Callable[[], Objects]]:
    """Find the segmentations, pictures whose grey level is the share of annotators who saw the bird there.

    Args:
        path: the folder ``segmentations``, or the one that holds it.

    Returns:
        Path of each picture, such as ``001.Black_footed_Albatross/....png``, to what gives its object.

    Raises:
        InputError: if the folder is missing or holds no pictures.

    Source:
        Wah et al., The Caltech-UCSD Birds-200-2011 Dataset; Farrell, CUB-200-2011 Segmentations, CaltechDATA 2022.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "segmentations"
        >>> folder.mkdir(); (folder / "a.png").touch()
        >>> list(open_cub(folder.parent))
        ['a.png']
    """
    folder = path / "segmentations" if (path / "segmentations").is_dir() else path
    if not folder.is_dir():
        raise InputError(f"{folder} is {'not a folder' if folder.exists() else 'missing'}; segmentations are needed")
    files = sorted(folder.rglob("*.png"))
    if not files:
        raise InputError(f"{folder} holds no PNG files; the segmentations of CUB are a download of their own")
    return {file.relative_to(folder).as_posix(): partial(_objects, file) for file in files}


def _objects(file: Path) -> Objects:
    return Objects(str(file), (AnnotatorMean(file),), ("",))
