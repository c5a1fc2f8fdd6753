"""Conformal sets: plain loops from the papers, MAPIE, and the promise on exchangeable data."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant import Predictions
from calibrant.calibration import (
    AdaptiveSets,
    ClassConditionalSets,
    RegularizedSets,
    TemperatureScaling,
    ThresholdSets,
)
from calibrant.calibration.conformal_scores import adaptive_scores, level_of, rank_penalty, threshold_scores
from calibrant.errors import CalibrantWarning, InputError
from calibrant.metrics import set_summary

KINDS = {
    "thr": ThresholdSets,
    "aps": AdaptiveSets,
    "aps randomised": lambda alpha: AdaptiveSets(alpha, seed=3),
    "raps": lambda alpha: RegularizedSets(alpha, penalty=0.05, free=2),
    "raps randomised": lambda alpha: RegularizedSets(alpha, penalty=0.05, free=2, seed=3),
    "class-conditional": lambda alpha: ClassConditionalSets(ThresholdSets(alpha)),
}


def drawn(seed: int, n: int, classes: int = 6, sharp: float = 2.0) -> Predictions:
    """Samples whose labels follow the probabilities, given with logits that are too sharp."""
    generator = np.random.default_rng(seed)
    logits = 1.5 * generator.normal(size=(n, classes))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (p.cumsum(1) < generator.random((n, 1))).sum(1)
    return Predictions(logits=sharp * logits, labels=np.minimum(labels, classes - 1))


def score_by_hand(p: np.ndarray, label: int, draw: float, penalty: float, free: int) -> float:
    """Equation of RAPS: mass of the likelier classes, a share of the own, and the penalty for the rank."""
    order = sorted(range(len(p)), key=lambda one: (-p[one], one))
    rank = order.index(label) + 1
    return math.fsum(p[one] for one in order[: rank - 1]) + draw * p[label] + penalty * max(0, rank - free)


def test_scores_are_those_of_the_papers() -> None:
    generator = np.random.default_rng(0)
    p = generator.dirichlet(np.full(5, 0.5), size=40)
    p[0], p[1] = [0.25, 0.25, 0.25, 0.25, 0], [0.5, 0, 0.5, 0, 0]  # ties
    draws = generator.random(40)
    ours = adaptive_scores(p, draws) + 0.1 * rank_penalty(p, 2)
    expected = [
        [score_by_hand(row, label, draw, 0.1, 2) for label in range(5)] for row, draw in zip(p, draws, strict=True)
    ]
    assert ours == pytest.approx(np.array(expected), abs=1e-12)
    assert threshold_scores(p) == pytest.approx(1 - p)


def test_the_sets_of_the_paper_without_chance() -> None:
    """A set of APS holds the likeliest classes until their mass reaches the level; never nothing."""
    held_out, new = drawn(0, 300), drawn(1, 200)
    found = AdaptiveSets(0.2).fit(held_out)
    sets = found.sets(new)
    for p, chosen in zip(new.probabilities(), sets, strict=True):
        order = np.argsort(-p, kind="stable")
        level, size = 0.0, 0
        while size < len(p) and level <= found.threshold_:
            level, size = level + p[order[size]], size + 1
        assert set(np.flatnonzero(chosen)) == set(order[:size])
    assert sets.any(axis=1).all()


@pytest.mark.parametrize("n", [1, 2, 9, 10, 19, 99, 250])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.5])
def test_the_level_is_the_smallest_that_covers(n: int, alpha: float) -> None:
    scores = np.random.default_rng(n).permutation(np.arange(n, dtype=float))
    found = level_of(scores, alpha)
    rank = math.ceil(round((n + 1) * (1 - alpha), 9))
    assert found == (sorted(scores)[rank - 1] if rank <= n else math.inf)


@pytest.fixture(scope="module")
def mapie() -> dict[str, Any]:
    return json.loads((Path(__file__).parents[1] / "golden" / "conformal-sets.json").read_text(encoding="utf-8"))


def of_weights(weights: list[list[int]], labels: list[int] | None = None) -> Predictions:
    table = np.array(weights, dtype=float)
    return Predictions.from_probabilities(table / table.sum(axis=1, keepdims=True), labels=labels)


def bits(rows: list[str]) -> np.ndarray:
    return np.array([[one == "1" for one in row] for row in rows])


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_threshold_sets_are_those_of_mapie(mapie: dict[str, Any], alpha: float) -> None:
    found = ThresholdSets(alpha).fit(of_weights(mapie["held_out_weights"], mapie["labels"]))
    assert (found.sets(of_weights(mapie["new_weights"])) == bits(mapie["lac"][str(alpha)])).all()


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_randomised_adaptive_sets_are_those_of_mapie(
    mapie: dict[str, Any], alpha: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = AdaptiveSets(alpha, seed=0)
    # the same draws, for held-out and new samples alike; they keep a class by u where we keep it by 1 - u
    draws = np.random.RandomState(7).uniform(size=90)  # MAPIE's generator
    monkeypatch.setattr(ours, "_draws", lambda samples, _: 1 - draws[:samples])
    new = of_weights(mapie["new_weights"])
    sets = ours.fit(of_weights(mapie["held_out_weights"], mapie["labels"])).sets(new)
    assert (sets == bits(mapie["aps randomized"][str(alpha)])).all()


def test_the_penalty_is_that_of_mapie(mapie: dict[str, Any]) -> None:
    p, labels = of_weights(mapie["held_out_weights"]).probabilities(), mapie["labels"]
    ours = RegularizedSets(0.1, penalty=0.03, free=2).scores(p, np.ones(90))  # MAPIE counts all of the own class
    own, expected = ours[np.arange(90), labels], np.array(mapie["raps scores with k 2 and lambda 0.03"])
    weights = np.array(mapie["held_out_weights"])
    tied = (weights == weights[np.arange(90), labels][:, None]).sum(axis=1) > 1
    assert own[~tied] == pytest.approx(expected[~tied], abs=1e-9)
    # of equal probabilities we take the class of lowest index first, MAPIE that of highest
    assert np.flatnonzero(np.abs(own - expected) > 1e-9).tolist() == [47]
    assert tied[47]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [0.1, 0.25])
def test_the_right_class_is_in_the_promised_share_of_sets(kind: str, alpha: float) -> None:
    covered = []
    for seed in range(60):
        held_out, new = drawn(seed, 200), drawn(1000 + seed, 200)
        found = KINDS[kind](alpha).fit(held_out)
        covered.append(found.sets(new)[np.arange(200), new.labels].mean())
    spread = np.std(covered) / np.sqrt(len(covered))
    assert np.mean(covered) >= 1 - alpha - 4 * spread
    if kind in ("thr", "aps randomised", "raps randomised"):  # no ties: not more than 1 / (n + 1) too often
        assert np.mean(covered) <= 1 - alpha + 1 / 201 + 4 * spread


def test_every_class_is_covered_by_its_own_threshold() -> None:
    def skewed(seed: int) -> Predictions:
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, 3, 3000)
        logits = generator.normal(size=(3000, 3)) + np.array([4.0, 1.0, 0.3])[labels][:, None] * np.eye(3)[labels]
        return Predictions(logits=logits, labels=labels)

    held_out, new = skewed(0), skewed(1)

    def covered(found) -> np.ndarray:
        inside = found.fit(held_out).sets(new)[np.arange(3000), new.labels]
        return np.array([inside[new.labels == one].mean() for one in range(3)])

    assert np.ptp(covered(ThresholdSets(0.1))) > 0.15
    assert covered(ClassConditionalSets(ThresholdSets(0.1))) == pytest.approx([0.9] * 3, abs=0.03)


def test_penalised_sets_have_no_long_tail() -> None:
    held_out, new = drawn(0, 2000, classes=40, sharp=0.5), drawn(1, 2000, classes=40, sharp=0.5)
    plain, penalised = (made.fit(held_out).sets(new).sum(1) for made in (AdaptiveSets(0.1), RegularizedSets(0.1)))
    assert penalised.max() < plain.max()


def test_a_calibrator_is_used() -> None:
    held_out, new = drawn(0, 500, sharp=8.0), drawn(1, 500, sharp=8.0)
    scaled = TemperatureScaling().fit(drawn(2, 500, sharp=8.0))
    raw, calibrated = AdaptiveSets(0.1), AdaptiveSets(0.1, calibrator=scaled)
    assert calibrated.fit(held_out).threshold_ != raw.fit(held_out).threshold_
    expected = AdaptiveSets(0.1).fit(Predictions.from_probabilities(scaled(held_out), labels=held_out.labels))
    assert (calibrated.sets(new) == expected.sets(Predictions.from_probabilities(scaled(new)))).all()


def test_draws_belong_to_the_seed() -> None:
    held_out, new = drawn(0, 300), drawn(1, 300)
    first, second, other = (AdaptiveSets(0.5, seed=seed).fit(held_out).sets(new) for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != other).any()
    assert (~first.any(axis=1)).any()  # chance makes some sets empty


@given(st.integers(0, 10**6), st.integers(2, 5), st.sampled_from(["thr", "aps", "raps"]))
def test_the_order_of_samples_and_classes_does_not_matter(seed: int, classes: int, kind: str) -> None:
    held_out, new = drawn(seed, 40, classes), drawn(seed + 1, 20, classes)
    sets = KINDS[kind](0.2).fit(held_out).sets(new)
    generator = np.random.default_rng(seed)
    rows, columns = generator.permutation(40), generator.permutation(classes)
    place = np.argsort(columns)
    shuffled = Predictions(logits=held_out.logits[rows][:, columns], labels=place[held_out.labels[rows]])
    again = KINDS[kind](0.2).fit(shuffled)
    assert (again.sets(Predictions(logits=new.logits[:, columns])) == sets[:, columns]).all()


def test_too_few_samples_give_every_class_with_a_warning() -> None:
    with pytest.warns(CalibrantWarning, match="at least 9 are needed"):
        found = ThresholdSets(0.1).fit(np.eye(3), [0, 1, 2])
    assert found.sets(np.eye(3)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ThresholdSets(0.1).fit(np.tile(np.eye(3), (3, 1)), [0, 1, 2] * 3)
    with pytest.warns(CalibrantWarning, match="1 of 3 classes, such as '2'"):
        rare = ClassConditionalSets(ThresholdSets(0.1)).fit(drawn(0, 40, 3).logits, [0, 1] * 18 + [2] * 4)
    assert rare.sets(np.eye(3))[:, 2].all()


def test_bad_input_is_one_line() -> None:
    fitted = ThresholdSets(0.25).fit(drawn(0, 50, 3))
    for call, message in [
        (lambda: ThresholdSets(0.0), "between 0 and 1"),
        (lambda: RegularizedSets(0.1, penalty=-1.0), "not be negative"),
        (lambda: ThresholdSets(0.1).sets(np.eye(3)), "not fitted"),
        (lambda: fitted.sets(np.eye(4)), "another class list"),
        (lambda: fitted.sets(Predictions(logits=np.eye(3), classes=["a", "b", "c"])), None),
        (lambda: ThresholdSets(0.1).fit(np.eye(3)), "no labels"),
        (lambda: ThresholdSets(0.1).fit(np.eye(3), [0, 1, -1]), "belong to none"),
        (lambda: ThresholdSets(0.1).fit(drawn(0, 5, 3), [0] * 5), "given twice"),
        (lambda: set_summary(np.eye(3), [0, 1, 2]), "true or false"),
        (lambda: set_summary(np.eye(3) > 0, [0, 1, 3]), "outside the class list"),
    ]:
        if message is None:
            call()
            continue
        with pytest.raises(InputError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)


def test_coverage_and_size_are_measured_by_unit() -> None:
    sets = np.array([[True, False, False], [True, True, False], [False, False, False], [True, True, True]] * 25)
    labels = np.array([0, 2, 1, 1] * 25)
    found = set_summary(sets, labels)
    assert (found.coverage.value, found.size.value, found.single, found.empty, found.n) == (0.5, 1.5, 0.25, 0.25, 100)
    assert found.coverage.low < 0.5 < found.coverage.high
    assert found.size.low < 1.5 < found.size.high
    twins = set_summary(np.repeat(sets, 4, axis=0), np.repeat(labels, 4), units=np.repeat(np.arange(100), 4))
    alone = set_summary(np.repeat(sets, 4, axis=0), np.repeat(labels, 4))
    for one in ("coverage", "size"):
        wide, narrow = getattr(twins, one), getattr(alone, one)
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
