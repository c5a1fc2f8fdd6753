"""Explained sets made of chosen numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.rationality.overlays import jpeg
from calibrant.reporting.rationality import ExplainedSet, explained_set

NOTHING = {"value": None, "low": None, "high": None}


def estimate(value: float, width: float = 0.05) -> dict[str, float]:
    """A value with its interval, as JSON holds it."""
    return {"value": value, "low": value - width, "high": value + width}


def model(name: str, right_on_object: float) -> dict[str, Any]:
    """What `calibrant explain` keeps of one model that is right half the time."""
    cells = {"RR": right_on_object, "RW": 0.5 - right_on_object, "WR": 0.2, "WW": 0.3}
    valid = right_on_object + 0.2
    measures = {
        **cells,
        "PT": right_on_object / 0.5,
        "IR": right_on_object / valid,
        "accuracy": 0.5,
        "valid": valid,
        "PT_minus_valid": right_on_object / 0.5 - valid,
        "IR_minus_accuracy": right_on_object / valid - 0.5,
    }
    return {
        "model": name,
        "calibrator": "none",
        "measures": {key: estimate(value) for key, value in measures.items()} | {"no_evidence": 3, "outside": 2},
        "confidence": {cell: {"n": 10, "mean_confidence": estimate(0.6), "ece": NOTHING} for cell in cells},
        "auroc": {"right_reason": estimate(0.72), "reason_of_right": estimate(0.61)},
        "maps": {
            "relevance_mass": estimate(0.4),
            "area": estimate(0.2),
            "centre": estimate(0.3),
            "above_centre": estimate(0.1, 0.02),
        },
    }


def pictures(count: int, cells: tuple[str, ...] = ("RW", "RR")) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Pictures of noise, and what is said of them."""
    draw = np.random.default_rng(0)
    said, content = [], {}
    for number in range(count):
        name = f"{number}.jpg"
        said.append(
            {
                "file": name,
                "id": f"i{number}",
                "cell": cells[number % len(cells)],
                "label": "<b>cat</b>",
                "answer": "<b>cat</b>" if number % 3 else "dog",
                "explained": "<b>cat</b>",
                "confidence": 0.9,
                "relevance_mass": 0.25 if "RW" in cells else None,
            }
        )
        content[name] = jpeg(draw.integers(0, 255, (64, 136, 3)).astype(np.uint8))
    return said, content


def make(*, masks: bool = True, models: int = 2, count: int = 4, right: float = 0.3, **changed: Any) -> ExplainedSet:
    """What the report reads of one explained set, as if `calibrant explain` had kept it."""
    both = [model("tuned", right), model("zero-shot", 0.1)][:models]
    plain = [{"model": "tuned", "calibrator": "none", "accuracy": 0.5, "no_evidence": 4}]
    said, content = pictures(count) if masks else pictures(count, ("right", "wrong"))
    measured = {
        "data": "emoji/test",
        "settings": {"explainer": "attention-gradient", "target": "label"},
        "n": 1000,
        "threshold": 0.5,
        "masks": masks,
        "models": both if masks else plain,
        "pictures": said,
        **(
            {"differences": {name: estimate(0.2, 0.01) for name in both[0]["measures"]}}
            if models == 2 and masks
            else {}
        ),
        **changed.pop("measured", {}),
    }
    return explained_set(measured, changed.get("judged"), content)
