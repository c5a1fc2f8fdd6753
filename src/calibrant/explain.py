"""Explain what a run answered: heat maps, and whether its answers are right for the right reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.calibrate import calibrator_of
from calibrant.errors import InputError
from calibrant.explaining.image_table import write_image_table
from calibrant.explaining.measures import differences, measured_model
from calibrant.explaining.pictures import draw_pictures
from calibrant.explaining.right_reason import fit_right_reason, measured_right_reason
from calibrant.explaining.subject import Explained, Subject, open_subject
from calibrant.rationality.cells import THRESHOLD
from calibrant.rationality.way import Way
from calibrant.runs import Run
from calibrant.runs.source import Source
from calibrant.storage import write_json

if TYPE_CHECKING:
    from calibrant.rationality import RightReason


def explain(
    run: str | Path | Run,
    *,
    data: str | None = None,
    data_options: Mapping[str, Any] | None = None,
    split: str = "test",
    way: Way | None = None,
    images: int | None = None,
    threshold: float = THRESHOLD,
    right_reason: bool = False,
    sanity: int | None = None,
    review: int | None = None,
    judgements: Sequence[str | Path] = (),
    allow_seen: bool = False,
    batch_size: int = 32,
    offline: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Explain the answers of a run on an evaluation set, tuned and zero-shot model side by side.

    Maps, measures, a table of the images and pictures are kept in the run; maps are made again only if the model, the
    images or the way of explaining have changed.

    Args:
        run: the run or its folder.
        data: the data set; by default the one that was tuned on.
        data_options: for `load_data`; what is left out is as in tuning, see `Run.open_data`.
        split: the split.
        way: how to explain; by default the attention gradient of the last block, for the label.
        images: explain only so many, drawn at random, always the same.
        threshold: relevance mass from which evidence is valid.
        right_reason: learn on the validation images, which need masks, how sure to be that an answer is right and rests
            on the object. It is kept in the run and measured here; the maps must explain the prediction.
        sanity: check on so many images whether the explainer deserves belief on this model.
        review: write a page on which people judge so many heat maps.
        judgements: CSV files that such a page saved; PT and IR are estimated from them.
        allow_seen: explain images that were tuned on, too.
        batch_size: images that the model sees at a time.
        offline: never open a socket.
        progress: show progress bars.

    Returns:
        ``run``, ``method``, ``data``, ``split``, ``n``, ``unit``, ``masks`` (whether there are any), ``threshold``,
        ``seen``, ``settings`` (of the maps), ``models`` (see `calibrant.explaining.measures.measured_model`; without
        masks only ``model``, ``calibrator``, ``accuracy`` and ``no_evidence``), ``differences`` (tuned minus
        zero-shot), ``pictures`` (see `calibrant.explaining.pictures.draw_pictures`), ``folder``; where asked for
        ``right_reason`` (see `calibrant.rationality.right_reason_summary`), ``sanity`` (see
        `calibrant.explaining.sanity_checks.check_explainer`), ``review`` (``page`` and ``images``) and ``judged`` (see
        `calibrant.explaining.reviewing.measured_judgements`).

    Raises:
        InputError: if run, data, explainer or files cannot be used, the model has not what the explainer reads, or a
            mask does not fit its image, naming what is wrong.
    """
    run = run if isinstance(run, Run) else Run.load(run)
    way = way or Way()
    _refuse(way, right_reason, review, judgements)
    opening: dict[str, Any] = {"offline": offline, "progress": progress}
    making: dict[str, Any] = {"batch_size": batch_size, "progress": progress}
    subject = open_subject(run, way, data, data_options, split, images, **opening)
    known = Source.of(run).count_seen(subject.predictions, allow_seen)
    # options given without a data set are about the own images, of which the validation images are a part
    own = None if data else data_options
    learnt = _learn(run, way, own, threshold, opening, making) if right_reason else None
    explained = list(subject.explained(**making))
    result: dict[str, Any] = {
        "run": run.name,
        "method": run.method,
        "data": subject.chosen.name,
        "split": subject.chosen.split,
        "n": len(subject.chosen),
        "unit": subject.chosen.unit,
        "masks": subject.chosen.masks is not None,
        "threshold": threshold,
        "seen": known,
        "settings": dict(explained[0].maps.settings),
        **_measured(subject, explained, threshold),
        **({} if learnt is None else {"right_reason": _right_reason(learnt, explained[0])}),
        **({} if sanity is None else {"sanity": _checked(subject, sanity)}),
        "pictures": _drawn(subject, explained[0], threshold),
        "folder": str(subject.files.path),
    }
    _write_table(subject, explained, threshold)
    write_json(subject.files.measures_file, result)
    return result | _reviewed(subject, explained[0], review, judgements, threshold)


