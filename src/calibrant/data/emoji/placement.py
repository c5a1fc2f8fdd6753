"""Drawings rotated, scaled and shifted into the image plane, in integers."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from calibrant.data.emoji.backgrounds import SIDE, Int32s, Planes
from calibrant.data.emoji.drawings import CANVAS
from calibrant.data.emoji.draws import Int64s

TURN = 1024
"""Angles are counted in 1024ths of a full turn."""

_SINE = np.array([round(16384 * math.sin(2 * math.pi * i / TURN)) for i in range(TURN)], np.int32)
# Pixel centres in half pixels
_X: Int32s = 2 * np.arange(SIDE, dtype=np.int32) + 1
_Y: Int32s = _X[:, None]
# Bytes 0 and 2 of a pixel; bytes 1 and 3 after a shift. Each has room for a product with 256 above it.
_EVEN = np.uint32(0x00FF00FF)


def place(
    pixels: npt.NDArray[np.uint32],
    drawing: Int64s,
    size: Int64s,
    angle: Int64s,
    centre: Int64s,
    mirror: Int64s,
) -> Planes:
    """Rotate, scale and shift drawings into the image plane.

    Args:
        pixels: drawings at two resolutions, as in `Drawings.pixels`, uint32 [K, ...].
        drawing: which of them, int64 [N].
        size: side of the drawing in the image, in pixels, int64 [N].
        angle: rotation in 1024ths of a turn, int64 [N].
        centre: (x, y) of the drawing's centre in half pixels, int64 [N, 2].
        mirror: 1 to mirror, else 0, int64 [N].

    Returns:
        Premultiplied red, green, blue and alpha, uint16 [4, N, 64, 64] in 0..255; zero outside the drawing.
    """
    half_size = size <= CANVAS * 5 // 8
    side = _per_scene(np.where(half_size, CANVAS // 2, CANVAS))
    cosine, sine = _per_scene(_SINE[(angle + TURN // 4) % TURN]), _per_scene(_SINE[angle])
    dx, dy = _X - _per_scene(centre[:, 0]), _Y - _per_scene(centre[:, 1])
    # 1/512 pixel of the image, times this, is 1/256 pixel of the drawing
    step = (side << 8) // _per_scene(size)
    u = (((cosine * dx + sine * dy) >> 6) * step) >> 9
    v = (((cosine * dy - sine * dx) >> 6) * step) >> 9
    u *= 1 - 2 * _per_scene(mirror)
    # What lies outside a drawing falls on its transparent margin
    u, v = (np.clip(axis + ((side << 7) - 128), 0, (side << 8) - 257) for axis in (u, v))
    first = drawing * pixels.shape[1] + np.where(half_size, CANVAS * CANVAS, 0)
    at = ((v >> 8) * side + (u >> 8)) + first[:, None, None]
    return _interpolate(pixels.reshape(-1), at, side, (u & 255).view(np.uint32), (v & 255).view(np.uint32))


def _per_scene(values: npt.NDArray[np.integer]) -> Int32s:
    return values.astype(np.int32)[:, None, None]


def _interpolate(
    flat: npt.NDArray[np.uint32],
    at: Int64s,
    side: Int32s,
    right: npt.NDArray[np.uint32],
    down: npt.NDArray[np.uint32],
) -> Planes:
    """Mix four neighbouring pixels: along the rows two channels at a time, then down the columns."""
    left, up = np.uint32(256) - right, np.uint32(256) - down
    corners = [flat.take(at + offset) for offset in (0, 1, side, side + 1)]
    out = np.empty((4, *at.shape), np.uint16)
    for odd in (0, 1):
        a, b, c, d = (corner >> np.uint32(8 * odd) & _EVEN for corner in corners)
        top, bottom = a * left + b * right, c * left + d * right
        out[odd] = ((top & np.uint32(0xFFFF)) * up + (bottom & np.uint32(0xFFFF)) * down) >> np.uint32(16)
        out[odd + 2] = ((top >> np.uint32(16)) * up + (bottom >> np.uint32(16)) * down) >> np.uint32(16)
    return out
