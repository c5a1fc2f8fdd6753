"""A training step of CoOp on ViT-B-32 without weights: the usual loop against Calibrant's, side by side.

The usual loop runs the image tower on the batch at every step and the text tower on all classes at 77 tokens, in
open_clip's own modules. Calibrant's encodes the context once for all classes, leaves out the padding and, with cached
views, the image tower: the views were encoded once, before training. The usual loop takes 77 tokens whatever the names
are; ours takes the longer the longer they are, so names of 12 tokens stand beside those of ``emoji``. Pixels are ready
in memory on every side, so that reading and augmenting images does not count. Run it with ``python
benchmarks/coop_step.py``; weights are random, since speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _measuring import MEGABYTE, in_own_process, in_turn, machine, peak_memory, ratios, report

if TYPE_CHECKING:
    from torch import Tensor

    from calibrant.models.open_clip import OpenClipEncoder
    from calibrant.tuning.tuned_model import TunedModel

USUAL, CACHED, LONG, LIVE = "usual", "cached", "cached, long names", "live"
WHAT = {
    USUAL: "the usual loop, views: live",
    CACHED: "ours, views: {views} cached",
    LONG: "ours, views: {views} cached, names of 12 tokens",
    LIVE: "ours, views: live",
}
OURS = [way for way in WHAT if way != USUAL]
# one token each in CLIP's vocabulary
WORDS = [
    "red",
    "blue",
    "green",
    "small",
    "big",
    "old",
    "new",
    "wooden",
    "happy",
    "house",
    "bird",
    "car",
    "tree",
    "boat",
]
# largest difference of text features, and of context gradients relative to the largest gradient
FEATURE_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4


class UsualCoOp:
    """CoOp as its paper describes it and research code commonly writes it, in plain open_clip modules.

    Every class has a prompt of full length whose embeddings are kept; at each step the context is repeated for every
    class and put between start token and class name.
    """

    def __init__(self, network: Any, ids: Tensor, context: Tensor) -> None:
        import torch

        self.network = network.requires_grad_(False).train()  # nothing here drops out
        self.ids = ids
        self.context = torch.nn.Parameter(context.clone())
        with torch.no_grad():
            embeddings = network.token_embedding(ids)
        self.start, self.rest = embeddings[:, :1], embeddings[:, 1 + len(context) :]
        self.optimizer = torch.optim.SGD([self.context], lr=0.002, momentum=0.9, weight_decay=5e-4)

    def text_features(self) -> Tensor:
        import torch

        network = self.network
        context = self.context.unsqueeze(0).expand(len(self.ids), -1, -1)
        x = torch.cat([self.start, context, self.rest], dim=1) + network.positional_embedding
        x = network.ln_final(network.transformer(x, attn_mask=network.attn_mask))
        x = x[torch.arange(len(x)), self.ids.argmax(dim=-1)] @ network.text_projection
        return x / x.norm(dim=-1, keepdim=True)

    def backward(self, pixels: Tensor, labels: Tensor) -> None:
        import torch
        from torch.nn.functional import cross_entropy

        with torch.no_grad():
            images = self.network.encode_image(pixels)
            images = images / images.norm(dim=-1, keepdim=True)
        logits = self.network.logit_scale.exp() * images @ self.text_features().t()
        cross_entropy(logits, labels).backward()

    def step(self, pixels: Tensor, labels: Tensor) -> None:
        self.optimizer.zero_grad()
        self.backward(pixels, labels)
        self.optimizer.step()


class OurCoOp:
    """Calibrant's step: the parts that its training loop calls, without log and progress bar."""

    def __init__(self, model: TunedModel) -> None:
        from calibrant.tuning.components import OBJECTIVES
        from calibrant.tuning.loop import Step
        from calibrant.tuning.optimization import make_optimizer
        from calibrant.tuning.solvers.steps import StepsSettings

        self.model = model
        self.step_module = Step(model.parameterization, OBJECTIVES.build("cross_entropy", {}), {}, model.zero_shot)
        solver = {k: v for k, v in model.recipe.stages[0].solver.items() if k != "name"}
        self.optimizer = make_optimizer(model.parameterization.trainables(), StepsSettings.model_validate(solver))

    def backward(self, batch: dict[str, Tensor]) -> None:
        self.step_module(batch)["cross_entropy"].backward()

    def step(self, batch: dict[str, Tensor]) -> None:
        self.backward(batch)
        self.optimizer.step()
        self.optimizer.zero_grad()


