"""Which images of a set of predictions a run has used before, so that measuring on them would flatter it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from calibrant.predictions import Predictions
    from calibrant.runs import Run

CONTENT = "content"


@dataclass(frozen=True)
class SeenImages:
    """How many images of a set the run knows.

    Args:
        count: how many; 0 where the predictions do not say which images they are of.
        images: of how many.
        data: name of the set.
        first: the first that is known.

    Example:
        >>> print(SeenImages(15, 36, "folder:pets", "cat/1.jpg"))
        15 of 36 images of folder:pets were tuned on (cat/1.jpg is one)
    """

    count: int
    images: int
    data: str
    first: str

    def __str__(self) -> str:
        return f"{self.count} of {self.images} images of {self.data} were tuned on ({self.first} is one)"


def seen(run: Run, stored: Predictions) -> SeenImages:
    """Count the images that a run was tuned on, whatever their files are called.

    Validation images count as tuned on, too, since methods and calibrators are chosen on them, unless the predictions
    are those of a validation split and do not claim to be a test.

    Args:
        run: the run.
        stored: predictions, with the content of their images in the column ``content``.

    Returns:
        How many there are.
    """
    data, images = str(stored.about.get("data") or "the predictions"), len(stored)
    content = stored.columns.get(CONTENT)
    if content is None:
        return SeenImages(0, images, data, "")
    validation = stored.about.get("split") == "validation"
    known = [one for one, part in run.seen().items() if part == "train" or not validation]
    found = np.flatnonzero(np.isin(content, known))
    if len(found) == 0:
        return SeenImages(0, images, data, "")
    first = int(found[0])
    return SeenImages(len(found), images, data, stored.ids[first] if stored.ids else f"sample {first}")
