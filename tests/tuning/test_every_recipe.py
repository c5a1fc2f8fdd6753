"""Every packaged recipe, its versions and some compositions, through the same tests on a model that takes no time."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tuning_toy import make_encoder, make_train

from calibrant.errors import InputError
from calibrant.models.feature_cache import FeatureCache
from calibrant.tuning import Checkpoint, Recipe, TunedModel, fit, list_recipes, load_recipe
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import build

STEPS = 8
WITH_DOR = ["coop+dor", "cocoop+dor", "maple+dor", "flyp+dor", "carot+dor", "promptsrc+dor"]
COMPOSED = [
    *WITH_DOR,
    "cocoop+knowledge_guided",
    "proda+knowledge_guided",
    "coop+l2_sp",
    "ft+ema",
    "flyp+wise_ft",
    "lp-ft+l2_sp+ema",
    "ft+mixup+label_smoothing",
    "coop+margin+logit_range",
    "coprompt+mixup+label_smoothing",
    "dept+knowledge_guided+label_smoothing",
    "tip-adapter-f+l2_sp+ema",
]
# methods that do not start from the zero-shot model, and why
START_ELSEWHERE = {
    "clip-adapter": "a random adapter",
    "tip-adapter": "a memory of the training images",
    "tip-adapter-f": "a memory of the training images",
    "tip-adapter@searched": "a memory of the training images",
    "tip-adapter-f@searched": "a memory of the training images",
    "tip-adapter-f+l2_sp+ema": "a memory of the training images",
    "dept": "a random head",
    "dept+knowledge_guided+label_smoothing": "a random head",
    "coop@ijcv": "a random context",
    "prograd": "zeros before the words of the template",
    "cocoop": "a random meta-net",
    "cocoop+knowledge_guided": "a random meta-net",
    "proda": "random contexts",
    "proda+knowledge_guided": "random contexts",
    "tcp": "a random context and token net",
    "linear-probe": "a random head",
    "lp-ft": "a random head",
    "flcp-lp": "a random head",
    "flcp-ft": "a random head",
    "lp-ft+l2_sp+ema": "a random head",
    "promptsrc": "random image prompts",
    "promptsrc@dac": "random image prompts",
    "promptsrc@few-shot-fine-grained": "random image prompts",
    "promptsrc@cross-dataset": "random image prompts",
    "ivlp": "random image prompts",
    "ivlp@maple": "random image prompts",
    "cocoop+dor": "a random meta-net",
    "maple": "random maps",
    "maple+dor": "random maps",
    "promptsrc+dor": "random image prompts",
    "maple@cross-dataset": "random maps",
    "maple@dac": "random maps and prompts",
    "vpt": "random prompts",
    "vpt@shallow": "random prompts",
    "coprompt": "random maps and adapters",
    "coprompt@imagenet": "random maps and adapters",
    "coprompt+mixup+label_smoothing": "random maps and adapters",
}
# settings without which a method would not fit the toy, or take long
FITTED: dict[str, dict[str, Any]] = {
    # a teacher remembers the first, too large steps
    "carot": {"solver.learning_rate": 0.002},
    # one hidden unit, which is what a sixteenth of the toy's width is, may be dead
    "cocoop": {"parameterization.reduction": 4},
    "cocoop+knowledge_guided": {"parameterization.reduction": 4},
    # Adam's step is not along the gradient, so it undoes the projection; vectors near 0 have long gradients
    "prograd": {"solver.optimizer": "sgd", "solver.learning_rate": 1e-4},
    "promptsrc@cross-dataset": {"parameterization.text_depth": 2, "parameterization.image_depth": 2},
    "coprompt@imagenet": {"parameterization.depth": 2},
    "ivlp@maple": {"parameterization.text_depth": 2, "parameterization.image_depth": 2},
    "maple@cross-dataset": {"parameterization.depth": 2},
}
# trained tensors that a few steps need not move, and why
MAY_STAY: dict[str, tuple[str, ...]] = {}

METHODS = [
    name
    for row in list_recipes()
    for name in (row["name"], *(f"{row['name']}@{version}" for version in row["versions"]))
] + COMPOSED


def resolved(method: str, steps: int = STEPS) -> Recipe:
    """The recipe with so few steps, in batches of all images, and without decay, which would move everything."""
    plain = load_recipe(method, profile="tiny")
    changes: dict[str, Any] = {}
    for number, stage in enumerate(plain.stages):
        if stage.solver["name"] == "steps":
            values = {"steps": steps, "epochs": None, "batch_size": 20, "learning_rate": 0.01, "weight_decay": 0}
            # plain gradient steps of this size would not be seen in a few steps
            values |= {"optimizer": "adamw", "warmup": 0, "clip_gradient": None, "precision": "fp32"}
            changes |= {f"stages.{number}.solver.{key}": value for key, value in values.items()}
            if stage.solver["views"] != "live":
                changes[f"stages.{number}.solver.views"] = 2
    fitted = next((FITTED[part] for part in (method, method.partition("@")[0]) if part in FITTED), {})
    return load_recipe(method, changes | fitted, profile="tiny")


def takes_steps(method: str) -> bool:
    return bool(load_recipe(method, profile="tiny").stages[-1].solver["name"] == "steps")


STEPPED = [method for method in METHODS if takes_steps(method)]


@dataclass(frozen=True)
class Trained:
    recipe: Recipe
    model: TunedModel
    rows: list[dict[str, Any]]


# shared by all tests of this file: no test may change it, which is itself tested
shared_encoder = functools.cache(make_encoder)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("every-recipe")


@pytest.fixture(scope="module", autouse=True)
def _files_beside(root: Path) -> None:
    """Write what some methods read: the run that Model Stock averages with, and a vocabulary of a few words."""
    model = fit(
        shared_encoder(), make_train(), resolved("ft"), seed=2, cache=FeatureCache(root / "cache"), progress=False
    )
    model.save(root / "other.safetensors")
    FITTED["model-stock"] = {"averaging.model_stock.runs": [str(root / "other.safetensors")]}
    (root / "words.txt").write_text("\n".join(["lamp", "river", "old map", "violin", "sock", "hill"]), encoding="utf-8")
    for method in WITH_DOR:
        words = {"regularizers.dor.vocabulary": str(root / "words.txt")}
        FITTED[method] = FITTED.get(method.partition("+")[0], {}) | words


@pytest.fixture(scope="module")
def trained(root: Path) -> Any:
    """Trains a method once for all tests."""

    @functools.cache
    def trained_once(method: str) -> Trained:
        rows: list[dict[str, Any]] = []
        recipe = resolved(method)
        train, given = make_train(), {"cache": FeatureCache(root / "cache"), "log": rows.append, "progress": False}
        # what is chosen on validation images is chosen on those of training here: the toy has no others
        model = fit(shared_encoder(), train, recipe, validation=train, **given)
        return Trained(recipe, model, rows)

    return trained_once


@pytest.fixture(scope="module")
def some_pixels() -> torch.Tensor:
    encoder, images = shared_encoder(), make_train().images
    return torch.stack([encoder.test_transform(np.asarray(image)) for image in images[:4]])


@pytest.mark.parametrize("method", [method for method in METHODS if method not in START_ELSEWHERE])
def test_no_step_leaves_the_zero_shot_model(method, root, some_pixels):
    train = make_train()
    recipe = resolved(method, steps=0)
    model = fit(shared_encoder(), train, recipe, cache=FeatureCache(root / "cache"), progress=False)
    expected = model.zero_shot.logits(some_pixels, train.classes)
    torch.testing.assert_close(model.logits(some_pixels, train.classes), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", STEPPED)
def test_it_trains(method, trained, some_pixels):
    run, before = trained(method), make_encoder().fingerprint()
    objective = run.recipe.stages[-1].objective["name"]
    rows = [row for row in run.rows if row["stage"] == len(run.recipe.stages) - 1]
    assert len(rows) == STEPS
    # the sum need not fall: a term that compares with the start, or with a teacher, can only rise from there
    losses = [row["terms"][objective] for row in rows]
    assert min(losses[-2:]) < losses[0]
    assert np.isfinite([row["loss"] for row in run.rows]).all()
    classes = run.model.classes
    after = run.model.logits(some_pixels, classes)
    assert not torch.allclose(after, run.model.zero_shot.logits(some_pixels, classes), atol=1e-3)
    assert shared_encoder().fingerprint() == before, "the given encoder was changed"


@pytest.mark.parametrize("method", STEPPED)
def test_exactly_the_trainables_get_gradients(method, trained):
    run, train = trained(method), make_train()
    task = Task(train.classes, train.templates, train.words)
    start = build(shared_encoder(), task, run.recipe, len(run.recipe.stages) - 1, seed=1).tensors()
    assert start, "nothing is trained"
    moved = {name for name, tensor in run.model.tensors().items() if not torch.equal(tensor, start[name])}
    assert set(start) - moved <= set(MAY_STAY.get(method, ()))
    assert all(parameter.grad is None for parameter in shared_encoder().parameters())
    own = {id(parameter) for parameter in run.model.parameterization.trainables().values()}
    rest = [parameter for parameter in run.model.parameterization.parameters() if id(parameter) not in own]
    assert all(parameter.grad is None for parameter in rest)


@pytest.mark.parametrize("method", METHODS)
def test_it_reloads_and_answers_a_name_never_seen(method, trained, some_pixels, tmp_path):
    run = trained(method)
    run.model.save(tmp_path / "weights.safetensors")
    again = TunedModel.load(tmp_path / "weights.safetensors", shared_encoder())
    assert again.recipe == run.recipe
    for names in (run.model.classes, ["zebra", run.model.classes[0]]):
        answers = run.model.logits(some_pixels, names)
        assert answers.shape == (4, len(names))
        assert bool(torch.isfinite(answers).all())
        assert torch.equal(again.logits(some_pixels, names), answers)


@pytest.mark.parametrize("method", STEPPED)
def test_it_resumes_bit_for_bit(method, trained, root, tmp_path):
    class Stopped(Exception):
        pass

    run = trained(method)
    last = len(run.recipe.stages) - 1

    def stop(row):
        if (row["stage"], row["step"]) == (last, 5):
            raise Stopped

    given = {"cache": FeatureCache(root / "cache"), "progress": False, "save_every": 3}
    arguments = (shared_encoder(), make_train(), run.recipe)
    with pytest.raises(Stopped):
        fit(*arguments, **given, save=lambda checkpoint: checkpoint.write(tmp_path), log=stop)
    kept = Checkpoint.read(tmp_path)
    assert (kept.stage, kept.step) == (last, 3)
    resumed = fit(*arguments, **given, resume_from=kept).tensors()
    whole = run.model.tensors()
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("linear-probe+l2_sp", "takes no regularizers"),
        ("lp-ft+wise_ft+ema@x", "unknown regularizer or averaging"),
    ],
)
def test_what_does_not_go_together_is_refused(method, reason, root):
    with pytest.raises(InputError, match=reason) as caught:
        fit(shared_encoder(), make_train(), resolved(method), cache=FeatureCache(root / "cache"), progress=False)
    assert "\n" not in str(caught.value)
