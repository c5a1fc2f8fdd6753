"""Scenes: one drawing in front of a background, as a pure function of (evaluation set, index, seed).

Geometry and compositing use integers only, so that labels, masks and boxes are identical on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibrant.data.emoji.backgrounds import SIDE, backgrounds
from calibrant.data.emoji.drawings import CANVAS
from calibrant.data.emoji.draws import Draws

TURN = 1024
"""Angles are counted in 1024ths of a full turn."""

_SINE = np.array([round(16384 * math.sin(2 * math.pi * i / TURN)) for i in range(TURN)], np.int32)
_HALF = CANVAS * CANVAS
_Y, _X = ((2 * axis + 1).astype(np.int32) for axis in np.mgrid[:SIDE, :SIDE])

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Look:
    """The distribution of scenes of one evaluation set; sizes in pixels, chances in percent.

    Args:
        size: smallest and largest side of the drawing.
        turn: largest rotation to either side, in 1024ths of a full turn.
        mirror: chance of a mirrored drawing.
        distractor: chance of a second drawing.
        hidden: chance that the second drawing may cover part of the object; otherwise it stands behind it.
        noise: largest amplitude of the pixel noise, in grey levels.
        light: largest change of brightness, in percent.
        background: lowest and highest value of the background's colour channels.
        out_of_frame: how far the drawing may leave the image, in percent of its size.
    """

    size: tuple[int, int] = (30, 58)
    turn: int = 42
    mirror: int = 50
    distractor: int = 20
    hidden: int = 0
    noise: int = 12
    light: int = 20
    background: tuple[int, int] = (40, 250)
    out_of_frame: int = 5


@dataclass(frozen=True)
class Scenes:
    """A batch of rendered scenes: images uint8 [N, 64, 64, 3] and object masks bool [N, 64, 64]."""

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]

    def boxes(self) -> I64:
        """Find the tight boxes (left, top, right, bottom; right and bottom exclusive), int64 [N, 4]; zeros where empty."""
        rows, columns = self.masks.any(2), self.masks.any(1)
        box = np.stack(
            [
                columns.argmax(1),
                rows.argmax(1),
                SIDE - columns[:, ::-1].argmax(1),
                SIDE - rows[:, ::-1].argmax(1),
            ],
            axis=1,
        )
        return np.where(rows.any(1)[:, None], box, 0)


def place(
    pixels: npt.NDArray[np.uint32], drawing: I64, size: I64, angle: I64, centre: I64, mirror: I64
) -> npt.NDArray[np.int32]:
    """Rotate, scale and shift drawings into the image plane.

    Args:
        pixels: drawings at two resolutions, uint32 [K, ...], premultiplied RGBA.
        drawing: which of them, int64 [N].
        size: side of the drawing in the image, in pixels, int64 [N].
        angle: rotation in 1024ths of a turn, int64 [N].
        centre: (x, y) of the drawing's centre in half pixels, int64 [N, 2].
        mirror: 1 to mirror, else 0, int64 [N].

    Returns:
        Premultiplied RGBA, int32 [N, 64, 64, 4] in 0..255.
    """
    half_size = size <= CANVAS * 5 // 8
    side = np.where(half_size, CANVAS // 2, CANVAS).astype(np.int32)[:, None, None]
    cosine, sine = (_SINE[(angle + quarter) % TURN][:, None, None] for quarter in (TURN // 4, 0))
    dx, dy = _X - centre[:, :1, None].astype(np.int32), _Y - centre[:, 1:, None].astype(np.int32)
    # 1/512 pixel in the image plane; then 1/256 pixel of the drawing
    step = ((side << 8) // size.astype(np.int32)[:, None, None]).astype(np.int32)
    u = (((cosine * dx + sine * dy) >> 6) * step) >> 9
    v = (((cosine * dy - sine * dx) >> 6) * step) >> 9
    u = np.where(mirror[:, None, None] == 1, -u, u)
    limit = (side << 8) - 257
    u, v = (np.clip(w + (side << 7) - 128, 0, limit) for w in (u, v))
    first = drawing[:, None, None] * pixels.shape[1] + np.where(half_size, _HALF, 0)[:, None, None]
    at = first + (v >> 8) * side + (u >> 8)
    return _interpolate(pixels.reshape(-1), at, side, u & 255, v & 255)


def _interpolate(flat: npt.NDArray[np.uint32], at: I64, side: npt.NDArray[np.int32], fu: npt.NDArray[np.int32],
                 fv: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:  # fmt: skip
    """Mix four neighbours in integers, two channels at a time: the bytes 0 and 2, and 1 and 3, of each pixel."""
    weights = ((256 - fu) * (256 - fv), fu * (256 - fv), (256 - fu) * fv, fu * fv)
    corners = (0, 1, side, side + 1)
    out = np.zeros((*at.shape, 4), np.int32)
    low = np.zeros(at.shape, np.uint64)
    high = np.zeros(at.shape, np.uint64)
    for corner, weight in zip(corners, weights, strict=True):
        texel = flat[at + corner].astype(np.uint64)
        w = weight.astype(np.uint64)
        # bytes 0 and 1, then 2 and 3, spread to 32-bit lanes so that byte * 65536 cannot spill over
        low += ((texel & np.uint64(0xFF)) | ((texel & np.uint64(0xFF00)) << np.uint64(24))) * w
        high += (
            ((texel >> np.uint64(16)) & np.uint64(0xFF)) | ((texel >> np.uint64(24)) << np.uint64(32))
        ) * w
    for channel, (lane, shift) in enumerate(((low, 16), (low, 48), (high, 16), (high, 48))):
        out[..., channel] = ((lane >> np.uint64(shift)) & np.uint64(0xFF)).astype(np.int32)
    return out


def render(
    pixels: npt.NDArray[np.uint32],
    drawing: I64,
    distractor: I64,
    family: I64,
    look: Look,
    draws: Draws,
    ink: npt.NDArray[np.int32] | None = None,
) -> Scenes:
    """Render N scenes.

    Args:
        pixels: the drawings, as in `Drawings.pixels`.
        drawing: the object of each scene, int64 [N]; -1 for none.
        distractor: the second drawing of each scene where `look` asks for one, int64 [N].
        family: background family, int64 [N].
        look: the distribution of the scenes.
        draws: the random numbers of the N samples.
        ink: colour that replaces the colours of a drawing, int32 [N, 3]; negative keeps them; None keeps all.

    Returns:
        Images and exact object masks.
    """
    canvas = backgrounds(draws, family, look.background).astype(np.int32)
    second = draws.chance("distractor", look.distractor)
    front = second & draws.chance("in front", look.hidden)
    hidden = np.zeros((len(drawing), SIDE, SIDE), np.int32)
    _draw_second(canvas, hidden, second & ~front, pixels, distractor, look, draws)
    size = draws.between("size", *look.size)
    slack = np.maximum(2 * SIDE - 2 * size + 4 * size * look.out_of_frame // 100, 2)
    centre = np.stack([SIDE - slack // 2 + draws(f"centre {axis}", slack + 1) for axis in "xy"], axis=1)
    angle = draws.between("angle", -look.turn, look.turn) % TURN
    mirror = draws.chance("mirror", look.mirror).astype(np.int64)
    layer = place(pixels, np.maximum(drawing, 0), size, angle, centre, mirror)
    layer[drawing < 0] = 0
    if ink is not None:
        coloured = ink[:, None, None] * layer[..., 3:] // 255
        layer[..., :3] = np.where(ink[:, None, None] >= 0, coloured, layer[..., :3])
    canvas[:] = layer[..., :3] + canvas * (255 - layer[..., 3:]) // 255
    _draw_second(canvas, hidden, front, pixels, distractor, look, draws)
    masks = (layer[..., 3] >= 128) & (hidden < 128)
    return Scenes(_photograph(canvas, look, draws), masks)


def _draw_second(canvas: npt.NDArray[np.int32], hidden: npt.NDArray[np.int32], chosen: npt.NDArray[np.bool_],
                 pixels: npt.NDArray[np.uint32], distractor: I64, look: Look, draws: Draws) -> None:  # fmt: skip
    """Draw the second drawing of the chosen scenes into the canvas, and note what it hides."""
    if not chosen.any():
        return
    some = draws.of(chosen)
    size = some.between("second size", 16, 34)
    centre = np.stack([some.between(f"second centre {axis}", 8, 2 * SIDE - 8) for axis in "xy"], axis=1)
    angle = some.between("second angle", -look.turn, look.turn) % TURN
    layer = place(pixels, distractor[chosen], size, angle, centre, np.zeros(len(size), np.int64))
    canvas[chosen] = layer[..., :3] + canvas[chosen] * (255 - layer[..., 3:]) // 255
    hidden[chosen] = layer[..., 3]


def _photograph(canvas: npt.NDArray[np.int32], look: Look, draws: Draws) -> npt.NDArray[np.uint8]:
    """Change brightness and add noise with a triangular distribution."""
    light = 256 + draws.between("light", -look.light, look.light).astype(np.int32) * 256 // 100
    noise = draws.pixels("noise", SIDE * SIDE).reshape(-1, SIDE, SIDE)
    amplitude = draws.between("noise amplitude", 0, look.noise).astype(np.int32)[:, None, None]
    out = np.empty(canvas.shape, np.uint8)
    for channel in range(3):
        bits = (noise >> np.uint32(10 * channel)).astype(np.int32)
        grain = ((bits & 31) + ((bits >> 5) & 31) - 31) * amplitude // 31
        out[..., channel] = np.clip((canvas[..., channel] * light[:, None, None] >> 8) + grain, 0, 255)
    return out
