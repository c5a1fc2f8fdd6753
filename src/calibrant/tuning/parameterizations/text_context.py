"""Learned context tokens before the class name (CoOp)."""

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
from calibrant.tuning.parameterizations.base import Parameterization, normalised
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task

# a word of one token in every tokenizer; it only holds the place of a context token
PLACEHOLDER = "X"


class TextContextSettings(Settings):
    """Settings of `TextContext`.

    Attributes:
        tokens: the number of context tokens M; with a `phrase`, those of the phrase.
        phrase: words whose token embeddings are the initial values; without it they are random, N(0, 0.02).
        shared: one context for all classes, or one for each tuned class.
        class_position: where the name stands.
    """

    tokens: int | None = Field(default=None, ge=1)
    phrase: str | None = None
    shared: bool = True
    class_position: Literal["end"] = "end"

    @model_validator(mode="after")
    def _one_start(self) -> TextContextSettings:
        if (self.tokens is None) == (self.phrase is None):
            raise ValueError("give 'tokens' for a random start or 'phrase' for a start from words, one of the two")
        return self


@PARAMETERIZATIONS.register("text_context")
class TextContext(Parameterization):
    """Prompts [v_1] ... [v_M] [class name] . of which only the vectors v are trained.

    A shared context serves any names. Class-specific contexts serve the tuned classes; other names get their
    mean. Templates do not enter, since the context replaces them; synonyms of a class are averaged.

    References:
        Zhou, Yang, Loy, Liu (2022). Learning to prompt for vision-language models. IJCV.
    """

    Settings: ClassVar[type[Settings]] = TextContextSettings
    text_side = "tuned"

    def __init__(
        self, settings: TextContextSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator
    ) -> None:
        super().__init__(settings, encoder, task, draw)
        self.settings = settings
        device = encoder.log_logit_scale.device
        if settings.phrase is not None:
            start = phrase_embeddings(encoder, settings.phrase)
        else:
            values = draw.normal(0, 0.02, (settings.tokens or 0, encoder.text_width))
            start = torch.from_numpy(values).float().to(device)
        # class-specific random contexts start alike; cross-entropy tells them apart from the first step on
        self.context = nn.Parameter(start if settings.shared else start.repeat(len(task.classes), 1, 1))
        self._placeholder = placeholder_id(encoder)
        self._ids: dict[tuple[str, ...], Tensor] = {}
        self._rows = {name: row for row, name in enumerate(task.classes)}

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"context": self.context}

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes of any name in the learned context; see the class for templates and synonyms."""
        words = [self.task.synonyms(name) for name in names]
        counts = [len(synonyms) for synonyms in words]
        ids = self._prompt_ids(tuple(word for synonyms in words for word in synonyms))
        context = self._contexts(names)
        if context.ndim == 3:
            context = context.repeat_interleave(torch.tensor(counts, device=context.device), dim=0)
        features = self._encode(ids, context)
        if max(counts) == 1:
            return features
        return normalised(torch.stack([part.mean(dim=0) for part in torch.split(features, counts)]))

    def _encode(self, ids: Tensor, context: Tensor) -> Tensor:
        """Encode prompts [N, L] of placeholders and names, with the context in the place of the placeholders."""
        if context.ndim == 3 or "shared_prefix" not in self.encoder.capabilities:
            embeddings = insert(self.encoder.embed_tokens(ids), ids, context, self._placeholder)
            return self.encoder.encode_text_embeddings(embeddings, ids)
        end = first_placeholder(ids, self._placeholder) + len(context)
        beginning, rest = ids[:1, :end], ids[:, end:]
        prefix = insert(self.encoder.embed_tokens(beginning), beginning, context, self._placeholder)[0]
        return self.encoder.encode_text_after_prefix(prefix, self.encoder.embed_tokens(rest), rest)

    def _contexts(self, names: Sequence[str]) -> Tensor:
        """[M, W] for all names, or [C, M, W] one for each."""
        if self.settings.shared:
            return self.context
        mean = self.context.mean(dim=0)
        return torch.stack([self.context[self._rows[name]] if name in self._rows else mean for name in names])

    def _prompt_ids(self, words: tuple[str, ...]) -> Tensor:
        if words not in self._ids:
            prefix = " ".join([PLACEHOLDER] * self.context.shape[-2])
            try:
                ids = self.encoder.tokenize([f"{prefix} {word}." for word in words]).to(self.context.device)
            except InputError as error:
                raise InputError(f"with {self.context.shape[-2]} context tokens: {error}") from None
            # the tuned classes recur at every step; other lists come and go
            self._ids = {**({key: self._ids[key] for key in list(self._ids)[:1]}), words: ids}
        return self._ids[words]


def placeholder_id(encoder: DualEncoder) -> int:
    """Find the token id of the placeholder: the one that two placeholders have twice.

    Args:
        encoder: the dual encoder whose tokenizer is asked.

    Returns:
        The id.

    Raises:
        InputError: if the tokenizer does not make one token of the placeholder.
    """
    one = encoder.tokenize([PLACEHOLDER])[0].tolist()
    two = encoder.tokenize([f"{PLACEHOLDER} {PLACEHOLDER}"])[0].tolist()
    for position, token in enumerate(one[: len(two) - 1]):
        if two[position] == two[position + 1] == token and token != 0:
            return int(token)
    raise InputError(f"the tokenizer of {encoder.name} has no token for '{PLACEHOLDER}', which learned contexts need")


def phrase_embeddings(encoder: DualEncoder, phrase: str) -> Tensor:
    """Look up the token embeddings of a phrase without start, end and padding.

    Args:
        encoder: the dual encoder.
        phrase: words.

    Returns:
        float32 [M, W].

    Raises:
        InputError: if the phrase is empty.
    """
    placeholder = placeholder_id(encoder)
    start = encoder.tokenize([PLACEHOLDER])[0].tolist().index(placeholder)
    # a placeholder behind the phrase marks its end, whatever the tokenizer puts after the text
    ids = encoder.tokenize([f"{phrase} {PLACEHOLDER}"]).to(encoder.log_logit_scale.device)
    end = int((ids[0] == placeholder).nonzero()[-1])
    if end <= start:
        raise InputError("the initial phrase of the context is empty")
    with torch.no_grad():
        return encoder.embed_tokens(ids)[0, start:end].float().clone()


def insert(embeddings: Tensor, ids: Tensor, context: Tensor, placeholder: int) -> Tensor:
    """Put context vectors in the place of the leading placeholders.

    Args:
        embeddings: [N, L, W] of prompts that begin with M placeholders.
        ids: int64 [N, L] of the same prompts.
        context: [M, W] for all prompts, or [N, M, W].
        placeholder: the token id of the placeholder.

    Returns:
        [N, L, W].

    Example:
        >>> ids = torch.tensor([[1, 7, 7, 3, 2]])
        >>> insert(torch.zeros(1, 5, 1), ids, torch.ones(2, 1), 7)[0, :, 0].tolist()
        [0.0, 1.0, 1.0, 0.0, 0.0]
    """
    start = first_placeholder(ids, placeholder)
    end = start + context.shape[-2]
    context = context.expand(len(ids), *context.shape[-2:]).to(embeddings.dtype)
    return torch.cat([embeddings[:, :start], context, embeddings[:, end:]], dim=1)


def first_placeholder(ids: Tensor, placeholder: int) -> int:
    """Find where the context begins in prompts [N, L] that all have it at the same place.

    Example:
        >>> first_placeholder(torch.tensor([[1, 7, 7, 3, 2]]), 7)
        1
    """
    return int((ids[0] == placeholder).nonzero()[0])
