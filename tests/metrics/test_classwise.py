"""Calibration errors over all classes against loops from the definition, scikit-learn and another library."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.calibration import calibration_curve

from calibrant.errors import InputError
from calibrant.metrics import (
    calibration_error_per_class,
    classwise_calibration_error,
    full_calibration_error,
)
from calibrant.metrics.binning import binned
from calibrant.metrics.calibration import error_of

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "calibration-errors.json").read_text(encoding="utf-8"))


def random_set(seed, samples=300, classes=5):
    rng = np.random.default_rng(seed)
    weights = rng.gamma(0.4, size=(samples, classes)) + 1e-9
    return weights / weights.sum(axis=1, keepdims=True), rng.integers(classes, size=samples)


SETS = {
    "random": random_set(0),
    "saturated": (np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 1, 2])),
    "tied": (np.full((7, 4), 0.25), np.array([0, 1, 2, 3, 0, 0, 1])),
    "one": (np.array([[0.7, 0.3]]), np.array([1])),
    "two": (np.array([[0.7, 0.3], [0.1, 0.9]]), np.array([0, 1])),
    "on the edges": (np.stack([np.arange(16) / 15, 1 - np.arange(16) / 15], axis=1), np.arange(16) % 2),
    "single true class": (random_set(1)[0], np.zeros(300, dtype=int)),
}


def place(value, bins):
    """Number the bin (b / bins, (b + 1) / bins] that holds a value; the first one is closed at 0."""
    return next(b for b in range(bins) if value <= (b + 1) / bins)


def loop_cells(probs, labels, bins, pooled):
    """Lists of (probability, true) per class and bin, or per bin over all classes."""
    cells = {}
    for row, label in zip(probs.tolist(), labels.tolist(), strict=True):
        for c, probability in enumerate(row):
            key = (None if pooled else c, place(probability, bins))
            cells.setdefault(key, []).append((probability, c == label))
    return cells


def loop_error(cells, norm):
    total, squares, worst = 0.0, 0.0, 0.0
    many = sum(map(len, cells.values()))
    for cell in cells.values():
        gap = abs(sum(true for _, true in cell) - sum(p for p, _ in cell)) / len(cell)
        total += len(cell) / many * gap
        squares += len(cell) / many * gap**2
        worst = max(worst, gap)
    return {"l1": total, "l2": math.sqrt(squares), "max": worst}[norm]


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("bins", [1, 2, 15])
@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_equal_loops_from_the_definition(name, bins, norm):
    probs, labels = SETS[name]
    every = loop_cells(probs, labels, bins, pooled=False)
    assert classwise_calibration_error(probs, labels, bins, norm=norm) == pytest.approx(
        loop_error(every, norm), abs=1e-12
    )
    per_class = [loop_error({k: v for k, v in every.items() if k[0] == c}, norm) for c in range(probs.shape[1])]
    np.testing.assert_allclose(calibration_error_per_class(probs, labels, bins, norm=norm), per_class, atol=1e-12)
    pooled = loop_error(loop_cells(probs, labels, bins, pooled=True), norm)
    assert full_calibration_error(probs, labels, bins, norm=norm) == pytest.approx(pooled, abs=1e-12)


@pytest.mark.parametrize("bins", [3, 7, 10, 15, 49])
def test_float32_values_are_compared_with_the_edges_exactly(bins):
    # an edge that is rounded to float32 may lie on the other side of a value
    edges = np.arange(bins + 1) / bins
    near = np.concatenate([edges, np.nextafter(edges.astype(np.float32), 0), np.nextafter(edges.astype(np.float32), 1)])
    first = np.unique(near.astype(np.float32))
    probs = np.stack([first, 1 - first], axis=1)
    labels = np.arange(len(first)) % 2
    expected = loop_error(loop_cells(probs, labels, bins, pooled=False), "l1")
    assert classwise_calibration_error(probs, labels, bins) == pytest.approx(expected, abs=1e-12)


def test_more_rows_than_are_read_at_a_time_are_summed_alike():
    probs, labels = random_set(3, samples=3000, classes=100)
    assert classwise_calibration_error(probs, labels) == pytest.approx(
        loop_error(loop_cells(probs, labels, 15, pooled=False), "l1"), abs=1e-12
    )
    single = probs.astype(np.float32)
    assert classwise_calibration_error(single, labels) == pytest.approx(
        loop_error(loop_cells(single, labels, 15, pooled=False), "l1"), abs=1e-9
    )


@pytest.mark.parametrize("binning", ["width", "mass", "adaptive"])
def test_each_class_has_the_error_of_its_own_yes_or_no_question(binning):
    probs, labels = random_set(4, samples=500, classes=70)  # more classes than are sorted at a time
    found = calibration_error_per_class(probs, labels, binning=binning)
    own = [error_of(binned(probs[:, c], labels == c, 15, binning)) for c in range(70)]
    np.testing.assert_allclose(found, own, atol=1e-12)


def test_equal_mass_bins_are_those_of_each_class():
    probs, labels = random_set(5, samples=40, classes=3)
    found = calibration_error_per_class(probs, labels, 4, binning="mass")
    for c in range(3):
        order = np.argsort(probs[:, c])
        parts = [order[i : i + 10] for i in range(0, 40, 10)]
        expected = sum(abs((labels[part] == c).mean() - probs[part, c].mean()) / 4 for part in parts)
        assert found[c] == pytest.approx(expected, abs=1e-12)
    assert classwise_calibration_error(probs, labels, 4, binning="mass") == pytest.approx(found.mean())
    order = np.argsort(probs.ravel())
    true = (labels[:, None] == np.arange(3)).ravel()
    parts = [order[i : i + 30] for i in range(0, 120, 30)]
    expected = sum(abs(true[part].mean() - probs.ravel()[part].mean()) / 4 for part in parts)
    assert full_calibration_error(probs, labels, 4, binning="mass") == pytest.approx(expected, abs=1e-12)


def test_agrees_with_the_curve_of_scikit_learn():
    probs, labels = random_set(6, samples=1000, classes=3)
    for c, found in enumerate(calibration_error_per_class(probs, labels, 10)):
        share, mean = calibration_curve(labels == c, probs[:, c], n_bins=10)
        count = np.histogram(probs[:, c], bins=10, range=(0, 1))[0]
        count = count[count > 0]
        assert found == pytest.approx((count / 1000) @ np.abs(share - mean), abs=1e-12)


def test_agrees_with_torch_uncertainty_away_from_edges_and_exact_1():
    stored = GOLDEN["plain"]
    weights = np.array(stored["weights"])
    probs = weights / weights.sum(axis=1, keepdims=True)
    found = calibration_error_per_class(probs, stored["labels"])
    np.testing.assert_allclose(found, stored["errors"]["torch-uncertainty classwise"], atol=1e-6)


def test_differs_from_torch_uncertainty_where_it_gives_exact_1_a_bin_of_its_own():
    stored = GOLDEN["saturated"]
    weights, labels = np.array(stored["weights"]), np.array(stored["labels"])
    probs = weights / weights.sum(axis=1, keepdims=True)
    theirs = stored["errors"]["torch-uncertainty classwise"]
    assert np.abs(calibration_error_per_class(probs, labels) - theirs).max() > 0.002
    # theirs are closed on the left, and a probability of exactly 1 lies beyond the fifteenth
    left_closed = np.searchsorted(np.arange(16) / 15, probs, side="right") - 1
    for c in range(4):
        gaps = [
            abs((labels[inside] == c).sum() - probs[inside, c].sum()) / len(probs)
            for inside in (left_closed[:, c] == b for b in range(16))
        ]
        assert theirs[c] == pytest.approx(sum(gaps), abs=1e-6)


def test_classes_without_a_sample_are_counted_with_error_equal_to_their_mean_probability():
    probs = np.array([[0.5, 0.3, 0.2]] * 10)
    found = calibration_error_per_class(probs, [0, 1] * 5)
    np.testing.assert_allclose(found, [0, 0.2, 0.2], atol=1e-12)


def test_debiasing_brings_a_calibrated_model_closer_to_zero():
    rng = np.random.default_rng(0)
    probs, _ = random_set(7, samples=2000, classes=4)
    labels = (rng.random((2000, 1)) > probs.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    for measure in (classwise_calibration_error, full_calibration_error):
        for norm in ("l1", "l2"):
            assert measure(probs, labels, norm=norm, debias=True) < 0.75 * measure(probs, labels, norm=norm)


probabilities = arrays(np.float64, st.tuples(st.integers(1, 30), st.integers(2, 6)), elements=st.floats(0.001, 1)).map(
    lambda weights: weights / weights.sum(axis=1, keepdims=True)
)


@given(
    probabilities,
    st.integers(1, 20),
    st.sampled_from(["width", "mass", "adaptive"]),
    st.sampled_from(["l1", "l2", "max"]),
    st.randoms(use_true_random=False),
)
def test_ignore_the_order_of_samples_and_of_classes(probs, bins, binning, norm, random):
    labels = np.array([random.randrange(probs.shape[1]) for _ in probs])
    order = random.sample(range(len(probs)), len(probs))
    classes = random.sample(range(probs.shape[1]), probs.shape[1])
    shuffled, renamed = probs[order][:, classes], np.argsort(classes)[labels[order]]
    for measure in (classwise_calibration_error, full_calibration_error):
        found = measure(probs, labels, bins, binning, norm)
        assert 0 <= found <= 1
        assert found == pytest.approx(measure(shuffled, renamed, bins, binning, norm), abs=1e-9)
    per_class = calibration_error_per_class(probs, labels, bins, binning, norm)
    np.testing.assert_allclose(
        per_class[classes], calibration_error_per_class(shuffled, renamed, bins, binning, norm), atol=1e-9
    )


@pytest.mark.parametrize("measure", [classwise_calibration_error, calibration_error_per_class, full_calibration_error])
def test_bad_input_is_refused_in_one_line(measure):
    for change, message in (
        ({"probs": [[0.5, 0.6]]}, "sums to 1.1"),
        ({"labels": [2]}, "outside the class list"),
        ({"bins": 0}, "bins must be a positive integer"),
        ({"binning": "mas"}, "did you mean 'mass'"),
        ({"norm": "l3"}, "unknown norm"),
        ({"norm": "max", "debias": True}, "cannot be debiased"),
    ):
        with pytest.raises(InputError, match=message):
            measure(**{"probs": [[0.5, 0.5]], "labels": [0], **change})
