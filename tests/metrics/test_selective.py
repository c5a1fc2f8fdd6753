"""What the order of confidences tells, against loops from the definitions and scikit-learn."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from calibrant.errors import InputError
from calibrant.metrics import aurc, confidence_auroc, coverage_at_risk, e_aurc, fpr_at_95
from calibrant.metrics.ranking import average_precision, rank

RNG = np.random.default_rng(0)
SMOOTH = RNG.uniform(0.5, 1, 400)
SETS = {
    "random": (SMOOTH, RNG.random(400) < SMOOTH),
    "tied": (np.round(SMOOTH, 1), RNG.random(400) < SMOOTH),
    "all tied": (np.full(30, 0.75), np.arange(30) % 3 > 0),
    "saturated": (np.where(RNG.random(200) < 0.7, 1.0, 0.5), RNG.random(200) < 0.8),
    "two": (np.array([0.75, 0.5]), np.array([False, True])),
    "reversed": (np.linspace(0.5, 1, 50), np.arange(50) < 25),
}


def table(confidence, correct):
    """Two classes of which class 0 is the answer."""
    return np.stack([confidence, 1 - confidence], axis=1), np.where(correct, 0, 1)


def loop_auroc(confidence, correct):
    pairs = list(itertools.product(confidence[correct], confidence[~correct]))
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)


def loop_aurc(confidence, correct):
    """Walk down the samples; within a tie every sample is wrong by the share of wrong ones in the tie."""
    wrong, seen, total = 0.0, 0, 0.0
    for value in sorted(set(confidence.tolist()), reverse=True):
        here = ~correct[confidence == value]
        for _ in here:
            seen += 1
            wrong += here.mean()
            total += wrong / seen
    return total / seen


def loop_fpr(confidence, correct, recall):
    for threshold in sorted(set(confidence.tolist()), reverse=True):
        if (confidence[correct] >= threshold).mean() >= recall:
            return float((confidence[~correct] >= threshold).mean())
    raise AssertionError


@pytest.mark.parametrize("kind", SETS)
def test_equal_loops_from_the_definitions(kind):
    confidence, correct = SETS[kind]
    given_ = table(confidence, correct)
    assert confidence_auroc(*given_) == pytest.approx(loop_auroc(confidence, correct), abs=1e-12)
    assert aurc(*given_) == pytest.approx(loop_aurc(confidence, correct), abs=1e-12)
    best = loop_aurc(np.where(correct, 1.0, 0.5), correct)
    ordered = loop_aurc(np.arange(len(correct), 0, -1) / len(correct), np.sort(correct)[::-1])
    assert best == pytest.approx(ordered, abs=1e-12)  # ties of equal samples change nothing
    assert e_aurc(*given_) == pytest.approx(loop_aurc(confidence, correct) - best, abs=1e-12)
    for recall in (0.3, 0.5, 0.95, 1.0):
        assert fpr_at_95(*given_, recall) == pytest.approx(loop_fpr(confidence, correct, recall), abs=1e-12)
    for risk in (0.0, 0.05, 0.2, 0.5, 1.0):
        covered = [
            (confidence >= threshold).mean()
            for threshold in set(confidence.tolist())
            if (~correct[confidence >= threshold]).mean() <= risk
        ]
        assert coverage_at_risk(*given_, risk) == pytest.approx(max(covered, default=0.0), abs=1e-12)


@pytest.mark.parametrize("kind", SETS)
def test_agree_with_scikit_learn(kind):
    confidence, correct = SETS[kind]
    given_ = table(confidence, correct)
    assert confidence_auroc(*given_) == pytest.approx(roc_auc_score(correct, confidence), abs=1e-12)
    false, true, _ = roc_curve(correct, confidence, drop_intermediate=False)
    assert fpr_at_95(*given_) == pytest.approx(false[np.argmax(true >= 0.95)], abs=1e-12)
    found = average_precision(rank(confidence, correct).tally())
    assert float(found) == pytest.approx(average_precision_score(correct, confidence), abs=1e-12)


def test_ties_give_the_expectation_over_their_orders():
    confidence, correct = np.array([0.9, 0.7, 0.7, 0.7, 0.6]), np.array([True, False, True, False, True])
    orders = [[0, *middle, 4] for middle in itertools.permutations([1, 2, 3])]
    curves = [np.cumsum(~correct[order]) / np.arange(1, 6) for order in orders]
    assert aurc(*table(confidence, correct)) == pytest.approx(np.mean(curves), abs=1e-12)


def test_the_least_area_tends_to_its_published_limit():
    correct = np.arange(100_000) >= 20_000
    confidence = np.where(correct, 0.5, 1.0)  # the worst order
    given_ = table(confidence, correct)
    assert aurc(*given_) - e_aurc(*given_) == pytest.approx(0.2 + 0.8 * math.log(0.8), abs=1e-4)


@pytest.mark.parametrize("right", [True, False])
def test_without_right_or_wrong_answers_there_is_no_order(right):
    given_ = table(np.array([0.9, 0.6]), np.array([right, right]))
    assert math.isnan(confidence_auroc(*given_))
    assert math.isnan(fpr_at_95(*given_))
    assert aurc(*given_) == (0.0 if right else 1.0)
    assert e_aurc(*given_) == 0.0
    assert coverage_at_risk(*given_, 0.1) == (1.0 if right else 0.0)


def test_one_sample():
    assert aurc([[0.7, 0.3]], [1]) == 1.0
    assert e_aurc([[0.7, 0.3]], [1]) == 0.0
    assert coverage_at_risk([[0.7, 0.3]], [0], 0.0) == 1.0


@given(st.lists(st.tuples(st.integers(5, 10), st.booleans()), min_size=2, max_size=40), st.randoms())
def test_the_order_of_the_samples_does_not_matter(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    first, second = (
        table(np.array([c / 10 for c, _ in one]), np.array([right for _, right in one])) for one in (pairs, shuffled)
    )
    for measure in (confidence_auroc, fpr_at_95, aurc, e_aurc):
        np.testing.assert_allclose(measure(*first), measure(*second), atol=1e-12)
        assert math.isnan(measure(*first)) or 0 <= measure(*first) <= 1 + 1e-12
    assert coverage_at_risk(*first, 0.3) == coverage_at_risk(*second, 0.3)
    assert e_aurc(*first) <= aurc(*first) + 1e-12


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_torch_tensors_are_accepted(dtype):
    torch = pytest.importorskip("torch")
    probs, labels = table(*SETS["tied"])
    given_ = torch.tensor(probs, dtype=getattr(torch, dtype)), torch.tensor(labels)
    rounded = given_[0].double().numpy()
    expected = confidence_auroc(rounded / rounded.sum(axis=1, keepdims=True), labels)
    assert confidence_auroc(*given_) == pytest.approx(expected, abs=0.01)
    assert aurc(*given_) == pytest.approx(aurc(probs, labels), abs=0.01)


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="recall"):
        fpr_at_95([[0.7, 0.3]], [0], recall=0)
    with pytest.raises(InputError, match="a share from 0 to 1, not 5"):
        coverage_at_risk([[0.7, 0.3]], [0], 5)
    with pytest.raises(InputError, match="sum to 1"):
        aurc([[0.7, 0.7]], [0])
