"""The smallest singular value of the correlations of image features, which CaRot's bound divides by."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from calibrant.errors import InputError
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.settings import Settings


def smallest_singular_value(features: Tensor) -> Tensor:
    """Give the smallest singular value of Z'Z/N, where Z holds the features, standardised column by column.

    With no more samples than dimensions Z'Z is singular: its smallest singular value that need not be 0 is given, the
    min(N - 1, D)-th largest.

    Args:
        features: [N, D], N at least 2.

    Returns:
        A scalar, in float32 or wider, between 0 and D / min(N - 1, D). A constant column counts as 0.

    Raises:
        InputError: if there is only one sample.

    Source: Oh et al. (2024). Towards calibrated robust fine-tuning of vision-language models. NeurIPS, theorem 3; what
    exactly its figure 6 and table A standardise is not published.

    Example:
        >>> round(float(smallest_singular_value(torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]))), 4)
        1.0
    """
    count, dimensions = features.shape
    if count < 2:
        raise InputError("singular values of standardised features need at least two samples")
    with torch.autocast(features.device.type, enabled=False):
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        centred = wide - wide.mean(dim=0)
        variance = centred.square().mean(dim=0)
        z = torch.where(variance > 0, centred * torch.where(variance > 0, variance, 1).rsqrt(), 0)
        # Z'Z and ZZ' have the same singular values but for zeros
        products = z.T @ z if count > dimensions else z @ z.T
        ascending: Tensor = torch.linalg.eigvalsh(products / count)
        return ascending[len(ascending) - min(count - 1, dimensions)]


class SmallestSingularValueSettings(RegularizerSettings):
    """Settings of `SmallestSingularValue`; the weight is not published, this is that of CaRot's orthogonality."""

    weight: float = 0.2


@REGULARIZERS.register("smallest_singular_value")
class SmallestSingularValue(Regularizer):
    """Raises the smallest singular value of the image features of each batch; a reconstruction of CaRot's ablation."""

    Settings: ClassVar[type[Settings]] = SmallestSingularValueSettings

    def loss(self, outputs: Outputs) -> Tensor:
        features = outputs.image_features
        if not features.requires_grad:
            raise InputError(
                f"'{self.name}' acts on image features, which '{outputs.model.name}' does not change; "
                "choose a method that trains the image tower"
            )
        return -smallest_singular_value(features)
