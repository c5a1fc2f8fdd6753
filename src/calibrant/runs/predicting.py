"""A run predicts a data set once, and remembers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from calibrant.errors import InputError, require
from calibrant.predict import evaluation_set, predict, prompting
from calibrant.predictions import Predictions
from calibrant.progress import announce
from calibrant.runs.opening import base_half

if TYPE_CHECKING:
    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.data.registry import Data
    from calibrant.runs import Run
    from calibrant.tuning.tuned_model import TunedModel


def predict_for_run(
    run: Run,
    data: str | Data | EvaluationSet,
    split: str = "test",
    *,
    data_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Predictions:
    """Predict with a run and store the predictions in it, or read them if neither model nor data has changed.

    Args:
        run: the run.
        data: as for `predict`.
        split: as for `predict`.
        data_options: for `load_data`, where `data` is a name; what is left out is as in tuning, see `Run.open_data`.
        options: `templates`, `batch_size`, `offline` and `progress`, as for `predict`.

    Returns:
        The predictions.

    Raises:
        InputError: as for `predict`, if the data set holds classes as new that the run was tuned on, or if no image is
            of any of its classes, which are not those of the run.
    """
    given = {key: value for key, value in (data_options or {}).items() if value is not None}
    if given and not isinstance(data, str):
        raise InputError(f"{data.name} is loaded already; give {', '.join(given)} to load_data")
    name = data if isinstance(data, str) else data.name
    announce(f"reading {name}, to predict its {split} images with {run.path}", options.get("progress", False))
    chosen = evaluation_set(run.open_data(data, given) if isinstance(data, str) else data, split)
    refuse_tuned_as_new(run, chosen)
    refuse_nothing_known(run, chosen)
    file = run.predictions_file(chosen.name, chosen.split)
    templates = options.pop("templates", None) or given.get("templates") or run.templates
    made_of = {
        "run_weights": run.record["weights"],
        "data_fingerprint": chosen.fingerprint,
        **prompting(templates, {**run.words, **chosen.words}),
    }
    if file.is_file() and chosen.fingerprint:
        stored = Predictions.load(file)
        # those of an earlier version lack the image features
        if stored.image_features is not None and all(stored.about.get(key) == made_of[key] for key in made_of):
            return stored
    model = run.tuned_model(offline=options.get("offline", False))
    about = {**made_of, "run": run.name, "method": run.method, "model": run.record["model"]["name"]}
    about |= {"tuned_on": run.record["data"]["name"]}
    predictions = predict(model, chosen, templates=templates, about=about, **options)
    predictions.save(file)
    return predictions


def refuse_tuned_as_new(run: Run, chosen: EvaluationSet) -> None:
    """Refuse to call classes new that were tuned on.

    Args:
        run: the run.
        chosen: the evaluation set.

    Raises:
        InputError: if the set is the new half of a data set and the run was tuned on some of its classes.
    """
    base = base_half(chosen.name)
    tuned = set(run.classes)
    seen = [name for name in chosen.classes if name in tuned]
    if base is not None and seen:
        more = f" and {len(seen) - 1} more" if len(seen) > 1 else ""
        raise InputError(
            f"{chosen.name} holds classes that the run in {run.path} was tuned on ('{seen[0]}'{more}), "
            f"so they are not new to it; tune on {base} first"
        )


def refuse_nothing_known(run: Run, chosen: EvaluationSet) -> None:
    """Refuse images of none of the classes of another class list: nothing can be said of them.

    Args:
        run: the run.
        chosen: the evaluation set.

    Raises:
        InputError: if no image is of any class, and the class list is not the run's.
    """
    if chosen.classes == run.classes or (chosen.labels >= 0).any():
        return
    raise InputError(
        f"the images of {chosen.name} are of none of its {len(chosen.classes)} classes, and the run in {run.path} "
        "knows other ones; list images of none of the run's classes in a manifest with empty labels (--data csv:FILE)"
    )


def load_tuned_model(run: Run, *, offline: bool = False) -> TunedModel:
    """Load the tuned model of a run.

    Args:
        run: the run.
        offline: never open a socket for the weights of the zero-shot model.

    Returns:
        The tuned model.

    Raises:
        InputError: if the model cannot be loaded or is not the one that was tuned.
    """
    require("torch", "clip")
    from calibrant.models.registry import load_model
    from calibrant.tuning.tuned_model import TunedModel

    model = run.record["model"]
    encoder = load_model(model["name"], checkpoint=model.get("checkpoint"), offline=offline)
    return TunedModel.load(run.weights_file, encoder)
