"""A training step of CoOp on ViT-B-32 without weights: the usual loop against Calibrant's, side by side.

The usual loop runs the image tower on the batch at every step and the text tower on all classes at 77 tokens, in
open_clip's own modules. Calibrant's encodes the context once for all classes, leaves out the padding and, with cached
views, the image tower: the views were encoded once, before training. The usual loop takes 77 tokens whatever the names
are; ours takes the longer the longer they are, so names of 12 tokens stand beside those of ``emoji``. Run it with
``python benchmarks/coop_step.py``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import TYPE_CHECKING, Any

from _measuring import MEGABYTE, in_own_process, in_turn, machine, peak_memory, ratios, report
from _prompt_learning import Bench, OurStep, UsualStep, agreement, arguments, coop, gradients, long_names, said

if TYPE_CHECKING:
    from torch import Tensor

USUAL, CACHED, LONG, LIVE = "usual", "cached", "cached, long names", "live"
WHAT = {
    USUAL: "the usual loop, views: live",
    CACHED: "ours, views: {views} cached",
    LONG: "ours, views: {views} cached, names of 12 tokens",
    LIVE: "ours, views: live",
}
OURS = [way for way in WHAT if way != USUAL]


def parity(usual: UsualStep, ours: OurStep, pixels: Tensor, labels: Tensor) -> dict[str, float]:
    """Compare text features and context gradients of both sides; nothing is timed unless they agree."""
    import torch

    parameterization = ours.model.parameterization
    with torch.no_grad():
        features = parameterization.text_features(ours.model.classes), usual.encode(usual.context)
        images = parameterization.encoder.encode_image(pixels)
    usual.backward(pixels, labels)
    ours.backward({"features": images, "labels": labels})
    return agreement(*features, gradients(ours.trainables()), gradients(usual.trainables()))


def memory(bench: Bench, way: str) -> dict[str, int]:
    """The peak of this process after two steps of one way, and its peak before them."""
    import torch

    network = bench.network()
    pixels = bench.pixels(network.visual.image_size[0])
    before = peak_memory()
    if way == USUAL:
        context = torch.zeros(bench.args.tokens, network.token_embedding.weight.shape[1])
        usual = UsualStep(network, bench.ids(bench.classes, len(context)), context)
        for _ in range(2):
            usual.step(pixels, bench.labels)
    else:
        names = long_names(len(bench.classes)) if way == LONG else bench.classes
        ours = OurStep(bench.model(network, names, coop(bench.args)))
        with tempfile.TemporaryDirectory() as folder:
            batches = bench.cached_views(ours.model.encoder, folder)[0] if way != LIVE else None
            for step in range(2):
                ours.step(batches(step) if batches else {"pixels": pixels, "labels": bench.labels})
    return {"before": before, "peak": peak_memory()}


def timing(bench: Bench) -> dict[str, Any]:
    ours = OurStep(bench.model(bench.network(), bench.classes, coop(bench.args)))
    context = ours.trainables()["context"].detach()
    # one network for both lists of names; the usual loop has one of its own, since ours replaces the attention
    names = long_names(len(bench.classes))
    long = OurStep(bench.model(ours.model.encoder.network, names, coop(bench.args)))
    network = bench.network()
    usual = UsualStep(network, bench.ids(bench.classes, len(context)), context)
    usual_long = UsualStep(network, bench.ids(names, len(context)), context)
    pixels, labels = bench.pixels(ours.model.encoder.image_size), bench.labels
    agreements = {
        "names of emoji": parity(usual, ours, pixels, labels),
        "names of 12 tokens": parity(usual_long, long, pixels, labels),
    }
    with tempfile.TemporaryDirectory() as folder:
        batches, per_view = bench.cached_views(ours.model.encoder, folder)
        ways = {
            USUAL: lambda: usual.step(pixels, labels),
            CACHED: lambda: ours.step(batches(0)),
            LONG: lambda: long.step(batches(0)),
            LIVE: lambda: ours.step({"pixels": pixels, "labels": labels}),
        }
        times = in_turn(ways, bench.args.repeats)
    return {
        "agreement": agreements,
        "tokens per step": {USUAL: 77 * len(bench.classes), CACHED: tokens(ours), LONG: tokens(long)},
        "seconds": times,
        "ratios": ratios(times, USUAL, OURS),
        "seconds to cache one view of one image": per_view,
    }


def tokens(ours: OurStep) -> int:
    """How many tokens of text one of our steps computes: the prefix once and, per class, what follows it."""
    encoder, classes = ours.model.encoder, ours.model.classes
    prefix = 1 + len(ours.trainables()["context"])
    return prefix + sum(encoder.tokenize([f"{name}."]).shape[1] - 1 for name in classes)


def parsed() -> argparse.Namespace:
    parser = arguments(__doc__, batch=32)
    parser.add_argument("--tokens", type=int, default=16, help="context tokens")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory-of", choices=list(WHAT), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parsed()
    if args.memory_of:
        print(json.dumps(memory(Bench(args), args.memory_of)))
        return
    settings = {k: v for k, v in vars(args).items() if k not in ("json", "memory_of")}
    given = [f"--{name}={value}" for name, value in settings.items()]
    memories = {way: in_own_process(__file__, *given, f"--memory-of={way}") for way in WHAT}
    result = {
        "benchmark": "coop_step",
        "settings": settings,
        **timing(Bench(args)),
        "memory in bytes": memories,
        "peak memory": {f"{USUAL} / {way}": memories[USUAL]["peak"] / memories[way]["peak"] for way in OURS},
        "peak memory of the steps alone": {
            f"{USUAL} / {way}": of_steps(memories[USUAL]) / of_steps(memories[way]) for way in OURS
        },
        "machine": machine(args.threads),
    }
    show(result, args)
    report(result, args.json)


def of_steps(memory: dict[str, int]) -> int:
    """What the steps took beyond the libraries and the model."""
    return max(1, memory["peak"] - memory["before"])


def show(result: dict[str, Any], args: argparse.Namespace) -> None:
    counts = result["tokens per step"]
    print(
        f"CoOp step, {args.architecture} without weights, {args.classes} classes, batch {args.batch}, "
        f"{args.tokens} context tokens, fp32, "
        f"{args.threads} threads; {counts[USUAL]} tokens of text against {counts[CACHED]}, with long names "
        f"{counts[LONG]}; medians of {args.repeats}"
    )
    for names, differences in result["agreement"].items():
        print(f"  agreement, {names}: {said(differences)}")
    for way, times in result["seconds"].items():
        memory = result["memory in bytes"][way]
        print(
            f"  {WHAT[way].format(views=args.views)}: {times['wall']:.2f} s wall, {times['cpu']:.2f} s of processor "
            f"time, peak memory {memory['peak'] / MEGABYTE:.0f} MB, "
            f"{of_steps(memory) / MEGABYTE:.0f} MB of it for the steps"
        )
    for pair, ratio in result["ratios"].items():
        print(
            f"  {pair}: {ratio['wall']:.1f} x wall, {ratio['cpu']:.1f} x processor time, "
            f"{result['peak memory'][pair]:.2f} x peak memory, "
            f"{result['peak memory of the steps alone'][pair]:.2f} x that of the steps alone"
        )
    print(f"  once, before training: {1000 * result['seconds to cache one view of one image']:.0f} ms per cached view")


if __name__ == "__main__":
    main()
