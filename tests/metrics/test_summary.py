"""The summary gathers what the single functions say, per set and per subgroup."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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


TENTHS = st.integers(1, 12).flatmap(lambda n: arrays(np.int64, (n, 3), elements=st.integers(0, 4)))


@given(TENTHS.filter(lambda table: (table.sum(axis=1) > 0).all()), st.randoms(use_true_random=False))
def test_order_and_names_do_not_matter(table, random):
    probs = table / table.sum(axis=1, keepdims=True)
    labels = np.array([random.randrange(3) for _ in probs])
    found = metrics.summary(probs, labels)
    order = np.array(random.sample(range(len(probs)), len(probs)))
    assert metrics.summary(probs[order], labels[order]) == pytest.approx(found, abs=1e-12, nan_ok=True)
    for name, value in found.items():
        low, high = {"nll": (0, np.inf), "brier": (0, 2), "signed_gap": (-1, 1)}.get(name, (0, 1))
        assert np.isnan(value) or low - 1e-12 <= value <= high + 1e-12
    tied = (np.sort(probs, axis=1)[:, -1] == np.sort(probs, axis=1)[:, -2]).any()
    if not tied:
        names = np.array(random.sample(range(3), 3))
        renamed = np.empty_like(probs)
        renamed[:, names] = probs
        assert metrics.summary(renamed, names[labels]) == pytest.approx(found, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("samples", [1, 2])
def test_tiny_sets_are_measured(samples):
    probs, labels = [[0.7, 0.3]] * samples, [0, 1][:samples]
    found = metrics.summary_with_intervals(probs, labels, resamples=50)
    assert found["ece"]["value"] == pytest.approx(abs(0.7 - 1 / samples))
    assert (found["accuracy"]["low"] is None) == (samples == 1)
    assert found["ece"]["p_value"] > 0.2


def test_a_single_class_among_the_labels_is_measured():
    found = metrics.summary_with_intervals(PROBS, np.zeros(400, dtype=int), resamples=50)
    assert found["balanced_accuracy"]["value"] == found["accuracy"]["value"]
    assert all(np.isfinite(one["value"]) for one in found.values())


def test_saturated_probabilities_are_measured():
    probs = np.eye(3, dtype=np.float32)[np.arange(60) % 3]
    found = metrics.summary(probs, np.arange(60) % 2)
    assert found["ece"] == found["mce"] == found["ace"] == pytest.approx(1 - found["accuracy"])
    assert found["nll"] == np.inf
