"""Optimizers, weight-decay groups and the learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from calibrant.tuning.solvers.steps import StepsSettings


def make_optimizer(trainables: Mapping[str, nn.Parameter], settings: StepsSettings) -> torch.optim.Optimizer:
    """Make the optimizer of a stage.

    Args:
        trainables: trained tensors by name.
        settings: of the solver.

    Returns:
        The optimizer, with one group that decays and one that does not.
    """
    groups = decay_groups(trainables, settings)
    rate = settings.learning_rate
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=0.9)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    # one pass over every tensor: six times faster on a CPU where the token table is trained
    return kind(groups, lr=rate, fused=True)


def decay_groups(trainables: Mapping[str, nn.Parameter], settings: StepsSettings) -> list[dict[str, Any]]:
    """Split the trained tensors into those that decay and those that do not.

    Args:
        trainables: trained tensors by name.
        settings: of the solver; ``decay: matrices`` spares everything with fewer than two dimensions.

    Returns:
        Parameter groups; empty ones are left out.

    Example:
        >>> chosen = {"learning_rate": 1, "steps": 1, "batch_size": 1, "weight_decay": 0.1}
        >>> settings = StepsSettings(**chosen, decay="matrices")
        >>> tensors = {"weight": nn.Parameter(torch.zeros(2, 2)), "bias": nn.Parameter(torch.zeros(2))}
        >>> [group["weight_decay"] for group in decay_groups(tensors, settings)]
        [0.1, 0.0]
    """
    decays = [p for p in trainables.values() if settings.decay == "all" or p.ndim >= 2]
    kept = {id(p) for p in decays}
    spared = [p for p in trainables.values() if id(p) not in kept]
    groups = [
        {"params": decays, "weight_decay": settings.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


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
