"""Histogram binning against loops over its definition, and against stored numbers of netcal away from edges."""

import json
from bisect import bisect_left
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant import Predictions
from calibrant.arrays import softmax
from calibrant.calibration import HistogramBinning
from calibrant.errors import InputError

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "binning-calibrators.json").read_text(encoding="utf-8"))


def looped(fit, labels, p, inner_edges):
    """The share of each class in the bin of each probability, divided by the sum over the classes."""
    result = np.zeros_like(p)
    for n, row in enumerate(p):
        for c, value in enumerate(row):
            edges = inner_edges[c]
            which = bisect_left(edges, value)
            inside = [labels[i] == c for i, of_fit in enumerate(fit[:, c]) if bisect_left(edges, of_fit) == which]
            around = [0.0, *edges, 1.0]
            result[n, c] = np.mean(inside) if inside else (around[which] + around[which + 1]) / 2
        result[n] = result[n] / result[n].sum() if result[n].sum() > 0 else row
    return result


def equal_mass(values, bins):
    """The value at rank ceil(N b / bins) closes bin b."""
    ranked = sorted(values)
    return [ranked[-(-len(ranked) * b // bins) - 1] for b in range(1, bins)]


@st.composite
def samples(draw):
    classes, count = draw(st.integers(2, 4)), draw(st.integers(1, 12))
    # few different values, so that many are tied and some lie on an edge
    logit = st.sampled_from([-60.0, 0.0, float(np.log(3)), 1.0, 60.0])
    logits = draw(st.lists(st.lists(logit, min_size=classes, max_size=classes), min_size=count, max_size=count))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
    return Predictions(logits=logits, labels=labels)


@settings(deadline=None)
@given(samples(), samples(), st.integers(1, 6), st.sampled_from(["width", "mass"]))
def test_as_defined(fit, unseen, bins, binning):
    used = unseen if len(unseen.classes) == len(fit.classes) else fit
    widths = [[b / bins for b in range(1, bins)]] * len(fit.classes)
    inner = widths if binning == "width" else [equal_mass(of_class, bins) for of_class in fit.probabilities().T]
    expected = looped(fit.probabilities(), fit.labels, used.probabilities(), inner)
    np.testing.assert_allclose(HistogramBinning(bins, binning).fit(fit)(used), expected, atol=1e-9)


@pytest.mark.parametrize("classes", [2, 5])
def test_agrees_with_netcal(classes):
    stored = GOLDEN[f"{classes} classes"]
    logits, labels = np.array(stored["logits"]) / 100, stored["labels"]
    fitted = HistogramBinning().fit(logits, labels)
    found = fitted.predict_proba(logits)
    if classes == 2:  # netcal looks at the second class alone; both of ours are divided by their sum
        found = fitted.shares_[1][np.ceil(softmax(logits)[:, 1] * 10).astype(int) - 1]
    np.testing.assert_allclose(found, stored["histogram"], atol=1e-9)


def test_confidence_of_exactly_one_and_zero_have_a_bin():
    sure = [[1000.0, 0.0]] * 4
    fitted = HistogramBinning(bins=4).fit(sure, [0, 0, 0, 1])
    assert fitted.shares_.tolist() == [[0.125, 0.375, 0.625, 0.75], [0.25, 0.375, 0.625, 0.875]]
    np.testing.assert_allclose(fitted.predict_proba(sure[:1]), [[0.75, 0.25]])


def test_a_sample_of_which_nothing_is_known_keeps_its_probabilities():
    """netcal divides 0 by 0 here."""
    wrong = np.log([[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    fitted = HistogramBinning(bins=2).fit(wrong[2:], [1, 2, 0])
    np.testing.assert_allclose(fitted.shares_, [[0.5, 0.0]] * 3)
    fitted = HistogramBinning(bins=1).fit(wrong, [0, 0, 0, 0, 0])
    np.testing.assert_allclose(fitted.predict_proba(wrong), [[1.0, 0.0, 0.0]] * 5)
    nothing = HistogramBinning(bins=1)
    nothing.restore({"edges_": np.array([[0.0, 1.0]] * 3), "shares_": np.zeros((3, 1))}, fitted.classes_)
    np.testing.assert_allclose(nothing.predict_proba(wrong), np.exp(wrong))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bins": 0}, "positive integer"),
        ({"bins": 2.5}, "positive integer"),
        ({"binning": "kmeans"}, "unknown binning"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    with pytest.raises(InputError, match=message):
        HistogramBinning(**parameters).fit([[1.0, 0.0]], [0])


@pytest.mark.parametrize(
    ("learned", "message"),
    [
        ({"edges_": np.array([[0.0, 1.0]] * 2), "shares_": np.array([[0.5, 0.5]] * 2)}, "one more per class"),
        ({"edges_": np.array([[0.0, 0.6, 0.5, 1.0]] * 2), "shares_": np.full((2, 3), 0.5)}, "must rise"),
        ({"edges_": np.array([[0.0, 1.0]] * 2), "shares_": np.array([[1.5]] * 2)}, "between 0 and 1"),
    ],
)
def test_impossible_learned_values_are_refused(learned, message):
    with pytest.raises(InputError, match=message):
        HistogramBinning().restore(learned, ["cat", "dog"])
