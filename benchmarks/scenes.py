"""How many scenes of `emoji` are rendered per second, before corruption, with one thread and with two.

Run it with ``python benchmarks/scenes.py``. On a machine that does other work as well, read the figure per second of
processor time: it does not count the time in which other programs run.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from calibrant.data.emoji.drawings import embedded
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.rendering import CHUNK, SEED, rendered_parts
from calibrant.data.emoji.sampling import cast
from calibrant.data.emoji.suites import suites


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="emoji", choices=[n for n in suites() if n != "emoji/corrupted"])
    parser.add_argument("--scenes", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    suite, stream, indices = suites()[args.set], f"{args.set} test", np.arange(args.scenes)
    casting = cast(suite, "test", embedded(), Draws(stream, indices, SEED), indices)
    print(f"{args.set}, {args.scenes} scenes in parts of {CHUNK}, best of {args.repeats}")
    for threads in (1, 2):
        wall, processor = [], []
        for _ in range(args.repeats):
            start = time.perf_counter(), time.process_time()
            for _ in rendered_parts(suite, stream, casting, embedded(), threads=threads):
                pass
            wall.append(time.perf_counter() - start[0])
            processor.append(time.process_time() - start[1])
        print(
            f"  {threads} thread(s): {args.scenes / min(wall):,.0f} scenes per second, "
            f"{args.scenes / min(processor):,.0f} per second of processor time"
        )


if __name__ == "__main__":
    main()
