"""A value with its interval, as sentences and tables use it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval.

    Args:
        value: the value.
        low: lower end; NaN where there is no interval (a single unit, or an infinite value).
        high: upper end.

    Example:
        >>> Estimate(0.1, 0.02, 0.2).sign, Estimate(0.1, -0.02, 0.2).sign
        (1, 0)
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, measured: Mapping[str, Any]) -> Estimate:
        """Take what `summary_with_intervals` gives, where ends may be missing."""
        low, high = (float("nan") if end is None else float(end) for end in (measured["low"], measured["high"]))
        return cls(float(measured["value"]), low, high)

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies above or below zero, otherwise 0: nothing may be claimed."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0
