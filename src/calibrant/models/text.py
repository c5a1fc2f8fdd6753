"""Class prompts: from names, templates and synonyms to token ids and to a text classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder


def prompts(
    names: Sequence[str], templates: Sequence[str], words: Mapping[str, Sequence[str]] | None = None
) -> list[list[str]]:
    """Write the prompts of each class.

    Args:
        names: C class names.
        templates: texts with ``{}`` in the place of the name.
        words: class name to synonyms; a class that is missing stands for itself.

    Returns:
        For each class its prompts: every synonym in every template.

    Raises:
        InputError: if there is no class or no template, a template lacks ``{}``, or a name is empty.

    Example:
        >>> prompts(["cat", "car"], ["a photo of a {}."], {"car": ("car", "automobile")})
        [['a photo of a cat.'], ['a photo of a car.', 'a photo of a automobile.']]
    """
    if not names:
        raise InputError("there are no class names to write prompts for")
    if not templates:
        raise InputError("there is no template; give at least one, such as 'a photo of a {}.'")
    for template in templates:
        if "{}" not in template:
            raise InputError(f"template '{template}' has no {{}} where the class name goes")
    written = []
    for name in names:
        synonyms = tuple((words or {}).get(name, (name,)))
        if not synonyms or not all(word.strip() for word in synonyms):
            raise InputError(f"class '{name}' has an empty name or no words to stand for it")
        written.append([template.replace("{}", word) for template in templates for word in synonyms])
    return written


def text_classifier(
    encoder: DualEncoder,
    names: Sequence[str],
    templates: Sequence[str],
    words: Mapping[str, Sequence[str]] | None = None,
    batch: int = 256,
) -> Tensor:
    """Build the matrix of class embeddings: the mean over templates and synonyms, of unit norm again.

    Args:
        encoder: the model.
        names: C class names.
        templates: texts with ``{}`` in the place of the name.
        words: class name to synonyms; a class that is missing stands for itself.
        batch: how many prompts to encode at once.

    Returns:
        float32 [C, D], rows of unit norm, part of the graph where gradients are enabled.

    Raises:
        InputError: as `prompts`, and if a prompt is too long.

    Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision".
    """
    written = prompts(names, templates, words)
    features = encode_prompts(encoder, [prompt for of_class in written for prompt in of_class], batch)
    parts = torch.split(features, [len(of_class) for of_class in written])
    means = torch.stack([part.mean(dim=0) for part in parts])
    return F.normalize(means, dim=-1)


def encode_prompts(encoder: DualEncoder, texts: Sequence[str], batch: int = 256) -> Tensor:
    """Encode any number of prompts.

    Args:
        encoder: the model.
        texts: N prompts.
        batch: how many to encode at once.

    Returns:
        float32 [N, D], rows of unit norm, in the order of `texts`.

    Raises:
        InputError: if a prompt is too long.
    """
    # prompts of like length side by side leave the least padding
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    device = encoder.log_logit_scale.device
    parts = [
        encoder.encode_text(encoder.tokenize([texts[i] for i in order[start : start + batch]]).to(device))
        for start in range(0, len(order), batch)
    ]
    inverse = torch.empty(len(order), dtype=torch.int64)
    inverse[torch.tensor(order)] = torch.arange(len(order))
    return torch.cat(parts)[inverse.to(device)]


def pad_tokens(rows: Sequence[Sequence[int]], length: int) -> Tensor:
    """Put token sequences into one array.

    Args:
        rows: N sequences of token ids.
        length: of the array.

    Returns:
        int64 [N, length], filled up with 0.

    Example:
        >>> pad_tokens([[5, 6], [7]], 3).tolist()
        [[5, 6, 0], [7, 0, 0]]
    """
    return torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], dtype=torch.int64)


def beginning_alike(ids: Tensor) -> int:
    """Count the tokens with which all prompts begin alike; their ends do not count.

    Args:
        ids: int64 [N, L]; the last token of a prompt is found nowhere else in it.

    Returns:
        At most L - 1.

    Example:
        >>> beginning_alike(torch.tensor([[5, 6, 7, 2], [5, 6, 2, 0]]))
        2
    """
    alike = (ids[:, :-1] == ids[:1, :-1]).all(dim=0)
    return int(alike.long().cumprod(dim=0).sum())


def too_long(text: str, tokens: int, context_length: int) -> InputError:
    """Build the error for a prompt that does not fit.

    Args:
        text: the prompt.
        tokens: its length, start and end included.
        context_length: what fits.

    Returns:
        An `InputError`, to be raised by the caller.
    """
    shown = text if len(text) <= 80 else text[:77] + "..."
    return InputError(f"prompt '{shown}' has {tokens} tokens, the model reads {context_length}; shorten it")
