"""Temperature scaling against a bounded search, on the inputs where other fitters fail."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from calibrant import Predictions
from calibrant.arrays import softmax
from calibrant.calibration import TemperatureScaling, Uncalibrated
from calibrant.calibration.tempered_likelihood import tempered_likelihood
from calibrant.errors import CalibrantWarning, InputError
from calibrant.metrics import nll_from_logits


def calibrated(seed, samples=600, classes=10, spread=2.0):
    """Logits whose softmax is the law that the labels are drawn from."""
    rng = np.random.default_rng(seed)
    logits = spread * rng.normal(size=(samples, classes))
    return logits, (rng.random((samples, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)


def over_confident_with_errors(seed, samples=400, classes=20):
    """Nearly every answer right with a huge margin, and a few confident errors."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=samples)
    logits = rng.normal(size=(samples, classes))
    answers = labels.copy()
    answers[:8] = (labels[:8] + 1) % classes
    logits[np.arange(samples), answers] += 30
    return logits, labels


def searched(logits, labels):
    """The optimum by golden section in the logarithm of T, in float64."""
    z = np.asarray(logits, dtype=np.float64)
    found = minimize_scalar(
        lambda u: nll_from_logits(z * np.exp(-u), labels),
        bounds=(-14, 14),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return np.exp(found.x), found.fun


CASES = {
    "calibrated": calibrated(0),
    "over-confident": (5 * calibrated(1)[0], calibrated(1)[1]),
    "under-confident": (0.05 * calibrated(2)[0], calibrated(2)[1]),
    "confident errors": over_confident_with_errors(3),
    "two classes": calibrated(4, classes=2),
    "huge logits": (1e5 * calibrated(5)[0], calibrated(5)[1]),
    "tiny logits": (1e-4 * calibrated(6)[0], calibrated(6)[1]),
    "a masked class": (np.hstack([calibrated(7)[0], np.full((600, 1), -1e9)]), calibrated(7)[1]),
    "cosines": (0.2 + 0.01 * calibrated(8)[0], calibrated(8)[1]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_finds_the_optimum(name, dtype):
    logits, labels = CASES[name]
    scaling = TemperatureScaling().fit(logits.astype(dtype), labels)
    expected, lowest = searched(logits.astype(dtype), labels)
    assert not scaling.at_bound_
    assert scaling.temperature_ == pytest.approx(expected, rel=1e-4)
    assert nll_from_logits(logits / scaling.temperature_, labels) <= lowest + 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-3, 1, 30])
def test_starting_from_some_of_many_samples_finds_the_same_optimum(scale, dtype):
    logits, labels = calibrated(12, samples=40_000, classes=6)
    order = np.argsort(labels, kind="stable")  # as of a folder of classes
    logits, labels = (scale * logits[order]).astype(dtype), labels[order]
    scaling = TemperatureScaling().fit(logits, labels)
    assert scaling.temperature_ == pytest.approx(searched(logits, labels)[0], rel=1e-5)


@pytest.mark.parametrize("eighth", ["separable", "worse than chance", "ten times as confident"])
def test_a_misleading_eighth_of_the_samples_does_no_harm(eighth):
    logits, labels = calibrated(13, samples=8000, classes=4)
    every = np.eye(4)[labels[::8]]
    logits[::8] = {"separable": 9 * every, "worse than chance": -3 * every}.get(eighth, 10 * logits[::8])
    scaling = TemperatureScaling().fit(logits, labels)
    assert not scaling.at_bound_
    assert scaling.temperature_ == pytest.approx(searched(logits, labels)[0], rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3))
def test_follows_the_scale_of_the_logits(seed, exponent):
    logits, labels = calibrated(seed, samples=80, classes=4)
    one = TemperatureScaling().fit(logits, labels)
    other = TemperatureScaling().fit(10**exponent * logits, labels)
    assert other.temperature_ == pytest.approx(10**exponent * one.temperature_, rel=1e-6)


@pytest.mark.parametrize("scale", [0.01, 3, 100])
def test_samples_without_an_error_do_not_make_anything_surer(scale):
    logits = scale * (np.eye(4)[[0, 1, 2, 3, 0]] + 0.2 * np.random.default_rng(0).random((5, 4)))
    with pytest.warns(CalibrantWarning, match=r"every answer is right .* do not tell how sure to be.* more held-out"):
        scaling = TemperatureScaling().fit(logits, [0, 1, 2, 3, 0])
    assert scaling.at_bound_
    assert scaling.temperature_ == 1
    assert scaling.predict_proba(logits) == pytest.approx(softmax(logits), abs=1e-15)


def test_one_error_among_right_answers_is_enough_for_the_optimum():
    logits, labels = 3 * np.eye(4)[np.arange(40) % 4], np.arange(40) % 4
    labels[0] = 1
    scaling = TemperatureScaling().fit(logits, labels)
    assert not scaling.at_bound_
    assert scaling.temperature_ == pytest.approx(searched(logits, labels)[0], rel=1e-4)


