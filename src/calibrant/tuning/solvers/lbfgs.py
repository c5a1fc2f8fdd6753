"""The linear probe, solved to its optimum."""

from __future__ import annotations

import warnings
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from calibrant.errors import CalibrantWarning, InputError
from calibrant.tuning.components import SOLVERS
from calibrant.tuning.objectives.cross_entropy import CrossEntropy
from calibrant.tuning.parameterizations.head import Head
from calibrant.tuning.settings import Settings
from calibrant.tuning.solvers.base import Solver, Work


class LBFGSSettings(Settings):
    """Settings of `LBFGS`.

    Attributes:
        inverse_strength: scikit-learn's C: the weight of the summed cross-entropy against half the squared
            weights.
        iterations: at most.
        tolerance: largest entry of the gradient of the mean loss at which the solution counts as found.
    """

    inverse_strength: float = Field(default=1.0, gt=0)
    iterations: int = Field(default=1000, ge=1)
    tolerance: float = Field(default=1e-6, gt=0)


@SOLVERS.register("lbfgs")
class LBFGS(Solver):
    """Multinomial logistic regression on the image features of the plain training images, in float64."""

    Settings: ClassVar[type[Settings]] = LBFGSSettings
    settings: LBFGSSettings

    def solve(self, work: Work) -> None:
        model = work.model.parameterization
        if not isinstance(model, Head) or model.trains_image_tower or not isinstance(work.objective, CrossEntropy):
            raise InputError(
                "solver 'lbfgs' solves a head on an untrained image tower with objective 'cross_entropy' only"
            )
        if work.regularizers:
            raise InputError(f"solver 'lbfgs' takes no regularizers, but there is '{next(iter(work.regularizers))}'")
        cached = work.cache.features(model.encoder, work.train, views=1, seed=work.seed)
        features = torch.from_numpy(np.array(cached, dtype=np.float64)).reshape(len(work.train), -1)
        labels = torch.from_numpy(work.train.labels)
        weight, bias = logistic_regression(features, labels, len(work.train.classes), **self.settings.model_dump())
        work.model.load_tensors({"head.weight": weight, "head.bias": bias})


def logistic_regression(
    features: Tensor,
    labels: Tensor,
    classes: int,
    inverse_strength: float = 1.0,
    iterations: int = 1000,
    tolerance: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """Minimise the mean cross-entropy of W z + b plus |W|^2 / (2 C N).

    Args:
        features: z, float64 [N, D].
        labels: int64 [N].
        classes: K.
        inverse_strength: C.
        iterations: at most.
        tolerance: largest entry of the gradient at the end; where it is missed, a warning says so.

    Returns:
        W float64 [K, D] and b float64 [K].

    Example:
        >>> weight, bias = logistic_regression(torch.eye(2).double(), torch.tensor([0, 1]), 2)
        >>> bool(weight[0, 0] > 0 > weight[0, 1])
        True
    """
    weight = torch.zeros(classes, features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=iterations,
        max_eval=2 * iterations,
        tolerance_grad=tolerance,
        tolerance_change=0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        fit = F.cross_entropy(features @ weight.T + bias, labels)
        value = fit + weight.square().sum() / (2 * inverse_strength * len(labels))
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    loss()
    slope = max(float(tensor.grad.abs().max()) for tensor in (weight, bias) if tensor.grad is not None)
    if slope > tolerance:
        warnings.warn(
            f"the linear probe stopped at gradient {slope:.1e}, not {tolerance:.1e}: raise solver.iterations",
            CalibrantWarning,
            stacklevel=2,
        )
    return weight.detach(), bias.detach()
