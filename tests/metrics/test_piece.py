"""PIECE against a loop from the definition."""

import numpy as np
import pytest

from calibrant.errors import InputError
from calibrant.metrics import calibration_error, piece


def random_set(seed, samples=300, classes=4):
    rng = np.random.default_rng(seed)
    weights = rng.gamma(0.4, size=(samples, classes)) + 1e-9
    return weights / weights.sum(axis=1, keepdims=True), rng.integers(classes, size=samples), rng.random(samples)


SETS = {
    "random": random_set(0),
    "equal proximities": (*random_set(1)[:2], np.random.default_rng(0).integers(1, 5, 300) / 10),
    "one proximity": (*random_set(2)[:2], np.full(300, 0.5)),
    "saturated": (np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 1, 2]), np.array([0.1, 0.1, 0.9, 1.0])),
    "one": (np.array([[0.7, 0.3]]), np.array([1]), np.array([0.5])),
    "two": (np.array([[0.7, 0.3], [0.1, 0.9]]), np.array([0, 1]), np.array([0.5, 0.2])),
}


def loop_piece(probs, labels, proximity, bins, groups):
    ascending = sorted(proximity.tolist())
    # the g-th part of the samples ends with the sample that fills it up
    ends = [ascending[-(-len(ascending) * g // groups) - 1] for g in range(1, groups)]
    cells = {}
    for row, label, near in zip(probs.tolist(), labels.tolist(), proximity.tolist(), strict=True):
        confidence = max(row)
        group = sum(near > end for end in ends)
        place = next(b for b in range(bins) if confidence <= (b + 1) / bins)
        cells.setdefault((group, place), []).append((row.index(confidence) == label) - confidence)
    return sum(abs(sum(cell)) for cell in cells.values()) / len(labels)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("bins", "groups"), [(10, 10), (1, 1), (15, 3)])
def test_equals_a_loop_from_the_definition(name, bins, groups):
    probs, labels, proximity = SETS[name]
    found = piece(probs, labels, proximity, bins, groups)
    assert found == pytest.approx(loop_piece(probs, labels, proximity, bins, groups), abs=1e-12)
    assert calibration_error(probs, labels, bins) - 1e-12 <= found <= 1


def test_sees_what_cancels_between_typical_and_unusual_images():
    probs, labels = [[0.75, 0.25]] * 8, [0] * 4 + [0, 0, 1, 1]
    assert calibration_error(probs, labels) == 0
    assert piece(probs, labels, [0.9] * 4 + [0.1] * 4, proximity_bins=2) == pytest.approx(0.25)


def test_one_group_is_the_plain_error():
    probs, labels, proximity = SETS["random"]
    assert piece(probs, labels, proximity, proximity_bins=1) == pytest.approx(calibration_error(probs, labels, 10))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"proximity": [0.1, 0.2]}, "1 rows of probabilities but 2 values of proximity"),
        ({"proximity": [np.nan]}, "NaN or infinite"),
        ({"proximity_bins": 0}, "bins must be a positive integer"),
        ({"bins": 0}, "bins must be a positive integer"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, message):
    with pytest.raises(InputError, match=message):
        piece(**{"probs": [[0.5, 0.5]], "labels": [0], "proximity": [0.5], **change})
