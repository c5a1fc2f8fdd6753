"""Intervals of the measures beside the ECE: how often they hold the truth, and what they are made of."""

import numpy as np
import pytest
from scipy.stats import binomtest

from calibrant import metrics
from calibrant.errors import InputError
from calibrant.metrics import bootstrap
from calibrant.metrics.intervals import MEASURES, intervals_of
from calibrant.metrics.ranking import rank
from calibrant.metrics.scores import Scores, sample_scores
from calibrant.metrics.selective import selective, selective_of

SETS = 100
HELD = 0.88 * SETS  # 95 % nominal; 3 standard deviations of 100 draws below it


def population(rng, samples):
    """Three classes, one of them rare, and a model that is too sure."""
    labels = rng.choice(3, samples, p=[0.5, 0.35, 0.15])
    logits = rng.normal(size=(samples, 3)) + 1.2 * np.eye(3)[labels]
    return softmax(1.6 * logits), labels


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_intervals_hold_the_truth():
    truth = metrics.summary(*population(np.random.default_rng(99), 400_000))
    names = ("auroc", "aurc", "e_aurc", "fpr95", "balanced_accuracy", "macro_f1", "signed_gap", "ace")
    rng, held = np.random.default_rng(0), dict.fromkeys(names, 0)
    for seed in range(SETS):
        found = metrics.summary_with_intervals(*population(rng, 400), measures=names, resamples=200, seed=seed)
        for name in names:
            held[name] += found[name]["low"] <= truth[name] <= found[name]["high"]
    assert min(held.values()) >= HELD, held


def test_intervals_by_unit_are_wider_where_samples_of_a_unit_agree():
    rng = np.random.default_rng(1)
    probs, labels = population(rng, 150)
    five, units = np.repeat(np.arange(150), 5), np.repeat(np.arange(150), 5)
    names = ("auroc", "aurc", "balanced_accuracy", "mce")
    options = {"measures": names, "resamples": 200}
    once = metrics.summary_with_intervals(probs, labels, **options)
    many = metrics.summary_with_intervals(probs[five], labels[five], units=units, **options)
    naive = metrics.summary_with_intervals(probs[five], labels[five], **options)
    for name in names:
        ends = [one[name]["high"] - one[name]["low"] for one in (once, many, naive)]
        assert ends[2] < 0.7 * ends[1]
        if name != "aurc":  # a sample five times over is five steps of the curve
            assert ends[0] == pytest.approx(ends[1])


def test_the_largest_gap_has_exact_ends():
    confidence = np.repeat([0.95, 0.65, 0.35], [100, 10, 1])
    correct = np.concatenate([np.arange(100) < 60, np.arange(10) < 5, [True]])
    nothing = np.zeros(111)
    low, high = intervals_of(Scores(confidence, correct, nothing, nothing), 10, None, 0.95, 10, 0)["mce"]
    ends = [
        binomtest(right, count).proportion_ci(1 - 0.05 / 3, "exact") for right, count in ((60, 100), (5, 10), (1, 1))
    ]
    gaps = [(0.95 - ends[0].high, 0.95 - ends[0].low)]
    gaps += [(0, max(abs(end.low - c), abs(end.high - c))) for end, c in zip(ends[1:], (0.65, 0.35), strict=True)]
    assert (low, high) == pytest.approx((max(a for a, _ in gaps), max(b for _, b in gaps)))


def test_the_interval_of_the_largest_gap_holds_the_truth():
    rng, held = np.random.default_rng(2), 0
    for seed in range(SETS):
        confidence = rng.uniform(0.5, 1, 300)
        index = np.minimum((confidence * 15 - 1e-9).astype(int), 14)
        chance = confidence - 0.2 * (index == 13)
        gaps = np.bincount(index, confidence - chance, 15) / np.maximum(np.bincount(index, minlength=15), 1)
        found = Scores(confidence, rng.random(300) < chance, confidence, confidence)
        low, high = intervals_of(found, 15, None, 0.95, 10, seed, ("mce",))["mce"]
        held += low <= np.abs(gaps).max() <= high
    assert held >= HELD


