"""What our attention saves under bf16 autocast on a CPU, where PyTorch's with frozen weights is slow.

Run it with ``python benchmarks/attention.py``; both sides run in one process, weights are random.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable

import open_clip
import torch
from torch import nn

from _measuring import fastest
from calibrant.models.attention import replace_attention
from calibrant.models.open_clip_loading import build_network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    theirs = build_network(open_clip.get_model_config(args.architecture)).visual
    ours = copy.deepcopy(theirs)
    replace_attention(ours)
    size = theirs.image_size[0]
    # as in prompt learning of the image side: the input asks for gradients, the weights do not
    pixels = torch.randn(args.images, 3, size, size)

    def run(tower: nn.Module, frozen: bool, backward: bool) -> Callable[[], object]:
        def work() -> None:
            tower.requires_grad_(not frozen)
            images = pixels.clone().requires_grad_(backward)
            with torch.autocast("cpu", torch.bfloat16):
                features = tower(images)
            if backward:
                features.float().sum().backward()

        return work

    print(f"{args.architecture}, image tower, {args.images} images, 1 thread, bf16 autocast")
    for frozen, backward, what in (
        (True, False, "frozen weights, forward"),
        (True, True, "frozen weights, forward and backward"),
        (False, True, "trained weights, forward and backward"),
    ):
        a, b = (fastest(run(tower, frozen, backward), args.repeats) for tower in (theirs, ours))
        print(f"  {what}: torch's module {a:.2f} s, ours {b:.2f} s: {a / b:.1f} x")


if __name__ == "__main__":
    main()
