"""The loss of prompt distribution learning: an upper bound of the expected cross-entropy, and unlike prompts."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from calibrant.errors import InputError
from calibrant.tuning.components import OBJECTIVES
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.objectives.cross_entropy import cross_entropy
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.parameterizations.prompt_distribution import PromptDistribution
from calibrant.tuning.settings import Settings


def upper_bound_logits(image_features: Tensor, prompt_features: Tensor, labels: Tensor, logit_scale: Tensor) -> Tensor:
    """Give logits whose cross-entropy bounds the expected one under Gaussian class embeddings from above.

    With class means w, deviations d_k = f_k - w of n prompts and
    A_ij(z) = sum_d z_d^2 sum_k d_k,i,d d_k,j,d / (n + 1), logit j is s z.w_j + s^2 / 2 (A_yy + A_jj - 2 A_yj).

    Args:
        image_features: z, [N, D], rows of unit norm.
        prompt_features: f, [n, C, D], unit norm along D.
        labels: y, int64 [N].
        logit_scale: s.

    Returns:
        [N, C], in float32 or wider.

    Source: Lu, Liu, Zhang, Liu, Tian (2022). Prompt distribution learning. CVPR; the divisor n + 1 and the diagonal
    covariance between dimensions are those of the released code.

    Example:
        >>> features = torch.eye(2).expand(3, 2, 2)
        >>> upper_bound_logits(torch.eye(2), features, torch.tensor([0, 1]), torch.tensor(5.0)).tolist()
        [[5.0, 0.0], [0.0, 5.0]]
    """
    with torch.autocast(image_features.device.type, enabled=False):
        wide = torch.promote_types(image_features.dtype, torch.float32)
        z, f, s = image_features.to(wide), prompt_features.to(wide), logit_scale.to(wide)
        mean = f.mean(dim=0)
        deviations = (f - mean).transpose(0, 1)  # [C, n, D]
        count, squares = deviations.shape[1], z.square()
        own = deviations[labels]  # [N, n, D]
        a_jj = squares @ deviations.square().sum(dim=1).T
        a_yy = a_jj.gather(1, labels[:, None])
        # only the row of the true class is needed of the [C, C] covariances of each image
        a_yj = (squares[:, None] * own).flatten(1) @ deviations.flatten(1).T
        return s * (z @ mean.T) + s.square() / 2 * (a_yy + a_jj - 2 * a_yj) / (count + 1)


def prompt_overlap(features: Tensor) -> Tensor:
    """Give the mean absolute cosine between different prompts without a class name.

    Args:
        features: [n, D], rows of unit norm, n at least 2.

    Returns:
        A scalar, in float32 or wider.

    Source: Lu, Liu, Zhang, Liu, Tian (2022). Prompt distribution learning. CVPR (semantic orthogonality).

    Example:
        >>> float(prompt_overlap(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))) * 3
        1.0
    """
    with torch.autocast(features.device.type, enabled=False):
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        cosines = (wide @ wide.T).abs()
        count = len(cosines)
        return (cosines.sum() - cosines.diagonal().sum()) / (count * (count - 1))


class PromptDistributionSettings(Settings):
    """Settings of `PromptDistributionLoss`.

    Attributes:
        overlap: the factor of `prompt_overlap`.
    """

    overlap: float = Field(default=0.1, ge=0)


@OBJECTIVES.register("prompt_distribution")
class PromptDistributionLoss(Objective):
    """Cross-entropy of `upper_bound_logits` over the prompts of a step, plus a share of their `prompt_overlap`."""

    Settings: ClassVar[type[Settings]] = PromptDistributionSettings
    settings: PromptDistributionSettings

    def loss(self, outputs: Outputs) -> Tensor:
        model = outputs.model
        if not isinstance(model, PromptDistribution):
            raise InputError(f"the objective '{self.name}' compares several prompts, but '{model.name}' has none")
        if "targets" in outputs.batch:
            raise InputError(f"the objective '{self.name}' needs one label for each image, not shares of several")
        features = model.prompt_features(model.task.classes)
        logits = upper_bound_logits(outputs.image_features, features, outputs.labels, outputs.logit_scale)
        overlap = prompt_overlap(model.nameless_features())
        return cross_entropy(logits, outputs.labels) + self.settings.overlap * overlap
