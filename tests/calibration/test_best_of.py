"""The best of several: the right one wins, folds follow units, nothing leaks."""

import numpy as np
import pytest
from scaling_toy import drawn
from sklearn.base import clone

from calibrant import Predictions
from calibrant.calibration import BestOf, Chain, TemperatureScaling, Uncalibrated, VectorScaling, calibrator, load
from calibrant.errors import InputError


@pytest.mark.parametrize(
    ("change", "winner"),
    [
        (lambda logits: logits, "none"),
        (lambda logits: 5 * logits, "temperature"),
        (lambda logits: 5 * logits + [4.0, -4.0, 0.0, 8.0, 0.0], "vector"),
    ],
)
def test_what_was_done_to_the_logits_decides(change, winner):
    logits, labels = drawn(0, samples=5000)
    best = BestOf(["none", "temperature", "vector"]).fit(change(logits), labels)
    assert best.chosen_.name == winner
    alone = calibrator(winner).fit(change(logits), labels)
    assert (best.predict_proba(logits) == alone.predict_proba(logits)).all()


def test_scores_are_the_cross_validated_likelihood():
    logits, labels = drawn(1, samples=60, classes=3)
    best = BestOf(["temperature"], folds=3).fit(3 * logits, labels)
    fold = np.random.default_rng(0).permutation(60) % 3
    losses = np.empty(60)
    for held_out in range(3):
        inside = fold == held_out
        scaling = TemperatureScaling().fit(3 * logits[~inside], labels[~inside])
        losses[inside] = -np.log(scaling.predict_proba(3 * logits[inside])[np.arange(inside.sum()), labels[inside]])
    assert best.scores_["temperature"] == pytest.approx(losses.mean(), abs=1e-12)


def test_units_stay_together():
    logits, labels = drawn(2, samples=90, classes=3)
    drawings = np.arange(90) // 3
    predictions = Predictions(
        logits=logits, labels=labels, columns={"drawing": drawings.astype(str)}, about={"unit": "drawing"}
    )
    fold = BestOf()._division(predictions)
    assert all(len(set(fold[drawings == one])) == 1 for one in range(30))
    assert sorted(set(fold)) == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="at least 40 values of 'drawing'"):
        BestOf(folds=40).fit(predictions)


def test_a_label_with_probability_0_loses():
    labels = np.arange(400) % 3
    logits = 900 * np.eye(3)[labels]
    labels[:40] = (labels[:40] + 1) % 3  # errors that the model is certain of
    best = BestOf(["none", "temperature"]).fit(logits, labels)
    assert best.scores_["none"] is None
    assert best.chosen_.name == "temperature"


def test_candidates_may_be_calibrators_and_chains(tmp_path):
    logits, labels = drawn(4, samples=300)
    best = BestOf([Uncalibrated(), VectorScaling(weight=2.0), Chain([Uncalibrated(), TemperatureScaling()])])
    best.fit(4 * logits, labels)
    assert len(best.scores_) == 3
    best.save(tmp_path / "best.json")
    assert (load(tmp_path / "best.json").predict_proba(logits) == best.predict_proba(logits)).all()
    assert not hasattr(clone(best), "chosen_")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"candidates": "temperature"}, "must be a list"),
        ({"candidates": []}, "must be a list"),
        ({"candidates": ["temprature"]}, "did you mean"),
        ({"folds": 1}, "integer from 2"),
        ({"folds": 500}, "at least 500 samples"),
    ],
)
def test_impossible_choices_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        BestOf(**arguments).fit(*drawn(0, samples=50))
