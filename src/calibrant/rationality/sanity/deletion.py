"""Do maps name what the answer rests on? Pixels are removed or shown in the order of their relevance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from calibrant.arrays import Array, Float64, Int64, as_labels
from calibrant.errors import InputError
from calibrant.models.preprocessing import draws
from calibrant.rationality.explainers.base import pixels_of
from calibrant.rationality.explainers.fillings import Filling, filled
from calibrant.rationality.heat_maps import HeatMaps, resized
from calibrant.tuning.tuned_model import Answers


@dataclass(frozen=True, eq=False)
class DeletionCurves:
    """How the probability of the target falls while the most relevant pixels go, and rises while they come.

    Args:
        shares: float64 [K + 1], the share of pixels that are removed or shown, from 0 to 1.
        deletion: float64 [N, K + 1], the probability of the target without the most relevant pixels.
        insertion: float64 [N, K + 1], its probability with none but the most relevant pixels.
        filling: what stands in the place of pixels that are not shown.
    """

    shares: Float64
    deletion: Float64
    insertion: Float64
    filling: Filling

    @property
    def deletion_area(self) -> Float64:
        """Area under each deletion curve, float64 [N]; small where a map names what the answer rests on."""
        area: Float64 = np.asarray(np.trapezoid(self.deletion, self.shares, axis=1))
        return area

    @property
    def insertion_area(self) -> Float64:
        """Area under each insertion curve, float64 [N]; large where a map names what the answer rests on."""
        area: Float64 = np.asarray(np.trapezoid(self.insertion, self.shares, axis=1))
        return area


def deletion_curves(
    model: Answers,
    images: Any,
    targets: Any,
    heat_maps: HeatMaps,
    *,
    classes: Sequence[str],
    steps: int = 16,
    filling: Filling = "blur",
    seed: int = 0,
    at_once: int = 256,
) -> DeletionCurves:
    """Remove pixels, and show them, in the order of their relevance.

    An area says something beside that of another explainer, or of a map without content (`uniform`: a random order),
    on the same images with the same filling; by itself it depends on the model and on the filling.

    Args:
        model: a tuned model or its zero-shot reference.
        images: N images, uint8 [H, W, 3] each, or float [N, 3, S, S] as the model's test transform gives them.
        targets: int [N], index into the classes.
        heat_maps: of these images, in this order.
        classes: C names, over which the probability is taken.
        steps: K, in how many equal parts the pixels go.
        filling: what stands in the place of removed pixels, see `filled`.
        seed: of the order among pixels of equal relevance.
        at_once: images in one forward pass.

    Returns:
        The curves.

    Raises:
        InputError: if there are not as many maps as images, or less than one step.

    Source: Petsiuk et al. (2018). RISE: randomized input sampling for explanation of black-box models. BMVC (section
    4.1).
    """
    if steps < 1:
        raise InputError(f"pixels must be removed in at least one step, not {steps}")
    if len(heat_maps.maps) != len(images):
        raise InputError(f"there are {len(images)} images but {len(heat_maps.maps)} maps")
    labels = as_labels(targets, len(images), len(classes))
    shares, found = np.linspace(0, 1, steps + 1), []
    for start, pixels in prepared(model, images, max(1, at_once // (2 * steps + 2))):
        here = slice(start, start + len(pixels))
        rank = removal_rank(heat_maps.maps[here], (pixels.shape[-2], pixels.shape[-1]), seed, start)
        gone = torch.from_numpy(rank < shares[:, None, None, None]).to(pixels)
        found.append(_probabilities(model, pixels, filled(pixels, filling), gone, labels[here], classes))
    deletion, insertion = np.concatenate(found, axis=2)
    return DeletionCurves(shares, deletion.T, insertion.T, filling)


def removal_rank(maps: Array, size: tuple[int, int], seed: int = 0, start: int = 0) -> Float64:
    """Give every pixel its place in the order of relevance, the most relevant one first.

    Args:
        maps: [N, h, w].
        size: H and W of the images.
        seed: of the order among pixels of equal relevance.
        start: the number of the first image, so that an order does not depend on the batch.

    Returns:
        float64 [N, H, W], from 0 to just below 1.

    Example:
        >>> removal_rank(np.array([[[1.0, 4.0], [2.0, 3.0]]]), (2, 2))
        array([[[0.75, 0.  ],
                [0.5 , 0.25]]])
    """
    flat = resized(maps, size).reshape(len(maps), -1)
    rank = np.empty(flat.shape)
    for at, relevance in enumerate(flat):
        # equal pixels from top to bottom would be an order of its own
        tied = draws(seed, "order of equal pixels", start + at).random(len(relevance))
        rank[at, np.lexsort((tied, -relevance))] = np.arange(len(relevance)) / len(relevance)
    return rank.reshape(len(maps), *size)


@torch.no_grad()
def _probabilities(
    model: Answers, pixels: Tensor, empty: Tensor, gone: Tensor, labels: Int64, classes: Sequence[str]
) -> Float64:
    """Give the probability of the target of B images without, and with nothing but, K + 1 parts: [2, K + 1, B].

    Args:
        model: answers.
        pixels: [B, 3, H, W].
        empty: what stands where pixels are not shown, [B, 3, H, W].
        gone: [K + 1, B, H, W], 1 for the most relevant pixels.
        labels: int64 [B].
        classes: C names.
    """
    most = gone[:, :, None]
    changed = torch.stack([pixels * (1 - most) + empty * most, pixels * most + empty * (1 - most)])
    logits = model.logits(changed.flatten(0, 2), classes)
    probabilities = logits.double().softmax(dim=1).view(2, len(gone), len(pixels), -1)
    index = torch.from_numpy(labels).to(logits.device).expand(2, len(gone), -1)
    found: Float64 = probabilities.gather(3, index[..., None])[..., 0].cpu().numpy()
    return found


def prepared(model: Answers, images: Any, many: int) -> Iterator[tuple[int, Tensor]]:
    """Give the images as the model reads them, so many at a time, each time with the number of the first one."""
    for start in range(0, len(images), many):
        yield start, pixels_of(model, images[start : start + many])
