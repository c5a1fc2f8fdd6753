"""A new confidence for the answer, with a plain loop that shares the rest, on any row and any confidence."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calibrant import Predictions
from calibrant.calibration.top_label import answers_of, confidence_and_correctness, keep_answers, with_confidence


def shared(row, answer, confidence):
    """Share what the answer leaves in proportion, again and again among those that are below the answer."""
    classes = len(row)
    # what is smaller than 1e-300 of the largest of the others is lost in what zeros get, so that they share alike
    largest = max(p for c, p in enumerate(row) if c != answer) or 1.0
    row = [0.0 if c == answer else p / largest + 1e-300 for c, p in enumerate(row)]
    top = min(max(confidence, 1 / classes), 1.0)
    given = np.zeros(classes)
    full, left = set(), 1 - top
    while left > 1e-15:
        open_ = [c for c in range(classes) if c != answer and c not in full]
        if not open_:
            break
        weights = np.array([row[c] for c in open_])
        weights = weights / weights.sum()
        wanted = {c: left * w for c, w in zip(open_, weights, strict=True)}
        over = [c for c in open_ if wanted[c] > top]
        if not over:
            for c in open_:
                given[c] = wanted[c]
            break
        for c in over:
            given[c] = top
            left -= top
            full.add(c)
    given[answer] = top
    return given


@st.composite
def rows(draw):
    weight = st.sampled_from([0.0, 1e-12, 0.01, 0.3, 1.0, 1.0]) | st.floats(0, 1)
    weights = np.array(draw(st.lists(weight, min_size=2, max_size=7)))
    weights[draw(st.integers(0, len(weights) - 1))] = 1.0
    return weights / weights.sum(), int(weights.argmax())


@settings(deadline=None)
@given(rows(), st.floats(0, 1))
@example((np.array([0.98, 0.02]), 0), 0.35)  # less than an answer can have
@example((np.array([1.0, 0.0, 0.0]), 0), 0.6)  # a sure answer leaves nothing that proportions could be taken of
@example((np.array([0.2, 0.4, 0.4]), 1), 0.33)
@example((np.array([1.0, 0.0, 1.4e-303]), 0), 0.5)  # what is next to nothing keeps its proportions too
def test_the_rest_is_shared_below_the_answer(row_and_answer, confidence):
    row, answer = row_and_answer
    found = with_confidence(row[None], np.array([answer]), np.array([confidence]))[0]
    np.testing.assert_allclose(found, shared(row, answer, confidence), atol=1e-9)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert found.argmax() == answer
    assert found.min() >= 0


def test_many_rows_are_treated_alone():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(6, 0.3), size=500)
    answers, confidence = p.argmax(axis=1), rng.random(500)
    expected = [shared(*one) for one in zip(p, answers, confidence, strict=True)]
    np.testing.assert_allclose(with_confidence(p, answers, confidence), expected, atol=1e-9)


def test_the_answer_is_the_first_of_the_largest_logits():
    tied = Predictions(logits=[[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], labels=[2, 0])
    assert answers_of(tied).tolist() == [1, 0]
    confidence, right = confidence_and_correctness(tied, "spline")
    assert right.tolist() == [0.0, 1.0]
    np.testing.assert_allclose(confidence, [1 / (2 + np.exp(-2)), 1 / 3])


def test_only_rows_whose_answer_changed_are_touched():
    p = np.array([[0.5, 0.5], [0.4, 0.6], [0.5, 0.5]])
    kept = keep_answers(p, np.array([1, 1, 0]))
    assert kept.argmax(axis=1).tolist() == [1, 1, 0]
    assert (kept[1:] == p[1:]).all()
    np.testing.assert_allclose(kept, p, atol=1e-15)
