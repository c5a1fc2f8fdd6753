"""Prompts made of context vectors and a class name, which stands behind, between or before them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from calibrant.errors import InputError
from calibrant.models.dual_encoder import BlockEdit, DualEncoder
from calibrant.models.text import beginning_alike
from calibrant.tuning.task import Task

Position = Literal["end", "middle", "front"]

# a word of one token in every tokenizer; it only holds the place of a context token
PLACEHOLDER = "X"


class ClassPrompts:
    """Turns words and context vectors into text features; it has the tokens, whoever trains the vectors has those.

    What all prompts begin with is encoded once where the model can do that: the whole context if the name stands
    at the end, its first half if the name stands in the middle, the start token if it stands in front.

    Args:
        encoder: the dual encoder.
        tokens: M, the number of context tokens.
        position: where the word stands; in the middle it follows the first half of the context, rounded down.

    Attributes:
        start: the place of the first token of a prompt's text, behind the start token.

    Raises:
        InputError: if the tokenizer does not make one token of the placeholder.
    """

    def __init__(self, encoder: DualEncoder, tokens: int, position: Position = "end") -> None:
        self.encoder = encoder
        self.tokens = tokens
        self.leading = {"end": tokens, "middle": tokens // 2, "front": 0}[position]
        self.placeholder = placeholder_id(encoder)
        self.start = first_placeholder(encoder.tokenize([PLACEHOLDER]), self.placeholder)
        self._rows: dict[str, Tensor] = {}

    def encode(self, words: Sequence[str], context: Tensor, edit: BlockEdit | None = None) -> Tensor:
        """Encode words in their context.

        Args:
            words: N words; an empty one leaves the context alone.
            context: [M, W] for all words, or [N, M, W], one for each.
            edit: changes tokens between the blocks of the text tower; it sees whole prompts or only what all have in
                front, so it may change the start token and the context before the name, nothing else.

        Returns:
            float32 [N, D], rows of unit norm.

        Raises:
            InputError: if a prompt is too long.
        """
        if context.ndim == 3 or not self._can_share:
            return self.encoder.encode_text_embeddings(*self.whole(words, context), edit)
        return self.encoder.encode_text_after_prefix(*self._divided(words, context), edit)

    def encode_each(self, words: Sequence[str], contexts: Tensor) -> Tensor:
        """Encode all words in each of several contexts.

        Args:
            words: N words.
            contexts: [B, M, W].

        Returns:
            float32 [B, N, D], rows of unit norm.

        Raises:
            InputError: if a prompt is too long.
        """
        if self._can_share and self.leading == self.tokens:
            return self.encoder.encode_text_after_prefix(*self._divided(words, contexts))
        return torch.stack([self.encode(words, context) for context in contexts])

    def whole(self, words: Sequence[str], context: Tensor) -> tuple[Tensor, Tensor]:
        """Write whole prompts.

        Args:
            words: N words.
            context: [M, W] for all words, or [N, M, W], one for each.

        Returns:
            Embeddings [N, L, W], without positions, and ids, int64 [N, L].

        Raises:
            InputError: if a prompt is too long.
        """
        ids = self.ids(words)
        return put(self.encoder.embed_tokens(ids), self.slots(ids), context), ids

    def ids(self, words: Sequence[str]) -> Tensor:
        """Tokenize the prompts of words, with placeholders for the context.

        Args:
            words: N words.

        Returns:
            int64 [N, L].

        Raises:
            InputError: if a prompt is too long.
        """
        new = [word for word in dict.fromkeys(words) if word not in self._rows]
        if new:
            texts = [self._text(word) for word in new]
            try:
                ids = self.encoder.tokenize(texts)
            except InputError as error:
                raise InputError(f"with {self.tokens} context tokens: {error}") from None
            self._rows |= zip(new, self._without_padding(ids), strict=True)
        rows = [self._rows[word] for word in words]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return padded.to(self.encoder.log_logit_scale.device)

    def slots(self, ids: Tensor) -> Tensor:
        """Find the context in prompts.

        Args:
            ids: int64 [N, L], as `ids` gives them.

        Returns:
            int64 [N, M], the places of the context tokens.
        """
        # a name may hold the placeholder too ("x-ray"): the context has the first ones and the last ones
        found = (ids == self.placeholder).long()
        behind = found.flip(1).cumsum(1).flip(1)
        trailing = self.tokens - self.leading
        last = (found.bool() & (behind <= trailing)).nonzero()[:, 1].view(len(ids), trailing)
        first = torch.arange(self.start, self.start + self.leading, device=ids.device).expand(len(ids), -1)
        return torch.cat([first, last], dim=1)

    @property
    def _can_share(self) -> bool:
        return "shared_prefix" in self.encoder.capabilities

    def _divided(self, words: Sequence[str], context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What prompts begin with, [P, W] or [B, P, W]; how they go on, [N, S, W]; ids [N, S] of that."""
        ids = self.ids(words)
        end = self.start + self.leading
        begin, rest = ids[0, : self.start], ids[:, end:]
        started = self.encoder.embed_tokens(begin[None])[0].expand(*context.shape[:-2], -1, -1)
        leading = context[..., : self.leading, :].to(started.dtype)
        prefix = torch.cat([started, leading], dim=-2)
        embeddings = self.encoder.embed_tokens(rest)
        if self.leading < self.tokens:
            slots = self.slots(ids)[:, self.leading :] - end
            return prefix, put(embeddings, slots, context[self.leading :]), rest
        # fixed words before the name belong to what all have in front
        fixed = beginning_alike(rest)
        alike = embeddings[0, :fixed].expand(*context.shape[:-2], -1, -1)
        return torch.cat([prefix, alike], dim=-2), embeddings[:, fixed:], rest[:, fixed:]

    def _text(self, word: str) -> str:
        before, behind = [PLACEHOLDER] * self.leading, [PLACEHOLDER] * (self.tokens - self.leading)
        return " ".join([*before, word, *behind]) + "."

    def _without_padding(self, ids: Tensor) -> list[Tensor]:
        """Cut each row behind its own end, so that rows of other lists can stand beside it."""
        if "padding_cut" not in self.encoder.capabilities:
            return list(ids)
        # the last token of a text is never 0, which pads
        return [row[: int(row.nonzero()[-1]) + 1] for row in ids]


