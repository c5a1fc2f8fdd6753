"""The summary gathers what the single functions say, per set and per subgroup."""

import json

import numpy as np
import pytest

from calibrant import metrics
from calibrant.errors import InputError

RNG = np.random.default_rng(0)
PROBS, LABELS = RNG.dirichlet(np.ones(4), 400), RNG.integers(4, size=400)


def test_every_value_is_that_of_its_function():
    split = metrics.confidence_split(PROBS, LABELS, bins=10)
    assert metrics.summary(PROBS, LABELS, bins=10) == pytest.approx(
        {
            "accuracy": metrics.accuracy(PROBS, LABELS),
            "balanced_accuracy": metrics.balanced_accuracy(PROBS, LABELS),
            "macro_f1": metrics.macro_f1(PROBS, LABELS),
            "ece": metrics.calibration_error(PROBS, LABELS, bins=10),
            "ece_debiased": metrics.calibration_error(PROBS, LABELS, bins=10, debias=True),
            "ace": metrics.calibration_error(PROBS, LABELS, bins=10, binning="mass"),
            "mce": metrics.calibration_error(PROBS, LABELS, bins=10, norm="max"),
            "classwise_ece": metrics.classwise_calibration_error(PROBS, LABELS, bins=10),
            "overconfidence": split.over,
            "underconfidence": split.under,
            "signed_gap": metrics.signed_gap(PROBS, LABELS),
            "nll": metrics.nll(PROBS, LABELS),
            "brier": metrics.brier(PROBS, LABELS),
            "auroc": metrics.confidence_auroc(PROBS, LABELS),
            "fpr95": metrics.fpr_at_95(PROBS, LABELS),
            "aurc": metrics.aurc(PROBS, LABELS),
            "e_aurc": metrics.e_aurc(PROBS, LABELS),
            "mean_confidence": metrics.mean_confidence(PROBS),
            "ece_noise_floor": metrics.noise_floor(PROBS, bins=10),
        }
    )


def test_intervals_come_with_definitions_that_json_can_hold():
    found = metrics.summary_with_intervals(PROBS, LABELS, bins=12, resamples=100)
    assert {name: row["value"] for name, row in found.items()} == metrics.summary(PROBS, LABELS, bins=12)
    assert found.keys() == metrics.definitions().keys()
    assert "12 right-closed bins" in found["ece"]["definition"]
    assert found["ece"]["low"] == found["ece_debiased"]["low"] < found["ece"]["value"]
    assert found["ece_noise_floor"]["low"] is None
    assert metrics.interval(PROBS, LABELS, bins=12, resamples=100) == (
        found["ece"]["low"],
        found["ece"]["high"],
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_groups_are_measured_by_themselves_worst_first():
    sites = np.array(["good", "bad", "good", "bad"]).repeat(100)
    labels = np.where(sites == "good", PROBS.argmax(axis=1), LABELS)
    sites[:3] = "tiny"
    rows = metrics.by_group(PROBS, labels, sites, resamples=50)
    assert [(row["group"], row["n"], row["note"]) for row in rows] == [
        ("bad", 200, ""),
        ("good", 197, ""),
        ("tiny", 3, "too few to tell"),
    ]
    alone = metrics.summary_with_intervals(PROBS[sites == "bad"], labels[sites == "bad"], resamples=50)
    assert rows[0]["measures"] == alone


def test_groups_can_be_sorted_by_another_measure():
    rows = metrics.by_group(PROBS, LABELS, np.arange(400) // 100, worst_by="nll", resamples=20)
    values = [row["measures"]["nll"]["value"] for row in rows]
    assert values == sorted(values, reverse=True)


def test_few_units_are_too_few_however_many_samples():
    rows = metrics.by_group(PROBS, LABELS, ["a"] * 400, units=np.arange(400) % 5, resamples=20)
    assert (rows[0]["n"], rows[0]["units"], rows[0]["note"]) == (400, 5, "too few to tell")


def test_bad_groups_are_refused():
    with pytest.raises(InputError, match=r"groups have shape \[1\]"):
        metrics.by_group(PROBS, LABELS, ["a"])
    with pytest.raises(InputError, match="measure to sort by"):
        metrics.by_group(PROBS, LABELS, ["a"] * 400, worst_by="mean_confidence")
