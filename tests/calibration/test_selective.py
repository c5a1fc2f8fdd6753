"""Thresholds that keep a promise: exact tests by hand, the promise on drawn data, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from calibrant.calibration import AnswerRule, answer_rule, answers_needed, candidate_thresholds
from calibrant.calibration.selective import shown
from calibrant.errors import InputError


def binomial_tail(errors: int, n: int, risk: float) -> float:
    return math.fsum(math.comb(n, k) * risk**k * (1 - risk) ** (n - k) for k in range(errors + 1))


def test_how_many_answers_without_an_error_are_needed() -> None:
    assert answers_needed(0.01) == 299
    assert answers_needed(0.05) == 59
    for risk in (0.001, 0.02, 0.1, 0.5, 0.9):
        for certainty in (0.5, 0.9, 0.95, 0.99):
            n = answers_needed(risk, certainty)
            assert (1 - risk) ** n <= 1 - certainty + 1e-12 < (1 - risk) ** (n - 1) + 2e-12


@pytest.mark.parametrize("n", [1, 58, 59, 92, 93, 300])
def test_a_threshold_passes_if_the_exact_test_does(n: int) -> None:
    for errors in range(min(n, 12)):
        right = [False] * errors + [True] * (n - errors)
        rule = answer_rule([0.9] * n, right, risk=0.05, candidates=[0.5])
        assert (rule.threshold is not None) == (binomial_tail(errors, n, 0.05) <= 0.05)
        assert (rule.answered, rule.errors, rule.images) == (n, errors, n)
        interval = stats.binomtest(errors, n).proportion_ci(0.9, "exact")  # 5 % on this side
        assert rule.bound == pytest.approx(interval.high)


def test_thresholds_are_tested_in_order_until_one_fails() -> None:
    confidence = np.repeat([0.9, 0.8, 0.7, 0.6], 100)
    correct = np.ones(400, bool)
    correct[200:240] = False  # at 0.7 far too many, and from 0.6 on few enough again
    order = [0.9, 0.8, 0.7, 0.6]
    rule = answer_rule(confidence, correct, risk=0.12, candidates=order)
    assert (rule.threshold, rule.answered, rule.errors) == (0.8, 200, 0)
    assert answer_rule(confidence, correct, risk=0.14, candidates=[0.6]).threshold == 0.6
    failed = answer_rule(confidence, correct, risk=0.01, candidates=order)
    assert (failed.threshold, failed.answered, failed.coverage) == (None, 100, 0)


def test_the_sentence_says_what_was_found() -> None:
    correct = np.ones(400, bool)
    correct[:6] = False
    confidence = np.r_[np.full(284, 0.8712), np.full(116, 0.4)]
    rule = answer_rule(confidence, correct, risk=0.05, candidates=[0.8712])
    assert rule.sentence() == (
        "Answers above 0.87 (71 % of images): at most 5 % wrong, 95 % certain (n = 284, 6 errors)."
    )
    assert (
        "About 300 answers without an error are needed."
        in answer_rule(confidence, correct, risk=0.01, candidates=[0.8712]).sentence()
    )
    assert AnswerRule(**rule.record()) == rule
    assert (rule.answers([0.8712, 0.8711]) == [True, False]).all()


@given(st.floats(0.0, 1.0))
def test_a_shown_threshold_is_never_above_the_true_one(threshold: float) -> None:
    assert float(shown(threshold)) <= threshold + 1e-6 * 10 ** -min(12, len(shown(threshold)) - 2)


def drawn(seed: int, n: int, shape: float) -> tuple[np.ndarray, np.ndarray]:
    """Confidence, and answers that are right less often than it says."""
    generator = np.random.default_rng([seed, n])
    confidence = generator.beta(4, 1, size=n)
    return confidence, generator.random(n) < confidence**shape


@pytest.mark.parametrize("shape", [0.5, 1.0])
@pytest.mark.parametrize("risk", [0.05, 0.1, 0.2])
def test_the_promise_is_broken_in_at_most_one_case_of_twenty(shape: float, risk: float) -> None:
    many, right = drawn(-1 % 2**32, 400_000, shape)
    order = np.argsort(-many)
    truth = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    repeats, broken, found = 400, 0, 0
    for seed in range(repeats):
        choice, tested = drawn(2 * seed, 300, shape), drawn(2 * seed + 1, 300, shape)
        candidates = candidate_thresholds(*choice, risk=risk, images=300)
        rule = answer_rule(*tested, risk=risk, candidates=candidates)
        if rule.threshold is not None:
            found += 1
            broken += truth[max(0, int((many >= rule.threshold).sum()) - 1)] > risk
    assert stats.binomtest(broken, repeats, 0.05, "greater").pvalue > 0.001
    if shape == 0.5 and risk > 0.05:  # at 5 % too few of the 300 images are sure enough
        assert found > repeats / 2  # and the promise is not kept by giving none


def test_an_honest_threshold_answers_nearly_as_much_as_could_be() -> None:
    confidence = np.linspace(0, 1, 4001)[1:]
    correct = np.ones(4000, bool)
    correct[confidence < 0.4] = np.arange((confidence < 0.4).sum()) % 2 == 0
    candidates = candidate_thresholds(confidence, correct, risk=0.05, images=4000)
    rule = answer_rule(confidence, correct, risk=0.05, candidates=candidates)
    best = 0.6 / (1 - 0.05 / 0.5)  # the share at which 5 % are wrong
    assert 0.9 * best < rule.coverage <= best


def test_candidates_descend_and_are_few() -> None:
    confidence, correct = drawn(0, 5000, 1.0)
    found = candidate_thresholds(confidence, correct, risk=0.1, images=5000)
    assert 1 <= len(found) <= 50
    assert (np.diff(found) < 0).all()
    assert np.isin(found, confidence).all()
    assert list(candidate_thresholds([0.5], [False], risk=0.1, images=10)) == [0.5]
    assert len(candidate_thresholds([0.7] * 100, [True] * 100, risk=0.1, images=10)) == 1


def test_images_that_depend_on_each_other_count_less() -> None:
    confidence, correct = np.full(240, 0.9), np.arange(240) % 80 >= 4
    alone = answer_rule(confidence, correct, risk=0.1, candidates=[0.5])
    together = answer_rule(confidence, correct, risk=0.1, candidates=[0.5], units=np.arange(240) // 4)
    assert alone.threshold == 0.5
    assert together.bound > alone.bound
    assert together.threshold is None
    copies = answer_rule([0.9] * 400, [True] * 400, risk=0.05, candidates=[0.5], units=np.arange(400) // 10)
    assert copies.threshold is None  # 40 units without an error are not 59


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("right", [True, False])
def test_one_or_two_images_promise_nothing(n: int, right: bool) -> None:
    candidates = candidate_thresholds([0.5] * n, [right] * n, risk=0.05, images=n)
    rule = answer_rule([0.5] * n, [right] * n, risk=0.05, candidates=candidates)
    assert rule.threshold is None
    with pytest.raises(InputError, match="About 59 answers"):
        rule.answers([0.9])


def test_bad_input_is_one_line() -> None:
    def search(confidence=(0.5,), correct=(True,), **others):
        return answer_rule(confidence, correct, **{"risk": 0.05, "candidates": [0.5], **others})

    for call, message in [
        (lambda: search(risk=0), "between 0 and 1"),
        (lambda: search(risk=float("nan")), "between 0 and 1"),
        (lambda: search(certainty=1.0), "certainty must lie"),
        (lambda: search(confidence=[float("nan")]), "NaN"),
        (lambda: search(confidence=[], correct=[]), "at least one image"),
        (lambda: search(correct=[True, False]), "each of the 1 images"),
        (lambda: search(correct=[0.5]), "true or false"),
        (lambda: search(candidates=[]), "at least one threshold"),
        (lambda: search(units=[1, 2]), "units have shape"),
    ]:
        with pytest.raises(InputError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)
