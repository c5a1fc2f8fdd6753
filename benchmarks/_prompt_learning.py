"""What the benchmarks of prompt learning share: the usual step and ours, on the same images, classes and weights.

The usual step is CoOp as research code commonly writes it, in open_clip's own modules; ours is made of the parts that
Calibrant's training loop calls. Weights are random, since speed does not depend on them, and pixels are ready in
memory on every side, so that reading and augmenting images does not count.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

    from calibrant.models.open_clip import OpenClipEncoder
    from calibrant.tuning.recipe import Recipe
    from calibrant.tuning.tuned_model import TunedModel

# one token each in CLIP's vocabulary
WORDS = ["red", "blue", "green", "small", "big", "old", "new", "wooden", "happy", "house", "bird", "car"]
# largest difference of text features, and of gradients relative to the largest one of each trained tensor
FEATURE_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4


class UsualStep:
    """A step of CoOp as its paper describes it, with all 77 tokens of every prompt.

    Every class has a prompt of full length whose embeddings are kept; at each step the context is repeated for every
    class and put between start token and class name. The image tower runs on the batch.

    Args:
        network: the open_clip model.
        ids: int64 [C, 77], class prompts with a word of one token in the place of each context token.
        context: [M, W], where the context starts.
    """

    def __init__(self, network: Any, ids: Tensor, context: Tensor) -> None:
        import torch

        self.network = network.requires_grad_(False).train()  # nothing here drops out
        self.ids = ids
        self.context = torch.nn.Parameter(context.clone())
        with torch.no_grad():
            embeddings = network.token_embedding(ids)
        self.start, self.rest = embeddings[:, :1], embeddings[:, 1 + len(context) :]
        self.optimizer = self.descent()

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"context": self.context}

    def descent(self) -> Any:
        import torch

        return torch.optim.SGD(self.trainables().values(), lr=0.002, momentum=0.9, weight_decay=5e-4)

    def encode(self, context: Tensor) -> Tensor:
        """Encode the classes in a context [M, W] to [C, D]."""
        import torch

        network = self.network
        context = context.unsqueeze(0).expand(len(self.ids), -1, -1)
        x = torch.cat([self.start, context, self.rest], dim=1) + network.positional_embedding
        x = network.ln_final(network.transformer(x, attn_mask=network.attn_mask))
        x = x[torch.arange(len(x)), self.ids.argmax(dim=-1)] @ network.text_projection
        return x / x.norm(dim=-1, keepdim=True)

    def images(self, pixels: Tensor) -> Tensor:
        import torch

        with torch.no_grad():
            features = self.network.encode_image(pixels)
            return features / features.norm(dim=-1, keepdim=True)

    def cosines(self, images: Tensor) -> Tensor:
        return images @ self.encode(self.context).t()

    def backward(self, pixels: Tensor, labels: Tensor) -> None:
        from torch.nn.functional import cross_entropy

        logits = self.network.logit_scale.exp() * self.cosines(self.images(pixels))
        cross_entropy(logits, labels).backward()

    def step(self, pixels: Tensor, labels: Tensor) -> None:
        self.optimizer.zero_grad()
        self.backward(pixels, labels)
        self.optimizer.step()


class OurStep:
    """A step of Calibrant's: the parts that its training loop calls, without log and progress bar."""

    def __init__(self, model: TunedModel) -> None:
        from calibrant.tuning.components import OBJECTIVES
        from calibrant.tuning.loop import Step
        from calibrant.tuning.optimization import make_optimizer
        from calibrant.tuning.solvers.steps_settings import StepsSettings

        self.model = model
        self.step_module = Step(model.parameterization, OBJECTIVES.build("cross_entropy", {}), {}, model.zero_shot)
        solver = {k: v for k, v in model.recipe.stages[0].solver.items() if k != "name"}
        self.optimizer = make_optimizer(self.trainables(), StepsSettings.model_validate(solver))

    def trainables(self) -> dict[str, nn.Parameter]:
        return self.model.parameterization.trainables()

    def backward(self, batch: dict[str, Tensor]) -> None:
        self.step_module(batch)["cross_entropy"].backward()

    def step(self, batch: dict[str, Tensor]) -> None:
        self.backward(batch)
        self.optimizer.step()
        self.optimizer.zero_grad()


