"""From a dual encoder, training samples and a recipe to a tuned model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from calibrant.data.evaluation_set import EvaluationSet
from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.feature_cache import FeatureCache
from calibrant.progress import silent_unless
from calibrant.storage import digest
from calibrant.tuning.checkpoint import Checkpoint
from calibrant.tuning.components import AVERAGINGS, OBJECTIVES, REGULARIZERS, SOLVERS
from calibrant.tuning.precision import default_device
from calibrant.tuning.recipe import Recipe, load_recipe
from calibrant.tuning.solvers.base import Callbacks, Work
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import TunedModel, build


def fit(
    encoder: DualEncoder,
    train: EvaluationSet,
    recipe: Recipe | str,
    *,
    seed: int = 1,
    cache: FeatureCache | None = None,
    save: Callable[[Checkpoint], None] | None = None,
    save_every: int = 100,
    watch: Callable[[int, int, TunedModel], Mapping[str, Any] | None] | None = None,
    log: Callable[[dict[str, Any]], None] | None = None,
    resume_from: str | Path | Checkpoint | None = None,
    progress: bool = True,
    validation: EvaluationSet | None = None,
) -> TunedModel:
    """Tune a model.

    Args:
        encoder: the dual encoder; its values are left as they are, but it asks for no gradients any more
            and moves to the device of training.
        train: N labelled images, their class list, templates and synonyms.
        recipe: the method, or its name.
        seed: of everything that is drawn in training.
        cache: keeps image features for methods that leave the image tower alone; by default in the user's
            cache folder.
        save: gets a `Checkpoint` every `save_every` steps and at the end of each stage: ``lambda c:
            c.write(folder)``.
        save_every: N; an interrupted run loses at most N steps.
        watch: gets (step, total, model) every tenth of the steps; the mapping that it returns goes into the
            log.
        log: gets a dictionary for every step: stage, step, learning_rate, loss, terms.
        resume_from: a folder that a checkpoint was written to (an empty one starts anew), or a checkpoint.
        progress: whether to show a progress bar where there is a terminal.
        validation: labelled images of the same classes; only a stage with solver ``search`` reads them.

    Returns:
        The tuned model.

    Raises:
        InputError: if labels do not fit the class list, the recipe does not fit the model, the checkpoint
            belongs to another run, validation images are needed and missing, or the loss is not finite.
    """
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    _check_labels(train)
    task = Task(train.classes, train.templates, train.words)
    checkpoint = (
        resume_from if isinstance(resume_from, Checkpoint) or resume_from is None else Checkpoint.read(resume_from)
    )
    chosen_on = _chosen_on(recipe, train, validation)
    identity = _identity(encoder, train, recipe, seed) | ({"validation": _content(chosen_on)} if chosen_on else {})
    if checkpoint is not None:
        checkpoint.check(identity, {})
    callbacks, cache = Callbacks(save, save_every, watch, log, progress), cache or FeatureCache()
    carried: Mapping[str, Tensor] = checkpoint.group("carried") if checkpoint else {}
    first = checkpoint.stage if checkpoint else 0
    with silent_unless(progress):
        for stage in range(first, len(recipe.stages)):
            model = build(encoder.to(default_device()), task, recipe, stage, seed)
            model.load_tensors(carried)
            resume = checkpoint if checkpoint is not None and checkpoint.stage == stage else None
            work = _work(model, train, recipe, stage, seed, cache, identity, carried, callbacks, resume, chosen_on)
            solver = dict(recipe.stages[stage].solver)
            SOLVERS.build(str(solver.pop("name")), solver).solve(work)
            carried = model.tensors()
    return model


def _work(
    model: TunedModel,
    train: EvaluationSet,
    recipe: Recipe,
    stage: int,
    seed: int,
    cache: FeatureCache,
    identity: Mapping[str, Any],
    carried: Mapping[str, Tensor],
    callbacks: Callbacks,
    resume: Checkpoint | None,
    validation: EvaluationSet | None,
) -> Work:
    parts = recipe.stages[stage]
    objective = None
    if parts.objective is not None:
        settings = dict(parts.objective)
        objective = OBJECTIVES.build(str(settings.pop("name")), settings)
    regularizers = {name: REGULARIZERS.build(name, given, model) for name, given in parts.regularizers.items()}
    last = stage == len(recipe.stages) - 1
    averagings = (
        {name: AVERAGINGS.build(name, given, model) for name, given in recipe.averaging.items()} if last else {}
    )
    return Work(
        model, train, objective, regularizers, averagings, seed, stage, cache, identity, carried, callbacks, resume,
        validation,
    )  # fmt: skip


def _check_labels(train: EvaluationSet) -> None:
    labels = np.asarray(train.labels)
    if len(labels) == 0:
        raise InputError(f"{train.name} has no training images")
    if len(train.classes) < 2:
        raise InputError(f"{train.name} has a single class, '{train.classes[0]}'; tuning needs at least two")
    bad = np.flatnonzero((labels < 0) | (labels >= len(train.classes)))
    if len(bad):
        first = int(bad[0])
        raise InputError(
            f"{train.name}: sample {train.ids[first]} has label {int(labels[first])}, "
            f"outside its {len(train.classes)} classes"
        )


def _identity(encoder: DualEncoder, train: EvaluationSet, recipe: Recipe, seed: int) -> dict[str, Any]:
    """What has to be the same for a run to go on from a checkpoint."""
    task = {name: list(words) for name, words in train.words.items()}
    return {
        # what is computed; a remark may be reworded between two versions of the package
        "method": digest(recipe.model_dump(mode="json", include={"stages", "averaging"})),
        "data": digest(_content(train), list(train.classes), list(train.templates), task),
        "model": encoder.fingerprint(),
        "seed": seed,
        **_contents(recipe),
    }


def _content(samples: EvaluationSet) -> str:
    return samples.fingerprint or digest(samples.ids, np.asarray(samples.labels))


def _chosen_on(recipe: Recipe, train: EvaluationSet, validation: EvaluationSet | None) -> EvaluationSet | None:
    """The validation images, if a solver reads them: what is missing is said before anything is trained."""
    names = [str(stage.solver["name"]) for stage in recipe.stages]
    reading = next((name for name in names if SOLVERS.get(name).reads_validation), None)
    if reading is None:
        return None
    if validation is None or not (np.asarray(validation.labels) >= 0).any():
        raise InputError(f"solver '{reading}' chooses on validation images, and {train.name} has none with a label")
    if list(validation.classes) != list(train.classes):
        raise InputError(f"solver '{reading}': the validation images have other classes than the training images")
    return validation


def _contents(recipe: Recipe) -> dict[str, str]:
    """What lies behind settings that name a file or a data set."""
    parts = [(REGULARIZERS, *named) for stage in recipe.stages for named in stage.regularizers.items()]
    parts += [(AVERAGINGS, *named) for named in recipe.averaging.items()]
    return {
        f"content of {name}.{setting}": content
        for registry, name, given in parts
        for setting, content in registry.get(name).Settings.model_validate(given).contents().items()
    }
