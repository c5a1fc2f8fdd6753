"""The interval of a calibration error, which a plain bootstrap gets wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from calibrant.arrays import Float64, Int64
from calibrant.metrics.binning import Bins
from calibrant.metrics.calibration import plain_l1

STEPS = 24  # halvings of the search for an end; 2**-24 is far below the noise of the redraws


def ece_interval(whole: Bins, drawn: Bins, units: Int64, level: float) -> tuple[float, float]:
    """Interval of the true ECE by inverting a test.

    The ECE sums absolute values, so noise only ever adds to it: redrawn sets carry the noise twice, and their
    percentiles lie above the truth. Here the redraws only supply the noise e = g* - g of the gaps. If the
    true gaps were t s, measured ones would give the errors sum_b w*_b |t s_b + e_b|; the interval holds
    those true errors t sum_b w_b |s_b| for which the measured ECE is neither too large nor too small among
    them.

    The shape s of the true gaps is unknown. The upper end takes the measured gaps, to which noise adds
    little; the lower end takes them shrunk, most of them to 0, to which it adds much. The lower end is 0
    when noise alone explains the measured value. The upper tail is taken relative to that of t = 0 (Read
    2002), so that an ECE that is small by luck does not pass for proof.

    Args:
        whole: sums of the measured set, [bins].
        drawn: sums of the redrawn sets, [R, bins].
        units: how many units of independence each bin holds, [bins].
        level: confidence.

    Returns:
        Lower and upper end for the binned top-label ECE.

    Source: Read, Presentation of search results: the CLs technique, 2002, for the upper tail; the rest is our
    own, and a test measures its coverage.
    """
    # redrawing u units shows only (u - 1) / u of their variance
    noise = np.where(drawn.count > 0, drawn.gap - whole.gap, 0.0) * np.sqrt(units / np.maximum(units - 1, 1))
    weight = drawn.weight
    measured, tail = float(plain_l1(whole)), (1 - level) / 2
    # a margin for rounding: without noise the redrawn value equals the measured one
    at_least, at_most = measured * (1 - 1e-12), measured * (1 + 1e-12)

    def noisy(gap: Float64) -> Float64:
        result: Float64 = np.einsum("rb,rb->r", weight, np.abs(gap + noise))
        return result

    by_luck = max(float(np.mean(noisy(np.zeros_like(whole.gap)) <= at_most)), 1 / len(noise))
    shrunk = _shrunk(whole.gap, noise.var(axis=0))
    low = _last(lambda t: bool(np.mean(noisy(t * shrunk) >= at_least) < tail))
    high = _last(lambda t: bool(np.mean(noisy(t * whole.gap) <= at_most) >= tail * by_luck))
    return min(low * float((whole.weight * np.abs(shrunk)).sum()), 1.0), min(high * measured, 1.0)


def _shrunk(gap: Float64, variance: Float64) -> Float64:
    """Shrink each gap by the share of its square that noise explains; all of them stay if none stands out."""
    square = gap**2
    shape: Float64 = gap * np.maximum(0, 1 - variance / np.where(square > 0, square, 1))
    return shape if shape.any() else gap


def _last(holds: Callable[[float], bool]) -> float:
    """Find the last t >= 0 for which a condition that fails from some t on still holds."""
    if not holds(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while holds(high) and high < 2.0**STEPS:
        low, high = high, 2 * high
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
