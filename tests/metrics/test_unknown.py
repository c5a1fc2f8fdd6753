"""Scores of unknown images against loops from the definitions, and how well they tell against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from calibrant.errors import InputError
from calibrant.metrics import class_share, energy, max_softmax, unknown_summary

DRAW = np.random.default_rng(0)
LOGITS = {
    "random": DRAW.normal(size=(50, 6)),
    "float32": DRAW.normal(size=(50, 6)).astype(np.float32),
    "huge": np.array([[900.0, -900.0], [1e4, 1e4], [0.0, 0.0]]),
    "one": np.array([[0.3, 0.1]]),
}


def loop_log_mass(row, temperature):
    highest = max(row)
    return highest / temperature + math.log(math.fsum(math.exp((one - highest) / temperature) for one in row))


@pytest.mark.parametrize("name", LOGITS)
@pytest.mark.parametrize("temperature", [1.0, 0.05, 20.0])
def test_scores_equal_loops(name, temperature):
    logits, nouns = LOGITS[name], 2 * LOGITS[name][:, ::-1]
    found = zip(max_softmax(logits, temperature), energy(logits, temperature), class_share(logits, nouns), strict=True)
    for row, words, (highest, free, share) in zip(logits.tolist(), nouns.tolist(), found, strict=True):
        mass = loop_log_mass(row, temperature)
        assert highest == pytest.approx(math.exp(max(row) / temperature - mass), rel=1e-9)
        assert free == pytest.approx(temperature * mass, rel=1e-9, abs=1e-9)
        apart = loop_log_mass(words, 1.0) - loop_log_mass(row, 1.0)
        assert share == pytest.approx(1 / (1 + math.exp(apart)) if apart < 700 else 0.0, rel=1e-6, abs=1e-300)


def loop_fpr(known, unknown, keep=0.95):
    for threshold in sorted(known, reverse=True):
        if sum(one >= threshold for one in known) >= keep * len(known):
            return sum(one >= threshold for one in unknown) / len(unknown)
    raise AssertionError


SCORES = {
    "random": (DRAW.normal(1, 1, 300), DRAW.normal(0, 1, 200)),
    "tied": (DRAW.integers(2, 8, 300) / 10, DRAW.integers(0, 6, 200) / 10),
    "all the same": (np.ones(20), np.ones(30)),
    "apart": (np.arange(10.0, 50.0), np.arange(5.0)),
    "one each": (np.array([0.2]), np.array([0.4])),
}


@pytest.mark.parametrize("name", SCORES)
def test_auroc_is_that_of_sklearn(name):
    known, unknown = SCORES[name]
    found = unknown_summary(known, unknown)
    truth, scores = np.repeat([1, 0], [len(known), len(unknown)]), np.concatenate([known, unknown])
    assert found["auroc"]["value"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert found["fpr95"]["value"] == pytest.approx(fpr[np.argmax(tpr >= 0.95)], abs=1e-12)
    assert found["fpr95"]["value"] == pytest.approx(loop_fpr(known, unknown), abs=1e-12)
    for one in found.values():
        if one["low"] is not None:
            assert one["low"] <= one["value"] <= one["high"]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_only_the_order_counts(known, unknown):
    plain = unknown_summary(known, unknown, level=None)
    bent = unknown_summary(np.exp(np.array(known) / 3), np.exp(np.array(unknown) / 3), level=None)
    turned = unknown_summary(-np.array(unknown), -np.array(known), level=None)
    assert plain == bent
    assert plain["auroc"]["value"] == pytest.approx(turned["auroc"]["value"])
    assert plain["auroc"]["low"] is None


def test_images_that_depend_on_each_other_widen_the_interval():
    known, unknown = SCORES["random"]
    alone = unknown_summary(known, unknown)["auroc"]
    units = {"known_units": np.repeat(np.arange(30), 10), "unknown_units": np.repeat(np.arange(20), 10)}
    repeated = unknown_summary(np.repeat(known[:30], 10), np.repeat(unknown[:20], 10), **units)["auroc"]
    assert repeated["high"] - repeated["low"] > 2 * (alone["high"] - alone["low"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: unknown_summary([], [0.1]), "no known image"),
        (lambda: unknown_summary([0.1], []), "no unknown image"),
        (lambda: unknown_summary([0.1, np.nan], [0.1]), "scores of known images hold a NaN"),
        (lambda: unknown_summary([0.1], [0.1], level=2), "level"),
        (lambda: max_softmax([[1.0, 0.0]], temperature=0), "temperature must be above 0"),
        (lambda: energy([[1.0, 0.0]], temperature=-1), "temperature must be above 0"),
        (lambda: energy([[1.0, np.inf]]), "infinite"),
        (lambda: class_share([[1.0, 0.0]], np.zeros((1, 0))), "at least one noun"),
        (lambda: class_share([[1.0, 0.0]], np.zeros((2, 3))), "logits of nouns must have shape"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(InputError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)