def put(embeddings: Tensor, slots: Tensor, context: Tensor) -> Tensor:
    """Put context vectors in their places.

    Args:
        embeddings: [N, L, W].
        slots: int64 [N, M].
        context: [M, W] for all prompts, or [N, M, W].

    Returns:
        [N, L, W].

    Example:
        >>> put(torch.zeros(1, 4, 1), torch.tensor([[1, 3]]), torch.ones(2, 1))[0, :, 0].tolist()
        [0.0, 1.0, 0.0, 1.0]
    """
    places = slots[..., None].expand(*slots.shape, embeddings.shape[-1])
    return embeddings.scatter(1, places, context.to(embeddings.dtype).expand(places.shape))


def words_of(task: Task, names: Sequence[str]) -> tuple[list[str], list[int]]:
    """Spell out classes.

    Args:
        task: has the synonyms.
        names: C class names.

    Returns:
        The words of all classes, one class after the other, and how many each class has.

    Example:
        >>> words_of(Task(["cat", "car"], ["a {}."], {"car": ("car", "automobile")}), ["cat", "car"])
        (['cat', 'car', 'automobile'], [1, 2])
    """
    words = [task.synonyms(name) for name in names]
    return [word for synonyms in words for word in synonyms], [len(synonyms) for synonyms in words]


def averaged(features: Tensor, counts: Sequence[int]) -> Tensor:
    """Average the features of the words of each class.

    Args:
        features: [..., N, D] of the words, rows of unit norm.
        counts: of the words of each of C classes; their sum is N.

    Returns:
        [..., C, D], rows of unit norm.

    Example:
        >>> averaged(torch.eye(3), [1, 2])[1].round(decimals=2).tolist()
        [0.0, 0.7099999785423279, 0.7099999785423279]
    """
    if max(counts) == 1:
        return features
    means = [part.mean(dim=-2) for part in torch.split(features, list(counts), dim=-2)]
    return torch.nn.functional.normalize(torch.stack(means, dim=-2), dim=-1)


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


def first_placeholder(ids: Tensor, placeholder: int) -> int:
    """Find where the text begins in prompts [N, L] that begin with a placeholder.

    Example:
        >>> first_placeholder(torch.tensor([[1, 7, 7, 3, 2]]), 7)
        1
    """
    return int((ids[0] == placeholder).nonzero()[0])
