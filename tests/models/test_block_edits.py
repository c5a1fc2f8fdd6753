"""Tokens that are changed between blocks, as deep prompts change them."""

from __future__ import annotations

import pytest
import torch
from open_clip import SimpleTokenizer
from torch import Tensor

from calibrant.errors import InputError
from calibrant.models.dual_encoder import BlockEdit
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.open_clip_loading import build_network
from calibrant.models.preprocessing import Preprocessing

NAMES = ["a rather long name of a rather rare thing", "cat", "ice cream", "b", "dog"]
TOKENS = 3


def _unchanged(_: int, tokens: Tensor) -> Tensor:
    return tokens


def _encoder(vision: dict | None = None, text: dict | None = None, **config: object) -> OpenClipEncoder:
    architecture = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 16, "layers": 2, "width": 64, "patch_size": 8, **(vision or {})},
        "text_cfg": {"context_length": 24, "width": 64, "heads": 1, "layers": 3, **(text or {})},
        **config,
    }
    tokenizer, about = SimpleTokenizer(context_length=24), {"architecture": architecture}
    return OpenClipEncoder(build_network(architecture).eval(), tokenizer, Preprocessing((16, 16)), "small", about)


def test_facts_about_blocks(tiny: OpenClipEncoder) -> None:
    assert (tiny.image_width, tiny.image_layers, tiny.text_layers) == (192, 6, 4)
    parameters = dict(tiny.named_parameters())
    for tower, beginning, blocks in (("image", "network.visual.", 6), ("text", "network.transformer.", 4)):
        layers = tiny.attention_layers(tower)
        assert len(layers) == blocks
        for name, layer in layers:
            assert name.startswith(beginning)
            assert parameters[f"{name}.in_proj_weight"] is layer.in_proj_weight


def test_an_edit_that_changes_nothing_gives_the_same_bits(tiny: OpenClipEncoder) -> None:
    pixels, ids = torch.randn(2, 3, 64, 64), tiny.tokenize(NAMES)
    assert torch.equal(tiny.encode_image(pixels, _unchanged), tiny.encode_image(pixels))
    embeddings = tiny.embed_tokens(ids)
    expected = tiny.encode_text_embeddings(embeddings, ids)
    assert torch.equal(tiny.encode_text_embeddings(embeddings, ids, _unchanged), expected)
    parts = (embeddings[0, :1], embeddings[:, 1:], ids[:, 1:])
    assert torch.equal(tiny.encode_text_after_prefix(*parts, _unchanged), tiny.encode_text_after_prefix(*parts))


@pytest.mark.parametrize("vision", [{}, {"no_ln_pre": True}, {"final_ln_after_pool": True}, {"ls_init_value": 0.2}])
def test_other_vision_transformers_keep_their_answers(vision: dict) -> None:
    encoder, pixels = _encoder(vision), torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(encoder.encode_image(pixels, _unchanged), encoder.encode_image(pixels))


def test_patches_are_left_out_in_training_mode_alone() -> None:
    encoder, pixels = _encoder({"patch_dropout": 0.5}), torch.randn(2, 3, 16, 16)
    assert not any(module.training for module in encoder.modules())
    features = encoder.encode_image(pixels)
    assert torch.equal(encoder.encode_image(pixels), features)
    torch.testing.assert_close(encoder.encode_image(pixels, _unchanged), features)
    encoder.network.visual.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fewer = encoder.encode_image(pixels)
        torch.manual_seed(0)
        torch.testing.assert_close(encoder.encode_image(pixels, _unchanged), fewer)
    assert (fewer - features).abs().max() > 1e-3


def test_image_tokens_are_seen_where_the_released_code_changes_them(tiny: OpenClipEncoder) -> None:
    seen: dict[int, Tensor] = {}

    def edit(block: int, tokens: Tensor) -> Tensor:
        seen[block] = tokens
        return torch.cat([tokens, torch.ones(len(tokens), 2, 192)], dim=1) if block == 0 else tokens

    pixels, visual = torch.randn(2, 3, 64, 64), tiny.network.visual
    features = tiny.encode_image(pixels, edit)
    x = visual.conv1(pixels).reshape(2, 192, -1).permute(0, 2, 1)
    x = torch.cat([visual.class_embedding.expand(2, 1, 192), x], dim=1) + visual.positional_embedding
    torch.testing.assert_close(seen[0], x)
    x = visual.ln_pre(torch.cat([x, torch.ones(2, 2, 192)], dim=1))
    for block, module in enumerate(visual.transformer.resblocks):
        if block:
            torch.testing.assert_close(seen[block], x)
        x = module(x)
    expected = visual.ln_post(x[:, 0]) @ visual.proj
    torch.testing.assert_close(features, expected / expected.norm(dim=-1, keepdim=True))


def _deep(prompts: Tensor) -> BlockEdit:
    """Puts prompts [blocks, 1 or B, TOKENS, W] behind the start token of the prefix before blocks 1, 2, ..."""

    def edit(block: int, tokens: Tensor) -> Tensor:
        if not 1 <= block <= len(prompts):
            return tokens
        middle = prompts[block - 1].expand(len(tokens), -1, -1)
        return torch.cat([tokens[:, :1], middle, tokens[:, 1 + TOKENS :]], dim=1)

    return edit


