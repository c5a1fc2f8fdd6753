"""What an averaging may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from calibrant.tuning.components import Component
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


class Averaging(Component):
    """A combination of weights, made at the start of the last stage.

    Args:
        settings: checked settings.
        model: what is tuned.

    Raises:
        InputError: if the parameterization cannot be averaged in this way.
    """

    def __init__(self, settings: Settings, model: TunedModel) -> None:
        self.settings = settings
        self.model = model

    def after_step(self, step: int, total: int) -> None:
        """See the weights after step `step` (from 1) of `total`."""

    def finish(self) -> None:
        """Write the average into the model when training is over."""

    def state(self) -> dict[str, Tensor]:
        """Give the live tensors that a checkpoint must keep; resuming writes into them."""
        return {}
