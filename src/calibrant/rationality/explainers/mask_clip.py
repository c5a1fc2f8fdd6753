"""MaskCLIP: what every patch would say by its value alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from calibrant.errors import InputError
from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.black_box import scorer
from calibrant.rationality.explainers.readers import in_place_of, side_by_side
from calibrant.rationality.explainers.scores import Score
from calibrant.rationality.explainers.towers import tower_of
from calibrant.tuning.tuned_model import Answers


class MaskClip(Explainer):
    """The score of every patch whose value, projected, goes out of the last block in the place of the class token.

    It localises: no attention chooses among the patches, so it is not this model's answer that is explained. Scores may
    be negative. Where a pooler reads the image, the values are the pooler's.

    Source: Zhou, Loy, Dai (2022). Extract free dense labels from CLIP. ECCV.

    Example:
        >>> MaskClip().explains
        False
    """

    name: ClassVar[str] = "mask-clip"
    paper: ClassVar[str] = "Zhou et al. 2022"
    explains: ClassVar[bool] = False
    layers_read: ClassVar[str] = "last"

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        refuse_texts_of_images(model, self.name)
        tower = tower_of(model.encoder, self.name)
        rows, columns = tower.patches.grid(pixels)

        def values_alone(x: Tensor, *_: Any, **__: Any) -> Tensor:
            values = tower.patches.of(side_by_side(tower.reader.projections(x)[2]), pixels)
            # every patch goes on as an image of its own
            return tower.reader.alone(tower.reader.projected(values.flatten(0, 1)[:, None]))

        with torch.no_grad(), in_place_of(tower.reader.module, values_alone):
            scored = scorer(model, classes, score)(pixels, targets.repeat_interleave(rows * columns))
        return scored.view(-1, rows, columns)


def refuse_texts_of_images(model: Answers, explainer: str) -> None:
    """Refuse a model whose text features differ from image to image: patches have none of their own.

    Raises:
        InputError: if the model is such a one.
    """
    if model.parameterization.image_conditioned:
        raise InputError(
            f"'{explainer}' compares patches with the one text of a class, but '{model.parameterization.name}' has "
            "another one for every image; take attention-gradient, grad-cam or occlusion"
        )
