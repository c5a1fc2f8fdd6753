"""The image-text contrastive loss with hard one-hot targets."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from calibrant.tuning.components import OBJECTIVES
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.settings import Settings


def contrastive(
    image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float, label_smoothing: float = 0.0
) -> Tensor:
    """Give half the cross-entropy of images over texts plus half that of texts over images, A = s V T'.

    Several images of one class in a batch count as each other's negatives, as in pre-training.

    Args:
        image_features: [N, D], rows of unit norm.
        text_features: [N, D], rows of unit norm; row i belongs to image i.
        logit_scale: s.
        label_smoothing: share of the targets that is spread evenly over the batch.

    Returns:
        A scalar, in float32 or wider.

    Source: Radford et al. (2021). Learning transferable visual models from natural language supervision. ICML; Goyal et
    al. (2023). Finetune like you pretrain. CVPR.

    Example:
        >>> round(float(contrastive(torch.eye(2), torch.eye(2), 0.0)), 4)
        0.6931
    """
    with torch.autocast(image_features.device.type, enabled=False):
        wide = torch.promote_types(image_features.dtype, torch.float32)
        logits = logit_scale * (image_features.to(wide) @ text_features.to(wide).T)
        target = torch.arange(len(logits), device=logits.device)
        over_texts = F.cross_entropy(logits, target, label_smoothing=label_smoothing)
        over_images = F.cross_entropy(logits.T, target, label_smoothing=label_smoothing)
        return (over_texts + over_images) / 2


class ContrastiveSettings(Settings):
    """Settings of `Contrastive`.

    Attributes:
        label_smoothing: share of the targets that is spread evenly over the batch.
    """

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


@OBJECTIVES.register("contrastive")
class Contrastive(Objective):
    """The contrastive loss between the images of a batch and a caption for each."""

    Settings: ClassVar[type[Settings]] = ContrastiveSettings
    settings: ContrastiveSettings
    reads_captions = True

    def loss(self, outputs: Outputs) -> Tensor:
        return contrastive(
            outputs.image_features, outputs.caption_features, outputs.logit_scale, self.settings.label_smoothing
        )
