"""What the tests of tuning train; imported by subprocesses too."""

from __future__ import annotations

import numpy as np
import torch

from calibrant.data.evaluation_set import EvaluationSet

ARCHITECTURE = {
    "embed_dim": 16,
    "quick_gelu": False,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}
# settings that make every recipe run on 20 images in a moment
QUICK = {"solver.steps": 6, "solver.batch_size": 8, "solver.learning_rate": 0.01}
TRAINED = ["coop", "ft", "flyp", "lp-ft", "wise-ft", "flyp+wise_ft", "coop+l2_sp", "ft+ema"]


def make_encoder():
    from open_clip import CLIP, SimpleTokenizer

    from calibrant.models.open_clip import OpenClipEncoder
    from calibrant.models.preprocessing import Preprocessing

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = CLIP(**ARCHITECTURE)
        # open_clip starts the projection so small that features hardly differ
        network.visual.proj.data.mul_(3)
    about = {"architecture": ARCHITECTURE, "quick_gelu": False}
    return OpenClipEncoder(network, SimpleTokenizer(context_length=24), Preprocessing((16, 16)), "toy", about)


def make_train() -> EvaluationSet:
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 3
    images = rng.integers(0, 60, (20, 20, 20, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[..., label] += 190
    return EvaluationSet(
        "toy",
        "train",
        images,
        labels,
        ["cat", "red car", "tree"],
        ["a photo of a {}."],
        [f"image {i}" for i in range(20)],
        words={"tree": ("tree", "oak")},
        fingerprint="toy",
    )
