"""Draw the picture of docs/emoji.md: one row of scenes per evaluation set.

Example:
    python scripts/draw_contact_sheet.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from calibrant.data.emoji.drawings import concepts, embedded
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.rendering import SEED, rendered_parts
from calibrant.data.emoji.sampling import cast
from calibrant.data.emoji.suites import suites
from calibrant.storage import atomic_write

TARGET = Path(__file__).parents[1] / "docs" / "assets" / "emoji.png"
ROWS = ("emoji", "resampled", "rendition", "sketch", "context", "hard", "corrupted", "unknown")
# Seven classes that the rows share, as far apart as possible
SHOWN = ("guitar", "lion", "pizza", "helicopter", "house", "key", "sunflower")
SIDE, GAP, LABEL = 64, 4, 84


def scenes(row: str) -> list[np.ndarray]:
    """Find the first scene of each class that is shown; of `unknown`, which has none, the first seven."""
    name = "emoji" if row == "emoji" else f"emoji/{row}"
    suite, stream, indices = suites()[name], f"{name} test", np.arange(900)
    casting = cast(suite, "test", embedded(), Draws(stream, indices, SEED), indices)
    drawn = [drawing.partition("/")[2] for drawing in casting.names]
    first = [drawn.index(c) if row != "unknown" else i for i, c in enumerate(SHOWN)]
    images = np.concatenate([part["image"] for part in rendered_parts(suite, stream, casting, embedded())])
    return [images[i] for i in first]


def main() -> None:
    missing = set(SHOWN) - {concept.name for concept in concepts()}
    if missing:
        raise SystemExit(f"no such classes: {missing}")
    size = LABEL + len(SHOWN) * (SIDE + GAP), len(ROWS) * (SIDE + GAP) - GAP
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for place, row in enumerate(ROWS):
        top = place * (SIDE + GAP)
        pen.text((4, top + SIDE // 2), row, fill="black", font=font, anchor="lm")
        for column, scene in enumerate(scenes(row)):
            sheet.paste(Image.fromarray(scene), (LABEL + column * (SIDE + GAP), top))
    with atomic_write(TARGET) as temporary:
        sheet.quantize(256).save(temporary, "PNG", optimize=True)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
