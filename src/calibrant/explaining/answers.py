"""What the two models of a run, tuned and zero-shot, answered on an evaluation set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibrant.arrays import Float64, Int64, softmax
from calibrant.calibrate import calibrator_digest, preferred, usable
from calibrant.calibration import Uncalibrated
from calibrant.errors import InputError
from calibrant.metrics.scores import sample_scores

if TYPE_CHECKING:
    from calibrant.predictions import Predictions
    from calibrant.rationality.heat_maps import Bool
    from calibrant.rationality.way import Way
    from calibrant.runs import Run

TUNED, ZERO_SHOT = "tuned", "zero-shot"


@dataclass(frozen=True, eq=False)
class Answered:
    """What one model answered on N images.

    Args:
        model: ``"tuned"`` or ``"zero-shot"``.
        calibrator: the name of the calibrator whose confidence this is, ``"none"`` for the model's own.
        confidence_of: which calibrator that is, by what it does.
        answer: int64 [N], index into the classes.
        confidence: float64 [N].
        correct: bool [N].
        targets: int64 [N], the class that each heat map explains.
    """

    model: str
    calibrator: str
    confidence_of: str
    answer: Int64
    confidence: Float64
    correct: Bool
    targets: Int64


def answers_of(run: Run, predictions: Predictions, way: Way) -> Iterator[Answered]:
    """Give the answers of the tuned model and, where it is another, of the zero-shot model.

    The confidence of the tuned model is that of the calibrator of the run that one would go by, if it has one for these
    classes.

    Args:
        run: the run.
        predictions: with labels.
        way: how the answers are explained.

    Yields:
        The answers of each model, the tuned one first.
    """
    assert predictions.labels is not None
    calibrators = usable(run.calibrators(), predictions)
    chosen = preferred(calibrators) if calibrators else Uncalibrated()
    name = next((key for key, one in calibrators.items() if one is chosen), chosen.name)
    labels = predictions.labels
    yield _answered(TUNED, name, calibrator_digest(chosen), chosen(predictions), labels, way)
    if run.method != ZERO_SHOT and predictions.zero_shot_logits is not None:
        own = Uncalibrated()
        yield _answered(ZERO_SHOT, own.name, calibrator_digest(own), softmax(predictions.zero_shot_logits), labels, way)


def only_labelled(predictions: Predictions) -> Int64:
    """Find the images that are of a class, int64 [M]; `InputError` if there is none."""
    if predictions.labels is None or not (predictions.labels >= 0).any():
        raise InputError("none of the images has a label, so nothing can be said of right and wrong answers")
    return np.flatnonzero(predictions.labels >= 0)


def _answered(model: str, calibrator: str, confidence_of: str, table: Float64, labels: Int64, way: Way) -> Answered:
    scores = sample_scores(table, labels)
    answer = np.asarray(table).argmax(axis=1).astype(np.int64)
    targets = np.asarray(labels, np.int64) if way.target == "label" else answer
    return Answered(model, calibrator, confidence_of, answer, scores.confidence, scores.correct, targets)
