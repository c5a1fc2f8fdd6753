"""How weights over time, or of several models, are combined."""

from __future__ import annotations

from calibrant.tuning.averaging.ema import moving_average
from calibrant.tuning.averaging.gaussian_prompt_aggregation import gaussian_prompt_aggregation, gaussian_weights
from calibrant.tuning.averaging.model_stock import model_stock
from calibrant.tuning.averaging.momentum import ema_momentum
from calibrant.tuning.averaging.wise_ft import interpolate

__all__ = [
    "ema_momentum",
    "gaussian_prompt_aggregation",
    "gaussian_weights",
    "interpolate",
    "model_stock",
    "moving_average",
]
