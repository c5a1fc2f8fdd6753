"""The contrastive loss where several images of a batch have the same class: three ways to treat their pairs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.tuning.components import OBJECTIVES
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.outputs import Outputs


def contrastive_masked(
    image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float, labels: Tensor
) -> Tensor:
    """Give the contrastive loss in which pairs of the same class are no negatives.

    Args:
        image_features: [N, D], rows of unit norm.
        text_features: [N, D], rows of unit norm; row i belongs to image i.
        logit_scale: s.
        labels: int64 [N], the class of each pair.

    Returns:
        A scalar, in float32 or wider.

    Source: The released code of Goyal et al. (2023). Finetune like you pretrain. CVPR, which does not use it.

    Example:
        >>> rows = torch.eye(3)
        >>> round(float(contrastive_masked(rows, rows, 0.0, torch.tensor([0, 0, 1]))), 4)
        0.8283
    """
    with torch.autocast(image_features.device.type, enabled=False):
        logits, same = _logits(image_features, text_features, logit_scale), _same(labels)
        others = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        logits = logits.masked_fill(others, -torch.inf)
        target = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def contrastive_multi_positive(
    image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float, labels: Tensor
) -> Tensor:
    """Give the contrastive loss in which each pair of the same class is a positive one, against all other pairs.

    For image i it is the mean over its positives j of -log(exp(a_ij) / sum of exp(a_ik) over k != j). As a positive is
    not in its own denominator the loss can be negative and has no lower bound.

    Args:
        image_features: [N, D], rows of unit norm, N at least 2.
        text_features: [N, D], rows of unit norm; row i belongs to image i.
        logit_scale: s.
        labels: int64 [N], the class of each pair.

    Returns:
        A scalar, in float32 or wider.

    Raises:
        InputError: if there are fewer than two pairs.

    Source: The released code of Goyal et al. (2023). Finetune like you pretrain. CVPR, which does not use it.

    Example:
        >>> rows = torch.eye(3)
        >>> round(float(contrastive_multi_positive(rows, rows, 0.0, torch.tensor([0, 0, 1]))), 4)
        0.6931
    """
    if len(labels) < 2:
        raise InputError(f"the multi-positive loss compares a pair with others, but the batch has {len(labels)}")
    with torch.autocast(image_features.device.type, enabled=False):
        logits, same = _logits(image_features, text_features, logit_scale), _same(labels)
        return (_multi_positive(logits, same) + _multi_positive(logits.T, same)) / 2


def contrastive_soft(
    image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float, labels: Tensor
) -> Tensor:
    """Give the contrastive loss whose targets are shared equally by all pairs of the same class.

    Args:
        image_features: [N, D], rows of unit norm.
        text_features: [N, D], rows of unit norm; row i belongs to image i.
        logit_scale: s.
        labels: int64 [N], the class of each pair.

    Returns:
        A scalar, in float32 or wider.

    Source: Yang et al. (2022). Unified contrastive learning in image-text-label space. CVPR; the released code of Goyal
    et al. (2023). Finetune like you pretrain. CVPR, has it too and does not use it.

    Example:
        >>> rows = torch.eye(3)
        >>> round(float(contrastive_soft(rows, rows, 0.0, torch.tensor([0, 0, 1]))), 4)
        1.0986
    """
    with torch.autocast(image_features.device.type, enabled=False):
        logits = _logits(image_features, text_features, logit_scale)
        same = _same(labels).to(logits.dtype)
        target = same / same.sum(dim=1, keepdim=True)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@OBJECTIVES.register("contrastive_masked")
class ContrastiveMasked(Objective):
    """The contrastive loss without the negatives that are of the same class."""

    reads_captions = True

    def loss(self, outputs: Outputs) -> Tensor:
        return contrastive_masked(outputs.image_features, outputs.caption_features, outputs.logit_scale, outputs.labels)


@OBJECTIVES.register("contrastive_multi_positive")
class ContrastiveMultiPositive(Objective):
    """The contrastive loss with every pair of the same class as a positive."""

    reads_captions = True

    def loss(self, outputs: Outputs) -> Tensor:
        return contrastive_multi_positive(
            outputs.image_features, outputs.caption_features, outputs.logit_scale, outputs.labels
        )


@OBJECTIVES.register("contrastive_soft")
class ContrastiveSoft(Objective):
    """The contrastive loss with targets that all pairs of the same class share."""

    reads_captions = True

    def loss(self, outputs: Outputs) -> Tensor:
        return contrastive_soft(outputs.image_features, outputs.caption_features, outputs.logit_scale, outputs.labels)


def _logits(image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float) -> Tensor:
    wide = torch.promote_types(image_features.dtype, torch.float32)
    return logit_scale * (image_features.to(wide) @ text_features.to(wide).T)


def _same(labels: Tensor) -> Tensor:
    return labels[:, None] == labels[None, :]


def _multi_positive(logits: Tensor, same: Tensor) -> Tensor:
    """The loss of the rows of logits [N, N]."""
    top = logits.argmax(dim=1, keepdim=True)
    without_top = logits.scatter(1, top, -torch.inf).logsumexp(dim=1, keepdim=True)
    total = logits.logsumexp(dim=1, keepdim=True)
    # whatever is not the largest has at most half of the sum, so that taking it away is exact
    share = (logits - total).exp().scatter(1, top, 0)
    denominator = (total + torch.log1p(-share)).scatter(1, top, without_top)
    return ((denominator - logits) * same).sum(dim=1).div(same.sum(dim=1)).mean()
