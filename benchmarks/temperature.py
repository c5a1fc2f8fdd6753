"""What fitting a temperature costs here and elsewhere, and how far from the optimum each way stops.

Run it with ``python benchmarks/temperature.py``. The ways take turns in one process on the same logits:

- calibrant, on float32 and on float64 logits;
- the loop that is copied most: 50 iterations of PyTorch's L-BFGS with a step of 0.01 from 1.5, on float32 logits;
- netcal, where it is installed, on float64 probabilities, since it leaves float32 ones as they are.

The optimum is found by a bounded search; "off" is the relative error of T.
"""

from __future__ import annotations

import argparse
import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import nn

from _measuring import in_turn, machine, report
from calibrant.arrays import softmax
from calibrant.calibration import TemperatureScaling
from calibrant.calibration.tempered_likelihood import tempered_likelihood

ROWS = 10_000  # made at a time
WARM = 0.5  # the scale that was put in is its inverse


def make(samples: int, classes: int) -> tuple[Any, Any]:
    """Draw over-confident float32 logits [N, C], labels from their softmax at half the scale, and a few sure errors."""
    rng = np.random.default_rng(0)
    logits, labels = np.empty((samples, classes), dtype=np.float32), np.empty(samples, dtype=np.int64)
    for start in range(0, samples, ROWS):
        part = slice(start, start + ROWS)
        table = 2 * rng.standard_normal((len(logits[part]), classes))
        table[:, 0] += 4
        table = np.apply_along_axis(rng.permutation, 1, table)
        drawn = (rng.random((len(table), 1)) > softmax(table).cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
        table[:20, 0] += 12  # an answer that the model is sure of, whatever the label
        logits[part], labels[part] = table / WARM, drawn
    return logits, labels


def common_loop(logits: Any, labels: Any) -> float:
    tensor, target = torch.from_numpy(logits), torch.from_numpy(labels)
    temperature = nn.Parameter(torch.tensor(1.5))
    optimizer = torch.optim.LBFGS([temperature], lr=0.01, max_iter=50)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(tensor / temperature, target)
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(temperature.detach())


def netcal(probs: Any, labels: Any) -> float:
    from netcal.scaling import TemperatureScaling as Theirs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scaling = Theirs()
        scaling.fit(probs, labels)
    return float(1 / np.asarray(scaling.temperature).item())  # its temperature multiplies


def searched(logits: Any, labels: Any) -> float:
    def nll(log_inverse: float) -> float:
        return float(tempered_likelihood(logits, labels, float(np.exp(log_inverse))).value.mean())

    return float(np.exp(-minimize_scalar(nll, bounds=(-3, 3), method="bounded", options={"xatol": 1e-7}).x))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch; NumPy's are set by OMP_NUM_THREADS")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    logits, labels = make(args.samples, args.classes)
    precise = logits.astype(np.float64)
    found: dict[str, float] = {}

    def keeping(name: str, work: Callable[[], float]) -> Callable[[], None]:
        def run() -> None:
            found[name] = work()

        return run

    ways = {
        "calibrant": lambda: TemperatureScaling().fit(logits, labels).temperature_,
        "calibrant, float64": lambda: TemperatureScaling().fit(precise, labels).temperature_,
        "common loop": lambda: common_loop(logits, labels),
    }
    if importlib.util.find_spec("netcal") is not None:
        probs = softmax(precise)
        ways["netcal, float64"] = lambda: netcal(probs, labels)
    else:
        print("netcal is not installed, so it is not compared: pip install netcal")
    times = in_turn({name: keeping(name, work) for name, work in ways.items()}, args.repeats)
    optimum = searched(logits, labels)
    print(f"temperature of {args.samples:,} x {args.classes:,} logits, optimum {optimum:.5f}")
    result: dict[str, Any] = {"machine": machine(args.threads), "optimum": optimum, "ways": {}}
    for name, time in times.items():
        off = abs(found[name] / optimum - 1)
        # like with like: netcal takes float64 only
        ours = times["calibrant, float64" if name.endswith("float64") else "calibrant"]
        ratio = {clock: time[clock] / ours[clock] for clock in ("cpu", "wall")}
        result["ways"][name] = {**time, "temperature": found[name], "off": off, "/ calibrant": ratio}
        print(
            f"  {name:20s} T {found[name]:.5f}, off {off:.0e}, {time['cpu']:7.2f} s of processor, "
            f"{time['wall']:7.2f} s wall: {ratio['cpu']:.1f} x and {ratio['wall']:.1f} x calibrant"
        )
    report(result, args.json)


if __name__ == "__main__":
    main()
