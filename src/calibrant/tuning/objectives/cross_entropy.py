"""Cross-entropy over the classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from calibrant.tuning.components import OBJECTIVES
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.outputs import Outputs


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Give the mean of -log softmax(logits)[label], or of -sum target log softmax(logits).

    Args:
        logits: [N, C].
        targets: labels, int64 [N], or the share of every class, float [N, C] (rows sum to 1).

    Returns:
        A scalar, in float32 or wider.

    Example:
        >>> round(float(cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3]))), 4)
        1.3863
        >>> round(float(cross_entropy(torch.zeros(1, 2), torch.tensor([[0.9, 0.1]]))), 4)
        0.6931
    """
    with torch.autocast(logits.device.type, enabled=False):
        wide = logits if logits.dtype == torch.float64 else logits.float()
        return F.cross_entropy(wide, targets.to(wide.dtype) if targets.is_floating_point() else targets)


@OBJECTIVES.register("cross_entropy")
class CrossEntropy(Objective):
    """Cross-entropy of the model's logits for the tuned class list, with what a regularizer put for the labels."""

    def loss(self, outputs: Outputs) -> Tensor:
        return cross_entropy(outputs.logits, outputs.batch.get("targets", outputs.labels))
