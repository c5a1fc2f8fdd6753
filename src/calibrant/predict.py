"""A tuned model and an evaluation set in, predictions out; images stream through, they are never all in memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from calibrant.errors import InputError
from calibrant.predictions import Predictions
from calibrant.progress import progress_bar
from calibrant.runs.seen import CONTENT
from calibrant.storage import digest

if TYPE_CHECKING:
    from torch import Tensor

    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.data.registry import Data
    from calibrant.runs import Run
    from calibrant.tuning.tuned_model import TunedModel

Pixels = npt.NDArray[np.uint8]
BATCH = 64


def predict(
    model: Run | TunedModel,
    data: str | Data | EvaluationSet,
    split: str = "test",
    *,
    templates: Sequence[str] | None = None,
    batch_size: int = BATCH,
    offline: bool = False,
    progress: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Predictions:
    """Predict a split of a data set in float32, tuned and zero-shot side by side.

    Args:
        model: a tuned model, or a run, which is loaded.
        data: a name that `load_data` knows, a loaded data set, or an evaluation set.
        split: "train", "validation" or "test"; an evaluation set is itself a split.
        templates: class prompts with ``{}``; by default those of the tuned model. Learned prompts do not need them.
        batch_size: images at a time.
        offline: never open a socket.
        progress: show a progress bar.
        about: what else the predictions should remember of how they were made.

    Returns:
        Predictions with logits and zero-shot logits [N, C], tuned image features [N, D], float32 of unit norm, labels,
        ids, the columns of the data set and a digest of the content of every image, and the text features of current
        and tuned classes.

    Raises:
        InputError: if the data set is unknown, has no such split, or has no class.
    """
    from calibrant.runs import Run

    tuned = model.tuned_model(offline=offline) if isinstance(model, Run) else model
    chosen = evaluation_set(data, split)
    tuned = in_words_of(tuned, chosen.words, templates)
    logits, zero_shot_logits, image_features = _stream(tuned, chosen, batch_size, progress)
    return Predictions(
        logits=logits,
        zero_shot_logits=zero_shot_logits,
        image_features=image_features,
        labels=chosen.labels,
        classes=list(chosen.classes),
        ids=list(chosen.ids),
        columns={**chosen.columns, CONTENT: np.array(contents_of(chosen))},
        about={
            **_about_set(chosen),
            **prompting(tuned.templates, tuned.words),
            "precision": "float32",
            **tuned.about,
            **(about or {}),
        },
        **_text_side(tuned, list(chosen.classes)),
    )


def answer(model: TunedModel, images: Sequence[Pixels], names: Sequence[str], *, zero_shot: bool = True) -> Predictions:
    """Predict a few images among any class names.

    Args:
        model: the tuned model.
        images: N images, uint8 [H, W, 3].
        names: C class names.
        zero_shot: whether to add zero-shot logits; they cost a second image tower where that was tuned.

    Returns:
        Predictions without labels, with tuned image features [N, D], float32 of unit norm.
    """
    import torch

    tower, before = model.parameterization, None
    with torch.inference_mode():
        pixels = _prepare(model, images)
        if tower.trains_image_tower:
            after = model.image_features(pixels)
            if zero_shot:
                before = model.zero_shot.image_features(pixels)
        else:  # a tower that tuning left alone need not run twice
            before = model.zero_shot.image_features(pixels)
            after = tower.adapt(before)
        tuned = _on_cpu(model.logits(after, names))
        reference = _on_cpu(model.zero_shot.logits(before, names)) if zero_shot and before is not None else None
        features = _on_cpu(torch.nn.functional.normalize(after, dim=-1))
    return Predictions(
        logits=tuned,
        zero_shot_logits=reference,
        image_features=features,
        classes=list(names),
        **_text_side(model, list(names)),
    )


def contents_of(chosen: EvaluationSet) -> list[str]:
    """Name the content of every image, whatever its file is called.

    Args:
        chosen: N images; those that are not named by a column ``content`` are read.

    Returns:
        N digests of the pixels.
    """
    if CONTENT in chosen.columns:
        return [str(content) for content in chosen.columns[CONTENT]]
    return [digest(chosen.images[i]) for i in range(len(chosen))]


def in_words_of(
    model: TunedModel, words: Mapping[str, Sequence[str]], templates: Sequence[str] | None = None
) -> TunedModel:
    """Let a tuned model ask in other words.

    Args:
        model: the tuned model, which stays as it is.
        words: class name to synonyms, besides those of the model.
        templates: class prompts with ``{}``; None for those of the model.

    Returns:
        A tuned model that shares every tensor.
    """
    from calibrant.tuning.task import Task
    from calibrant.tuning.tuned_model import TunedModel

    task = Task(model.classes, templates or model.templates, {**model.words, **words})
    if prompting(task.templates, task.words) == prompting(model.templates, model.words):
        return model
    asking = copy.copy(model.parameterization)
    asking.task = task
    return TunedModel(model.zero_shot.encoder, task, model.recipe, asking)


def prompting(templates: Sequence[str], words: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Record how classes were asked for, as predictions remember it."""
    return {"templates": list(templates), "words": {name: list(several) for name, several in words.items()}}


