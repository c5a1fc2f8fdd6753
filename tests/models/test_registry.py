from __future__ import annotations

import json
import shutil
import socket
import warnings
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from calibrant.errors import CalibrantWarning, InputError
from calibrant.models import open_clip_loading
from calibrant.models.attention import Attention
from calibrant.models.checkpoints import WEIGHTS_NAME, load_weights, save_model
from calibrant.models.downloads import hub_offline
from calibrant.models.licences import about_pretrained
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.open_clip_loading import build_network
from calibrant.models.registry import list_models, load_model
from calibrant.models.text import text_classifier


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.mark.usefixtures("no_sockets")
def test_a_folder_gives_the_same_model_without_a_socket(tiny: OpenClipEncoder, saved: Path) -> None:
    loaded = load_model(str(saved), offline=True)
    assert loaded.fingerprint() == tiny.fingerprint()
    assert loaded.about["licence"] == "Apache-2.0"
    assert loaded.preprocessing == tiny.preprocessing
    assert not loaded.training
    pixels = torch.randn(2, 3, 64, 64)
    assert torch.equal(loaded.encode_image(pixels), tiny.encode_image(pixels))
    assert torch.equal(text_classifier(loaded, ["cat"], ["{}"]), text_classifier(tiny, ["cat"], ["{}"]))


def test_open_clip_reads_what_we_write(tiny: OpenClipEncoder, saved: Path) -> None:
    theirs = open_clip.create_model(f"local-dir:{saved}")
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(tensor, tiny.network.state_dict()[name])
    assert theirs.visual.preprocess_cfg["size"] in {64, (64, 64)}


def test_half_precision_weights_are_read_into_float32(tiny: OpenClipEncoder, tmp_path: Path) -> None:
    half = {name: tensor.half() for name, tensor in tiny.network.state_dict().items()}
    save_file(half, tmp_path / "weights.safetensors")
    load_weights(tiny.network, tmp_path / "weights.safetensors")
    for name, tensor in tiny.network.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, half[name].float())


@pytest.mark.parametrize("wrap", [dict, lambda t: {"state_dict": {f"module.{k}": v for k, v in t.items()}, "epoch": 3}])
def test_torch_files_of_tensors_are_read(tiny: OpenClipEncoder, saved: Path, tmp_path: Path, wrap: Any) -> None:
    shutil.copy(saved / "open_clip_config.json", tmp_path)
    torch.save(wrap(tiny.network.state_dict()), tmp_path / "weights.pt")
    assert load_model(str(tmp_path / "weights.pt")).fingerprint() == tiny.fingerprint()


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


