"""CaRot's constraint: the columns of the image projection stay orthonormal."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from calibrant.errors import InputError
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


def orthogonality(projection: Tensor, squared: bool = False) -> Tensor:
    """Give the distance of W'W from the identity, the Frobenius norm of W'W - I.

    Where W has fewer rows than columns W'W can never be the identity, and WW' takes its place; the squares of the two
    norms differ by a constant.

    Args:
        projection: W, [width, D].
        squared: whether to square the norm, as the paper writes it; the released code does not.

    Returns:
        A scalar, in float32 or wider. The gradient of the norm at 0 is taken to be 0.

    Source: Oh et al. (2024). Towards calibrated robust fine-tuning of vision-language models. NeurIPS, equation 4.

    Example:
        >>> round(float(orthogonality(2 * torch.eye(3))), 4), float(orthogonality(2 * torch.eye(3), squared=True))
        (5.1962, 27.0)
    """
    with torch.autocast(projection.device.type, enabled=False):
        w = projection.to(torch.promote_types(projection.dtype, torch.float32))
        gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
        apart = gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        # unlike the root of a sum of squares, this norm has the gradient 0 at 0
        return apart.square().sum() if squared else torch.linalg.vector_norm(apart)


class OrthogonalitySettings(RegularizerSettings):
    """Settings of `Orthogonality`.

    Attributes:
        squared: whether to square the norm.
    """

    weight: float = 0.2
    squared: bool = False


@REGULARIZERS.register("orthogonality")
class Orthogonality(Regularizer):
    """Keeps the columns of the image projection orthonormal, so that image features use all dimensions."""

    Settings: ClassVar[type[Settings]] = OrthogonalitySettings
    settings: OrthogonalitySettings

    def __init__(self, settings: OrthogonalitySettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        trained_image_projection(model, self.name)

    def loss(self, outputs: Outputs) -> Tensor:
        return orthogonality(trained_image_projection(self.model, self.name), self.settings.squared)


def trained_image_projection(model: TunedModel, regularizer: str) -> Tensor:
    """Find the image projection of what is tuned.

    Args:
        model: what is tuned.
        regularizer: who asks, for the error.

    Returns:
        [width, D].

    Raises:
        InputError: if there is none, or it is not trained.
    """
    projection = model.encoder.image_projection
    if projection is None:
        raise InputError(
            f"'{regularizer}' needs an image projection, and the image tower of {model.encoder.name} has none"
        )
    if not projection.requires_grad:
        raise InputError(
            f"'{regularizer}' acts on the image projection, which '{model.parameterization.name}' does not train; "
            "choose a method that trains the image tower"
        )
    return projection
