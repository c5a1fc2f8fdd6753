"""Cross-entropy over the classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from calibrant.tuning.components import OBJECTIVES
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.outputs import Outputs


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Give the mean of -log softmax(logits)[label].

    Args:
        logits: [N, C].
        labels: int64 [N].

    Returns:
        A scalar, in float32 or wider.

    Example:
        >>> round(float(cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3]))), 4)
        1.3863
    """
    with torch.autocast(logits.device.type, enabled=False):
        return F.cross_entropy(logits if logits.dtype == torch.float64 else logits.float(), labels)


@OBJECTIVES.register("cross_entropy")
class CrossEntropy(Objective):
    """Cross-entropy of the model's logits for the tuned class list."""

    def loss(self, outputs: Outputs) -> Tensor:
        return cross_entropy(outputs.logits, outputs.labels)