class Bench:
    """One set of images, classes and weights for every way of doing the step."""

    def __init__(self, args: argparse.Namespace) -> None:
        import torch

        from calibrant.data.emoji.drawings import concepts

        self.args = args
        torch.set_num_threads(args.threads)
        torch.manual_seed(0)
        # the names alone: pictures would weigh on the memory of every side
        self.classes = [concept.name for concept in concepts() if concept.role == "class"][: args.classes]
        draw = np.random.default_rng(0)
        self.long_names = [" ".join(draw.choice(WORDS, 12)) for _ in self.classes]
        self.labels = torch.arange(args.batch) % len(self.classes)

    def network(self) -> Any:
        import torch
        from open_clip import get_model_config

        from calibrant.models.open_clip_loading import build_network

        torch.manual_seed(0)
        return build_network(get_model_config(self.args.architecture)).eval()

    def pixels(self, encoder_size: int) -> Tensor:
        import torch

        draw = torch.Generator().manual_seed(1)
        return torch.randn(self.args.batch, 3, encoder_size, encoder_size, generator=draw)

    def usual(self, network: Any, context: Tensor, names: list[str]) -> UsualCoOp:
        from open_clip import get_tokenizer

        words = " ".join(["X"] * len(context))
        ids = get_tokenizer(self.args.architecture)([f"{words} {name}." for name in names])
        return UsualCoOp(network, ids, context)

    def ours(self, network: Any, names: list[str]) -> OurCoOp:
        from open_clip import get_model_config, get_tokenizer

        from calibrant.models.open_clip import OpenClipEncoder
        from calibrant.models.preprocessing import Preprocessing
        from calibrant.tuning.recipe import load_recipe
        from calibrant.tuning.task import Task
        from calibrant.tuning.tuned_model import build

        about = {"architecture": get_model_config(self.args.architecture)}
        tokenizer = get_tokenizer(self.args.architecture)
        encoder = OpenClipEncoder(network, tokenizer, Preprocessing(), self.args.architecture, about)
        recipe = load_recipe("coop", {"stages.0.parameterization.tokens": self.args.tokens})
        return OurCoOp(build(encoder, Task(names, ["a photo of a {}."], {}), recipe, stage=0, seed=1))

    def cached_views(self, encoder: OpenClipEncoder, folder: str) -> tuple[Callable[[int], Any], float]:
        """Encode the views of the batch's images as training does, and give batches and seconds per encoded view."""
        from calibrant.data.evaluation_set import EvaluationSet
        from calibrant.models.feature_cache import FeatureCache
        from calibrant.tuning.batches import Batches, CachedViews

        count, size = self.args.batch, encoder.image_size
        images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
        names = [str(i) for i in range(count)]
        train = EvaluationSet("noise", "train", images, self.labels.numpy(), self.classes, ["{}"], names)
        start = time.perf_counter()
        features = FeatureCache(folder).features(encoder, train, self.args.views)
        seconds = (time.perf_counter() - start) / (count * self.args.views)
        return Batches(train, count, 1, 0, CachedViews.of_all(features, 1, 0)).__getitem__, seconds


def parity(usual: UsualCoOp, ours: OurCoOp, pixels: Tensor, labels: Tensor) -> dict[str, float]:
    """Compare text features and context gradients of both sides; nothing is timed unless they agree."""
    import torch

    context = ours.model.parameterization.trainables()["context"]
    encoder, classes = ours.model.encoder, ours.model.classes
    with torch.no_grad():
        features = ours.model.parameterization.text_features(classes) - usual.text_features()
        images = encoder.encode_image(pixels)
    usual.backward(pixels, labels)
    ours.backward({"features": images, "labels": labels})
    expected, found = usual.context.grad, context.grad
    assert expected is not None
    assert found is not None
    differences = {
        "text features": features.abs().max().item(),
        "context gradients, relative": ((found - expected).abs().max() / expected.abs().max()).item(),
    }
    usual.context.grad = context.grad = None
    for (what, difference), tolerance in zip(differences.items(), (FEATURE_TOLERANCE, GRADIENT_TOLERANCE), strict=True):
        if not difference <= tolerance:
            sys.exit(f"the two sides differ: {what} by {difference:.1e}, more than {tolerance:.0e}")
    return differences


def memory(bench: Bench, way: str) -> dict[str, int]:
    """The peak of this process after two steps of one way, and its peak before them."""
    import torch

    network = bench.network()
    pixels = bench.pixels(network.visual.image_size[0])
    before = peak_memory()
    if way == USUAL:
        context = torch.zeros(bench.args.tokens, network.token_embedding.weight.shape[1])
        usual = bench.usual(network, context, bench.classes)
        for _ in range(2):
            usual.step(pixels, bench.labels)
    else:
        ours = bench.ours(network, bench.long_names if way == LONG else bench.classes)
        with tempfile.TemporaryDirectory() as folder:
            batches = bench.cached_views(ours.model.encoder, folder)[0] if way != LIVE else None
            for step in range(2):
                ours.step(batches(step) if batches else {"pixels": pixels, "labels": bench.labels})
    return {"before": before, "peak": peak_memory()}


def timing(bench: Bench) -> dict[str, Any]:
    ours = bench.ours(bench.network(), bench.classes)
    context = ours.model.parameterization.trainables()["context"].detach()
    # one network for both lists of names; the usual loop has one of its own, since ours replaces the attention
    long = bench.ours(ours.model.encoder.network, bench.long_names)
    network = bench.network()
    usual = bench.usual(network, context, bench.classes)
    pixels, labels = bench.pixels(ours.model.encoder.image_size), bench.labels
    agreement = {
        "names of emoji": parity(usual, ours, pixels, labels),
        "names of 12 tokens": parity(bench.usual(network, context, bench.long_names), long, pixels, labels),
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
        "agreement": agreement,
        "tokens per step": {USUAL: 77 * len(bench.classes), CACHED: tokens(ours), LONG: tokens(long)},
        "seconds": times,
        "ratios": ratios(times, USUAL, OURS),
        "seconds to cache one view of one image": per_view,
    }


def tokens(ours: OurCoOp) -> int:
    """How many tokens of text one of our steps computes: the prefix once and, per class, what follows it."""
    encoder, classes = ours.model.encoder, ours.model.classes
    prefix = 1 + len(ours.model.parameterization.trainables()["context"])
    return prefix + sum(encoder.tokenize([f"{name}."]).shape[1] - 1 for name in classes)


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="ViT-B-32", help="of open_clip, with CLIP's own towers")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=16, help="context tokens")
    parser.add_argument("--views", type=int, default=8, help="cached views per image")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--memory-of", choices=list(WHAT), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


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
        print(f"  agreement, {names}: " + ", ".join(f"{what} {value:.1e}" for what, value in differences.items()))
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
