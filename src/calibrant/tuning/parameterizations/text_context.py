"""Learned context tokens around the class name (CoOp)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization
from calibrant.tuning.parameterizations.class_prompts import (
    ClassPrompts,
    Position,
    averaged,
    phrase_embeddings,
    words_of,
)
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task

STANDARD_DEVIATION = 0.02
"""Of the random numbers from which contexts start."""


class ContextSettings(Settings):
    """How context vectors start.

    Attributes:
        tokens: the number of context tokens M; with a `phrase`, those of the phrase.
        phrase: words whose token embeddings are the initial values.
        initial: how vectors start without a phrase: ``"random"``, N(0, 0.02), or ``"template"``: with the words
            before the name in the data set's first template, next to the name, and zeros before those.
    """

    tokens: int | None = Field(default=None, ge=1)
    phrase: str | None = None
    initial: Literal["random", "template"] = "random"

    @model_validator(mode="after")
    def _one_start(self) -> ContextSettings:
        if (self.tokens is None) == (self.phrase is None):
            raise ValueError("give 'tokens' for a random start or 'phrase' for a start from words, one of the two")
        if self.phrase is not None and self.initial != "random":
            raise ValueError("give 'tokens' for a start from the template; a 'phrase' is a start of its own")
        return self


class TextContextSettings(ContextSettings):
    """Settings of `TextContext`.

    Attributes:
        shared: one context for all classes, or one for each tuned class.
        class_position: where the name stands: behind the context, in its middle, or in front.
    """

    shared: bool = True
    class_position: Position = "end"


@PARAMETERIZATIONS.register("text_context")
class TextContext(Parameterization):
    """Prompts such as [v_1] ... [v_M] [class name] . of which only the vectors v are trained.

    A shared context serves any names. Class-specific contexts serve the tuned classes; other names get their
    mean. Templates do not enter, since the context replaces them; synonyms of a class are averaged.

    Source: Zhou, Yang, Loy, Liu (2022). Learning to prompt for vision-language models. IJCV.
    """

    Settings: ClassVar[type[Settings]] = TextContextSettings
    text_side = "tuned"

    def __init__(
        self, settings: TextContextSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator
    ) -> None:
        super().__init__(settings, encoder, task, draw)
        self.settings = settings
        self.context = nn.Parameter(
            initial_context(settings, encoder, task, draw)
            if settings.shared
            else torch.stack([initial_context(settings, encoder, task, draw) for _ in task.classes])
        )
        self._prompts = ClassPrompts(encoder, self.context.shape[-2], settings.class_position)
        self._rows = {name: row for row, name in enumerate(task.classes)}

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"context": self.context}

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes of any name in the learned context; see the class for templates and synonyms."""
        words, counts = words_of(self.task, names)
        context = self.context if self.settings.shared else self._own_contexts(names, counts)
        return averaged(self._prompts.encode(words, context), counts)

    def _own_contexts(self, names: Sequence[str], counts: Sequence[int]) -> Tensor:
        """One context for each word, [N, M, W]."""
        mean = self.context.mean(dim=0)
        contexts = [self.context[self._rows[name]] if name in self._rows else mean for name in names]
        return torch.stack([context for context, count in zip(contexts, counts, strict=True) for _ in range(count)])


def initial_context(settings: ContextSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator) -> Tensor:
    """Give the vectors from which a context starts.

    Args:
        settings: how it starts.
        encoder: the dual encoder.
        task: has the template.
        draw: the random numbers.

    Returns:
        float32 [M, W].

    Raises:
        InputError: if the phrase is empty or the template has no words before the name.
    """
    if settings.phrase is not None:
        return phrase_embeddings(encoder, settings.phrase)
    shape = (settings.tokens or 0, encoder.text_width)
    if settings.initial == "random":
        values = draw.normal(0, STANDARD_DEVIATION, shape)
        return torch.from_numpy(values).float().to(encoder.log_logit_scale.device)
    before = task.templates[0].partition("{}")[0].strip()
    if not before:
        raise InputError(f"template '{task.templates[0]}' has no words before the name to start the context from")
    words = phrase_embeddings(encoder, before)[-shape[0] :]
    return torch.cat([words.new_zeros(shape[0] - len(words), shape[1]), words])
