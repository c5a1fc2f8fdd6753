"""Whether memory grows with the number of images: tuning and predicting with N and with 4 N images from a folder.

Every case runs in a process of its own on the untrained `tiny`; what it may keep per image is a row of logits and the
like, and, while tuning, the pages of the feature cache that it has mapped. Run it with ``python
benchmarks/streaming.py``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from _measuring import MEGABYTE, in_own_process, machine, peak_memory, report

WORK = ("predict", "tune")
CLASSES = ("cat", "dog", "car", "tree")


def make_folder(folder: Path, images: int, size: int) -> None:
    """Write noise as PNG files, one sub-folder per class; every image differs."""
    from PIL import Image

    for index in range(images):
        place = folder / CLASSES[index % len(CLASSES)]
        place.mkdir(parents=True, exist_ok=True)
        # few grey levels in large blocks, so that files are small and quick to write and pixels many
        blocks = np.random.default_rng(index).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(blocks).resize((size, size), Image.Resampling.BICUBIC).save(
            place / f"{index}.png", compress_level=1
        )


def run(work: str, folder: Path, views: int, steps: int) -> dict[str, int]:
    """Do the work on every image of a folder and give the peak memory and the bytes of the declared cache."""
    import torch

    from calibrant.data.registry import load_data
    from calibrant.models.feature_cache import FeatureCache
    from calibrant.models.tiny import load_tiny
    from calibrant.predict import predict
    from calibrant.tuning.fitting import fit
    from calibrant.tuning.recipe import load_recipe
    from calibrant.tuning.task import Task
    from calibrant.tuning.tuned_model import build

    torch.set_num_threads(1)
    encoder = load_tiny(random_initialisation=True)
    images = load_data(f"folder:{folder}").split("train")
    before = peak_memory()
    with tempfile.TemporaryDirectory() as place:
        if work == "predict":
            task = Task(images.classes, images.templates, images.words)
            predict(build(encoder, task, load_recipe("zero-shot"), stage=0, seed=1), images)
        else:
            settings = {"solver.views": views, "solver.steps": steps, "solver.batch_size": 32}
            recipe = load_recipe("coop", settings, "tiny")
            fit(encoder, images, recipe, cache=FeatureCache(place), progress=False)
        cache = sum(file.stat().st_size for file in Path(place).rglob("*.npy"))
    return {"images": len(images), "before": before, "peak": peak_memory(), "cache": cache}


def measure(images: int, size: int, views: int, steps: int) -> dict[str, list[dict[str, int]]]:
    """Run every work on N and on 4 N images."""
    results: dict[str, list[dict[str, int]]] = {work: [] for work in WORK}
    for count in (images, 4 * images):
        with tempfile.TemporaryDirectory() as folder:
            make_folder(Path(folder) / "train", count, size)
            for work in WORK:
                given = [f"--work={work}", f"--folder={folder}", f"--views={views}", f"--steps={steps}"]
                results[work].append(in_own_process(__file__, *given))
    return results


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500, help="N")
    parser.add_argument("--size", type=int, default=512, help="pixels on a side")
    parser.add_argument("--views", type=int, default=8, help="cached views per image while tuning")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parsed()
    if args.work:
        print(json.dumps(run(args.work, args.folder, args.views, args.steps)))
        return
    results = measure(args.images, args.size, args.views, args.steps)
    pixels = 3 * args.images * 3 * args.size**2
    print(
        f"tiny, {args.size} px images; 3 N = {3 * args.images} more of them hold {pixels / MEGABYTE:.0f} MB of pixels"
    )
    summary: dict[str, Any] = {}
    for work, (few, many) in results.items():
        grown, cache = many["peak"] - few["peak"], many["cache"] - few["cache"]
        summary[work] = {"N": few, "4 N": many, "growth": grown, "growth of the cache": cache}
        policy = f" (views: {args.views} cached)" if work == "tune" else ""
        print(
            f"  {work}{policy}: peak {few['peak'] / MEGABYTE:.0f} MB with {few['images']} images, "
            f"{many['peak'] / MEGABYTE:.0f} MB with {many['images']}: {grown / MEGABYTE:+.1f} MB, of which the cache "
            f"may be {cache / MEGABYTE:.1f} MB"
        )
    settings = {"images": args.images, "size": args.size, "views": args.views, "steps": args.steps}
    report(
        {"benchmark": "streaming", "settings": settings, **summary, "machine": machine(1)},
        args.json,
    )


if __name__ == "__main__":
    main()
