"""Data sets by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from calibrant.data.evaluation_set import EvaluationSet
from calibrant.errors import unknown


class Data(Protocol):
    """A data set: its class list, and its splits as evaluation sets."""

    @property
    def name(self) -> str:
        """What `load_data` calls it."""
        ...

    @property
    def classes(self) -> list[str]:
        """Display names."""
        ...

    @property
    def templates(self) -> list[str]:
        """Class prompts with ``{}`` for the name."""
        ...

    @property
    def words(self) -> Mapping[str, tuple[str, ...]]:
        """Class name to synonyms, for the classes that have several."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """Source, licence and limits."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """Which of train, validation and test exist."""
        ...

    def split(self, which: str) -> EvaluationSet:
        """Give one split; `InputError` if there is none of that name."""
        ...

    def manifest(self) -> list[dict[str, str]]:
        """Rows with the keys path, content (hash), split and label."""
        ...


def load_data(name: str, **options: Any) -> Data:
    """Load a data set by name.

    Args:
        name: ``"emoji"`` and its sets (see `list_data`), ``"folder:PATH"`` (class folders, or train, val and
            test folders of class folders) or ``"csv:FILE"`` (columns path, label, and optionally split, group
            and more). The last two take ``#base`` or ``#new`` at the end for the first or second half of the
            sorted labels, each with its own label space; a path that itself ends so is written with a slash
            behind it, as ``folder:odd#base/``.
        options: for folders and manifests: ``seed`` of the split, ``names`` (CSV file folder,words),
            ``templates``, ``on_bad_image`` (``"fail"`` or ``"skip"``), ``window``, ``background``,
            ``pixel_limit``, ``progress``.

    Returns:
        The data set.

    Raises:
        InputError: for an unknown name or option, with the nearest known one, and for anything in the data
            that cannot be used.

    Example:
        >>> load_data("folder:pets", sead=1)
        Traceback (most recent call last):
        calibrant.errors.InputError: unknown option of a folder or manifest 'sead'; did you mean 'seed'?
        Known: ...
    """
    kind, _, rest = name.partition(":")
    if kind in ("folder", "csv") and rest:
        return _load_files(kind, rest, options)
    from calibrant.data import emoji

    if name.partition("/")[0] == "emoji":
        return cast(Data, emoji.load(name, **options))
    known = [*emoji.names(), "folder:PATH", "csv:FILE"]
    if Path(name).is_dir():
        known.append(f"folder:{name}")
    elif Path(name).is_file():
        known.append(f"csv:{name}")
    raise unknown("data", name, known)


def list_data() -> list[dict[str, Any]]:
    """Describe the data sets that `load_data` knows.

    Returns:
        Rows with the keys ``name``, ``what``, ``licence``, ``source`` and ``limits``.
    """
    from calibrant.data import emoji

    own = {"licence": "the user's own", "source": "the user's disk"}
    return [
        *emoji.describe(),
        {
            "name": "folder:PATH[#base|#new]",
            "what": "class folders, or train, val and test folders of class folders",
            **own,
            "limits": "one label per image; no animations or multi-page files; 16-bit grey needs a window",
        },
        {
            "name": "csv:FILE[#base|#new]",
            "what": "a manifest with the columns path, label, and optionally split, group and more",
            **own,
            "limits": "as for folders",
        },
    ]


def _load_files(kind: str, rest: str, options: Mapping[str, Any]) -> Data:
    from calibrant.data.folder import list_folder
    from calibrant.data.labelled_files import HALVES, assemble
    from calibrant.data.listing import Options
    from calibrant.data.manifest import list_manifest

    checked = Options.from_mapping(options)
    path, _, half = rest.rpartition("#")
    if half not in HALVES or not path:
        path, half = rest, ""
    listing = list_folder(path, f"folder:{path}") if kind == "folder" else list_manifest(path, f"csv:{path}")
    return assemble(listing, checked, half or None)
