"""The smooth ECE against sums of kernels from the definition, the authors' code, and what holds for any input."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibrant.errors import InputError
from calibrant.metrics import signed_gap, smooth_ece

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "calibration-errors.json").read_text(encoding="utf-8"))


def two_class(confidence):
    confidence = np.asarray(confidence, dtype=np.float64)
    return np.stack([confidence, 1 - confidence], axis=1)


def random_set(seed, samples=40):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1, samples)
    return two_class(confidence), (rng.random(samples) > 0.75).astype(int)


SETS = {
    "random": random_set(0),
    "saturated": (np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 1, 2])),
    "tied": (np.full((7, 4), 0.25), np.array([0, 1, 2, 3, 0, 0, 1])),
    "one": (two_class([0.7]), np.array([1])),
    "two": (two_class([0.7, 0.9]), np.array([0, 1])),
    "single true class": (random_set(1)[0], np.zeros(40, dtype=int)),
}


def loop_error(probs, labels, width):
    """Integrate |sum of residuals times reflected Gaussians| by the trapezoidal rule."""
    at = np.linspace(0, 1, 8001)
    smoothed = np.zeros_like(at)
    for row, label in zip(probs.tolist(), labels.tolist(), strict=True):
        confidence = max(row)
        residual = (row.index(confidence) == label) - confidence
        for image in range(-6, 7):
            for mirrored in (2 * image + confidence, 2 * image - confidence):
                smoothed += residual * np.exp(-(((at - mirrored) / width) ** 2) / 2)
    smoothed /= len(labels) * width * math.sqrt(2 * math.pi)
    return float(np.trapezoid(np.abs(smoothed), at))


def loop_fixed_point(probs, labels):
    low, high = 0.0, 1.0
    for _ in range(22):
        middle = (low + high) / 2
        if loop_error(probs, labels, middle) > middle:
            low = middle
        else:
            high = middle
    return high


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("width", [0.02, 0.1, 0.5, 1.0])
def test_equals_kernels_from_the_definition(name, width):
    probs, labels = SETS[name]
    assert smooth_ece(probs, labels, width) == pytest.approx(loop_error(probs, labels, width), abs=1e-6)


@pytest.mark.parametrize("name", [name for name in SETS if name != "tied"])
def test_the_width_equals_the_error_by_default(name):
    probs, labels = SETS[name]
    found = smooth_ece(probs, labels)
    assert found == pytest.approx(loop_fixed_point(probs, labels), abs=2e-6)
    assert smooth_ece(probs, labels, found) == pytest.approx(found, abs=1e-9)


def test_no_error_at_all_is_0():
    assert smooth_ece([[1.0, 0.0]] * 3, [0, 0, 0]) < 1e-9
    assert smooth_ece([[0.5, 0.5]] * 4, [0, 0, 1, 1]) < 1e-9


def test_agrees_with_the_authors_code_within_its_grid():
    stored = GOLDEN["plain"]
    weights = np.array(stored["weights"])
    probs, labels = weights / weights.sum(axis=1, keepdims=True), np.array(stored["labels"])
    for width, name in ((None, "relplot smECE"), (0.05, "relplot smECE width 0.05"), (0.2, "relplot smECE width 0.2")):
        assert smooth_ece(probs, labels, width) == pytest.approx(stored["errors"][name], abs=1e-3)


def test_differs_from_the_authors_code_where_it_counts_confidence_exactly_1_half():
    # the kernel at an end lies half outside, and its mirror image brings that half back
    stored = GOLDEN["saturated"]
    weights = np.array(stored["weights"])
    probs, labels = weights / weights.sum(axis=1, keepdims=True), np.array(stored["labels"])
    theirs = stored["errors"]["relplot smECE width 0.05"]
    assert smooth_ece(probs, labels, 0.05) == pytest.approx(loop_error(probs, labels, 0.05), abs=1e-6)
    assert smooth_ece(probs, labels, 0.05) - theirs > 0.005


def test_a_little_less_confidence_changes_it_little():
    # a binned error jumps where a confidence crosses an edge
    at, below = two_class([0.8] * 50 + [0.7] * 50), two_class([0.8 - 1e-9] * 50 + [0.7] * 50)
    labels = np.array([0] * 50 + [1] * 50)
    assert smooth_ece(at, labels) == pytest.approx(smooth_ece(below, labels), abs=1e-6)


probabilities = arrays(np.float64, st.tuples(st.integers(1, 20), st.integers(2, 5)), elements=st.floats(0.001, 1)).map(
    lambda weights: weights / weights.sum(axis=1, keepdims=True)
)


@settings(max_examples=30)
@given(probabilities, st.randoms(use_true_random=False))
def test_lies_between_the_gap_of_the_means_and_1_and_ignores_the_order_of_samples(probs, random):
    labels = np.array([random.randrange(probs.shape[1]) for _ in probs])
    order = random.sample(range(len(probs)), len(probs))
    found = smooth_ece(probs, labels)
    assert abs(signed_gap(probs, labels)) - 1e-6 <= found <= 1
    assert found == pytest.approx(smooth_ece(probs[order], labels[order]), abs=1e-9)


@pytest.mark.parametrize("width", [0, -1, 1.5, math.nan])
def test_a_width_out_of_range_is_refused(width):
    with pytest.raises(InputError, match="above 0 and at most 1"):
        smooth_ece([[0.5, 0.5]], [0], width)
