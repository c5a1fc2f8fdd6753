"""What the losses of one batch can read; each thing is computed when it is first read, and once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from calibrant.tuning.parameterizations.base import Parameterization, cosine_logits

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import Answers

Batch = dict[str, Tensor]


class Outputs:
    """A model's answers to one training batch, beside those of the zero-shot model.

    Args:
        model: what is tuned.
        batch: ``labels`` int64 [N] and either ``pixels`` [N, 3, H, W] or ``features`` [N, D] of the untouched
            image tower; ``captions`` int64 [N, L] (token ids) where the objective reads them; ``targets`` float
            [N, C] where a regularizer put them for the labels.
        zero_shot: the model before tuning; nothing of it carries a gradient.
    """

    def __init__(self, model: Parameterization, batch: Batch, zero_shot: Answers) -> None:
        self.model = model
        self.batch = batch
        self.zero_shot = zero_shot
        self._text: dict[tuple[tuple[str, ...], tuple[str, ...]], Tensor] = {}

    @property
    def labels(self) -> Tensor:
        """int64 [N]."""
        return self.batch["labels"]

    @cached_property
    def targets(self) -> Tensor:
        """Float [N, C], rows that sum to 1: what a regularizer put for the labels, or ones where the labels are."""
        if "targets" in self.batch:
            return self.batch["targets"]
        return F.one_hot(self.labels, len(self.model.task.classes)).float()

    @cached_property
    def image_features(self) -> Tensor:
        """float32 [N, D], rows of unit norm."""
        if self.model.trains_image_tower:
            return self.model.image_features(self.batch["pixels"])
        return self.model.adapt(self.zero_shot_image_features)

    @cached_property
    def caption_features(self) -> Tensor:
        """float32 [N, D], rows of unit norm."""
        return self.model.encoder.encode_text(self.batch["captions"])

    @cached_property
    def logits(self) -> Tensor:
        """float32 [N, C] for the tuned class list."""
        return self.model.logits(self.image_features, self.model.task.classes, self.text_features)

    @cached_property
    def pair_logits(self) -> Tensor:
        """float32 [N, N], logit scale x cosine of every image (rows) with every caption of the batch."""
        with torch.autocast(self.labels.device.type, enabled=False):
            cosines = self.image_features.float() @ self.caption_features.float().T
            return self.logit_scale.float() * cosines

    @property
    def logit_scale(self) -> Tensor:
        """Scalar."""
        return self.model.encoder.logit_scale

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes of any name; the same names are encoded once.

        Args:
            names: C class names.
            templates: class prompts with ``{}``; by default those of the task. A learned context has no use for them.

        Returns:
            float32 [C, D], or [N, C, D] where the parameterization is conditioned on the images.
        """
        key = (tuple(names), tuple(templates or ()))
        if key not in self._text:
            if templates is None or self.model.image_conditioned:
                self._text[key] = self.model.text_features_for(names, self.image_features)
            else:
                self._text[key] = self.model.text_features(names, templates)
        return self._text[key]

    @cached_property
    def zero_shot_image_features(self) -> Tensor:
        """float32 [N, D] of the untouched image tower, no gradient."""
        if "features" in self.batch:
            return self.batch["features"]
        with torch.no_grad():
            return self.zero_shot.parameterization.image_features(self.batch["pixels"])

    def zero_shot_text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes with the untouched text tower; remembered from step to step.

        Args:
            names: C class names.
            templates: class prompts with ``{}``; by default those of the task.

        Returns:
            float32 [C, D], no gradient.
        """
        # in full precision, since the answers outlive the step
        with torch.autocast(self.labels.device.type, enabled=False):
            return self.zero_shot.text_features(names, templates)

    @cached_property
    def zero_shot_logits(self) -> Tensor:
        """float32 [N, C] of the zero-shot model for the tuned class list, no gradient."""
        text = self.zero_shot_text_features(self.model.task.classes)
        with torch.no_grad():
            return cosine_logits(self.zero_shot_image_features, text, self.zero_shot.encoder)
