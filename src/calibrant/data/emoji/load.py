"""`load_data("emoji...")`: evaluation sets that are rendered once and then memory-mapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibrant.data.emoji.backgrounds import FAMILIES
from calibrant.data.emoji.drawings import PACK, embedded
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.rendering import SEED, PackedMasks, corruption_of, stored_scenes
from calibrant.data.emoji.sampling import UNKNOWN_KINDS, Casting, cast, label_space
from calibrant.data.emoji.suites import Suite, half, suites
from calibrant.data.evaluation_set import EvaluationSet
from calibrant.data.labelled_files import manifest_rows
from calibrant.errors import InputError, unknown
from calibrant.storage import cache_folder, digest

# Counts up whenever the renderer changes what a scene looks like, so that no cache serves old pixels
RENDERER = 2
ABOUT = {
    "source": "drawings of eight icon sets, see NOTICE; scenes are procedural",
    "licence": "Apache-2.0, CC-BY-4.0 and MIT drawings; attribution in NOTICE",
    "limits": "64 x 64 pixel drawings on procedural backgrounds: says nothing about photographs",
}


@dataclass(frozen=True)
class Emoji:
    """One evaluation set of `emoji` with its splits.

    Args:
        suite: what it shows.
        scenes: at most this many scenes of validation and test; None for all. Training scenes are never cut.
    """

    suite: Suite
    scenes: int | None = None

    @property
    def name(self) -> str:
        """What `load_data` calls it."""
        return self.suite.name

    @property
    def classes(self) -> list[str]:
        """Display names of the label space."""
        return [concept.name for concept in label_space(self.suite, self.splits[-1], embedded())]

    @property
    def templates(self) -> list[str]:
        """The class prompt with ``{}`` for the name."""
        return [self.suite.template]

    @property
    def words(self) -> Mapping[str, tuple[str, ...]]:
        """No synonyms: every class stands for itself."""
        return {}

    @property
    def about(self) -> Mapping[str, Any]:
        """Source, licence, limits, and what the set shows."""
        return {**ABOUT, "what": self.suite.what}

    @property
    def splits(self) -> tuple[str, ...]:
        """Which of train, validation and test exist."""
        return tuple(self.suite.scenes)

    def split(self, which: str) -> EvaluationSet:
        """Give one split, rendered now or before.

        Args:
            which: one of `splits`.

        Returns:
            The evaluation set; its unit of independence is the drawing.

        Raises:
            InputError: if the set has no such split, or the rendered scenes cannot be stored.
        """
        if which not in self.suite.scenes:
            raise unknown(f"split of {self.name}", which, self.splits)
        count = self.suite.scenes[which]
        if self.scenes is not None and which != "train":
            count = min(count, self.scenes)
        return _evaluation_set(self.suite.name, which, count, cache_folder() / "emoji")

    def manifest(self) -> list[dict[str, str]]:
        """List every scene.

        Returns:
            Rows with the keys path, content, split and label.
        """
        return manifest_rows(self.split(which) for which in self.splits)


def load(name: str, scenes: int | None = None, **options: Any) -> Emoji:
    """Load an evaluation set of the embedded benchmark.

    Args:
        name: such as ``"emoji"``, ``"emoji/base"`` or ``"emoji/animals/new"``; see `names`.
        scenes: at most this many scenes of validation and test.
        options: none; a name given here is refused.

    Returns:
        The set with its splits.

    Raises:
        InputError: for an unknown name or option, or fewer scenes than one.

    Example:
        >>> load("emoji/animals").classes[:3]
        ['ant', 'bat', 'bear']
    """
    if options:
        raise unknown("option of emoji", next(iter(options)), ["scenes"])
    if scenes is not None and scenes < 1:
        raise InputError(f"scenes must be at least 1, not {scenes}")
    if name not in suites():
        raise unknown("data", name, suites())
    return Emoji(suites()[name], scenes)


def names() -> list[str]:
    """List the evaluation sets.

    Returns:
        Names that `load` knows.
    """
    return list(suites())


def describe() -> list[dict[str, Any]]:
    """Describe the evaluation sets for `list_data`.

    Returns:
        Rows with the keys ``name``, ``what``, ``licence``, ``source`` and ``limits``.
    """
    about = {key: ABOUT[key] for key in ("licence", "source", "limits")}
    return [{"name": suite.name, "what": suite.what, **about} for suite in suites().values()]


@cache
def _pack_digest() -> str:
    return digest(PACK.read_bytes(), (PACK.parent / "classes.csv").read_bytes())


@cache
def _evaluation_set(name: str, split: str, count: int, folder: Path) -> EvaluationSet:
    suite, drawings, indices = suites()[name], embedded(), np.arange(count)
    stream = f"{name} {split}"
    casting = cast(suite, split, drawings, Draws(stream, indices, SEED), indices)
    classes = [concept.name for concept in label_space(suite, split, drawings)]
    fingerprint = _fingerprint(suite, stream, casting, classes)
    records = stored_scenes(folder / f"{fingerprint}.npy", suite, stream, casting, drawings)
    return EvaluationSet(
        name=name,
        split=split,
        images=records["image"],
        labels=casting.labels,
        classes=classes,
        templates=[suite.template],
        ids=[f"{name}/{split}/{i:05d}" for i in indices],
        columns=_columns(suite, split, casting, records["mask"], classes),
        masks=PackedMasks(records["mask"]),
        unit="drawing",
        fingerprint=fingerprint,
        about={**ABOUT, "what": suite.what},
    )


def _fingerprint(suite: Suite, stream: str, casting: Casting, classes: list[str]) -> str:
    """Name everything that decides the pixels, labels and classes of a split."""
    scenes = casting.labels, casting.drawing, casting.distractor, casting.family
    return digest(_pack_digest(), RENDERER, SEED, stream, asdict(suite.look), suite.filling, classes, *scenes)


def _columns(
    suite: Suite, split: str, casting: Casting, packed: npt.NDArray[np.uint8], classes: list[str]
) -> dict[str, npt.NDArray[Any]]:
    """Describe every scene."""
    indices = np.arange(len(casting.labels))
    # A scene without a drawing is a unit of its own
    alone = np.array([f"scene {i}" for i in indices])
    columns: dict[str, npt.NDArray[Any]] = {
        "drawing": np.where(casting.names == "", alone, casting.names),
        "style": np.array([name.partition("/")[0] for name in casting.names]),
        "background": np.array(FAMILIES)[casting.family],
        "object_area": np.bitwise_count(packed).sum(1).astype(np.int64),
        "content": np.array([digest(suite.name, split, int(i), _pack_digest(), RENDERER) for i in indices]),
    }
    if split == "validation":
        # Method and calibrator are chosen on one part, thresholds on the other; both go round the classes
        columns["part"] = np.where((indices + indices // len(classes)) % 2 == 0, "choice", "threshold")
    if suite.name == "emoji/union":
        base = {concept.name for concept in half(suite, "base").classes()}
        columns["half"] = np.array(["base" if classes[label] in base else "new" for label in casting.labels])
    if suite.filling == "corrupted":
        columns["corruption"], columns["severity"] = corruption_of(indices)
    if suite.filling == "unknown":
        columns["kind"] = np.array(UNKNOWN_KINDS)[indices % len(UNKNOWN_KINDS)]
    return columns
