"""How much images look like the classes: scores by name, and the threshold that keeps known images."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.calibration.familiarity import KnownRule, available, known_rule, known_score
from calibrant.errors import InputError
from calibrant.metrics import max_softmax
from calibrant.predictions import Predictions

DRAW = np.random.default_rng(0)
WHOLE = Predictions(
    logits=100 * DRAW.uniform(0.1, 0.4, (30, 4)),
    logit_scale=100.0,
    image_features=DRAW.normal(size=(30, 5)),
    reference_image_features=DRAW.normal(size=(40, 5)),
    columns={"class_share": DRAW.random(30)},
)


def test_scores_are_found_by_name():
    assert available(WHOLE) == ["mcm", "energy", "nearness", "nouns"]
    assert available(replace(WHOLE, reference_image_features=None, columns={})) == ["mcm", "energy"]
    np.testing.assert_allclose(known_score(WHOLE, "mcm"), max_softmax(WHOLE.logits / 100))
    np.testing.assert_allclose(known_score(replace(WHOLE, logit_scale=None), "mcm"), max_softmax(WHOLE.logits))
    np.testing.assert_array_equal(known_score(WHOLE, "nouns"), WHOLE.columns["class_share"])


def test_nearness_equals_a_loop():
    for image, found in zip(WHOLE.image_features.tolist(), known_score(WHOLE, "nearness"), strict=True):
        apart = sorted(math.dist(image, other) for other in WHOLE.reference_image_features.tolist())
        assert found == pytest.approx(math.exp(-sum(apart[:10]) / 10), rel=1e-9)


def test_an_image_is_not_its_own_neighbour():
    own = replace(WHOLE, reference_image_features=WHOLE.image_features)
    for row, found in enumerate(known_score(own, "nearness")):
        others = [other for i, other in enumerate(own.image_features.tolist()) if i != row]
        apart = sorted(math.dist(own.image_features[row].tolist(), other) for other in others)
        assert found == pytest.approx(math.exp(-sum(apart[:10]) / 10), rel=1e-6)


@given(st.lists(st.integers(0, 20), min_size=19, max_size=60), st.sampled_from([0.5, 0.8, 0.95]))
def test_the_threshold_is_the_highest_that_keeps_the_share(scores, keep):
    rule = known_rule(scores, "mcm", keep)
    wanted = keep * (len(scores) + 1)
    assert rule.kept == sum(one >= rule.threshold for one in scores) == rule.known(scores).sum()
    assert rule.kept >= wanted - 1e-9
    assert sum(one > rule.threshold for one in scores) < wanted
    assert KnownRule(**rule.record()) == rule


def test_new_images_are_kept_as_promised():
    """On average over many validation sets, at least 95 % and hardly more."""
    draw, kept = np.random.default_rng(1), []
    for _ in range(400):
        rule = known_rule(draw.random(59), "energy")
        kept.append(1 - rule.threshold)
    assert np.mean(kept) == pytest.approx(57 / 60, abs=0.006)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: known_score(WHOLE, "mcn"), "did you mean 'mcm'"),
        (lambda: known_score(replace(WHOLE, columns={}), "nouns"), "needs the column class_share"),
        (
            lambda: known_score(replace(WHOLE, image_features=None, reference_image_features=None), "nearness"),
            "needs image_features and reference_image_features",
        ),
        (lambda: known_rule([0.5] * 18, "mcm"), "at least 19 of them, not on 18"),
        (lambda: known_rule([], "mcm"), "at least 19 of them, not on 0"),
        (lambda: known_rule([0.5] * 30, "mcm", 1.0), "between 0 and 1"),
        (lambda: known_rule([0.5] * 30, "mcm", float("nan")), "between 0 and 1"),
        (lambda: known_rule([0.5, np.nan], "mcm"), "NaN"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(InputError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)
