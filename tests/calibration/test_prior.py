"""Other class frequencies: the correction and EM against loops, what they are worth, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.calibration import (
    Prior,
    PriorCorrection,
    TemperatureScaling,
    Uncalibrated,
    class_frequencies,
    estimated_prior,
    given_prior,
)
from calibrant.data.emoji.drawings import embedded
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.sampling import cast, label_space
from calibrant.data.emoji.suites import suites
from calibrant.errors import CalibrantWarning, InputError
from calibrant.metrics import accuracy, classwise_calibration_error, nll
from calibrant.predictions import Predictions


def drawn(labels, known, seed, spread=1.5):
    """Probabilities that are calibrated where classes are as frequent as `known`: Bayes' rule on normal scores."""
    classes = len(known)
    scores = np.eye(classes)[labels] * spread**2 + spread * np.random.default_rng(seed).normal(
        size=(len(labels), classes)
    )
    odds = np.exp(scores - scores.max(axis=1, keepdims=True)) * known
    return odds / odds.sum(axis=1, keepdims=True)


def two_classes(samples=6000, rare=0.05, seed=0):
    """A set of two classes, 95:5, with probabilities that are calibrated for 50:50."""
    labels = (np.random.default_rng(seed).random(samples) < rare).astype(np.int64)
    return drawn(labels, np.array([0.5, 0.5]), seed + 1, spread=1.2), labels


def long_tail():
    """The labels of emoji/longtail, with probabilities that are calibrated for classes of equal frequency."""
    suite, indices = suites()["emoji/longtail"], np.arange(5_000)
    classes = [concept.name for concept in label_space(suite, "test", embedded())]
    labels = cast(suite, "test", embedded(), Draws("emoji/longtail test", indices, 0), indices).labels
    known = np.full(len(classes), 1 / len(classes))
    return drawn(labels, known, 3, spread=3.0), labels, known, classes


def loop_em(probabilities, known, steps, added=0.0):
    """Saerens et al. 2002, eq. 2.9, number by number, with `added` images of the known frequencies."""
    assumed = [float(one) for one in known]
    for _ in range(steps):
        sums = [0.0] * len(known)
        for row in probabilities.tolist():
            weighted = [p * new / old for p, new, old in zip(row, assumed, known, strict=True)]
            total = sum(weighted)
            sums = [one + value / total for one, value in zip(sums, weighted, strict=True)]
        whole = len(probabilities) + added
        assumed = [(one + added * old) / whole for one, old in zip(sums, known, strict=True)]
    return assumed


def test_the_correction_equals_a_loop():
    table, _ = two_classes(200)
    prior = Prior(["ok", "defect"], [0.7, 0.3], [0.98, 0.02])
    for row, found in zip(table.tolist(), prior.correct(table).tolist(), strict=True):
        weighted = [row[0] * 0.98 / 0.7, row[1] * 0.02 / 0.3]
        np.testing.assert_allclose(found, np.array(weighted) / sum(weighted), rtol=1e-12)


def test_em_equals_a_loop():
    draw = np.random.default_rng(0)
    known = np.array([0.5, 0.3, 0.2])
    table = drawn(draw.choice(3, 150, p=[0.1, 0.2, 0.7]), known, 1)
    found = estimated_prior(table, known, ["a", "b", "c"], strength=0)
    np.testing.assert_allclose(found.assumed, loop_em(table, known.tolist(), 1500), atol=1e-7)
    assert found.estimated_on == 150
    held_back = estimated_prior(table, known, ["a", "b", "c"])
    np.testing.assert_allclose(held_back.assumed, loop_em(table, known.tolist(), 1500, added=9.0), atol=1e-7)


def test_em_sets_out_from_the_mean_probability():
    """A class that is answered too often where its frequency is known is not taken for frequent elsewhere."""
    table, _ = two_classes(2000, rare=0.5)
    biased = table * [1.0, 3.0]
    biased /= biased.sum(axis=1, keepdims=True)
    known, mean = np.array([0.5, 0.5]), biased.mean(axis=0)
    found = estimated_prior(biased, known, ["ok", "defect"], source=mean, strength=0)
    np.testing.assert_allclose(found.assumed, 0.5, atol=1e-6)
    assert estimated_prior(biased, known, ["ok", "defect"], strength=0).assumed[1] > 0.7
    elsewhere = estimated_prior(biased[:150], known, ["ok", "defect"], source=mean, strength=0)
    expected = np.array(loop_em(biased[:150], mean.tolist(), 1500)) / mean * known
    np.testing.assert_allclose(elsewhere.assumed, expected / expected.sum(), atol=1e-6)


