"""PromptSRC's logit term: the tuned model's probabilities stay near those of the zero-shot model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor
from torch.nn import functional as F

from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.imagenet_templates import Templates, templates_of
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.parameterizations.base import cosine_logits
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


def logit_consistency(logits: Tensor, zero_shot_logits: Tensor) -> Tensor:
    """Give the sum over images and classes of q (log q - log p), divided by N C.

    The division by N C, and not by N alone, is that of the released code.

    Args:
        logits: of the tuned model, p = softmax, [N, C].
        zero_shot_logits: q = softmax, [N, C].

    Returns:
        A scalar.

    Source: Khattak et al. (2023). Self-regulating prompts: foundational model adaptation without forgetting. ICCV.

    Example:
        >>> import torch
        >>> float(logit_consistency(torch.tensor([[3.0, 1.0]]), torch.tensor([[2.0, 0.0]])))
        0.0
    """
    reference = F.log_softmax(zero_shot_logits, dim=1)
    apart = F.kl_div(F.log_softmax(logits, dim=1), reference, reduction="sum", log_target=True)
    return apart / logits.numel()


class LogitConsistencySettings(RegularizerSettings):
    """Settings of `LogitConsistency`.

    Attributes:
        templates: over which the zero-shot text features are averaged, see `TextConsistencySettings`.
    """

    templates: Templates = None


@REGULARIZERS.register("logit_consistency")
class LogitConsistency(Regularizer):
    """The Kullback-Leibler divergence of the tuned from the zero-shot probabilities of the tuned classes."""

    Settings: ClassVar[type[Settings]] = LogitConsistencySettings
    settings: LogitConsistencySettings

    def __init__(self, settings: LogitConsistencySettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        self.templates = templates_of(settings.templates)

    def loss(self, outputs: Outputs) -> Tensor:
        text = outputs.zero_shot_text_features(self.model.classes, self.templates)
        reference = cosine_logits(outputs.zero_shot_image_features, text, outputs.zero_shot.encoder)
        return logit_consistency(outputs.logits, reference)
