"""Procedural backgrounds in integers: what a scene stands in front of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from calibrant.data.emoji.draws import Draws, Int64s

SIDE = 64
"""Side of a scene in pixels."""

FAMILIES = ("plain", "gradient", "stripes", "checks", "dots", "clouds")

Int32s = npt.NDArray[np.int32]
Planes = npt.NDArray[np.uint16]
"""Colour channels one after the other, [channels, N, 64, 64], values in 0..255."""

_X: Int32s = np.arange(SIDE, dtype=np.int32)
_Y: Int32s = _X[:, None]


def backgrounds(draws: Draws, family: Int64s, brightness: tuple[int, int]) -> Planes:
    """Draw one background per scene: two colours mixed by a pattern.

    Args:
        draws: the random numbers of N scenes.
        family: index into `FAMILIES`, int64 [N].
        brightness: lowest and highest value of the colour channels.

    Returns:
        Red, green and blue, uint16 [3, N, 64, 64].

    Example:
        >>> backgrounds(Draws("a", np.arange(2), 0), np.array([0, 5]), (0, 255)).shape
        (3, 2, 64, 64)
    """
    pattern = np.empty((len(family), SIDE, SIDE), np.int32)
    for number, name in enumerate(FAMILIES):
        chosen = family == number
        if chosen.any():
            pattern[chosen] = _PATTERNS[name](draws.of(chosen))
    planes = np.empty((3, *pattern.shape), np.uint16)
    for plane, channel in zip(planes, "rgb", strict=True):
        first, second = (_drawn(draws, f"{colour} {channel}", *brightness) for colour in ("first", "second"))
        # Only three quarters of the way to the second colour, so that the drawing stays the main thing
        plane[:] = first + (second - first) * pattern // 340
    return planes


def _drawn(draws: Draws, purpose: str, low: int, high: int) -> Int32s:
    """Draw one number in [low, high] per scene, int32 [N, 1, 1]."""
    return draws.between(purpose, low, high).astype(np.int32)[:, None, None]


def _along(draws: Draws) -> Int32s:
    """Measure how far each pixel lies along a random direction, in sixteenths of a pixel."""
    dx, dy = _drawn(draws, "direction x", 0, 16), _drawn(draws, "direction y", -16, 16)
    dy[(dx == 0) & (dy == 0)] = 16
    return dx * _X + dy * _Y


def _plain(draws: Draws) -> Int32s:
    return np.zeros((len(draws), SIDE, SIDE), np.int32)


def _gradient(draws: Draws) -> Int32s:
    along = _along(draws)
    along -= along.min((1, 2), keepdims=True)
    farthest: Int32s = along.max((1, 2), keepdims=True)
    return along * 255 // farthest


def _stripes(draws: Draws) -> Int32s:
    return (_along(draws) + 4096) // _drawn(draws, "width", 60, 200) % 2 * 255


def _checks(draws: Draws) -> Int32s:
    size, shift = _drawn(draws, "size", 5, 16), _drawn(draws, "shift", 0, 15)
    return ((_X + shift) // size + (_Y + shift) // size) % 2 * 255


def _dots(draws: Draws) -> Int32s:
    pitch, shift = _drawn(draws, "pitch", 8, 18), _drawn(draws, "shift", 0, 17)
    x, y = (2 * ((axis + shift) % pitch) - pitch + 1 for axis in (_X, _Y))
    radius = pitch * _drawn(draws, "radius", 4, 8) // 10
    return np.where(x * x + y * y < radius * radius, np.int32(255), np.int32(0))


def _clouds(draws: Draws) -> Int32s:
    """Value noise: random values on a lattice, interpolated linearly, two octaves."""
    total = np.zeros((len(draws), SIDE, SIDE), np.int32)
    for cells, weight in ((4, 2), (8, 1)):
        lattice = (draws.pixels(f"lattice {cells}", (cells + 1) ** 2) & np.uint32(255)).astype(np.int32)
        lattice = lattice.reshape(-1, cells + 1, cells + 1)
        step = SIDE // cells
        cell, rest = np.divmod(np.arange(SIDE, dtype=np.int32), step)
        rows = lattice[:, cell] * (step - rest)[:, None] + lattice[:, cell + 1] * rest[:, None]
        whole = rows[:, :, cell] * (step - rest) + rows[:, :, cell + 1] * rest
        total += weight * (whole // (step * step))
    return total // 3


_PATTERNS: dict[str, Callable[[Draws], Int32s]] = {
    "plain": _plain,
    "gradient": _gradient,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "clouds": _clouds,
}
"""Family to its pattern: int32 [N, 64, 64], the share of the second colour in 0..255."""
