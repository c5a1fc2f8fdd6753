"""The four cells, PT and IR: identities, cases by hand, and how sure they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant.errors import InputError
from calibrant.metrics.bootstrap import draws
from calibrant.rationality import summary, summary_difference, summary_with_intervals

NAN = float("nan")
# 6 RR, 2 RW, 1 WR, 1 WW, 2 without evidence
CORRECT = [True] * 8 + [False] * 2 + [True, False]
MASS = [0.9, 0.8, 0.7, 0.6, 0.5, 1.0, 0.49, 0.0, 0.5, 0.2, NAN, NAN]

answers = st.lists(st.tuples(st.booleans(), st.one_of(st.just(NAN), st.floats(0, 1))), min_size=1, max_size=40)


def test_a_table_by_hand() -> None:
    found = summary(CORRECT, MASS)
    expected = {
        "RR": 0.6,
        "RW": 0.2,
        "WR": 0.1,
        "WW": 0.1,
        "undefined": 2 / 12,
        "PT": 0.75,
        "IR": 6 / 7,
        "accuracy": 0.8,
        "valid": 0.7,
        "PT_minus_valid": 0.05,
        "IR_minus_accuracy": 6 / 7 - 0.8,
        "odds_ratio": 3.0,
        "n": 12,
        "no_evidence": 2,
        "outside": 0,
        "threshold": 0.5,
    }
    assert list(found) == list(expected)
    assert found == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(answers, st.floats(0, 1))
def test_identities(cases: list[tuple[bool, float]], threshold: float) -> None:
    correct, mass = (list(column) for column in zip(*cases, strict=True))
    found = summary(correct, mass, threshold)
    known = [right for right, share in cases if not math.isnan(share)]
    assert found["undefined"] == pytest.approx(1 - len(known) / len(cases))
    if not known:
        assert all(math.isnan(found[name]) for name in ("RR", "RW", "WR", "WW", "PT", "IR", "accuracy", "valid"))
        return
    assert found["RR"] + found["RW"] + found["WR"] + found["WW"] == pytest.approx(1)
    assert found["accuracy"] == pytest.approx(found["RR"] + found["RW"])
    assert found["accuracy"] == pytest.approx(np.mean(known))
    assert found["valid"] == pytest.approx(found["RR"] + found["WR"])
    if any(known):
        assert found["PT"] * found["accuracy"] == pytest.approx(found["RR"])
    if found["valid"] > 0:
        assert found["IR"] * found["valid"] == pytest.approx(found["RR"])
    if 0 < found["accuracy"] < 1 and 0 < found["valid"] < 1:  # all say in which direction the two go together
        together = found["RR"] * found["WW"] - found["RW"] * found["WR"]
        for name, nothing in (("PT_minus_valid", 0), ("IR_minus_accuracy", 0), ("odds_ratio", 1)):
            assert found[name] >= nothing - 1e-12 if together >= 0 else found[name] <= nothing + 1e-12


@settings(max_examples=50, deadline=None)
@given(answers)
def test_no_evidence_is_never_valid_and_changes_no_cell(cases: list[tuple[bool, float]]) -> None:
    correct, mass = (list(column) for column in zip(*cases, strict=True))
    found, more = summary(correct, mass), summary([*correct, True, False], [*mass, NAN, NAN])
    for name in ("RR", "RW", "WR", "WW", "PT", "IR", "accuracy", "valid"):
        assert more[name] == found[name] or math.isnan(found[name])
    assert more["no_evidence"] == found["no_evidence"] + 2


def test_objects_outside_the_image_are_left_out_and_counted() -> None:
    away = [False] * 12 + [True] * 3
    correct, mass = [*CORRECT, True, False, True], [*MASS, 0.0, 0.0, NAN]
    found, inside = summary(correct, mass, outside=away), summary(CORRECT, MASS)
    assert found == {**inside, "n": 15, "outside": 3}
    assert summary(correct, mass)["RW"] == pytest.approx(3 / 12)  # not named: their evidence is invalid
    unit = np.arange(15) // 2
    sure = summary_with_intervals(correct, mass, outside=away, units=unit, resamples=30)
    alone = summary_with_intervals(CORRECT, MASS, units=unit[:12], resamples=30)
    assert str(sure) == str({**alone, "n": 15, "outside": 3})  # as text, in which NaN equals NaN
    changed = [1.0 if share < 0.5 else share for share in MASS]
    after = (correct, [*changed, 1.0, 1.0, 1.0])
    change = summary_difference((correct, mass), after, outside=away, units=unit, resamples=30)
    alone = summary_difference((CORRECT, MASS), (CORRECT, changed), units=unit[:12], resamples=30)
    assert str(change) == str(alone)
    nothing = summary_with_intervals([True], [0.0], outside=[True], resamples=5)
    assert nothing["outside"] == 1
    assert math.isnan(nothing["PT"].value)
    with pytest.raises(InputError, match="true or false for each of 12 images"):
        summary(CORRECT, MASS, outside=[0.2] * 12)


def test_what_has_no_denominator_is_nan() -> None:
    nobody = summary([False, False], [0.9, 0.1])
    assert math.isnan(nobody["PT"])
    assert nobody["IR"] == 0
    nothing = summary([True, False], [0.1, 0.1])
    assert math.isnan(nothing["IR"])
    assert nothing["PT"] == 0
    assert summary([True, False], [0.9, 0.1])["odds_ratio"] == math.inf


@pytest.mark.parametrize(
    ("correct", "mass", "threshold", "message"),
    [
        ([True], [0.1, 0.2], 0.5, "one value per image"),
        ([], [], 0.5, "one value per image"),
        ([2], [0.1], 0.5, "true or false"),
        (["yes"], [0.1], 0.5, "true or false"),
        ([True], [1.2], 0.5, "share from 0 to 1, or NaN"),
        ([True], [-0.1], 0.5, "share from 0 to 1, or NaN"),
        ([True], [0.1], -1, "threshold"),
        ([True], [0.1], NAN, "threshold"),
    ],
)
def test_bad_input_is_refused(correct: list[object], mass: list[float], threshold: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        summary(correct, mass, threshold)


def test_intervals_hold_their_values_and_are_those_of_redrawn_sets() -> None:
    draw = np.random.default_rng(0)
    correct, mass = draw.random(60) < 0.7, draw.random(60)
    mass[:5] = np.nan
    unit = np.repeat(np.arange(20), 3)
    found = summary_with_intervals(correct, mass, units=unit, resamples=40, seed=3)
    plain = summary(correct, mass)
    assert list(found) == list(plain)
    for name, value in plain.items():
        if name not in ("n", "no_evidence", "outside", "threshold"):
            assert found[name].value == pytest.approx(value)
            assert found[name].low <= value <= found[name].high
    redrawn = []
    for times in np.concatenate(list(draws(20, 40, 3))):
        chosen = np.repeat(np.arange(60), times[unit].astype(int))
        redrawn.append(summary(correct[chosen], mass[chosen])["PT_minus_valid"])
    assert found["PT_minus_valid"].low == pytest.approx(np.quantile(redrawn, 0.025))
    assert found["PT_minus_valid"].high == pytest.approx(np.quantile(redrawn, 0.975))


def test_images_that_depend_on_each_other_widen_intervals() -> None:
    draw = np.random.default_rng(1)
    correct, mass = (np.repeat(draw.random(30), 4) < 0.8), np.repeat(draw.random(30), 4)
    alone, together = (summary_with_intervals(correct, mass, units=units, resamples=200)
                       for units in (None, np.repeat(np.arange(30), 4)))  # fmt: skip
    for name in ("PT", "valid", "PT_minus_valid"):
        assert together[name].high - together[name].low > 1.5 * (alone[name].high - alone[name].low)


def test_perfect_evidence_of_few_images_is_not_sure() -> None:
    found = summary_with_intervals([True] * 10, [0.9] * 10, resamples=20)
    assert found["PT"].value == found["PT"].high == 1
    assert found["PT"].low == pytest.approx(0.025**0.1)  # Clopper-Pearson: that power of it would be all valid
    assert not found["PT_minus_valid"].known
    assert not found["odds_ratio"].known


def test_a_model_does_not_differ_from_itself_and_differences_are_paired() -> None:
    draw = np.random.default_rng(2)
    correct, mass = draw.random(300) < 0.7, draw.random(300)
    itself = summary_difference((correct, mass), (correct, mass), resamples=50)
    assert all(change.value == 0 and not change.known for change in itself.values())
    better = np.where(draw.random(300) < 0.1, 1.0, mass)
    change = summary_difference((correct, mass), (correct, better), resamples=300)
    plain = [summary(correct, one) for one in (mass, better)]
    for name, one in change.items():
        assert one.value == pytest.approx(plain[1][name] - plain[0][name])
    both = [summary_with_intervals(correct, one)["PT"] for one in (mass, better)]
    assert change["PT"].sign == 1  # although the two intervals overlap
    assert both[0].high > both[1].low
    assert "odds_ratio" not in change


def test_models_on_other_images_are_not_compared() -> None:
    with pytest.raises(InputError, match="same images, not 2 and 1"):
        summary_difference(([True, False], [0.1, 0.9]), ([True], [0.1]))
    with pytest.raises(InputError, match="level"):
        summary_with_intervals([True], [0.5], level=1)
