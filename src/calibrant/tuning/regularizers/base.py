"""What a regularizer may do: five things, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor

from calibrant.tuning.components import Component
from calibrant.tuning.outputs import Batch, Outputs
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel

Gradients = dict[str, Tensor | None]


class RegularizerSettings(Settings):
    """Settings that every regularizer has.

    Attributes:
        weight: the factor of its loss term.
    """

    weight: float = 1.0


class Regularizer(Component):
    """An extra loss term, made at the start of the stage.

    Args:
        settings: checked settings.
        model: what is tuned, with the values it starts from; `model.zero_shot` is the zero-shot model.
    """

    Settings: ClassVar[type[Settings]] = RegularizerSettings

    def __init__(self, settings: RegularizerSettings, model: TunedModel) -> None:
        self.settings = settings
        self.model = model

    def on_batch(self, batch: Batch, draw: np.random.Generator) -> Batch:
        """Change a batch before the model sees it."""
        return batch

    def loss(self, outputs: Outputs) -> Tensor | None:
        """Give the term of a batch, a scalar without the weight; None for no term."""
        return None

    def combine_gradients(self, others: Gradients, own: Gradients) -> Gradients:
        """Put the gradients of the other terms and of its own (weighted) one together; adds by default.

        Args:
            others: by trainable; None where a term does not reach it. In fp16 both carry the same loss scale.
            own: the same for this term.
        """
        return {name: _sum(others[name], own[name]) for name in others}

    def after_step(self, step: int, total: int) -> None:
        """See the weights after step `step` (from 1) of `total`."""

    def state(self) -> dict[str, Tensor]:
        """Give the live tensors that a checkpoint must keep; resuming writes into them."""
        return {}


def _sum(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    if left is None or right is None:
        return right if left is None else left
    return left + right
