"""How far the evidence of each image lies on its object: maps against masks, both as the model sees them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from calibrant.arrays import Float64
from calibrant.errors import InputError
from calibrant.rationality import (
    HeatMaps,
    best_iou,
    centre_mass,
    object_area,
    pointing_game,
    relevance_mass,
    relevance_rank,
    resized,
)

if TYPE_CHECKING:
    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.models.preprocessing import Preprocessing
    from calibrant.rationality.heat_maps import Bool

BLOCK = 64  # images whose masks and enlarged maps are in memory at a time


@dataclass(frozen=True, eq=False)
class Evidence:
    """What masks say about the heat maps of N images; NaN where a map holds no evidence.

    Args:
        relevance_mass: float64 [N], share of the relevance that lies on the object.
        relevance_rank: float64 [N], share of the most relevant pixels that do, as many as the object has.
        pointing_game: float64 [N], whether the most relevant pixel does.
        best_iou: float64 [N], largest overlap of the object with the map above a threshold.
        area: float64 [N], share of what the model sees that the object covers.
        centre: float64 [N], relevance mass of a Gaussian at the centre of the image, which never looks at it.
    """

    relevance_mass: Float64
    relevance_rank: Float64
    pointing_game: Float64
    best_iou: Float64
    area: Float64
    centre: Float64

    @property
    def outside(self) -> Bool:
        """Whether the model sees nothing of the object, bool [N]."""
        return np.asarray(self.area == 0)


def evidence_of(maps: HeatMaps, chosen: EvaluationSet, preprocessing: Preprocessing) -> Evidence:
    """Measure the heat maps of an evaluation set against its masks.

    Args:
        maps: of the N images, in their order.
        chosen: N images with masks.
        preprocessing: of the model that was explained, by which masks are resized and cropped.

    Returns:
        One value of each kind per image.

    Raises:
        InputError: if the set has no masks, or the mask of an image is not of its size, naming it.
    """
    if chosen.masks is None:
        raise InputError(f"{chosen.name} has no object masks")
    blocks: list[Evidence] = []
    for start in range(0, len(chosen), BLOCK):
        rows = range(start, min(start + BLOCK, len(chosen)))
        seen = np.stack([seen_mask(chosen, row, preprocessing) for row in rows])
        large = resized(maps.maps[rows.start : rows.stop], (seen.shape[1], seen.shape[2]))
        block = Evidence(
            relevance_mass(large, seen),
            relevance_rank(large, seen),
            pointing_game(large, seen),
            best_iou(large, seen),
            object_area(seen),
            centre_mass(seen),
        )
        blocks.append(block)
    names = [one.name for one in fields(Evidence)]
    return Evidence(**{name: np.concatenate([getattr(block, name) for block in blocks]) for name in names})


def seen_mask(chosen: EvaluationSet, row: int, preprocessing: Preprocessing) -> Bool:
    """Give the object of one image as the model sees it, bool [S, S].

    Args:
        chosen: images with masks.
        row: which.
        preprocessing: of the model.

    Raises:
        InputError: if the mask is not of the size of its image, naming the image.
    """
    assert chosen.masks is not None
    mask = np.asarray(chosen.masks[row])
    size = np.asarray(chosen.images[row]).shape[:2]
    if mask.shape != size:
        raise InputError(
            f"image '{chosen.ids[row]}' has {size[1]} x {size[0]} pixels, but its mask has "
            f"{' x '.join(str(side) for side in reversed(mask.shape))}"
        )
    return preprocessing.mask(mask)
