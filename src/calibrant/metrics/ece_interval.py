"""The interval of a calibration error, which a plain bootstrap gets wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibrant.arrays import Float64, Int64
from calibrant.metrics.binning import Bins
from calibrant.metrics.binomial import clopper_pearson
from calibrant.metrics.calibration import plain_l1

ROUNDING = 1e-12  # without noise the redrawn value equals the measured one, up to this share of it
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
    noise, tail = _noise(whole, drawn, units, effective, level, seed), (1 - level) / 2
    return _lower_end(whole, noise, tail), _upper_end(whole, noise, tail)


@dataclass(frozen=True, eq=False)
class Noise:
    """How far gaps lie from the truth by chance alone.

    Args:
        weight: share of each bin in the redrawn sets, float64 [R, bins].
        redrawn: noise of the gaps that the redraws show, float64 [R, bins].
        still: bins [bins] whose accuracy no redraw changes; what follows is about the S of them.
        ends: of the exact interval of their accuracy, two times float64 [S].
        drawn_ends: the same at levels from 1 down to -1 in random order, two times float64 [R, S].
    """

    weight: Float64
    redrawn: Float64
    still: npt.NDArray[np.bool_]
    ends: tuple[Float64, Float64]
    drawn_ends: tuple[Float64, Float64]


def _noise(whole: Bins, drawn: Bins, units: Int64, effective: Float64, level: float, seed: int) -> Noise:
    # redrawing u units shows only (u - 1) / u of their variance
    redrawn = np.where(drawn.count > 0, drawn.gap - whole.gap, 0.0) * np.sqrt(units / np.maximum(units - 1, 1))
    changed = (drawn.count > 0) & (drawn.accuracy != whole.accuracy)
    still = (whole.count > 0) & ~changed.any(axis=0)
    right, worth = whole.accuracy[still] * effective[still], effective[still]
    levels = np.tile(1 - (2 * np.arange(len(redrawn))[:, None] + 1) / len(redrawn), len(worth))  # of 1 down to -1
    # a stream of its own: the redraws use the one of the seed
    shuffled = np.random.default_rng(seed).spawn(1)[0].permuted(levels, axis=0)
    return Noise(
        weight=drawn.weight,
        redrawn=redrawn,
        still=still,
        ends=clopper_pearson(right, worth, level),
        drawn_ends=clopper_pearson(right, worth, shuffled),
    )


def _lower_end(whole: Bins, noise: Noise, tail: float) -> float:
    """Give the smallest true ECE for which the measured one is not too large."""
    gap, still = whole.gap, noise.still
    below, above = noise.drawn_ends
    nearer = noise.redrawn.copy()
    nearer[:, still] += whole.accuracy[still] - np.where(gap[still] >= 0, below, above)
    shrunk = _shrunk(gap, np.where(still, (nearer**2).mean(axis=0), noise.redrawn.var(axis=0)))
    at_least = float(plain_l1(whole)) * (1 - ROUNDING)

    def too_large(t: float) -> bool:
        errors = np.einsum("rb,rb->r", noise.weight, np.abs(t * shrunk + nearer))
        return bool(np.mean(errors >= at_least) < tail)

    return _error(whole, _last(too_large) * shrunk)


def _upper_end(whole: Bins, noise: Noise, tail: float) -> float:
    """Give the largest true ECE for which the measured one is not too small."""
    gap, still = whole.gap, noise.still
    share, (bottom, top), (below, above) = whole.accuracy[still], noise.ends, noise.drawn_ends
    falls = share - bottom - gap[still] > top - share + gap[still]
    farther = noise.redrawn.copy()
    farther[:, still] += share - np.where(falls, below, above)
    farthest = gap[still] + np.where(falls, bottom, top) - share
    at_most = float(plain_l1(whole)) * (1 + ROUNDING)

    def true_gaps(t: float) -> Float64:
        gaps: Float64 = t * gap
        gaps[still] = min(t, 1.0) * farthest
        return gaps

    def small(t: float) -> float:
        gaps = true_gaps(t) + farther
        # no sample is more than all right, or less than all wrong
        gaps[:, still] = np.clip(gaps[:, still], gap[still] - share, gap[still] + (1 - share))
        return float(np.mean(np.einsum("rb,rb->r", noise.weight, np.abs(gaps)) <= at_most))

    by_luck = max(small(0.0), 1 / len(farther))
    return _error(whole, true_gaps(_last(lambda t: small(t) >= tail * by_luck)))


def _error(whole: Bins, gaps: Float64) -> float:
    return min(float((whole.weight * np.abs(gaps)).sum()), 1.0)


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
