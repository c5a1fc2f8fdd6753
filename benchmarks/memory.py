"""Peak memory of tuning CoOp on 1,000 classes with the text tower of ViT-B-32, and whether it grows from step to step.

It is Calibrant's whole training loop, in a process of its own, libraries and both towers included; weights are random,
class names are nouns of WordNet, the views of the images are cached. Run it with ``python benchmarks/memory.py``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import Any

from _measuring import MEGABYTE, in_own_process, machine, peak_memory, report, resident_memory
from _prompt_learning import arguments, make_encoder, make_network, noise, nouns

LIMIT = 4096 * MEGABYTE


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Tune for some steps and give the memory of this process behind each, and its peak."""
    import torch

    from calibrant.models.feature_cache import FeatureCache
    from calibrant.tuning.fitting import fit
    from calibrant.tuning.recipe import load_recipe

    torch.set_num_threads(args.threads)
    network = make_network(args.architecture)
    encoder = make_encoder(network, args.architecture)
    train = noise(args.batch, encoder.image_size, nouns(args.classes))
    recipe = load_recipe(
        "coop",
        {
            "stages.0.parameterization.tokens": args.tokens,
            "solver.epochs": None,
            "solver.steps": args.steps,
            "solver.batch_size": args.batch,
            "solver.views": args.views,
        },
    )
    before = peak_memory()
    steps: list[dict[str, int]] = []

    def remember(_: dict[str, Any]) -> None:
        steps.append({"now": resident_memory(), "peak": peak_memory()})

    with tempfile.TemporaryDirectory() as folder:
        fit(encoder, train, recipe, cache=FeatureCache(folder), log=remember, progress=False)
    tokens = sum(encoder.tokenize([f"{name}."]).shape[1] - 1 for name in train.classes)
    return {"before": before, "peak": peak_memory(), "steps": steps, "tokens behind the context": tokens}


def main() -> None:
    parser = arguments(__doc__, batch=32)
    parser.set_defaults(classes=1000)
    parser.add_argument("--tokens", type=int, default=16, help="context tokens")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        print(json.dumps(run(args)))
        return
    settings = {name: value for name, value in vars(args).items() if name not in ("json", "inside")}
    measured = in_own_process(__file__, *[f"--{name}={value}" for name, value in settings.items()], "--inside")
    show(measured, args)
    report({"benchmark": "memory", "settings": settings, **measured, "machine": machine(args.threads)}, args.json)


def show(measured: dict[str, Any], args: argparse.Namespace) -> None:
    steps, peak = measured["steps"], measured["peak"]
    print(
        f"CoOp, {args.architecture} without weights, {args.classes} classes "
        f"({measured['tokens behind the context']} tokens behind the context), batch {args.batch}, "
        f"views: {args.views} cached, {args.steps} steps"
    )
    print(
        f"  peak memory {peak / MEGABYTE:.0f} MB, {measured['before'] / MEGABYTE:.0f} MB of it before the first step; "
        f"below {LIMIT / MEGABYTE:.0f} MB wanted"
    )
    print("  behind each step: " + ", ".join(f"{step['now'] / MEGABYTE:.0f}" for step in steps) + " MB")
    grown = steps[-1]["peak"] - steps[min(1, len(steps) - 1)]["peak"]
    print(f"  from the second step to the last the peak grew by {grown / MEGABYTE:.0f} MB")


if __name__ == "__main__":
    main()
