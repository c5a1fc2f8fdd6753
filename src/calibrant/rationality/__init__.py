"""Prediction rationality: whether answers are right, and whether they rest on the object.

The measures need NumPy only. What makes maps (`explainers`) and checks explainers (`sanity`) needs torch and is
imported by its own name, so that this room can be used without torch.
"""

from __future__ import annotations

from calibrant.rationality.area_matched import AreaMatched, area_matched, centre_mass
from calibrant.rationality.by_group import area_quarters, by_group
from calibrant.rationality.cell_intervals import summary_difference, summary_with_intervals
from calibrant.rationality.cells import summary
from calibrant.rationality.curve import threshold_curve
from calibrant.rationality.heat_maps import HeatMaps, resized, same_settings
from calibrant.rationality.map_statistics import map_statistics
from calibrant.rationality.relevance import best_iou, object_area, pointing_game, relevance_mass, relevance_rank
from calibrant.rationality.right_reason import RightReason, right_reason_summary
from calibrant.rationality.within_cells import right_reason_auroc, within_cells

__all__ = [
    "AreaMatched",
    "HeatMaps",
    "RightReason",
    "area_matched",
    "area_quarters",
    "best_iou",
    "by_group",
    "centre_mass",
    "map_statistics",
    "object_area",
    "pointing_game",
    "relevance_mass",
    "relevance_rank",
    "resized",
    "right_reason_auroc",
    "right_reason_summary",
    "same_settings",
    "summary",
    "summary_difference",
    "summary_with_intervals",
    "threshold_curve",
    "within_cells",
]
