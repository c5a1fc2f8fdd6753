"""VPT, MaPLe and IVLP: prompts stand where the released code has them, for any names, and nothing else is trained."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from tuning_toy import make_encoder

from calibrant.errors import InputError
from calibrant.models.preprocessing import Preprocessing, draws
from calibrant.models.text import text_classifier
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.task import Task

TASK = Task(["cat", "red car", "tree"], ["a photo of a {}."], {"tree": ("tree", "oak")})
SETTINGS = {
    "visual_prompts": {"tokens": 3},
    "coupled_deep_prompts": {"tokens": 2, "phrase": "a photo of a", "depth": 2},
    "independent_deep_prompts": {"tokens": 3, "text_depth": 2, "image_tokens": 1, "image_depth": 1},
}


def build(name: str, encoder, task: Task = TASK, **changes):
    settings = {**SETTINGS[name], **changes}
    return PARAMETERIZATIONS.build(name, settings, encoder.requires_grad_(False), task, draws(1, "test"))


def image_reference(network, pixels: Tensor, prompts: list[Tensor]) -> Tensor:
    """One image after the other, written from the papers."""
    rows, visual = [], network.visual
    for image in pixels:
        patches = visual.conv1(image[None])[0].flatten(1).T
        x = torch.cat([visual.class_embedding[None], patches]) + visual.positional_embedding
        kept = len(x)
        x = visual.ln_pre(torch.cat([x, prompts[0]]))
        for block, module in enumerate(visual.transformer.resblocks):
            if 0 < block < len(prompts):
                x = torch.cat([x[:kept], prompts[block]])
            x = module(x[None])[0]
        feature = visual.ln_post(x[0]) @ visual.proj
        rows.append(feature / feature.norm())
    return torch.stack(rows)


def text_reference(encoder, text: str, prompts: list[Tensor]) -> Tensor:
    """One prompt: the start token, the learned tokens, `text`, the end token."""
    network, ids = encoder.network, encoder.tokenize([text])[0]
    table, many = network.token_embedding(ids), len(prompts[0])
    x = torch.cat([table[:1], prompts[0], table[1:]])
    x = x + network.positional_embedding[: len(x)]
    mask = torch.full((len(x), len(x)), -torch.inf).triu(1)
    for block, module in enumerate(network.transformer.resblocks):
        if 0 < block < len(prompts):
            x = torch.cat([x[:1], prompts[block], x[1 + many :]])
        x = module(x[None], attn_mask=mask)[0]
    feature = network.ln_final(x[-1]) @ network.text_projection
    return feature / feature.norm()


def text_classes(encoder, prompts: list[Tensor], rest: str = "") -> Tensor:
    rows = []
    for words in (["cat"], ["red car"], ["tree", "oak"]):
        mean = torch.stack([text_reference(encoder, f"{rest}{word}.", prompts) for word in words]).mean(0)
        rows.append(mean / mean.norm())
    return torch.stack(rows)


@pytest.mark.parametrize("depth", [1, 2])
def test_visual_prompts_stand_behind_the_patches_of_each_block(encoder, pixels, depth) -> None:
    model = build("visual_prompts", encoder, depth=depth)
    assert model.prompts.shape == (depth, 3, 32)
    expected = image_reference(encoder.network, pixels, list(model.prompts))
    torch.testing.assert_close(model.image_features(pixels), expected, atol=1e-6, rtol=0)
    text = text_classifier(encoder, TASK.classes, TASK.templates, TASK.words)
    torch.testing.assert_close(model.text_features(TASK.classes), text, atol=1e-6, rtol=0)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(("phrase", "rest"), [("a photo of a", "of a "), (None, "")])
def test_coupled_prompts_are_those_of_the_formula(encoder, pixels, depth, phrase, rest) -> None:
    model = build("coupled_deep_prompts", encoder, depth=depth, phrase=phrase)
    prompts = list(model.prompts)
    torch.testing.assert_close(model.text_features(TASK.classes), text_classes(encoder, prompts, rest))
    coupled = [own @ map_.weight.T + map_.bias for own, map_ in zip(prompts, model.couplings, strict=True)]
    assert coupled[0].shape == (2, 32)
    torch.testing.assert_close(model.image_features(pixels), image_reference(encoder.network, pixels, coupled))


@pytest.mark.parametrize(("text_depth", "image_depth"), [(1, 2), (2, 1)])
def test_independent_prompts_are_those_of_the_formula(encoder, pixels, text_depth, image_depth) -> None:
    model = build("independent_deep_prompts", encoder, text_depth=text_depth, image_depth=image_depth)
    assert model.text_prompts.shape == (text_depth, 3, 16)
    assert model.image_prompts.shape == (image_depth, 1, 32)
    text = text_classes(encoder, list(model.text_prompts))
    torch.testing.assert_close(model.text_features(TASK.classes), text, atol=1e-6, rtol=0)
    images = image_reference(encoder.network, pixels, list(model.image_prompts))
    torch.testing.assert_close(model.image_features(pixels), images, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["coupled_deep_prompts", "independent_deep_prompts"])
def test_a_shallow_start_from_the_phrase_is_the_zero_shot_text_side(encoder, name) -> None:
    depth = {"depth": 1} if name.startswith("coupled") else {"text_depth": 1}
    model = build(name, encoder, phrase="a photo of a", **depth)
    expected = text_classifier(encoder, TASK.classes, TASK.templates, TASK.words)
    torch.testing.assert_close(model.text_features(TASK.classes), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["coupled_deep_prompts", "independent_deep_prompts"])
def test_whole_prompts_and_a_shared_prefix_give_the_same(encoder, name) -> None:
    capabilities, features, gradients = encoder.capabilities, [], []
    for encoder.capabilities in (capabilities, capabilities - {"shared_prefix"}):
        model = build(name, encoder)
        features.append(model.text_features([*TASK.classes, "a name never seen"]))
        features[-1].pow(3).sum().backward()
        gradients.append(next(iter(model.trainables().values())).grad)
    torch.testing.assert_close(*features, atol=1e-6, rtol=0)
    assert (gradients[0] - gradients[1]).abs().max() <= 1e-5 * gradients[1].abs().max()


def test_the_fixed_words_of_the_phrase_are_encoded_once(encoder, monkeypatch) -> None:
    lengths = []
    encode = type(encoder).encode_text_after_prefix

    def spy(self, prefix, embeddings, ids, edit):
        lengths.append((len(prefix), ids.shape[1]))
        return encode(self, prefix, embeddings, ids, edit)

    monkeypatch.setattr(type(encoder), "encode_text_after_prefix", spy)
    model = build("coupled_deep_prompts", encoder)
    features = model.text_features(TASK.classes)
    assert lengths == [(5, 4)]  # start, two learned tokens, "of a"; "red car . end"
    alone = model.text_features(["cat"])
    assert lengths[1] == (7, 1)
    torch.testing.assert_close(alone[0], features[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_reach_what_is_trained_and_nothing_else(encoder, pixels, name) -> None:
    model = build(name, encoder)
    model.logits(model.image_features(pixels), TASK.classes).square().sum().backward()
    assert {name for name, tensor in model.named_parameters() if tensor.requires_grad} == set(model.trainables())
    for tensor in model.trainables().values():
        assert all(part.abs().max() > 0 for part in (tensor.grad if tensor.ndim == 3 else tensor.grad[None]))
    assert all(tensor.grad is None for tensor in encoder.parameters())


def test_the_start_follows_the_seed_and_the_released_spread() -> None:
    encoder = make_encoder()
    first, again = (build("visual_prompts", encoder, tokens=200) for _ in range(2))
    assert torch.equal(first.prompts, again.prompts)
    assert first.prompts.std().item() == pytest.approx(0.02, rel=0.05)
    assert first.prompts.mean().abs() < 1e-3
    model = build("coupled_deep_prompts", encoder)
    assert not torch.equal(model.couplings[0].weight, model.couplings[1].weight)
    for tensor in model.couplings[1].parameters():  # uniform in +-1/sqrt(16)
        assert 0.2 < tensor.abs().max() <= 0.25


@pytest.mark.parametrize("name", SETTINGS)
def test_what_answers_is_said(encoder, name) -> None:
    model = build(name, encoder)
    assert model.trains_image_tower
    assert model.text_side == ("zero-shot" if name == "visual_prompts" else "tuned")


def resnet():
    from open_clip import SimpleTokenizer

    from calibrant.models.open_clip import OpenClipEncoder
    from calibrant.models.open_clip_loading import build_network

    architecture = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8},
        "text_cfg": {"context_length": 24, "width": 64, "heads": 1, "layers": 1},
    }
    tokenizer, about = SimpleTokenizer(context_length=24), {"architecture": architecture}
    return OpenClipEncoder(build_network(architecture).eval(), tokenizer, Preprocessing((32, 32)), "resnet", about)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("visual_prompts", {"depth": 3}, r"has 2 blocks to prompt: parameterization\.depth 3"),
        ("coupled_deep_prompts", {"depth": 12}, r"parameterization\.depth 12"),
        ("independent_deep_prompts", {"text_depth": 12}, r"parameterization\.text_depth 12"),
        ("independent_deep_prompts", {"image_depth": 12}, r"parameterization\.image_depth 12"),
        ("coupled_deep_prompts", {"tokens": 5, "phrase": "a photo of a"}, "'a photo of a' are 5 tokens"),
        ("coupled_deep_prompts", {"phrase": ""}, "'' are 2 tokens"),
    ],
)
def test_what_does_not_fit_is_refused(encoder, name, changes, words) -> None:
    with pytest.raises(InputError, match=words) as caught:
        build(name, encoder, **changes)
    assert "\n" not in str(caught.value)


def test_other_towers_and_averaging_with_zero_shot_weights_are_refused(encoder) -> None:
    other = resnet()
    for name in SETTINGS:
        with pytest.raises(InputError, match="resnet takes no deep prompts"):
            build(name, other)
        with pytest.raises(InputError, match="does not start from the zero-shot model"):
            build(name, encoder).zero_shot_tensors()


def test_a_prompt_that_is_too_long_names_the_context(encoder) -> None:
    model = build("coupled_deep_prompts", encoder, tokens=20, phrase=None)
    with pytest.raises(InputError, match="with 20 context tokens"):
        model.text_features(["a name of very many words indeed"])
