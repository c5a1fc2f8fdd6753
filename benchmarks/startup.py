"""How long ``import calibrant`` and ``calibrant --help`` take, beside bare Python and ``import open_clip``.

Run it with ``python benchmarks/startup.py``. Every start is a process of its own; files are in the disk cache after the
first round, which is not counted.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _measuring import in_turn, machine, report

WAYS = {
    "python": ["-c", "pass"],
    "import calibrant": ["-c", "import calibrant"],
    "calibrant --help": ["-m", "calibrant", "--help"],
    "import open_clip": ["-c", "import open_clip"],
}
AIMS = {"import calibrant": 0.3, "calibrant --help": 0.6}  # seconds of wall time on a quiet machine
_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| (\s*)(\S+)")


def started(arguments: list[str]) -> Callable[[], object]:
    def work() -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    return work


def heaviest(arguments: list[str], count: int) -> list[dict[str, Any]]:
    """The modules that take longest by themselves, imports of their own not counted."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = [match for line in done.stderr.splitlines() if (match := _LINE.match(line))]
    rows = [{"module": m[4], "own": int(m[1]) / 1e6, "with its imports": int(m[2]) / 1e6} for m in found]
    return sorted(rows, key=lambda row: -row["own"])[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--top", type=int, default=8, help="how many of the slowest imports to list")
    parser.add_argument("--json", type=Path, help="write the result here")
    args = parser.parse_args()
    times = in_turn({name: started(arguments) for name, arguments in WAYS.items()}, args.repeats)
    imports = {name: heaviest(WAYS[name], args.top) for name in AIMS}
    print(f"start, medians of {args.repeats}")
    for name, seconds in times.items():
        aim = f"; at most {AIMS[name]} s wanted on a quiet machine" if name in AIMS else ""
        print(f"  {name}: {seconds['wall']:.2f} s wall, {seconds['cpu']:.2f} s of processor time{aim}")
    for name, rows in imports.items():
        slow = ", ".join(f"{row['module']} {1000 * row['own']:.0f} ms" for row in rows)
        print(f"  slowest modules of {name}: {slow}")
    report({"benchmark": "startup", "seconds": times, "imports": imports, "machine": machine()}, args.json)


if __name__ == "__main__":
    main()