def test_a_pickle_with_code_in_it_is_not_run(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(saved / "open_clip_config.json", tmp_path)
    torch.save({"state_dict": _Bomb()}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"weights\.pt holds more than tensors"):
        load_model(str(tmp_path / "weights.pt"))
    assert not (tmp_path / "exploded").exists()


def test_vit_b_32_from_disk(tmp_path: Path) -> None:
    """A real architecture without weights: parity with open_clip, both attention and padding cut."""
    config = {**open_clip.get_model_config("ViT-B-32"), "quick_gelu": True}
    network = build_network(config).eval()
    texts = ["a photo of a cat.", "two dogs"]
    with torch.inference_mode():
        images, full = torch.randn(1, 3, 224, 224), open_clip.tokenize(texts)
        theirs = [network.encode_image(images, normalize=True), network.encode_text(full, normalize=True)]
    save_model(tmp_path / "folder", network, {}, {"architecture": config})
    ours = load_model(str(tmp_path / "folder"), offline=True)
    assert ours.about["quick_gelu"] is True
    assert (ours.image_size, ours.embed_dim, ours.text_width) == (224, 512, 512)
    assert sum(isinstance(module, Attention) for module in ours.modules()) == 24
    with torch.inference_mode():
        torch.testing.assert_close(ours.encode_image(images), theirs[0], rtol=0, atol=1e-6)
        torch.testing.assert_close(ours.encode_text(ours.tokenize(texts)), theirs[1], rtol=0, atol=1e-6)


def _folder(saved: Path, target: Path, change: dict[str, torch.Tensor | None]) -> Path:
    tensors = load_file(saved / WEIGHTS_NAME)
    for name, tensor in change.items():
        tensors.pop(name, None)
        if tensor is not None:
            tensors[name] = tensor
    shutil.copy(saved / "open_clip_config.json", target)
    save_file(tensors, target / WEIGHTS_NAME)
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"visual.proj": torch.zeros(192, 512)},
            r"another architecture: visual.proj is \[192, 512\], the model's is \[192, 256\]",
        ),
        ({"visual.proj": None}, r"visual.proj \[192, 256\] of the model is missing"),
        ({"visual.extra": torch.zeros(3)}, r"visual.extra \[3\] is not in the model"),
        ({"logit_scale": torch.tensor(torch.nan)}, "NaN or infinite values in logit_scale"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    saved: Path, tmp_path: Path, change: dict[str, torch.Tensor | None], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_model(str(_folder(saved, tmp_path, change)))
    assert WEIGHTS_NAME in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_logit_scale_of_one_element_is_accepted(saved: Path, tmp_path: Path) -> None:
    folder = _folder(saved, tmp_path, {"logit_scale": torch.tensor([3.0])})
    assert load_model(str(folder)).logit_scale.item() == pytest.approx(20.0855, abs=1e-3)


def test_a_truncated_file_is_named(saved: Path, tmp_path: Path) -> None:
    shutil.copy(saved / "open_clip_config.json", tmp_path)
    (tmp_path / WEIGHTS_NAME).write_bytes((saved / WEIGHTS_NAME).read_bytes()[:1000])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        load_model(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tinny", "did you mean 'tiny'"),
        ("ViT-B-32/opneai", "did you mean 'ViT-B-32/openai'"),
        ("ViT-B-23/openai", "did you mean 'ViT-B-32/openai'"),
        ("ViT-B-32", "bare architecture; name a pretrained tag .ViT-B-32/openai"),
        ("hf:openai/clip-vit-base-patch32", "cannot be read yet"),
        ("./missing-folder", "no model folder ./missing-folder"),
        ("missing.safetensors", "no checkpoint missing.safetensors"),
    ],
)
def test_names_that_lead_nowhere(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_model(name)


@pytest.mark.usefixtures("no_sockets")
def test_missing_weights_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("calibrant.models.downloads._downloaded", lambda config: None)
    with pytest.raises(InputError, match="ViT-B-32/openai are not on this machine and offline is set"):
        load_model("ViT-B-32/openai", offline=True)


def test_missing_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("calibrant.models.downloads._downloaded", lambda config: None)
    monkeypatch.setattr("calibrant.models.downloads.getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    with pytest.raises(InputError, match="cannot download the weights of ViT-B-32/openai; check the network"):
        load_model("ViT-B-32/openai")


def test_openai_weights_get_quick_gelu(tiny: OpenClipEncoder, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = {**tiny.about["architecture"], "quick_gelu": False}
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: dict(architecture))
    monkeypatch.setattr(open_clip_loading, "pretrained_weights", lambda *_: saved / WEIGHTS_NAME)
    openai = load_model("ViT-B-32/openai")
    laion = load_model("ViT-B-32/laion2b_s34b_b79k")
    assert (openai.about["quick_gelu"], laion.about["quick_gelu"]) == (True, False)
    assert (openai.about["licence"], openai.about["pretrained"]) == ("MIT", "openai")
    pixels = torch.randn(1, 3, 64, 64)
    assert torch.equal(laion.encode_image(pixels), tiny.encode_image(pixels))
    assert not torch.equal(openai.encode_image(pixels), tiny.encode_image(pixels))
    assert openai.fingerprint() != laion.fingerprint()  # the same tensors, another function


def test_a_bare_architecture_with_a_checkpoint(
    tiny: OpenClipEncoder, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: dict(tiny.about["architecture"]))
    file = shutil.copy(saved / WEIGHTS_NAME, tmp_path / "openai.safetensors")
    with pytest.warns(CalibrantWarning, match="use ViT-B-32-quickgelu"):
        loaded = load_model("ViT-B-32", checkpoint=file)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model("ViT-B-32", checkpoint=saved / WEIGHTS_NAME)
    assert loaded.fingerprint() == tiny.fingerprint()
    with pytest.raises(InputError, match="unknown architecture 'ViT-B-23'; did you mean 'ViT-B-32'"):
        load_model("ViT-B-23", checkpoint=file)


def test_folders_that_are_not_models(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no open_clip_config\.json"):
        load_model(str(tmp_path))
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(InputError, match="has no 'model_cfg'"):
        load_model(str(tmp_path))
    shutil.copy(saved / "open_clip_config.json", tmp_path)
    with pytest.raises(InputError, match="has a config but no weights"):
        load_model(str(tmp_path))
    for name in ("a.safetensors", "b.safetensors"):
        shutil.copy(saved / WEIGHTS_NAME, tmp_path / name)
    with pytest.raises(InputError, match=r"several weights files \(a.safetensors, b.safetensors\)"):
        load_model(str(tmp_path))
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"embed_dim": 3, "text_cfg": {}}}))
    with pytest.raises(InputError, match="not a model config"):
        load_model(str(tmp_path / "a.safetensors"))


def test_loading_leaves_the_random_numbers_alone(saved: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_model(str(saved))
    assert torch.equal(torch.rand(3), expected)


def test_every_listed_model_has_source_licence_and_limits() -> None:
    rows = list_models()
    assert rows[0]["name"] == "tiny"
    assert {f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()} < {r["name"] for r in rows}
    for row in rows:
        assert set(row) == {"name", "what", "source", "licence", "limits"}
        assert all(isinstance(text, str) and text for text in row.values())


def test_restrictive_licences_are_not_hidden_by_a_republisher() -> None:
    # an older open_clip does not know the last of them
    known = {tag for _, tag in open_clip.list_pretrained()}
    restricted = {"metaclip_fullcc": "NC", "dfn5b": "research only", "dfndr2b": "research only"}
    assert len(known & set(restricted)) >= 2
    for name in known & set(restricted):
        part, architecture = restricted[name], open_clip.list_pretrained_models_by_tag(name)[0]
        assert part in about_pretrained(name, open_clip.get_pretrained_cfg(architecture, name))["licence"]


def test_hub_offline_restores_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    import huggingface_hub.constants as constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with hub_offline(True):
        assert constants.HF_HUB_OFFLINE
        assert os.environ["TRANSFORMERS_OFFLINE"] == "1"
    assert not constants.HF_HUB_OFFLINE
    assert os.environ["HF_HUB_OFFLINE"] == "0"
    assert "TRANSFORMERS_OFFLINE" not in os.environ
