"""The golden scenes: what they are and how the reference in tests/golden was made.

`PYTHONPATH=src python tests/data/emoji/golden.py` writes the reference anew; do so only when the benchmark itself
is to change, and then count up `RENDERER` in calibrant/data/emoji/load.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from calibrant.data.emoji.drawings import embedded
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.rendering import SEED
from calibrant.data.emoji.sampling import Casting, cast
from calibrant.data.emoji.scenes import Scenes, render
from calibrant.data.emoji.suites import suites
from calibrant.storage import digest

FOLDER = Path(__file__).parents[2] / "golden"
PICTURES = ("emoji test", "emoji/rendition test", "emoji/sketch test", "emoji/hard test")
STREAMS = (
    *PICTURES,
    "emoji/context test",
    "emoji/longtail train",
    "emoji/unknown test",
    "emoji/animals/new test",
)


def cast_stream(stream: str, indices: np.ndarray) -> Casting:
    name, split = stream.split(" ")
    return cast(suites()[name], split, embedded(), Draws(stream, indices, SEED), indices)


def scenes_of(stream: str, indices: np.ndarray) -> tuple[Casting, Scenes]:
    casting = cast_stream(stream, indices)
    look = suites()[stream.split(" ", maxsplit=1)[0]].look
    who = casting.drawing, casting.distractor, casting.family
    return casting, render(embedded().pixels, *who, look, Draws(stream, indices, SEED))


def golden_digest(stream: str) -> str:
    """Labels, drawings, backgrounds, boxes and packed masks of six scenes far apart."""
    casting, scenes = scenes_of(stream, np.array([0, 1, 2, 419, 1000, 2999]))
    integers = casting.labels, casting.drawing, casting.distractor, casting.family, scenes.boxes()
    return digest(*(a.astype("<i8") for a in integers), np.packbits(scenes.masks))


def golden_pictures() -> np.ndarray:
    """Two scenes of four sets, side by side, uint8 [128, 256, 3]."""
    rows = [scenes_of(stream, np.array([5, 2005]))[1].images for stream in PICTURES]
    return np.concatenate([pair.reshape(128, 64, 3) for pair in rows], axis=1)


if __name__ == "__main__":
    Image.fromarray(golden_pictures()).save(FOLDER / "emoji-scenes.png", optimize=True)
    origin = "tests/data/emoji/golden.py, from drawings.zip of the package; pixels in emoji-scenes.png"
    value = {"origin": origin, "digests": {stream: golden_digest(stream) for stream in STREAMS}}
    (FOLDER / "emoji-scenes.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
