"""Tuning through its front door, on a model and images that take no time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tuning_toy import QUICK, TRAINED

from calibrant.errors import InputError
from calibrant.models.text import text_classifier
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.loop import Step

SAME_AT_START = {
    "zero-shot": {},
    "ft": {"solver.steps": 0, "solver.batch_size": 8},
    "flyp": {"solver.steps": 0, "solver.batch_size": 8},
    "wise-ft": {"solver.steps": 0, "solver.batch_size": 8},
    "flyp+wise_ft": {"solver.steps": 0, "solver.batch_size": 8},
    "ft+ema": {"solver.steps": 0, "solver.batch_size": 8},
    "coop": {
        "solver.steps": 0,
        "solver.batch_size": 8,
        "parameterization.tokens": None,
        "parameterization.phrase": "a photo of a",
    },
}


def tune(encoder, train, method, cache, changes=QUICK, **more):
    return fit(encoder, train, load_recipe(method, changes, "tiny"), cache=cache, progress=False, **more)


@pytest.mark.parametrize("method", SAME_AT_START)
def test_no_step_leaves_the_zero_shot_model(method, encoder, train, cache, pixels):
    tuned = tune(encoder, train, method, cache, SAME_AT_START[method])
    text = text_classifier(encoder, train.classes, train.templates, train.words)
    expected = encoder.logit_scale * encoder.encode_image(pixels) @ text.T
    torch.testing.assert_close(tuned.logits(pixels, train.classes), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(tuned.zero_shot.logits(pixels, train.classes), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", TRAINED)
def test_the_loss_falls_and_the_answers_change(method, encoder, train, cache, pixels):
    before = encoder.fingerprint()
    rows = []
    changes = {**QUICK, "solver.steps": 20, "solver.batch_size": 20}
    tuned = tune(encoder, train, method, cache, changes, log=rows.append)
    assert rows[-1]["loss"] < rows[0]["loss"] or rows[-1]["loss"] < 0.05
    assert encoder.fingerprint() == before, "the given encoder was changed"
    assert not torch.allclose(
        tuned.logits(pixels, train.classes), tuned.zero_shot.logits(pixels, train.classes), atol=1e-3
    )  # any images, any names
    assert tuned.logits(pixels, ["a name never seen"]).shape == (4, 1)
    features = tuned.image_features(pixels)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(4))
    torch.testing.assert_close(tuned.logits(features, train.classes), tuned.logits(pixels, train.classes))


@pytest.mark.parametrize(
    ("method", "image_tower", "text_tower"),
    [("coop", False, False), ("linear-probe", False, False), ("ft", True, False), ("flyp", True, True)],
)
def test_only_what_is_trained_moves(method, image_tower, text_tower, encoder, train, cache):
    changes = {} if method == "linear-probe" else QUICK
    tuned = tune(encoder, train, method, cache, changes)
    for moved, tower in ((image_tower, "image_tower_parameters"), (text_tower, "text_tower_parameters")):
        pairs = list(zip(getattr(encoder, tower)(), getattr(tuned.encoder, tower)(), strict=True))
        assert any(not torch.equal(a, b) for (_, a), (_, b) in pairs) == moved
        # what is not trained is not copied either
        assert all((a is b) != moved for (_, a), (_, b) in pairs)


def test_the_head_answers_its_own_list_and_zero_shot_text_any_other(encoder, train, cache, pixels):
    tuned = tune(encoder, train, "ft", cache)
    head = tuned.parameterization.head
    features = tuned.image_features(pixels)
    torch.testing.assert_close(tuned.logits(pixels, train.classes), features @ head.weight.T + head.bias)
    names = ["dog", "cat"]
    text = text_classifier(encoder, names, train.templates)
    torch.testing.assert_close(tuned.logits(pixels, names), encoder.logit_scale * features @ text.T)
    assert tuned.about["text_side"] == "zero-shot"


def test_full_tuning_builds_its_classifier_from_the_tuned_text_tower(encoder, train, cache):
    tuned = tune(encoder, train, "flyp", cache)
    templates = ["a photo of a {}.", "art of a {}."]
    features = []
    for name in ("cat", "zebra"):
        rows = [tuned.encoder.encode_text(tuned.encoder.tokenize([t.format(name)]))[0] for t in templates]
        mean = sum(rows) / 2
        features.append(mean / mean.norm())
    got = tuned.text_features(["cat", "zebra"], templates)
    torch.testing.assert_close(got, torch.stack(features), atol=1e-6, rtol=0)
    assert tuned.about["text_side"] == "tuned"


def test_class_specific_contexts_serve_new_names_too(encoder, train, cache):
    tuned = tune(encoder, train, "coop", cache, {**QUICK, "parameterization.shared": False})
    context = tuned.parameterization.context
    assert context.shape[0] == 3
    assert not torch.equal(context[0], context[1])
    assert tuned.text_features(["cat", "zebra"]).shape == (2, 16)


def test_weights_go_to_disk_and_back(encoder, train, cache, pixels, tmp_path):
    for method in ("zero-shot", "linear-probe", "coop", "flyp"):
        changes = {} if method in ("zero-shot", "linear-probe") else QUICK
        tuned = tune(encoder, train, method, cache, changes)
        tuned.save(tmp_path / "w.safetensors")
        again = type(tuned).load(tmp_path / "w.safetensors", encoder)
        for names in (train.classes, ["dog", "cat"]):
            assert torch.equal(again.logits(pixels, names), tuned.logits(pixels, names))
        assert again.recipe == tuned.recipe
    with torch.no_grad():
        encoder.log_logit_scale.add_(1)
    with pytest.raises(InputError, match="other weights"):
        type(tuned).load(tmp_path / "w.safetensors", encoder)


def test_the_file_holds_only_what_was_trained(encoder, train, cache, tmp_path):
    from safetensors import safe_open

    tune(encoder, train, "coop", cache).save(tmp_path / "w.safetensors")
    with safe_open(str(tmp_path / "w.safetensors"), "pt") as file:
        assert list(file.keys()) == ["context"]


def test_nothing_but_forward_is_called_in_training(encoder, train, cache, monkeypatch):
    inside, outside = [], []
    original = Step.forward

    def forward(self, batch):
        inside.append(True)
        terms = original(self, batch)
        inside.pop()
        return terms

    monkeypatch.setattr(Step, "forward", forward)
    for name in ("encode_image", "encode_text_embeddings", "encode_text_after_prefix"):
        encode = getattr(type(encoder), name)

        def spy(self, *arguments, encode=encode, name=name):
            if torch.is_grad_enabled() and not inside:
                outside.append(name)
            return encode(self, *arguments)

        monkeypatch.setattr(type(encoder), name, spy)
    for method in ("flyp", "ft", "coop"):
        tune(encoder, train, method, cache)
    assert not outside


def test_cached_views_give_what_live_images_give(encoder, train, cache, pixels):
    plain = {**QUICK, "solver.augmentation": {"scale": [1, 1], "ratio": [1, 1], "flip": 0}}
    live = tune(encoder, train, "coop", cache, {**plain, "solver.views": "live"})
    cached = tune(encoder, train, "coop", cache, {**plain, "solver.views": 3})
    torch.testing.assert_close(live.tensors()["context"], cached.tensors()["context"], atol=1e-4, rtol=1e-3)


def test_the_seed_decides(encoder, train, cache):
    runs = [tune(encoder, train, "flyp", cache, seed=seed).tensors() for seed in (1, 1, 2)]
    assert all(torch.equal(a, b) for a, b in zip(runs[0].values(), runs[1].values(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(runs[0].values(), runs[2].values(), strict=True))


def test_watch_sees_every_tenth_and_changes_nothing(encoder, train, cache, pixels):
    seen, rows = [], []

    def watch(step, total, model):
        seen.append((step, total))
        return {"mean": float(model.logits(pixels, train.classes).mean())}

    changes = {**QUICK, "solver.steps": 20}
    watched = tune(encoder, train, "flyp", cache, changes, watch=watch, log=rows.append)
    assert seen == [(2 * tenth, 20) for tenth in range(1, 11)]
    assert sum("mean" in row for row in rows) == 10
    alone = tune(encoder, train, "flyp", cache, changes)
    assert all(torch.equal(a, b) for a, b in zip(watched.tensors().values(), alone.tensors().values(), strict=True))


def test_the_chosen_precision_is_in_the_log(encoder, train, cache, monkeypatch):
    monkeypatch.setattr("calibrant.tuning.loop.fastest_precision", lambda device: "bf16")
    rows = []
    tune(encoder, train, "flyp", cache, {**QUICK, "solver.precision": "auto"}, log=rows.append)
    assert {row["precision"] for row in rows} == {"bf16"}


def test_bf16_then_fp32_in_one_process(encoder, train, cache, pixels):
    for precision in ("bf16", "fp32", "bf16"):
        tuned = tune(encoder, train, "flyp", cache, {**QUICK, "solver.precision": precision})
        assert all(tensor.dtype == torch.float32 for tensor in tuned.tensors().values())
        assert tuned.logits(pixels, train.classes).dtype == torch.float32


@pytest.mark.parametrize(
    ("method", "changes", "words"),
    [
        ("ft", {"solver.views": 4}, "set it to live"),
        ("ft", {"solver.precision": "fp16"}, "fp16 needs a GPU"),
        ("coop+wise_ft", {}, "does not start from the zero-shot model"),
        ("linear-probe+l2_sp", {}, "takes no regularizers"),
        ("ft", {"solver.learning_rate": 1e30, "solver.clip_gradient": None}, "not finite"),
        ("coop", {"parameterization.phrase": None, "parameterization.tokens": 40}, "24"),
        (
            "zero-shot",
            {"solver": {"name": "steps", "learning_rate": 1, "steps": 1, "batch_size": 1}},
            "no obj",
        ),
    ],
)
def test_what_does_not_fit_is_refused(method, changes, words, encoder, train, cache):
    quick = {} if method.startswith(("linear", "zero")) else QUICK
    with pytest.raises(InputError, match=words) as caught:
        tune(encoder, train, method, cache, {**quick, **changes})
    assert "\n" not in str(caught.value)


def test_labels_outside_the_class_list_are_named(encoder, train, cache):
    labels = train.labels.copy()
    labels[3] = 7
    with pytest.raises(InputError, match="image 3 has label 7"):
        tune(encoder, type(train)(**{**vars(train), "labels": labels}), "coop", cache)


def test_a_small_training_set_gives_small_batches_and_says_so(encoder, train, cache):
    from calibrant.errors import CalibrantWarning

    with pytest.warns(CalibrantWarning, match="batches have 20 images"):
        tune(encoder, train, "ft", cache, {**QUICK, "solver.batch_size": 64, "solver.steps": 1})


def test_epochs_become_steps():
    from calibrant.tuning.solvers.steps_settings import StepsSettings

    settings = StepsSettings(learning_rate=1, epochs=3, batch_size=8)
    assert settings.total(20) == 8  # 60 samples in batches of 8
    assert settings.total(4) == 3
    assert np.isfinite(settings.learning_rate)