def _parts(encoder: OpenClipEncoder, images: int | None = None, blocks: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    draw, dtype = torch.Generator().manual_seed(1), encoder.log_logit_scale.dtype
    shape = () if images is None else (images,)
    context = torch.randn(*shape, TOKENS, encoder.text_width, generator=draw) * 0.1
    prompts = torch.randn(blocks, images or 1, TOKENS, encoder.text_width, generator=draw)
    ids = encoder.tokenize([f"{'X ' * TOKENS}{name}." for name in NAMES])
    return context.to(dtype).requires_grad_(True), prompts.to(dtype).requires_grad_(True), ids


def _whole(encoder: OpenClipEncoder, context: Tensor, prompts: Tensor, ids: Tensor) -> Tensor:
    table = encoder.embed_tokens(ids)
    whole = torch.cat([table[:, :1], context.expand(len(ids), -1, -1), table[:, 1 + TOKENS :]], dim=1)
    return encoder.encode_text_embeddings(whole, ids, _deep(prompts))


def _shared(encoder: OpenClipEncoder, context: Tensor, prompts: Tensor, ids: Tensor) -> Tensor:
    start, rest = encoder.embed_tokens(ids[:1, :1])[0], ids[:, 1 + TOKENS :]
    if context.ndim == 3:
        start = start.expand(len(context), -1, -1)
    prefix = torch.cat([start, context], dim=-2)
    return encoder.encode_text_after_prefix(prefix, encoder.embed_tokens(rest), rest, _deep(prompts))


@pytest.mark.parametrize("blocks", [1, 3])  # of 4; three reach the last block
@pytest.mark.parametrize(("dtype", "near", "near_gradient"), [("float32", 1e-6, 1e-5), ("float64", 1e-10, 1e-10)])
def test_deep_prompts_on_the_shared_prefix_are_those_on_whole_prompts(
    tiny: OpenClipEncoder, blocks: int, dtype: str, near: float, near_gradient: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.to(getattr(torch, dtype)).requires_grad_(False)
    # features are float32 by contract; in float64 it is the towers that are compared
    monkeypatch.setattr(Tensor, "float", lambda tensor: tensor)
    context, prompts, ids = _parts(tiny, blocks=blocks)
    ours, theirs = (encode(tiny, context, prompts, ids) for encode in (_shared, _whole))
    assert ours.dtype == getattr(torch, dtype)
    torch.testing.assert_close(ours, theirs, atol=near, rtol=0)
    target = torch.randn(ours.shape, dtype=ours.dtype, generator=torch.Generator().manual_seed(0))
    for tensor in (context, prompts):
        found, expected = (
            torch.autograd.grad((features * target).sum(), tensor, retain_graph=True)[0] for features in (ours, theirs)
        )
        assert expected.abs().max() > 0
        assert (found - expected).abs().max() <= near_gradient * expected.abs().max()
    without = tiny.encode_text(ids)
    assert (ours - without).abs().max() > 1e-3


def test_a_prefix_for_each_image_is_a_loop_over_images(tiny: OpenClipEncoder) -> None:
    tiny.requires_grad_(False)
    context, prompts, ids = _parts(tiny, images=4)
    together = _shared(tiny, context, prompts, ids)
    assert together.shape == (4, len(NAMES), 256)
    single = torch.stack([_shared(tiny, context[i], prompts[:, i : i + 1], ids) for i in range(4)])
    torch.testing.assert_close(together, single, atol=1e-6, rtol=0)
    target = torch.randn(together.shape, generator=torch.Generator().manual_seed(0))
    for tensor in (context, prompts):
        found, expected = (
            torch.autograd.grad((features * target).sum(), tensor, retain_graph=True)[0]
            for features in (together, single)
        )
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_one_prefix_in_a_batch_of_one_keeps_its_dimension(tiny: OpenClipEncoder) -> None:
    context, prompts, ids = _parts(tiny, images=1)
    ours = _shared(tiny, context, prompts, ids)
    assert torch.equal(ours, _shared(tiny, context[0], prompts, ids)[None])


def test_text_tokens_keep_their_number(tiny: OpenClipEncoder) -> None:
    ids = tiny.tokenize(NAMES)
    embeddings = tiny.embed_tokens(ids)
    with pytest.raises(ValueError, match="made text tokens"):
        tiny.encode_text_embeddings(embeddings, ids, lambda _, tokens: tokens[:, 1:])
    with pytest.raises(ValueError, match="made text tokens"):
        tiny.encode_text_after_prefix(embeddings[0, :2], embeddings[:, 2:], ids[:, 2:], lambda _, x: x[:, 1:])


@pytest.mark.parametrize(
    ("vision", "config"),
    [
        ({"layers": [1, 1, 1, 1], "width": 8, "image_size": 32}, {}),
        ({"pool_type": "avg"}, {}),
        ({"attentional_pool": True, "attn_pooler_heads": 1}, {}),
    ],
)
def test_other_image_towers_refuse_edits(vision: dict, config: dict) -> None:
    encoder = _encoder(vision, **config)
    assert "block_edits" not in encoder.capabilities
    assert (encoder.image_width, encoder.image_layers) == (0, 0)
    size = (vision.get("image_size", 16),) * 2
    pixels = torch.zeros(1, 3, *size)
    assert encoder.encode_image(pixels).shape == (1, 16)
    with pytest.raises(InputError, match="image tower of small takes no prompts") as caught:
        encoder.encode_image(pixels, _unchanged)
    assert "\n" not in str(caught.value)


def test_other_text_towers_refuse_edits() -> None:
    encoder = _encoder(text={"qk_norm": True})
    assert "block_edits" not in encoder.capabilities
    assert (encoder.image_layers, encoder.text_layers) == (2, 0)
    assert encoder.attention_layers("text") == []
    ids = encoder.tokenize(["cat"])
    with pytest.raises(InputError, match="text tower of small takes no deep prompts") as caught:
        encoder.encode_text_embeddings(encoder.embed_tokens(ids), ids, _unchanged)
    assert "\n" not in str(caught.value)
