"""Data sets by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from calibrant.data.evaluation_set import EvaluationSet
from calibrant.errors import unknown

if TYPE_CHECKING:
    from calibrant.data.listing import Listing


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
            ``pixel_limit``, ``progress``, and ``masks``: where the object masks are, ``"coco:FILE.json"``,
            ``"voc:FOLDER"``, ``"cub:FOLDER"``, ``"imagenet:FILE.csv"`` or ``"imagenet:FOLDER"`` (the columns mask,
            polygon and box of a manifest are found without it, and ignored with ``"none"``), with ``on_bad_mask``
            (``"fail"`` or ``"skip"``) and ``mask_grid`` (``"stored"`` or ``"upright"`` pixels).

    Returns:
        The data set.

    Raises:
        InputError: for an unknown name or option, with the nearest known one, and for anything in the data
            that cannot be used.

    Example:
        >>> load_data("folder:pets", sead=1)
        Traceback (most recent call last):
        calibrant.errors.InputError: unknown option of a folder or manifest 'sead'; did you mean 'seed'?
    """
    return find_data(name, **options)()


def find_data(name: str, **options: Any) -> Callable[[], Data]:
    """Find a data set by name and check its options, its files and its classes, before any image is read.

    Args:
        name: as for `load_data`.
        options: as for `load_data`.

    Returns:
        What loads the data set.

    Raises:
        InputError: as for `load_data`, but for what only the images tell.

    Example:
        >>> find_data("emoji/animals")().classes[:2]
        ['ant', 'bat']
    """
    if name.startswith(("folder:", "csv:")) and not name.endswith(":"):
        from calibrant.data.labelled_files import prepare
        from calibrant.data.listing import Options

        checked = Options.from_mapping(options)
        listing, half = _list_files(name)
        return prepare(listing, checked, half)
    from calibrant.data import emoji

    if name.partition("/")[0] == "emoji":
        found = cast(Data, emoji.load(name, **options))
        return lambda: found
    known = [*emoji.names(), "folder:PATH", "csv:FILE"]
    if Path(name).is_dir():
        known.append(f"folder:{name}")
    elif Path(name).is_file():
        known.append(f"csv:{name}")
    raise unknown("data", name, known)


def load_for_testing(name: str, classes: Sequence[str] = (), **options: Any) -> Data:
    """Load a folder or a manifest that nothing is tuned on.

    If it does not say itself which images are for training, validation and test, all of them are test images. If no
    image of a manifest has a label, they are of none of the given classes.

    Args:
        name: ``"folder:PATH"`` or ``"csv:FILE"``, as for `load_data`.
        classes: names of the classes that a manifest without any label is about.
        options: as for `load_data`.

    Returns:
        The data set.

    Raises:
        InputError: as for `load_data`.
    """
    from calibrant.data.labelled_files import assemble
    from calibrant.data.listing import ALL_TEST, Options

    checked = Options.from_mapping(options)
    listing, half = _list_files(name, all_test=True)
    if listing.splits is None:
        listing = replace(listing, splits=["test"] * len(listing.paths), about={**listing.about, "split": ALL_TEST})
    return assemble(listing, checked, half, classes)


def list_data() -> list[dict[str, Any]]:
    """Describe the data sets that `load_data` knows.

    Returns:
        Rows with the keys ``name``, ``what``, ``licence``, ``source`` and ``limits``.
    """
    from calibrant.data import emoji
    from calibrant.data.listing import LICENCE, LIMITS

    own = {"licence": LICENCE, "source": "the user's disk"}
    return [
        *emoji.describe(),
        {
            "name": "folder:PATH[#base|#new]",
            "what": "class folders, or train, val and test folders of class folders",
            **own,
            "limits": LIMITS,
        },
        {
            "name": "csv:FILE[#base|#new]",
            "what": "a manifest with the columns path, label, and optionally split, group, mask, polygon, box and more",
            **own,
            "limits": "as for folders",
        },
    ]


def _list_files(name: str, *, all_test: bool = False) -> tuple[Listing, str | None]:
    """List the images of a folder or a manifest, and say which half of the classes is meant, if one is."""
    from calibrant.data.folder import list_folder
    from calibrant.data.labelled_files import HALVES
    from calibrant.data.manifest import list_manifest

    kind, _, rest = name.partition(":")
    path, _, half = rest.rpartition("#")
    if half not in HALVES or not path:
        path, half = rest, ""
    if kind == "folder":
        return list_folder(path, f"folder:{path}"), half or None
    return list_manifest(path, f"csv:{path}", all_test=all_test), half or None
