"""Confidence and correctness in one pass: as from the whole table, in any precision, wherever a tensor lives."""

import tracemalloc

import numpy as np
import pytest

from calibrant.arrays import softmax
from calibrant.errors import InputError
from calibrant.metrics import calibration_error, calibration_error_from_logits
from calibrant.metrics.answers import VALUES, answers, answers_from_logits

RNG = np.random.default_rng(0)
CLASSES = 700  # not a divisor of what is read at a time
SAMPLES = 3 * (VALUES // CLASSES) + 17
LOGITS = 3 * RNG.normal(size=(SAMPLES, CLASSES))
LABELS = np.where(RNG.random(SAMPLES) < 0.5, LOGITS.argmax(axis=1), RNG.integers(CLASSES, size=SAMPLES))


def plain_answers(probs, labels):
    confidence = [max(row) for row in probs.tolist()]
    return confidence, [row.index(max(row)) == label for row, label in zip(probs.tolist(), labels, strict=True)]


def check(found, probs, tolerance):
    confidence, correct = plain_answers(probs, LABELS)
    assert found[0].dtype == np.float64
    np.testing.assert_allclose(found[0], confidence, atol=tolerance, rtol=0)
    assert found[1].tolist() == correct


def test_equal_plain_loops():
    probs = softmax(LOGITS)
    check(answers(probs, LABELS), probs, 0)
    check(answers_from_logits(LOGITS, LABELS), probs, 1e-14)


def test_float32_exponentials_with_float64_sums_are_exact_to_1e_6():
    single = LOGITS.astype(np.float32)
    check(answers_from_logits(single, LABELS), softmax(single), 2e-7)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_probabilities_of_lower_precision_are_taken_as_they_are(dtype):
    probs = softmax(LOGITS[:300, :8]).astype(dtype)
    confidence, correct = plain_answers(probs, LABELS[:300] % 8)
    found = answers(probs, LABELS[:300] % 8)
    assert (found[0].tolist(), found[1].tolist()) == (confidence, correct)


def test_lists_integers_and_column_major_arrays_are_read_like_any_other():
    assert answers([[1, 0], [0, 1]], [0, 0])[1].tolist() == [True, False]
    assert answers_from_logits([[3, 0], [0, 0]], [1, 0])[1].tolist() == [False, True]
    turned = np.asfortranarray(softmax(LOGITS))
    check(answers(turned, LABELS), turned, 0)


def test_ties_go_to_the_lowest_index():
    assert answers([[0.4, 0.4, 0.2]] * 2, [0, 1])[1].tolist() == [True, False]
    assert answers_from_logits([[7.0, 7.0, 1.0]] * 2, [0, 1])[1].tolist() == [True, False]


def test_logits_of_any_size_neither_overflow_nor_underflow():
    largest = np.finfo(np.float32).max
    logits = np.array([[largest, -largest], [-5000, 0], [5000, 5000]], dtype=np.float32)
    assert answers_from_logits(logits, [0, 1, 0])[0].tolist() == [1, 1, 0.5]


@pytest.mark.parametrize("width", [np.float32, np.float16])
@pytest.mark.parametrize("measure", [calibration_error, calibration_error_from_logits])
def test_little_more_memory_is_needed_than_the_input_takes(measure, width):
    table = np.full((100_000, 100), 0.01, dtype=width)
    labels = np.zeros(len(table), dtype=np.int64)
    measure(table[:2], labels[:2])  # what is imported on first use does not count
    tracemalloc.start()
    measure(table, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.75 * table.nbytes


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named(bad):
    broken = LOGITS.copy()
    broken[-1, 3] = bad
    with pytest.raises(InputError, match=f"in row {SAMPLES - 1}, column 3"):
        answers_from_logits(broken, LABELS)
    probs = softmax(LOGITS)
    probs[-1, 3] = bad
    with pytest.raises(InputError, match=f"row {SAMPLES - 1}, column 3"):
        answers(probs, LABELS)


def test_rows_that_are_no_probabilities_are_named():
    probs = softmax(LOGITS)
    probs[400] *= 1.01
    with pytest.raises(InputError, match=r"row 400 sums to 1\.01"):
        answers(probs, LABELS)
    with pytest.raises(InputError, match="apply a softmax"):
        answers(LOGITS, LABELS)


@pytest.mark.parametrize("bad", [[[1.0]], [0.5, 0.5], np.empty((0, 2)), [["a", "b"]]])
def test_what_is_no_table_is_refused(bad):
    for measure in (answers, answers_from_logits):
        with pytest.raises(InputError):
            measure(bad, [0])


@pytest.fixture
def elsewhere():
    """Make tensors that say they live on another device, and count what is fetched from there."""
    torch = pytest.importorskip("torch")

    class Elsewhere(torch.Tensor):
        fetched = 0

        @property
        def device(self):
            return torch.device("cuda")

        def cpu(self):
            Elsewhere.fetched += self.numel()
            return torch.Tensor.cpu(self).as_subclass(torch.Tensor)

    return lambda array: torch.tensor(array).as_subclass(Elsewhere), Elsewhere


@pytest.mark.parametrize("rows", [2**24, 1000 * CLASSES])
def test_tensors_on_another_device_are_reduced_there(elsewhere, rows, monkeypatch):
    monkeypatch.setattr("calibrant.metrics.on_device.VALUES", rows)
    move, where = elsewhere
    probs = softmax(LOGITS)
    check(answers(move(probs), LABELS), probs, 0)
    check(answers_from_logits(move(LOGITS), LABELS), probs, 1e-14)
    check(answers_from_logits(move(LOGITS.astype(np.float32)), LABELS), softmax(LOGITS.astype(np.float32)), 2e-7)
    assert where.fetched == 3 * 2 * SAMPLES  # confidence and answer of every sample, three times
    assert calibration_error(move(probs), move(LABELS)) == calibration_error(probs, LABELS)


def test_bad_tensors_on_another_device_are_named(elsewhere):
    move, _ = elsewhere
    with pytest.raises(InputError, match=r"row 0 sums to 1\.1"):
        answers(move(np.array([[0.5, 0.6]])), [0])
    with pytest.raises(InputError, match="NaN or infinite value"):
        answers_from_logits(move(np.array([[0.5, np.inf]])), [0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_torch_tensors_of_any_precision_are_read(dtype):
    torch = pytest.importorskip("torch")
    logits = torch.tensor(LOGITS, requires_grad=True).to(getattr(torch, dtype))
    exact = softmax(logits.detach().double().numpy())
    check(answers_from_logits(logits, torch.tensor(LABELS)), exact, 2e-7)
    probs = logits[:200, :9].softmax(dim=1)
    found = answers(probs, LABELS[:200] % 9)
    assert found[0].tolist() == probs.detach().double().numpy().max(axis=1).tolist()
