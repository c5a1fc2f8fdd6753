"""Extra loss terms: pure functions of tensors, and the names by which recipes call them."""

from __future__ import annotations

from calibrant.tuning.regularizers.adapted_consistency import adapted_consistency
from calibrant.tuning.regularizers.context_distribution import context_distribution
from calibrant.tuning.regularizers.cross_projection_norm import cross_projection_norm
from calibrant.tuning.regularizers.knowledge_guided import knowledge_guided
from calibrant.tuning.regularizers.l2_sp import distance_to_start
from calibrant.tuning.regularizers.label_smoothing import label_smoothing
from calibrant.tuning.regularizers.logit_consistency import logit_consistency
from calibrant.tuning.regularizers.logit_range import logit_range
from calibrant.tuning.regularizers.margin import margin
from calibrant.tuning.regularizers.mixup import mixup
from calibrant.tuning.regularizers.orthogonality import orthogonality
from calibrant.tuning.regularizers.outlier import outlier
from calibrant.tuning.regularizers.prograd import without_conflict, zero_shot_cross_entropy
from calibrant.tuning.regularizers.random_text import random_text
from calibrant.tuning.regularizers.self_distillation import self_distillation
from calibrant.tuning.regularizers.smallest_singular_value import smallest_singular_value
from calibrant.tuning.regularizers.text_consistency import feature_consistency

__all__ = [
    "adapted_consistency",
    "context_distribution",
    "cross_projection_norm",
    "distance_to_start",
    "feature_consistency",
    "knowledge_guided",
    "label_smoothing",
    "logit_consistency",
    "logit_range",
    "margin",
    "mixup",
    "orthogonality",
    "outlier",
    "random_text",
    "self_distillation",
    "smallest_singular_value",
    "without_conflict",
    "zero_shot_cross_entropy",
]
