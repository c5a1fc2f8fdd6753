"""The interval of a calibration error, which a plain bootstrap gets wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from calibrant.arrays import Float64, Int64
from calibrant.metrics.binning import Bins
from calibrant.metrics.binomial import clopper_pearson
from calibrant.metrics.calibration import plain_l1

STEPS = 24  # halvings of the search for an end; 2**-24 is far below the noise of the redraws


def ece_interval(
    whole: Bins, drawn: Bins, units: Int64, effective: Float64, level: float, seed: int
) -> tuple[float, float]:
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

    A bin whose accuracy no redraw changes (all right, all wrong, or a single unit) still has noise: its true
    accuracy lies anywhere in the exact interval of a share. There e is drawn from the ends of these intervals
    at all levels. The lower end takes the truth nearer to the confidence than measured; the upper end lets it
    go as far as the end of the exact interval that is farther from the confidence, and no farther.

    Args:
        whole: sums of the measured set, [bins].
        drawn: sums of the redrawn sets, [R, bins].
        units: how many units of independence each bin holds, [bins].
        effective: how many independent samples each bin is worth, [bins], see `effective_counts`.
        level: confidence.
        seed: of the noise that the redraws do not show.

    Returns:
        Lower and upper end for the binned top-label ECE.

    Source: Read, Presentation of search results: the CLs technique, 2002, for the upper tail; Clopper and Pearson
    1934 for bins without spread; the rest is our own, and tests measure its coverage.
    """
    # redrawing u units shows only (u - 1) / u of their variance
    noise = np.where(drawn.count > 0, drawn.gap - whole.gap, 0.0) * np.sqrt(units / np.maximum(units - 1, 1))
    weight, gap = drawn.weight, whole.gap
    measured, tail = float(plain_l1(whole)), (1 - level) / 2
    # a margin for rounding: without noise the redrawn value equals the measured one
    at_least, at_most = measured * (1 - 1e-12), measured * (1 + 1e-12)

    changed = (drawn.count > 0) & (drawn.accuracy != whole.accuracy)
    still = (whole.count > 0) & ~changed.any(axis=0)
    share = whole.accuracy[still]
    right, worth = share * effective[still], effective[still]
    bottom, top = clopper_pearson(right, worth, level)
    levels = np.tile(1 - (2 * np.arange(len(noise))[:, None] + 1) / len(noise), len(share))  # of 1 down to -1
    # a stream of its own: the redraws use the one of the seed
    below, above = clopper_pearson(right, worth, np.random.default_rng(seed).spawn(1)[0].permuted(levels, axis=0))

    nearer = noise.copy()
    nearer[:, still] += share - np.where(gap[still] >= 0, below, above)
    shrunk = _shrunk(gap, np.where(still, (nearer**2).mean(axis=0), noise.var(axis=0)))

    def too_large(t: float) -> bool:
        errors = np.einsum("rb,rb->r", weight, np.abs(t * shrunk + nearer))
        return bool(np.mean(errors >= at_least) < tail)

    falls = share - bottom - gap[still] > top - share + gap[still]
    farther = noise.copy()
    farther[:, still] += share - np.where(falls, below, above)
    farthest = gap[still] + np.where(falls, bottom, top) - share

    def true_gaps(t: float) -> Float64:
        gaps: Float64 = t * gap
        gaps[still] = min(t, 1.0) * farthest
        return gaps

    def small(t: float) -> float:
        gaps = true_gaps(t) + farther
        # no sample is more than all right, or less than all wrong
        gaps[:, still] = np.clip(gaps[:, still], gap[still] - share, gap[still] + (1 - share))
        return float(np.mean(np.einsum("rb,rb->r", weight, np.abs(gaps)) <= at_most))

    by_luck = max(small(0.0), 1 / len(noise))
    low = _last(too_large) * shrunk
    high = true_gaps(_last(lambda t: small(t) >= tail * by_luck))
    return min(float((whole.weight * np.abs(low)).sum()), 1.0), min(float((whole.weight * np.abs(high)).sum()), 1.0)


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
