"""A data set of image files: scanned, checked for duplicates, split, and served as evaluation sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from calibrant.data.division import divide, near_rows, refuse_divided_groups, refuse_missing_classes
from calibrant.data.duplicates import near_duplicates, refuse_exact_duplicates
from calibrant.data.evaluation_set import EvaluationSet
from calibrant.data.images import FileImages
from calibrant.data.listing import SPLITS, Listing, Options
from calibrant.data.masks.listed import in_split, with_masks, with_objects
from calibrant.data.names import ClassNames, check_templates, name_classes
from calibrant.data.scan import refuse_unknown_choice, scan
from calibrant.data.splits import base_new
from calibrant.errors import InputError, unknown
from calibrant.storage import digest

HALVES = ("base", "new")


@dataclass(frozen=True)
class LabelledFiles:
    """A data set made of image files; the validation images carry a column ``part``.

    ``part`` is ``"choice"`` (methods and calibrators are chosen and fitted there) or ``"threshold"``
    (thresholds are set there); the column ``content`` holds the SHA-256 of each image's pixels.

    Args:
        name: such as ``"folder:pets"`` or ``"csv:pets.csv#new"``.
        classes: display names.
        templates: class prompts.
        words: class name to synonyms.
        about: source, licence, options, how the split came about, near-duplicates, files left out.
        sets: split to its images.
        near_duplicates: rows with the keys ``first``, ``second`` (ids), ``first_split``, ``second_split``.
        checked: all images, of which this may be one half.
    """

    name: str
    classes: list[str]
    templates: list[str]
    words: Mapping[str, tuple[str, ...]]
    about: dict[str, Any]
    sets: Mapping[str, EvaluationSet]
    near_duplicates: list[dict[str, str]]
    checked: Checked

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that exist."""
        return tuple(self.sets)

    def split(self, which: str) -> EvaluationSet:
        """Give one split.

        Args:
            which: ``"train"``, ``"validation"`` or ``"test"``.

        Returns:
            Its images and labels.

        Raises:
            InputError: if there is no such split.
        """
        if which not in SPLITS:
            raise unknown("split", which, SPLITS)
        if which not in self.sets:
            raise InputError(f"{self.name} has no {which} images; it has {', '.join(self.sets)}")
        return self.sets[which]

    def manifest(self) -> list[dict[str, str]]:
        """List every image.

        Returns:
            Rows with the keys ``path``, ``content`` (hash), ``split`` and ``label``.
        """
        return manifest_rows(self.sets.values())


@dataclass(frozen=True)
class Checked:
    """All images of a folder or manifest, read and checked once.

    Args:
        images: N images of all classes and splits.
        splits: [N].
        labels: the class labels as spelt in the source, sorted.
        near_duplicates: as for `LabelledFiles`.
    """

    images: EvaluationSet
    splits: npt.NDArray[np.str_]
    labels: list[str]
    near_duplicates: list[dict[str, str]]

    def half(self, half: str | None) -> LabelledFiles:
        """Give one half of the classes, without reading an image again.

        Args:
            half: ``"base"`` or ``"new"``, None for all classes.

        Returns:
            The data set.

        Raises:
            InputError: if a half would have a single class.
        """
        all_images = self.images
        keep = _kept(self.labels, half, all_images.name)
        classes = [all_images.classes[i] for i in keep]
        words = {name: all_images.words[name] for name in classes if name in all_images.words}
        name = f"{all_images.name}#{half}" if half else all_images.name
        whole = replace(all_images, name=name, classes=classes, words=words)
        sets = {split: _part(whole, split, self.splits, keep) for split in SPLITS if split in self.splits}
        about = dict(all_images.about)
        return LabelledFiles(name, classes, all_images.templates, words, about, sets, self.near_duplicates, self)


def manifest_rows(sets: Iterable[EvaluationSet]) -> list[dict[str, str]]:
    """List the samples of evaluation sets, as a run records them.

    Args:
        sets: evaluation sets; without a column ``content`` the hash is left empty.

    Returns:
        Rows with the keys ``path`` (the sample's id), ``content``, ``split`` and ``label``.

    Example:
        >>> pixels = np.zeros((1, 8, 8, 3), np.uint8)
        >>> pets = EvaluationSet("pets", "test", pixels, np.array([0]), ["cat"], ["a {}."], ["a.png"])
        >>> manifest_rows([pets])
        [{'path': 'a.png', 'content': '', 'split': 'test', 'label': 'cat'}]
    """
    rows = []
    for part in sets:
        content = part.columns.get("content", np.full(len(part), ""))
        for name, label, hashed in zip(part.ids, part.labels, content, strict=True):
            shown = part.classes[label] if label >= 0 else ""
            rows.append({"path": name, "content": str(hashed), "split": part.split, "label": shown})
    return rows


