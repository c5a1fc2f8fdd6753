"""ZS-norm at test time against a plain loop and the released formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant import Predictions
from calibrant.calibration import ZeroShotNormalization, load
from calibrant.errors import InputError


def predictions(seed=0, samples=20, classes=6, scale=9.0):
    rng = np.random.default_rng(seed)
    return Predictions(
        logits=scale * rng.normal(size=(samples, classes)), zero_shot_logits=22 + rng.normal(size=(samples, classes))
    )


def looped(given_):
    tables = []
    for tuned, before in zip(given_.logits.tolist(), given_.zero_shot_logits.tolist(), strict=True):
        low, high, to_low, to_high = min(tuned), max(tuned), min(before), max(before)
        logits = [(one - low) / (high - low) * (to_high - to_low) + to_low if high > low else to_low for one in tuned]
        total = sum(math.exp(one - to_high) for one in logits)
        tables.append([math.exp(one - to_high) / total for one in logits])
    return np.array(tables)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(2, 20), st.floats(0.001, 1000))
def test_probabilities_are_those_of_the_definition(seed, samples, classes, scale):
    given_ = predictions(seed, samples, classes, scale)
    assert ZeroShotNormalization().fit(given_)(given_) == pytest.approx(looped(given_), abs=1e-9)


def test_each_sample_gets_the_range_of_its_zero_shot_logits():
    given_ = predictions(1)
    stretched = ZeroShotNormalization().fit(given_).transform(given_).logits
    for end in (np.min, np.max):
        assert end(stretched, axis=1) == pytest.approx(end(given_.zero_shot_logits, axis=1), abs=1e-12)


def test_scale_and_place_of_the_tuned_logits_do_not_matter():
    given_ = predictions(2)
    moved = Predictions(logits=7 * given_.logits - 3, zero_shot_logits=given_.zero_shot_logits)
    normed = ZeroShotNormalization().fit(given_)
    assert normed(moved) == pytest.approx(normed(given_), abs=1e-9)


def test_it_agrees_with_the_objective_of_the_same_name():
    torch = pytest.importorskip("torch")
    from calibrant.tuning.objectives.zero_shot_normalised import zero_shot_normalised

    given_ = predictions(3)
    expected = zero_shot_normalised(torch.from_numpy(given_.logits), torch.from_numpy(given_.zero_shot_logits))
    stretched = ZeroShotNormalization().fit(given_).transform(given_).logits
    assert stretched == pytest.approx(expected.numpy(), abs=1e-9)


@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_no_answer_changes(seed, scale):
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(40, 9))).astype(np.float32)
    logits[0] = 1  # all equal
    given_ = Predictions(logits=logits, zero_shot_logits=rng.normal(size=(40, 9)).astype(np.float32))
    assert (ZeroShotNormalization().fit(given_)(given_).argmax(axis=1) == logits.argmax(axis=1)).all()


def test_a_file_gives_the_same_on_other_classes(tmp_path):
    normed, other = ZeroShotNormalization().fit(predictions()), predictions(4, classes=11)
    normed.save(tmp_path / "n.json")
    assert (load(tmp_path / "n.json")(other) == normed(other)).all()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "calibrator 'zs-norm' needs zero_shot_logits, which these predictions lack"),
        ({"zero_shot_logits": [[2.0, 1.0], [1.0, 1.0]]}, "those in row 1 are equal"),
    ],
)
def test_bad_input_is_refused_in_one_line(fields, words):
    given_ = Predictions(logits=np.eye(2), **fields)
    with pytest.raises(InputError) as caught:
        ZeroShotNormalization().fit(given_)(given_)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
