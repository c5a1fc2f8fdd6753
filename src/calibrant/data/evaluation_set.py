"""The type every data source answers with: images, labels and the class list they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from calibrant.storage import digest


class Images(Protocol):
    """Images that are read one at a time, so that no data set has to fit in memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> npt.NDArray[Any]: ...


@dataclass(frozen=True)
class Selected:
    """A view of some of the images, read through to the whole."""

    whole: Images
    indices: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        return self.whole[int(self.indices[index])]


@dataclass(frozen=True)
class EvaluationSet:
    """Images, labels and class list of one split of one data set.

    Args:
        name: the name that `load_data` knows, such as ``"emoji/new"``.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        images: N images, uint8 [H, W, 3] each, read lazily.
        labels: int64 [N], index into `classes`; -1 for none of the classes.
        classes: display names.
        templates: class prompts with ``{}`` for the name.
        ids: N unique, stable names of the samples.
        words: class name to synonyms whose text features are averaged; a class that is missing stands for itself.
        columns: named arrays [N] that describe the samples: drawing, group, site.
        masks: N object masks, bool [H, W] each, or None.
        unit: the column whose values are independent of each other; None if every sample is.
        fingerprint: changes whenever an image, a label or the class list does.
        about: source, licence and limits.

    Example:
        >>> pixels = np.zeros((3, 8, 8, 3), np.uint8)
        >>> labels, classes = np.array([0, 1, 1]), ["cat", "dog"]
        >>> pets = EvaluationSet("pets", "test", pixels, labels, classes, ["a {}."], ["a", "b", "c"])
        >>> len(pets), pets.subset([2]).ids
        (3, ['c'])
    """

    name: str
    split: str
    images: Images
    labels: npt.NDArray[np.int64]
    classes: list[str]
    templates: list[str]
    ids: list[str]
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    masks: Images | None = None
    unit: str | None = None
    fingerprint: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> EvaluationSet:
        """Choose some of the samples.

        Args:
            indices: positions, int [M].

        Returns:
            The M samples, in that order.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            images=Selected(self.images, chosen),
            labels=self.labels[chosen],
            ids=[self.ids[i] for i in chosen],
            columns={name: column[chosen] for name, column in self.columns.items()},
            masks=None if self.masks is None else Selected(self.masks, chosen),
            fingerprint=digest(self.fingerprint, chosen),
        )
