"""Optimizers, weight-decay groups and the learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from calibrant.errors import unknown
from calibrant.tuning.solvers.steps_settings import StepsSettings


def make_optimizer(trainables: Mapping[str, nn.Parameter], settings: StepsSettings) -> torch.optim.Optimizer:
    """Make the optimizer of a stage.

    Args:
        trainables: trained tensors by name.
        settings: of the solver.

    Returns:
        The optimizer; see `decay_groups`.
    """
    groups = decay_groups(trainables, settings)
    rate = settings.learning_rate
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=0.9)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    # one pass over every tensor: six times faster on a CPU where the token table is trained
    return kind(groups, lr=rate, eps=settings.epsilon, fused=True)


def decay_groups(trainables: Mapping[str, nn.Parameter], settings: StepsSettings) -> list[dict[str, Any]]:
    """Put trained tensors that decay alike and learn at the same rate into one group.

    Args:
        trainables: trained tensors by name.
        settings: of the solver; ``decay: matrices`` spares everything with fewer than two dimensions.

    Returns:
        Parameter groups with their weight decay and the factor of their learning rate.

    Raises:
        InputError: if a name in ``rate_factors`` is that of nothing trained.

    Example:
        >>> chosen = {"learning_rate": 1, "steps": 1, "batch_size": 1, "weight_decay": 0.1}
        >>> settings = StepsSettings(**chosen, decay="matrices")
        >>> tensors = {"weight": nn.Parameter(torch.zeros(2, 2)), "bias": nn.Parameter(torch.zeros(2))}
        >>> [group["weight_decay"] for group in decay_groups(tensors, settings)]
        [0.1, 0.0]
    """
    for beginning in settings.rate_factors:
        if not any(name.startswith(beginning) for name in trainables):
            raise unknown("trained tensor in solver.rate_factors", beginning, trainables)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trainables.items():
        decay = settings.weight_decay if settings.decay == "all" or parameter.ndim >= 2 else 0.0
        groups.setdefault((decay, _factor(name, settings)), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "factor": factor}
        for (decay, factor), parameters in groups.items()
    ]


def _factor(name: str, settings: StepsSettings) -> float:
    """The factor of the learning rate of a tensor: that of the longest matching beginning of its name."""
    matching = [beginning for beginning in settings.rate_factors if name.startswith(beginning)]
    return settings.rate_factors[max(matching, key=len)] if matching else 1.0


def learning_rate(step: int, total: int, settings: StepsSettings) -> float:
    """Give the learning rate of a step: a linear rise, then the schedule.

    Args:
        step: from 0.
        total: number of steps.
        settings: of the solver.

    Returns:
        The learning rate.

    Example:
        >>> settings = StepsSettings(learning_rate=1.0, steps=4, batch_size=1, warmup=0.5)
        >>> [round(learning_rate(step, 4, settings), 3) for step in range(4)]
        [0.5, 1.0, 1.0, 0.5]
    """
    rising = round(settings.warmup * total)
    if step < rising:
        return settings.learning_rate * (step + 1) / rising
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / (total - rising)))


def optimizer_tensors(optimizer: torch.optim.Optimizer, trainables: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Name the tensors of an optimizer's state by the tensors that they belong to.

    Args:
        optimizer: after any number of steps.
        trainables: trained tensors by name.

    Returns:
        ``"<key>/<name>"`` to tensor; the live ones.
    """
    return {
        f"{key}/{name}": value
        for name, parameter in trainables.items()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, trainables: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    """Give a fresh optimizer the state that `optimizer_tensors` named.

    Args:
        optimizer: before its first step.
        trainables: trained tensors by name.
        tensors: the state.
    """
    for place, value in tensors.items():
        key, name = place.split("/", 1)
        parameter = trainables[name]
        optimizer.state[parameter][key] = value.clone().to(parameter.device)
