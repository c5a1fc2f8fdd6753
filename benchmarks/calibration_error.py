"""What a calibration error of many probabilities costs here and in other libraries: time and peak memory.

Run it with ``python benchmarks/calibration_error.py``. torchmetrics comes with the tests; netcal and torch-uncertainty
(which needs lightning) are compared where they are installed. All ways take turns in one process, on the same numbers,
after it is checked that they give the same error; peak memory is that of a process of its own for each way.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from _measuring import MEGABYTE, in_own_process, in_turn, machine, peak_memory, report
from calibrant.metrics import calibration_error, calibration_error_from_logits, classwise_calibration_error

BINS = 15
ROWS = 10_000  # made at a time, so that making them needs no memory beside them
Ways = dict[str, Callable[[], float]]


def make(samples: int, classes: int, logits: bool) -> tuple[Any, Any]:
    """Draw float32 logits or probabilities [N, C] and labels that are the answer in about half of the rows."""
    rng = np.random.default_rng(0)
    table, labels = np.empty((samples, classes), dtype=np.float32), np.empty(samples, dtype=np.int64)
    for start in range(0, samples, ROWS):
        part = slice(start, start + ROWS)
        rng.standard_normal(out=table[part], dtype=np.float32)
        table[part] *= 3
        size = len(table[part])
        labels[part] = np.where(rng.random(size) < 0.5, table[part].argmax(axis=1), rng.integers(classes, size=size))
        if not logits:
            table[part] -= table[part].max(axis=1, keepdims=True)
            np.exp(table[part], out=table[part])
            table[part] /= table[part].sum(axis=1, keepdims=True)
    return table, labels


def of_probabilities(table: Any, labels: Any) -> Ways:
    tensor, target = torch.from_numpy(table), torch.from_numpy(labels)
    ways: Ways = {
        "calibrant": lambda: calibration_error(table, labels, BINS),
        "torchmetrics": lambda: float(multiclass_calibration_error(tensor, target, table.shape[1], BINS)),
    }
    if installed("netcal"):
        from netcal.metrics import ECE

        ways["netcal"] = lambda: float(ECE(BINS).measure(table, labels))
    return ways


def of_logits(table: Any, labels: Any) -> Ways:
    tensor, target = torch.from_numpy(table), torch.from_numpy(labels)
    return {
        "calibrant": lambda: calibration_error_from_logits(tensor, target, BINS),
        "torchmetrics": lambda: float(multiclass_calibration_error(tensor, target, table.shape[1], BINS)),
    }


def of_every_class(table: Any, labels: Any) -> Ways:
    ways: Ways = {"calibrant": lambda: classwise_calibration_error(table, labels, BINS)}
    if installed("torch_uncertainty") and installed("lightning"):
        from torch_uncertainty.metrics.classification.calibration import ClasswiseCalibrationError

        def theirs() -> float:
            metric = ClasswiseCalibrationError(num_classes=table.shape[1], num_bins=BINS)
            metric.update(torch.from_numpy(table), torch.from_numpy(labels))
            return float(metric.compute())

        ways["torch-uncertainty"] = theirs
    return ways


WORK: dict[str, tuple[Callable[[Any, Any], Ways], bool, str]] = {
    "probabilities": (of_probabilities, False, "ECE of probabilities (NumPy; tensors for torchmetrics)"),
    "logits": (of_logits, True, "ECE of torch logits"),
    "every class": (of_every_class, False, "class-wise ECE of probabilities"),
}


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def compare(name: str, samples: int, classes: int, repeats: int) -> dict[str, Any]:
    """Check that all ways agree, then time them in turn."""
    build, logits, title = WORK[name]
    ways = build(*make(samples, classes, logits))
    values = {way: work() for way, work in ways.items()}
    for way, value in values.items():
        # values on an edge and float32 sums leave the others a little off
        if abs(value - values["calibrant"]) > 1e-4:
            raise SystemExit(f"{title}: {way} gives {value}, calibrant {values['calibrant']}")
    times = in_turn(ways, repeats)
    print(f"{title}, {samples:,} x {classes:,}, float32: {values['calibrant']:.5f}")
    for way, time in times.items():
        ratio = {clock: time[clock] / times["calibrant"][clock] for clock in ("cpu", "wall")}
        print(
            f"  {way:18s} {time['cpu']:8.3f} s of processor, {time['wall']:8.3f} s wall: "
            f"{ratio['cpu']:.1f} x and {ratio['wall']:.1f} x calibrant"
        )
        time.update({f"{clock} / calibrant": value for clock, value in ratio.items()})
    return {"samples": samples, "classes": classes, "values": values, "times": times}


def memory_of(name: str, way: str, samples: int, classes: int, threads: int) -> dict[str, Any]:
    arguments = ["--way", name, way, "--samples", samples, "--classes", classes, "--threads", threads]
    return in_own_process(__file__, *map(str, arguments))


def measure_memory(name: str, way: str, samples: int, classes: int) -> None:
    """Print by how much one way raises the peak of this process, beside what its input takes."""
    build, logits, _ = WORK[name]
    build(*make(100, classes, logits))[way]()  # what is loaded on first use does not count
    table, labels = make(samples, classes, logits)
    work, before = build(table, labels)[way], peak_memory()
    work()
    print(json.dumps({"input": table.nbytes, "more": peak_memory() - before}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--classwise-samples", type=int, default=5000)
    parser.add_argument("--classwise-classes", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch; NumPy's are set by OMP_NUM_THREADS")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", nargs=2, help=argparse.SUPPRESS)  # measure the memory of one way in this process
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.way:
        measure_memory(*args.way, args.samples, args.classes)
        return
    for module in ("netcal", "torch_uncertainty", "lightning"):
        if not installed(module):
            print(f"{module} is not installed, so it is not compared: pip install {module.replace('_', '-')}")
    result: dict[str, Any] = {"machine": machine(args.threads)}
    for name in WORK:
        whole = name != "every class"
        size = (args.samples, args.classes) if whole else (args.classwise_samples, args.classwise_classes)
        result[name] = compare(name, *size, args.repeats)
        result[name]["memory"] = {}
        for way in result[name]["times"]:
            found = memory_of(name, way, *size, args.threads)
            peak = 1 + found["more"] / found["input"]
            result[name]["memory"][way] = {**found, "peak / input": peak}
            print(f"  {way:18s} peak memory {peak:.2f} x its input of {found['input'] / MEGABYTE:.0f} MB")
    report(result, args.json)


if __name__ == "__main__":
    main()
