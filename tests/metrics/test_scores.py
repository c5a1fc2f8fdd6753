"""Accuracy, likelihood and Brier score against loops from the formula and scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from calibrant.arrays import softmax
from calibrant.errors import InputError
from calibrant.metrics import accuracy, brier, mean_confidence, nll, nll_from_logits

RNG = np.random.default_rng(0)
LOGITS = 3 * RNG.normal(size=(5000, 7))  # more rows than are converted at a time
LABELS = RNG.integers(7, size=5000)
PROBS = softmax(LOGITS)


def test_equal_loops_from_the_formula():
    rows = list(zip(PROBS.tolist(), LABELS.tolist(), strict=True))
    n = len(rows)
    assert accuracy(PROBS, LABELS) == sum(p.index(max(p)) == y for p, y in rows) / n
    assert mean_confidence(PROBS) == pytest.approx(sum(max(p) for p, _ in rows) / n, abs=1e-12)
    assert nll(PROBS, LABELS) == pytest.approx(-sum(math.log(p[y]) for p, y in rows) / n, abs=1e-12)
    squares = sum((q - (c == y)) ** 2 for p, y in rows for c, q in enumerate(p))
    assert brier(PROBS, LABELS) == pytest.approx(squares / n, abs=1e-12)


def test_agree_with_scikit_learn():
    assert accuracy(PROBS, LABELS) == accuracy_score(LABELS, PROBS.argmax(axis=1))
    assert nll(PROBS, LABELS) == pytest.approx(log_loss(LABELS, PROBS))
    assert nll_from_logits(LOGITS, LABELS) == pytest.approx(log_loss(LABELS, PROBS))


def test_float32_is_summed_in_float64():
    single = PROBS.astype(np.float32)
    assert brier(single, LABELS) == pytest.approx(brier(PROBS, LABELS), abs=1e-7)
    assert nll(single, LABELS) == pytest.approx(nll(PROBS, LABELS), abs=1e-6)


def test_ties_go_to_the_lowest_index():
    assert accuracy([[0.4, 0.4, 0.2]] * 2, [0, 1]) == 0.5


def test_likelihood_of_logits_neither_overflows_nor_underflows():
    assert nll_from_logits([[5000.0, 0.0], [-5000.0, 0.0]], [1, 1]) == pytest.approx(2500)
    assert nll([[1.0, 0.0]], [1]) == math.inf


def test_torch_tensors_are_accepted():
    torch = pytest.importorskip("torch")
    probs = torch.tensor(PROBS, requires_grad=True)
    assert accuracy(probs, torch.tensor(LABELS)) == accuracy(PROBS, LABELS)
    half = torch.tensor(LOGITS).to(torch.bfloat16)
    assert nll_from_logits(half, LABELS) == pytest.approx(nll_from_logits(LOGITS, LABELS), rel=1e-2)


@pytest.mark.parametrize("measure", [accuracy, nll, brier])
def test_rows_that_are_no_probabilities_are_refused(measure):
    with pytest.raises(InputError, match="apply a softmax"):
        measure(LOGITS, LABELS)
    with pytest.raises(InputError, match="outside the class list"):
        measure(PROBS, LABELS + 1)


def test_the_tolerance_of_row_sums_follows_the_precision():
    off = np.array([[0.5, 0.50005]])
    assert accuracy(off.astype(np.float32), [1]) == 1
    with pytest.raises(InputError, match="row 0 sums to 1"):
        accuracy(off, [1])


def test_infinite_logits_are_named():
    with pytest.raises(InputError, match=r"logits hold a NaN or infinite value \(inf\) in row 1, column 0"):
        nll_from_logits([[0.0, 1.0], [np.inf, 1.0]], [0, 0])
