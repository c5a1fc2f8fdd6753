"""Images that are almost the same, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibrant.reporting.gallery import data_address
from calibrant.reporting.results import NearDuplicate

SHOWN = 12


@dataclass(frozen=True)
class Pair:
    """Two images that are almost the same; the sources are empty where there are no pictures."""

    names: tuple[str, str]
    splits: tuple[str, str]
    sources: tuple[str, ...]

    @property
    def crosses(self) -> bool:
        """Whether they lie in different splits."""
        return self.splits[0] != self.splits[1]


@dataclass(frozen=True)
class Pairs:
    """The pairs that are shown, and how many there are."""

    shown: tuple[Pair, ...]
    found: int
    crossing: int


def pairs(near_duplicates: Sequence[NearDuplicate]) -> Pairs | None:
    """Choose the pairs to show, those in different splits first, and fetch their pictures.

    Args:
        near_duplicates: all pairs of a run.

    Returns:
        The pairs, or None if there are none.
    """
    if not near_duplicates:
        return None
    crossing = [one for one in near_duplicates if one.first_split != one.second_split]
    others = [one for one in near_duplicates if one.first_split == one.second_split]
    chosen = tuple(_pair(one) for one in [*crossing, *others][:SHOWN])
    return Pairs(chosen, len(near_duplicates), len(crossing))


def _pair(one: NearDuplicate) -> Pair:
    names, splits = (one.first, one.second), (one.first_split, one.second_split)
    pictures = [] if one.images is None else one.images(names)
    return Pair(names, splits, tuple(data_address(picture) for picture in pictures))
