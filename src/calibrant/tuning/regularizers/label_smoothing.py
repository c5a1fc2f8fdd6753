"""Label smoothing: a share of every target goes to all classes alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Batch
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


def label_smoothing(targets: Tensor, amount: float) -> Tensor:
    """Give (1 - a) y + a / C.

    Args:
        targets: y, float [N, C], rows that sum to 1.
        amount: a, from 0 to 1.

    Returns:
        float [N, C], rows that sum to 1.

    Source: Szegedy et al. (2016). Rethinking the inception architecture for computer vision. CVPR.

    Example:
        >>> import torch
        >>> label_smoothing(torch.tensor([[1.0, 0.0]]), 0.2).tolist()
        [[0.9, 0.1]]
    """
    return (1 - amount) * targets + amount / targets.shape[1]


class LabelSmoothingSettings(Settings):
    """Settings of `LabelSmoothing`; it has no term of its own, hence no weight.

    Attributes:
        amount: the share that goes to all classes alike.
    """

    amount: float = Field(default=0.1, ge=0, lt=1)


@REGULARIZERS.register("label_smoothing")
class LabelSmoothing(Regularizer):
    """Cross-entropy sees smoothed targets, so the loss no longer rewards ever larger logits."""

    Settings: ClassVar[type[Settings]] = LabelSmoothingSettings

    def __init__(self, settings: LabelSmoothingSettings, model: TunedModel) -> None:
        super().__init__(RegularizerSettings(), model)
        self.amount = settings.amount

    def on_batch(self, batch: Batch, draw: np.random.Generator) -> Batch:
        targets = targets_of(batch, len(self.model.classes), self.name)
        return {**batch, "targets": label_smoothing(targets, self.amount)}


def targets_of(batch: Batch, classes: int, regularizer: str) -> Tensor:
    """Give what cross-entropy will be computed with.

    Args:
        batch: ``labels`` int64 [N], and ``targets`` float [N, C] where another regularizer wrote them.
        classes: C.
        regularizer: who asks, for the error.

    Returns:
        float32 [N, C], rows that sum to 1.

    Raises:
        InputError: if the objective compares images with captions, and reads no targets.
    """
    if "captions" in batch:
        raise InputError(
            f"'{regularizer}' changes the class targets of cross-entropy, but the objective of this method compares "
            "images with captions; choose a method with cross-entropy"
        )
    return batch["targets"] if "targets" in batch else F.one_hot(batch["labels"], classes).float()
