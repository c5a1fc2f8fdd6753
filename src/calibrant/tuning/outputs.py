"""What the losses of one batch can read; each thing is computed when it is first read, and once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from torch import Tensor

from calibrant.tuning.parameterizations.base import Parameterization

Batch = dict[str, Tensor]


class Outputs:
    """A model's answers to one training batch.

    Args:
        model: what is tuned.
        batch: ``labels`` int64 [N] and either ``pixels`` [N, 3, H, W] or ``features`` [N, D] of the untouched
            image tower; ``captions`` int64 [N, L] (token ids) where the objective reads them.
    """

    def __init__(self, model: Parameterization, batch: Batch) -> None:
        self.model = model
        self.batch = batch
        self._text: dict[tuple[str, ...], Tensor] = {}

    @property
    def labels(self) -> Tensor:
        """int64 [N]."""
        return self.batch["labels"]

    @cached_property
    def image_features(self) -> Tensor:
        """float32 [N, D], rows of unit norm."""
        if "features" in self.batch:
            return self.model.adapt(self.batch["features"])
        return self.model.image_features(self.batch["pixels"])

    @cached_property
    def caption_features(self) -> Tensor:
        """float32 [N, D], rows of unit norm."""
        return self.model.encoder.encode_text(self.batch["captions"])

    @cached_property
    def logits(self) -> Tensor:
        """float32 [N, C] for the tuned class list."""
        return self.model.logits(self.image_features, self.model.task.classes, self.text_features)

    @property
    def logit_scale(self) -> Tensor:
        """Scalar."""
        return self.model.encoder.logit_scale

    def text_features(self, names: Sequence[str]) -> Tensor:
        """Encode classes of any name, float32 [C, D]; the same names are encoded once."""
        key = tuple(names)
        if key not in self._text:
            self._text[key] = self.model.text_features(names)
        return self._text[key]