def test_em_has_the_highest_likelihood():
    table, _ = two_classes(2000)
    found = estimated_prior(table, [0.5, 0.5], ["ok", "defect"], strength=0).assumed[1]
    rates = np.linspace(0.001, 0.999, 9981)
    likelihood = np.log(np.outer(table[:, 0], (1 - rates) / 0.5) + np.outer(table[:, 1], rates / 0.5)).sum(axis=0)
    assert found == pytest.approx(rates[likelihood.argmax()], abs=2e-4)


def test_a_rare_defect():
    """Confidence that was calibrated on 50:50 is wrong on 95:5, and right after the correction, told or estimated."""
    table, labels = two_classes()
    known = np.array([0.5, 0.5])
    told = given_prior(known, "defect=0.05", ["ok", "defect"])
    found = estimated_prior(table, known, ["ok", "defect"])
    assert found.assumed[1] == pytest.approx(labels.mean(), abs=0.01)
    assert table[:, 1].mean() > labels.mean() + 0.2
    for prior in (told, found):
        corrected = prior.correct(table)
        assert corrected[:, 1].mean() == pytest.approx(labels.mean(), abs=0.01)
        assert classwise_calibration_error(corrected, labels) < classwise_calibration_error(table, labels) / 10
        assert nll(corrected, labels) < nll(table, labels)
        assert accuracy(corrected, labels) > accuracy(table, labels)


def test_the_long_tail_of_emoji():
    table, labels, known, classes = long_tail()
    true = np.bincount(labels, minlength=len(classes)) / len(labels)
    found = estimated_prior(table, known, classes)
    assert np.abs(found.assumed - true).sum() < 0.7 * np.abs(known - true).sum()
    assert nll(found.correct(table), labels) < nll(table, labels)
    assert accuracy(found.correct(table), labels) > accuracy(table, labels)


