"""DAC against plain loops written from its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant import Predictions
from calibrant.arrays import softmax
from calibrant.calibration import DistanceAware, calibrator, load
from calibrant.errors import InputError

FIELDS = ("text_features", "zero_shot_text_features", "base_text_features", "zero_shot_base_text_features")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def text_side(seed, base=6, new=5, width=8, moved=0.3):
    """Features of the tuned classes followed by others, before and after tuning."""
    rng = np.random.default_rng(seed)
    before = unit(rng.normal(size=(base + new, width)))
    after = unit(before + moved * rng.normal(size=before.shape))
    return {
        "text_features": after,
        "zero_shot_text_features": before,
        "base_text_features": after[:base],
        "zero_shot_base_text_features": before[:base],
    }


def predictions(seed=0, samples=30, **options):
    features = text_side(seed, **options)
    logits = 5 * np.random.default_rng(seed).normal(size=(samples, len(features["text_features"])))
    return Predictions(logits=logits, **features)


def looped(features, k):
    """The weights, one distance at a time."""

    def mean_of_nearest(row, base):
        apart = sorted(math.sqrt(sum((a - b) ** 2 for a, b in zip(row, other, strict=True))) for other in base)
        nearest = apart[: min(k, len(apart))]
        return sum(nearest) / len(nearest), apart[0]

    tuned, zero_shot, base, zero_shot_base = ([list(map(float, row)) for row in features[name]] for name in FIELDS)
    weights = []
    for after, before in zip(tuned, zero_shot, strict=True):
        distance, closest = mean_of_nearest(after, base)
        proximity = math.exp(-distance) / math.exp(-mean_of_nearest(before, zero_shot_base)[0])
        weights.append(1.0 if closest < 0.05 else proximity)
    return weights


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 7), st.integers(0, 7), st.floats(0, 2))
def test_weights_are_those_of_the_definition(seed, k, base, new, moved):
    if base + new < 2:
        new = 1
    given_ = predictions(seed, base=base, new=new, moved=moved)
    expected = looped(text_side(seed, base=base, new=new, moved=moved), k)
    assert DistanceAware(k).class_weights(given_) == pytest.approx(np.array(expected), abs=1e-6)


def test_features_in_single_precision_and_of_any_norm_give_the_same():
    features = text_side(3)
    for change in (lambda rows: rows.astype(np.float32), lambda rows: 7 * rows):
        changed = Predictions(logits=np.zeros((1, 11)), **{name: change(rows) for name, rows in features.items()})
        assert DistanceAware().class_weights(changed) == pytest.approx(np.array(looped(features, 5)), abs=1e-6)


def test_a_large_table_is_cut_into_parts(monkeypatch):
    expected = DistanceAware().class_weights(predictions(1))
    monkeypatch.setattr("calibrant.calibration.distance_aware.ENTRIES", 7)
    assert DistanceAware().class_weights(predictions(1)) == pytest.approx(expected, abs=1e-12)


def test_tuned_classes_keep_their_confidence():
    given_ = predictions(2)
    dac = DistanceAware().fit(given_)
    assert (dac.class_weights_[:6] == 1).all()
    assert (dac.class_weights_[6:] != 1).all()
    of_tuned = given_.logits.argmax(axis=1) < 6
    assert 0 < of_tuned.sum() < len(given_)
    assert dac(given_)[of_tuned] == pytest.approx(softmax(given_.logits[of_tuned]), abs=1e-15)


@pytest.mark.parametrize(("apart", "counts_as_base"), [(0.0499, True), (0.0501, False)])
def test_what_lies_next_to_a_tuned_class_counts_as_one(apart, counts_as_base):
    angle = 2 * math.asin(apart / 2)  # of a chord of this length
    tuned = np.array([[1.0, 0.0], [0.0, 1.0], [math.cos(angle), math.sin(angle)]])
    before = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    given_ = Predictions(
        logits=np.zeros((1, 3)),
        text_features=tuned,
        zero_shot_text_features=before,
        base_text_features=tuned[:2],
        zero_shot_base_text_features=before[:2],
    )
    weight = DistanceAware(k=1).class_weights(given_)[2]
    assert weight == pytest.approx(1 if counts_as_base else math.exp(math.sqrt(2) - apart), rel=1e-9)


def test_where_the_text_side_was_not_tuned_nothing_changes():
    features = text_side(4)
    same = {name: features[name.replace("zero_shot_", "")] for name in FIELDS}
    logits = np.random.default_rng(4).normal(size=(20, 11))
    dac = DistanceAware().fit(Predictions(logits=logits, **same))
    assert (dac.class_weights_ == 1).all()
    assert (dac(Predictions(logits=logits, **same)) == softmax(logits)).all()


def test_every_logit_gets_the_weight_of_the_predicted_class():
    given_ = predictions(5)
    dac = DistanceAware().fit(given_)
    weights = looped(text_side(5), 5)
    for i, row in enumerate(given_.logits.tolist()):
        weighted = [weights[row.index(max(row))] * value for value in row]
        total = sum(math.exp(value) for value in weighted)
        assert dac(given_)[i] == pytest.approx(np.array([math.exp(value) / total for value in weighted]), abs=1e-6)


@given(st.integers(0, 10_000), st.floats(0, 2), st.floats(0.01, 100))
def test_no_answer_changes(seed, moved, scale):
    rng = np.random.default_rng(seed)
    given_ = Predictions(logits=(scale * rng.normal(size=(40, 11))).astype(np.float32), **text_side(seed, moved=moved))
    assert (DistanceAware().fit(given_)(given_).argmax(axis=1) == given_.logits.argmax(axis=1)).all()


def test_ties_go_to_the_lowest_class():
    given_ = Predictions(logits=np.zeros((1, 11)), **text_side(6))
    assert DistanceAware().sample_weights(given_) == DistanceAware().class_weights(given_)[0]


def test_weights_follow_the_class_list_at_hand():
    few, many = predictions(7, new=2), predictions(8, new=9)
    dac = DistanceAware().fit(few)
    assert len(dac.class_weights_) == 8
    assert dac(many).shape == (30, 15)
    assert dac.class_weights_ == pytest.approx(np.array(looped(text_side(8, new=9), 5)), abs=1e-6)
    assert dac.class_weights(few) == pytest.approx(np.array(looped(text_side(7, new=2), 5)), abs=1e-6)


def test_weights_are_remembered_only_for_the_same_features_and_neighbours():
    features = text_side(9)
    given_ = Predictions(logits=np.zeros((1, 11)), **features)
    dac = DistanceAware()
    first = dac.class_weights(given_)
    first[:] = 0  # the caller's own
    assert dac.class_weights(given_) == pytest.approx(np.array(looped(features, 5)), abs=1e-6)
    assert dac.set_params(k=1).class_weights(given_) == pytest.approx(np.array(looped(features, 1)), abs=1e-6)
    given_.text_features[8] = features["text_features"][7]
    changed = {**features, "text_features": given_.text_features}
    assert dac.class_weights(given_) == pytest.approx(np.array(looped(changed, 1)), abs=1e-6)


def test_the_weights_stay_beside_the_new_logits():
    given_ = predictions(10)
    dac = DistanceAware().fit(given_)
    weighted = dac.transform(given_)
    assert (weighted.columns["dac_weight"] == dac.sample_weights(given_)).all()
    assert weighted.logits == pytest.approx(weighted.columns["dac_weight"][:, None] * given_.logits, abs=1e-12)
    assert softmax(weighted.logits) == pytest.approx(dac(given_), abs=1e-15)


def test_a_file_gives_the_same_on_other_classes(tmp_path):
    dac = DistanceAware(k=3).fit(predictions(11))
    dac.save(tmp_path / "dac.json")
    again, other = load(tmp_path / "dac.json"), predictions(12, new=3)
    assert again.k == 3
    assert (again(other) == dac(other)).all()


@pytest.mark.parametrize("lacking", FIELDS)
def test_missing_text_features_are_named(lacking):
    given_ = Predictions(
        logits=np.zeros((1, 11)), **{name: rows for name, rows in text_side(0).items() if name != lacking}
    )
    with pytest.raises(InputError, match=f"calibrator 'dac' needs {lacking}, which these predictions lack") as caught:
        DistanceAware().fit(given_)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: DistanceAware().fit(Predictions(logits=np.eye(2))), "needs text_features, zero_shot_text_features, "),
        (lambda: DistanceAware().fit(np.eye(2)), "needs text_features"),
        (lambda: DistanceAware(k=0).fit(predictions()), "k of calibrator 'dac' must be a positive integer, not 0"),
        (lambda: DistanceAware(k=2.5).fit(predictions()), "positive integer, not 2.5"),
        (lambda: DistanceAware(k=True).fit(predictions()), "positive integer, not True"),
        (
            lambda: DistanceAware().fit(
                Predictions(logits=np.eye(2), **{name: np.array([[1.0, 0.0], [0.0, 0.0]]) for name in FIELDS})
            ),
            "text_features has none in row 1: it is 0",
        ),
        (lambda: calibrator("dac", neighbours=3), "unknown parameter"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(InputError) as caught:
        call()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
