"""Folders of class folders, with or without train, validation and test folders around them."""

from __future__ import annotations

import warnings
from pathlib import Path

from calibrant.data.images import SUFFIXES
from calibrant.data.listing import LICENCE, LIMITS, Listing, as_split
from calibrant.errors import CalibrantWarning, InputError


def list_folder(path: str | Path, name: str | None = None) -> Listing:
    """List the images of a folder whose sub-folders are the classes.

    The folder holds either class folders, or folders called ``train``, ``val`` (``valid``, ``validation``)
    and ``test`` that hold class folders. Folders inside a class folder belong to the class. Hidden files are
    ignored; other files that are not images are left out with a warning that counts and names them.

    Args:
        path: the folder.
        name: the data set's name; ``folder:`` and the path if None.

    Returns:
        The images, sorted by id; ids are paths relative to the folder, with forward slashes.

    Raises:
        InputError: if the folder is missing or holds no images, if a class folder is empty, or if split
            folders and class folders are mixed.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / "cat").mkdir(); (root / "cat" / "1.jpg").touch()
        >>> list_folder(root).ids
        ['cat/1.jpg']
    """
    root = Path(path)
    if not root.is_dir():
        raise InputError(
            f"{root} is {'not a folder' if root.exists() else 'missing'}; a folder of class folders is needed"
        )
    split_folders = _split_folders(root)
    rows: list[tuple[str, Path, str, str]] = []
    strange: list[Path] = []
    for around, split in split_folders or [(root, "")]:
        strange += [child for child in _visible(around) if not child.is_dir()]
        for folder in filter(Path.is_dir, _visible(around)):
            images, others = find_images(folder)
            strange += others
            if not images:
                raise InputError(f"class folder {folder} holds no images; add images or remove the folder")
            rows += [(image.relative_to(root).as_posix(), image, folder.name, split) for image in images]
    if split_folders:
        strange += [child for child in _visible(root) if not child.is_dir()]
    if not rows:
        raise InputError(f"{root} holds no class folders with images; expected {root}/CLASS/IMAGE.jpg")
    rows.sort()
    return Listing(
        name=name or f"folder:{path}",
        paths=[row[1] for row in rows],
        ids=[row[0] for row in rows],
        labels=[row[2] for row in rows],
        splits=[row[3] for row in rows] if split_folders else None,
        about={"source": str(root), "licence": LICENCE, "limits": LIMITS, "other_files": _report(root, strange)},
    )


def find_images(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """Find the image files in a folder and in the folders inside it.

    Args:
        folder: where to look; hidden files and folders are ignored.

    Returns:
        The image files and the other files, each sorted.

    Raises:
        InputError: if a folder cannot be read, or a link leads back into itself.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / "1.JPG").touch(); (root / "readme.txt").touch()
        >>> [[file.name for file in files] for files in find_images(root)]
        [['1.JPG'], ['readme.txt']]
    """
    files = _files(Path(folder), frozenset())
    return [f for f in files if f.suffix.lower() in SUFFIXES], [f for f in files if f.suffix.lower() not in SUFFIXES]


def _files(folder: Path, inside: frozenset[Path]) -> list[Path]:
    real = folder.resolve()
    if real in inside:
        raise InputError(f"{folder} is a link that leads back into itself; remove it")
    found: list[Path] = []
    for child in _visible(folder):
        found += _files(child, inside | {real}) if child.is_dir() else [child]
    return found


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}") from error


def _split_folders(root: Path) -> list[tuple[Path, str]]:
    """The folders that are splits: they have a split's name and hold folders (a class may be called so)."""
    folders = [child for child in _visible(root) if child.is_dir()]
    named = [(child, split) for child in folders if (split := as_split(child.name))]
    splits = [(child, split) for child, split in named if any(map(Path.is_dir, _visible(child)))]
    if len(named) == len(folders) > len(splits):
        flat = next(child for child, _ in named if (child, as_split(child.name)) not in splits)
        raise InputError(f"{flat} holds no class folders; expected {flat}/CLASS/IMAGE.jpg")
    if splits and len(splits) < len(folders):
        other = next(child for child in folders if child not in dict(splits))
        raise InputError(f"{root} mixes split folders ({splits[0][0].name}) with others ({other.name}); keep one kind")
    seen: dict[str, Path] = {}
    for child, split in splits:
        if split in seen:
            raise InputError(f"{seen[split]} and {child} are both {split} folders; merge them")
        seen[split] = child
    return splits


def _report(root: Path, strange: list[Path]) -> list[str]:
    names = [file.relative_to(root).as_posix() for file in strange]
    if names:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        warnings.warn(
            f"{root}: {len(names)} files are not images in a class folder and are left out: {shown}",
            CalibrantWarning,
            stacklevel=4,
        )
    return names
