"""RISE: the score of an image seen through many random masks, credited to the pixels that were visible."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.models.preprocessing import draws
from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.black_box import Scorer, part_of, scorer
from calibrant.rationality.explainers.fillings import Filling, filled
from calibrant.rationality.explainers.scores import Score
from calibrant.tuning.tuned_model import Answers


class Rise(Explainer):
    """Randomised input sampling: r = sum_n (s_n - mean s) M_n / (N p), for N masks M_n and the scores s_n behind them.

    The mean is subtracted first, since cosines sit on a constant that is far larger than what differs between masks;
    the expected map stays the same up to a constant. All images meet the same masks.

    Args:
        masks: N, how many; the noise of a map falls with their square root.
        cells: a mask is a grid of so many cells on a side, each visible or not, enlarged and shifted at random.
        visible: p, the probability that a cell is visible.
        filling: what stands in the place of what is hidden, see `filled`.
        signed: keep negative relevance too (places that speak against the class), instead of 0.
        seed: of the masks.

    Attributes:
        at_once: images in one forward pass, or as many as the batch has if that is more; it changes no map.

    Raises:
        InputError: if there is not at least one mask and one cell, or the probability is not between 0 and 1.

    Source: Petsiuk et al. (2018). RISE: randomized input sampling for explanation of black-box models. BMVC (eq. 6;
    masks of section 3.2).

    Example:
        >>> Rise(masks=500).visible
        0.5
    """

    name: ClassVar[str] = "rise"
    paper: ClassVar[str] = "Petsiuk et al. 2018"
    explains: ClassVar[bool] = True
    at_once: int = 256

    def __init__(
        self,
        masks: int = 2000,
        cells: int = 8,
        visible: float = 0.5,
        filling: Filling = "mean",
        signed: bool = False,
        seed: int = 0,
    ) -> None:
        if masks < 1 or cells < 1:
            raise InputError(f"RISE needs at least one mask of one cell, not {masks} of {cells}")
        if not 0 < visible < 1:
            raise InputError(f"the share of visible cells must lie between 0 and 1, not {visible}")
        self.masks = masks
        self.cells = cells
        self.visible = visible
        self.filling = filling
        self.signed = signed
        self.seed = seed

    @torch.no_grad()
    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        hidden, size = filled(pixels, self.filling), (pixels.shape[-2], pixels.shape[-1])
        scored, many = scorer(model, classes, score), max(1, self.at_once // len(pixels))
        scores = torch.cat(
            [_seen_through(masks.to(pixels), pixels, hidden, targets, scored) for masks in self._masks(size, many)]
        )
        differing = scores.double() - scores.double().mean(dim=0)
        relevance = torch.zeros(len(pixels), size[0] * size[1], dtype=torch.float64, device=pixels.device)
        # the masks are drawn again, since all of them would not fit in memory
        for part, masks in zip(torch.split(differing, many), self._masks(size, many), strict=True):
            relevance += part.T @ masks.flatten(1).to(relevance)
        return part_of(relevance.view(-1, *size).float() / (self.masks * self.visible), self.signed)

    def _masks(self, size: tuple[int, int], many: int) -> Iterator[Tensor]:
        """Draw the masks, float32 [n, H, W] from 0 to 1, so many at a time."""
        draw = draws(self.seed, "masks of RISE")
        grids = torch.from_numpy(draw.random((self.masks, 1, self.cells, self.cells)) < self.visible).float()
        cell = [math.ceil(side / self.cells) for side in size]
        starts = draw.integers(0, cell, (self.masks, 2)).tolist()
        larger = [(self.cells + 1) * side for side in cell]
        for start in range(0, self.masks, many):
            enlarged = F.interpolate(grids[start : start + many], size=larger, mode="bilinear", align_corners=False)
            yield torch.stack(
                [
                    mask[0, top : top + size[0], left : left + size[1]]
                    for mask, (top, left) in zip(enlarged, starts[start : start + many], strict=True)
                ]
            )


def _seen_through(masks: Tensor, pixels: Tensor, hidden: Tensor, targets: Tensor, scored: Scorer) -> Tensor:
    """Score every image [B, 3, H, W] behind every mask [n, H, W], in one forward pass: [n, B]."""
    visible = masks[:, None, None]
    mixed = (visible * pixels + (1 - visible) * hidden).flatten(0, 1)
    return scored(mixed, targets.repeat(len(masks))).view(len(masks), len(pixels))
