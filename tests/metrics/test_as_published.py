"""Errors as published code computes them: against that code, and against loops from what it does."""

import json
from pathlib import Path

import numpy as np
import pytest

from calibrant.errors import InputError
from calibrant.metrics import (
    PUBLISHED,
    arithmetic_hm,
    batch_mean_ece,
    calibration_error,
    dac_ace,
    dac_ece,
    dac_mce,
    dac_piece,
    published_errors,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "calibration-errors.json").read_text(encoding="utf-8"))


def stored(name):
    entry = GOLDEN[name]
    weights = np.array(entry["weights"])
    probs = weights / weights.sum(axis=1, keepdims=True)
    return probs, np.array(entry["labels"]), np.array(entry["proximity"]) / 1000, entry["errors"]


@pytest.mark.parametrize("name", ["plain", "saturated"])
def test_the_dac_variants_equal_the_released_code(name):
    probs, labels, near, errors = stored(name)
    assert dac_ece(probs, labels) == pytest.approx(errors["dac ECE"], abs=1e-8)
    assert dac_ace(probs, labels) == pytest.approx(errors["dac ACE"], abs=1e-8)
    assert dac_mce(probs, labels) == pytest.approx(errors["dac MCE"], abs=1e-8)
    assert dac_piece(probs, labels, near) == pytest.approx(errors["dac PIECE"], abs=1e-8)


@pytest.mark.parametrize("name", ["plain", "saturated"])
@pytest.mark.parametrize("batch", [1, 7, 64, 512])
def test_the_mean_over_batches_equals_torchmetrics_called_as_carot_does(name, batch):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    probs, labels, _, _ = stored(name)
    total = 0.0
    for start in range(0, len(labels), batch):
        part = torch.tensor(probs[start : start + batch], dtype=torch.float32)
        target = torch.tensor(labels[start : start + batch])
        total += float(functional.multiclass_calibration_error(part, target, num_classes=4, n_bins=10)) * len(target)
    found = batch_mean_ece(probs.astype(np.float32), labels, batch)
    assert found == pytest.approx(total / len(labels), abs=2e-7)


@pytest.mark.parametrize("bins", [1, 2, 3, 7, 10])  # with others torch's last digit depends on the processor
def test_edges_are_those_of_torch(bins):
    torch = pytest.importorskip("torch")
    from calibrant.metrics.as_published import _torch_edges

    assert _torch_edges(bins).tolist() == torch.linspace(0, 1, bins + 1).tolist()


def test_one_batch_is_the_left_closed_error_of_the_whole_set():
    probs, labels, _, _ = stored("plain")  # nothing on an edge
    assert batch_mean_ece(probs, labels, batch=10**6) == pytest.approx(calibration_error(probs, labels, 10), abs=1e-6)


def test_ties_at_an_edge_of_quantiles_belong_to_the_upper_bin():
    probs, labels = np.array([[0.6, 0.4], [0.7, 0.3], [0.7, 0.3], [0.9, 0.1]]), [0, 1, 0, 1]
    # the median is 0.7: below it one sample, from it on three
    assert dac_ace(probs, labels, bins=2) == pytest.approx((0.4 + abs(1 - 2.3)) / 4)


def test_nothing_but_one_confidence_is_one_bin():
    assert dac_ace([[0.75, 0.25]] * 4, [0, 0, 0, 1]) == 0


def test_all_are_computed_at_once_and_described():
    probs, labels, near, _ = stored("plain")
    found = published_errors(probs, labels, batch=32, proximity=near)
    assert list(found) == list(PUBLISHED)
    assert found["batch_mean_ece"] == batch_mean_ece(probs, labels, 32)
    assert found["dac_piece"] == dac_piece(probs, labels, near)
    assert "dac_piece" not in published_errors(probs, labels)


def test_the_published_triples_are_arithmetic_means():
    # base, new and "HM" of CoOp and of CoOp with DOR
    assert arithmetic_hm(3.07, 14.58) == pytest.approx(8.82, abs=0.01)
    assert arithmetic_hm(2.67, 6.49) == pytest.approx(4.58, abs=0.01)


@pytest.mark.parametrize(
    ("measure", "arguments", "message"),
    [
        (batch_mean_ece, {"batch": 0}, "batch must be a positive integer"),
        (batch_mean_ece, {"bins": 0}, "bins must be a positive integer"),
        (dac_ece, {"bins": 0}, "bins must be a positive integer"),
        (dac_ace, {"bins": True}, "bins must be a positive integer"),
        (dac_mce, {"bins": 2.5}, "bins must be a positive integer"),
        (dac_piece, {"proximity": [0.5, 0.5]}, "1 rows of probabilities but 2 values"),
        (dac_piece, {"proximity": [0.5], "proximity_bins": 0}, "bins must be a positive integer"),
        (dac_ece, {"probs": [[0.5, 0.6]]}, "sums to 1.1"),
    ],
)
def test_bad_input_is_refused_in_one_line(measure, arguments, message):
    with pytest.raises(InputError, match=message):
        measure(**{"probs": [[0.5, 0.5]], "labels": [0], **arguments})
