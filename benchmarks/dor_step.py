"""A training step of CoOp + DOR on ViT-B-32 without weights: the usual loop against Calibrant's, side by side.

The usual loop tokenizes the drawn outliers, runs the text tower on all classes and outliers at 77 tokens, in
open_clip's own modules, once more without gradients on the outliers in the zero-shot prompt, and the image tower on the
batch. Calibrant's has the zero-shot features of the vocabulary and the views of the images from before training,
encodes the context once for all words of a pass and leaves out the padding. Our plain CoOp step stands beside them,
since what DOR adds is measured by it. Every step draws other outliers, the same on all sides. Run it with ``python
benchmarks/dor_step.py``.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _measuring import in_turn, machine, ratios, report
from _prompt_learning import Bench, OurStep, UsualStep, agreement, arguments, coop, gradients, nouns, said

if TYPE_CHECKING:
    from torch import Tensor

USUAL, PLAIN, CACHED, LIVE = "usual", "plain", "cached", "live"
WHAT = {
    USUAL: "the usual loop of CoOp + DOR, views: live",
    PLAIN: "ours without DOR, views: {views} cached",
    CACHED: "ours of CoOp + DOR, views: {views} cached",
    LIVE: "ours of CoOp + DOR, views: live",
}
OURS = [CACHED, LIVE]
TEMPLATE = "a photo of a {}."
WEIGHT = 8.0


class UsualDOR(UsualStep):
    """CoOp + DOR as research code commonly writes it: outliers are prompts of full length like the classes."""

    def __init__(self, network: Any, ids: Tensor, context: Tensor, tokenizer: Any) -> None:
        super().__init__(network, ids, context)
        self.tokenizer = tokenizer
        self.class_ids, self.class_start, self.class_rest = self.ids, self.start, self.rest

    def with_outliers(self, words: list[str]) -> Tensor:
        """Put the outliers behind the classes, and give their zero-shot features."""
        import torch

        placeholders = " ".join(["X"] * len(self.context))
        ids = self.tokenizer([f"{placeholders} {word}." for word in words])
        with torch.no_grad():
            embeddings = self.network.token_embedding(ids)
            frozen = self.network.encode_text(self.tokenizer([TEMPLATE.replace("{}", word) for word in words]))
        self.ids = torch.cat([self.class_ids, ids])
        self.start = torch.cat([self.class_start, embeddings[:, :1]])
        self.rest = torch.cat([self.class_rest, embeddings[:, 1 + len(self.context) :]])
        return frozen / frozen.norm(dim=-1, keepdim=True)

    def backward_with(self, pixels: Tensor, labels: Tensor, words: list[str]) -> Tensor:
        from torch.nn.functional import cosine_similarity, cross_entropy

        frozen, images = self.with_outliers(words), self.images(pixels)
        classes, outliers = self.encode(self.context).split([len(self.class_ids), len(words)])
        logits = self.network.logit_scale.exp() * images @ classes.t()
        loss = cross_entropy(logits, labels) + WEIGHT * (
            1 - cosine_similarity(outliers, frozen, dim=1, eps=1e-7).mean()
        )
        loss.backward()
        return outliers.detach()

    def step_with(self, pixels: Tensor, labels: Tensor, words: list[str]) -> None:
        self.optimizer.zero_grad()
        self.backward_with(pixels, labels, words)
        self.optimizer.step()


class OurDOR(OurStep):
    """Calibrant's step with DOR."""

    def __init__(self, plain: OurStep, vocabulary: Path) -> None:
        from calibrant.tuning.regularizers.outlier import DOR, DORSettings

        super().__init__(plain.model)
        self.dor = DOR(DORSettings(weight=WEIGHT, template=TEMPLATE, vocabulary=str(vocabulary)), plain.model)
        self.step_module.regularizers["dor"] = self.dor

    def words(self, step: int) -> list[str]:
        return [self.dor.pool.words[i] for i in self.drawn({}, step)["outliers"].tolist()]

    def drawn(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        return self.dor.on_batch(batch, np.random.default_rng(step))

    def backward(self, batch: dict[str, Tensor]) -> None:
        terms = self.step_module(batch)
        (terms["cross_entropy"] + terms["dor"]).backward()


def parity(usual: UsualDOR, ours: OurDOR, pixels: Tensor, labels: Tensor) -> dict[str, float]:
    """Compare outliers' features and context gradients of both sides; nothing is timed unless they agree."""
    import torch

    parameterization, words = ours.model.parameterization, ours.words(0)
    expected = usual.backward_with(pixels, labels, words)
    with torch.no_grad():
        features = parameterization.text_features(words)
        images = parameterization.encoder.encode_image(pixels)
    ours.backward(ours.drawn({"features": images, "labels": labels}, 0))
    return agreement(features, expected, gradients(ours.trainables()), gradients(usual.trainables()))


def timing(bench: Bench, folder: str) -> dict[str, Any]:
    from open_clip import get_tokenizer

    # how long a step takes does not depend on how many words there are to draw from
    vocabulary = Path(folder) / "nouns.txt"
    vocabulary.write_text("\n".join(nouns(bench.args.nouns)) + "\n", encoding="utf-8")
    plain = OurStep(bench.model(bench.network(), bench.classes, coop(bench.args)))
    ours = OurDOR(plain, vocabulary)
    context = plain.trainables()["context"].detach()
    tokenizer = get_tokenizer(bench.args.architecture)
    usual = UsualDOR(bench.network(), bench.ids(bench.classes, len(context)), context, tokenizer)
    pixels, labels = bench.pixels(plain.model.encoder.image_size), bench.labels
    agreed = parity(usual, ours, pixels, labels)
    batches, per_view = bench.cached_views(plain.model.encoder, folder)
    steps = {way: itertools.count() for way in WHAT}

    def live(step: int) -> dict[str, Tensor]:
        return ours.drawn({"pixels": pixels, "labels": labels}, step)

    times = in_turn(
        {
            USUAL: lambda: usual.step_with(pixels, labels, ours.words(next(steps[USUAL]))),
            PLAIN: lambda: plain.step(batches(next(steps[PLAIN]))),
            CACHED: lambda: ours.step(ours.drawn(batches(step := next(steps[CACHED])), step)),
            LIVE: lambda: ours.step(live(next(steps[LIVE]))),
        },
        bench.args.repeats,
    )
    return {
        "agreement": agreed,
        "seconds": times,
        "ratios": ratios(times, USUAL, OURS),
        "what DOR adds": {clock: times[CACHED][clock] / times[PLAIN][clock] for clock in ("wall", "cpu")},
        "seconds to cache one view of one image": per_view,
    }


def main() -> None:
    parser = arguments(__doc__, batch=32)
    parser.add_argument("--tokens", type=int, default=16, help="context tokens")
    parser.add_argument("--nouns", type=int, default=1000, help="size of the vocabulary that outliers are drawn from")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CALIBRANT_CACHE"] = folder
        measured = timing(Bench(args), folder)
    settings = {name: value for name, value in vars(args).items() if name != "json"}
    result = {"benchmark": "dor_step", "settings": settings, **measured, "machine": machine(args.threads)}
    show(result, args)
    report(result, args.json)


def show(result: dict[str, Any], args: argparse.Namespace) -> None:
    print(
        f"CoOp + DOR step, {args.architecture} without weights, {args.classes} classes and as many outliers, batch "
        f"{args.batch}, {args.tokens} context tokens, fp32, {args.threads} threads; medians of {args.repeats}"
    )
    print(f"  agreement: {said(result['agreement'])}")
    for way, times in result["seconds"].items():
        what = WHAT[way].format(views=args.views)
        print(f"  {what}: {times['wall']:.2f} s wall, {times['cpu']:.2f} s of processor time")
    for pair, ratio in result["ratios"].items():
        print(f"  {pair}: {ratio['wall']:.1f} x wall, {ratio['cpu']:.1f} x processor time")
    added = result["what DOR adds"]
    print(f"  with DOR / without: {added['wall']:.2f} x wall, {added['cpu']:.2f} x processor time")


if __name__ == "__main__":
    main()
