"""Random numbers as a pure function of what they are for: a counter hash, the same on every machine."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]


def _mix(x: U64) -> U64:
    """The output function of SplitMix64 (Steele, Lea & Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Draws:
    """Independent random integers for every sample of a named stream.

    Args:
        stream: what the numbers are for, such as the name of an evaluation set.
        indices: sample numbers, int [N].
        seed: the seed of the stream.

    Example:
        >>> draws = Draws("emoji/test", np.arange(3), seed=0)
        >>> draws("angle", 360).tolist() == Draws("emoji/test", np.arange(3), seed=0)("angle", 360).tolist()
        True
        >>> int(Draws("emoji/test", np.array([2]), seed=0)("angle", 360)[0]) == int(draws("angle", 360)[2])
        True
    """

    def __init__(self, stream: str, indices: npt.NDArray[np.int64], seed: int) -> None:
        head = hashlib.sha256(f"{stream}\0{seed}".encode()).digest()
        self._base = _mix(
            np.frombuffer(head[:8], "<u8") + indices.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        )

    def of(self, chosen: npt.NDArray[np.bool_]) -> Draws:
        """The same random numbers for some of the samples, chosen by a mask, bool [N]."""
        part = object.__new__(Draws)
        part._base = self._base[chosen]
        return part

    def bits(self, purpose: str) -> U64:
        """Draw 64 random bits per sample, uint64 [N]."""
        key = np.frombuffer(hashlib.sha256(purpose.encode()).digest()[:8], "<u8")
        return _mix(self._base ^ key)

    def __call__(self, purpose: str, below: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Draw integers in [0, below), int64 [N]; the bias of the multiplication is below 2**-32."""
        high = self.bits(purpose) >> np.uint64(32)
        return ((high * np.asarray(below, np.uint64)) >> np.uint64(32)).astype(np.int64)

    def between(self, purpose: str, low: int, high: int) -> npt.NDArray[np.int64]:
        """Draw integers in [low, high], int64 [N]."""
        return low + self(purpose, high - low + 1)

    def chance(self, purpose: str, percent: int) -> npt.NDArray[np.bool_]:
        """Draw events of the given probability in percent, bool [N]."""
        return self(purpose, 100) < percent

    def pixels(self, purpose: str, count: int) -> npt.NDArray[np.uint32]:
        """Draw 32 random bits for each of `count` pixels of every sample, uint32 [N, count]."""
        start = (self.bits(purpose) >> np.uint64(32)).astype(np.uint32)[:, None]
        x = start + np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9)
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
        x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
        return x ^ (x >> np.uint32(16))
