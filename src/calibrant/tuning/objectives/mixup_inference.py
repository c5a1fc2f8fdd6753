"""Mixup inference in training (MIT): outputs of images are recovered from those of two mixtures of them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from calibrant.errors import InputError
from calibrant.tuning.components import OBJECTIVES
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.objectives.cross_entropy import cross_entropy
from calibrant.tuning.outputs import Batch, Outputs
from calibrant.tuning.regularizers.mixup import mixup
from calibrant.tuning.settings import Settings

SECOND, PARTNER, SHARES = "second_mixture", "partner", "shares"


def decoupled(first: Tensor, second: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Solve first = l a + (1 - l) b and second = m a + (1 - m) b for a and b.

    Args:
        first: [N, ...], outputs for the first mixtures.
        second: [N, ...], outputs for the second mixtures of the same images.
        shares: l and m, [2], which differ.

    Returns:
        a and b, [N, ...].

    Source: Wang, Li, Zhao, Heng, Zhang (2023). On the pitfall of mixup for uncertainty calibration. CVPR ("MIT-L" of
    the released code, which decouples what the last layer gives).

    Example:
        >>> a, b = decoupled(torch.tensor([2.5]), torch.tensor([3.5]), torch.tensor([0.75, 0.25]))
        >>> a.item(), b.item()
        (2.0, 4.0)
    """
    share, other = shares
    return (
        ((1 - other) * first - (1 - share) * second) / (share - other),
        (share * second - other * first) / (share - other),
    )


class MixupInferenceSettings(Settings):
    """Settings of `MixupInference`; the values are those of the released code.

    Attributes:
        alpha: of Beta(alpha, alpha), from which both shares are drawn: the first is above a half, the second below.
        margin: how far they are apart at least; nearer ones would blow up what is recovered.
    """

    alpha: float = Field(default=0.5, gt=0, le=1)
    margin: float = Field(default=0.5, gt=0, le=0.9)


@OBJECTIVES.register("mixup_inference")
class MixupInference(Objective):
    """Cross-entropy of the logits that are recovered for either image of every pair."""

    Settings: ClassVar[type[Settings]] = MixupInferenceSettings
    settings: MixupInferenceSettings

    def on_batch(self, batch: Batch, draw: np.random.Generator) -> Batch:
        """Mix every image twice with the same other one, with two shares for the whole batch."""
        if "pixels" not in batch:
            raise InputError(
                f"'{self.name}' averages images, but solver.views keeps features, and a mean of features is not the "
                "feature of a mean; set solver.views to live"
            )
        partner = torch.from_numpy(draw.permutation(len(batch["labels"])))
        shares = _shares(self.settings, draw)
        first, second = (mixup(batch["pixels"], partner, share) for share in shares)
        return {**batch, "pixels": first, SECOND: second, PARTNER: partner, SHARES: torch.tensor(shares)}

    def loss(self, outputs: Outputs) -> Tensor:
        batch, targets = outputs.batch, outputs.batch.get("targets", outputs.labels)
        own, others = decoupled(outputs.logits, _second(outputs).logits, batch[SHARES])
        return (cross_entropy(own, targets) + cross_entropy(others, targets[batch[PARTNER]])) / 2


@OBJECTIVES.register("contrastive_mixup_inference")
class ContrastiveMixupInference(MixupInference):
    """The contrastive loss of the recovered logits of the images of every pair with all captions of the batch.

    A reconstruction: the method was published for class logits.
    """

    reads_captions = True

    def loss(self, outputs: Outputs) -> Tensor:
        with torch.autocast(outputs.labels.device.type, enabled=False):
            images = _second(outputs).image_features.float()
            second = outputs.logit_scale.float() * images @ outputs.caption_features.float().T
            own, others = decoupled(outputs.pair_logits, second, outputs.batch[SHARES])
            # each row to the place of its image, where its caption stands
            others = torch.zeros_like(others).index_copy(0, outputs.batch[PARTNER], others)
            return (_contrastive(own) + _contrastive(others)) / 2


def _shares(settings: MixupInferenceSettings, draw: np.random.Generator) -> tuple[float, float]:
    while True:
        first, second = draw.beta(settings.alpha, settings.alpha, size=2)
        shares = float(max(first, 1 - first)), float(min(second, 1 - second))
        if shares[0] - shares[1] >= settings.margin:
            return shares


def _second(outputs: Outputs) -> Outputs:
    """The answers to the second mixtures."""
    batch = {**outputs.batch, "pixels": outputs.batch[SECOND]}
    return Outputs(outputs.model, batch, outputs.zero_shot)


def _contrastive(logits: Tensor) -> Tensor:
    target = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
