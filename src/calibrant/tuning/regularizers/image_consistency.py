"""PromptSRC's image term: tuned image features stay near those of the zero-shot model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from calibrant.errors import InputError
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.parameterizations.base import Parameterization, normalised
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.regularizers.text_consistency import feature_consistency
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


class ImageConsistencySettings(RegularizerSettings):
    """Settings of `ImageConsistency`."""

    weight: float = 10.0


@REGULARIZERS.register("image_consistency")
class ImageConsistency(Regularizer):
    """Tuned image features stay near the zero-shot ones of the same images, by the mean absolute difference."""

    Settings: ClassVar[type[Settings]] = ImageConsistencySettings

    def __init__(self, settings: ImageConsistencySettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        refuse_untuned_images(model, self.name)

    def loss(self, outputs: Outputs) -> Tensor:
        # a head may have been given features of their own norm
        return feature_consistency(normalised(outputs.image_features), outputs.zero_shot_image_features)


def refuse_untuned_images(model: TunedModel, regularizer: str) -> None:
    """Refuse a method whose image features are those of the zero-shot model.

    Args:
        model: what is tuned.
        regularizer: who asks, for the error.

    Raises:
        InputError: if neither the image tower nor anything behind it is tuned.
    """
    tuned = model.parameterization
    if tuned.image_side != "tuned" and type(tuned).adapt is Parameterization.adapt:
        raise InputError(
            f"'{regularizer}' holds tuned image features near the zero-shot ones, but '{tuned.name}' does not tune "
            "them; choose a method that tunes the image side, such as maple"
        )
