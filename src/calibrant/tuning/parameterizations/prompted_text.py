"""Class names in a learned context, with learned tokens in deeper blocks of the text tower."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.parameterizations.class_prompts import ClassPrompts, averaged, phrase_embeddings, words_of
from calibrant.tuning.parameterizations.deep_prompts import drawn_prompts, text_prompts
from calibrant.tuning.task import Task


class PromptedText:
    """Turns names and deep prompts into text features; it has the words, whoever trains the prompts has those.

    The context may start from the beginning of a phrase; the rest of the phrase then stays, as words, before the name:
    two tokens and "a photo of a" make [v_1] [v_2] of a [class name] .

    Args:
        encoder: the dual encoder.
        task: has the synonyms.
        tokens: M, the number of tokens at each prompted block.
        phrase: words that the context at block 0 starts from; None for random numbers.

    Raises:
        InputError: if the phrase has no beginning of M tokens.
    """

    def __init__(self, encoder: DualEncoder, task: Task, tokens: int, phrase: str | None) -> None:
        self.encoder = encoder
        self.task = task
        self.tokens = tokens
        self.beginning: Tensor | None = None
        self.rest = ""
        if phrase is not None:
            self.beginning, self.rest = split_phrase(encoder, phrase, tokens)
        self._prompts = ClassPrompts(encoder, tokens)

    def start(self, depth: int, draw: np.random.Generator) -> Tensor:
        """Give the values from which the prompts start: those of the phrase at block 0, else N(0, 0.02).

        Args:
            depth: number of blocks.
            draw: the random numbers.

        Returns:
            float32 [depth, M, W].
        """
        prompts = drawn_prompts(depth, self.tokens, self.encoder.text_width, self.encoder, draw)
        if self.beginning is not None:
            prompts[0] = self.beginning
        return prompts

    def features(self, names: Sequence[str], prompts: Tensor) -> Tensor:
        """Encode classes of any name; synonyms are averaged.

        Args:
            names: C class names.
            prompts: [depth, M, W].

        Returns:
            float32 [C, D], rows of unit norm.

        Raises:
            InputError: if a prompt is too long.
        """
        words, counts = words_of(self.task, names)
        words = [f"{self.rest} {word}".strip() for word in words]
        edit = text_prompts(prompts, self._prompts.start)
        return averaged(self._prompts.encode(words, prompts[0], edit), counts)


def split_phrase(encoder: DualEncoder, phrase: str, tokens: int) -> tuple[Tensor, str]:
    """Divide a phrase into its first tokens and the words that follow.

    Args:
        encoder: has the tokenizer.
        phrase: words.
        tokens: how many tokens.

    Returns:
        Embeddings [tokens, W] of the beginning, and the rest, perhaps empty.

    Raises:
        InputError: if the phrase is shorter, or a word lies on both sides.
    """
    words = phrase.split()
    for count in range(1, len(words) + 1):
        beginning = phrase_embeddings(encoder, " ".join(words[:count]))
        if len(beginning) == tokens:
            return beginning, " ".join(words[count:])
    raise InputError(f"no first words of the phrase '{phrase}' are {tokens} tokens; change the phrase or 'tokens'")
