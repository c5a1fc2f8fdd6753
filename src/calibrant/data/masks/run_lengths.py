"""The run lengths of COCO, as a list of numbers or as their compressed text."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from calibrant.data.masks.shapes import Mask
from calibrant.errors import InputError


@dataclass(frozen=True)
class RunLengths:
    """A mask as the lengths of its runs, down the columns, beginning with pixels that are not of the object.

    Args:
        height: of the mask, in pixels.
        width: of the mask, in pixels.
        counts: lengths of the runs, which fill the mask.

    Raises:
        InputError: if the runs do not fill the mask.

    Source:
        Lin et al., Microsoft COCO: Common Objects in Context, 2014; format of its annotations.

    Example:
        >>> RunLengths(2, 3, (1, 2, 3)).draw(2, 3).astype(int).tolist()
        [[0, 1, 0], [1, 0, 0]]
    """

    height: int
    width: int
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if min(self.counts, default=0) < 0 or sum(self.counts) != self.height * self.width:
            raise InputError(f"run lengths do not fill a mask of {self.width} x {self.height} pixels")

    @classmethod
    def from_text(cls, height: int, width: int, text: str) -> RunLengths:
        """Read compressed run lengths.

        A number is written in groups of five bits, the lowest first, each as a character from code 48 on; bit 6 says
        that more follow, bit 5 of the last is the sign. From the fourth on, numbers are differences to the last but
        one.

        Args:
            height: of the mask, in pixels.
            width: of the mask, in pixels.
            text: the characters.

        Returns:
            The run lengths.

        Raises:
            InputError: if the text is no such code.

        Example:
            >>> RunLengths.from_text(2, 3, "123").counts
            (1, 2, 3)
        """
        numbers, number, shift = [], 0, 0
        for character in text:
            code = ord(character) - 48
            if not 0 <= code < 64:
                raise InputError(f"compressed run lengths have a character '{character}' that is none of their code")
            number |= (code & 31) << shift
            shift += 5
            if not code & 32:
                numbers.append(number - (1 << shift) if code & 16 else number)
                number, shift = 0, 0
        if shift:
            raise InputError("compressed run lengths end within a number")
        return cls(height, width, tuple(_undifferenced(numbers)))

    def draw(self, height: int, width: int) -> Mask:
        """Draw the mask.

        Args:
            height: of the image, in pixels.
            width: of the image, in pixels.

        Returns:
            bool [H, W].

        Raises:
            InputError: if the image has another size.
        """
        if (height, width) != (self.height, self.width):
            raise InputError(f"its mask has {self.width} x {self.height} pixels, but the image has {width} x {height}")
        values = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(values, self.counts).reshape(width, height).T


def _undifferenced(numbers: list[int]) -> list[int]:
    """Undo the differences: the first three numbers are whole, each further one is added to the last but one."""
    odd, even = numbers[1::2], numbers[2::2]
    counts = [*numbers]
    counts[1::2], counts[2::2] = accumulate(odd), accumulate(even)
    return counts
