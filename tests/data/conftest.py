"""Pictures and folders of pictures for the tests of the data room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def _picture(seed: int, size: int = 24) -> Pixels:
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.array(Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC))


def _save(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_picture(seed)).save(path)
    return path


@pytest.fixture
def picture() -> Callable[..., Pixels]:
    """A smooth random picture per seed, unlike every other one."""
    return _picture


@pytest.fixture
def save() -> Callable[[Path, int], Path]:
    """Save the picture of a seed."""
    return _save


@pytest.fixture
def class_folders() -> Callable[..., Path]:
    """Make folders of distinct pictures, one folder per class."""

    def make(root: Path, counts: Mapping[str, int], seed: int = 0) -> Path:
        for name, count in counts.items():
            for i in range(count):
                _save(root / name / f"{i:03}.png", seed)
                seed += 1
        return root

    return make
