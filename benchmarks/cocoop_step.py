"""A training step of CoCoOp on ViT-B-32 without weights, per image: the usual loop against Calibrant's, side by side.

Every image has prompts of its own, so the usual loop takes one image at a time: at every step it runs the image tower
on it and the text tower on all classes at 77 tokens, in open_clip's own modules. Calibrant's takes several images at a
time; each has its own prefix and all share the layout of what follows, without padding. Ours at batch 1 stands beside
them and tells what the batch is worth, names of 12 tokens what long names cost. Run it with ``python
benchmarks/cocoop_step.py``.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from typing import TYPE_CHECKING, Any

from _measuring import in_turn, machine, ratios, report
from _prompt_learning import Bench, OurStep, UsualStep, agreement, arguments, gradients, long_names, said

if TYPE_CHECKING:
    from torch import Tensor, nn

    from calibrant.tuning.recipe import Recipe

USUAL, CACHED, LONG, LIVE, SINGLE = "usual", "cached", "cached, long names", "live", "live, batch 1"
WHAT = {
    USUAL: "the usual loop, batch 1, views: live",
    CACHED: "ours, batch {batch}, views: {views} cached",
    LONG: "ours, batch {batch}, views: {views} cached, names of 12 tokens",
    LIVE: "ours, batch {batch}, views: live",
    SINGLE: "ours, batch 1, views: live",
}
OURS = [way for way in WHAT if way != USUAL]


class UsualCoCoOp(UsualStep):
    """CoCoOp as its paper describes it: a small network shifts the context, and each image has prompts of its own."""

    def __init__(self, network: Any, ids: Tensor, context: Tensor, meta_net: nn.Module) -> None:
        self.meta_net = copy.deepcopy(meta_net)
        super().__init__(network, ids, context)

    def trainables(self) -> dict[str, nn.Parameter]:
        return {**super().trainables(), **dict(self.meta_net.named_parameters(prefix="meta_net"))}

    def cosines(self, images: Tensor) -> Tensor:
        import torch

        return torch.stack([image @ self.encode_for(image).t() for image in images])

    def encode_for(self, image: Tensor) -> Tensor:
        return self.encode(self.context + self.meta_net(image))


def recipe(args: argparse.Namespace) -> Recipe:
    from calibrant.tuning.recipe import load_recipe

    return load_recipe("cocoop", {"solver.batch_size": args.batch})


def parity(usual: UsualCoCoOp, ours: OurStep, pixels: Tensor, labels: Tensor) -> dict[str, float]:
    """Compare what a whole batch gives with the mean over its images, one after the other."""
    import torch

    parameterization = ours.model.parameterization
    with torch.no_grad():
        images = parameterization.encoder.encode_image(pixels)
        features = parameterization.text_features_for(ours.model.classes, images)
        expected = torch.stack([usual.encode_for(image) for image in usual.images(pixels)])
    for place in range(len(pixels)):
        one = slice(place, place + 1)
        usual.backward(pixels[one], labels[one])
    means = {name: gradient / len(pixels) for name, gradient in gradients(usual.trainables()).items()}
    ours.backward({"features": images, "labels": labels})
    return agreement(features, expected, gradients(ours.trainables()), means)


def timing(bench: Bench) -> dict[str, Any]:
    ours = OurStep(bench.model(bench.network(), bench.classes, recipe(bench.args)))
    names = long_names(len(bench.classes))
    long = OurStep(bench.model(ours.model.encoder.network, names, recipe(bench.args)))
    parameterization: Any = ours.model.parameterization
    context, meta_net = parameterization.context.detach(), parameterization.meta_net
    ids = bench.ids(bench.classes, len(context))
    # a network of its own, since ours replaces the attention
    usual = UsualCoCoOp(bench.network(), ids, context, meta_net)
    pixels, labels = bench.pixels(ours.model.encoder.image_size), bench.labels
    agreed = parity(usual, ours, pixels, labels)
    with tempfile.TemporaryDirectory() as folder:
        batches, per_view = bench.cached_views(ours.model.encoder, folder)
        ways = {
            USUAL: lambda: usual.step(pixels[:1], labels[:1]),
            CACHED: lambda: ours.step(batches(0)),
            LONG: lambda: long.step(batches(0)),
            LIVE: lambda: ours.step({"pixels": pixels, "labels": labels}),
            SINGLE: lambda: ours.step({"pixels": pixels[:1], "labels": labels[:1]}),
        }
        times = in_turn(ways, bench.args.repeats)
    images = {way: 1 if way in (USUAL, SINGLE) else len(pixels) for way in WHAT}
    per_image = {way: {clock: value / images[way] for clock, value in both.items()} for way, both in times.items()}
    return {
        "agreement": agreed,
        "seconds per image": per_image,
        "ratios": ratios(per_image, USUAL, OURS),
        "seconds to cache one view of one image": per_view,
    }


def main() -> None:
    parser = arguments(__doc__, batch=8)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    settings = {name: value for name, value in vars(args).items() if name != "json"}
    measured = timing(Bench(args))
    result = {"benchmark": "cocoop_step", "settings": settings, **measured, "machine": machine(args.threads)}
    show(result, args)
    report(result, args.json)


def show(result: dict[str, Any], args: argparse.Namespace) -> None:
    print(
        f"CoCoOp step, {args.architecture} without weights, {args.classes} classes, 4 context tokens, fp32, "
        f"{args.threads} threads; per image, medians of {args.repeats}"
    )
    print(f"  agreement: {said(result['agreement'])}")
    for way, times in result["seconds per image"].items():
        what = WHAT[way].format(batch=args.batch, views=args.views)
        print(f"  {what}: {times['wall']:.3f} s wall, {times['cpu']:.3f} s of processor time")
    for pair, ratio in result["ratios"].items():
        print(f"  {pair}: {ratio['wall']:.1f} x wall, {ratio['cpu']:.1f} x processor time")
    print(f"  once, before training: {1000 * result['seconds to cache one view of one image']:.0f} ms per cached view")


if __name__ == "__main__":
    main()
