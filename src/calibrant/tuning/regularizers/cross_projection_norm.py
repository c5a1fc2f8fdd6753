"""The norm of the product of both projections, which CaRot's released code adds to its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from calibrant.errors import InputError
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.regularizers.orthogonality import trained_image_projection
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


def cross_projection_norm(image_projection: Tensor, text_projection: Tensor) -> Tensor:
    """Give the Frobenius norm of W_v W_t'.

    Args:
        image_projection: W_v, [image width, D].
        text_projection: W_t, [text width, D].

    Returns:
        A scalar, in float32 or wider.

    Source: Nakada et al. (2023). Understanding multimodal contrastive learning and incorporating unpaired data. AISTATS
    (the regularizer of its linear loss, there squared).

    Example:
        >>> round(float(cross_projection_norm(torch.eye(2), 3 * torch.eye(2))), 4)
        4.2426
    """
    with torch.autocast(image_projection.device.type, enabled=False):
        wide = torch.promote_types(image_projection.dtype, torch.float32)
        norm: Tensor = torch.linalg.vector_norm(image_projection.to(wide) @ text_projection.to(wide).T)
        return norm


class CrossProjectionNormSettings(RegularizerSettings):
    """Settings of `CrossProjectionNorm`; the weight is that of every published command of CaRot."""

    weight: float = 0.05


@REGULARIZERS.register("cross_projection_norm")
class CrossProjectionNorm(Regularizer):
    """Keeps the product of the two projections small; in CaRot's released code, not in its paper's equations."""

    Settings: ClassVar[type[Settings]] = CrossProjectionNormSettings

    def __init__(self, settings: CrossProjectionNormSettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        trained_image_projection(model, self.name)
        if model.encoder.text_projection is None:
            raise InputError(
                f"'{self.name}' needs a text projection, and the text tower of {model.encoder.name} has none"
            )

    def loss(self, outputs: Outputs) -> Tensor:
        text = self.model.encoder.text_projection
        assert text is not None
        return cross_projection_norm(trained_image_projection(self.model, self.name), text)