def test_one_function_gives_what_the_summary_gives():
    probs, labels = population(np.random.default_rng(3), 300)
    table = metrics.summary_with_intervals(probs, labels, resamples=100, level=0.9)
    for name in MEASURES:
        found = metrics.interval(probs, labels, name, resamples=100, level=0.9)
        assert found == (table[name]["low"], table[name]["high"])


@pytest.mark.parametrize("wrong", [0, 1])
def test_where_redrawn_sets_tell_nothing_of_the_spread_there_is_no_interval(wrong):
    labels = [0] * (100 - wrong) + [1] * wrong
    found = metrics.summary_with_intervals([[0.9, 0.1]] * 100, labels, resamples=100)
    assert found["auroc"]["low"] is None
    assert (found["aurc"]["low"] is None) == (wrong == 0)
    assert found["accuracy"]["low"] < 1


def test_chosen_measures_and_levels():
    probs, labels = population(np.random.default_rng(4), 200)
    found = metrics.summary_with_intervals(probs, labels, measures=["aurc", "accuracy"], resamples=100)
    assert list(found) == ["accuracy", "aurc"]
    assert list(metrics.summary(probs, labels, measures=["nll"])) == ["nll"]
    bare = metrics.summary_with_intervals(probs, labels, level=None)
    assert {name: one["value"] for name, one in bare.items()} == metrics.summary(probs, labels)
    assert all(one["low"] is None is one["high"] for one in bare.values())
    narrow, wide = (
        metrics.summary_with_intervals(probs, labels, level=level, resamples=100)["auroc"] for level in (0.5, 0.99)
    )
    assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]
    with pytest.raises(InputError, match="did you mean 'aurc'"):
        metrics.summary(probs, labels, measures=["aurcc"])
    with pytest.raises(InputError, match="at least one measure"):
        metrics.summary(probs, labels, measures=[])


def test_redrawn_orders_equal_a_loop_over_repeated_samples(monkeypatch):
    rng = np.random.default_rng(5)
    confidence, correct = np.round(rng.uniform(0.5, 1, 40), 1), rng.random(40) < 0.7
    units = rng.integers(0, 12, 40)
    units[:12] = np.arange(12)
    ranking = rank(confidence, correct)
    found = bootstrap.redraw_order(ranking, units, 20, 3, selective)
    times = np.concatenate(list(bootstrap.draws(12, 20, 3)))
    for row in range(20):
        copies = np.repeat(np.arange(40), times[row][units].astype(int))
        expected = selective_of(confidence[copies], correct[copies])
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value, abs=1e-12, nan_ok=True)
    monkeypatch.setattr(bootstrap, "RANKED_AT_ONCE", 1)
    again = bootstrap.redraw_order(ranking, units, 20, 3, selective)
    for name, values in found.items():
        np.testing.assert_array_equal(values, again[name])


def test_draws_do_not_depend_on_how_many_fit_in_memory(monkeypatch):
    whole = np.concatenate(list(bootstrap.draws(7, 10, 0)))
    monkeypatch.setattr(bootstrap, "DRAWS_AT_ONCE", 21)
    parts = list(bootstrap.draws(7, 10, 0))
    assert [len(part) for part in parts] == [3, 3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_units_in_any_order_are_those_of_every_bootstrap():
    rng = np.random.default_rng(6)
    probs, labels = population(rng, 100)
    units, scores = rng.permutation(100), sample_scores(probs, labels)
    mean = metrics.paired_difference(np.zeros(100), scores.brier, units=units, resamples=50)
    found = intervals_of(scores, 15, units, 0.95, 50, 0)["brier"]
    assert (mean.low, mean.high) == pytest.approx(found)
