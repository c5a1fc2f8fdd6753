"""Put the demo's figures into the README: its table, and the picture of a reliability diagram before and after.

Example:
    calibrant demo --json > build/demo.json
    python scripts/update_readme.py build/demo.json
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from calibrant.calibration import Uncalibrated
from calibrant.metrics import reliability
from calibrant.reporting.figures import reliability_before_after
from calibrant.runs import Run
from calibrant.storage import atomic_write, read_json

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "assets" / "reliability.svg"
SHOWN = ("emoji", "emoji/rendition", "emoji/sketch", "emoji/hard", "emoji/base", "emoji/new")
MARKS = re.compile(r"(<!-- demo-table -->\n).*(<!-- /demo-table -->)", re.DOTALL)
PICTURED = ("ft-emoji", "emoji/rendition")
NOTE = """
Accuracy and ECE (15 bins of equal width) on {scenes} scenes a set, with 95 % intervals by drawing; `emoji/base` and
`emoji/new` are of runs tuned on the base classes only. Written by `calibrant demo --json > build/demo.json` and
`python scripts/update_readme.py build/demo.json`. `tiny` is a small model and these are drawings: the table shows what
the tool does, not how the methods compare on photographs.
"""


def table(rows: list[dict[str, Any]]) -> str:
    """Write the rows of the demo as Markdown, the calibrators side by side."""
    lines = ["", "| images | method | accuracy | ECE as tuned | ECE, temperature scaled |", "|---|---|---|---|---|"]
    found = {(row["images"], row["method"], row["calibrator"]): row["measures"] for row in rows}
    for (images, method, calibrator), measures in found.items():
        if images in SHOWN and calibrator == "none":
            scaled = found[images, method, "temperature"]
            cells = (f"`{images}`", method, _share(measures["accuracy"]), _ece(measures["ece"]), _ece(scaled["ece"]))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _share(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.1%} ({estimate['low']:.1%} to {estimate['high']:.1%})"


def _ece(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def picture(run: Run, data: str) -> None:
    """Draw the reliability of one run on test images, before and after temperature scaling."""
    predictions = run.stored(data, "test")
    curves = {
        f"{run.method}, as tuned": reliability(Uncalibrated()(predictions), predictions.labels),
        "after temperature scaling": reliability(run.calibrator("temperature")(predictions), predictions.labels),
    }
    reliability_before_after(curves, PICTURE)


def main(demo: Annotated[Path, typer.Argument(help="What `calibrant demo --json` printed.")]) -> None:
    """Write the table and the picture."""
    said = read_json(demo)
    rows = [row for one in said["tables"].values() for row in one]
    runs = [Run.load(path) for path in said["runs"]]
    name, data = PICTURED
    chosen = next(run for run in runs if run.name == name)
    picture(chosen, data)
    scenes = len(chosen.stored(data, "test"))
    text = README.read_text(encoding="utf-8")
    written = MARKS.sub(lambda found: found[1] + table(rows) + NOTE.format(scenes=f"{scenes:,}") + found[2], text)
    with atomic_write(README) as temporary:
        temporary.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
