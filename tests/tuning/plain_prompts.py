"""The usual way to encode prompts with learned vectors, in float64: whole prompts, padded, one after the other."""

from __future__ import annotations

import copy

import torch


def double(encoder):
    """A float64 copy of the network inside an encoder."""
    return copy.deepcopy(encoder.network).double()


def plain_features(network, tokenizer, name, context, position="end", edit=None):
    """Unit-norm features [D] of start, context and name, end in the order of the released CoOp code."""
    embed = network.token_embedding.weight
    class_tokens, half = embed[tokenizer.encode(name)], len(context) // 2
    middle = {
        "end": [context, class_tokens],
        "middle": [context[:half], class_tokens, context[half:]],
        "front": [class_tokens, context],
    }[position]
    ending = embed[[*tokenizer.encode("."), tokenizer.eot_token_id]]
    x = torch.cat([embed[[tokenizer.sot_token_id]], *middle, ending])
    end, length = len(x) - 1, len(network.positional_embedding)
    x = torch.cat([x, embed[[0] * (length - len(x))]]) + network.positional_embedding
    x = x[None]
    for number, block in enumerate(network.transformer.resblocks):
        x = block(x if edit is None else edit(number, x), attn_mask=network.attn_mask)
    features = network.ln_final(x)[0, end] @ network.text_projection
    return features / features.norm()
