"""Calibration error against loops from the definition, other libraries, and what holds for any input."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibrant.arrays import softmax
from calibrant.errors import InputError
from calibrant.metrics import calibration_error, calibration_error_from_logits, noise_floor
from calibrant.metrics.binning import adaptive_edges, assign, bin_edges

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "calibration-errors.json").read_text(encoding="utf-8"))


def stored(name):
    weights = np.array(GOLDEN[name]["weights"])
    return weights / weights.sum(axis=1, keepdims=True), np.array(GOLDEN[name]["labels"]), GOLDEN[name]["errors"]


def two_class(confidence):
    confidence = np.asarray(confidence, dtype=np.float64)
    return np.stack([confidence, 1 - confidence], axis=1)


def random_set(seed, samples=400, classes=5, sharpness=2.0):
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(samples, classes))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probs, rng.integers(classes, size=samples)


def loop_bins(probs, labels, bins):
    """Python lists of (confidence, correct) per bin (b / bins, (b + 1) / bins], the first closed at 0."""
    filled = [[] for _ in range(bins)]
    for row, label in zip(probs.tolist(), labels.tolist(), strict=True):
        confidence = max(row)
        answer = row.index(confidence)  # the first one at ties
        for b in range(bins):
            if (b == 0 or confidence > b / bins) and confidence <= (b + 1) / bins:
                filled[b].append((confidence, answer == label))
    assert sum(map(len, filled)) == len(labels)
    return [cell for cell in filled if cell]


def loop_error(probs, labels, bins, norm, debias=False):
    total, worst = 0.0, 0.0
    cells = loop_bins(probs, labels, bins)
    for cell in cells:
        n = len(cell)
        accuracy = sum(right for _, right in cell) / n
        gap = abs(accuracy - sum(c for c, _ in cell) / n)
        worst = max(worst, gap)
        if norm == "l1":
            total += n / len(labels) * gap
        elif not debias:
            total += n / len(labels) * gap**2
        elif n >= 2:
            total += n / len(labels) * (gap**2 - accuracy * (1 - accuracy) / (n - 1))
    return {"l1": total, "l2": math.sqrt(max(total, 0)), "max": worst}[norm]


SETS = {
    "random": random_set(0),
    "saturated": (np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 1, 2])),
    "tied": (np.full((7, 4), 0.25), np.array([0, 1, 2, 3, 0, 0, 1])),
    "one": (two_class([0.7]), np.array([1])),
    "two": (two_class([0.7, 0.9]), np.array([0, 1])),
    "on the edges": (two_class(np.arange(8, 16) / 15), np.arange(8) % 2),
    "single true class": (random_set(1)[0], np.zeros(400, dtype=int)),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("bins", [1, 2, 10, 15, 100])
@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_equals_a_loop_from_the_definition(name, bins, norm):
    probs, labels = SETS[name]
    assert calibration_error(probs, labels, bins, norm=norm) == pytest.approx(
        loop_error(probs, labels, bins, norm), abs=1e-12
    )


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_give_the_error_of_their_softmax(name, dtype):
    probs, labels = SETS[name]
    if name == "on the edges":
        probs = 0.9 * probs + 0.05  # a rounded exponential may lie on either side of an edge
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(probs), -1e4).astype(dtype)
    for norm in ("l1", "l2", "max"):
        found = calibration_error_from_logits(logits, labels, norm=norm)
        assert found == pytest.approx(loop_error(softmax(logits), labels, 15, norm), abs=1e-6)


@pytest.mark.parametrize("name", SETS)
def test_adaptive_bins_are_the_last_of_equal_mass_with_rising_accuracy(name):
    probs, labels = SETS[name]
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    for most in (1, 2, 15, 100):
        bins = 1
        while bins < most:
            inner = bin_edges(confidence, bins + 1, "mass")[1:-1]
            place = np.array([sum(c > edge for edge in inner) for c in confidence])
            accuracy = [correct[place == b].mean() for b in sorted(set(place))]
            if accuracy != sorted(accuracy):
                break
            bins += 1
        expected = calibration_error(probs, labels, bins, "mass")
        assert calibration_error(probs, labels, most, "adaptive") == pytest.approx(expected, abs=1e-12)


def test_adaptive_bins_are_as_many_as_the_data_bear():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20_000)
    correct = rng.random(20_000) < confidence
    assert 5 < len(adaptive_edges(confidence, correct, 10**6)) - 1 < 200
    falling = rng.random(20_000) < 1.5 - confidence
    assert len(adaptive_edges(confidence, falling, 10**6)) - 1 == 1


@pytest.mark.parametrize("name", SETS)
def test_debiased_l2_equals_a_loop_from_the_definition(name):
    probs, labels = SETS[name]
    found = calibration_error(probs, labels, norm="l2", debias=True)
    assert found == pytest.approx(loop_error(probs, labels, 15, "l2", debias=True), abs=1e-12)


def test_debiased_l1_equals_the_simulation_it_replaces():
    probs, labels = random_set(3, samples=300, sharpness=1.0)
    rng = np.random.default_rng(0)
    redrawn = np.zeros(200_000)
    for cell in loop_bins(probs, labels, 15):
        confidence, right = np.array(cell).T
        spread = math.sqrt(right.mean() * (1 - right.mean()) / len(cell))
        simulated = rng.normal(right.mean(), spread, size=redrawn.shape)
        redrawn += len(cell) / len(labels) * np.abs(simulated - confidence.mean())
    expected = 2 * loop_error(probs, labels, 15, "l1") - redrawn.mean()
    assert calibration_error(probs, labels, debias=True) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("bins", [*range(1, 40), 49, 100, 1000, 4099])
def test_values_beside_an_edge_find_their_bin(bins):
    edges = np.arange(bins + 1) / bins
    values = np.concatenate([edges, np.nextafter(edges, -1), np.nextafter(edges, 2), [-3, 0.0, 1e-300, 1.00005, 3]])
    assert assign(values, edges).tolist() == np.searchsorted(edges[1:-1], values, side="left").tolist()


def test_equal_mass_bins_hold_equally_many_samples():
    confidence = np.linspace(0.5, 1, 12)
    probs, labels = two_class(confidence), np.array([0, 1] * 6)
    expected = sum(abs(0.5 - confidence[i : i + 4].mean()) / 3 for i in (0, 4, 8))
    assert calibration_error(probs, labels, 3, binning="mass") == pytest.approx(expected)


def test_equal_mass_bins_never_part_equal_confidences():
    probs = two_class([0.6] * 5 + [0.9] * 5)
    labels = np.array([0, 0, 0, 1, 1] + [0] * 5)
    assert calibration_error(probs, labels, 4, binning="mass") == pytest.approx(0.5 * 0.1)
    assert calibration_error(probs[::-1], labels[::-1], 4, binning="mass") == pytest.approx(0.5 * 0.1)


def test_confidence_exactly_one_counts_in_the_last_bin():
    # some libraries put it into a bin of its own (2 bins: 0.98 and 1.0 apart), or drop it
    probs, labels = two_class([1.0, 0.98]), np.array([1, 0])
    assert calibration_error(probs, labels) == pytest.approx(0.49)


def test_the_largest_gap_is_not_weighted_by_its_share():
    probs, labels = two_class([0.95] * 99 + [0.55]), np.array([0] * 99 + [1])
    assert calibration_error(probs, labels, norm="max") == pytest.approx(0.55)


def test_agrees_with_torchmetrics_away_from_edges():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    probs, labels = random_set(5, samples=2000, classes=10)
    for norm in ("l1", "l2", "max"):
        theirs = functional.multiclass_calibration_error(
            torch.tensor(probs), torch.tensor(labels), num_classes=10, n_bins=15, norm=norm
        )
        assert calibration_error(probs, labels, norm=norm) == pytest.approx(float(theirs), abs=1e-6)


def test_agrees_with_netcal_away_from_edges():
    probs, labels, errors = stored("plain")
    assert calibration_error(probs, labels) == pytest.approx(errors["netcal ECE"], abs=1e-8)
    assert calibration_error(probs, labels, norm="max") == pytest.approx(errors["netcal MCE"], abs=1e-8)
    assert calibration_error(probs, labels, binning="mass") == pytest.approx(errors["netcal ECE equal mass"], abs=1e-8)


def test_differs_from_netcal_on_edges_which_it_closes_on_the_left():
    probs, labels, errors = stored("saturated")
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    place = np.minimum(np.searchsorted(np.arange(16) / 15, confidence, side="right") - 1, 14)
    gaps = [abs((correct[place == b] - confidence[place == b]).sum()) / len(labels) for b in range(15)]
    assert errors["netcal ECE"] == pytest.approx(sum(gaps), abs=1e-8)
    assert calibration_error(probs, labels) == pytest.approx(loop_error(probs, labels, 15, "l1"), abs=1e-12)
    assert abs(calibration_error(probs, labels) - errors["netcal ECE"]) > 0.005


def test_agrees_with_torch_uncertainty_on_equal_mass_without_ties():
    probs, labels, errors = stored("plain")
    found = calibration_error(probs, labels, binning="mass")
    assert found == pytest.approx(errors["torch-uncertainty adaptive"], abs=1e-6)


def test_differs_from_torch_uncertainty_which_parts_ties_as_they_come():
    probs, labels, errors = stored("saturated")
    theirs = errors["torch-uncertainty adaptive"]
    gap, ours = probs.max(axis=1) - (probs.argmax(axis=1) == labels), calibration_error(probs, labels, binning="mass")
    in_other_orders = []
    for seed in range(200):
        tie_break = np.random.default_rng(seed).random(len(gap))
        parts = np.array_split(gap[np.lexsort((tie_break, probs.max(axis=1)))], 15)
        in_other_orders.append(sum(abs(part.sum()) for part in parts) / len(gap))
    assert np.ptp(in_other_orders) > 0.01
    assert min(in_other_orders) < theirs < max(in_other_orders)
    order = np.random.default_rng(0).permutation(len(gap))
    assert ours == pytest.approx(calibration_error(probs[order], labels[order], binning="mass"), abs=1e-12)


def test_agrees_with_torchmetrics_on_torch_logits():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2000, 10, generator=generator)
    labels = torch.randint(10, (2000,), generator=generator)
    theirs = functional.multiclass_calibration_error(logits, labels, num_classes=10, n_bins=15)
    assert calibration_error_from_logits(logits, labels) == pytest.approx(float(theirs), abs=1e-6)


def test_float16_is_counted_in_float64():
    # counting in half precision returns exactly 0 from 100,000 samples on
    probs = two_class(np.full(100_000, 0.75)).astype(np.float16)
    labels = np.arange(100_000) % 2
    assert calibration_error(probs, labels) == pytest.approx(0.25)


def test_the_mean_over_batches_is_another_number():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 4096)
    probs, labels = two_class(confidence), (rng.random(4096) > confidence).astype(int)
    batches = [calibration_error(probs[i : i + 128], labels[i : i + 128]) for i in range(0, 4096, 128)]
    assert calibration_error(probs, labels) < 0.03 < 0.06 < np.mean(batches)


def test_debiasing_brings_a_calibrated_model_closer_to_zero():
    rng = np.random.default_rng(1)
    plain, debiased = [], []
    for _ in range(50):
        confidence = rng.uniform(0.5, 1, 500)
        probs, labels = two_class(confidence), (rng.random(500) > confidence).astype(int)
        plain.append(calibration_error(probs, labels))
        debiased.append(calibration_error(probs, labels, debias=True))
    assert np.mean(debiased) < 0.75 * np.mean(plain)


probabilities = arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(2, 6)), elements=st.floats(0.001, 1)).map(
    lambda weights: weights / weights.sum(axis=1, keepdims=True)
)


@settings(deadline=None)
@given(
    probabilities, st.integers(1, 30), st.sampled_from(["width", "mass", "adaptive"]), st.randoms(use_true_random=False)
)
def test_lies_between_0_and_1_and_ignores_the_order_of_samples(probs, bins, binning, random):
    labels = np.array([random.randrange(probs.shape[1]) for _ in probs])
    order = random.sample(range(len(probs)), len(probs))
    for norm in ("l1", "l2", "max"):
        found = calibration_error(probs, labels, bins, binning, norm)
        assert 0 <= found <= 1
        assert found == pytest.approx(calibration_error(probs[order], labels[order], bins, binning, norm), abs=1e-9)


@settings(deadline=None)
@given(probabilities, st.randoms(use_true_random=False))
def test_ignores_the_names_of_classes_in_untied_rows(probs, random):
    top = np.sort(probs, axis=1)
    probs = probs[top[:, -1] > top[:, -2]]
    if len(probs):
        labels = np.array([random.randrange(probs.shape[1]) for _ in probs])
        order = random.sample(range(probs.shape[1]), probs.shape[1])
        renamed = np.argsort(order)[labels]
        assert calibration_error(probs[:, order], renamed) == pytest.approx(calibration_error(probs, labels))


@pytest.mark.parametrize("samples", [100, 500, 2000])
def test_noise_floor_is_the_mean_error_of_a_calibrated_model(samples):
    rng = np.random.default_rng(samples)
    confidence = 0.5 + 0.5 * rng.beta(2, 0.7, samples)
    probs = two_class(confidence)
    simulated = [calibration_error(probs, (rng.random(samples) > confidence).astype(int)) for _ in range(1500)]
    assert noise_floor(probs) == pytest.approx(np.mean(simulated), rel=0.02)


@given(st.integers(1, 5000), st.integers(1, 30), st.floats(0.3, 5), st.integers(0, 2**32 - 1))
def test_a_calibrated_model_stays_within_its_noise_floor(samples, bins, shape, seed):
    rng = np.random.default_rng(seed)
    confidence = 0.5 + 0.5 * rng.beta(shape, 1, samples)
    probs, labels = two_class(confidence), (rng.random(samples) > confidence).astype(int)
    # a label moves the error by at most 1 / N: further than this from its mean it lies once in 10**9 times
    margin, floor = math.sqrt(math.log(1e9) / (2 * samples)), noise_floor(probs, bins)
    assert abs(calibration_error(probs, labels, bins) - floor) < margin + 0.05 * floor


def test_noise_floor_of_certain_answers_is_0():
    assert noise_floor(np.eye(2)) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probs": [[0.5, 0.6]]}, "row 0 sums to 1.1"),
        ({"probs": [[1.5, -0.5]]}, "row 0, column 0 is 1.5; apply a softmax"),
        ({"probs": [[np.nan, 0.5]]}, "NaN or infinite value (nan) in row 0, column 0"),
        ({"probs": [[1.0]]}, "at least two classes"),
        ({"probs": [0.5, 0.5]}, "one column per class"),
        ({"probs": np.empty((0, 2)), "labels": []}, "empty"),
        ({"labels": [2]}, "label 2 in row 0 is outside the class list (0 to 1)"),
        ({"labels": [-1]}, "-1 means none of the classes"),
        ({"labels": [0, 1]}, "1 rows but the labels have shape [2]"),
        ({"labels": [0.5]}, "class indices"),
        ({"labels": ["a"]}, "class indices"),
        ({"bins": 0}, "bins must be a positive integer"),
        ({"bins": 2.5}, "bins must be a positive integer"),
        ({"binning": "widht"}, "did you mean 'width'"),
        ({"norm": "l3"}, "unknown norm 'l3'; did you mean"),
        ({"norm": "max", "debias": True}, "cannot be debiased"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, message):
    with pytest.raises(InputError) as caught:
        calibration_error(**{"probs": [[0.5, 0.5]], "labels": [0], **change})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
