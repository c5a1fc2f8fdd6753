"""The drawings that pre-training sees, and the scenes it makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from calibrant.data.emoji.backgrounds import FAMILIES
from calibrant.data.emoji.drawings import Drawings, concepts
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.scenes import Look, render

INK_SETS = ("ph", "mdi", "tabler", "game-icons", "fa6-solid")
# Shares of the scenes: classes of the benchmark, other emoji, icons of other families
SHARES = {"class": 0.6, "emoji": 0.12, "icon": 0.28}
EMOJI_SETS = ("noto", "noto-v1", "twemoji", "fxemoji")


class Pool:
    """Drawings with their concept and how often each is shown.

    Args:
        path: the pack that `build_emoji.py pool` writes.
    """

    def __init__(self, path: Path) -> None:
        drawings = Drawings.read(path)
        self.pixels = drawings.pixels
        names = [name for _, name in drawings.place]
        styles = [style for style, _ in drawings.place]
        self.concepts = sorted(set(names))
        number = {name: i for i, name in enumerate(self.concepts)}
        self.concept = np.array([number[name] for name in names])
        self.takes_ink = np.array([style in INK_SETS for style in styles])
        classes = {concept.name for concept in concepts()}
        kind = np.array(
            ["icon" if style not in EMOJI_SETS else "class" if name in classes else "emoji"
             for style, name in zip(styles, names, strict=True)]
        )  # fmt: skip
        self.cumulative = np.cumsum(sum((kind == k) * share / max((kind == k).sum(), 1) for k, share in SHARES.items()))

    def scenes(
        self, seed: int, step: int, count: int, hardness: float
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Render the scenes of one step, a pure function of seed, step and hardness.

        Args:
            seed: the seed of the stage.
            step: the step.
            count: how many scenes N.
            hardness: 0 for large drawings on quiet backgrounds, 1 for the benchmark's own distribution and beyond.

        Returns:
            Images uint8 [N, 64, 64, 3] and drawing numbers int64 [N]; `concept` says what they show.
        """
        draws = Draws("pre-training", np.arange(count) + step * count, seed)
        drawing, distractor = (self._draw(draws, purpose) for purpose in ("drawing", "distractor drawing"))
        family = np.where(
            draws.chance("quiet", round(100 - 80 * hardness)),
            draws("quiet family", 2),
            draws("family", len(FAMILIES)),
        )
        look = Look(
            size=(round(57 - 35 * hardness), 62),
            turn=round(55 * hardness),
            mirror=round(50 * min(1.0, 2 * hardness)),
            distractor=round(25 * hardness),
            hidden=20,
            noise=round(4 + 12 * hardness),
            light=round(10 + 15 * hardness),
            background=(30, 255),
            out_of_frame=round(10 * hardness),
        )
        ink = np.stack([draws(f"ink {c}", 256) for c in "rgb"], axis=1).astype(np.int32)
        ink[draws.chance("black ink", 50)] = 0
        ink[~self.takes_ink[drawing]] = -1
        return render(self.pixels, drawing, distractor, family, look, draws, ink).images, drawing

    def _draw(self, draws: Draws, purpose: str) -> npt.NDArray[np.int64]:
        share = (draws.bits(purpose) >> np.uint64(11)).astype(np.float64) / 2**53
        return np.searchsorted(self.cumulative / self.cumulative[-1], share, side="right").astype(np.int64)


def vary(images: torch.Tensor, hardness: float, generator: torch.Generator) -> torch.Tensor:
    """Change the colours of some scenes, so that shape counts: greyscale, swapped channels, outlines, negatives.

    Args:
        images: float [N, 3, H, W] in 0..1.
        hardness: 0 changes none, 1 changes 43 % of them.
        generator: the draws of this step.

    Returns:
        The varied images, float [N, 3, H, W] in 0..1.
    """
    draw = torch.rand(len(images), generator=generator) / max(hardness, 1e-6)
    out = images.clone()
    grey = images.mean(1, keepdim=True).expand_as(images)
    out[draw < 0.15] = grey[draw < 0.15]
    swapped = (draw >= 0.15) & (draw < 0.3)
    out[swapped] = images[swapped][:, torch.randperm(3, generator=generator)]
    lined = (draw >= 0.3) & (draw < 0.38)
    dx = (grey[lined] - grey[lined].roll(1, 3)).abs()
    dy = (grey[lined] - grey[lined].roll(1, 2)).abs()
    out[lined] = 1 - (2.5 * torch.maximum(dx, dy)).clamp(max=1)
    negative = (draw >= 0.38) & (draw < 0.43)
    out[negative] = 1 - images[negative]
    return out
