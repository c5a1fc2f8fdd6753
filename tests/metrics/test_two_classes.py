"""Measures of two classes, against scikit-learn and SciPy."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from calibrant import metrics
from calibrant.errors import InputError

RNG = np.random.default_rng(0)
LABELS = (RNG.random(500) < 0.2).astype(int)
SCORE = np.round(np.clip(0.5 * LABELS + RNG.uniform(0, 0.6, 500), 0, 1), 2)  # with ties
PROBS = np.stack([1 - SCORE, SCORE], axis=1)
NAMES = ("sensitivity", "specificity", "positive_predictive_value", "negative_predictive_value")


@pytest.mark.parametrize("positive", [0, 1])
def test_shares_are_those_of_the_confusion_matrix(positive):
    matrix = confusion_matrix(LABELS, PROBS.argmax(axis=1), labels=[1 - positive, positive])
    (tn, fp), (fn, tp) = matrix
    expected = tp / (tp + fn), tn / (tn + fp), tp / (tp + fp), tn / (tn + fn)
    found = [getattr(metrics, name)(PROBS, LABELS, positive) for name in NAMES]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("positive", [0, 1])
def test_areas_agree_with_scikit_learn(positive):
    true, score = positive == LABELS, PROBS[:, positive]
    assert metrics.class_auroc(PROBS, LABELS, positive) == pytest.approx(roc_auc_score(true, score))
    assert metrics.class_auprc(PROBS, LABELS, positive) == pytest.approx(average_precision_score(true, score))


def test_areas_agree_with_torchmetrics():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    given_ = torch.from_numpy(SCORE), torch.from_numpy(LABELS)
    assert metrics.class_auroc(PROBS, LABELS) == pytest.approx(float(functional.binary_auroc(*given_)), abs=1e-6)
    expected = float(functional.binary_average_precision(*given_))
    assert metrics.class_auprc(PROBS, LABELS) == pytest.approx(expected, abs=1e-6)


def test_the_summary_has_exact_intervals_and_definitions():
    found = metrics.two_class_summary(PROBS, LABELS, name="defect", resamples=200)
    said = PROBS.argmax(axis=1)
    hits, sick = int((said & LABELS).sum()), int(LABELS.sum())
    exact = binomtest(hits, sick).proportion_ci(0.95, "exact")
    one = found["sensitivity"]
    assert (one["value"], one["low"], one["high"]) == pytest.approx((hits / sick, exact.low, exact.high))
    assert "defect" in one["definition"]
    for short, name in zip(("sensitivity", "specificity", "ppv", "npv"), NAMES, strict=True):
        assert found[short]["value"] == getattr(metrics, name)(PROBS, LABELS)
    for name in ("class_auroc", "class_auprc"):
        assert found[name]["value"] == getattr(metrics, name)(PROBS, LABELS)
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_samples_of_a_unit_count_once():
    five, units = np.repeat(np.arange(500), 5), np.repeat(np.arange(500), 5)
    once = metrics.two_class_summary(PROBS, LABELS, resamples=100)
    many = metrics.two_class_summary(PROBS[five], LABELS[five], units=units, resamples=100)
    for name, one in once.items():
        assert (many[name]["low"], many[name]["high"]) == pytest.approx((one["low"], one["high"]))
    assert metrics.two_class_summary(PROBS, LABELS, level=None)["ppv"]["low"] is None


def test_what_there_is_no_share_of_is_undefined():
    sure = [[1.0, 0.0]] * 3
    found = metrics.two_class_summary(sure, [0, 0, 0])
    assert found["specificity"]["value"] == found["npv"]["value"] == 1
    for name in ("sensitivity", "ppv", "class_auroc", "class_auprc"):
        assert np.isnan(found[name]["value"])
        assert found[name]["low"] is None


def test_a_tie_is_the_first_class():
    assert metrics.sensitivity([[0.5, 0.5]], [1]) == 0
    assert metrics.sensitivity([[0.5, 0.5]], [0], positive=0) == 1


def test_more_classes_and_other_positives_are_refused():
    with pytest.raises(InputError, match="two classes, not 3"):
        metrics.sensitivity([[0.5, 0.5, 0.0]], [0])
    with pytest.raises(InputError, match="the positive class is 0 or 1, not 2"):
        metrics.class_auroc(PROBS, LABELS, positive=2)
