"""What the benchmarks share: ways timed in turn, peak memory of a process of its own, facts of the machine."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from calibrant.runs import provenance

MEGABYTE = 1024**2
_STATUS = Path("/proc/self/status")


def in_turn(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
    """Time several ways of doing the same work, A B C A B C ..., so that a change of load meets them all alike.

    Returns:
        Per way the median seconds of wall time (``wall``) and of processor time of all threads and finished child
        processes (``cpu``). The first round is not counted.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, work in ways.items():
            wall, cpu = time.perf_counter(), processor_time()
            work()
            times[name].append((time.perf_counter() - wall, processor_time() - cpu))
    return {name: dict(zip(("wall", "cpu"), medians(rows[1:]), strict=True)) for name, rows in times.items()}


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Processor seconds of the fastest repeat: other programs on the machine do not count."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def processor_time() -> float:
    # of this process from the finer clock: `os.times` counts hundredths of a second
    finished = os.times()
    return time.process_time() + finished.children_user + finished.children_system


def medians(rows: list[tuple[float, ...]]) -> list[float]:
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def ratios(times: Mapping[str, Mapping[str, float]], usual: str, ours: list[str]) -> dict[str, dict[str, float]]:
    """How many times the usual way takes as long as each of ours, by wall and by processor time."""
    return {
        f"{usual} / {name}": {clock: times[usual][clock] / times[name][clock] for clock in ("wall", "cpu")}
        for name in ours
    }


def peak_memory() -> int:
    """The most memory that this process had resident so far, in bytes."""
    if _STATUS.is_file():
        # `ru_maxrss` starts from the peak of the process that started this one; this starts from zero
        return _of_status("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def resident_memory() -> int:
    """The memory that this process has resident now, in bytes; its peak where the system does not say."""
    return _of_status("VmRSS") if _STATUS.is_file() else peak_memory()


def _of_status(field: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def in_own_process(script: str, *arguments: str) -> dict[str, Any]:
    """Run a benchmark in a process of its own and read the JSON that it prints last."""
    command = [sys.executable, script, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def machine(threads: int | None = None) -> dict[str, Any]:
    """Facts without which a time says little."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        **provenance.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load": load,
        "versions": provenance.versions(),
        "date": provenance.now(),
    }


def report(result: Mapping[str, Any], file: Path | None) -> None:
    """Write the result as JSON, if somebody asked for it."""
    if file is not None:
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
