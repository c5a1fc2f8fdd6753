"""Scenes: one drawing in front of a background, as a pure function of (evaluation set, index, seed).

Geometry and compositing use integers only, so that labels, masks and boxes are identical on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibrant.data.emoji.backgrounds import SIDE, Planes, backgrounds
from calibrant.data.emoji.draws import Draws, Int64s
from calibrant.data.emoji.placement import TURN, place


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

    def boxes(self) -> Int64s:
        """Find the tight boxes around the masks.

        Returns:
            (left, top, right, bottom) with right and bottom exclusive, int64 [N, 4]; zeros for an empty mask.
        """
        columns, rows = np.any(self.masks, axis=1), np.any(self.masks, axis=2)
        first, last = ([axis[:, ::way].argmax(1) for axis in (columns, rows)] for way in (1, -1))
        box = np.stack([*first, *(SIDE - back for back in last)], axis=1)
        return np.where(columns.any(axis=1, keepdims=True), box, 0)


def render(
    pixels: npt.NDArray[np.uint32],
    drawing: Int64s,
    distractor: Int64s,
    family: Int64s,
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
        draws: the random numbers of the N scenes.
        ink: colour that replaces the colours of a drawing, int32 [N, 3]; negative keeps them; None keeps all.

    Returns:
        Images and exact object masks.

    Example:
        >>> from calibrant.data.emoji.drawings import embedded
        >>> violin, plain = np.array([embedded().of("noto", "violin")]), np.array([0])
        >>> draws = Draws("a", np.arange(1), 0)
        >>> scenes = render(embedded().pixels, violin, violin, plain, Look(), draws)
        >>> scenes.images.shape, scenes.boxes().shape
        ((1, 64, 64, 3), (1, 4))
    """
    canvas = backgrounds(draws, family, look.background)
    second = draws.chance("distractor", look.distractor)
    in_front = second & draws.chance("in front", look.hidden)
    _add_second(canvas, second & ~in_front, pixels, distractor, look, draws)
    layer = _object(pixels, drawing, look, draws)
    if ink is not None:
        _colour(layer, ink)
    _cover(canvas, layer)
    over = _add_second(canvas, in_front, pixels, distractor, look, draws)
    masks = layer[3] >= 128
    masks[in_front] &= over < 128
    return Scenes(_photograph(canvas, look, draws), masks)


def _object(pixels: npt.NDArray[np.uint32], drawing: Int64s, look: Look, draws: Draws) -> Planes:
    """Place the object of each scene; nothing where there is none."""
    size = draws.between("size", *look.size)
    slack = np.maximum(2 * SIDE - 2 * size + 4 * size * look.out_of_frame // 100, 2)
    centre = np.stack([SIDE - slack // 2 + draws(f"centre {axis}", slack + 1) for axis in "xy"], axis=1)
    angle = draws.between("angle", -look.turn, look.turn) % TURN
    mirror = draws.chance("mirror", look.mirror).astype(np.int64)
    layer = place(pixels, np.maximum(drawing, 0), size, angle, centre, mirror)
    layer[:, drawing < 0] = 0
    return layer


def _add_second(
    canvas: Planes,
    chosen: npt.NDArray[np.bool_],
    pixels: npt.NDArray[np.uint32],
    distractor: Int64s,
    look: Look,
    draws: Draws,
) -> npt.NDArray[np.uint16]:
    """Draw the second drawing into the M chosen scenes, in place; give its alpha, uint16 [M, 64, 64]."""
    some = draws.of(chosen)
    size = some.between("second size", 16, 34)
    centre = np.stack([some.between(f"second centre {axis}", 8, 2 * SIDE - 8) for axis in "xy"], axis=1)
    angle = some.between("second angle", -look.turn, look.turn) % TURN
    layer = place(pixels, distractor[chosen], size, angle, centre, np.zeros(len(size), np.int64))
    part = canvas[:, chosen]
    _cover(part, layer)
    canvas[:, chosen] = part
    alpha: npt.NDArray[np.uint16] = layer[3]
    return alpha


def _cover(canvas: Planes, layer: Planes) -> None:
    """Lay a premultiplied layer over the canvas, in place."""
    canvas *= 255 - layer[3]
    canvas //= 255
    canvas += layer[:3]


def _colour(layer: Planes, ink: npt.NDArray[np.int32]) -> None:
    """Replace the colours of the drawings by those inks that are not negative, in place."""
    for plane, colour in zip(layer[:3], ink.T, strict=True):
        inked = colour >= 0
        plane[inked] = colour[inked].astype(np.uint16)[:, None, None] * layer[3][inked] // 255


def _photograph(canvas: Planes, look: Look, draws: Draws) -> npt.NDArray[np.uint8]:
    """Change brightness and add noise with a triangular distribution, uint8 [N, 64, 64, 3]."""
    light = 256 + draws.between("light", -look.light, look.light).astype(np.int32) * 256 // 100
    noise = draws.pixels("noise", SIDE * SIDE).reshape(-1, SIDE, SIDE)
    amplitude = draws.between("noise amplitude", 0, look.noise).astype(np.int32)[:, None, None]
    out = np.empty((*canvas.shape[1:], 3), np.uint8)
    for channel, plane in enumerate(canvas):
        bits = (noise >> np.uint32(10 * channel)).view(np.int32)
        grain = (bits & 31) + (bits >> 5 & 31)
        grain -= 31
        grain *= amplitude
        grain //= 31
        grain += plane * light[:, None, None] >> 8
        out[..., channel] = np.clip(grain, 0, 255, out=grain)
    return out
