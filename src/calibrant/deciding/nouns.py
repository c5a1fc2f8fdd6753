"""Nouns that name none of the classes of a run, to compare its images with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from calibrant.errors import InputError

if TYPE_CHECKING:
    from calibrant.arrays import Array
    from calibrant.predictions import Predictions
    from calibrant.runs import Run

NOUN_COUNT = 500


def noun_features(run: Run, count: int = NOUN_COUNT, *, offline: bool = False) -> Array:
    """Encode nouns that name none of the classes of a run, chosen evenly from the alphabet, with its tuned model.

    Args:
        run: the run.
        count: M, how many at most.
        offline: never open a socket.

    Returns:
        Text features, float32 [M, D], rows of unit norm.
    """
    from calibrant.data.vocabulary import load_vocabulary

    names = [word for name in run.classes for word in (name, *run.words.get(name, ()))]
    words = load_vocabulary().without(names).words
    chosen = np.unique(np.linspace(0, len(words) - 1, count).round().astype(np.int64))
    features = run.tuned_model(offline=offline).text_features([words[i] for i in chosen])
    return np.asarray(features.float().cpu().numpy())


def with_class_share(predictions: Predictions, nouns: Array) -> Predictions:
    """Compare images with nouns besides the classes.

    Args:
        predictions: N samples with image and text features and their logit scale.
        nouns: text features [M, D] of words that name none of the classes, by the same model.

    Returns:
        The same with the column ``class_share``, see `calibrant.metrics.class_share`.

    Raises:
        InputError: if the predictions have no such features or scale.
    """
    from calibrant.calibration.familiarity import NOUNS
    from calibrant.metrics import class_share

    images, classes, scale = predictions.image_features, predictions.text_features, predictions.logit_scale
    if images is None or classes is None or scale is None:
        raise InputError("nouns are compared with image features, text features and a logit scale; predict with a run")
    shares = class_share(scale * images @ classes.T, scale * images @ nouns.T)
    return replace(predictions, columns={**predictions.columns, NOUNS: shares})


def add_class_share(run: Run, stored: Predictions, *, offline: bool = False) -> Predictions:
    """Compare a run's stored predictions with nouns, and store that in a column, unless it is there already.

    Args:
        run: the run.
        stored: its predictions of some data set.
        offline: never open a socket.

    Returns:
        The predictions with the column ``class_share``.
    """
    from calibrant.calibration.familiarity import NOUNS

    if NOUNS in stored.columns:
        return stored
    if stored.image_features is None:  # an earlier version did not keep them
        stored = run.predict(str(stored.about["data"]), str(stored.about["split"]), offline=offline)
    added = with_class_share(stored, noun_features(run, offline=offline))
    added.save(run.predictions_file(str(stored.about["data"]), str(stored.about["split"])))
    return added
