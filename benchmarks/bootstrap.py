"""What 1,000 bootstrap replicates of the ECE cost, in units of one ECE from logits.

Run it with ``python benchmarks/bootstrap.py``. Redrawing reads the confidence and correctness of the answers only, so
its time does not depend on the number of classes; that of an ECE from logits does. All work takes turns in one process,
after it is checked that the replicates are those of a loop that draws samples one set at a time.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _measuring import in_turn, machine, report
from calibrant.metrics import calibration_error_from_logits
from calibrant.metrics.answers import answers_from_logits
from calibrant.metrics.binning import assign, bin_edges, binned
from calibrant.metrics.bootstrap import bin_table, bins_of, draws, redraw
from calibrant.metrics.calibration import plain_l1
from calibrant.metrics.intervals import intervals_of
from calibrant.metrics.scores import Scores

BINS = 15
LOOPED = 5  # replicates that the loop is timed on; all would take too long


def make(samples: int, classes: int) -> tuple[Any, Any]:
    """Draw float32 logits [N, C] and labels that are the answer in about half of the rows."""
    rng = np.random.default_rng(0)
    logits = 3 * rng.standard_normal((samples, classes), dtype=np.float32)
    labels = np.where(rng.random(samples) < 0.5, logits.argmax(axis=1), rng.integers(classes, size=samples))
    return torch.from_numpy(logits), torch.from_numpy(labels)


def replicates(scores: Scores, resamples: int) -> Any:
    index = assign(scores.confidence, bin_edges(scores.confidence, BINS))
    table = bin_table(index, BINS, scores.confidence, scores.correct)
    return plain_l1(bins_of(redraw(table, np.arange(len(index)), resamples, 0)))


def looped(scores: Scores, resamples: int) -> list[float]:
    found = []
    for times in draws(len(scores), resamples, 0):
        for one in times:
            drawn = np.repeat(np.arange(len(scores)), one.astype(np.int64))
            found.append(float(plain_l1(binned(scores.confidence[drawn], scores.correct[drawn], BINS, "width"))))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    tables = {classes: make(args.samples, classes) for classes in args.classes}
    confidence, correct = answers_from_logits(*tables[max(args.classes)])
    scores = Scores(confidence, correct, np.zeros(args.samples), np.zeros(args.samples))
    np.testing.assert_allclose(replicates(scores, LOOPED), looped(scores, LOOPED), atol=1e-9)

    ways: dict[str, Any] = {
        f"one ECE from logits, {classes:,} classes": partial(calibration_error_from_logits, *table, BINS)
        for classes, table in tables.items()
    }
    one_ece = list(ways)
    ours = f"{args.resamples:,} replicates of the ECE"
    ways[ours] = lambda: replicates(scores, args.resamples)
    ways["the interval of the ECE from them"] = lambda: intervals_of(
        scores, BINS, None, 0.95, args.resamples, 0, ("ece",)
    )
    ways[f"{LOOPED} replicates in a loop"] = lambda: looped(scores, LOOPED)
    times = in_turn(ways, args.repeats)
    print(f"{args.samples:,} samples, {BINS} bins, {args.threads} thread(s)")
    for name, time in times.items():
        print(f"  {name:40s} {time['cpu']:9.4f} s of processor, {time['wall']:9.4f} s wall")
    costs = {name: {clock: times[ours][clock] / times[name][clock] for clock in ("cpu", "wall")} for name in one_ece}
    for name, cost in costs.items():
        print(f"  {ours} cost as much as {cost['cpu']:.0f} x {name} (wall: {cost['wall']:.0f} x)")
    report({"machine": machine(args.threads), "times": times, "costs": costs}, args.json)


if __name__ == "__main__":
    main()
