"""Pictures that occur twice: exactly, which is an error across splits or classes, or nearly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from calibrant.errors import InputError

HASH_THRESHOLD = 4
COLOUR_THRESHOLD = 10.0
THUMBNAIL = 8
_BLOCK = 1 << 20
_MANY_PAIRS = 1 << 16


def difference_hash(pixels: npt.NDArray[np.uint8]) -> int:
    """Describe a picture by 64 bits that survive scaling, recompression and changes of brightness.

    Each bit says whether one cell of an 8 x 9 grid is darker than its right neighbour.

    Args:
        pixels: uint8 [H, W, 3].

    Returns:
        An integer of 64 bits.

    Example:
        >>> ramp = np.repeat(np.arange(90, dtype=np.uint8)[None, :, None], 80, axis=0).repeat(3, axis=2)
        >>> hex(difference_hash(ramp)), difference_hash(ramp[:, ::-1])
        ('0xffffffffffffffff', 0)
    """
    grey = Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX)
    cells = np.asarray(grey)
    return int.from_bytes(np.packbits(cells[:, :-1] < cells[:, 1:]).tobytes(), "big")


def thumbnail(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Shrink a picture to 8 x 8 colours, which tell pictures apart whose differences happen to agree.

    Args:
        pixels: uint8 [H, W, 3].

    Returns:
        uint8 [8, 8, 3].

    Example:
        >>> thumbnail(np.full((50, 40, 3), 9, np.uint8)).shape
        (8, 8, 3)
    """
    return np.array(Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def near_duplicates(
    hashes: npt.NDArray[np.uint64],
    thumbnails: npt.NDArray[np.uint8],
    threshold: int = HASH_THRESHOLD,
) -> npt.NDArray[np.int64]:
    """Find pictures that are nearly the same.

    Two pictures are near if their hashes differ in at most `threshold` bits and their thumbnails by at most
    10 grey levels on average. Exact copies are near, too.

    Args:
        hashes: uint64 [N], from `difference_hash`.
        thumbnails: uint8 [N, 8, 8, 3], from `thumbnail`.
        threshold: largest number of differing bits.

    Returns:
        int64 [P, 2], pairs of positions, the smaller first, sorted: for every group of near pictures just
        enough pairs to connect it, so that a thousand blank pages give 999 pairs and not half a million.

    Example:
        >>> blank = np.zeros((3, 8, 8, 3), np.uint8)
        >>> near_duplicates(np.array([5, 900, 4], np.uint64), blank, threshold=1).tolist()
        [[0, 2]]
    """
    count = len(hashes)
    small = thumbnails.reshape(count, -1).astype(np.int16)
    found, groups = np.empty((0, 2), np.int64), np.arange(count)
    waiting: list[npt.NDArray[np.int64]] = []
    rows = max(16, _BLOCK // max(count, 1))
    for start in range(0, count, rows):
        near = np.bitwise_count(hashes[start : start + rows, None] ^ hashes[None, start:]) <= threshold
        pairs = np.stack(np.divmod(np.flatnonzero(near), count - start), axis=1) + start
        pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        pairs = pairs[groups[pairs[:, 0]] != groups[pairs[:, 1]]]
        waiting.append(_alike(pairs, small))
        if sum(map(len, waiting)) > _MANY_PAIRS:
            # what is connected is not compared again: a clique costs little more than its first rows
            found, waiting = _connecting(np.concatenate([found, *waiting]), count), []
            groups = groups_of(found, count)
    return _connecting(np.concatenate([found, *waiting]), count)


def groups_of(pairs: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Number the groups that pairs connect.

    Args:
        pairs: int64 [P, 2], positions below `count`.
        count: how many there are, N.

    Returns:
        int64 [N]; equal numbers belong together.

    Example:
        >>> groups_of(np.array([[0, 2]]), 3).tolist()
        [0, 1, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def refuse_exact_duplicates(
    content: Sequence[str], ids: Sequence[str], labels: Sequence[str], splits: Sequence[str] | None
) -> None:
    """Refuse a picture that occurs under two classes or in two splits.

    Args:
        content: N hashes of the decoded pixels.
        ids: N names of the files, for the message.
        labels: N classes.
        splits: N splits, or None if the split is still to be made.

    Raises:
        InputError: naming the first two files at fault, and how many more there are.

    Example:
        >>> refuse_exact_duplicates(["h", "h"], ["a", "b"], ["cat", "cat"], None)
        >>> refuse_exact_duplicates(["h", "h"], ["a", "b"], ["cat", "dog"], None)
        Traceback (most recent call last):
        calibrant.errors.InputError: a and b are the same picture in two classes, 'cat' and 'dog'; remove one
    """
    first_seen: dict[str, int] = {}
    faults: list[str] = []
    for i, name in enumerate(content):
        j = first_seen.setdefault(name, i)
        both = f"{ids[j]} and {ids[i]}"
        if labels[i] != labels[j]:
            faults.append(f"{both} are the same picture in two classes, '{labels[j]}' and '{labels[i]}'")
        elif splits is not None and splits[i] != splits[j]:
            faults.append(f"{both} are the same picture in two splits, {splits[j]} and {splits[i]}")
    if faults:
        more = f" ({len(faults) - 1} more such pairs)" if len(faults) > 1 else ""
        raise InputError(f"{faults[0]}; remove one{more}")


def _alike(pairs: npt.NDArray[np.int64], small: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """Keep the pairs whose thumbnails agree, a bounded number at a time."""
    kept = [
        part[np.abs(small[part[:, 0]] - small[part[:, 1]]).mean(axis=1) <= COLOUR_THRESHOLD]
        for part in (pairs[i : i + 65_536] for i in range(0, len(pairs), 65_536))
    ]
    return np.concatenate([np.empty((0, 2), np.int64), *kept])


def _connecting(pairs: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Of many pairs keep as many as connect the same groups: a spanning forest."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    if not len(pairs):
        return pairs
    ends = pairs.astype(np.int32)  # older SciPy takes no other indices
    graph = coo_array((np.ones(len(pairs)), (ends[:, 0], ends[:, 1])), shape=(count, count)).tocsr()
    tree = minimum_spanning_tree(graph).tocoo()
    kept = np.sort(np.stack([tree.row, tree.col], axis=1).astype(np.int64), axis=1)
    return kept[np.lexsort((kept[:, 1], kept[:, 0]))]
