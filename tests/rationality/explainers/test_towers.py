"""The tuned model as it is, in every kind of image tower, and left as it was found."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import pytest
import torch
from small_towers import CLASSES, TARGETS, encoder_of, pixels_for, tuned
from torch import Tensor, nn

from calibrant.errors import InputError
from calibrant.models.attention import attention_maps
from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.readers import reading
from calibrant.rationality.explainers.registry import EXPLAINERS, explainer
from calibrant.rationality.explainers.towers import find_tower
from calibrant.tuning.tuned_model import Answers

INSIDE = ["attention-gradient", "grad-eclip", "grad-cam", "legrad", "rollout", "mask-clip", "clip-surgery"]
ATTENTION = [name for name in INSIDE if name != "grad-cam"]
READ = ["class-token", "coca", "siglip"]
PAIRS = [(kind, name) for kind in READ for name in INSIDE if (kind, name) != ("coca", "clip-surgery")]
PAIRS = [(kind, name) for kind, name in PAIRS if (kind, name) != ("siglip", "clip-surgery")]
GRID = {"class-token": (4, 4), "coca": (4, 4), "siglip": (10, 10), "average": (4, 4), "resnet": (2, 2)}


def explain(name: str, model: Answers, pixels: Tensor, **options: Any) -> np.ndarray:
    return explainer(name).explain(model, pixels, TARGETS[: len(pixels)], classes=CLASSES, **options).maps


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_a_batch_is_the_loop_and_the_model_stays_as_it_was(kind: str, name: str) -> None:
    model, pixels = tuned(kind), pixels_for(kind)
    before = model.logits(pixels, CLASSES)
    at_once = explain(name, model, pixels)
    assert at_once.shape == (3, *GRID[kind])
    assert (at_once.max(axis=(1, 2)) > at_once.min(axis=(1, 2))).all()
    close(explain(name, model, pixels, batch_size=1), at_once)
    assert torch.equal(model.logits(pixels, CLASSES), before)


@pytest.mark.parametrize("kind", READ)
def test_inside_the_explainer_the_answer_is_the_same(kind: str) -> None:
    encoder, pixels = encoder_of(kind), pixels_for(kind)
    tower = find_tower(encoder)
    assert tower is not None
    with torch.no_grad():
        whole = encoder.encode_image(pixels)
        with reading(tower.reader) as read:
            alone = encoder.encode_image(pixels)
    torch.testing.assert_close(alone, whole, atol=1e-6, rtol=0)
    assert read[0].weights.shape[-2] == 1


@pytest.mark.parametrize("kind", ["coca", "siglip"])
def test_the_pooler_is_the_last_layer(kind: str) -> None:
    model, pixels = tuned(kind), pixels_for(kind)
    tower, text = find_tower(model.encoder), model.text_features(CLASSES)
    assert tower is not None
    with reading(tower.reader) as read:
        features = model.parameterization.image_features(pixels)
    (slope,) = torch.autograd.grad((features * text[TARGETS]).sum(), [read[0].weights])
    expected = (slope * read[0].weights).clamp(min=0).mean(dim=1)[:, 0, -np.prod(GRID[kind]) :].detach()
    close(explain("attention-gradient", model, pixels), expected.reshape(3, *GRID[kind]).numpy())
    count = len(tower.blocks)
    everything = explain("attention-gradient", model, pixels, layers="all")
    close(explain("attention-gradient", model, pixels, layers=(0, count + 1)), everything)
    with pytest.raises(InputError, match=rf"layer {count}, and no map leaves it out: take layers \(0, {count + 1}\)"):
        explain("attention-gradient", model, pixels, layers=(0, count))


@functools.cache
def with_torch_attention() -> Answers:
    """Give the same model with PyTorch's own attention modules in its blocks."""
    model = tuned()
    parameterization = copy.deepcopy(model.zero_shot.parameterization)
    for block in parameterization.encoder.network.visual.transformer.resblocks:
        theirs = nn.MultiheadAttention(block.attn.embed_dim, block.attn.num_heads, batch_first=True)
        theirs.load_state_dict(block.attn.state_dict())
        block.attn = theirs.eval()
    return Answers(parameterization)


