"""Values that are tried on validation images instead of trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from calibrant.errors import InputError
from calibrant.tuning.components import SOLVERS
from calibrant.tuning.settings import Settings
from calibrant.tuning.solvers.base import Solver, Work


@runtime_checkable
class Searchable(Protocol):
    """A parameterization with values that can be chosen by trying them."""

    def search(
        self, image_features: Tensor, labels: Tensor, grid: Mapping[str, Sequence[float]]
    ) -> Mapping[str, Tensor]:
        """Give the best values of a grid.

        Args:
            image_features: float32 [N, D] of the validation images, rows of unit norm.
            labels: int64 [N], none missing.
            grid: what to try, by the names of the values.

        Returns:
            Tensors as `TunedModel.load_tensors` takes them.

        Raises:
            InputError: if the names are not those of its values.
        """


def search_grid(largest: float, steps: int) -> list[float]:
    """Give `steps` evenly spaced values from 0.1 to just below `largest`, as Tip-Adapter's released search tries them.

    Example:
        >>> search_grid(2.1, 4)
        [0.1, 0.6, 1.1, 1.6]
    """
    return [0.1 + step * (largest - 0.1) / steps for step in range(steps)]


class RangeSettings(Settings):
    """What is tried of one value; see `search_grid`.

    Attributes:
        largest: just not tried any more.
        steps: how many values.
    """

    largest: float = Field(gt=0.1)
    steps: PositiveInt


class SearchSettings(Settings):
    """Settings of `Search`.

    Attributes:
        grid: what is tried, by the names of the values; all combinations are.
    """

    grid: dict[str, RangeSettings] = Field(min_length=1)


@SOLVERS.register("search")
class Search(Solver):
    """Chooses values of the parameterization on all labelled validation images; those of the test are never seen.

    What is chosen is stored with the trained tensors and written into the log.
    """

    Settings: ClassVar[type[Settings]] = SearchSettings
    settings: SearchSettings
    reads_validation = True

    def solve(self, work: Work) -> None:
        model = work.model.parameterization
        if not isinstance(model, Searchable):
            raise InputError(f"solver 'search' finds nothing to choose in parameterization '{model.name}'")
        self.refuse_losses(work)
        assert work.validation is not None  # `fit` has seen to that
        labelled = np.flatnonzero(np.asarray(work.validation.labels) >= 0)
        chosen = work.cache.features(model.encoder, work.validation)[labelled]
        device = model.encoder.log_logit_scale.device
        features = torch.from_numpy(np.array(chosen, dtype=np.float32)).to(device)
        labels = torch.from_numpy(np.array(work.validation.labels[labelled], dtype=np.int64)).to(device)
        grid = {name: search_grid(given.largest, given.steps) for name, given in self.settings.grid.items()}
        with torch.no_grad():
            found = model.search(features, labels, grid)
        work.model.load_tensors(found)
        if work.callbacks.log is not None:
            values = {name: tensor.tolist() for name, tensor in found.items()}
            work.callbacks.log({"stage": work.stage, "step": 0, "images": len(labels), "found": values})
