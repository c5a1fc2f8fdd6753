"""Measure the embedded model `tiny` and write its card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from calibrant.data.emoji.drawings import concepts
from calibrant.data.emoji.load import load
from calibrant.data.evaluation_set import EvaluationSet
from calibrant.metrics import summary_with_intervals
from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.registry import load_model
from calibrant.models.text import text_classifier
from calibrant.storage import atomic_write, write_json

from .card_page import markdown
from .measured import Measured
from .text_space import sentence_embeddings
from .wordnet import read_nouns

SETS = (
    "emoji", "emoji/base", "emoji/new", "emoji/pose", "emoji/resampled", "emoji/rendition", "emoji/sketch",
    "emoji/context", "emoji/hard", "emoji/corrupted", "emoji/held-out",
)  # fmt: skip
PROBES = 50
QUANTILES = (0.05, 0.5, 0.95)
NEIGHBOURS = 10


@torch.inference_mode()
def image_features(encoder: DualEncoder, chosen: EvaluationSet, batch: int = 128) -> npt.NDArray[np.float32]:
    """Encode the images of an evaluation set, unit norm, float32 [N, D]."""
    parts = []
    for start in range(0, len(chosen), batch):
        stop = min(start + batch, len(chosen))
        parts.append(
            encoder.encode_image(torch.stack([encoder.test_transform(chosen.images[i]) for i in range(start, stop)]))
        )
    return torch.cat(parts).numpy()


@torch.inference_mode()
def zero_shot(encoder: DualEncoder, chosen: EvaluationSet) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Zero-shot probabilities [N, C] with the model's own logit scale, and the image features."""
    features = image_features(encoder, chosen)
    texts = text_classifier(encoder, chosen.classes, chosen.templates).numpy()
    logits = float(encoder.logit_scale) * (features @ texts.T).astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    probabilities = np.exp(logits)
    return probabilities / probabilities.sum(1, keepdims=True), features


def neighbour_overlap(encoder: DualEncoder, nouns: list[str], seed: int = 0) -> float:
    """Share of the ten nearest nouns that `tiny` and its teacher agree on, over probe nouns drawn by seed.

    Args:
        encoder: the model.
        nouns: the one list in which both look for neighbours.
        seed: draws the probes among the single-word nouns in lower case.

    Returns:
        Mean overlap in 0..1.
    """
    single = [i for i, noun in enumerate(nouns) if noun.isalpha() and noun.islower()]
    probes = np.random.default_rng(seed).choice(single, PROBES, replace=False)
    with torch.inference_mode():
        own = text_classifier(encoder, nouns, ["{}"]).numpy()
    near = [_nearest(space, probes) for space in (own, sentence_embeddings(nouns))]
    return float(np.mean([len(set(a) & set(b)) / NEIGHBOURS for a, b in zip(*near, strict=True)]))


def _nearest(space: npt.NDArray[np.float32], probes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    cosines = space[probes] @ space.T
    cosines[np.arange(len(probes)), probes] = -np.inf
    return np.argsort(-cosines, axis=1)[:, :NEIGHBOURS]


def measure(encoder: DualEncoder, nouns: list[str]) -> Measured:
    """Measure everything on the card."""
    out = Measured()
    for name in SETS:
        chosen = load(name).split("test")
        probabilities, features = zero_shot(encoder, chosen)
        found = summary_with_intervals(probabilities, chosen.labels, units=chosen.columns["drawing"])
        out.sets.append(
            {
                "set": name,
                "n": len(chosen),
                "classes": len(chosen.classes),
                "chance": 1 / len(chosen.classes),
                **found,
            }
        )
        if name == "emoji/held-out":
            forty = [c.name for c in concepts() if c.role == "held-out"]
            texts = text_classifier(encoder, forty, chosen.templates).detach().numpy()
            truth = np.array([forty.index(chosen.classes[label]) for label in chosen.labels])
            out.figures["held_out_among_forty"] = float(((features @ texts.T).argmax(1) == truth).mean())
    classes = load("emoji").classes
    with torch.inference_mode():
        texts = text_classifier(encoder, classes, load("emoji").templates).numpy().astype(np.float64)
    cosine = texts @ texts.T
    others = cosine[~np.eye(len(classes), dtype=bool)].reshape(len(classes), -1)
    out.figures |= {
        "logit_scale": float(encoder.logit_scale.detach()),
        "neighbour_overlap": neighbour_overlap(encoder, nouns),
        "class_prompt_cosine": np.quantile(others, QUANTILES).tolist(),
        "nearest_class_distance": np.quantile(np.sqrt(2 - 2 * others.max(1)), QUANTILES).tolist(),
        "parameters": {
            "image tower": sum(p.numel() for _, p in encoder.image_tower_parameters()),
            "text tower": sum(p.numel() for _, p in encoder.text_tower_parameters()),
        },
    }
    return out


def logit_shift(folder: Path) -> list[float]:
    """Tune CoOp at 16 shots on `emoji`; 5 %, 50 % and 95 % quantiles of |tuned - zero-shot logit| on its test set."""
    import calibrant as cb

    run = cb.tune("tiny", "emoji", method="coop", shots=16, seed=1, output=folder, overwrite=True)
    predictions = run.predict("emoji")
    assert predictions.zero_shot_logits is not None
    return np.quantile(np.abs(predictions.logits - predictions.zero_shot_logits), QUANTILES).tolist()


def card(nouns_file: Path, to: Path, work: Path) -> Measured:
    """Measure `tiny`, keep the figures as JSON and write the card.

    Args:
        nouns_file: WordNet's data.noun.
        to: the card, a Markdown file; the figures go beside it.
        work: a folder for the run that is tuned on the way.

    Returns:
        The figures.
    """
    measured = measure(load_model("tiny"), read_nouns(nouns_file))
    measured.figures["logit_shift"] = logit_shift(work / "card-coop")
    write_json(to.with_suffix(".json"), {"sets": measured.sets, "figures": measured.figures})
    with atomic_write(to) as temporary:
        temporary.write_text(markdown(measured), encoding="utf-8")
    return measured
