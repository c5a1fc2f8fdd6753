"""Prediction rationality: whether answers are right, and whether they rest on the object.

The measures need NumPy and SciPy only. What makes maps (`explainers`) and checks explainers (`sanity`) needs torch, but
for their agreement: `explainer` and `EXPLAINERS` are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from calibrant.rationality.area_matching import AreaMatched, area_matched, centre_mass
from calibrant.rationality.cell_intervals import summary_difference, summary_with_intervals
from calibrant.rationality.cells import summary
from calibrant.rationality.confidence_in_cells import right_reason_auroc, within_cells
from calibrant.rationality.curve import threshold_curve
from calibrant.rationality.groups import area_quarters, by_group
from calibrant.rationality.heat_maps import HeatMaps, resized, same_settings
from calibrant.rationality.map_shape import map_statistics
from calibrant.rationality.relevance import best_iou, object_area, pointing_game, relevance_mass, relevance_rank
from calibrant.rationality.right_reason import RightReason, right_reason_summary

if TYPE_CHECKING:
    from calibrant.rationality.explainers.registry import EXPLAINERS as EXPLAINERS
    from calibrant.rationality.explainers.registry import explainer as explainer
    from calibrant.rationality.sanity.agreement import agreement as agreement
    from calibrant.rationality.sanity.agreement import rank_correlation as rank_correlation

_LATER = {
    "EXPLAINERS": "calibrant.rationality.explainers.registry",
    "explainer": "calibrant.rationality.explainers.registry",
    "agreement": "calibrant.rationality.sanity.agreement",  # ranks are SciPy's, which is slow to import
    "rank_correlation": "calibrant.rationality.sanity.agreement",
}

__all__ = [
    "EXPLAINERS",
    "AreaMatched",
    "HeatMaps",
    "RightReason",
    "agreement",
    "area_matched",
    "area_quarters",
    "best_iou",
    "by_group",
    "centre_mass",
    "explainer",
    "map_statistics",
    "object_area",
    "pointing_game",
    "rank_correlation",
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


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'calibrant.rationality' has no attribute '{name}'")