@given(
    st.lists(st.floats(0.05, 1), min_size=2, max_size=5),
    st.lists(st.floats(0.05, 1), min_size=5, max_size=5),
    st.integers(0, 2**32 - 1),
)
def test_going_there_and_back_changes_nothing(known, assumed, seed):
    before = np.array(known) / sum(known)
    after = np.array(assumed[: len(known)]) / sum(assumed[: len(known)])
    names = [str(i) for i in range(len(known))]
    table = np.random.default_rng(seed).dirichlet(np.ones(len(known)), 20)
    corrected = Prior(names, before, after).correct(table)
    np.testing.assert_allclose(corrected.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(Prior(names, after, before).correct(corrected), table, atol=1e-12)
    np.testing.assert_allclose(Prior(names, before, before).correct(table), table, atol=1e-15)


def test_a_sample_has_the_assumed_frequencies():
    labels = np.repeat([0, 1], [19_000, 1_000])
    prior = Prior(["ok", "defect"], [0.95, 0.05], [0.98, 0.02])
    kept = prior.sample(labels)
    assert kept[labels == 0].all()  # the class that becomes more frequent loses no image
    assert labels[kept].mean() == pytest.approx(0.02, abs=0.003)
    np.testing.assert_array_equal(kept, prior.sample(labels))
    assert not np.array_equal(kept, prior.sample(labels, seed=1))
    assert Prior(["ok", "defect"], [0.95, 0.05], [0.95, 0.05]).sample(labels).all()


def test_it_follows_a_calibrator():
    table, labels = two_classes(400)
    stored = Predictions(logits=3 * np.log(table), labels=labels, classes=["ok", "defect"])
    inside = TemperatureScaling().fit(stored)
    prior = given_prior([0.5, 0.5], {"defect": 0.05}, ["ok", "defect"])
    corrected = PriorCorrection(inside, prior)
    np.testing.assert_array_equal(corrected(stored), prior.correct(inside(stored)))
    assert corrected.state() != PriorCorrection(inside, Prior(["ok", "defect"], [0.5, 0.5], [0.9, 0.1])).state()
    with pytest.raises(InputError, match="cannot be used for 3 others"):
        corrected(Predictions(logits=[[1.0, 0.0, 0.0]]))
    with pytest.raises(InputError, match="not fitted"):
        PriorCorrection(TemperatureScaling(), prior)(stored)
    with pytest.raises(InputError, match="fit the calibrator inside"):
        PriorCorrection(Uncalibrated(), prior).fit(stored)
    with pytest.raises(InputError, match="save the one inside"):
        corrected.save("file.json")


def test_frequencies_are_counted():
    np.testing.assert_array_equal(class_frequencies([0, 2, 2, 1], ["a", "b", "c"]), [0.25, 0.25, 0.5])
    with pytest.warns(CalibrantWarning, match="class 'b' never occurs among 3 images"):
        np.testing.assert_allclose(class_frequencies([0, 2, 2], ["a", "b", "c"]), np.array([1.5, 0.5, 2.5]) / 4.5)
    with pytest.raises(InputError, match="at least one labelled image"):
        class_frequencies(np.empty(0, np.int64), ["a", "b"])


def test_the_rest_is_scaled():
    found = given_prior([0.2, 0.3, 0.5], "b=0.1, 'c, d'=0.3", ["a", "b", "c, d"])
    np.testing.assert_allclose(found.assumed, [0.6, 0.1, 0.3])
    found = given_prior([0.2, 0.2, 0.6], {"c": 0.2}, ["a", "b", "c"])
    np.testing.assert_allclose(found.assumed, [0.4, 0.4, 0.2])
    np.testing.assert_allclose(given_prior([0.5, 0.5], "a=0.9,b=0.1", ["a", "b"]).assumed, [0.9, 0.1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("defekt=0.02", "did you mean 'defect'"),
        ("defect", "written CLASS=FREQUENCY"),
        ("defect=two", "written CLASS=FREQUENCY"),
        ("=0.5", "written CLASS=FREQUENCY"),
        ("", "at least one class"),
        ("defect=2", "between 0 and 1"),
        ("defect=0", "between 0 and 1"),
        ("defect=nan", "between 0 and 1"),
        ("defect=0.1,defect=0.2", "two frequencies"),
        ("defect=0.6,scratch=0.5", "leave nothing for the other classes"),
        ("defect=0.2,scratch=0.2,ok=0.2", "must sum to 1, not to 0.6"),
    ],
)
def test_what_is_no_prior_is_one_line(text, message):
    with pytest.raises(InputError, match=message) as refused:
        given_prior([0.8, 0.1, 0.1], text, ["ok", "scratch", "defect"])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("known", "assumed", "message"),
    [
        ([0.5, 0.4], [0.5, 0.5], "known frequencies must sum to 1"),
        ([0.5, 0.5], [0.5, 0.3, 0.2], r"assumed frequencies must have shape \[2\]"),
        ([1.0, 0.0], [0.5, 0.5], "class 'defect' never occurs"),
        ([0.5, np.nan], [0.5, 0.5], "NaN"),
        ([0.5, 0.5], [1.5, -0.5], "between 0 and 1"),
    ],
)
def test_frequencies_are_checked(known, assumed, message):
    with pytest.raises(InputError, match=message):
        Prior(["ok", "defect"], known, assumed)


def test_bad_tables_and_few_images():
    with pytest.raises(InputError, match="2 classes but probabilities of 3"):
        Prior(["a", "b"], [0.5, 0.5], [0.5, 0.5]).correct([[0.2, 0.3, 0.5]])
    with pytest.raises(InputError, match="image in row 1 can only belong to classes whose assumed frequency is 0"):
        Prior(["a", "b"], [0.5, 0.5], [1.0, 0.0]).correct([[0.5, 0.5], [0.0, 1.0]])
    with pytest.warns(CalibrantWarning, match="only 1 images"):
        assert estimated_prior([[0.9, 0.1]], [0.5, 0.5], ["a", "b"], strength=0).assumed[0] > 0.99
    many = [[0.9, 0.1]] * 20
    with pytest.raises(InputError, match="strength of the known frequencies must be 0 or more"):
        estimated_prior(many, [0.5, 0.5], ["a", "b"], strength=-1)
    with pytest.raises(InputError, match="mean probability of class 'b' is 0"):
        estimated_prior(many, [0.5, 0.5], ["a", "b"], source=[1.0, 0.0])
    with pytest.raises(InputError, match="probabilities must sum to 1"):
        estimated_prior([[0.9, 0.3]] * 20, [0.5, 0.5], ["a", "b"])
