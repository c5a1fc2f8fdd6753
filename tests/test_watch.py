"""What is watched in tuning: tuned classes and new ones, and new ones stay new."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import calibrant.data.labelled_files as labelled_files
import calibrant.watch as watch
from calibrant.data.registry import load_data
from calibrant.errors import InputError
from calibrant.models.checkpoints import save_model
from calibrant.models.open_clip_loading import build_network
from calibrant.models.registry import load_model
from calibrant.models.tiny import FOLDER
from calibrant.runs import Run
from calibrant.storage import read_json
from calibrant.tune import tune
from calibrant.tuning import fit, load_recipe
from calibrant.watch import Watch, Watched

MINI = {
    "embed_dim": 32,
    "quick_gelu": False,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
FEW_STEPS = {"solver.steps": 2, "solver.epochs": None, "solver.batch_size": 8, "solver.views": 1}


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CALIBRANT_CACHE", str(tmp_path / "cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def model(tmp_path: Path) -> str:
    torch.manual_seed(0)
    preprocessing = {**read_json(FOLDER / "tiny.json")["preprocess_cfg"], "size": 32}
    about = {"architecture": MINI, "licence": "none", "source": "test", "limits": "random weights"}
    save_model(tmp_path / "mini", build_network(MINI), preprocessing, about)
    return str(tmp_path / "mini")


@pytest.fixture
def four(tmp_path: Path) -> str:
    """A folder of four classes with ten pictures each."""
    draw = np.random.default_rng(0)
    for name in ("ant", "bee", "cat", "dog"):
        (tmp_path / "four" / name).mkdir(parents=True)
        for number in range(10):
            pixels = draw.integers(0, 2, (12, 12, 3), np.uint8) * 200
            Image.fromarray(pixels).save(tmp_path / "four" / name / f"{number}.png")
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(tmp_path / "four" / "dog" / "almost 9.png")
    return f"folder:{tmp_path / 'four'}"


def values(watch: Watch, model: str, data: Any) -> dict[str, float]:
    from calibrant.tuning.recipe import load_recipe
    from calibrant.tuning.task import Task
    from calibrant.tuning.tuned_model import build

    task = Task(data.classes, data.templates, data.words)
    return dict(watch(1, 2, build(load_model(model), task, load_recipe("zero-shot"), stage=0, seed=0)))


def test_new_classes_of_emoji_are_watched(model: str) -> None:
    data = load_data("emoji/base", scenes=30)
    watch = Watch.of(data, {"scenes": 30}, seed=1, most=20)
    assert watch.new is not None
    assert watch.new.chosen.name == "emoji/new"
    assert len(watch.new.chosen) == 20
    assert not set(watch.new.chosen.classes) & set(data.classes)
    measured = values(watch, model, data)
    assert measured["new_class_accuracy"] == measured["zero_shot_new_class_accuracy"]
    names = ["accuracy", "signed_gap", "logit_gap", "feature_divergence", "smallest_singular_value"]
    both = [*names, *(f"new_class_{name}" for name in names)]
    assert set(measured) == {"done", *both, *(f"zero_shot_{name}" for name in both)}
    for name in both:
        assert measured[name] == measured[f"zero_shot_{name}"], "nothing was tuned"


def test_what_is_watched_is_what_the_metrics_say(model: str, four: str) -> None:
    from calibrant import metrics
    from calibrant.arrays import softmax

    data = load_data(four)
    watch = Watch.of(data, {}, seed=1)
    measured = values(watch, model, data)
    chosen, encoder = watch.validation.chosen, load_model(model)
    with torch.no_grad():
        image = encoder.encode_image(torch.stack([encoder.test_transform(one) for one in chosen.images])).numpy()
        prompts = [data.templates[0].format(name) for name in data.classes]
        text = encoder.encode_text(encoder.tokenize(prompts)).numpy()
        logits = float(encoder.logit_scale) * image @ text.T
    probs = softmax(logits)
    assert measured["accuracy"] == metrics.accuracy(probs, chosen.labels)
    assert measured["signed_gap"] == pytest.approx(metrics.signed_gap(probs, chosen.labels), abs=1e-5)
    assert measured["logit_gap"] == pytest.approx(metrics.logit_gap(logits), abs=1e-4)
    assert measured["feature_divergence"] == pytest.approx(metrics.feature_divergence(text, 3), abs=1e-5)
    expected = metrics.smallest_singular_value(image)
    assert measured["smallest_singular_value"] == pytest.approx(expected, rel=1e-3)


def test_what_is_no_half_has_no_new_classes(four: str) -> None:
    assert Watch.of(load_data(four), {}, seed=1).new is None


def test_new_classes_of_a_folder_are_watched_and_it_is_read_once(
    model: str, four: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = []
    scan = labelled_files.scan

    def counted(*args: Any, **options: Any) -> Any:
        scans.append(args)
        return scan(*args, **options)

    monkeypatch.setattr(labelled_files, "scan", counted)
    run = tune(model, f"{four}#base", "coop", overrides=FEW_STEPS, output="run", offline=True, progress=False)
    assert len(scans) == 1
    assert run.classes == ["ant", "bee"]
    last = run.read_log()[-1]
    assert {"new_class_accuracy", "zero_shot_new_class_accuracy"} <= set(last)
    assert run.predict(f"{four}#new", offline=True).classes == ["cat", "dog"]


def test_the_other_half_is_what_loading_it_gives(four: str) -> None:
    half, loaded = load_data(f"{four}#base").checked.half("new"), load_data(f"{four}#new")
    assert (half.name, half.classes, half.manifest()) == (loaded.name, loaded.classes, loaded.manifest())
    for split in loaded.splits:
        one, other = half.split(split), loaded.split(split)
        assert one.fingerprint == other.fingerprint
        np.testing.assert_array_equal(one.labels, other.labels)


def test_classes_that_were_tuned_on_are_not_called_new(model: str, four: str) -> None:
    zero_shot = tune(model, four, "zero-shot", output="run", offline=True, progress=False)
    (near,) = zero_shot.near_duplicates()
    assert {near["first"], near["second"]} == {"dog/9.png", "dog/almost 9.png"}
    assert near["first_split"] == near["second_split"] in load_data(four).splits
    with pytest.raises(
        InputError, match=r"#new holds classes .* \('cat' and 1 more\).* tune on folder:.*four#base first"
    ):
        zero_shot.predict(f"{four}#new", offline=True)
    assert zero_shot.predict(f"{four}#base", offline=True).classes == ["ant", "bee"]
    assert not zero_shot.predictions_file(f"{four}#new", "test").exists()


def test_new_classes_of_emoji_are_not_new_to_a_run_on_all(tmp_path: Path) -> None:
    record = {
        "model": {"name": "tiny"},
        "data": {"name": "emoji", "options": {"scenes": 4}},
        "method": "coop",
        "classes": load_data("emoji").classes,
        "templates": ["a {}."],
        "words": {},
        "weights": "",
    }
    run = Run.create(tmp_path / "run", record, {})
    with pytest.raises(InputError, match="tune on emoji/base first"):
        run.predict("emoji/new")


def test_images_with_prompts_of_their_own_are_watched_in_smaller_number(
    model: str, four: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PROMPTS", 6)
    data = load_data(four)
    chosen = Watched(data.split("validation"))
    for method, images in {"cocoop": 6 // len(data.classes), "coop": len(chosen.chosen)}.items():
        tuned = fit(load_model(model), data.split("train"), load_recipe(method, FEW_STEPS), progress=False)
        assert len(chosen.affordable(tuned).chosen) == images
