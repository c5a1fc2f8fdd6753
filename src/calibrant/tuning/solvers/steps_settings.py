"""The settings of the training loop."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from calibrant.models.preprocessing import Augmentation
from calibrant.tuning.settings import Settings


class AugmentationSettings(Settings):
    """How a training image is cropped and flipped; see `calibrant.models.preprocessing.Augmentation`."""

    scale: tuple[float, float] = (0.9, 1.0)
    ratio: tuple[float, float] = (0.75, 1.3333333333333333)
    flip: float = 0.0

    def draws(self) -> Augmentation:
        """Give what the image transform takes."""
        return Augmentation(self.scale, self.ratio, self.flip)


class StepsSettings(Settings):
    """Settings of `Steps`.

    Attributes:
        optimizer: ``"adamw"``, ``"adam"`` or ``"sgd"`` (momentum 0.9).
        learning_rate: at its highest.
        epsilon: what Adam and AdamW add to the root of the second moment.
        rate_factors: beginnings of the names of trained tensors whose learning rate is another multiple of that.
        weight_decay: of the tensors that `decay` names.
        decay: ``"all"`` tensors, or only ``"matrices"`` (not biases, norms and scales).
        warmup: share of the steps in which the learning rate rises linearly.
        schedule: what follows: ``"cosine"`` down to 0, or ``"constant"``.
        epochs: passes over the training samples; this or `steps`.
        steps: number of steps; this or `epochs`.
        batch_size: samples per step.
        clip_gradient: largest norm of the gradient, or None.
        precision: ``"fp32"``, ``"bf16"``, ``"fp16"`` (GPU only), or ``"auto"`` for bf16 where the hardware has it
            and fp32 elsewhere; features, logits and losses are float32 in each.
        views: ``"live"`` augments at every step; N keeps the features of N augmented views and draws one at
            every step (1: the plain image), which needs an image tower that is not trained.
        augmentation: of training images.
    """

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(gt=0)
    epsilon: float = Field(default=1e-8, gt=0)
    rate_factors: dict[str, PositiveFloat] = Field(default_factory=dict)
    weight_decay: float = Field(default=0.0, ge=0)
    decay: Literal["all", "matrices"] = "all"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    schedule: Literal["cosine", "constant"] = "cosine"
    epochs: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=0)
    batch_size: PositiveInt
    clip_gradient: float | None = Field(default=None, gt=0)
    precision: Literal["fp32", "bf16", "fp16", "auto"] = "fp32"
    views: Literal["live"] | PositiveInt = "live"
    augmentation: AugmentationSettings = AugmentationSettings()

    @model_validator(mode="after")
    def _one_length(self) -> StepsSettings:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give 'epochs' or 'steps', one of the two; set the other one to null")
        return self

    def total(self, samples: int) -> int:
        """Count the steps.

        Args:
            samples: size of the training set.

        Returns:
            `steps`, or as many as `epochs` need.
        """
        if self.steps is not None:
            return self.steps
        return math.ceil(float(self.epochs or 0) * samples / min(self.batch_size, samples))
