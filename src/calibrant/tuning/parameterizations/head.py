"""A linear head on image features, with or without the image tower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.text import text_classifier
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization, TextFeatures, cosine_logits, with_own
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


class HeadSettings(Settings):
    """Settings of `Head`.

    Attributes:
        image_tower: whether the image tower is trained along with the head.
        initial: ``"zero_shot"`` (logit scale x text classifier) or ``"random"`` (uniform in +-1/sqrt(D)).
    """

    image_tower: bool = False
    initial: Literal["zero_shot", "random"] = "zero_shot"


@PARAMETERIZATIONS.register("head")
class Head(Parameterization):
    """Logits W z + b of the unit-norm image feature z; the bias starts at 0.

    The head answers exactly the tuned class list. For any other list the tuned image features meet the text
    classifier of the zero-shot model, whose text tower is untouched.

    Source: Radford et al. (2021). Learning transferable visual models from natural language supervision. ICML (linear
    probe); Wortsman et al. (2022). Robust fine-tuning of zero-shot models. CVPR (head from the text classifier); Kumar
    et al. (2022). Fine-tuning can distort pretrained features and underperform out-of-distribution. ICLR (LP-FT).
    """

    Settings: ClassVar[type[Settings]] = HeadSettings

    def __init__(self, settings: HeadSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator) -> None:
        tower = dict(encoder.image_tower_parameters()) if settings.image_tower else {}
        super().__init__(settings, with_own(encoder, list(tower.values())) if tower else encoder, task, draw)
        self.trains_image_tower = settings.image_tower
        self._zero_shot_encoder = (encoder,)  # in a tuple, so that it is no module of ours
        self._tower_start = {f"encoder.{name}": parameter.detach() for name, parameter in tower.items()}
        self.head = nn.Linear(encoder.embed_dim, len(task.classes), device=encoder.log_logit_scale.device)
        with torch.no_grad():
            self.head.bias.zero_()
            if settings.initial == "zero_shot":
                self.head.weight.copy_(self._zero_shot_weight())
                if encoder.logit_bias is not None:
                    self.head.bias.copy_(encoder.logit_bias.expand(len(task.classes)))
            else:
                bound = encoder.embed_dim**-0.5
                values = draw.uniform(-bound, bound, tuple(self.head.weight.shape))
                self.head.weight.copy_(torch.from_numpy(values))

    def _zero_shot_weight(self) -> Tensor:
        (encoder,) = self._zero_shot_encoder
        with torch.no_grad():
            text = text_classifier(encoder, self.task.classes, self.task.templates, self.task.words)
            return encoder.logit_scale * text

    def trainables(self) -> dict[str, nn.Parameter]:
        tower = self.encoder.image_tower_parameters() if self._tower_start else ()
        return {
            **dict(self.head.named_parameters(prefix="head")),
            **{f"encoder.{name}": tensor for name, tensor in tower},
        }

    def zero_shot_tensors(self) -> dict[str, Tensor]:
        (encoder,) = self._zero_shot_encoder
        bias = (
            torch.zeros_like(self.head.bias)
            if encoder.logit_bias is None
            else encoder.logit_bias.expand_as(self.head.bias)
        )
        return {**self._tower_start, "head.weight": self._zero_shot_weight(), "head.bias": bias.detach()}

    def logits(self, image_features: Tensor, names: Sequence[str], text_features: TextFeatures | None = None) -> Tensor:
        """Apply the head to the tuned class list, and the zero-shot text classifier to any other."""
        if list(names) != self.task.classes:
            return cosine_logits(image_features, (text_features or self.text_features)(names), self.encoder)
        with torch.autocast(image_features.device.type, enabled=False):
            logits: Tensor = self.head(image_features.float())
        return logits
