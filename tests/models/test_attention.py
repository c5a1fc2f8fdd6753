from __future__ import annotations

import open_clip
import pytest
import torch
from torch import nn

from calibrant.models.attention import Attention, attention_maps, is_plain, replace_attention
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.open_clip_loading import build_network

TEXTS = ["a photo of a cat.", "an oil painting of a very tall giraffe", "x"]


def _theirs(encoder: OpenClipEncoder) -> nn.Module:
    network = open_clip.CLIP(**encoder.about["architecture"]).eval()
    network.load_state_dict(encoder.network.state_dict())
    return network


def test_towers_are_bit_equal_before_and_after(tiny: OpenClipEncoder) -> None:
    theirs, pixels, ids = _theirs(tiny), torch.randn(3, 3, 64, 64), open_clip.tokenize(TEXTS)
    assert torch.equal(tiny.network.visual(pixels), theirs.visual(pixels))
    assert torch.equal(tiny.network.encode_text(ids), theirs.encode_text(ids))


def test_gradients_agree_with_open_clip(tiny: OpenClipEncoder) -> None:
    theirs, pixels = _theirs(tiny), torch.randn(2, 3, 64, 64)
    for network in (tiny.network, theirs):
        network.visual(pixels).square().sum().backward()
    expected = dict(theirs.visual.named_parameters())
    for name, parameter in tiny.network.visual.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-5)


def test_the_fused_inference_kernel_of_torch_agrees_to_1e_6() -> None:
    # an even number of heads, no gradients and eval mode make torch leave its ordinary path
    theirs = nn.MultiheadAttention(64, 4, batch_first=True).eval()
    x = torch.randn(2, 9, 64)
    with torch.inference_mode():
        torch.testing.assert_close(Attention(theirs)(x)[0], theirs(x, x, x)[0], rtol=0, atol=1e-6)


def test_attention_is_the_formula_in_float64() -> None:
    module = nn.MultiheadAttention(12, 3, batch_first=True).double()
    nn.init.normal_(module.in_proj_bias)
    x, mask = torch.randn(2, 5, 12, dtype=torch.float64), torch.full((5, 5), -torch.inf).double().triu(1)
    weight, bias = module.in_proj_weight, module.in_proj_bias
    expected = torch.zeros_like(x)
    for n in range(2):
        heads = []
        for h in range(3):
            q, k, v = (
                x[n] @ weight[12 * part + 4 * h : 12 * part + 4 * h + 4].T
                + bias[12 * part + 4 * h : 12 * part + 4 * h + 4]
                for part in range(3)
            )
            heads.append(torch.softmax(q @ k.T / 2 + mask, dim=-1) @ v)
        expected[n] = module.out_proj(torch.cat(heads, dim=-1))
    torch.testing.assert_close(Attention(module)(x, attn_mask=mask)[0], expected, rtol=1e-12, atol=1e-12)


def test_state_dict_keeps_its_names_and_parameters_are_shared() -> None:
    config = {"embed_dim": 8, "vision_cfg": {"image_size": 16, "layers": 1, "width": 64, "patch_size": 8}}
    network = build_network({**config, "text_cfg": {"width": 64, "heads": 1, "layers": 1}})
    before, weight = list(network.state_dict()), network.transformer.resblocks[0].attn.in_proj_weight
    assert replace_attention(network) == 2
    assert list(network.state_dict()) == before
    assert network.transformer.resblocks[0].attn.in_proj_weight is weight
    assert replace_attention(network) == 0


