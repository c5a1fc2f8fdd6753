"""How much the padding cut saves: class prompts through the text tower at 77 tokens and at their length.

Run it with ``python benchmarks/text_padding.py``; weights are random, since speed does not depend on them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch

from _measuring import fastest
from _prompt_learning import make_encoder, make_network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = make_encoder(make_network(args.architecture), args.architecture)
    ids = model.tokenize([f"a photo of a thing number {i}." for i in range(args.classes)])
    full = torch.nn.functional.pad(ids, (0, model.context_length - ids.shape[1]))

    def forward(tokens: torch.Tensor) -> Callable[[], object]:
        def work() -> torch.Tensor:
            with torch.inference_mode():
                return model.encode_text(tokens)

        return work

    def step(tokens: torch.Tensor) -> Callable[[], object]:
        def work() -> None:
            model.zero_grad()
            model.encode_text(tokens)[:, 0].sum().backward()

        return work

    difference = (forward(full)() - forward(ids)()).abs().max().item()  # type: ignore[operator]
    print(
        f"{args.architecture}, {args.classes} prompts, 1 thread, fp32: {model.context_length} against "
        f"{ids.shape[1]} tokens, largest difference {difference:.1e}"
    )
    for what, work in (("forward", forward), ("forward and backward", step)):
        padded, cut = fastest(work(full), args.repeats), fastest(work(ids), args.repeats)
        print(f"  {what}: {padded:.2f} s against {cut:.2f} s: {padded / cut:.1f} x")


if __name__ == "__main__":
    main()
