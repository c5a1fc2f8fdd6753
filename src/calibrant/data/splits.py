"""Who goes where: stratified splits that keep groups whole, few-shot subsets, base and new classes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from calibrant.errors import InputError

Indices = npt.NDArray[np.int64]
_GROUPS, _SINGLES, _SHOTS = range(3)


def stratified(
    labels: npt.ArrayLike, fractions: Sequence[float], seed: int, groups: npt.ArrayLike | None = None
) -> list[Indices]:
    """Split samples so that every class is divided in the same proportions and no group is divided at all.

    Without groups each class is within one sample of its share, and has at least one sample in every part as
    soon as it has as many samples as there are parts. Groups are placed whole, the largest first, where they
    are missed most; no part stays empty if there are enough groups.

    Args:
        labels: int [N], the class of each sample.
        fractions: the shares of the P parts, positive; they are divided by their sum.
        seed: another seed, another split; the same seed, the same split on every machine.
        groups: [N], samples of equal value stay together; None means that every sample stands for itself.

    Returns:
        P arrays of positions, ascending, which together are all N.

    Raises:
        InputError: if a fraction is not positive or the lengths differ.

    Example:
        >>> [part.tolist() for part in stratified([0, 0, 0, 1, 1, 1], (0.6, 0.2, 0.2), seed=1)]
        [[0, 3], [2, 5], [1, 4]]
    """
    classes = _codes(labels)
    shares = np.asarray(fractions, dtype=np.float64)
    if not len(shares) or not np.all(shares > 0):
        raise InputError(f"the fractions of a split must be positive; got {tuple(fractions)}")
    units = np.arange(len(classes)) if groups is None else _codes(groups)
    if len(units) != len(classes):
        raise InputError(f"{len(classes)} labels but {len(units)} groups")
    sizes = np.bincount(classes)
    targets = np.array([_apportion(size, shares) for size in sizes]).reshape(len(sizes), len(shares))
    members = _members(units)
    large = [group for group in members if len(group) > 1]
    shuffled = [large[i] for i in _shuffle(len(large), seed, _GROUPS)]
    shuffled.sort(key=len, reverse=True)
    part = np.full(len(classes), -1)
    for group, chosen in zip(shuffled, _place(shuffled, classes, targets), strict=True):
        part[group] = chosen
    _fill(part, classes, targets, shares, seed)
    _leave_none_empty(part, members, len(shares))
    return [np.flatnonzero(part == p) for p in range(len(shares))]


def halves(labels: npt.ArrayLike, units: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Divide samples in two balanced halves by a hash of their names, with no seed to choose.

    Args:
        labels: int [N].
        units: N names; samples of one name stay together.

    Returns:
        bool [N], True for the second half.

    Example:
        >>> halves([0, 0, 1, 1], ["a", "b", "c", "d"]).tolist()
        [True, False, True, False]
    """
    classes = _codes(labels)
    members = _members(_codes(units))
    members.sort(key=lambda group: hashlib.sha256(units[group[0]].encode()).digest())
    targets = np.repeat(np.bincount(classes)[:, None] / 2, 2, axis=1)
    second = np.zeros(len(classes), dtype=bool)
    for group, chosen in zip(members, _place(members, classes, targets), strict=True):
        second[group] = chosen == 1
    return second


