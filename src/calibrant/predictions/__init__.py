"""The stored output of a model on one evaluation set: the type every later stage reads, and its files."""

from __future__ import annotations

from calibrant.predictions.predictions import Predictions
from calibrant.predictions.reading import read_predictions

__all__ = ["Predictions", "read_predictions"]
