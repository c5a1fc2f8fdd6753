"""One learned vector for each class, added to its text features (TaskRes)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.frozen_text import FrozenText
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


def with_residual(text_features: Tensor, residual: Tensor, alpha: float, feature_norm: float = 1.0) -> Tensor:
    """Give t' = n t + alpha x, of unit norm.

    Args:
        text_features: t, [C, D], rows of unit norm.
        residual: x, [C, D].
        alpha: how strongly the residual acts.
        feature_norm: n, the norm of t when the residual is added.

    Returns:
        [C, D], rows of unit norm.

    Source: Yu et al. (2023). Task residual for tuning vision-language models. CVPR.

    Example:
        >>> text, residual = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
        >>> with_residual(text, residual, 0.5).round(decimals=2)[0].tolist()
        [0.71, 0.71]
    """
    return F.normalize(feature_norm * text_features + alpha * residual, dim=-1)


class TaskResidualSettings(Settings):
    """Settings of `TaskResidual`.

    Attributes:
        alpha: how strongly the residuals act.
        feature_norm: the norm that text features have when the residual is added to them; 10 is about that of CLIP's
            before they are scaled to 1, to which the released code adds it.
    """

    alpha: float = Field(default=0.5, gt=0)
    feature_norm: float = Field(default=10.0, gt=0)


@PARAMETERIZATIONS.register("task_residual")
class TaskResidual(FrozenText):
    """Tuned classes get a vector of their own beside what the text tower says; all other names get none.

    The residuals start at zero, from the zero-shot model. They belong to a class, so there is nothing for a name
    that was not tuned: it has the text features of the zero-shot model.

    Source: Yu et al. (2023). Task residual for tuning vision-language models. CVPR.
    """

    Settings: ClassVar[type[Settings]] = TaskResidualSettings

    def __init__(
        self, settings: TaskResidualSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator
    ) -> None:
        super().__init__(settings, encoder, task, draw)
        self.settings = settings
        shape = (len(task.classes), encoder.embed_dim)
        self.residual = nn.Parameter(torch.zeros(shape, device=encoder.log_logit_scale.device))
        self._rows = {name: row for row, name in enumerate(task.classes)}

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"residual": self.residual}

    def zero_shot_tensors(self) -> dict[str, Tensor]:
        return {"residual": torch.zeros_like(self.residual)}

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes of any name; those that were tuned with their residual."""
        none = torch.zeros_like(self.residual[0])
        residual = torch.stack([self.residual[self._rows[name]] if name in self._rows else none for name in names])
        frozen = self.frozen_text_features(names, templates)
        return with_residual(frozen, residual, self.settings.alpha, self.settings.feature_norm)