def test_logits_worse_than_chance_get_a_bounded_answer_and_a_warning():
    logits, labels = -3 * np.eye(4), np.arange(4)
    with pytest.warns(CalibrantWarning, match="no better than chance"):
        scaling = TemperatureScaling().fit(logits, labels)
    assert scaling.at_bound_
    assert 1 < scaling.temperature_ < 1e7
    assert nll_from_logits(logits / scaling.temperature_, labels) == pytest.approx(np.log(4), abs=1e-4)


@pytest.mark.parametrize("logits", [np.zeros((3, 2)), np.eye(3) * 1e30, np.eye(3) * 1e-30])
def test_degenerate_logits_neither_overflow_nor_fail(logits):
    labels = np.arange(3) % logits.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", CalibrantWarning)
        scaling = TemperatureScaling().fit(logits, labels)
        probs = scaling.predict_proba(logits)
    assert 0 < scaling.temperature_ < np.inf
    assert np.isfinite(probs).all()


def test_a_tiny_temperature_does_not_overflow():
    scaling = TemperatureScaling()
    scaling.restore({"temperature_": 1e-300, "at_bound_": True}, ["a", "b"])
    assert scaling.predict_proba([[1e10, 0.0]]).tolist() == [[1.0, 0.0]]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_keeps_every_answer(seed, temperature):
    logits, _ = calibrated(seed, samples=50, classes=6)
    logits[:10, 2] = logits[:10].max(axis=1)  # ties
    scaling = TemperatureScaling()
    scaling.restore({"temperature_": temperature, "at_bound_": False}, list("abcdef"))
    probs = scaling.predict_proba(logits)
    assert (probs.argmax(axis=1) == logits.argmax(axis=1)).all()
    assert probs.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-12)
    assert probs.dtype == np.float64


def test_likelihood_and_derivatives_are_those_of_the_definition():
    logits, labels = calibrated(14, samples=30, classes=5)
    inverses = np.linspace(0.2, 3, 30)
    value, first, second = tempered_likelihood(logits.astype(np.float32), labels, inverses)
    for i, (row, label, inverse) in enumerate(
        zip(logits.astype(np.float32).astype(float), labels, inverses, strict=True)
    ):
        p = np.exp(inverse * row) / sum(np.exp(inverse * row))
        mean = sum(p * row)
        assert value[i] == pytest.approx(-np.log(p[label]), abs=1e-12)
        assert first[i] == pytest.approx(mean - row[label], abs=1e-12)
        assert second[i] == pytest.approx(sum(p * row**2) - mean**2, abs=1e-12)


def test_transformed_logits_are_finite_and_keep_their_level():
    scaling = TemperatureScaling()
    scaling.restore({"temperature_": 4.0, "at_bound_": False}, ["a", "b"])
    assert scaling.transform(Predictions(logits=[[20.0, 10.0]])).logits.tolist() == [[5.0, 2.5]]
    scaling.restore({"temperature_": 1e-300, "at_bound_": True}, ["a", "b"])
    assert np.isfinite(scaling.transform(Predictions(logits=[[1e10, 0.0]])).logits).all()


def test_recovers_the_scale_that_was_put_in():
    logits, labels = calibrated(11, samples=20_000, classes=5)
    predictions = Predictions(logits=(2.5 * logits).astype(np.float32), labels=labels)
    scaling = TemperatureScaling().fit(predictions)
    assert scaling.temperature_ == pytest.approx(2.5, rel=0.03)
    assert scaling(predictions) == pytest.approx(softmax(2.5 * logits / scaling.temperature_), abs=1e-5)


def test_probabilities_give_the_same_as_their_logits():
    logits, labels = CASES["over-confident"]
    of_logits = TemperatureScaling().fit(logits, labels)
    of_probabilities = TemperatureScaling().fit(Predictions.from_probabilities(softmax(logits), labels=labels))
    assert of_probabilities.temperature_ == pytest.approx(of_logits.temperature_, rel=1e-9)


def test_uncalibrated_is_the_softmax():
    logits, _ = CASES["calibrated"]
    assert Uncalibrated().fit(logits)(Predictions(logits=logits)) == pytest.approx(softmax(logits))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Predictions(logits=np.eye(2)),), "calibrator 'temperature' is fitted on labelled predictions"),
        ((Predictions(logits=np.eye(2), labels=[0, -1]),), "1 belong to none, first row 1"),
        ((Predictions(logits=np.eye(2), labels=[0, 1]), [0, 1]), "given twice"),
        ((np.eye(2), [0, 2]), "label 2 in row 1"),
        ((np.eye(2), [0]), "2 rows but the labels have shape [1]"),
        (([[np.nan, 0]], [0]), "NaN or infinite"),
        ((np.empty((0, 2)), []), "empty"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, message):
    with pytest.raises(InputError) as caught:
        TemperatureScaling().fit(*arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_use_before_fit_is_refused():
    with pytest.raises(InputError, match="not fitted"):
        TemperatureScaling()(Predictions(logits=np.eye(2)))
    with pytest.raises(InputError, match="not fitted"):
        TemperatureScaling().predict_proba(np.eye(2))
