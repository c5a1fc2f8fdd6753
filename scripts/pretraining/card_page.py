"""The card of the embedded model as a page: every figure beside what was aimed at."""

from __future__ import annotations

from typing import Any

from .export import SHARED
from .measured import Measured

HEAD = """# The embedded model `tiny`

A small CLIP for trying and testing Calibrant without a network: a ViT for 64 x 64 pixels (patch 8, width 192, six
blocks) and a causal text transformer (width 192, four blocks) with CLIP's vocabulary, in open_clip's format.
It knows drawings of things. It is of no use on photographs: take `ViT-B-32/laion2b_s34b_b79k` there.

**How it was made.** `scripts/pretrain_tiny.py` (log: [pretraining.log](pretraining.log)). The text tower was distilled
from the sentence encoder all-MiniLM-L6-v2 on the nouns of WordNet, bare and in templates. The image tower was trained
on scenes of about 3,800 concepts, drawn in the training styles of `emoji` without the validation and test drawings and
in other openly licensed icon sets. Most classes have one or two drawings there, too few to learn from alone: so
EfficientNet-Lite0, which has seen photographs, was tuned on such scenes first, and the image tower learned the names of
the scenes, the teacher's answers and its features. Resolution rose from 32 (names and the features of the
untuned network only; the script now asks the teacher from the start) over 48 to 64 pixels, and the scenes grew harder.
The logit scale was set on scenes of the validation drawings. At the end the last matrix of the image tower was aligned
with the text tower, and the share of the direction common to all embeddings was raised from 0.5 to {shared}
(`scripts/pretraining/export.py`), which takes no part in telling classes apart but decides how large the logit scale
is. No drawing of a shifted style, no validation or test drawing and no drawing of the 40 held-out concepts was seen
(the ImageNet network has seen photographs of some of them). Licences and authors: NOTICE.

Made by `python scripts/pretrain_tiny.py card`; intervals are 95 %, by drawing.

## Zero-shot, test split

| set | scenes | classes | chance | accuracy | debiased ECE | aim |
|---|---|---|---|---|---|---|
"""


def markdown(measured: Measured) -> str:
    """Write the card as Markdown."""
    rows = "\n".join(_row(row) for row in measured.sets)
    return HEAD.format(shared=SHARED) + rows + "\n\n" + "\n".join(_figures(measured)) + "\n"


def _row(row: dict[str, Any]) -> str:
    aim = f"accuracy at least {5 * row['chance']:.1%} (5 x chance)"
    if row["set"] == "emoji":
        aim = "accuracy 45-80 %, ECE at most 0.06"
    elif row["set"] in ("emoji/base", "emoji/new"):
        aim = "within 7 points of each other, ECE at most 0.06"
    accuracy, ece = (_value(row[name]) for name in ("accuracy", "ece_debiased"))
    return f"| `{row['set']}` | {row['n']} | {row['classes']} | {row['chance']:.2%} | {accuracy} | {ece} | {aim} |"


def _value(found: dict[str, Any]) -> str:
    if found["low"] is None:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} ({found['low']:.3f}-{found['high']:.3f})"


def _figures(measured: Measured) -> list[str]:
    figures = measured.figures
    cosine, distance, shift = (
        " / ".join(f"{value:.2f}" for value in figures[name])
        for name in ("class_prompt_cosine", "nearest_class_distance", "logit_shift")
    )
    return [
        "## Other figures",
        "",
        "| what | `tiny` | aim, or CLIP |",
        "|---|---|---|",
        f"| held-out concepts, accuracy among the 40 alone | {figures['held_out_among_forty']:.1%} | chance 2.5 % |",
        f"| ten nearest nouns shared with the teacher | {figures['neighbour_overlap']:.1%} | at least 35 % |",
        f"| logit scale | {figures['logit_scale']:.1f} | 30-100; CLIP 100 |",
        f"| cosine between class prompts, 5 / 50 / 95 % | {cosine} | CLIP: not measured here |",
        f"| distance to the nearest class text, 5 / 50 / 95 % | {distance} | below 0.05 DAC calls it the same class |",
        f"| change of a logit by CoOp, 16 shots, 5 / 50 / 95 % | {shift} | CLIP: not measured here |",
        f"| parameters of the image tower | {figures['parameters']['image tower']:,} | 2-3 million |",
        f"| parameters of the text tower, token table included | {figures['parameters']['text tower']:,} | |",
    ]
