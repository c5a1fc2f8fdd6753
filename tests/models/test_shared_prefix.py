"""A prefix that is encoded once: answers and gradients stay those of whole prompts."""

from __future__ import annotations

import pytest
import torch
from open_clip import SimpleTokenizer
from torch import Tensor

from calibrant.errors import InputError
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.open_clip_loading import build_network
from calibrant.models.preprocessing import Preprocessing

NAMES = {
    "very different lengths": ["a " * 40 + "cat", "cat", "a rather long name of a rather rare thing", "ice cream", "b"],
    "one class": ["two big dogs"],
    "duplicates of length": ["red car", "cat", "old tree", "dog", "ice cream", "cat"],
}


def _parts(encoder: OpenClipEncoder, names: list[str], tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random context [tokens, W], whole prompts [N, L] with place for it, and where their suffixes begin."""
    ids = encoder.tokenize([f"{'X ' * tokens}{name}." for name in names])
    draw = torch.Generator().manual_seed(tokens)
    context = torch.randn(tokens, encoder.text_width, generator=draw) * 0.1
    return context.requires_grad_(True), ids, ids[:, 1 + tokens :]


def _whole(encoder: OpenClipEncoder, context: Tensor, ids: Tensor) -> Tensor:
    """PyTorch's attention, every token, whole prompts, one after the other."""
    network, rows = encoder.network, []
    for prompt in ids:
        length = int(prompt.argmax()) + 1
        table = network.token_embedding(prompt[:length])
        x = torch.cat([table[:1], context, table[1 + len(context) :]]) + network.positional_embedding[:length]
        mask = network.attn_mask[:length, :length]
        for block in network.transformer.resblocks:
            attention, y = block.attn, block.ln_1(x)[:, None]
            attended, _ = torch.nn.functional.multi_head_attention_forward(
                y, y, y, attention.embed_dim, attention.num_heads, attention.in_proj_weight, attention.in_proj_bias,
                None, None, False, 0.0, attention.out_proj.weight, attention.out_proj.bias,
                attn_mask=mask, need_weights=False,
            )  # fmt: skip
            x = x + block.ls_1(attended[:, 0])
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
        answer = network.ln_final(x[-1]) @ network.text_projection
        rows.append(answer / answer.norm())
    return torch.stack(rows)


def _shared(encoder: OpenClipEncoder, context: Tensor, ids: Tensor, rest: Tensor) -> Tensor:
    prefix = torch.cat([encoder.embed_tokens(ids[:1, :1])[0], context])
    return encoder.encode_text_after_prefix(prefix, encoder.embed_tokens(rest), rest)


def _difference(ours: Tensor, theirs: Tensor, tensor: Tensor) -> float:
    """The largest difference of gradients, relative to the largest gradient."""
    target = torch.randn(ours.shape, generator=torch.Generator().manual_seed(0))
    found, expected = (torch.autograd.grad((features * target).sum(), tensor)[0] for features in (ours, theirs))
    assert expected.abs().max() > 0
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("tokens", [1, 5, 17])
@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_features_and_gradients_are_those_of_whole_prompts(
    tiny: OpenClipEncoder, names: list[str], tokens: int
) -> None:
    tiny.requires_grad_(False)
    context, ids, rest = _parts(tiny, names, tokens)
    ours, theirs = _shared(tiny, context, ids, rest), _whole(tiny, context, ids)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    assert _difference(ours, theirs, context) <= 1e-5


def test_the_backward_pass_keeps_parts_of_the_projection_and_not_the_whole_beside_them(tiny: OpenClipEncoder) -> None:
    tiny.requires_grad_(False)
    context, ids, rest = _parts(tiny, NAMES["duplicates of length"], 5)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        features = _shared(tiny, context, ids, rest)
    assert features.requires_grad
    tokens = 1 + len(context) + int((rest.argmax(dim=1) + 1).sum())
    network, size = tiny.network, tokens * tiny.text_width * 4
    hidden = network.transformer.resblocks[0].mlp.c_fc.out_features * tokens * 4
    assert hidden in kept.values()
    assert 3 * size not in kept.values()
    # for each block: what two norms read, queries, keys and values, and the hidden layer; weights and the like beside
    # them; the network itself is there anyway
    own = {tensor.untyped_storage().data_ptr() for tensor in network.state_dict().values()}
    total = sum(count for place, count in kept.items() if place not in own)
    assert total <= 1.2 * tiny.text_layers * (5 * size + hidden)


def test_weights_that_are_trained_get_the_same_gradients(tiny: OpenClipEncoder) -> None:
    context, ids, rest = _parts(tiny, NAMES["duplicates of length"], 5)
    for block in (0, -1):
        weights = tiny.network.transformer.resblocks[block].attn.in_proj_weight
        ours, theirs = _shared(tiny, context, ids, rest), _whole(tiny, context, ids)
        assert _difference(ours, theirs, weights) <= 1e-5


def test_the_order_of_classes_is_kept(tiny: OpenClipEncoder) -> None:
    names = NAMES["very different lengths"]
    context, ids, rest = _parts(tiny, names, 4)
    together = _shared(tiny, context, ids, rest)
    for name, features in zip(names, together, strict=True):
        _, one, its_rest = _parts(tiny, [name], 4)
        torch.testing.assert_close(_shared(tiny, context, one, its_rest)[0], features, atol=1e-6, rtol=0)
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_padding_behind_the_end_changes_nothing(tiny: OpenClipEncoder) -> None:
    context, ids, rest = _parts(tiny, NAMES["duplicates of length"], 3)
    padded = torch.nn.functional.pad(rest, (0, 9))
    assert torch.equal(_shared(tiny, context, ids, padded), _shared(tiny, context, ids, rest))


@pytest.mark.parametrize("kind", ["autocast", "weights"])
def test_in_bf16_features_agree_within_its_precision(tiny: OpenClipEncoder, kind: str) -> None:
    tiny.requires_grad_(False)
    context, ids, rest = _parts(tiny, NAMES["very different lengths"], 5)
    exact = _whole(tiny, context, ids).detach()
    if kind == "weights":
        tiny.to(torch.bfloat16)
        context = context.detach().bfloat16().requires_grad_(True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == "autocast"):
        ours = _shared(tiny, context, ids, rest)
        whole_prompts = torch.cat(
            [tiny.embed_tokens(ids)[:, :1], context.expand(len(ids), -1, -1), tiny.embed_tokens(ids)[:, 6:]], dim=1
        )
        theirs = tiny.encode_text_embeddings(whole_prompts, ids)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, exact, atol=0.02, rtol=0)
    torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0)
    assert _difference(ours, theirs, context) <= 0.1


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ({"no_causal_mask": True}, {}),
        ({"no_causal_mask": True, "pool_type": "last"}, {"custom_text": True}),
        ({"pool_type": "last"}, {"custom_text": True}),
        ({"qk_norm": True}, {}),
    ],
)
def test_a_tower_that_cannot_share_a_prefix_says_so(text: dict, config: dict) -> None:
    architecture = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 16, "layers": 1, "width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 12, "width": 64, "heads": 1, "layers": 1, **text},
        **config,
    }
    about = {"architecture": architecture}
    tokenizer = SimpleTokenizer(context_length=12)
    encoder = OpenClipEncoder(build_network(architecture).eval(), tokenizer, Preprocessing((16, 16)), "small", about)
    assert "shared_prefix" not in encoder.capabilities
    with pytest.raises(InputError, match="small cannot share a prefix"):
        encoder.encode_text_after_prefix(torch.zeros(2, 64), torch.zeros(1, 3, 64), torch.tensor([[5, 6, 7]]))


def test_layer_scale_and_another_end_of_text_are_followed() -> None:
    text = {"context_length": 24, "width": 64, "heads": 2, "layers": 3, "ls_init_value": 0.3, "pool_type": "eos"}
    architecture = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 16, "layers": 1, "width": 64, "patch_size": 8},
        "text_cfg": {**text, "eos_id": 49407},
        "custom_text": True,
    }
    about, tokenizer = {"architecture": architecture}, SimpleTokenizer(context_length=24)
    encoder = OpenClipEncoder(build_network(architecture).eval(), tokenizer, Preprocessing((16, 16)), "small", about)
    context, ids, rest = _parts(encoder, NAMES["duplicates of length"], 4)
    whole = torch.cat(
        [encoder.embed_tokens(ids)[:, :1], context.expand(len(ids), -1, -1), encoder.embed_tokens(rest)], 1
    )
    ours, theirs = _shared(encoder, context, ids, rest), encoder.encode_text_embeddings(whole, ids)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    assert _difference(ours, theirs, context) <= 1e-5
