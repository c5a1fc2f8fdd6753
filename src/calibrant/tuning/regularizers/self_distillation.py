"""CaRot's self-distillation: the student follows a moving average of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from calibrant.errors import InputError
from calibrant.tuning.averaging.ema import moving_average
from calibrant.tuning.averaging.momentum import ema_momentum
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.parameterizations.base import Parameterization
    from calibrant.tuning.tuned_model import TunedModel


def self_distillation(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Give the cross-entropy of the student under the teacher, images over texts plus texts over images.

    Args:
        student_logits: float [N, N], its own logit scale x cosine of image i and text j of a batch.
        teacher_logits: float [N, N], the same of the teacher; no gradient reaches it.

    Returns:
        A scalar, in float32 or wider: the mean over the batch of each direction, summed (not halved).

    Raises:
        InputError: if the two have different shapes.

    Source: Oh et al. (2024). Towards calibrated robust fine-tuning of vision-language models. NeurIPS, equation 5,
    which writes the divergence KL(teacher, student): it differs by the teacher's entropy and has the same gradients.

    Example:
        >>> round(float(self_distillation(torch.zeros(2, 2), 5 * torch.eye(2))), 4)
        1.3863
    """
    if student_logits.shape != teacher_logits.shape:
        raise InputError(
            f"the teacher's logits are {list(teacher_logits.shape)}, not {list(student_logits.shape)} as the student's"
        )
    with torch.autocast(student_logits.device.type, enabled=False):
        wide = torch.promote_types(student_logits.dtype, torch.float32)
        student, teacher = student_logits.to(wide), teacher_logits.detach().to(wide)
        return _cross_entropy(teacher, student) + _cross_entropy(teacher.T, student.T)


def _cross_entropy(teacher: Tensor, student: Tensor) -> Tensor:
    return -(teacher.softmax(dim=1) * student.log_softmax(dim=1)).sum(dim=1).mean()


class SelfDistillationSettings(RegularizerSettings):
    """Settings of `SelfDistillation`; released: 500 of 25,030 steps between updates, counted in steps.

    Attributes:
        period: steps between updates of the teacher, as a share of the run.
        start: momentum of the first update.
        end: momentum when the ramp is over.
        ramp: share of the run in which the momentum rises.
    """

    weight: float = 1.5
    period: float = Field(default=0.02, gt=0, le=1)
    start: float = Field(default=0.05, ge=0, le=1)
    end: float = Field(default=0.9, ge=0, le=1)
    ramp: float = Field(default=0.2, gt=0, le=1)


@REGULARIZERS.register("self_distillation")
class SelfDistillation(Regularizer):
    """Soft targets from a teacher, the moving average of all that is trained, updated now and then.

    The teacher sees the same images and captions. It begins as the model to tune, and the first step goes without it.
    Only parameters are averaged; statistics of batch normalization are those of pre-training in teacher and student.
    """

    Settings: ClassVar[type[Settings]] = SelfDistillationSettings
    settings: SelfDistillationSettings

    def __init__(self, settings: SelfDistillationSettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        trained = model.parameterization.trainables()
        # parameters, since they stand in for parameters
        self.teacher = {name: nn.Parameter(tensor.detach().clone(), False) for name, tensor in trained.items()}
        self.done = torch.zeros((), dtype=torch.int64)
        self._pairs = _Pairs(model.parameterization)
        places = {id(tensor): place for place, tensor in self._pairs.named_parameters()}
        self._places = {name: places[id(tensor)] for name, tensor in trained.items()}

    def loss(self, outputs: Outputs) -> Tensor | None:
        if "captions" not in outputs.batch:
            raise InputError(
                f"'{self.name}' compares images with captions; "
                "choose a method with a contrastive objective, such as flyp"
            )
        if int(self.done) == 0:
            return None
        return self_distillation(outputs.pair_logits, self.teacher_logits(outputs))

    @torch.no_grad()
    def teacher_logits(self, outputs: Outputs) -> Tensor:
        """Give the teacher's logits of a batch, float32 [N, N]; costs one forward pass."""
        weights: dict[str, Tensor] = {self._places[name]: tensor for name, tensor in self.teacher.items()}
        logits: Tensor = functional_call(self._pairs, weights, (outputs,))
        return logits

    def after_step(self, step: int, total: int) -> None:
        self.done.fill_(step)
        # at most one step early, so that 500 of 25,030 steps are 500
        if (step - 1) % max(1, int(self.settings.period * total)) == 0:
            given = self.settings
            momentum = ema_momentum(step - 1, total, given.start, given.end, given.ramp)
            moving_average(dict(self.teacher), dict(self.model.parameterization.trainables()), momentum)

    def state(self) -> dict[str, Tensor]:
        return {"done": self.done, **{f"teacher.{name}": tensor for name, tensor in self.teacher.items()}}


class _Pairs(nn.Module):
    """The logits of image-caption pairs as a module, so that they can be asked of other weights."""

    def __init__(self, model: Parameterization) -> None:
        super().__init__()
        self.model = model

    def forward(self, outputs: Outputs) -> Tensor:
        return Outputs(self.model, outputs.batch, outputs.zero_shot).pair_logits
