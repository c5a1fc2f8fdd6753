"""From names of data sets to names of files, and to the family they belong to."""

from __future__ import annotations

import os
import re

from calibrant.storage import digest


def file_name(name: str) -> str:
    """Turn the name of a data set into a part of a file name that every file system takes.

    Args:
        name: such as ``"emoji/new"`` or ``"folder:/images/my pets"``.

    Returns:
        Letters, digits, dots, underscores and hyphens; names that had to be changed carry a digest, so two names
        never share a file.

    Example:
        >>> file_name("emoji/new"), file_name("folder:my pets")
        ('emoji-new', 'my-pets-e231bbf8')
    """
    if re.fullmatch(r"[a-z0-9_]+(/[a-z0-9_]+)*", name):
        return name.replace("/", "-")
    last = re.split(r"[/\\:]", name.rstrip("/\\"))[-1]
    plain = re.sub(r"[^\w]+", "-", last).strip("-_")[:40]
    return f"{plain or 'data'}-{digest(name)[:8]}"


def family(name: str) -> str:
    """Name what data sets have in common that are opened with the same options.

    Example:
        >>> family("emoji/sketch"), family("folder:my/pets#base") == family("folder:./my/pets/")
        ('emoji', True)
    """
    kind, colon, place = name.partition(":")
    return f"{kind}:{os.path.realpath(place.partition('#')[0])}" if colon else name.partition("/")[0]
