"""Extra loss terms: pure functions of tensors, and the names by which recipes call them."""

from __future__ import annotations

from calibrant.tuning.regularizers.l2_sp import distance_to_start

__all__ = ["distance_to_start"]
