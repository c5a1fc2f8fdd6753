"""Last-block maps of Chefer et al. on ViT-B-32: the published image-by-image way against ours, batched.

The published way takes one image at a time through open_clip's network with explicit attention, keeps the graph of all
blocks, computes the last block for every token, and encodes the text of the class again for every image. Ours takes a
batch, keeps no graph before the last block, computes there the row of the class token alone, and encodes every class
once. The image part is compared alone, and with the text pass; a plain forward pass stands beside them. Run it with
``python benchmarks/explaining.py``; weights are random, since speed does not depend on them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from _measuring import in_turn, machine, ratios, report
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.open_clip_loading import build_network
from calibrant.models.preprocessing import Preprocessing
from calibrant.rationality.explainers.registry import explainer
from calibrant.tuning.recipe import load_recipe
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import Answers, build

FORWARD, OURS, OURS_TEXT = "a forward pass", "ours, image part", "ours, with text pass"
USUAL, USUAL_TEXT = "published way, image part", "published way, with text pass"
OTHERS = ("grad-eclip", "grad-cam", "legrad", "rollout", "mask-clip", "clip-surgery")
TOLERANCE = 1e-5  # of the largest value of a map


class Usual:
    """The published way: image by image, all graphs, the text each time.

    Args:
        network: an open_clip network with PyTorch's attention; it is changed in place.
        ids: token ids of the class prompts [C, 77].
    """

    def __init__(self, network: Any, ids: Tensor) -> None:
        self.network, self.ids = network, ids
        self.blocks = list(network.visual.transformer.resblocks)
        self.weights: list[Tensor] = []
        for block in self.blocks:
            block.attn.forward = self._attend(block.attn)
        with torch.no_grad():
            self.text = F.normalize(network.encode_text(ids), dim=-1)

    def _attend(self, attn: Any) -> Any:
        def forward(x: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
            fused = F.linear(x, attn.in_proj_weight, attn.in_proj_bias)
            q, k, v = fused.unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
            weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
            self.weights.append(weights)
            return attn.out_proj((weights @ v).transpose(1, 2).flatten(2)), None

        return forward

    def maps(self, pixels: Tensor, targets: np.ndarray, with_text: bool) -> np.ndarray:
        return np.stack([self._one(pixels[i : i + 1], int(target), with_text) for i, target in enumerate(targets)])

    def _one(self, pixels: Tensor, target: int, with_text: bool) -> np.ndarray:
        self.weights.clear()
        feature = F.normalize(self.network.encode_image(pixels), dim=-1)
        own = (
            F.normalize(self.network.encode_text(self.ids[target, None]), dim=-1)[0] if with_text else self.text[target]
        )
        (slope,) = torch.autograd.grad((feature @ own).sum(), [self.weights[-1]])
        moved = (slope * self.weights[-1]).relu().mean(dim=1)[0]
        relevance = torch.eye(len(moved)) + moved
        side = round((len(moved) - 1) ** 0.5)
        return relevance[0, 1:].reshape(side, side).detach().numpy()


def our_model(architecture: str, classes: list[str]) -> Answers:
    import open_clip

    config = open_clip.get_model_config(architecture)
    network = build_network(config).eval()
    size = network.visual.image_size[0]
    about = {"architecture": config}
    encoder = OpenClipEncoder(
        network, open_clip.get_tokenizer(architecture), Preprocessing((size, size)), architecture, about
    )
    return build(encoder, Task(classes, ["a photo of a {}."], {}), load_recipe("zero-shot"), stage=0, seed=0)


def timing(args: argparse.Namespace) -> dict[str, Any]:
    import open_clip

    classes = [f"thing number {number}" for number in range(args.classes)]
    model = our_model(args.architecture, classes)
    # random weights, but the same ones on both sides
    network = build_network(open_clip.get_model_config(args.architecture)).eval()
    usual = Usual(network, open_clip.tokenize([f"a photo of a {name}." for name in classes]))
    side = model.encoder.image_size
    pixels = torch.randn(args.images, 3, side, side, generator=torch.Generator().manual_seed(0))
    targets = np.arange(args.images) % args.classes

    def ours(name: str = "attention-gradient", fresh_text: bool = False) -> np.ndarray:
        if fresh_text:
            # what is remembered of earlier calls does not count
            model._remembered.clear()
        made = explainer(name).explain(model, pixels, targets, classes=classes, batch_size=args.batch)
        return made.maps

    def forward() -> None:
        for some in pixels.split(args.batch):
            model.image_features(some)

    expected, found = usual.maps(pixels, targets, True), ours()
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if difference > TOLERANCE:
        raise SystemExit(f"the maps differ by {difference:.1e} of their largest value")
    ways = {
        FORWARD: forward,
        OURS: ours,
        OURS_TEXT: lambda: ours(fresh_text=True),
        USUAL: lambda: usual.maps(pixels, targets, False),
        USUAL_TEXT: lambda: usual.maps(pixels, targets, True),
        **{name: lambda name=name: ours(name) for name in OTHERS},
    }
    times = in_turn(ways, args.repeats)
    return {
        "largest difference": difference,
        "seconds": times,
        "ratios": {
            **ratios(times, USUAL, [OURS]),
            **ratios(times, USUAL_TEXT, [OURS_TEXT]),
            **{f"{way} / {FORWARD}": of_forward(times, way) for way in (OURS, *OTHERS)},
        },
    }


def of_forward(times: dict[str, dict[str, float]], way: str) -> dict[str, float]:
    return {clock: times[way][clock] / times[FORWARD][clock] for clock in ("wall", "cpu")}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    args = parsed()
    torch.set_num_threads(args.threads)
    settings = {name: value for name, value in vars(args).items() if name != "json"}
    result = {"benchmark": "explaining", "settings": settings, **timing(args), "machine": machine(args.threads)}
    print(
        f"last-block maps, {args.architecture} without weights, {args.images} images in batches of {args.batch}, "
        f"{args.classes} classes, fp32, {args.threads} threads; medians of {args.repeats}"
    )
    print(f"  the maps agree to {result['largest difference']:.1e} of their largest value")
    for way, times in result["seconds"].items():
        print(f"  {way}: {times['wall']:.2f} s wall, {times['cpu']:.2f} s of processor time")
    for pair, ratio in result["ratios"].items():
        print(f"  {pair}: {ratio['wall']:.2f} x wall, {ratio['cpu']:.2f} x processor time")
    report(result, args.json)


if __name__ == "__main__":
    main()
