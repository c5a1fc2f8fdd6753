"""Prediction rationality: whether answers are right, and whether they rest on the object.

The measures need NumPy only. What makes maps (`explainers`) and checks explainers (`sanity`) needs torch and is
imported by its own name, so that this room can be used without torch.
"""

from __future__ import annotations

from calibrant.rationality.cell_intervals import summary_difference, summary_with_intervals
from calibrant.rationality.cells import summary
from calibrant.rationality.heat_maps import HeatMaps, resized, same_settings
from calibrant.rationality.relevance import best_iou, object_area, pointing_game, relevance_mass, relevance_rank

__all__ = [
    "HeatMaps",
    "best_iou",
    "object_area",
    "pointing_game",
    "relevance_mass",
    "relevance_rank",
    "resized",
    "same_settings",
    "summary",
    "summary_difference",
    "summary_with_intervals",
]
