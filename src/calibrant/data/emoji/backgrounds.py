"""Procedural backgrounds in integers: what a scene stands in front of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from calibrant.data.emoji.draws import Draws

SIDE = 64
FAMILIES = ("plain", "gradient", "stripes", "checks", "dots", "clouds")

I32 = npt.NDArray[np.int32]
_Y, _X = (axis.astype(np.int32) for axis in np.mgrid[:SIDE, :SIDE])


def _colour(draws: Draws, purpose: str, low: int, high: int) -> I32:
    return np.stack([draws.between(f"{purpose} {c}", low, high) for c in "rgb"], axis=1).astype(np.int32)


def _direction(draws: Draws) -> tuple[I32, I32]:
    """A direction in sixteenths, never zero: dx in 0..16, dy in -16..16."""
    dx = draws.between("direction x", 0, 16).astype(np.int32)
    dy = draws.between("direction y", -16, 16).astype(np.int32)
    return dx[:, None, None], np.where((dx == 0) & (dy == 0), 16, dy).astype(np.int32)[:, None, None]


def _along(draws: Draws) -> I32:
    dx, dy = _direction(draws)
    return dx * _X + dy * _Y


def _plain(draws: Draws) -> I32:
    return np.zeros((len(draws.bits("plain")), SIDE, SIDE), np.int32)


def _gradient(draws: Draws) -> I32:
    along = _along(draws)
    low = along.min((1, 2), keepdims=True)
    return (along - low) * 255 // (along.max((1, 2), keepdims=True) - low)


def _stripes(draws: Draws) -> I32:
    width = draws.between("width", 60, 200).astype(np.int32)[:, None, None]
    return (((_along(draws) + 4096) // width) % 2) * 255


def _checks(draws: Draws) -> I32:
    size = draws.between("size", 5, 16).astype(np.int32)[:, None, None]
    shift = draws.between("shift", 0, 15).astype(np.int32)[:, None, None]
    return (((_X + shift) // size + (_Y + shift) // size) % 2) * 255


def _dots(draws: Draws) -> I32:
    pitch = draws.between("pitch", 8, 18).astype(np.int32)[:, None, None]
    shift = draws.between("shift", 0, 17).astype(np.int32)[:, None, None]
    x, y = (2 * ((axis + shift) % pitch) - pitch + 1 for axis in (_X, _Y))
    radius = pitch * draws.between("radius", 4, 8).astype(np.int32)[:, None, None] // 10
    return np.where(x * x + y * y < radius * radius, 255, 0).astype(np.int32)


def _clouds(draws: Draws) -> I32:
    """Value noise: random values on a lattice, interpolated linearly, two octaves."""
    total = np.zeros((1, SIDE, SIDE), np.int32)
    for cells, weight in ((4, 2), (8, 1)):
        lattice = (draws.pixels(f"lattice {cells}", (cells + 1) ** 2) & np.uint32(255)).astype(np.int32)
        lattice = lattice.reshape(-1, cells + 1, cells + 1)
        step = SIDE // cells
        i, f = np.divmod(np.arange(SIDE, dtype=np.int32), step)
        rows = lattice[:, i] * (step - f)[:, None] + lattice[:, i + 1] * f[:, None]
        whole = rows[:, :, i] * (step - f) + rows[:, :, i + 1] * f
        total = total + weight * (whole // (step * step))
    return total // 3


_PATTERNS = {
    "plain": _plain,
    "gradient": _gradient,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "clouds": _clouds,
}


def backgrounds(
    draws: Draws, family: npt.NDArray[np.int64], brightness: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Draw one background per sample: two colours mixed by a pattern.

    Args:
        draws: the random numbers of N samples.
        family: index into `FAMILIES`, int64 [N].
        brightness: lowest and highest value of the colour channels.

    Returns:
        uint8 [N, 64, 64, 3].

    Example:
        >>> backgrounds(Draws("a", np.arange(2), 0), np.array([0, 5]), (0, 255)).shape
        (2, 64, 64, 3)
    """
    pattern = np.empty((len(family), SIDE, SIDE, 1), np.int32)
    for number, name in enumerate(FAMILIES):
        chosen = family == number
        if chosen.any():
            pattern[chosen, ..., 0] = _PATTERNS[name](draws.of(chosen))
    first, second = (_colour(draws, purpose, *brightness)[:, None, None] for purpose in ("first", "second"))
    # The two colours keep a little distance from each other's extremes, so that the drawing stays the main thing
    return (first + (second - first) * pattern // 340).astype(np.uint8)
