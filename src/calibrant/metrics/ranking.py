"""What the order of a score tells: samples sorted by it, tied ones together, and measures that read nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from calibrant.arrays import Array, Float64, Int64


@dataclass(frozen=True, eq=False)
class Ranking:
    """Samples in falling order of a score, without the score.

    Args:
        order: int64 [N], positions of the samples.
        starts: int64 [G], where in `order` each group of tied samples begins.
        positive: bool [N], in that order, what the score is to find.
    """

    order: Int64
    starts: Int64
    positive: Array

    def tally(self, times: Float64 | None = None) -> Tally:
        """Count the samples of each group.

        Args:
            times: how often each sample counts, float64 [..., N]; once by default.

        Returns:
            The counts [..., G].
        """
        drawn = np.ones(len(self.order)) if times is None else times[..., self.order]
        positive = drawn * self.positive
        if len(self.starts) == len(self.order):
            return Tally(drawn, positive)
        return Tally(np.add.reduceat(drawn, self.starts, axis=-1), np.add.reduceat(positive, self.starts, axis=-1))


@dataclass(frozen=True, eq=False)
class Tally:
    """How many samples each group of tied ones holds, in falling order of the score.

    Args:
        count: float64 [..., G], whole numbers; 0 for a group that was not drawn.
        positive: float64 [..., G], how many of them are positive.
    """

    count: Float64
    positive: Float64

    @cached_property
    def negative(self) -> Float64:
        """How many of each group are not positive."""
        return self.count - self.positive

    @cached_property
    def seen(self) -> Float64:
        """How many samples there are down to each group."""
        return np.cumsum(self.count, axis=-1)

    @cached_property
    def found(self) -> Float64:
        """How many positive ones there are down to each group."""
        return np.cumsum(self.positive, axis=-1)

    @property
    def positives(self) -> Float64:
        """How many positive samples there are altogether, [...]."""
        return self.found[..., -1]

    @property
    def negatives(self) -> Float64:
        """How many others there are altogether, [...]."""
        result: Float64 = self.seen[..., -1] - self.found[..., -1]
        return result


def rank(score: Float64, positive: Array) -> Ranking:
    """Sort samples by a score.

    Args:
        score: float64 [N].
        positive: bool [N].

    Returns:
        The samples in falling order.

    Example:
        >>> rank(np.array([0.2, 0.9, 0.2]), np.array([True, False, False])).starts
        array([0, 1])
    """
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    starts = np.flatnonzero(np.append(True, falling[1:] != falling[:-1]))
    return Ranking(order, starts, positive[order])


def area_under_roc(tally: Tally) -> Float64:
    """Chance that a positive sample lies above a negative one, ties counting half; NaN without both kinds, [...]."""
    above = _dot(tally.found, tally.negative) - _dot(tally.positive, tally.negative) / 2
    return _share(above, tally.positives * tally.negatives)


def average_precision(tally: Tally) -> Float64:
    """Precision at every threshold, averaged by the positive samples it adds; NaN where none is positive, [...]."""
    return _share(_dot(tally.found / np.maximum(tally.seen, 1), tally.positive), tally.positives)


def false_positive_rate(tally: Tally, recall: float) -> Float64:
    """Share of negative samples at or above the highest threshold that keeps a share of the positive ones, [...]."""
    groups = tally.found.shape[-1]
    # a margin for rounding: 0.95 x 20 is to be 19
    needed = np.ceil(recall * tally.positives * (1 - 1e-12))
    pairs = zip(tally.found.reshape(-1, groups), needed.reshape(-1, 1), strict=True)
    at = np.array([np.searchsorted(found, least) for found, least in pairs]).reshape(*needed.shape, 1)
    let_in = (np.take_along_axis(tally.seen, at, -1) - np.take_along_axis(tally.found, at, -1))[..., 0]
    return np.where(tally.positives > 0, _share(let_in, tally.negatives), np.nan)


def area_under_risk(tally: Tally) -> Float64:
    """Share of negatives among the k samples on top, averaged over k; tied samples come in random order, [...].

    A group of m tied samples, e of them negative, that follows K samples with E negatives adds the sum over j = 1..m of
    (E + j e / m) / (K + j), which is e + (E - K e / m) times the sum of 1 / (K + j).
    """
    most = int(tally.seen[..., -1].max())
    after = _harmonic(1 << most.bit_length())[tally.seen.astype(np.int64)]
    between = np.diff(after, axis=-1, prepend=0.0)
    negatives_before = tally.seen - tally.found - tally.negative
    expected = (tally.seen - tally.count) * tally.negative / np.maximum(tally.count, 1)
    return _share(tally.negatives + _dot(negatives_before - expected, between), tally.seen[..., -1])


def least_area_under_risk(tally: Tally) -> Float64:
    """The `area_under_risk` if all positives lay above all negatives, [...]."""
    none = np.zeros_like(tally.negatives)
    apart = (tally.positives, tally.negatives), (tally.positives, none)
    return area_under_risk(Tally(*(np.stack(pair, axis=-1) for pair in apart)))


def largest_coverage(tally: Tally, risk: float) -> Float64:
    """Largest share of samples, tied ones together, of which at most a share `risk` is negative; 0 if none, [...]."""
    allowed = np.where(_share(tally.seen - tally.found, tally.seen) <= risk, tally.seen, 0)
    return _share(allowed.max(axis=-1), tally.seen[..., -1])


@lru_cache(maxsize=2)
def _harmonic(most: int) -> Float64:
    """Sum 1 + 1/2 + ... + 1/n for n = 0..most, float64 [most + 1]."""
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, most + 1))])


def _dot(a: Float64, b: Float64) -> Float64:
    result: Float64 = np.einsum("...g,...g->...", a, b)
    return result


def _share(part: Float64, whole: Float64) -> Float64:
    """Divide; NaN where the whole is 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
