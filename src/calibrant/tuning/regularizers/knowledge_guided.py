"""KgCoOp: the tuned text features of the classes stay near those of the zero-shot model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.regularizers.text_consistency import refuse_untuned_text
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


def knowledge_guided(tuned: Tensor, zero_shot: Tensor) -> Tensor:
    """Give 1 - the mean cosine of the class embeddings before and after tuning.

    Args:
        tuned: [C, D], or [N, C, D] where each image has its own.
        zero_shot: [C, D].

    Returns:
        A scalar, in float32 or wider.

    Source: Yao, Zhang, Xu (2023). Visual-language prompt tuning with knowledge-guided context optimization. CVPR. The
    paper has the squared distance, which is twice this for unit vectors; the released code has the cosine.

    Example:
        >>> float(knowledge_guided(torch.eye(2), torch.eye(2).flip(0)))
        1.0
    """
    with torch.autocast(tuned.device.type, enabled=False):
        wide = torch.promote_types(tuned.dtype, torch.float32)
        return 1 - F.cosine_similarity(tuned.to(wide), zero_shot.to(wide), dim=-1).mean()


class KnowledgeGuidedSettings(RegularizerSettings):
    """Settings of `KnowledgeGuided`; the weight is the released one."""

    weight: float = 8.0


@REGULARIZERS.register("knowledge_guided")
class KnowledgeGuided(Regularizer):
    """Tuned class embeddings stay near the zero-shot ones, which are made with the templates of the data set.

    Source: Yao, Zhang, Xu (2023). Visual-language prompt tuning with knowledge-guided context optimization. CVPR.
    """

    Settings: ClassVar[type[Settings]] = KnowledgeGuidedSettings

    def __init__(self, settings: KnowledgeGuidedSettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        refuse_untuned_text(model, self.name)

    def loss(self, outputs: Outputs) -> Tensor:
        classes = self.model.classes
        return knowledge_guided(outputs.text_features(classes), outputs.zero_shot_text_features(classes))
