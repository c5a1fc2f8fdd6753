"""The contrastive loss at a temperature that is not trained."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from calibrant.tuning.components import OBJECTIVES
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.objectives.contrastive import contrastive
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.settings import Settings


class ContrastiveFixedSettings(Settings):
    """Settings of `ContrastiveFixed`.

    Attributes:
        temperature: what cosines are divided by; CLIP's pre-training began at 0.07.
    """

    temperature: float = Field(default=0.07, gt=0)


@OBJECTIVES.register("contrastive_fixed")
class ContrastiveFixed(Objective):
    """The contrastive loss at a fixed temperature; the model answers with its own logit scale all the same."""

    Settings: ClassVar[type[Settings]] = ContrastiveFixedSettings
    settings: ContrastiveFixedSettings
    reads_captions = True

    def loss(self, outputs: Outputs) -> Tensor:
        return contrastive(outputs.image_features, outputs.caption_features, 1 / self.settings.temperature)
