"""Features of long lists of prompts, computed once per model and kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.feature_cache import eval_mode, mapped
from calibrant.models.text import beginning_alike
from calibrant.progress import progress_bar
from calibrant.storage import cache_folder, digest, write_once

AT_ONCE = 512


class TextFeatureCache:
    """Text features on disk, memory-mapped.

    A file is named by the content it was made of (model and prompts), is written once and never replaced, so a mapped
    file stays valid and processes can share the folder.

    Args:
        root: the folder; by default `calibrant.storage.cache_folder`.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = (cache_folder() if root is None else Path(root)) / "text-features"

    def features(self, encoder: DualEncoder, texts: Sequence[str], *, progress: bool = True) -> npt.NDArray[np.float32]:
        """Give the features of prompts; compute them only if nobody has before.

        Args:
            encoder: the model.
            texts: N prompts, at least one.
            progress: show a progress bar on a terminal.

        Returns:
            float32 [N, D], rows of unit norm, memory-mapped and read-only.

        Raises:
            InputError: if a prompt is too long, or the disk is full.
        """
        path = self.path(encoder, texts)
        if not path.exists():
            with (
                write_once(path) as temporary,
                open(temporary, "rb+") as file,
                progress_bar("encoding words", len(texts), progress) as advance,
            ):
                for done in _write(file, encoder, texts):
                    advance(done)
        return mapped(path)

    def path(self, encoder: DualEncoder, texts: Sequence[str]) -> Path:
        """Name the file of the features of prompts, whether it exists or not.

        Args:
            encoder: the model.
            texts: the prompts.

        Returns:
            The file.
        """
        return self.root / f"{digest(encoder.fingerprint(), list(texts))}.npy"


def _write(file: BinaryIO, encoder: DualEncoder, texts: Sequence[str]) -> Iterator[int]:
    """Write all rows, with ordinary writes: a full disk behind a memory map kills the process."""
    shape = (len(texts), encoder.embed_dim)
    header: dict[str, Any] = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    start = file.tell()
    # prompts of like length side by side leave the least padding
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for first in range(0, len(order), AT_ONCE):
        chosen = order[first : first + AT_ONCE]
        device = encoder.log_logit_scale.device
        ids = encoder.tokenize([texts[i] for i in chosen]).to(device)
        with eval_mode(encoder), torch.inference_mode(), torch.autocast(device.type, enabled=False):
            rows = encode_alike(encoder, ids).cpu().numpy()
        for index, row in zip(chosen, rows, strict=True):
            file.seek(start + index * row.nbytes)
            file.write(row.tobytes())
        yield len(chosen)


def encode_alike(encoder: DualEncoder, ids: Tensor) -> Tensor:
    """Encode prompts; what all of them begin with is encoded once where the model can do that.

    Args:
        encoder: the model.
        ids: int64 [N, L], as `tokenize` gives them.

    Returns:
        float32 [N, D], rows of unit norm.
    """
    length = beginning_alike(ids)
    if "shared_prefix" not in encoder.capabilities or length == 0 or len(ids) == 1:
        return encoder.encode_text(ids)
    prefix = encoder.embed_tokens(ids[0, :length][None])[0]
    return encoder.encode_text_after_prefix(prefix, encoder.embed_tokens(ids[:, length:]), ids[:, length:])
