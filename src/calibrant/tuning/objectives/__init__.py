"""The main losses: pure functions of tensors, and the names by which recipes call them."""

from __future__ import annotations

from calibrant.tuning.objectives.contrastive import contrastive
from calibrant.tuning.objectives.cross_entropy import cross_entropy

__all__ = ["contrastive", "cross_entropy"]
