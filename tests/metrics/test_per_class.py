"""Recall, precision and F1 of every class, against loops, scikit-learn and torchmetrics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_recall_fscore_support

from calibrant.errors import InputError
from calibrant.metrics import balanced_accuracy, macro_f1, per_class

RNG = np.random.default_rng(0)
PROBS = RNG.dirichlet(np.ones(5), 300)
LABELS = np.where(RNG.random(300) < 0.6, PROBS.argmax(axis=1), RNG.integers(5, size=300))


def one_hot(answers, classes):
    return np.eye(classes)[answers]


def test_equal_loops_from_the_definitions():
    found, answers = per_class(PROBS, LABELS), [max(range(5), key=lambda c, p=p: p[c]) for p in PROBS.tolist()]
    for c in range(5):
        right = sum(a == c == y for a, y in zip(answers, LABELS, strict=True))
        assert found.recall[c] == pytest.approx(right / sum(y == c for y in LABELS))
        assert found.precision[c] == pytest.approx(right / sum(a == c for a in answers))
        expected = 2 / (1 / found.recall[c] + 1 / found.precision[c])
        assert found.f1[c] == pytest.approx(expected)


def test_agree_with_scikit_learn():
    answers, found = PROBS.argmax(axis=1), per_class(PROBS, LABELS)
    precision, recall, f1, support = precision_recall_fscore_support(LABELS, answers)
    np.testing.assert_allclose(found.recall, recall)
    np.testing.assert_allclose(found.precision, precision)
    np.testing.assert_allclose(found.f1, f1)
    np.testing.assert_array_equal(found.labelled, support)
    assert balanced_accuracy(PROBS, LABELS) == pytest.approx(balanced_accuracy_score(LABELS, answers))
    assert macro_f1(PROBS, LABELS) == pytest.approx(f1_score(LABELS, answers, average="macro"))


def test_agree_with_torchmetrics():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    given_ = torch.from_numpy(PROBS), torch.from_numpy(LABELS)
    recall = functional.multiclass_recall(*given_, num_classes=5, average="macro")
    f1 = functional.multiclass_f1_score(*given_, num_classes=5, average="macro")
    assert balanced_accuracy(PROBS, LABELS) == pytest.approx(float(recall), abs=1e-6)
    assert macro_f1(PROBS, LABELS) == pytest.approx(float(f1), abs=1e-6)


def test_classes_that_do_not_occur_do_not_count():
    probs, labels = one_hot([0, 0, 1, 3], 5), [0, 1, 1, 1]
    found = per_class(probs, labels)
    np.testing.assert_allclose(found.recall, [1, 1 / 3, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(found.precision, [0.5, 1, np.nan, 0, np.nan])
    assert balanced_accuracy(probs, labels) == pytest.approx((1 + 1 / 3) / 2)
    # a class that is answered but never right has F1 0, like in scikit-learn
    assert macro_f1(probs, labels) == pytest.approx(f1_score(labels, [0, 0, 1, 3], average="macro"))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30), st.permutations(range(4)))
def test_class_names_do_not_matter(pairs, names):
    answers, labels = (np.array(column) for column in zip(*pairs, strict=True))
    renamed = np.array(names)
    for measure in (balanced_accuracy, macro_f1):
        value = measure(one_hot(answers, 4), labels)
        assert 0 <= value <= 1
        assert value == pytest.approx(measure(one_hot(renamed[answers], 4), renamed[labels]))


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="outside the class list"):
        per_class(PROBS, LABELS + 1)
