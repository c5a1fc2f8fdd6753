"""The last block computes only the token that is read: answers and gradients stay those of the whole tower."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from calibrant.models.open_clip import OpenClipEncoder


@pytest.mark.parametrize("trained", [False, True])
def test_features_and_gradients_are_those_of_the_whole_tower(tiny: OpenClipEncoder, trained: bool) -> None:
    tiny.requires_grad_(trained)
    network, ids = tiny.network, tiny.tokenize(["cat", "a photo of an ice cream cone.", "two dogs"])
    embeddings = tiny.embed_tokens(ids).detach().requires_grad_(True)
    length = ids.shape[1]

    def whole() -> torch.Tensor:
        x = embeddings + network.positional_embedding[:length]
        x = network.ln_final(network.transformer(x, attn_mask=network.attn_mask[:length, :length]))
        return F.normalize(x[torch.arange(len(ids)), ids.argmax(dim=-1)] @ network.text_projection, dim=-1)

    weights = network.transformer.resblocks[-1].attn.in_proj_weight
    read = [embeddings, weights] if trained else [embeddings]
    ours = tiny.encode_text_embeddings(embeddings, ids)
    target = torch.randn(ours.shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours, whole(), atol=1e-6, rtol=0)
    found = torch.autograd.grad((ours * target).sum(), read)
    expected = torch.autograd.grad((whole() * target).sum(), read)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