def assemble(listing: Listing, options: Options, half: str | None = None, classes: Sequence[str] = ()) -> LabelledFiles:
    """Read all images once, check them, and make the evaluation sets.

    Args:
        listing: the files and their labels.
        options: names, templates, seed, how images are read.
        half: ``"base"`` or ``"new"`` for one half of the classes, None for all.
        classes: class names for images none of which has a label.

    Returns:
        The data set.

    Raises:
        InputError: for anything in the data that cannot be used, naming the file or the class.
    """
    return prepare(listing, options, half, classes)()


def prepare(
    listing: Listing, options: Options, half: str | None = None, classes: Sequence[str] = ()
) -> Callable[[], LabelledFiles]:
    """Check all that can be checked before an image is read, which may take long.

    Args:
        listing: the files and their labels.
        options: names, templates, seed, how images are read.
        half: ``"base"`` or ``"new"`` for one half of the classes, None for all.
        classes: class names for images none of which has a label.

    Returns:
        What reads the images and makes the evaluation sets; it raises `InputError` for anything in the images.

    Raises:
        InputError: for anything else that cannot be used.
    """
    labels = [label for label in listing.labels if label]
    naming = name_classes(labels, options.names) if labels else ClassNames(list(classes), list(classes), {})
    if not naming.classes:
        raise InputError(f"{listing.name}: no image has a label, so there is no class")
    templates = check_templates(options.templates)
    _kept(naming.labels, half, listing.name)
    refuse_divided_groups(listing)
    refuse_unknown_choice(options.on_bad_image)
    called = zip(naming.labels, naming.classes, strict=True)
    listing = with_objects(listing, options, {label: (name, *naming.words.get(name, ())) for label, name in called})
    return partial(_read, listing, options, half, naming, templates)


def _read(
    unread: Listing, options: Options, half: str | None, naming: ClassNames, templates: list[str]
) -> LabelledFiles:
    found = scan(unread.paths, options.reader, on_bad_image=options.on_bad_image, progress=options.progress)
    listing = unread.subset(found.readable.tolist())
    if any(unread.labels):
        _refuse_vanished_classes(listing, naming)
    refuse_exact_duplicates(found.content, listing.ids, listing.labels, listing.splits)
    pairs = near_duplicates(found.hashes, found.thumbnails)
    given = np.array(listing.labels, dtype=str)
    labels = np.where(given == "", -1, np.searchsorted(naming.labels, given))
    division = divide(listing, labels, pairs, options.seed)
    near = near_rows(listing, division.splits, pairs)
    about = {
        "split": division.how,
        **listing.about,
        "options": options.given,
        "near_duplicates": len(near),
        "left_out": [f"{path}: {reason}" for path, reason in found.bad],
    }
    columns = {name: np.array(values, dtype=str) for name, values in listing.columns.items()}
    columns |= {"content": np.array(found.content, dtype=str), "part": division.parts}
    images = EvaluationSet(
        name=listing.name,
        split="",
        images=FileImages(listing.paths, options.reader),
        labels=labels,
        classes=naming.classes,
        templates=templates,
        ids=listing.ids,
        words=naming.words,
        columns=columns,
        unit="group" if "group" in columns else None,
        about=about,
    )
    images, splits = with_masks(images, division.splits, listing, options)
    refuse_missing_classes(images.labels, splits, naming.classes, listing.name)
    return Checked(images, splits, naming.labels, near).half(half)


def _part(whole: EvaluationSet, split: str, splits: npt.NDArray[np.str_], keep: npt.NDArray[np.int64]) -> EvaluationSet:
    """One split, restricted to the classes that are kept, with labels that count only those."""
    chosen = whole.subset(np.flatnonzero((splits == split) & ((whole.labels < 0) | np.isin(whole.labels, keep))))
    labels = np.where(chosen.labels < 0, -1, np.searchsorted(keep, chosen.labels)).astype(np.int64)
    columns = {name: values for name, values in chosen.columns.items() if name != "part" or split == "validation"}
    fingerprint = digest("images", chosen.columns["content"].tolist(), labels, chosen.classes)
    return in_split(replace(chosen, split=split, labels=labels, columns=columns, fingerprint=fingerprint))


def _kept(labels: list[str], half: str | None, name: str) -> npt.NDArray[np.int64]:
    """The classes of one half, ascending; halves go by the labels, so that other words do not change them."""
    if half is None:
        return np.arange(len(labels))
    kept = dict(zip(HALVES, base_new(labels), strict=True))[half]
    if len(kept) < 2:
        raise InputError(f"{name}#{half} would have a single class; base and new need four classes or more")
    return np.searchsorted(labels, kept)


def _refuse_vanished_classes(listing: Listing, naming: ClassNames) -> None:
    vanished = sorted(set(naming.labels) - set(listing.labels))
    if vanished:
        raise InputError(f"{listing.name}: class '{vanished[0]}' has no readable image; add images or remove the class")