class Bench:
    """One set of images, classes and weights for every way of doing the step.

    Args:
        args: with the flags of `add_arguments`.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        import torch

        self.args = args
        torch.set_num_threads(args.threads)
        torch.manual_seed(0)
        self.classes = emoji_names(args.classes)
        self.labels = torch.arange(args.batch) % len(self.classes)

    def network(self) -> Any:
        return make_network(self.args.architecture)

    def pixels(self, size: int) -> Tensor:
        import torch

        draw = torch.Generator().manual_seed(1)
        return torch.randn(self.args.batch, 3, size, size, generator=draw)

    def ids(self, names: Sequence[str], tokens: int) -> Tensor:
        """Tokenize prompts of full length, with a word of one token in the place of each of some context tokens."""
        from open_clip import get_tokenizer

        words = " ".join(["X"] * tokens)
        ids: Tensor = get_tokenizer(self.args.architecture)([f"{words} {name}." for name in names])
        return ids

    def model(self, network: Any, names: Sequence[str], recipe: Recipe) -> TunedModel:
        from calibrant.tuning.task import Task
        from calibrant.tuning.tuned_model import build

        encoder = make_encoder(network, self.args.architecture)
        return build(encoder, Task(names, ["a photo of a {}."], {}), recipe, stage=0, seed=1)

    def cached_views(self, encoder: OpenClipEncoder, folder: str) -> tuple[Callable[[int], Any], float]:
        """Encode the views of the batch's images as training does, and give batches and seconds per encoded view."""
        from calibrant.models.feature_cache import FeatureCache
        from calibrant.tuning.batches import Batches, CachedViews

        train = noise(self.args.batch, encoder.image_size, self.classes)
        start = time.perf_counter()
        features = FeatureCache(folder).features(encoder, train, self.args.views)
        seconds = (time.perf_counter() - start) / (len(train) * self.args.views)
        return Batches(train, len(train), 1, 0, CachedViews.of_all(features, 1, 0)).__getitem__, seconds


def make_network(architecture: str) -> Any:
    """Build an open_clip model without weights, the same one every time."""
    import torch
    from open_clip import get_model_config

    from calibrant.models.open_clip_loading import build_network

    torch.manual_seed(0)
    return build_network(get_model_config(architecture)).eval()


def make_encoder(network: Any, architecture: str) -> OpenClipEncoder:
    from open_clip import get_model_config, get_tokenizer

    from calibrant.models.open_clip import OpenClipEncoder
    from calibrant.models.preprocessing import Preprocessing

    about = {"architecture": get_model_config(architecture)}
    preprocessing = Preprocessing(network.visual.image_size)
    return OpenClipEncoder(network, get_tokenizer(architecture), preprocessing, architecture, about)


def noise(count: int, size: int, classes: Sequence[str]) -> Any:
    """Give training images of noise, one class after the other."""
    from calibrant.data.evaluation_set import EvaluationSet

    images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
    labels, names = np.arange(count) % len(classes), [str(i) for i in range(count)]
    return EvaluationSet("noise", "train", images, labels, classes, ["a photo of a {}."], names)


def coop(args: argparse.Namespace) -> Recipe:
    """CoOp with the number of context tokens that was asked for."""
    from calibrant.tuning.recipe import load_recipe

    return load_recipe("coop", {"stages.0.parameterization.tokens": args.tokens})


def emoji_names(count: int) -> list[str]:
    """Give names of `emoji`; its pictures would weigh on the memory of every side."""
    from calibrant.data.emoji.drawings import concepts

    return [concept.name for concept in concepts() if concept.role == "class"][:count]


def long_names(count: int) -> list[str]:
    """Give names of 12 tokens."""
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(WORDS, 12)) for _ in range(count)]


def nouns(count: int) -> list[str]:
    """Give nouns of WordNet, single and multi-word."""
    from calibrant.data.vocabulary import load_vocabulary

    words = np.random.default_rng(0).choice(load_vocabulary().words, count, replace=False)
    return [str(word) for word in words]


def gradients(trained: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Take the gradients away from trained tensors."""
    found = {}
    for name, tensor in trained.items():
        assert tensor.grad is not None
        found[name], tensor.grad = tensor.grad, None
    return found


def agreement(
    features: Tensor, expected_features: Tensor, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, float]:
    """Compare text features and gradients of both sides; nothing is timed unless they agree.

    Args:
        features: of ours.
        expected_features: of the usual way.
        found: gradients of ours, by the names of the trained tensors.
        expected: gradients of the usual way.

    Returns:
        The largest differences; those of gradients relative to the largest gradient of their tensor.
    """
    relative = [(found[name] - value).abs().max() / value.abs().max() for name, value in expected.items()]
    differences = {
        "text features": (features - expected_features).abs().max().item(),
        "gradients, relative": max(float(value) for value in relative),
    }
    for (what, difference), tolerance in zip(differences.items(), (FEATURE_TOLERANCE, GRADIENT_TOLERANCE), strict=True):
        if not difference <= tolerance:
            sys.exit(f"the two sides differ: {what} by {difference:.1e}, more than {tolerance:.0e}")
    return differences


def said(differences: Mapping[str, float]) -> str:
    """Write an agreement as words."""
    return ", ".join(f"{what} {value:.1e}" for what, value in differences.items())


def arguments(about: str | None, *, batch: int) -> argparse.ArgumentParser:
    """Make a parser with the flags that all of these benchmarks have.

    Args:
        about: the docstring of the script.
        batch: images of a step, by default.
    """
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--architecture", default="ViT-B-32", help="of open_clip, with CLIP's own towers")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--batch", type=int, default=batch, help="images of a step")
    parser.add_argument("--views", type=int, default=8, help="cached views per image")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="write the result here")
    return parser