def depends_on(run: Run, model: TunedModel) -> dict[str, str]:
    """Name what the answers of a run depend on besides the image.

    Args:
        run: the run.
        model: its tuned model, asking for classes as it does.

    Returns:
        Its ``weights``, and a digest of its class ``prompts``.
    """
    return {"weights": run.record["weights"], "prompts": digest(prompting(model.templates, model.words))[:16]}


def evaluation_set(data: str | Data | EvaluationSet, split: str) -> EvaluationSet:
    """Give the split that `predict` was asked for; `InputError` if it has no image."""
    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.data.registry import load_data

    if isinstance(data, EvaluationSet):
        chosen = data
    else:
        chosen = (load_data(data) if isinstance(data, str) else data).split(split)
    if len(chosen) == 0:
        raise InputError(f"{chosen.name} has no image in its {chosen.split} split")
    return chosen


def _stream(
    model: TunedModel, chosen: EvaluationSet, batch_size: int, progress: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Compute tuned and zero-shot logits and tuned image features.

    What the untouched image tower sees is computed once for all runs.
    """
    import torch

    from calibrant.models.feature_cache import FeatureCache

    shape, title = (len(chosen), len(chosen.classes)), f"{chosen.name} {chosen.split}"
    logits, zero_shot_logits = np.empty(shape, np.float32), np.empty(shape, np.float32)
    tower = model.parameterization
    with progress_bar(f"{title}, zero-shot", len(chosen), progress) as advance:
        done = [0]

        def show(count: int, _: int) -> None:
            advance(count - done[0])
            done[0] = count

        reference = FeatureCache().features(model.zero_shot.encoder, chosen, batch=batch_size, progress=show)
    image_features = np.empty(reference.shape, np.float32)
    images = _read_ahead(model, chosen, batch_size) if tower.trains_image_tower else None
    with torch.inference_mode(), progress_bar(title, len(chosen), progress) as advance:
        for start in range(0, len(chosen), batch_size):
            rows = slice(start, min(start + batch_size, len(chosen)))
            before = torch.from_numpy(np.array(reference[rows])).to(model.encoder.log_logit_scale.device)
            after = tower.adapt(before) if images is None else model.image_features(next(images))
            logits[rows], zero_shot_logits[rows] = _logits(model, before, after, chosen.classes)
            image_features[rows] = _on_cpu(torch.nn.functional.normalize(after, dim=-1))
            advance(rows.stop - rows.start)
    return logits, zero_shot_logits, image_features


def _read_ahead(model: TunedModel, chosen: EvaluationSet, batch_size: int) -> Iterator[Tensor]:
    """Read the next batch while the model works on this one."""

    def read(start: int) -> Tensor:
        return _prepare(model, [chosen.images[i] for i in range(start, min(start + batch_size, len(chosen)))])

    with ThreadPoolExecutor(max_workers=1) as reader:
        starts = range(0, len(chosen), batch_size)
        coming = reader.submit(read, 0)
        for start in starts:
            batch = coming.result()
            if start + batch_size < len(chosen):
                coming = reader.submit(read, start + batch_size)
            yield batch


def _prepare(model: TunedModel, images: Sequence[Pixels]) -> Tensor:
    import torch

    return torch.stack([model.encoder.test_transform(image) for image in images])


def _logits(
    model: TunedModel, before: Tensor, after: Tensor, names: Sequence[str]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    return _on_cpu(model.logits(after, names)), _on_cpu(model.zero_shot.logits(before, names))


def _on_cpu(tensor: Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.float().cpu().numpy()
    return array


def _text_side(model: TunedModel, names: list[str]) -> dict[str, Any]:
    """What calibrators and reports want to know of the classes, current and tuned."""
    import torch

    base = list(model.classes)
    with torch.inference_mode():
        features = {
            "text_features": model.text_features(names),
            "zero_shot_text_features": model.zero_shot.text_features(names),
            "base_text_features": model.text_features(base),
            "zero_shot_base_text_features": model.zero_shot.text_features(base),
        }
    return {
        **{name: matrix.float().cpu().numpy() for name, matrix in features.items()},
        "base_classes": base,
        "tuned_text": model.about["text_side"] == "tuned",
        "logit_scale": model.logit_scale,
        "zero_shot_logit_scale": model.zero_shot.logit_scale,
    }


def _about_set(chosen: EvaluationSet) -> dict[str, Any]:
    return {
        "data": chosen.name,
        "split": chosen.split,
        "data_fingerprint": chosen.fingerprint,
        "unit": chosen.unit,
        "data_about": dict(chosen.about),
    }
