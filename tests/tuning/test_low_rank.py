"""LoRA: the update, what is shared, dropout that resumes, merging, and the adapter as another library reads it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tuning_toy import QUICK

from calibrant.errors import InputError
from calibrant.models.attention import Attention, attention_maps
from calibrant.models.text import text_classifier
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.adapter_files import save_adapter
from calibrant.tuning.parameterizations.low_rank_attention import (
    LowRankAttention,
    LowRankUpdate,
    StepDropout,
)

ALL = {"parameterization.projections": ["q", "k", "v", "out"], "parameterization.rank": 3, "parameterization.alpha": 5}


def tune(encoder, train, cache, changes=None, **more):
    recipe = load_recipe("clip-lora", {**QUICK, **(changes or {})}, "tiny")
    return fit(encoder, train, recipe, cache=cache, progress=False, **more)


def test_attention_is_that_of_the_updated_weights():
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True).double()
    base = Attention(theirs)
    dropout = StepDropout(0.5)
    updates = {
        name: LowRankUpdate(torch.randn(3, 8).double(), torch.randn(8, 3).double(), 0.7, dropout)
        for name in ("q", "v", "out")
    }
    ours = LowRankAttention(base, updates)
    x = torch.randn(2, 5, 8).double()
    got, _ = ours(x)
    delta = {name: 0.7 * update.up @ update.down for name, update in updates.items()}
    with torch.no_grad():
        theirs.in_proj_weight += torch.cat([delta["q"], torch.zeros(8, 8), delta["v"]])
        theirs.out_proj.weight += delta["out"]
        expected, _ = theirs(x, x, x, need_weights=False)
    # the base weights are shared, so they have moved along: take the updates off again
    with torch.no_grad():
        theirs.in_proj_weight -= torch.cat([delta["q"], torch.zeros(8, 8), delta["v"]])
        theirs.out_proj.weight -= delta["out"]
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)
    assert ours.in_proj_weight is theirs.in_proj_weight


def test_no_step_is_the_zero_shot_model_and_base_weights_are_shared(encoder, train, cache, pixels):
    tuned = tune(encoder, train, cache, {**ALL, "solver.steps": 0, "parameterization.dropout": 0.5})
    expected = tuned.zero_shot.logits(pixels, train.classes)
    assert torch.equal(tuned.logits(pixels, train.classes), expected)
    mine = {id(tensor) for tensor in tuned.parameterization.trainables().values()}
    theirs = {id(tensor) for tensor in encoder.parameters()}
    assert {id(tensor) for tensor in tuned.encoder.parameters()} == mine | theirs
    assert len(mine) == 2 * 4 * 4  # two towers of two blocks, four projections, up and down


@pytest.mark.parametrize(
    ("towers", "image", "text"), [(["image"], True, False), (["text"], False, True), (["image", "text"], True, True)]
)
def test_only_the_chosen_towers_change(towers, image, text, encoder, train, cache, pixels):
    tuned = tune(encoder, train, cache, {"parameterization.towers": towers})
    same = torch.equal(tuned.image_features(pixels), tuned.zero_shot.image_features(pixels))
    assert same != image
    names = ["zebra", "cat"]
    assert torch.equal(tuned.text_features(names), tuned.zero_shot.text_features(names)) != text
    assert tuned.about["image_tower"] == ("tuned" if image else "untouched")
    assert tuned.about["text_side"] == ("tuned" if text else "zero-shot")


def test_merged_weights_answer_alike(encoder, train, cache, pixels):
    tuned = tune(encoder, train, cache, {**ALL, "solver.learning_rate": 0.03})
    before = encoder.fingerprint()
    merged = tuned.parameterization.merged()
    assert not any(isinstance(module, LowRankAttention) for module in merged.modules())
    torch.testing.assert_close(merged.encode_image(pixels), tuned.image_features(pixels), atol=1e-6, rtol=0)
    text = text_classifier(merged, train.classes, train.templates, train.words)
    torch.testing.assert_close(text, tuned.text_features(train.classes), atol=1e-6, rtol=0)
    assert not torch.allclose(merged.encode_image(pixels), encoder.encode_image(pixels), atol=1e-3)
    assert encoder.fingerprint() == before
    changed = [a is not b for a, b in zip(merged.parameters(), encoder.parameters(), strict=True)]
    assert sum(changed) == 2 * 4  # of each of four blocks the fused weight and that of the output


def test_a_shared_prefix_and_attention_maps_see_the_updates(encoder, train, cache, pixels):
    tuned = tune(encoder, train, cache, {**ALL, "solver.learning_rate": 0.03})
    mine, merged = tuned.encoder, tuned.parameterization.merged()
    ids = mine.tokenize(["a photo of a cat.", "a photo of a red car."])
    embedded = mine.embed_tokens(ids)
    whole = mine.encode_text(ids)
    after = mine.encode_text_after_prefix(embedded[0, :4], embedded[:, 4:], ids[:, 4:])
    torch.testing.assert_close(after, whole, atol=1e-6, rtol=0)
    with attention_maps(mine) as maps, attention_maps(merged) as expected:
        mine.encode_image(pixels)
        merged.encode_image(pixels)
    assert maps.keys() == expected.keys()
    for name, weights in maps.items():
        torch.testing.assert_close(weights, expected[name], atol=1e-6, rtol=0)


def test_dropout_acts_in_steps_only_and_resumes_bit_for_bit(encoder, train, cache, pixels, tmp_path):
    drop = {"parameterization.dropout": 0.5, "solver.steps": 8}
    whole = tune(encoder, train, cache, drop)
    without = tune(encoder, train, cache, {**drop, "parameterization.dropout": 0.0})
    first = next(iter(whole.tensors()))
    assert not torch.allclose(whole.tensors()[first], without.tensors()[first], atol=1e-5)
    part = whole.parameterization
    assert torch.equal(part.image_features(pixels), part.image_features(pixels)), "it drops outside of a step"

    class Stopped(Exception):
        pass

    def stop(row):
        if row["step"] == 5:
            raise Stopped

    keep = {"save": lambda checkpoint: checkpoint.write(tmp_path), "save_every": 3}
    with pytest.raises(Stopped):
        tune(encoder, train, cache, drop, **keep, log=stop)
    resumed = tune(encoder, train, cache, drop, **keep, resume_from=tmp_path)
    assert all(torch.equal(resumed.tensors()[name], tensor) for name, tensor in whole.tensors().items())


def test_dropout_keeps_the_mean_and_drops_its_share():
    dropout, x = StepDropout(0.25), torch.ones(200, 200)
    with dropout.acting(7, x.device):
        one, two = dropout(x), dropout(x)
    with dropout.acting(7, x.device):
        again = dropout(x)
    assert torch.equal(one, again)
    assert not torch.equal(one, two)
    assert torch.equal(dropout(x), x)
    assert float((one == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert float(one.max()) == pytest.approx(4 / 3)


def in_transformers(encoder):
    """The toy as transformers' CLIPModel, weight by weight."""
    from transformers import CLIPConfig, CLIPModel

    size = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": "gelu"}
    text = {**size, "hidden_size": 16, "intermediate_size": 64, "max_position_embeddings": 24, "vocab_size": 49408}
    vision = {**size, "hidden_size": 32, "intermediate_size": 128, "image_size": 16, "patch_size": 8}
    model = CLIPModel(CLIPConfig(text_config={**text, "eos_token_id": 49407}, vision_config=vision, projection_dim=16))
    state = {name.removeprefix("network."): tensor for name, tensor in encoder.state_dict().items()}
    ours = {
        "text_model.embeddings.token_embedding.weight": state["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": state["positional_embedding"],
        "vision_model.embeddings.class_embedding": state["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": state["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": state["visual.positional_embedding"],
        "visual_projection.weight": state["visual.proj"].T,
        "text_projection.weight": state["text_projection"].T,
        "logit_scale": state["logit_scale"],
    }
    norms = {"text_model.final_layer_norm": "ln_final", "vision_model.pre_layrnorm": "visual.ln_pre"}
    for theirs, name in {**norms, "vision_model.post_layernorm": "visual.ln_post"}.items():
        ours |= {f"{theirs}.{kind}": state[f"{name}.{kind}"] for kind in ("weight", "bias")}
    parts = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for tower, home in (("vision_model", "visual."), ("text_model", "")):
        for block in range(2):
            there, here = f"{tower}.encoder.layers.{block}.", f"{home}transformer.resblocks.{block}."
            for kind in ("weight", "bias"):
                for theirs, name in {**parts, "self_attn.out_proj": "attn.out_proj"}.items():
                    ours[f"{there}{theirs}.{kind}"] = state[f"{here}{name}.{kind}"]
                for projection, rows in zip("qkv", state[f"{here}attn.in_proj_{kind}"].chunk(3), strict=True):
                    ours[f"{there}self_attn.{projection}_proj.{kind}"] = rows
    missing, unexpected = model.load_state_dict({k: v.clone() for k, v in ours.items()}, strict=False)
    assert not unexpected
    assert all("position_ids" in name for name in missing)
    return model.eval()


def features_of(model, pixels, ids):
    with torch.no_grad():
        towers = model.get_image_features(pixels), model.get_text_features(ids)
        return [torch.nn.functional.normalize(tower.pooler_output, dim=-1) for tower in towers]


def test_the_adapter_is_that_of_the_clip_in_transformers(encoder, train, cache, pixels, tmp_path):
    tuned = tune(encoder, train, cache, {**ALL, "solver.learning_rate": 0.03})
    save_adapter(tuned, tmp_path, "somebody/clip")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    model, ids = in_transformers(encoder), encoder.tokenize(["a photo of a cat."])
    torch.testing.assert_close(features_of(model, pixels, ids)[0], encoder.encode_image(pixels), atol=1e-5, rtol=0)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    prefix = "base_model.model."
    modules = {name.removeprefix(prefix).rpartition(".lora_")[0] for name in tensors}
    with torch.no_grad():
        for module in modules:
            down, up = (tensors[f"{prefix}{module}.lora_{kind}.weight"] for kind in "AB")
            model.get_submodule(module).weight += config["lora_alpha"] / config["r"] * up @ down
    image, text = features_of(model, pixels, ids)
    torch.testing.assert_close(image, tuned.image_features(pixels), atol=1e-5, rtol=0)
    torch.testing.assert_close(text, tuned.text_features(["cat"]), atol=1e-5, rtol=0)
    # the pattern names the modules of the file and no other
    chosen = {name for name, _ in model.named_modules() if re.fullmatch(config["target_modules"], name)}
    assert chosen == modules
    assert len(modules) == 2 * 2 * 4
    assert config["base_model_name_or_path"] == "somebody/clip"


@pytest.mark.parametrize(
    "changes",
    [{}, ALL, {"parameterization.towers": ["image"], "parameterization.projections": ["v", "out"]}],
)
def test_peft_reads_the_adapter(changes, encoder, train, cache, pixels, tmp_path):
    from peft import PeftModel

    tuned = tune(encoder, train, cache, {**changes, "solver.learning_rate": 0.03})
    save_adapter(tuned, tmp_path)
    ids = encoder.tokenize(["a photo of a cat."])
    before, model = in_transformers(encoder), PeftModel.from_pretrained(in_transformers(encoder), tmp_path)
    image, text = features_of(model, pixels, ids)
    torch.testing.assert_close(image, tuned.image_features(pixels), atol=1e-5, rtol=0)
    torch.testing.assert_close(text, tuned.text_features(["cat"]), atol=1e-5, rtol=0)
    assert (image - features_of(before, pixels, ids)[0]).abs().max() > 1e-3
    # every tensor of the file has found its place: none is left as peft starts it, an update of zero
    updates = [tensor for name, tensor in model.named_parameters() if ".lora_B." in name]
    assert len(updates) == len(load_file(tmp_path / "adapter_model.safetensors")) / 2
    assert all(bool(tensor.abs().max() > 0) for tensor in updates)


def test_an_adapter_of_something_else_is_refused(encoder, train, cache, tmp_path):
    tuned = fit(encoder, train, load_recipe("taskres", QUICK, "tiny"), cache=cache, progress=False)
    with pytest.raises(InputError, match="'taskres' trains something else"):
        save_adapter(tuned, tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parameterization.rank": 17}, "rank is 17, but the attention is only 16 wide"),
        ({"parameterization.projections": ["q", "w"]}, "projections"),
        ({"parameterization.towers": []}, "towers"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words, encoder, train, cache):
    with pytest.raises(InputError, match=words) as caught:
        tune(encoder, train, cache, changes)
    assert "\n" not in str(caught.value)


def test_a_tower_without_our_attention_is_refused(encoder, train, cache, monkeypatch):
    monkeypatch.setattr(type(encoder), "attention_layers", lambda self, tower: [])
    with pytest.raises(InputError, match="the image tower of toy has no attention"):
        tune(encoder, train, cache)


def test_updates_start_from_the_seed(encoder, train, cache):
    runs = [tune(encoder, train, cache, {"solver.steps": 0}, seed=seed).tensors() for seed in (1, 1, 2)]
    down = [name for name in runs[0] if name.endswith("down")]
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not any(torch.equal(runs[0][name], runs[2][name]) for name in down)
    assert all(np.abs(runs[0][name].numpy()).max() <= 16**-0.5 for name in down)
