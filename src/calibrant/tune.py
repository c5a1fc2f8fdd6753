"""Model, data and recipe in, run out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.cautions import before_tuning, noted_warnings
from calibrant.data.labelled_files import LabelledFiles
from calibrant.errors import CalibrantWarning, InputError, require
from calibrant.progress import announce
from calibrant.runs import Run, provenance
from calibrant.runs.command_line import tune_command
from calibrant.runs.files import RunFiles
from calibrant.runs.naming import file_name
from calibrant.runs.opening import Opened, find_data, open_model, shots_of
from calibrant.runs.resuming import AnotherRun, check_same
from calibrant.runs.run import refuse_occupied
from calibrant.runs.tables import listed
from calibrant.tuning.few_classes import batch_size, version_for
from calibrant.watch import MOST, Watch

if TYPE_CHECKING:
    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.data.registry import Data
    from calibrant.models.dual_encoder import DualEncoder
    from calibrant.tuning.recipe import Recipe

SAVE_EVERY = 100


def tune(
    model: str | DualEncoder,
    data: str | Data,
    method: str = "coop",
    *,
    shots: int | None = None,
    seed: int | None = None,
    data_seed: int | None = None,
    train_seed: int | None = None,
    output: str | Path | None = None,
    profile: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    data_options: Mapping[str, Any] | None = None,
    checkpoint: str | Path | None = None,
    save_every: int = SAVE_EVERY,
    watch_images: int = MOST,
    resume: bool = False,
    overwrite: bool = False,
    offline: bool = False,
    progress: bool = True,
) -> Run:
    """Tune a model and store everything in a run folder; the run is saved before it predicts anything.

    Args:
        model: a name that `load_model` knows, or a loaded model.
        data: a name that `load_data` knows, or a loaded data set.
        method: a recipe, see `list_recipes`; with ``+`` for what is added; or a recipe file.
        shots: training images per class; None for all.
        seed: data seed and training seed at once; 1 by default.
        data_seed: decides shots and splits.
        train_seed: decides everything that is drawn in training.
        output: the run folder; by default the next free ``runs/<data>-<method>-<n>``.
        profile: which settings of the recipe; by default ``"tiny"`` for the packaged model, else ``"published"``.
        overrides: settings by dotted place, such as ``{"solver.epochs": 5}``.
        data_options: for `load_data`, where `data` is a name.
        checkpoint: weights of a bare architecture, where `model` is a name.
        save_every: steps between checkpoints; an interrupted run loses at most so many.
        watch_images: how many validation images are watched every tenth of the steps, at most.
        resume: continue a half-written run; a finished one is only completed with missing predictions.
        overwrite: replace a run.
        offline: never open a socket.
        progress: show progress bars on a terminal.

    Returns:
        The run, with predictions of its validation and test images.

    Raises:
        InputError: if anything given cannot be used; nothing has been written then.
        KeyboardInterrupt: if it is stopped; the message says how to go on.
    """
    data_seed, train_seed = _seed(data_seed, seed), _seed(train_seed, seed)
    profile_used = profile or profile_for(method, model if isinstance(model, str) else model.name)
    with noted_warnings() as warned:
        # what is cheap to check comes before what takes long: a model that is fetched, images that are read
        if output is not None and not (resume and RunFiles(output).record_file.is_file()):
            refuse_occupied(Path(output), overwrite=overwrite)
        load = find_data(data, data_options, data_seed)
        names = [one if isinstance(one, str) else one.name for one in (data, model)]
        announce(f"reading {names[0]} and the model {names[1]}, to tune it with {method}", progress)
        require("torch", "clip")
        recipe = _recipe(method, overrides, profile_used)
        encoder = open_model(model, checkpoint=checkpoint, offline=offline)
        opened = load()
        train = shots_of(opened.data, shots, data_seed)
        recipe = _suited(recipe, method, overrides, opened.data, train)
        folder = Path(output) if output is not None else default_output(opened.data.name, method)
        given = {
            "method": method,
            "profile": profile,
            "shots": shots,
            "data_seed": data_seed,
            "train_seed": train_seed,
            "checkpoint": None if checkpoint is None else str(checkpoint),
            "save_every": None if save_every == SAVE_EVERY else save_every,
        }
        record = {**_record(encoder, opened, train, recipe, given), "warnings": warned}
        record["command"] = tune_command(encoder.name, opened.data.name, opened.options, given, overrides or {}, folder)
        run = _begin(folder, record, recipe, resume, overwrite)
        with _saying_how_to_go_on(run):
            if not run.complete:
                run.record["warnings"] = warned
                watch = Watch.of(opened.data, opened.options, data_seed, watch_images)
                _fit(run, encoder, opened.data, train, recipe, watch, save_every, progress)
            for split in ("validation", "test"):
                if split in opened.data.splits:
                    run.predict(opened.data, split, progress=progress, offline=offline)
    return run


def default_output(data: str, method: str) -> Path:
    """Find the next free folder for a run.

    Args:
        data: name of the data set.
        method: the recipe.

    Returns:
        ``runs/<data>-<method>-<n>``.
    """
    stem = f"{file_name(data)}-{Path(method).stem.replace('+', '-')}"
    number = 1
    while (Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return Path("runs") / f"{stem}-{number}"


def profile_for(method: str, model: str) -> str:
    """Choose the settings of a recipe by the model.

    Args:
        method: the recipe.
        model: name of the model.

    Returns:
        ``"tiny"`` for the packaged model, where the recipe has that profile, else ``"published"``.

    Raises:
        InputError: if there is no such recipe.

    Example:
        >>> profile_for("coop", "tiny"), profile_for("coop", "ViT-B-16")
        ('tiny', 'published')
    """
    from calibrant.tuning.recipe import profiles_of

    return "tiny" if model == "tiny" and "tiny" in profiles_of(method) else "published"


def read_settings(lines: list[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` settings.

    Args:
        lines: such as ``"solver.epochs=5"``.

    Returns:
        Place to value, typed as in a recipe.

    Raises:
        InputError: if there is no ``=`` or the value is not YAML.

    Example:
        >>> read_settings(["solver.epochs=5", "solver.learning_rate=1e-5"])
        {'solver.epochs': 5, 'solver.learning_rate': 1e-05}
    """
    from calibrant.tuning.recipe_file import read_value

    settings = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set takes KEY=VALUE, not '{line}'")
        settings[key.strip()] = read_value(value)
    return settings


