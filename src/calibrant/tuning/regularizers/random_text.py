"""Lipsum-FT: images keep their relation to random text."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Batch, Outputs
from calibrant.tuning.parameterizations.base import normalised
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.regularizers.image_consistency import refuse_untuned_images
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


def random_text(tuned: Tensor, zero_shot: Tensor, text_features: Tensor, logit_scale: Tensor | float) -> Tensor:
    """Give half the mean squared change of the logits of images and random texts.

    Args:
        tuned: [N, D], image features of the tuned model, rows of unit norm.
        zero_shot: [N, D], image features of the same images before tuning.
        text_features: [M, D], features of random texts before tuning, rows of unit norm.
        logit_scale: s, that of the model before tuning.

    Returns:
        A scalar, in float32 or wider.

    Source: Nam et al. (2024). Lipsum-FT: robust fine-tuning of zero-shot models using random text guidance. ICLR.

    Example:
        >>> float(random_text(torch.eye(2), torch.zeros(2, 2), torch.eye(2), 2.0))
        1.0
    """
    with torch.autocast(tuned.device.type, enabled=False):
        wide = torch.promote_types(tuned.dtype, torch.float32)
        changes = logit_scale * ((tuned.to(wide) - zero_shot.to(wide)) @ text_features.to(wide).T)
        return changes.square().mean() / 2


def random_tokens(encoder: DualEncoder, count: int, length: int, draw: np.random.Generator) -> Tensor:
    """Draw strings of tokens uniformly from the vocabulary, between the tokens that begin and end a text.

    Args:
        encoder: has the tokenizer.
        count: M.
        length: tokens of a string, without those of beginning and end.
        draw: the random numbers.

    Returns:
        int64 [M, L].

    Raises:
        InputError: if the size of the vocabulary is not known, or the strings are too long.
    """
    size = encoder.about.get("architecture", {}).get("text_cfg", {}).get("vocab_size")
    if not size:
        raise InputError(f"'random_text' cannot draw tokens for {encoder.name}, whose vocabulary is of unknown size")
    # whatever differs between two texts is text; the rest begins, ends or pads it
    one, other = encoder.tokenize([" ".join([word] * length) for word in "ab"]).numpy()
    places = np.flatnonzero(one != other)
    words = np.setdiff1d(np.arange(size), np.delete(one, places))
    ids = np.tile(one, (count, 1))
    ids[:, places] = words[draw.integers(len(words), size=(count, len(places)))]
    return torch.from_numpy(ids)


class RandomTextSettings(RegularizerSettings):
    """Settings of `RandomText`.

    Attributes:
        texts: how many are drawn at every step.
        length: tokens of each.
    """

    weight: float = 1.0
    texts: int = Field(default=80, ge=1)
    length: int = Field(default=8, ge=1)


@REGULARIZERS.register("random_text")
class RandomText(Regularizer):
    """Keeps the logits of images and texts of random tokens, drawn anew at every step, as they were."""

    Settings: ClassVar[type[Settings]] = RandomTextSettings
    settings: RandomTextSettings

    def __init__(self, settings: RandomTextSettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        refuse_untuned_images(model, self.name)

    def on_batch(self, batch: Batch, draw: np.random.Generator) -> Batch:
        encoder = self.model.zero_shot.encoder
        return {**batch, "random_text": random_tokens(encoder, self.settings.texts, self.settings.length, draw)}

    def loss(self, outputs: Outputs) -> Tensor:
        encoder = self.model.zero_shot.encoder
        with torch.no_grad():
            text, scale = encoder.encode_text(outputs.batch["random_text"]), encoder.logit_scale
        # a head may have been given features of their own norm
        tuned, zero_shot = normalised(outputs.image_features), normalised(outputs.zero_shot_image_features)
        return random_text(tuned, zero_shot, text, scale)
