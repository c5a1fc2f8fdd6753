"""DOR: the tuned text features of words that are no class stay where they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from pydantic import PositiveInt, model_validator
from torch import Tensor
from torch.nn import functional as F

from calibrant.data.vocabulary import load_vocabulary
from calibrant.errors import InputError
from calibrant.storage import digest
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Batch, Outputs
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.regularizers.outlier_pool import Kind, make_pool, new_class_names
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel

DRAWN = "outliers"
_CANDIDATES = 256


def outlier(tuned_features: Tensor, zero_shot_features: Tensor) -> Tensor:
    """Give 1 - the mean cosine of features before and after tuning.

    Args:
        tuned_features: [O, D] of O outliers (words or images), or [N, O, D] where each image has its own.
        zero_shot_features: [O, D] of the same outliers in the zero-shot model.

    Returns:
        A scalar, in float32 or wider.

    Source: Wang, Li, Wei (2025). Understanding and mitigating miscalibration in prompt tuning for vision-language
    models. ICML.

    Example:
        >>> round(float(outlier(torch.tensor([[0.6, 0.8], [0.0, 2.0]]), torch.eye(2))), 6)
        0.2
    """
    with torch.autocast(tuned_features.device.type, enabled=False):
        wide = torch.promote_types(tuned_features.dtype, torch.float32)
        return 1 - F.cosine_similarity(tuned_features.to(wide), zero_shot_features.to(wide), dim=-1).mean()


class DORSettings(RegularizerSettings):
    """Settings of `DOR`.

    Attributes:
        weight: published: 8 on CoOp (its recipe says so), 2 elsewhere.
        pool: which words are outliers: those ``"near"`` to the tuned classes, those ``"far"`` from them, any
            (``"random"``), or the new class names themselves (``"oracle"``).
        size: K, how many words a near or far pool has, at most.
        template: the prompt of an outlier in the zero-shot model; a method that writes prompts uses it on the tuned
            side as well, a learned context has no use for it.
        vocabulary: a file with one word per line; by default the common nouns of WordNet.
        new_names: the classes that will come later, if they are known: a list of names, or the name of a data set such
            as ``"emoji/new"``. It is warned how many of them, or synonyms of them, the pool holds.
        leave_out_new: keep them and their synonyms out of the pool.
    """

    weight: float = 2.0
    pool: Kind = "near"
    size: PositiveInt = 5000
    template: str = "a photo of a {}."
    vocabulary: str | None = None
    new_names: list[str] | str | None = None
    leave_out_new: bool = False

    @model_validator(mode="after")
    def _new_names_where_needed(self) -> DORSettings:
        if self.new_names is None and (self.pool == "oracle" or self.leave_out_new):
            raise ValueError("pool: oracle and leave_out_new need new_names: a list, or a data set such as emoji/new")
        if self.pool == "oracle" and self.leave_out_new:
            raise ValueError("pool: oracle consists of the new names, which leave_out_new leaves out; choose one")
        return self

    def contents(self) -> dict[str, str]:
        if self.vocabulary is None:
            return {}
        return {"vocabulary": digest(list(load_vocabulary(self.vocabulary).words))}


@REGULARIZERS.register("dor")
class DOR(Regularizer):
    """Dynamic outlier regularization: 1 - the mean cosine of outlier words' text features before and after tuning.

    At every step as many outliers as there are tuned classes are drawn from the pool, without repeats. The classes
    themselves are free, which is the difference to `knowledge_guided`.

    Attributes:
        pool: the outliers.

    Source: Wang, Li, Wei (2025). Understanding and mitigating miscalibration in prompt tuning for vision-language
    models. ICML. The code published for CoOp, CoCoOp and MaPLe does it this way; elsewhere the attachment is inferred.
    """

    Settings: ClassVar[type[Settings]] = DORSettings
    settings: DORSettings

    def __init__(self, settings: DORSettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        tuned = model.parameterization
        if tuned.text_side != "tuned":
            raise InputError(
                f"dor holds the text features of outliers where they were, but '{tuned.name}' does not tune them, so "
                "there is nothing to hold; use dor_visual with outlier images, or choose another method"
            )
        chosen = None if settings.vocabulary is None else load_vocabulary(settings.vocabulary)
        self.pool = make_pool(
            model, settings.pool, settings.size, settings.template, chosen, new_class_names(settings.new_names),
            settings.leave_out_new
        )  # fmt: skip
        self._refuse_too_long()

    def _refuse_too_long(self) -> None:
        """Encode the longest prompt now: better no training than one that stops when the word is drawn."""
        # the word with the most tokens is among those with the most letters
        candidates = sorted(self.pool.words, key=len)[-_CANDIDATES:]
        longest = candidates[int(np.argmax(self.model.encoder.token_counts(candidates)))]
        images = torch.zeros(1, self.model.encoder.embed_dim, device=self.model.encoder.log_logit_scale.device)
        with torch.no_grad():
            self.model.parameterization.text_features_for([longest], images)

    def on_batch(self, batch: Batch, draw: np.random.Generator) -> Batch:
        """Draw the outliers of the step."""
        count = min(len(self.model.classes), len(self.pool))
        return {**batch, DRAWN: torch.from_numpy(draw.choice(len(self.pool), count, replace=False))}

    def loss(self, outputs: Outputs) -> Tensor:
        words, before = self.pool.drawn(outputs.batch[DRAWN].tolist())
        after = outputs.text_features(words, [self.settings.template])
        return outlier(after, before.to(after.device))
