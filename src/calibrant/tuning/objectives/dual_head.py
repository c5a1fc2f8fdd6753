"""Cross-entropy of a similarity head and of a linear head (DePT)."""

from __future__ import annotations

from torch import Tensor

from calibrant.errors import InputError
from calibrant.tuning.components import OBJECTIVES
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.objectives.cross_entropy import cross_entropy
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.parameterizations.base import cosine_logits
from calibrant.tuning.parameterizations.dual_head import DualHead


def dual_head(
    similarity: Tensor, text: Tensor, image: Tensor, labels: Tensor, targets: Tensor, weight: float
) -> Tensor:
    """Give (1-w) CE_sim + w CE_lin, where the linear head learns from images and from the text of their classes.

    Args:
        similarity: [N, C], logits of the similarity head.
        text: [N, C], logits of the linear head for the text features of each image's class.
        image: [N, C], logits of the linear head for the image features.
        labels: int64 [N].
        targets: labels, or the share of every class in each image, float [N, C].
        weight: w.

    Returns:
        A scalar, in float32 or wider.

    Source: Zhang et al. (2024). DePT: decoupled prompt tuning. CVPR.

    Example:
        >>> import torch
        >>> same, labels = torch.zeros(2, 4), torch.tensor([0, 3])
        >>> round(float(dual_head(same, same, same, labels, labels, 0.7)), 4)
        1.3863
    """
    linear = (cross_entropy(text, labels) + cross_entropy(image, targets)) / 2
    return (1 - weight) * cross_entropy(similarity, targets) + weight * linear


@OBJECTIVES.register("dual_head")
class DualHeadLoss(Objective):
    """Both losses of parameterization ``dual_head``, weighted as its answers are."""

    def loss(self, outputs: Outputs) -> Tensor:
        model = outputs.model
        if not isinstance(model, DualHead):
            raise InputError(f"objective 'dual_head' needs parameterization 'dual_head', not '{model.name}'")
        text = outputs.text_features(model.task.classes)
        return dual_head(
            cosine_logits(outputs.image_features, text, model.encoder),
            model.linear_logits(text[outputs.labels], model.text_channels),
            model.linear_logits(outputs.image_features, model.image_channels),
            outputs.labels,
            outputs.batch.get("targets", outputs.labels),
            model.weight,
        )
