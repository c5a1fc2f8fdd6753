"""The momentum of an averaged teacher over the length of a run."""

from __future__ import annotations


def ema_momentum(step: int, total_steps: int, start: float = 0.05, end: float = 0.9, ramp: float = 0.2) -> float:
    """Give how much of the average stays at an update: a linear rise over the first steps, then constant.

    Args:
        step: from 0.
        total_steps: T, the length of the run.
        start: at step 0.
        end: from step `ramp` x T on.
        ramp: share of the run in which it rises.

    Returns:
        The momentum m of average <- m average + (1 - m) current.

    Source: Oh et al. (2024). Towards calibrated robust fine-tuning of vision-language models. NeurIPS; the values are
    those of its released code.

    Example:
        >>> [round(ema_momentum(step, 100), 3) for step in (0, 10, 20, 99)]
        [0.05, 0.475, 0.9, 0.9]
    """
    rising = ramp * total_steps
    return end if step >= rising else start + (end - start) * step / rising
