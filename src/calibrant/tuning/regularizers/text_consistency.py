"""PromptSRC's text term: tuned text features stay near those of the zero-shot model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from calibrant.errors import InputError
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.imagenet_templates import Templates, templates_of
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


def feature_consistency(tuned: Tensor, zero_shot: Tensor) -> Tensor:
    """Give the mean absolute difference of two sets of features.

    Args:
        tuned: [N, D] or [..., N, D], rows of unit norm.
        zero_shot: [N, D], rows of unit norm.

    Returns:
        A scalar.

    Source: Khattak et al. (2023). Self-regulating prompts: foundational model adaptation without forgetting. ICCV; the
    mean over all entries is that of the released code.

    Example:
        >>> import torch
        >>> float(feature_consistency(torch.eye(2), torch.zeros(2, 2)))
        0.5
    """
    return (tuned - zero_shot).abs().mean()


class TextConsistencySettings(RegularizerSettings):
    """Settings of `TextConsistency`.

    Attributes:
        templates: over which the zero-shot text features are averaged: a list of class prompts, ``"imagenet_60"``
            or ``"imagenet_80"`` (those of CLIP for ImageNet), or null for the templates of the data set.
    """

    weight: float = 25.0
    templates: Templates = None


@REGULARIZERS.register("text_consistency")
class TextConsistency(Regularizer):
    """Tuned text features of the tuned classes stay near the zero-shot ones, which are averaged over templates."""

    Settings: ClassVar[type[Settings]] = TextConsistencySettings
    settings: TextConsistencySettings

    def __init__(self, settings: TextConsistencySettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        refuse_untuned_text(model, self.name)
        self.templates = templates_of(settings.templates)

    def loss(self, outputs: Outputs) -> Tensor:
        frozen = outputs.zero_shot_text_features(self.model.classes, self.templates)
        return feature_consistency(outputs.text_features(self.model.classes), frozen)


def refuse_untuned_text(model: TunedModel, regularizer: str) -> None:
    """Refuse a method whose text features are those of the zero-shot model.

    Args:
        model: what is tuned.
        regularizer: who asks, for the error.

    Raises:
        InputError: if the text side is not tuned.
    """
    if model.parameterization.text_side != "tuned":
        raise InputError(
            f"'{regularizer}' holds tuned text features near the zero-shot ones, but '{model.parameterization.name}' "
            "does not tune them; choose a method that tunes the text side, such as coop"
        )
