"""Deep text tokens that are made of each class's zero-shot embedding (TCP)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.text import text_classifier
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization
from calibrant.tuning.parameterizations.class_prompts import ClassPrompts, averaged, put, words_of
from calibrant.tuning.parameterizations.drawn_linear import drawn_linear
from calibrant.tuning.parameterizations.text_context import ContextSettings, initial_context
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


class ClassAwareTokensSettings(ContextSettings):
    """Settings of `ClassAwareTokens`.

    Attributes:
        hidden: width of the hidden layer between class embedding and tokens.
        block: the text block, from 0, at whose input the class-aware tokens stand; None for the one behind two
            thirds of the tower, which is 8 of CLIP's 12.
        weight: share of the class-aware tokens; the rest is left of the tokens that they replace.
    """

    hidden: int = Field(default=128, ge=1)
    block: int | None = Field(default=None, ge=1)
    weight: float = Field(default=1.0, ge=0, le=1)


class QuickGELU(nn.Module):
    """OpenAI's stand-in for the GELU, x sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


@PARAMETERIZATIONS.register("class_aware_tokens")
class ClassAwareTokens(Parameterization):
    """Prompts [v_1] ... [v_M] [class name] . whose context is replaced, deep in the tower, by tokens of the class.

    The tokens are W_2 QuickGELU(W_1 t + b_1) + b_2 of the class's zero-shot embedding t, made with the
    templates; any name has one. Trained are v and both layers. Synonyms of a class share its tokens and are
    averaged.

    Source: Yao, Zhang, Xu (2024). TCP: textual-based class-aware prompt tuning for visual-language model. CVPR.
    """

    Settings: ClassVar[type[Settings]] = ClassAwareTokensSettings
    text_side = "tuned"

    def __init__(
        self, settings: ClassAwareTokensSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator
    ) -> None:
        super().__init__(settings, encoder, task, draw)
        self.block = _block(settings.block, encoder)
        self.weight = settings.weight
        self.context = nn.Parameter(initial_context(settings, encoder, task, draw))
        device = self.context.device
        self.token_net = nn.Sequential(
            drawn_linear(encoder.embed_dim, settings.hidden, draw, device),
            QuickGELU(),
            drawn_linear(settings.hidden, self.context.numel(), draw, device),
        )
        self._prompts = ClassPrompts(encoder, len(self.context))
        self._class_features: dict[tuple[tuple[str, ...], ...], Tensor] = {}

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"context": self.context, **dict(self.token_net.named_parameters(prefix="token_net"))}

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes of any name.

        Args:
            names: C class names.
            templates: of the zero-shot embeddings that the class-aware tokens are made of; by default those of
                the task.

        Returns:
            float32 [C, D], rows of unit norm.
        """
        words, counts = words_of(self.task, names)
        tokens = self.class_tokens(names, templates)
        tokens = tokens.repeat_interleave(torch.tensor(counts, device=tokens.device), dim=0)
        embeddings, ids = self._prompts.whole(words, self.context)
        slots = self._prompts.slots(ids)

        def replace(block: int, x: Tensor) -> Tensor:
            if block != self.block:
                return x
            kept = x.gather(1, slots[..., None].expand(-1, -1, x.shape[-1]))
            return put(x, slots, self.weight * tokens + (1 - self.weight) * kept)

        return averaged(self.encoder.encode_text_embeddings(embeddings, ids, replace), counts)

    def class_tokens(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Make the class-aware tokens.

        Args:
            names: C class names.
            templates: of the zero-shot embeddings; by default those of the task.

        Returns:
            [C, M, W].
        """
        tokens: Tensor = self.token_net(self._zero_shot(names, tuple(templates or self.task.templates)))
        return tokens.view(len(names), *self.context.shape)

    def _zero_shot(self, names: Sequence[str], templates: tuple[str, ...]) -> Tensor:
        """Zero-shot class embeddings [C, D]; the text tower is untouched, so each is computed once."""
        keys = [(templates, tuple(self.task.synonyms(name))) for name in names]
        new = {key: name for key, name in zip(keys, names, strict=True) if key not in self._class_features}
        if new:
            # they outlive the step, so in full precision and fit for later training
            with torch.inference_mode(False), torch.no_grad(), torch.autocast(self.context.device.type, enabled=False):
                features = text_classifier(self.encoder, list(new.values()), templates, self.task.words)
            self._class_features |= zip(new, features, strict=True)
        return torch.stack([self._class_features[key] for key in keys]).to(self.context.device)


def _block(asked: int | None, encoder: DualEncoder) -> int:
    layers = encoder.text_layers
    if not layers:
        raise InputError(f"the text tower of {encoder.name} takes no deep tokens; choose a model with CLIP's own")
    block = max(1, round(layers * 2 / 3)) if asked is None else asked
    if block >= layers:
        raise InputError(
            f"the text tower of {encoder.name} has {layers} blocks, numbered from 0: "
            f"parameterization.block {block} is beyond the last"
        )
    return block