def few_shot(labels: npt.ArrayLike, shots: int, seed: int, classes: Sequence[str] | None = None) -> Indices:
    """Choose the same number of samples of every class; fewer shots of one seed are part of more shots.

    Args:
        labels: int [N], from 0; with `classes`, every class must occur.
        shots: samples per class, at least 1.
        seed: which samples.
        classes: class names, for the message.

    Returns:
        int64 [shots x C], ascending positions.

    Raises:
        InputError: if a class has fewer samples than `shots`, naming it.

    Example:
        >>> few_shot([0, 0, 0, 1, 1, 1], 2, seed=1).tolist()
        [0, 2, 4, 5]
    """
    if shots < 1:
        raise InputError(f"shots must be at least 1; got {shots}")
    labels = np.asarray(labels, dtype=np.int64)
    present = np.unique(labels) if classes is None else np.arange(len(classes))
    sizes = [int((labels == c).sum()) for c in present]
    if present.size and min(sizes) < shots:
        least = int(present[int(np.argmin(sizes))])
        name = classes[least] if classes is not None else least
        raise InputError(
            f"class '{name}' has {min(sizes)} training images, fewer than {shots} shots; "
            f"ask for at most {min(sizes)} shots or add images"
        )
    chosen = []
    for c in present:
        members = np.flatnonzero(labels == c)
        chosen.append(members[_shuffle(len(members), seed, _SHOTS, int(c))[:shots]])
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def base_new(classes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide classes in base and new: sorted, the first half (rounded up) is base.

    Args:
        classes: class names.

    Returns:
        The base classes and the new classes, each sorted by code point.

    Source:
        Zhou et al., Conditional Prompt Learning for Vision-Language Models, CVPR 2022, section 4.1.

    Example:
        >>> base_new(["cat", "bee", "ant"])
        (['ant', 'bee'], ['cat'])
    """
    ordered = sorted(classes)
    middle = math.ceil(len(ordered) / 2)
    return ordered[:middle], ordered[middle:]


def _codes(values: npt.ArrayLike) -> Indices:
    return np.unique(np.asarray(values), return_inverse=True)[1].astype(np.int64)


def _members(units: Indices) -> list[Indices]:
    order = np.argsort(units, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(units[order])) + 1) if len(units) else []


def _shuffle(count: int, seed: int, purpose: int, stream: int = 0) -> Indices:
    """A permutation made of raw counter-generator output, which NumPy promises never to change."""
    if not 0 <= seed < 2**64:
        raise InputError(f"a seed must be a whole number from 0; got {seed}")
    raw = np.random.Philox(counter=[0, 0, 0, purpose], key=[seed, stream]).random_raw(count)
    return np.argsort(np.asarray(raw), kind="stable").astype(np.int64)


def _apportion(count: int, shares: npt.NDArray[np.float64]) -> Indices:
    """Whole numbers nearest to the shares of `count`; none is 0 if there are enough for all."""
    exact = count * shares / shares.sum()
    whole: Indices = np.floor(exact).astype(np.int64)
    rest = np.argsort(whole - exact, kind="stable")[: count - whole.sum()]
    whole[rest] += 1
    while count >= len(shares) and whole.min() == 0:
        whole[whole.argmax()] -= 1
        whole[whole.argmin()] += 1
    return whole


def _place(groups: Sequence[Indices], classes: Indices, targets: npt.NDArray[np.generic]) -> list[int]:
    """Give each group in turn to the part where it lowers the squared distance to the targets [C, P] most."""
    lacking = targets.astype(np.float64)
    total = lacking.sum(axis=0)
    chosen = []
    for group in groups:
        present, counts = np.unique(classes[group], return_counts=True)
        change = (counts[:, None] * (counts[:, None] - 2 * lacking[present])).sum(axis=0)
        best = int(np.lexsort((-total, change))[0])
        lacking[present, best] -= counts
        total[best] -= len(group)
        chosen.append(best)
    return chosen


def _fill(
    part: npt.NDArray[np.int64],
    classes: Indices,
    targets: Indices,
    shares: npt.NDArray[np.float64],
    seed: int,
) -> None:
    """Deal the samples that stand for themselves into the room the groups have left."""
    placed = np.zeros_like(targets)
    np.add.at(placed, (classes[part >= 0], part[part >= 0]), 1)
    by_class = _members(classes)
    for c, members in enumerate(by_class):
        free = members[part[members] < 0]
        room = np.maximum(targets[c] - placed[c], 0).astype(np.float64)
        fits = room.sum() == len(free)  # not if groups overfill a part; then the others share what is left
        counts = room.astype(np.int64) if fits else _apportion(len(free), room if room.any() else shares)
        shuffled = free[_shuffle(len(free), seed, _SINGLES, c)]
        part[shuffled] = np.repeat(np.arange(len(shares)), counts)


def _leave_none_empty(part: npt.NDArray[np.int64], members: Sequence[Indices], parts: int) -> None:
    """Move the smallest groups of the parts that have several to parts that have none."""
    first = np.array([group[0] for group in members], dtype=np.int64)
    sizes = np.array([len(group) for group in members])
    for p in range(parts):
        held = np.bincount(part[first], minlength=parts)
        if held[p] == 0 and held.max(initial=0) > 1:
            movable = np.flatnonzero(part[first] == held.argmax())
            part[members[movable[sizes[movable].argmin()]]] = p
