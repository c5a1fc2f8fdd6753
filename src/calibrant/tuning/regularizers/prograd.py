"""ProGrad: a gradient that points against the zero-shot model's answers loses the part that does."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers.base import Gradients, Regularizer, RegularizerSettings
from calibrant.tuning.settings import Settings


def zero_shot_cross_entropy(logits: Tensor, zero_shot_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Give -T^2 sum_c p_zs(c) log p(c) at temperature T, the mean over images.

    Its gradient is that of the divergence KL(p_zs || p), from which it differs by the entropy of p_zs.

    Args:
        logits: [N, C] of the tuned model.
        zero_shot_logits: [N, C] of the zero-shot model.
        temperature: T.

    Returns:
        A scalar, in float32 or wider.

    Source: Zhu et al. (2023). Prompt-aligned gradient for prompt tuning. ICCV; the factor T^2 is that of the released
    code.

    Example:
        >>> round(float(zero_shot_cross_entropy(torch.zeros(1, 2), torch.zeros(1, 2))), 4)
        0.6931
    """
    with torch.autocast(logits.device.type, enabled=False):
        wide = torch.promote_types(logits.dtype, torch.float32)
        log_p = F.log_softmax(logits.to(wide) / temperature, dim=-1)
        p_zero_shot = F.softmax(zero_shot_logits.to(wide) / temperature, dim=-1)
        return -(p_zero_shot * log_p).sum(dim=-1).mean() * temperature**2


def without_conflict(gradient: Tensor, general: Tensor, strength: float = 1.0) -> Tensor:
    """Take from a gradient, where it conflicts with a general one, its part along that one.

    Args:
        gradient: g_d, of the task; any shape.
        general: g_g, of what should not get worse; the same shape.
        strength: lambda, the share of the conflicting part that is taken away.

    Returns:
        g_d - lambda (g_d . g_g / |g_g|^2) g_g if g_d . g_g < 0, else g_d.

    Source: Zhu et al. (2023). Prompt-aligned gradient for prompt tuning. ICCV.

    Example:
        >>> without_conflict(torch.tensor([1.0, -1.0]), torch.tensor([0.0, 2.0])).tolist()
        [1.0, 0.0]
    """
    # its largest entry becomes 1 first: the squares of small ones would vanish
    largest = general.abs().amax()
    scaled = general / torch.where(largest > 0, largest, 1)
    direction: Tensor = scaled / torch.linalg.vector_norm(scaled).clamp(min=1)
    along = (gradient * direction).sum()
    return gradient - strength * along.clamp(max=0) * direction


class ProGradSettings(RegularizerSettings):
    """Settings of `ProGrad`.

    Attributes:
        weight: of the term in the log; the projection does not depend on it.
        strength: lambda, the share of the conflicting part that is taken away.
        temperature: T of both distributions.
    """

    weight: float = Field(default=1.0, gt=0)
    strength: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=1.0, gt=0)


@REGULARIZERS.register("prograd")
class ProGrad(Regularizer):
    """Steps never go against the zero-shot model's answers; its own term is watched, not minimised.

    The gradients are compared tensor by tensor, as the released code does it. Whatever other terms the method has
    count as the task.

    Source: Zhu et al. (2023). Prompt-aligned gradient for prompt tuning. ICCV.
    """

    Settings: ClassVar[type[Settings]] = ProGradSettings
    settings: ProGradSettings

    def loss(self, outputs: Outputs) -> Tensor:
        return zero_shot_cross_entropy(outputs.logits, outputs.zero_shot_logits, self.settings.temperature)

    def combine_gradients(self, others: Gradients, own: Gradients) -> Gradients:
        """Project the gradients of the other terms; its own is not added."""
        return {name: self._projected(gradient, own[name]) for name, gradient in others.items()}

    def _projected(self, gradient: Tensor | None, general: Tensor | None) -> Tensor | None:
        if gradient is None or general is None:
            return gradient
        return without_conflict(gradient, general, self.settings.strength)
