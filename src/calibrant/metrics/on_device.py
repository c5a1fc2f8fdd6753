"""The answers of torch tensors that live on another device: reduced where they are, only the result is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from calibrant.arrays import Float64, Int64, as_array

Fetched = tuple[Float64, Int64]

VALUES = 2**24  # how many are widened at a time; many, because every block is waited for


def elsewhere(value: Any) -> bool:
    """Say whether a value is a torch tensor that NumPy cannot read where it is."""
    return hasattr(value, "detach") and value.device.type != "cpu"


def of_probabilities(value: Any, tolerance: float) -> Fetched | None:
    """Reduce probabilities to the largest of each row and its index.

    Args:
        value: floating-point torch tensor [N, C].
        tolerance: how far a row's sum may lie from 1.

    Returns:
        Confidence, float64 [N], and answer, int64 [N]; None if the rows are no probabilities.
    """
    found = []
    for block in _blocks(value):
        # NaN fails both comparisons
        fine = (block >= 0).all() & ((_wide(block).sum(1) - 1).abs() <= tolerance).all()
        if not bool(fine):
            return None
        answer = block.argmax(1, keepdim=True)
        found.append((block.gather(1, answer)[:, 0], answer[:, 0]))
    return _fetched(found)


def of_logits(value: Any) -> Fetched | None:
    """Reduce logits to the largest probability of each row and its index.

    Args:
        value: floating-point torch tensor [N, C].

    Returns:
        Confidence, float64 [N], and answer, int64 [N]; None if a logit is not finite.
    """
    found = []
    for block in _blocks(value):
        if not bool(block.isfinite().all()):
            return None
        answer = block.argmax(1, keepdim=True)
        exponentials = (block - block.gather(1, answer)).exp()
        found.append((1 / _wide(exponentials).sum(1), answer[:, 0]))
    return _fetched(found)


def _blocks(value: Any) -> Iterator[Any]:
    tensor = value.detach()
    half = "float16" in str(tensor.dtype)  # bfloat16 too
    step = max(1, VALUES // tensor.shape[1])
    for start in range(0, len(tensor), step):
        rows = tensor[start : start + step]
        yield rows.float() if half else rows


def _wide(block: Any) -> Any:
    # Apple's GPUs have no float64
    return block if block.device.type == "mps" else block.double()


def _fetched(found: list[tuple[Any, Any]]) -> Fetched:
    confidence = np.concatenate([as_array(part, "confidence") for part, _ in found])
    return confidence.astype(np.float64, copy=False), np.concatenate([as_array(part, "answers") for _, part in found])
