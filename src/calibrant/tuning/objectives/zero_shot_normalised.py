"""ZS-Norm: cross-entropy of logits that are rescaled to the range of the zero-shot logits."""

from __future__ import annotations

from torch import Tensor

from calibrant.tuning.components import OBJECTIVES
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.objectives.cross_entropy import cross_entropy
from calibrant.tuning.outputs import Outputs

# a range below this counts as none: without it equal logits would divide 0 by 0
_SMALLEST_RANGE = 1e-6


def zero_shot_normalised(logits: Tensor, zero_shot_logits: Tensor) -> Tensor:
    """Rescale the logits of each image so that their extremes are those of its zero-shot logits.

    The gradient goes through the extremes too, as in the released code.

    Args:
        logits: [N, C].
        zero_shot_logits: [N, C].

    Returns:
        [N, C]; equal logits become the smallest zero-shot logit.

    Source: Murugesan, Silva-Rodriguez, Ben Ayed, Dolz (2024). Robust calibration of large vision-language adapters.
    ECCV ("ZS-Norm").

    Example:
        >>> import torch
        >>> zero_shot_normalised(torch.tensor([[0.0, 50.0, 100.0]]), torch.tensor([[24.0, 20.0, 22.0]])).tolist()
        [[20.0, 22.0, 24.0]]
    """
    lowest, target_lowest = (values.amin(dim=1, keepdim=True) for values in (logits, zero_shot_logits))
    highest, target_highest = (values.amax(dim=1, keepdim=True) for values in (logits, zero_shot_logits))
    place = (logits - lowest) / (highest - lowest).clamp_min(_SMALLEST_RANGE)
    return place * (target_highest - target_lowest) + target_lowest


@OBJECTIVES.register("zero_shot_normalised")
class ZeroShotNormalised(Objective):
    """Cross-entropy of rescaled logits; what the tuned model answers afterwards is not rescaled, as in the paper."""

    def loss(self, outputs: Outputs) -> Tensor:
        logits = zero_shot_normalised(outputs.logits, outputs.zero_shot_logits)
        return cross_entropy(logits, outputs.batch.get("targets", outputs.labels))
