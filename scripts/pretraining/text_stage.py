"""Distil the sentence encoder into the text tower: every noun, bare or in a template, goes to the teacher's place."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from open_clip import SimpleTokenizer
from safetensors.numpy import load_file, save_file
from torch.nn.functional import normalize

from .checkpoint import load_checkpoint, save_checkpoint
from .model import build, encode_text
from .text_space import TextSpace, sentence_embeddings

TEMPLATES = (
    "a photo of a {}.", "a picture of a {}.", "a drawing of a {}.", "an emoji of a {}.", "an icon of a {}.",
    "a sketch of a {}.", "a photo of the {}.", "a small {}.", "a large {}.", "a {} in a scene.",
    "a cartoon of a {}.", "this is a {}.", "there is a {} in the picture.", "the {}.", "a black and white {}.",
    "a photo of a {}, a type of animal.", "a photo of a {}, a type of food.", "a photo of a {}, a type of plant.",
    "a photo of a {}, a type of vehicle.", "a photo of a {}, a type of tool.", "a photo of a {}, a type of building.",
    "a photo of {}.", "an image of a {}.", "a close-up of a {}.", "many {}.",
)  # fmt: skip
BARE_SHARE = 0.75
CONCEPT_SHARE = 0.3
BATCH = 768
PARTS = 4


def noun_targets(nouns: list[str], folder: Path) -> tuple[TextSpace, np.ndarray]:
    """Embed the nouns once with the teacher and find the space of `tiny`; both are kept in `folder`."""
    file = folder / "text-space.safetensors"
    if not file.exists():
        embeddings = sentence_embeddings(nouns)
        space = TextSpace.of(embeddings)
        save_file({"embeddings": embeddings, "mean": space.mean, "basis": space.basis}, file)
    stored = load_file(file)
    space = TextSpace(stored["mean"], stored["basis"])
    return space, space(stored["embeddings"])


class Prompts:
    """All nouns and templates as token ids, so that a prompt is made by putting three pieces together.

    The tokenizer splits at spaces and punctuation first, so that pieces can be tokenised apart.

    Args:
        nouns: what is learned.
        templates: each with one ``{}``.
    """

    def __init__(self, nouns: list[str], templates: tuple[str, ...] = TEMPLATES) -> None:
        tokenizer = SimpleTokenizer()
        self.begin, self.end = [tokenizer.sot_token_id], [tokenizer.eot_token_id]
        self.nouns = [tokenizer.encode(noun) for noun in nouns]
        self.templates = [tuple(tokenizer.encode(part) for part in template.split("{}")) for template in templates]

    def row(self, noun: int, form: int | None) -> list[int]:
        """Put a noun into a template, or leave it bare (`form` None); token ids."""
        before, after = ([], []) if form is None else self.templates[form]
        return [*self.begin, *before, *self.nouns[noun], *after, *self.end]

    def batch(self, seed: int, step: int, concepts: int) -> tuple[np.ndarray, list[list[int]]]:
        """Draw the nouns and prompts of one step, a pure function of seed and step.

        Args:
            seed: the seed of the stage.
            step: the step.
            concepts: how many nouns at the end of the list are drawn more often.

        Returns:
            Noun numbers, int64 [BATCH], and their prompts as token ids; short prompts first.
        """
        draw = np.random.Generator(np.random.Philox(key=[seed, step]))
        often = draw.random(BATCH) < CONCEPT_SHARE
        count = len(self.nouns)
        chosen = np.where(often, count - 1 - draw.integers(concepts, size=BATCH), draw.integers(count, size=BATCH))
        forms = draw.integers(len(self.templates), size=BATCH)
        bare = draw.random(BATCH) < BARE_SHARE
        ids = [self.row(n, None if b else f) for n, f, b in zip(chosen, forms, bare, strict=True)]
        order = np.argsort([len(row) for row in ids], kind="stable")
        return chosen[order], [ids[i] for i in order]


def pad(rows: list[list[int]]) -> torch.Tensor:
    """Pad token ids to the longest row, int64 [N, L]."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


def train_text(nouns: list[str], concepts: list[str], folder: Path, *, steps: int, seed: int, minutes: float) -> bool:
    """Run one slice of the text stage and keep a checkpoint.

    Args:
        nouns: what to learn.
        concepts: names that images will be shown with, learned more often.
        folder: holds targets, checkpoint and log.
        steps: steps of the whole stage.
        seed: seed of weights and draws.
        minutes: length of this slice.

    Returns:
        Whether the stage is complete.
    """
    space, targets = noun_targets(nouns, folder)
    targets = np.concatenate([targets, space(sentence_embeddings(concepts))])
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    model, prompts = build(), Prompts([*nouns, *concepts])
    model.token_embedding.sparse = True  # only the rows in use move; the table is larger than the rest of the model
    tower = [p for n, p in model.named_parameters() if not n.startswith(("visual.", "token_embedding", "logit_scale"))]
    table = torch.optim.SparseAdam([model.token_embedding.weight], lr=1e-3, betas=(0.9, 0.99))
    rest = torch.optim.AdamW(tower, lr=0.0, weight_decay=0.01, betas=(0.9, 0.98))
    start = load_checkpoint(folder / "text", model, [table, rest])
    began, goal = time.monotonic(), torch.from_numpy(targets)
    for step in range(start, steps):
        rate = 1.5e-3 * min(1.0, (step + 1) / 300) * (0.5 + 0.5 * np.cos(np.pi * step / steps))
        for optimizer in (table, rest):
            for group in optimizer.param_groups:
                group["lr"] = rate
        chosen, rows = prompts.batch(seed, step, len(concepts))
        for optimizer in (table, rest):
            optimizer.zero_grad()
        total = 0.0
        # Prompts of similar length go together: padding would cost more than the prompts
        for part in np.array_split(np.arange(BATCH), PARTS):
            with torch.autocast("cpu", torch.bfloat16):
                features = encode_text(model, pad([rows[i] for i in part]))
            cosine = (normalize(features.float(), dim=1) * goal[torch.from_numpy(chosen[part])]).sum(1)
            loss = (1 - cosine).sum() / BATCH
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(tower, 1.0)
        for optimizer in (table, rest):
            optimizer.step()
        spent = (time.monotonic() - began) / 60
        if step % 25 == 0 or step + 1 == steps:
            print(f"text step {step} of {steps}: 1 - cosine {total:.4f}, {spent:.1f} min", flush=True)
        if (step + 1) % 500 == 0 or spent > minutes or step + 1 == steps:
            save_checkpoint(folder / "text", model, [table, rest], step + 1)
        if spent > minutes:
            return step + 1 == steps
    return True