def _refuse(way: Way, right_reason: bool, review: int | None, judgements: Sequence[str | Path]) -> None:
    """Refuse what cannot be meant, before anything is computed."""
    way.refuse_unknown()
    if right_reason and way.target != "prediction":
        raise InputError("--right-reason is for use where the label is unknown: add --target prediction")
    if (review is not None or judgements) and way.target != "label":
        raise InputError(
            "people judge maps of the label: those of the prediction would tell by their name where it is wrong"
        )


def _learn(
    run: Run,
    way: Way,
    data_options: Mapping[str, Any] | None,
    threshold: float,
    opening: Mapping[str, Any],
    making: Mapping[str, Any],
) -> RightReason:
    """Learn from the validation images, and keep it in the run."""
    calibrator_of(run, None, run.classes, offline=bool(opening["offline"]))  # fits the default one if there is none
    validation = open_subject(run, way, data_options=data_options, split="validation", **opening)
    if validation.chosen.masks is None:
        raise InputError(f"--right-reason needs object masks, and {validation.chosen.name} has none; add --masks")
    tuned = next(validation.explained(**making))
    assert tuned.evidence is not None
    learnt = fit_right_reason(tuned.answered, tuned.maps, tuned.evidence, threshold)
    learnt.save(run.right_reason_file)
    return learnt


def _right_reason(learnt: RightReason, tuned: Explained) -> dict[str, Any] | None:
    if tuned.evidence is None:  # kept for use without masks, where it cannot be measured
        return None
    return measured_right_reason(learnt, tuned.answered, tuned.maps, tuned.evidence)


def _measured(subject: Subject, explained: Sequence[Explained], threshold: float) -> dict[str, Any]:
    known = [(one.answered, one.evidence) for one in explained if one.evidence is not None]
    if not known:
        return {"models": [_without_masks(one) for one in explained]}
    options: dict[str, Any] = {"threshold": threshold, "units": subject.units}
    models = [measured_model(answered, evidence, subject.labels, **options) for answered, evidence in known]
    if len(known) == 1:
        return {"models": models}
    tuned, zero_shot = known
    return {"models": models, "differences": differences(zero_shot, tuned, **options)}


def _checked(subject: Subject, images: int) -> dict[str, Any]:
    from calibrant.explaining.sanity_checks import check_explainer

    return check_explainer(subject, images)


def _without_masks(one: Explained) -> dict[str, Any]:
    return {
        "model": one.answered.model,
        "calibrator": one.answered.calibrator,
        "accuracy": float(one.answered.correct.mean()),
        "no_evidence": int((~one.maps.evidence).sum()),
    }


def _drawn(subject: Subject, tuned: Explained, threshold: float) -> list[dict[str, Any]]:
    return draw_pictures(
        subject.files.pictures_folder,
        subject.chosen,
        tuned.answered,
        tuned.maps,
        tuned.evidence,
        subject.preprocessing,
        threshold=threshold,
    )


def _write_table(subject: Subject, explained: Sequence[Explained], threshold: float) -> None:
    chosen, both = subject.chosen, [(one.answered, one.evidence) for one in explained]
    write_image_table(subject.files.images_file, chosen.ids, subject.labels, chosen.classes, both, threshold=threshold)


def _reviewed(
    subject: Subject, tuned: Explained, review: int | None, judgements: Sequence[str | Path], threshold: float
) -> dict[str, Any]:
    """Write the page for reviewers, measure what they said."""
    from calibrant.explaining.reviewing import measured_judgements, write_review

    found: dict[str, Any] = {}
    if review is not None:
        page = subject.files.review_file
        shown = write_review(page, subject.chosen, tuned.answered, tuned.maps, subject.preprocessing, review)
        found["review"] = {"page": str(page), "images": shown}
    if judgements:
        options: dict[str, Any] = {"threshold": threshold, "units": subject.units}
        found["judged"] = measured_judgements(judgements, tuned.answered, tuned.maps, tuned.evidence, **options)
        write_json(subject.files.judgements_file, found["judged"])
    return found
