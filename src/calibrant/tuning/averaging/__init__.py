"""How weights over time, or of several models, are combined."""

from __future__ import annotations

from calibrant.tuning.averaging.ema import moving_average
from calibrant.tuning.averaging.wise_ft import interpolate

__all__ = ["interpolate", "moving_average"]
