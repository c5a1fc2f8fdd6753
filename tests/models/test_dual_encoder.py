from __future__ import annotations

import copy
import pickle

import numpy as np
import open_clip
import pytest
import torch

from calibrant.errors import InputError
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.open_clip_loading import build_network
from calibrant.models.preprocessing import Augmentation, Preprocessing, draws

TOKENIZER = open_clip.SimpleTokenizer(context_length=12)
SMALL = {"image_size": 16, "layers": 1, "width": 64, "patch_size": 8}


def _encoder(text: dict, vision: dict | None = None, **config: object) -> OpenClipEncoder:
    architecture = {
        "embed_dim": 16,
        "vision_cfg": {**SMALL, **(vision or {})},
        "text_cfg": {"context_length": 12, "width": 64, "heads": 1, "layers": 1, **text},
        **config,
    }
    network = build_network(architecture).eval()
    return OpenClipEncoder(network, TOKENIZER, Preprocessing((16, 16)), "small", {"architecture": architecture})


def test_features_are_of_unit_norm_and_float32(tiny: OpenClipEncoder) -> None:
    image, text = tiny.encode_image(torch.randn(2, 3, 64, 64)), tiny.encode_text(tiny.tokenize(["a", "b"]))
    for features in (image, text):
        assert features.dtype == torch.float32
        assert features.shape == (2, 256)
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(2))


def test_facts_about_tiny(tiny: OpenClipEncoder) -> None:
    assert (tiny.name, tiny.image_size, tiny.embed_dim, tiny.text_width) == ("tiny", 64, 256, 192)
    assert (tiny.context_length, tiny.causal_text, tiny.logit_bias) == (77, True, None)
    assert tiny.capabilities == {"text_embeddings", "padding_cut", "shared_prefix", "attention_maps", "block_edits"}
    assert tiny.image_projection.shape == tiny.text_projection.shape == (192, 256)
    assert tiny.logit_scale.item() == pytest.approx(tiny.log_logit_scale.exp().item())
    assert not tiny.training
    assert {"source", "licence", "limits", "quick_gelu", "architecture"} < set(tiny.about)
    images = sum(p.numel() for _, p in tiny.image_tower_parameters())
    assert 2e6 < images < 3.5e6


def test_every_parameter_belongs_to_one_tower_or_is_the_scale(tiny: OpenClipEncoder) -> None:
    image, text = dict(tiny.image_tower_parameters()), dict(tiny.text_tower_parameters())
    assert not image.keys() & text.keys()
    assert {*image, *text, "network.logit_scale"} == {name for name, _ in tiny.named_parameters()}


def test_transforms_are_the_preprocessings(tiny: OpenClipEncoder) -> None:
    image = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    assert torch.equal(tiny.test_transform(image), tiny.preprocessing.test(image))
    expected = tiny.preprocessing.train(image, draws(1, "t"), Augmentation())
    assert torch.equal(tiny.train_transform(image, draws(1, "t")), expected)


def test_fingerprint_follows_every_weight_and_the_image_one_only_its_tower(tiny: OpenClipEncoder) -> None:
    whole, image = tiny.fingerprint(), tiny.image_fingerprint()
    assert (whole, image) == (tiny.fingerprint(), tiny.image_fingerprint())
    with torch.no_grad():
        tiny.network.ln_final.bias[3] += 1e-3
    assert tiny.fingerprint() != whole
    assert tiny.image_fingerprint() == image
    whole = tiny.fingerprint()
    tiny.network.visual.proj.data[0, 0] += 1e-3  # past the version counter of the tensor
    assert tiny.fingerprint() != whole
    assert tiny.image_fingerprint() != image


def test_fingerprint_follows_preprocessing_and_architecture(tiny: OpenClipEncoder) -> None:
    seen = {tiny.image_fingerprint()}
    tiny.preprocessing = Preprocessing((64, 64), resize_mode="squash")
    seen.add(tiny.image_fingerprint())
    tiny.about["architecture"] = {**tiny.about["architecture"], "quick_gelu": True}
    seen.add(tiny.image_fingerprint())
    assert len(seen) == 3


def test_copies_are_independent(tiny: OpenClipEncoder) -> None:
    other, ids = copy.deepcopy(tiny), tiny.tokenize(["cat"])
    before = tiny.encode_text(ids)
    with torch.no_grad():
        other.network.text_projection.neg_()
    assert torch.equal(tiny.encode_text(ids), before)
    torch.testing.assert_close(other.encode_text(ids), -before)


def test_models_can_be_sent_to_another_process(tiny: OpenClipEncoder) -> None:
    sent = pickle.loads(pickle.dumps(tiny))
    assert sent.fingerprint() == tiny.fingerprint()
    assert torch.equal(sent.encode_text(sent.tokenize(["cat"])), tiny.encode_text(tiny.tokenize(["cat"])))


@pytest.mark.parametrize(
    ("text", "config", "cut"),
    [
        ({}, {}, True),
        ({}, {"custom_text": True}, True),
        ({"pool_type": "eos", "eos_id": 49407}, {"custom_text": True}, True),
        ({"proj_bias": True}, {"custom_text": True}, True),
        ({"no_causal_mask": True, "pool_type": "last"}, {"custom_text": True}, False),
        (
            {"no_causal_mask": True, "pool_type": "first"},
            {"custom_text": True, "init_logit_bias": -10},
            False,
        ),
        ({"no_causal_mask": True}, {}, False),
        ({"qk_norm": True}, {}, True),
    ],
)
def test_other_text_towers_of_open_clip_keep_their_answers(text: dict, config: dict, cut: bool) -> None:
    encoder, texts = _encoder(text, **config), ["a cat", "two big dogs"]
    ids = encoder.tokenize(texts)
    assert ("padding_cut" in encoder.capabilities) is cut
    assert ids.shape[1] == (5 if cut else 12)
    full = encoder._tokenizer(texts)
    expected = encoder.network.encode_text(full, normalize=True)
    torch.testing.assert_close(encoder.encode_text(ids), expected, rtol=0, atol=1e-6)
    if "init_logit_bias" in config:
        assert encoder.logit_bias.item() == -10


def test_a_text_tower_of_another_make_says_what_it_cannot_do() -> None:
    multimodal = {"width": 64, "heads": 1, "layers": 1, "context_length": 12}
    coca = _encoder(
        {"embed_cls": True, "output_tokens": True},
        {"attentional_pool": True, "attn_pooler_heads": 1, "output_tokens": True},
        custom_text=True,
        multimodal_cfg=multimodal,
    )
    assert "text_embeddings" not in coca.capabilities
    ids = coca.tokenize(["a cat"])
    assert ids.shape == (1, 12)
    torch.testing.assert_close(coca.encode_text(ids), coca.network.encode_text(ids, normalize=True))
    with pytest.raises(InputError, match="takes no embeddings"):
        coca.embed_tokens(ids)


def test_a_resnet_stays_as_it_is() -> None:
    resnet = _encoder({}, {"layers": [1, 1, 1, 1], "width": 8, "image_size": 32})
    assert "attention_maps" not in resnet.capabilities
    # [width, D]: the output layer of the attention pool, which keeps its weight the other way round
    assert torch.equal(resnet.image_projection, resnet.network.visual.attnpool.c_proj.weight.T)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(resnet.embed_image(images), resnet.network.encode_image(images))
    torch.testing.assert_close(resnet.encode_image(images), resnet.network.encode_image(images, normalize=True))
    before = resnet.image_fingerprint()
    resnet.network.visual.bn1.running_mean += 1  # a buffer decides, too
    assert resnet.image_fingerprint() != before
