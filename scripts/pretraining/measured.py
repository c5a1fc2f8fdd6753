"""What is measured on the embedded model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Measured:
    """What the card says.

    Args:
        sets: a row per evaluation set: name, size, chance and the measures with their intervals.
        figures: single figures by name.
    """

    sets: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