@pytest.mark.parametrize("name", INSIDE)
def test_attention_that_is_torchs_own_is_explained_alike(name: str) -> None:
    theirs, pixels = with_torch_attention(), pixels_for("class-token")
    before = theirs.logits(pixels, CLASSES)
    close(explain(name, theirs, pixels), explain(name, tuned(), pixels))
    if name in ("attention-gradient", "legrad"):
        close(explain(name, theirs, pixels, layers="all"), explain(name, tuned(), pixels, layers="all"))
    assert torch.equal(theirs.logits(pixels, CLASSES), before)
    for block in theirs.encoder.network.visual.transformer.resblocks:
        assert type(block.attn) is nn.MultiheadAttention
        assert "forward" not in vars(block.attn)


def hooks_of(model: nn.Module) -> list[Any]:
    places = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    return [
        ({place: list(getattr(module, place)) for place in places}, "forward" in vars(module), module.training)
        for module in model.modules()
    ]


@pytest.mark.parametrize("name", INSIDE)
def test_an_error_leaves_nothing_behind(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, pixels = tuned(method="coop"), pixels_for("class-token")
    part = model.parameterization
    asked = {key: tensor.requires_grad for key, tensor in part.named_parameters()}
    assert any(asked.values())
    weights = {key: tensor.clone() for key, tensor in part.state_dict().items()}
    found, before = hooks_of(part), model.logits(pixels, CLASSES)
    with monkeypatch.context() as patch:
        patch.setattr(part, "adapt", lambda features: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            explain(name, model, pixels)
    assert hooks_of(part) == found
    assert {key: tensor.requires_grad for key, tensor in part.named_parameters()} == asked
    assert all(torch.equal(tensor, weights[key]) and tensor.grad is None for key, tensor in part.state_dict().items())
    with attention_maps(part.encoder) as maps:
        assert torch.equal(model.logits(pixels, CLASSES), before) or maps
    assert torch.equal(model.logits(pixels, CLASSES), before)


METHODS = ["zero-shot", "coop", "cocoop", "maple", "vpt", "clip-adapter", "clip-lora", "ft", "flcp-lp", "flyp"]


@pytest.mark.parametrize("method", METHODS)
def test_tuned_models_are_explained_as_they_are(method: str) -> None:
    model, pixels = tuned(method=method), pixels_for("class-token", 2)
    before = model.logits(pixels, CLASSES)
    for name in INSIDE:
        if method == "cocoop" and name in ("mask-clip", "clip-surgery"):
            with pytest.raises(InputError, match="has another one for every image"):
                explain(name, model, pixels)
            continue
        score = "cosine" if name == "clip-surgery" else "margin"
        maps = explain(name, model, pixels, score=score)
        assert maps.shape == (2, 4, 4)
        assert np.isfinite(maps).all()
        # nothing may speak for the class of one image
        assert (maps.max(axis=(1, 2)) > maps.min(axis=(1, 2))).any()
    assert torch.equal(model.logits(pixels, CLASSES), before)


@pytest.mark.parametrize("method", ["maple", "vpt", "clip-adapter", "clip-lora"])
def test_what_a_method_adds_is_there_and_is_no_patch(method: str) -> None:
    model, pixels = tuned(method=method), pixels_for("class-token")
    with attention_maps(model.encoder.network.visual) as maps:
        features = model.parameterization.image_features(pixels.clone().requires_grad_())
    weights = list(maps.values())[-1]
    added = weights.shape[-1] - 17
    assert (added > 0) == (method in ("maple", "vpt"))
    cosines = (features * model.text_features(CLASSES)[TARGETS]).sum()
    (slope,) = torch.autograd.grad(cosines, [weights])
    expected = (slope * weights).relu().mean(dim=1)[:, 0, 1:17].reshape(3, 4, 4).detach().numpy()
    close(explain("attention-gradient", model, pixels), expected)


def test_the_score_is_that_of_the_tuned_model() -> None:
    model, pixels = tuned(method="vpt"), pixels_for("class-token")
    assert not np.allclose(explain("grad-eclip", model, pixels), explain("grad-eclip", model.zero_shot, pixels))
    # the map of the last block is the same but for the factor from cosine to logit
    zero, factor = model.zero_shot, model.zero_shot.logit_scale
    head, cosine = (explain("attention-gradient", zero, pixels, score=score) for score in ("head", "cosine"))
    close(head, factor * cosine)


@pytest.mark.parametrize("kind", ["average", "resnet", "convnext", "custom"])
def test_grad_cam_looks_into_every_kind_of_tower(kind: str) -> None:
    model, pixels = tuned(kind), pixels_for(kind)
    before = model.logits(pixels, CLASSES)
    for score in ("cosine", "margin", "head"):
        maps = explain("grad-cam", model, pixels, score=score)
        assert maps.shape[0] == 3
        assert maps.shape[1:] == GRID.get(kind, maps.shape[1:])
        assert maps.max() > 0
    assert torch.equal(model.logits(pixels, CLASSES), before)
    for name in ATTENTION:
        with pytest.raises(InputError, match=f"'{name}' reads attention.*'a {kind} model'.*take grad-cam, occlusion"):
            explain(name, model, pixels)


def test_grad_cam_of_a_resnet_is_the_formula() -> None:
    model, pixels = tuned("resnet"), pixels_for("resnet")
    tower = copy.deepcopy(model.encoder.network.visual).double()
    x = tower.stem(pixels.double())
    for stage in (tower.layer1, tower.layer2, tower.layer3, tower.layer4):
        x = stage(x)
    x = x.detach().requires_grad_()
    features = nn.functional.normalize(tower.attnpool(x), dim=-1)
    (slope,) = torch.autograd.grad((features * model.text_features(CLASSES).double()[TARGETS]).sum(), [x])
    expected = np.zeros((3, 2, 2))
    for image in range(3):
        for channel in range(x.shape[1]):
            expected[image] += (slope[image, channel].mean() * x[image, channel]).detach().numpy()
    expected = np.maximum(expected, 0)
    assert expected.max() > 0
    np.testing.assert_allclose(explain("grad-cam", model, pixels), expected, atol=1e-6)


def test_only_what_is_needed_keeps_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pixels = tuned(), pixels_for("class-token")
    asking: list[bool] = []
    blocks = list(model.encoder.network.visual.transformer.resblocks)
    handles = [
        block.register_forward_hook(lambda _, __, made: asking.append((made.requires_grad, made.shape[1])))
        for block in blocks
    ]
    try:
        explain("attention-gradient", model, pixels)
    finally:
        for handle in handles:
            handle.remove()
    assert asking == [(False, 17), (False, 17), (True, 1)]


def test_autocast_and_inference_mode_change_nothing() -> None:
    model, pixels = tuned(), pixels_for("class-token")
    wanted = explain("attention-gradient", model, pixels, layers="all")
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = explain("attention-gradient", model, pixels.clone(), layers="all")
    np.testing.assert_array_equal(found, wanted)


def test_images_are_prepared_as_for_prediction() -> None:
    model = tuned()
    images = np.random.default_rng(3).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
    pixels = torch.stack([model.encoder.test_transform(image) for image in images])
    found = explainer("grad-cam").explain(model, list(images), TARGETS, classes=CLASSES, ids=["a", "b", "c"])
    np.testing.assert_array_equal(found.maps, explain("grad-cam", model, pixels))
    assert found.ids == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("attention-gradient", {"score": "cosin"}, "did you mean 'cosine'"),
        ("attention-gradient", {"layers": (3, 3)}, "layers 3 to 3 are not among the 3"),
        ("attention-gradient", {"layers": "first"}, "layers are 'last', 'all'"),
        ("legrad", {"layers": (2, 4)}, "layers 2 to 4 are not among the 3"),
        ("clip-surgery", {"score": "head"}, "its score is 'cosine', not 'head'"),
        ("grad-cam", {"targets": [0, 1, 3]}, "target 3 is none of the 3 classes"),
        ("grad-cam", {"targets": [0, 1]}, "targets must be 3 positions"),
        ("grad-cam", {"classes": ["cat"], "targets": [0, 0, 0], "score": "margin"}, "at least two classes"),
        ("clip-surgery", {"classes": ["cat"], "targets": [0, 0, 0]}, "it needs at least two"),
    ],
)
def test_bad_input_is_one_line(name: str, options: dict[str, Any], said: str) -> None:
    options = {"targets": TARGETS, "classes": CLASSES, **options}
    with pytest.raises(InputError, match=said) as raised:
        explainer(name).explain(tuned(), pixels_for("class-token"), options.pop("targets"), **options)
    assert "\n" not in str(raised.value)


def test_names() -> None:
    assert {name for name, member in EXPLAINERS.items() if not member.explains} >= {"mask-clip", "clip-surgery"}
    assert all(issubclass(member, Explainer) for member in EXPLAINERS.values())
    with pytest.raises(InputError, match="did you mean 'grad-cam'"):
        explainer("gradcam")
    with pytest.raises(InputError, match=r"explainer 'grad-cam': .*takes no arguments"):
        explainer("grad-cam", window=3)
    with pytest.raises(InputError, match="at least one block"):
        explainer("clip-surgery", blocks=0)
