"""CoPrompt's consistency: tuned features stay near those of other words and of another view of the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.models.text import encode_prompts, prompts
from calibrant.storage import read_json
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Batch, Outputs
from calibrant.tuning.rand_augment import HIGHEST, view
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.regularizers.image_consistency import refuse_untuned_images
from calibrant.tuning.regularizers.text_consistency import refuse_untuned_text
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


def adapted_consistency(text: Tensor, described: Tensor, image: Tensor, other_view: Tensor) -> Tensor:
    """Give (1 - mean cosine of the texts) + (1 - mean cosine of the images).

    Args:
        text: tuned features of the classes, [C, D].
        described: frozen features of a description of each class, [C, D].
        image: tuned features of the images, [N, D].
        other_view: frozen features of another view of the same images, [N, D].

    Returns:
        A scalar.

    Source: Roy, Etemad (2024). Consistency-guided prompt learning for vision-language models. ICLR.

    Example:
        >>> rows = torch.eye(2)
        >>> float(adapted_consistency(rows, rows, rows, -rows))
        2.0
    """
    texts = F.cosine_similarity(text, described, dim=-1).mean()
    images = F.cosine_similarity(image, other_view, dim=-1).mean()
    return (1 - texts) + (1 - images)


class AdaptedConsistencySettings(RegularizerSettings):
    """Settings of `AdaptedConsistency`.

    Attributes:
        descriptions: class name to sentences that describe it, or the path of a JSON file with that; null takes the
            class prompts of the data set for descriptions.
        operations: random changes of each view, see `rand_augment`.
        magnitude: of the changes, from 0 to 30.
    """

    descriptions: dict[str, list[str]] | None = None
    operations: int = Field(default=2, ge=0)
    magnitude: float = Field(default=10, ge=0, le=HIGHEST)

    @field_validator("descriptions", mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        # the sentences themselves become part of the recipe, so that a run does not depend on the file
        return read_json(given) if isinstance(given, str) else given


@REGULARIZERS.register("adapted_consistency")
class AdaptedConsistency(Regularizer):
    """Two random views of each image: the tuned model sees one, the zero-shot model the other.

    At each step one description of each class is drawn. The tuned text features stay near its frozen features.
    """

    Settings: ClassVar[type[Settings]] = AdaptedConsistencySettings
    settings: AdaptedConsistencySettings

    def __init__(self, settings: AdaptedConsistencySettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        refuse_untuned_text(model, self.name)
        refuse_untuned_images(model, self.name)
        sentences = described(model, settings.descriptions)
        with torch.no_grad():
            features = encode_prompts(model.zero_shot.encoder, [text for texts in sentences for text in texts])
        self.described = torch.split(features, [len(texts) for texts in sentences])

    def on_batch(self, batch: Batch, draw: np.random.Generator) -> Batch:
        if "pixels" not in batch:
            raise InputError("'adapted_consistency' needs two views of each image; set solver.views to live")
        counts = np.array([len(features) for features in self.described])
        how = (self.model.encoder.preprocessing, self.settings.operations, self.settings.magnitude)
        return {
            **batch,
            "pixels": view(batch["pixels"], draw, *how),
            "other_view": view(batch["pixels"], draw, *how),
            "description": torch.from_numpy(draw.integers(counts)),
        }

    def loss(self, outputs: Outputs) -> Tensor:
        chosen = outputs.batch["description"].tolist()
        sentences = torch.stack([features[number] for features, number in zip(self.described, chosen, strict=True)])
        other_view = outputs.zero_shot.image_features(outputs.batch["other_view"])
        return adapted_consistency(
            outputs.text_features(self.model.classes), sentences, outputs.image_features, other_view
        )


def described(model: TunedModel, descriptions: Mapping[str, list[str]] | None) -> list[list[str]]:
    """Give the descriptions of every tuned class.

    Args:
        model: what is tuned.
        descriptions: class name to sentences, or None for the class prompts.

    Returns:
        C lists of at least one sentence.

    Raises:
        InputError: if a class has none.
    """
    if descriptions is None:
        return prompts(model.classes, model.templates, model.words)
    for name in model.classes:
        if not descriptions.get(name):
            raise InputError(f"'adapted_consistency': the descriptions have no sentence for class '{name}'")
    return [descriptions[name] for name in model.classes]
