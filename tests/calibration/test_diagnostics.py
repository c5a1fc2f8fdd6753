"""How CAC and DAC behave on given predictions, against the calibrators used one by one."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from calibrant import Predictions
from calibrant.calibration import (
    ContrastAware,
    DistanceAware,
    cac_sensitivity,
    contrasts,
    dac_sensitivity,
    weight_correlations,
)
from calibrant.errors import InputError
from calibrant.metrics import calibration_error, contrast, weight_correlation


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def predictions(samples=300, **changes):
    rng = np.random.default_rng(0)
    before = unit(rng.normal(size=(8, 16)))
    after = unit(before + 0.1 * rng.normal(size=before.shape))
    labels = rng.integers(-1, 8, size=samples)
    images = unit(before[labels] + 0.3 * rng.normal(size=(samples, 16)))
    fields = {
        "logits": 30 * images @ after.T,
        "zero_shot_logits": 20 * images @ before.T,
        "labels": labels,
        "classes": list("abcdefgh"),
        "base_classes": list("abcd"),
        "text_features": after,
        "zero_shot_text_features": before,
        "base_text_features": after[:4],
        "zero_shot_base_text_features": before[:4],
        "logit_scale": 30,
        "zero_shot_logit_scale": 20,
    }
    return Predictions(**{**fields, **changes})


MASKS = {"all": lambda labels: labels >= 0, "base": lambda y: (y >= 0) & (y < 4), "new": lambda y: y >= 4}


def test_contrasts_of_both_models_and_all_parts():
    given_ = predictions()
    rows = contrasts(given_)
    assert [row["part"] for row in rows] == ["all", "base", "new"]
    for row in rows:
        mask = MASKS[row["part"]](given_.labels)
        assert row["n"] == mask.sum()
        assert row["unit"] == "cosine"
        labels = given_.labels[mask]
        assert row["tuned"] == pytest.approx(contrast(given_.logits[mask] / 30, labels))
        assert row["zero_shot"] == pytest.approx(contrast(given_.zero_shot_logits[mask] / 20, labels))


def test_without_scales_contrasts_are_in_logits():
    given_ = predictions(logit_scale=None, base_classes=None)
    (row,) = contrasts(given_)
    inside = given_.labels >= 0
    assert row["unit"] == "logit"
    assert row["tuned"] == pytest.approx(contrast(given_.logits[inside], given_.labels[inside]))


@pytest.mark.parametrize("calibrator", [ContrastAware(), DistanceAware()])
def test_weight_correlations(calibrator):
    given_ = predictions()
    rows = {row["part"]: row for row in weight_correlations(given_, calibrator)}
    for part, mask in MASKS.items():
        chosen = given_.subset(mask(given_.labels))
        weights = calibrator.sample_weights(chosen)
        expected = weight_correlation(weights, chosen.probabilities(), chosen.labels)
        assert rows[part]["correlation"] == pytest.approx(expected, nan_ok=True)
        assert rows[part]["mean_weight"] == pytest.approx(weights.mean())


def test_base_samples_that_dac_leaves_alone_have_no_correlation():
    given_ = predictions(labels=np.tile([0, 7], 150), logits=10 * np.eye(8)[np.tile([0, 7], 150)])
    rows = {row["part"]: row for row in weight_correlations(given_, DistanceAware())}
    assert rows["base"]["mean_weight"] == 1
    assert math.isnan(rows["base"]["correlation"])


def test_sensitivity_of_cac_is_that_of_every_setting():
    given_ = predictions()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # labels measure here, nothing is fitted
        rows = cac_sensitivity(given_)
    assert len(rows) == 3 * 4 * 4
    assert {row["k"] for row in rows} == {5, 10, 15, 25}
    assert {row["alpha"] for row in rows} == {1.0, 1.05, 1.1, 1.2}
    assert {row["reconstruction"] for row in rows} == {"l1_mean"}
    for row in rows:
        chosen = given_.subset(MASKS[row["part"]](given_.labels))
        unlabelled = Predictions(
            logits=chosen.logits, zero_shot_logits=chosen.zero_shot_logits, logit_scale=30, zero_shot_logit_scale=20
        )
        cac = ContrastAware(k=row["k"], alpha=row["alpha"]).fit(unlabelled)
        assert row["ece"] == pytest.approx(calibration_error(cac(unlabelled), chosen.labels))
        assert row["ece_before"] == pytest.approx(calibration_error(chosen.probabilities(), chosen.labels))


def test_sensitivity_of_dac():
    given_ = predictions()
    rows = dac_sensitivity(given_, ks=(1, 4))
    assert [(row["part"], row["k"]) for row in rows] == [(p, k) for p in ("all", "base", "new") for k in (1, 4)]
    for row in rows:
        chosen = given_.subset(MASKS[row["part"]](given_.labels))
        table = DistanceAware(k=row["k"]).fit(chosen)(chosen)
        assert row["ece"] == pytest.approx(calibration_error(table, chosen.labels))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: contrasts(predictions(zero_shot_logits=None)), "needs zero_shot_logits"),
        (lambda: contrasts(predictions(labels=None)), "the predictions have none"),
        (lambda: cac_sensitivity(predictions(labels=np.full(300, -1))), "no sample belongs to one of the classes"),
        (lambda: cac_sensitivity(predictions(), ks=[0]), "k of calibrator 'cac' must be a positive number"),
        (lambda: dac_sensitivity(predictions(base_text_features=None)), "needs base_text_features"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(InputError) as caught:
        call()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