def test_maps_have_gradients_and_outputs_stay_within_1e_6(tiny: OpenClipEncoder) -> None:
    pixels = torch.randn(2, 3, 64, 64)
    plain = tiny.encode_image(pixels)
    with attention_maps(tiny.network.visual) as maps:
        explained = tiny.encode_image(pixels)
    torch.testing.assert_close(explained, plain, rtol=0, atol=1e-6)
    assert len(maps) == 6
    for weights, gradient in zip(
        maps.values(), torch.autograd.grad(explained[:, 0].sum(), list(maps.values())), strict=True
    ):
        assert weights.shape == gradient.shape == (2, 3, 65, 65)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 65))
    # all but the class token's row of the last map is read by nobody
    assert gradient[:, :, 1:].abs().max() == 0 < gradient[:, :, 0].abs().max()


def test_maps_are_kept_only_inside_the_block(tiny: OpenClipEncoder) -> None:
    with attention_maps(tiny) as maps:
        pass
    tiny.encode_image(torch.randn(1, 3, 64, 64))
    assert not maps


def test_frozen_weights_under_bf16_autocast_give_what_trained_ones_give(tiny: OpenClipEncoder) -> None:
    pixels = torch.randn(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        trained = tiny.encode_image(pixels)
        frozen = tiny.requires_grad_(False).encode_image(pixels)
    exact = tiny.encode_image(pixels)
    assert (frozen * exact).sum(-1).min() > 0.999
    assert (trained * exact).sum(-1).min() > 0.999


def test_plain_products_and_kernel_agree_in_bf16_training(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Attention(nn.MultiheadAttention(64, 4, batch_first=True))
    x, mask = torch.randn(2, 9, 64), torch.full((9, 9), -torch.inf).triu(1)

    def gradient(autocast: bool) -> torch.Tensor:
        module.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            module(x, attn_mask=mask)[0].float().square().sum().backward()
        return module.in_proj_weight.grad.flatten()

    called, kernel = [], torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *a, **k: called.append(1) or kernel(*a, **k),
    )
    exact = gradient(autocast=False)
    assert called
    called.clear()
    plain = gradient(autocast=True)
    assert not called
    monkeypatch.setattr("calibrant.models.attention._SHORT", 8)
    fused = gradient(autocast=True)
    assert called
    for other in (plain, fused):
        assert torch.cosine_similarity(exact, other, dim=0) > 0.999


def test_a_float_mask_beside_bf16_queries_is_accepted(tiny: OpenClipEncoder) -> None:
    ids = tiny.tokenize(TEXTS)
    with torch.autocast("cpu", torch.bfloat16):
        features = tiny.encode_text(ids)
    assert features.dtype == torch.float32
    assert (features * tiny.encode_text(ids)).sum(-1).min() > 0.99


@pytest.mark.parametrize(
    "module",
    [
        nn.MultiheadAttention(8, 2),
        nn.MultiheadAttention(8, 2, batch_first=True, kdim=4),
        nn.MultiheadAttention(8, 2, batch_first=True, add_bias_kv=True),
        nn.MultiheadAttention(8, 2, batch_first=True, add_zero_attn=True),
        nn.MultiheadAttention(8, 2, batch_first=True, dropout=0.1),
    ],
)
def test_what_computes_something_else_is_left_alone(module: nn.MultiheadAttention) -> None:
    assert not is_plain(module)
    with pytest.raises(ValueError, match="only self-attention"):
        Attention(module)


def test_cross_attention_is_refused() -> None:
    module = Attention(nn.MultiheadAttention(8, 2, batch_first=True))
    with pytest.raises(ValueError, match="self-attention"):
        module(torch.ones(1, 2, 8), torch.ones(1, 2, 8), torch.ones(1, 2, 8))


def test_a_mask_for_every_text_and_head_is_taken_as_torch_takes_it() -> None:
    theirs = nn.MultiheadAttention(64, 4, batch_first=True).eval()
    x = torch.randn(3, 9, 64)
    mask = torch.zeros(3 * 4, 9, 9).masked_fill(torch.rand(12, 9, 9) < 0.3, -1e9)
    torch.testing.assert_close(Attention(theirs)(x, attn_mask=mask)[0], theirs(x, x, x, attn_mask=mask)[0])
