"""Tensors that training data give at once, without a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Tensor

from calibrant.errors import InputError
from calibrant.tuning.components import SOLVERS
from calibrant.tuning.settings import Settings
from calibrant.tuning.solvers.base import Solver, Work
from calibrant.tuning.solvers.steps_settings import AugmentationSettings


@runtime_checkable
class Solvable(Protocol):
    """A parameterization that computes its tensors from the features of the training images."""

    def solve(self, views: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Give the values of the trained tensors.

        Args:
            views: float32 [V, N, D] of the untouched image tower, rows of unit norm: V views of each image.
            labels: int64 [N], none missing.

        Returns:
            Tensors by the names of `Parameterization.trainables`.
        """


class ClosedFormSettings(Settings):
    """Settings of `ClosedForm`.

    Attributes:
        views: how many augmented views of each image there are; 1 is the plain image.
        augmentation: of the views.
    """

    views: PositiveInt = 1
    augmentation: AugmentationSettings = AugmentationSettings()


@SOLVERS.register("closed_form")
class ClosedForm(Solver):
    """Asks the parameterization for its tensors; there is no loss, so a stage has no objective either."""

    Settings: ClassVar[type[Settings]] = ClosedFormSettings
    settings: ClosedFormSettings

    def solve(self, work: Work) -> None:
        model = work.model.parameterization
        if not isinstance(model, Solvable):
            raise InputError(f"solver 'closed_form' cannot solve parameterization '{model.name}'; use 'steps'")
        self.refuse_losses(work)
        views = work.cache.features(
            model.encoder,
            work.train,
            views=self.settings.views,
            seed=work.seed,
            augmentation=self.settings.augmentation.draws(),
        )
        features = torch.from_numpy(np.array(views, dtype=np.float32))
        features = features.reshape(self.settings.views, len(work.train), -1)
        labels = torch.from_numpy(np.array(work.train.labels, dtype=np.int64))
        work.model.load_tensors(model.solve(features, labels))
