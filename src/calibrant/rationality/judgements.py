"""What people said about heat maps: the files that the review page saves, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibrant.arrays import Float64, Int64
from calibrant.data.csv_table import Table, read_table
from calibrant.errors import InputError, unknown
from calibrant.storage import digest

WORDS = ("on the object", "not on the object", "cannot tell")
ON, OFF, CANNOT_TELL = range(3)
COLUMNS = ("id", "judgement", "reviewer", "settings")


@dataclass(frozen=True, eq=False)
class Judgements:
    """R judgements by one or several people.

    Args:
        image: int64 [R], index into the images of the run.
        word: int64 [R], index into `WORDS`.
        reviewer: R names.

    Example:
        >>> found = Judgements(np.array([4, 7, 4]), np.array([ON, OFF, OFF]), ["Ann", "Ann", "Bob"])
        >>> found.images, found.valid
        (array([4, 7]), array([0.5, 0. ]))
    """

    image: Int64
    word: Int64
    reviewer: Sequence[str]

    @property
    def reviewers(self) -> list[str]:
        """Who judged, in the order of the files."""
        return list(dict.fromkeys(self.reviewer))

    @property
    def images(self) -> Int64:
        """Index of every judged image, once, int64 [n]."""
        return np.unique(self.image)

    @property
    def valid(self) -> Float64:
        """How far the evidence of each of `images` is valid, float64 [n].

        The share of those who say "on the object" among those who could tell; NaN where nobody could.
        """
        images, index = np.unique(self.image, return_inverse=True)
        said = [np.bincount(index[self.word == word], minlength=len(images)) for word in (ON, OFF)]
        told = said[ON] + said[OFF]
        return np.where(told > 0, said[ON] / np.maximum(told, 1), np.nan)

    def words_of(self, reviewer: str, images: int) -> Int64:
        """Lay out what one reviewer said.

        Args:
            reviewer: the name.
            images: N, how many images the run has.

        Returns:
            int64 [N], index into `WORDS`; -1 where the image was not judged.

        Raises:
            InputError: if nobody of this name judged.
        """
        if reviewer not in self.reviewer:
            raise unknown("reviewer", reviewer, self.reviewers)
        mine: npt.NDArray[np.bool_] = np.array([name == reviewer for name in self.reviewer])
        said = np.full(images, -1, dtype=np.int64)
        said[self.image[mine]] = self.word[mine]
        return said


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Name the settings of heat maps, so that judgements of other maps are recognised.

    Args:
        settings: of the maps; anything that JSON can hold. They should name the run, too: maps of two runs may
            share every setting of the explainer.

    Returns:
        16 hexadecimal characters.

    Example:
        >>> settings_digest({"explainer": "rollout"}) == settings_digest({"explainer": "grad-cam"})
        False
    """
    return digest(dict(settings))[:16]


def read_judgements(files: str | Path | Sequence[str | Path], ids: Sequence[str], settings: str) -> Judgements:
    r"""Read the files that one or several reviewers saved.

    Args:
        files: CSV files with the columns id, judgement, reviewer and settings.
        ids: N unique names of the images of the run.
        settings: what `settings_digest` gives for the maps of the run.

    Returns:
        The judgements, in the order of the files.

    Raises:
        InputError: naming the file and the line, where a file cannot be read, a column is missing or empty, an image is
            not of this run, a word is not known, the maps were others, or somebody judged an image twice.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "ann.csv"
        >>> _ = path.write_text("id,judgement,reviewer,settings\nb,on the object,Ann,0123abcd\n")
        >>> read_judgements(path, ["a", "b"], "0123abcd").image
        array([1])
    """
    paths = [files] if isinstance(files, str | Path) else files
    if not paths:
        raise InputError("no file of judgements was given")
    index = {name: position for position, name in enumerate(ids)}
    first: dict[tuple[str, str], str] = {}
    rows = [row for path in paths for row in _rows(read_table(path, COLUMNS), index, settings, first)]
    image, word, reviewer = zip(*rows, strict=True)
    return Judgements(np.array(image, dtype=np.int64), np.array(word, dtype=np.int64), reviewer)


def _rows(
    table: Table, index: Mapping[str, int], settings: str, first: dict[tuple[str, str], str]
) -> list[tuple[int, int, str]]:
    """Check the lines of one file; `first` remembers where each reviewer judged each image."""
    rows = []
    fields = zip(*(table.columns[column] for column in COLUMNS), table.lines, strict=True)
    for name, word, reviewer, made_for, line in fields:
        where = f"{table.file}, line {line}"
        if made_for != settings:
            raise InputError(f"{where}: judged on other heat maps (settings {made_for}; this run has {settings})")
        if name not in index:
            raise InputError(f"{where}: image '{name}' is not of this run")
        if word not in WORDS:
            raise InputError(f"{where}: judgement '{word}' is not known; it must be one of: {', '.join(WORDS)}")
        before = first.setdefault((reviewer, name), where)
        if before != where:
            raise InputError(f"{where}: {reviewer} judged image '{name}' before ({before})")
        rows.append((index[name], WORDS.index(word), reviewer))
    return rows
