"""The main losses: pure functions of tensors, and the names by which recipes call them."""

from __future__ import annotations

from calibrant.tuning.objectives.contrastive import contrastive
from calibrant.tuning.objectives.contrastive_few_classes import (
    contrastive_masked,
    contrastive_multi_positive,
    contrastive_soft,
)
from calibrant.tuning.objectives.cross_entropy import cross_entropy
from calibrant.tuning.objectives.dual_head import dual_head
from calibrant.tuning.objectives.mixup_inference import decoupled
from calibrant.tuning.objectives.prompt_distribution import prompt_overlap, upper_bound_logits
from calibrant.tuning.objectives.zero_shot_normalised import zero_shot_normalised

__all__ = [
    "contrastive",
    "contrastive_masked",
    "contrastive_multi_positive",
    "contrastive_soft",
    "cross_entropy",
    "decoupled",
    "dual_head",
    "prompt_overlap",
    "upper_bound_logits",
    "zero_shot_normalised",
]