def _seed(own: int | None, both: int | None) -> int:
    if own is not None:
        return own
    return 1 if both is None else both


def _recipe(method: str, overrides: Mapping[str, Any] | None, profile: str) -> Recipe:
    from calibrant.tuning.recipe import load_recipe

    return load_recipe(method, dict(overrides or {}), profile)


def _suited(
    recipe: Recipe, method: str, overrides: Mapping[str, Any] | None, data: Data, train: EvaluationSet
) -> Recipe:
    """On the user's own images, take the recipe in the version that their classes call for."""
    if not isinstance(data, LabelledFiles):
        return recipe
    suited = version_for(recipe, method, len(train.classes), len(train), overrides or {})
    if suited == method:
        return recipe
    warnings.warn(
        f"{method} is tuned as {suited}: in batches of {batch_size(recipe, len(train))} images of {len(train.classes)} "
        "classes several have the same class, and are not to be told apart; --set objective.name=contrastive does so",
        CalibrantWarning,
        stacklevel=3,
    )
    return _recipe(suited, overrides, recipe.profile)


def _record(
    encoder: DualEncoder, opened: Opened, train: EvaluationSet, recipe: Recipe, given: Mapping[str, Any]
) -> dict[str, Any]:
    data = opened.data
    others = {split: data.split(split) for split in data.splits if split != "train"}
    return {
        "method": recipe.name,
        "title": recipe.title,
        "profile": recipe.profile,
        "model": {
            **dict(encoder.about),
            "name": encoder.name,
            "fingerprint": encoder.fingerprint(),
            "checkpoint": given["checkpoint"],
        },
        "data": {
            **dict(data.about),
            "name": data.name,
            "options": opened.options,
            "fingerprints": {one.split: one.fingerprint for one in (train, *others.values())},
        },
        "counts": {"train": len(train), **{split: len(one) for split, one in others.items()}},
        "shots": given["shots"],
        "data_seed": given["data_seed"],
        "train_seed": given["train_seed"],
        "classes": list(data.classes),
        "templates": list(data.templates),
        "words": {name: list(words) for name, words in data.words.items()},
        "versions": provenance.versions(),
        "machine": provenance.machine(),
        "started": provenance.now(),
    }


def _begin(folder: Path, record: dict[str, Any], recipe: Recipe, resume: bool, overwrite: bool) -> Run:
    resolved = recipe.model_dump(mode="json")
    if not resume or not RunFiles(folder).record_file.is_file():
        return Run.create(folder, record, resolved, overwrite=overwrite)
    run = Run.load(folder, unfinished=True)
    try:
        check_same((run.record, run.read_recipe()), (record, resolved), str(folder))
    except AnotherRun as difference:
        raise AnotherRun(
            f"cannot resume: {difference}; repeat its command ({run.cure}), or add --overwrite to replace it"
        ) from None
    return run


def _fit(
    run: Run,
    encoder: DualEncoder,
    data: Data,
    train: EvaluationSet,
    recipe: Recipe,
    watch: Watch,
    save_every: int,
    progress: bool,
) -> None:
    from calibrant.tuning.checkpoint import Checkpoint
    from calibrant.tuning.fitting import fit

    checkpoint = Checkpoint.read(run.checkpoint_folder)
    run.write_manifest(listed(data.manifest(), train.ids))
    if isinstance(data, LabelledFiles):
        run.write_near_duplicates(data.near_duplicates)
    before_tuning(encoder, train, watch)
    began = time.monotonic()

    def save(state: Checkpoint) -> None:
        state.write(run.checkpoint_folder)
        run.settle()

    with run.open_log(after=None if checkpoint is None else (checkpoint.stage, checkpoint.step)) as log:
        tuned = fit(
            encoder,
            train,
            recipe,
            seed=run.record["train_seed"],
            save=save,
            save_every=save_every,
            watch=watch,
            log=log,
            resume_from=checkpoint,
            progress=progress,
            validation=data.split("validation") if "validation" in data.splits else None,
        )
    run.finish(tuned, seconds=time.monotonic() - began)


@contextmanager
def _saying_how_to_go_on(run: Run) -> Iterator[None]:
    """Leave no run behind that nothing can be done with, and bring back the one that it was to replace."""
    try:
        yield
    except BaseException as error:
        # any other failure of a new run can be looked into and resumed
        comes_back = "replaces" in run.record and not run.checkpoint_folder.exists()
        if comes_back or isinstance(error, InputError):
            run.discard()
        if isinstance(error, KeyboardInterrupt):
            after = f"{run.path} is as it was" if comes_back else f"go on with: {run.cure}"
            raise KeyboardInterrupt(f"stopped; {after}") from None
        raise
