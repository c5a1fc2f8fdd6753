"""Nothing is trained: the zero-shot model as a method of its own."""

from __future__ import annotations

from torch import Tensor

from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization


@PARAMETERIZATIONS.register("zero_shot")
class ZeroShot(Parameterization):
    """The dual encoder as it came, with the data set's templates.

    Source: Radford et al. (2021). Learning transferable visual models from natural language supervision. ICML.
    """

    def zero_shot_tensors(self) -> dict[str, Tensor]:
        return {}
