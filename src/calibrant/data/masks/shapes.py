"""Boxes and polygons, drawn as masks: a pixel belongs to a shape if its centre does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from calibrant.errors import InputError

Mask = npt.NDArray[np.bool_]
BEYOND = 1.0
"""Pixels by which a shape may reach over the border: sources round, and count pixels from 0 or from 1."""


class Shape(Protocol):
    """Where an object is."""

    def draw(self, height: int, width: int) -> Mask:
        """Draw the object, bool [H, W]; `InputError` if it does not belong to an image of that size."""
        ...


@dataclass(frozen=True)
class Box:
    """A rectangle, by its edges in pixels; 0, 0 is the outer corner of the first pixel.

    Args:
        left: its left edge.
        top: its upper edge.
        right: its right edge, greater than `left`.
        bottom: its lower edge, greater than `top`.

    Raises:
        InputError: if it has no area or an edge is not a finite number.

    Example:
        >>> Box(1, 0, 3, 1).draw(2, 4).astype(int).tolist()
        [[0, 1, 1, 0], [0, 0, 0, 0]]
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        edges = self.left, self.top, self.right, self.bottom
        shown = f"box {_shown(edges)}"
        if not np.isfinite(edges).all():
            raise InputError(f"{shown} is not made of finite numbers")
        if self.right <= self.left:
            raise InputError(f"{shown}: right ({self.right:g}) must be greater than left ({self.left:g})")
        if self.bottom <= self.top:
            raise InputError(f"{shown}: bottom ({self.bottom:g}) must be greater than top ({self.top:g})")

    def draw(self, height: int, width: int) -> Mask:
        """Draw the box.

        Args:
            height: of the image, in pixels.
            width: of the image, in pixels.

        Returns:
            bool [H, W].

        Raises:
            InputError: if it reaches more than a pixel over the border.
        """
        edges = self.left, self.top, self.right, self.bottom
        _refuse_outside(f"box {_shown(edges)}", edges, height, width)
        mask = np.zeros((height, width), dtype=bool)
        left, top, right, bottom = (max(0, int(edge)) for edge in np.ceil(np.array(edges) - 0.5))
        mask[top:bottom, left:right] = True
        return mask


@dataclass(frozen=True)
class Polygon:
    """The inside of a closed line; where the line crosses itself, what it goes round twice is outside.

    Args:
        points: corners (x, y) in pixels, three or more; 0, 0 is the outer corner of the first pixel.

    Raises:
        InputError: if there are fewer than three corners, or one is not finite.

    Example:
        >>> Polygon(((0, 0), (4, 0), (0, 4))).draw(4, 4).astype(int).tolist()
        [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if len(self.points) < 3:
            raise InputError(f"a polygon needs three corners, but this one has {len(self.points)}")
        if not np.isfinite(self.points).all():
            raise InputError("a polygon has a corner that is not made of finite numbers")

    def draw(self, height: int, width: int) -> Mask:
        """Draw the polygon.

        Args:
            height: of the image, in pixels.
            width: of the image, in pixels.

        Returns:
            bool [H, W].

        Raises:
            InputError: if it reaches more than a pixel over the border.
        """
        corners = np.array(self.points, dtype=np.float64)
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        _refuse_outside("a polygon", (left, top, right, bottom), height, width)
        row, x = _crossings(corners, height)
        # from each crossing of a row onwards the pixels change sides
        changes = np.zeros((height, width + 1), dtype=np.int64)
        np.add.at(changes, (row, np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)), 1)
        inside: Mask = changes.cumsum(axis=1)[:, :width] % 2 == 1
        return inside


def _crossings(corners: npt.NDArray[np.float64], height: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Where the edges cross the middle lines of the rows: the rows, and how far from the left."""
    (x0, y0), (x1, y1) = corners.T, np.roll(corners, -1, axis=0).T
    first, last = (
        np.clip(np.ceil(y - 0.5), 0, height).astype(np.int64) for y in (np.minimum(y0, y1), np.maximum(y0, y1))
    )
    count = last - first
    edge = np.repeat(np.arange(len(corners)), count)
    row = np.arange(len(edge)) - np.repeat(count.cumsum() - count, count) + first[edge]
    along = (row + 0.5 - y0[edge]) / (y1 - y0)[edge]
    return row, x0[edge] + along * (x1 - x0)[edge]


def _refuse_outside(what: str, edges: tuple[float, float, float, float], height: int, width: int) -> None:
    left, top, right, bottom = edges
    if min(left, top) < -BEYOND or right > width + BEYOND or bottom > height + BEYOND:
        reach = f"reaches from {left:g}, {top:g} to {right:g}, {bottom:g}"
        raise InputError(f"{what} lies outside the image: it {reach}, the image has {width} x {height} pixels")


def _shown(values: Iterable[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
