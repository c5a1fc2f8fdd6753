"""Wrong numbers that published code and libraries give: here they are right; the wrong ones have their own names."""

import numpy as np
import pytest

from calibrant.errors import InputError
from calibrant.metrics import (
    accuracy,
    batch_mean_ece,
    brier,
    calibration_error,
    calibration_error_from_logits,
    classwise_calibration_error,
    dac_ece,
    dac_mce,
    full_calibration_error,
    interval,
    ks_error,
    nll,
    nll_from_logits,
    noise_floor,
    piece,
    signed_gap,
    smooth_ece,
)


def two_class(confidence):
    confidence = np.asarray(confidence, dtype=np.float64)
    return np.stack([confidence, 1 - confidence], axis=1)


def calibrated_set(samples, seed=0):
    """Confidences like those of a good ImageNet model, with labels drawn from them: there is no calibration error."""
    rng = np.random.default_rng(seed)
    confidence = 0.5 + 0.5 * rng.beta(2, 0.7, samples)
    return two_class(confidence), (rng.random(samples) > confidence).astype(int)


def test_the_mean_over_batches_has_a_floor_that_the_error_has_not():
    # CaRot's evaluation averages the errors of batches: 0.037 where the error is 0.003
    probs, labels = calibrated_set(50_000)
    whole = calibration_error(probs, labels, 10)
    assert whole < 0.006
    for batch in (512, 256, 128, 32):  # a set of this size scatters by about 4 % around the floor
        floor = np.mean([noise_floor(probs[i : i + batch], 10) for i in range(0, 50_000, batch)])
        assert batch_mean_ece(probs, labels, batch) == pytest.approx(floor, rel=0.12)
        assert floor > 5 * whole


def test_the_mean_over_batches_compresses_the_difference_between_good_models():
    probs, labels = calibrated_set(50_000)
    worse = labels.copy()
    worse[:10_000] = 1 - (np.arange(10_000) % 3 > 0)  # a third of them wrong
    error = [calibration_error(probs, y, 10) for y in (labels, worse)]
    by_batch = [batch_mean_ece(probs, y, 512) for y in (labels, worse)]
    assert by_batch[1] / by_batch[0] < 0.5 * error[1] / error[0]


def test_confidence_exactly_1_is_neither_lost_nor_alone():
    # the DAC release drops these samples but keeps their weight; torchmetrics gives them a sixteenth bin
    probs = two_class([1.0] * 50 + [0.95] * 50)
    labels = np.array([0] * 40 + [1] * 10 + [0] * 50)
    mean_confidence, right = 0.975, 0.9
    assert calibration_error(probs, labels, 10) == pytest.approx(mean_confidence - right)
    assert dac_ece(probs, labels) == pytest.approx(0.05)
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    theirs = functional.multiclass_calibration_error(
        torch.tensor(probs), torch.tensor(labels), num_classes=2, n_bins=10
    )
    assert float(theirs) == pytest.approx(0.5 * 0.2 + 0.5 * 0.05, abs=1e-6)


def test_only_certain_answers_have_an_error_too():
    probs, labels = two_class([1.0] * 10), np.array([0] * 7 + [1] * 3)
    assert dac_ece(probs, labels) == 0
    for measure in (calibration_error, classwise_calibration_error, full_calibration_error, ks_error):
        assert measure(probs, labels) == pytest.approx(0.3)
    assert smooth_ece(probs, labels) == pytest.approx(0.3, abs=1e-6)
    assert piece(probs, labels, np.arange(10)) == pytest.approx(0.3)


def test_confidence_0_of_a_class_is_counted():
    # bins that are open at 0 lose these
    probs, labels = two_class([1.0] * 10), np.array([0] * 7 + [1] * 3)
    assert classwise_calibration_error(probs, labels, 10) == pytest.approx((0.3 + 0.3) / 2)


