"""CAR-FT: images keep their distribution over contexts such as "a sketch of"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.text import text_classifier
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.imagenet_templates import Templates, templates_of
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.parameterizations.base import normalised
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.regularizers.image_consistency import refuse_untuned_images
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


def context_distribution(tuned_logits: Tensor, zero_shot_logits: Tensor) -> Tensor:
    """Give the divergence KL(zero-shot, tuned) of the distributions over contexts, the mean over images.

    Args:
        tuned_logits: [N, T], logits of images and T contexts by the tuned image tower.
        zero_shot_logits: [N, T], the same before tuning. With the two exchanged it is the other reading, KL(tuned,
            zero-shot).

    Returns:
        A scalar, in float32 or wider.

    Source: Mao et al. (2024). Context-aware robust fine-tuning. International Journal of Computer Vision.

    Example:
        >>> round(float(context_distribution(torch.zeros(1, 2), torch.tensor([[50.0, 0.0]]))), 4)
        0.6931
    """
    with torch.autocast(tuned_logits.device.type, enabled=False):
        wide = torch.promote_types(tuned_logits.dtype, torch.float32)
        tuned, zero_shot = (rows.to(wide).log_softmax(dim=1) for rows in (tuned_logits, zero_shot_logits))
        return F.kl_div(tuned, zero_shot, reduction="batchmean", log_target=True)


@torch.no_grad()
def context_features(encoder: DualEncoder, task: Task, templates: Sequence[str]) -> Tensor:
    """Encode each context: the mean over classes of its class prompts' features, of unit norm again.

    Args:
        encoder: the dual encoder.
        task: the class list.
        templates: T class prompts with ``{}``.

    Returns:
        float32 [T, D], rows of unit norm.
    """
    of_classes = [text_classifier(encoder, task.classes, [template], task.words) for template in templates]
    return F.normalize(torch.stack([features.mean(dim=0) for features in of_classes]), dim=-1)


class ContextDistributionSettings(RegularizerSettings):
    """Settings of `ContextDistribution`.

    Attributes:
        templates: the contexts: at least two class prompts with ``{}``, or the name of a list of them; None for the
            templates of the data.
        expectation: whose distribution the difference of log-probabilities is averaged over: ``"zero_shot"`` for
            KL(zero-shot, tuned), ``"tuned"`` for KL(tuned, zero-shot).
    """

    weight: float = 1.0
    templates: Templates = "imagenet_80"
    expectation: Literal["zero_shot", "tuned"] = "zero_shot"


@REGULARIZERS.register("context_distribution")
class ContextDistribution(Regularizer):
    """Keeps the distribution of each image over contexts, which the untouched text tower encodes, as it was."""

    Settings: ClassVar[type[Settings]] = ContextDistributionSettings
    settings: ContextDistributionSettings

    def __init__(self, settings: ContextDistributionSettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        refuse_untuned_images(model, self.name)
        task, zero_shot = model.parameterization.task, model.zero_shot
        templates = templates_of(settings.templates) or task.templates
        if len(templates) < 2:
            raise InputError(f"'{self.name}' needs at least two templates; list some in its setting 'templates'")
        self.contexts = context_features(zero_shot.encoder, task, templates)
        self.logit_scale = zero_shot.logit_scale

    def loss(self, outputs: Outputs) -> Tensor:
        # a head may have been given features of their own norm
        tuned, zero_shot = (
            self.logit_scale * (normalised(features) @ self.contexts.T)
            for features in (outputs.image_features, outputs.zero_shot_image_features)
        )
        if self.settings.expectation == "tuned":
            return context_distribution(zero_shot, tuned)
        return context_distribution(tuned, zero_shot)
