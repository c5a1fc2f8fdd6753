"""LeGrad: how the attention of a layer would move the score, if the layer's own tokens were the answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor

from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.black_box import scorer
from calibrant.rationality.explainers.inside import attention_of, gradients, seen
from calibrant.rationality.explainers.readers import reading
from calibrant.rationality.explainers.scores import Score
from calibrant.rationality.explainers.towers import Tower, chosen_layers, tower_of
from calibrant.tuning.tuned_model import Answers


class LeGrad(Explainer):
    """r_i = sum over chosen blocks of the mean over heads and queries of relu(ds/dA) at the key of patch i.

    For every block the score s is that of the mean of its output tokens, which takes the place of the class token on
    the way through the last norm, the projection and whatever a method has put behind them. Where a pooler reads the
    image, it reads the tokens of every chosen block, and A is its own attention. The gradient is not multiplied by A.
    The released code takes the last two blocks.

    Source: Bousselham et al. (2024). LeGrad: an explainability method for vision transformers via feature formation
    sensitivity. arXiv 2404.03214.

    Example:
        >>> LeGrad().name
        'legrad'
    """

    name: ClassVar[str] = "legrad"
    paper: ClassVar[str] = "Bousselham et al. 2024"
    explains: ClassVar[bool] = True
    layers_read: ClassVar[str] = "chosen"

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        tower = tower_of(model.encoder, self.name)
        numbers = chosen_layers(layers, len(tower.blocks))
        chosen = [tower.blocks[number] for number in numbers]
        # every block answers for itself, as if the batch were so many times as large: one forward and one backward pass
        wanted = targets.repeat(len(chosen))
        with ExitStack() as stack:
            _answer_for_themselves(tower, chosen, stack)
            if tower.reader.among_tokens:
                attention = stack.enter_context(attention_of(chosen))
                scored = scorer(model, classes, score)(pixels, wanted)
            else:
                read = stack.enter_context(reading(tower.reader))
                scored = scorer(model, classes, score)(pixels, wanted)
                attention = [read[0].weights]
        slopes = torch.cat(gradients(scored, attention))
        by_key = slopes.relu().mean(dim=(1, 2)).view(len(chosen), len(pixels), -1).sum(dim=0)
        return tower.patches.laid_out(by_key, pixels)


def _answer_for_themselves(tower: Tower, chosen: Sequence[Any], stack: ExitStack) -> None:
    """Let the tokens of the chosen blocks, one block after the other, leave the last block as one large batch."""
    kept: list[Tensor] = []

    def keep(tokens: Tensor) -> Tensor:
        kept.append(tokens.mean(dim=1, keepdim=True) if tower.reader.among_tokens else tokens)
        return tokens.detach()

    for block in chosen:
        stack.enter_context(seen(block, keep))
    stack.enter_context(seen(tower.blocks[-1], lambda _: torch.cat(kept)))
