"""How weights over time, or of several models, are combined."""

from __future__ import annotations

from calibrant.tuning.averaging.ema import moving_average
from calibrant.tuning.averaging.momentum import ema_momentum
from calibrant.tuning.averaging.wise_ft import interpolate

__all__ = ["ema_momentum", "interpolate", "moving_average"]
