"""`load_data("emoji...")`: evaluation sets that are rendered once and then memory-mapped."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from calibrant.data.corruptions import CORRUPTIONS, corrupt
from calibrant.data.emoji.backgrounds import FAMILIES, SIDE
from calibrant.data.emoji.drawings import PACK, embedded
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.sampling import UNKNOWN_KINDS, Casting, cast, label_space
from calibrant.data.emoji.scenes import render
from calibrant.data.emoji.suites import Suite, half, suites
from calibrant.data.evaluation_set import EvaluationSet
from calibrant.data.labelled_files import manifest_rows
from calibrant.errors import InputError, unknown
from calibrant.storage import atomic_write, cache_folder, digest

SEED = 0
# Counts up whenever the renderer changes what a scene looks like, so that no cache serves old pixels
RENDERER = 1
CHUNK = 64
ABOUT = {
    "source": "drawings of eight icon sets, see NOTICE; scenes are procedural",
    "licence": "Apache-2.0, CC-BY-4.0 and MIT drawings; attribution in NOTICE",
    "limits": "64 x 64 pixel drawings on procedural backgrounds: says nothing about photographs",
}


@dataclass(frozen=True)
class PackedMasks:
    """Object masks, eight pixels a byte, uint8 [N, 512]."""

    packed: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, index: int) -> npt.NDArray[np.bool_]:
        return np.unpackbits(self.packed[index]).reshape(SIDE, SIDE).astype(bool)


@dataclass(frozen=True)
class Emoji:
    """One evaluation set of `emoji` with its splits.

    Args:
        suite: what it shows.
        scenes: at most this many scenes of each evaluation split; None for all. Training scenes are never cut.
    """

    suite: Suite
    scenes: int | None = None

    @property
    def name(self) -> str:
        return self.suite.name

    @property
    def classes(self) -> list[str]:
        return [concept.name for concept in label_space(self.suite, self.splits[-1], embedded())]

    @property
    def templates(self) -> list[str]:
        return [self.suite.template]

    @property
    def words(self) -> Mapping[str, tuple[str, ...]]:
        return {}

    @property
    def about(self) -> Mapping[str, Any]:
        return {**ABOUT, "what": self.suite.what}

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.suite.scenes)

    def split(self, which: str) -> EvaluationSet:
        """Give one split, rendered now or before.

        Args:
            which: one of `splits`.

        Returns:
            The evaluation set; its unit of independence is the drawing.

        Raises:
            InputError: if the set has no such split.
        """
        if which not in self.suite.scenes:
            raise unknown(f"split of {self.name}", which, self.splits)
        count = self.suite.scenes[which]
        if self.scenes is not None and which != "train":
            count = min(count, self.scenes)
        return _evaluation_set(self.suite.name, which, count)

    def manifest(self) -> list[dict[str, str]]:
        """List every scene: rows with the keys path, content, split and label."""
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
        InputError: for an unknown name or option.

    Example:
        >>> load("emoji/animals").classes[:3]
        ['ant', 'baby chick', 'bat']
    """
    if options:
        raise unknown("option of emoji", next(iter(options)), ["scenes"])
    if scenes is not None and scenes < 1:
        raise InputError(f"scenes must be at least 1, not {scenes}")
    known = suites()
    if name not in known:
        raise unknown("data", name, known)
    return Emoji(known[name], scenes)


def names() -> list[str]:
    """List the evaluation sets."""
    return list(suites())


def describe() -> list[dict[str, Any]]:
    """Describe the evaluation sets for `list_data`."""
    rows = []
    for suite in suites().values():
        about = {key: ABOUT[key] for key in ("licence", "source", "limits")}
        rows.append({"name": suite.name, "what": suite.what, **about})
    return rows


@cache
def _pack_digest() -> str:
    return digest(PACK.read_bytes(), (PACK.parent / "classes.csv").read_bytes())


@cache
def _evaluation_set(name: str, split: str, count: int) -> EvaluationSet:
    suite = suites()[name]
    drawings, indices = embedded(), np.arange(count)
    stream = f"{name} {split}"
    casting = cast(suite, split, drawings, Draws(stream, indices, SEED), indices)
    key = digest(_pack_digest(), RENDERER, name, split, count, SEED)
    images, packed = _rendered(suite, stream, casting, key)
    classes = [concept.name for concept in label_space(suite, split, drawings)]
    return EvaluationSet(
        name=name,
        split=split,
        images=images,
        labels=casting.labels.astype(np.int64),
        classes=classes,
        templates=[suite.template],
        ids=[f"{name}/{split}/{i:05d}" for i in indices],
        columns=_columns(suite, split, casting, packed, classes, indices),
        masks=PackedMasks(packed),
        unit="drawing",
        fingerprint=key,
        about={**ABOUT, "what": suite.what},
    )


