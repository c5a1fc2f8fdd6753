"""What an objective is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from torch import Tensor

from calibrant.tuning.components import Component
from calibrant.tuning.outputs import Batch, Outputs
from calibrant.tuning.settings import Settings


class Objective(Component, ABC):
    """The main loss of a stage.

    Args:
        settings: checked settings.

    Attributes:
        reads_captions: whether every image of a batch comes with a caption, a class prompt of its class.
    """

    reads_captions: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def on_batch(self, batch: Batch, draw: np.random.Generator) -> Batch:
        """Change a batch before the model sees it, after the regularizers have."""
        return batch

    @abstractmethod
    def loss(self, outputs: Outputs) -> Tensor:
        """Give the loss of a batch, a scalar."""
