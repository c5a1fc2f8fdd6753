"""The image-text contrastive loss with hard one-hot targets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from calibrant.tuning.components import OBJECTIVES
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.outputs import Outputs


def contrastive(image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float) -> Tensor:
    """Give half the cross-entropy of images over texts plus half that of texts over images, A = s V T'.

    Several images of one class in a batch count as each other's negatives, as in pre-training.

    Args:
        image_features: [N, D], rows of unit norm.
        text_features: [N, D], rows of unit norm; row i belongs to image i.
        logit_scale: s.

    Returns:
        A scalar, in float32 or wider.

    References:
        Radford et al. (2021); Goyal et al. (2023). Finetune like you pretrain. CVPR, equation 1.

    Example:
        >>> round(float(contrastive(torch.eye(2), torch.eye(2), 0.0)), 4)
        0.6931
    """
    with torch.autocast(image_features.device.type, enabled=False):
        wide = torch.promote_types(image_features.dtype, torch.float32)
        logits = logit_scale * (image_features.to(wide) @ text_features.to(wide).T)
        target = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@OBJECTIVES.register("contrastive")
class Contrastive(Objective):
    """The contrastive loss between the images of a batch and a caption for each."""

    reads_captions = True

    def loss(self, outputs: Outputs) -> Tensor:
        return contrastive(outputs.image_features, outputs.caption_features, outputs.logit_scale)
