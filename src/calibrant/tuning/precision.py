"""Where training runs, and which number format is fastest there."""

from __future__ import annotations

from typing import Literal

import torch


def default_device() -> torch.device:
    """Find where accelerate will train; regularizers and averagings keep their tensors there from the start.

    Returns:
        The accelerator of this machine, or the CPU.
    """
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found or torch.device("cpu")


def fastest_precision(device: torch.device) -> Literal["bf16", "fp32"]:
    """Choose bf16 where the hardware multiplies it, else fp32.

    Read from the processor's features, not from a stopwatch, so that a run chooses the same each time on a machine.

    Args:
        device: where training runs.

    Returns:
        The precision.

    Example:
        >>> fastest_precision(torch.device("meta"))
        'fp32'
    """
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):  # not in torch 2.6
        features = torch.cpu.get_capabilities()
        return "bf16" if features.get("avx512_bf16") or features.get("amx_bf16") else "fp32"
    return "fp32"
