"""Random numbers as a pure function of what they are for: a counter hash, the same on every machine."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Draws:
    """Independent random integers for every sample of a named stream.

    Args:
        stream: what the numbers are for, such as the name of an evaluation set.
        indices: sample numbers, int64 [N].
        seed: the seed of the stream.

    Example:
        >>> draws = Draws("emoji/test", np.arange(3), seed=0)
        >>> alone = Draws("emoji/test", np.array([2]), seed=0)
        >>> bool(alone("angle", 360)[0] == draws("angle", 360)[2])
        True
    """

    def __init__(self, stream: str, indices: Int64s, seed: int) -> None:
        start = _hash(f"{stream}\0{seed}")
        self._base: UInt64s = _mix(start + indices.astype(np.uint64) * _GOLDEN)

    def __len__(self) -> int:
        return len(self._base)

    def of(self, chosen: npt.NDArray[np.bool_]) -> Draws:
        """Keep the random numbers of some of the samples.

        Args:
            chosen: which of them, bool [N].

        Returns:
            The draws of the M chosen samples: the same numbers as before.
        """
        part = object.__new__(Draws)
        part._base = self._base[chosen]
        return part

    def bits(self, purpose: str) -> UInt64s:
        """Draw 64 random bits per sample.

        Args:
            purpose: what they decide; another purpose gives independent bits.

        Returns:
            uint64 [N].
        """
        return _mix(self._base ^ _hash(purpose))

    def __call__(self, purpose: str, below: int | Int64s) -> Int64s:
        """Draw integers in [0, below), the same chance for each up to 2**-32.

        Args:
            purpose: what they decide.
            below: the number of outcomes, one for all or int64 [N].

        Returns:
            int64 [N].
        """
        high = self.bits(purpose) >> np.uint64(32)
        return ((high * np.asarray(below, np.uint64)) >> np.uint64(32)).astype(np.int64)

    def between(self, purpose: str, low: int, high: int) -> Int64s:
        """Draw integers in [low, high].

        Args:
            purpose: what they decide.
            low: the smallest outcome.
            high: the largest outcome.

        Returns:
            int64 [N].
        """
        return low + self(purpose, high - low + 1)

    def chance(self, purpose: str, percent: int) -> npt.NDArray[np.bool_]:
        """Draw events.

        Args:
            purpose: what they decide.
            percent: their probability.

        Returns:
            bool [N].
        """
        return self(purpose, 100) < percent

    def pixels(self, purpose: str, count: int) -> npt.NDArray[np.uint32]:
        """Draw 32 random bits for each of many pixels of every sample.

        Args:
            purpose: what they decide.
            count: the number of pixels P.

        Returns:
            uint32 [N, P].
        """
        start = (self.bits(purpose) >> np.uint64(32)).astype(np.uint32)[:, None]
        x = start + np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x7FEB352D)
        x ^= x >> np.uint32(15)
        x *= np.uint32(0x846CA68B)
        x ^= x >> np.uint32(16)
        return x


def _hash(text: str) -> UInt64s:
    """The first eight bytes of the SHA-256 of a text, uint64 [1]."""
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:8], "<u8").astype(np.uint64)


def _mix(x: UInt64s) -> UInt64s:
    """The output function of SplitMix64 (Steele, Lea and Flood, 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