def _columns(suite: Suite, split: str, casting: Casting, packed: npt.NDArray[np.uint8], classes: list[str],
             indices: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:  # fmt: skip
    empty = casting.names == ""
    alone = np.array([f"scene {i}" for i in indices])
    columns: dict[str, npt.NDArray[Any]] = {
        # A scene without a drawing is a unit of its own
        "drawing": np.where(empty, alone, casting.names),
        "style": np.array([name.partition("/")[0] for name in casting.names]),
        "background": np.array(FAMILIES)[casting.family],
        "object_area": np.bitwise_count(packed).sum(1).astype(np.int64),
        "content": np.array([digest(suite.name, split, int(i), _pack_digest(), RENDERER) for i in indices]),
    }
    if split == "validation":
        # Method and calibrator are chosen on one part, thresholds on the other
        columns["part"] = np.where(indices // len(classes) % 2 == 0, "choice", "threshold")
    if suite.name == "emoji/union":
        base = {concept.name for concept in half(suite, "base").classes()}
        columns["half"] = np.array(["base" if classes[label] in base else "new" for label in casting.labels])
    if suite.filling == "corrupted":
        columns["corruption"] = np.array([CORRUPTIONS[i % 15] for i in indices])
        columns["severity"] = indices // 15 % 5 + 1
    if suite.filling == "unknown":
        columns["kind"] = np.array([UNKNOWN_KINDS[i % len(UNKNOWN_KINDS)] for i in indices])
    return columns


def _rendered(
    suite: Suite, stream: str, casting: Casting, key: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Map the images uint8 [N, 64, 64, 3] and packed masks uint8 [N, 512], rendering them if they are not there."""
    folder = cache_folder() / "emoji"
    files = folder / f"{key}.images.npy", folder / f"{key}.masks.npy"
    if not all(file.exists() for file in files):
        images, masks = render_all(suite, stream, casting)
        for file, array in zip(files, (images, masks), strict=True):
            with atomic_write(file) as temporary, open(temporary, "wb") as opened:
                np.save(opened, array)
    images, masks = (np.load(file, mmap_mode="r") for file in files)
    return images, masks


def render_all(
    suite: Suite, stream: str, casting: Casting
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Render the scenes of a casting in threads.

    Args:
        suite: the evaluation set.
        stream: the name of the random numbers.
        casting: what the N scenes show.

    Returns:
        Images, uint8 [N, 64, 64, 3], and packed masks, uint8 [N, 512].
    """
    count = len(casting.labels)
    images, masks = np.empty((count, SIDE, SIDE, 3), np.uint8), np.empty((count, SIDE * SIDE // 8), np.uint8)
    pixels = embedded().pixels

    def chunk(start: int) -> None:
        part = slice(start, min(start + CHUNK, count))
        draws = Draws(stream, np.arange(part.start, part.stop), SEED)
        made = render(
            pixels, casting.drawing[part], casting.distractor[part], casting.family[part], suite.look, draws
        )
        images[part] = _damaged(suite, made.images, draws, part.start)
        masks[part] = np.packbits(made.masks.reshape(len(made.masks), -1), axis=1)

    with ThreadPoolExecutor() as pool:
        list(pool.map(chunk, range(0, count, CHUNK)))
    return images, masks


def _damaged(suite: Suite, images: npt.NDArray[np.uint8], draws: Draws, start: int) -> npt.NDArray[np.uint8]:
    if suite.filling == "corrupted":
        places = range(start, start + len(images))
        return np.stack(
            [
                corrupt(x, CORRUPTIONS[i % 15], i // 15 % 5 + 1, seed=i)
                for x, i in zip(images, places, strict=True)
            ]
        )
    if suite.filling == "unknown":
        noise = (
            (draws.pixels("static", SIDE * SIDE * 3) >> np.uint32(24)).astype(np.uint8).reshape(images.shape)
        )
        kind = np.arange(start, start + len(images)) % len(UNKNOWN_KINDS)
        return np.where((kind == UNKNOWN_KINDS.index("noise"))[:, None, None, None], noise, images)
    return images