def test_a_value_on_an_edge_belongs_to_the_bin_below():
    # netcal, torchmetrics and the DAC release put it into the bin above
    probs, labels = two_class([0.8, 0.85, 0.8, 0.85]), np.array([0, 1, 0, 1])
    assert calibration_error(probs, labels, 10) == pytest.approx(0.5 * 0.2 + 0.5 * 0.85)
    assert dac_ece(probs, labels) == pytest.approx(0.825 - 0.5)
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    theirs = functional.multiclass_calibration_error(
        torch.tensor(probs), torch.tensor(labels), num_classes=2, n_bins=10
    )
    assert float(theirs) == pytest.approx(0.825 - 0.5, abs=1e-6)


def test_the_maximum_error_is_not_weighted():
    # the DAC release reports 0.038 where the largest gap is 0.352
    probs = two_class([0.95] * 90 + [0.65] * 10)
    labels = np.array([0] * 86 + [1] * 4 + [0] * 3 + [1] * 7)
    assert calibration_error(probs, labels, 10, norm="max") == pytest.approx(0.35)
    assert dac_mce(probs, labels) == pytest.approx(0.035)


def test_half_precision_is_counted_in_float64():
    # counters in float16 stop growing: torchmetrics' binary error of 100,000 such samples is exactly 0
    probs = two_class(np.full(100_000, 0.75)).astype(np.float16)
    labels = np.arange(100_000) % 2
    for measure in (calibration_error, classwise_calibration_error, full_calibration_error, ks_error):
        assert measure(probs, labels) == pytest.approx(0.25)
    assert smooth_ece(probs, labels) == pytest.approx(0.25, abs=1e-6)
    assert batch_mean_ece(probs, labels, 100_000) == pytest.approx(0.25)


def test_torchmetrics_still_counts_float16_in_float16():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    preds, target = torch.full((100_000,), 0.75, dtype=torch.float16), torch.arange(100_000) % 2
    assert float(functional.binary_calibration_error(preds, target)) != pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize(
    "measure", [calibration_error, classwise_calibration_error, ks_error, smooth_ece, batch_mean_ece]
)
def test_logits_and_cosines_are_never_taken_for_probabilities(measure):
    # libraries guess: what lies within 0 and 1 is a probability for them, cosines too
    with pytest.raises(InputError, match="apply a softmax"):
        measure([[2.0, -1.0]], [0])
    with pytest.raises(InputError, match="sum to 1"):
        measure([[0.3, 0.2]], [0])
    assert calibration_error_from_logits([[0.3, 0.2]], [0]) == pytest.approx(1 - 1 / (1 + np.exp(-0.1)))


def test_the_noise_floor_is_shown_for_every_size():
    # 0.046 at 500 samples, 0.015 at 5,000 and 0.010 at 10,000, where the error is nearly none
    for samples in (500, 1000, 2000, 5000, 10_000):
        found = [calibration_error(*calibrated_set(samples, seed)) for seed in range(30)]
        assert np.mean(found) == pytest.approx(noise_floor(calibrated_set(samples)[0]), rel=0.15)


def test_the_interval_of_a_calibrated_model_holds_its_error():
    # a percentile bootstrap lies above: it carries the noise twice
    probs, labels = calibrated_set(2000)
    low, _ = interval(probs, labels, resamples=300)
    assert low == 0


def test_float32_and_float64_give_the_same():
    rng = np.random.default_rng(0)
    logits = 4 * rng.normal(size=(4000, 20))
    labels = rng.integers(20, size=4000)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    single = probs.astype(np.float32)
    for measure in (calibration_error, classwise_calibration_error, full_calibration_error, ks_error, smooth_ece):
        assert measure(single, labels) == pytest.approx(measure(probs, labels), abs=1e-6)
    for measure in (accuracy, brier, nll, signed_gap):
        assert measure(single, labels) == pytest.approx(measure(probs, labels), abs=1e-6)
    for measure in (calibration_error_from_logits, nll_from_logits):
        assert measure(logits.astype(np.float32), labels) == pytest.approx(measure(logits, labels), abs=1e-6)


def test_classes_without_samples_are_no_error():
    # another implementation fails where a class is missing in the labels
    probs = np.full((20, 5), 0.2)
    assert classwise_calibration_error(probs, [0, 1] * 10) == pytest.approx((0.3 + 0.3 + 0.2 * 3) / 5)
