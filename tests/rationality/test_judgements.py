"""What people said: read with care, weighted, and compared beyond chance."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant.errors import InputError
from calibrant.rationality.choosing import choose_for_review, review_weights
from calibrant.rationality.judged_cells import judged_summary
from calibrant.rationality.judgements import CANNOT_TELL, OFF, ON, WORDS, Judgements, read_judgements, settings_digest
from calibrant.rationality.kappa import agreement_of_reviewers, agreement_with_mass, cohens_kappa

IDS = ["a", "b, with a comma", 'c "quoted"', "Käfer", "e"]
HEAD = "id,judgement,reviewer,settings\n"


def by(reviewer: str, images: np.ndarray, words: np.ndarray) -> Judgements:
    return Judgements(np.asarray(images), np.asarray(words), [reviewer] * len(images))


def joined(*parts: Judgements) -> Judgements:
    names = [name for part in parts for name in part.reviewer]
    return Judgements(
        np.concatenate([part.image for part in parts]), np.concatenate([part.word for part in parts]), names
    )


def test_several_files_are_read_as_one(tmp_path: Path) -> None:
    ann, bob = tmp_path / "ann.csv", tmp_path / "bob.csv"
    ann.write_text(HEAD + '"b, with a comma",on the object,Ann,d1\n"c ""quoted""",cannot tell,Ann,d1\n')
    bob.write_text(
        HEAD + 'Käfer,not on the object,Bob,d1\r\n"c ""quoted""",on the object,Bob,d1\r\n', encoding="utf-8-sig"
    )
    found = read_judgements([ann, bob], IDS, "d1")
    assert found.image.tolist() == [1, 2, 3, 2]
    assert found.word.tolist() == [ON, CANNOT_TELL, OFF, ON]
    assert found.reviewers == ["Ann", "Bob"]
    assert found.words_of("Bob", 5).tolist() == [-1, -1, ON, OFF, -1]
    assert found.images.tolist() == [1, 2, 3]
    assert found.valid.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("z,on the object,Ann,d1", "line 2: image 'z' is not of this run"),
        ("a,maybe,Ann,d1", "line 2: judgement 'maybe' is not known; it must be one of: on the object, not on the"),
        ("a,cannot tell,,d1", "line 2: 'reviewer' is empty"),
        ("a,cannot tell,Ann,d2", "line 2: judged on other heat maps (settings d2; this run has d1)"),
        ("a,cannot tell,Ann,d1\ne,cannot tell,Ann,d1\na,on the object,Ann,d1", "line 4: Ann judged image 'a' before"),
        ("", "has no rows"),
    ],
)
def test_a_line_that_cannot_be_meant_is_named(tmp_path: Path, lines: str, message: str) -> None:
    file = tmp_path / "ann.csv"
    file.write_text(HEAD + lines + "\n")
    with pytest.raises(InputError, match=r"ann\.csv") as caught:
        read_judgements(file, IDS, "d1")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_judgement_in_two_files_is_refused(tmp_path: Path) -> None:
    files = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for file in files:
        file.write_text(HEAD + "a,on the object,Ann,d1\n")
    with pytest.raises(InputError, match=r"two\.csv, line 2: Ann judged image 'a' before \(.*one\.csv, line 2\)"):
        read_judgements(files, IDS, "d1")
    assert len(read_judgements(files[0], IDS, "d1").image) == 1
    with pytest.raises(InputError, match="no file"):
        read_judgements([], IDS, "d1")


def test_the_digest_tells_settings_apart_but_not_their_order() -> None:
    assert settings_digest({"a": 1, "b": 2}) == settings_digest({"b": 2, "a": 1}) != settings_digest({"a": 1, "b": 3})


@given(
    correct=st.lists(st.booleans(), min_size=1, max_size=80),
    images=st.integers(1, 100),
    seed=st.integers(0, 3),
    hidden=st.integers(0, 10),
)
@settings(max_examples=60, deadline=None)
def test_the_choice_is_balanced_and_weights_add_up(correct: list[bool], images: int, seed: int, hidden: int) -> None:
    right = np.array(correct)
    evidence = np.arange(len(right)) >= min(hidden, len(right) - 1)
    chosen = choose_for_review(right, images, evidence=evidence, seed=seed)
    assert len(set(chosen.tolist())) == len(chosen) == min(images, evidence.sum())
    assert evidence[chosen].all()
    counts = {kind: (right[chosen] == kind).sum() for kind in (True, False)}
    for kind, count in counts.items():  # nobody gets less than half unless all of the kind are in
        assert count >= min(images // 2, (evidence & (right == kind)).sum())
    weights = review_weights(right, chosen, evidence=evidence)
    for kind in (True, False):
        if counts[kind]:
            assert weights[right[chosen] == kind].sum() == pytest.approx((evidence & (right == kind)).sum())
    assert set(chosen) <= set(choose_for_review(right, images + 7, evidence=evidence, seed=seed))
    assert np.array_equal(chosen, choose_for_review(right, images, evidence=evidence, seed=seed))


def test_a_choice_that_cannot_be_made_says_why() -> None:
    with pytest.raises(InputError, match="no image has evidence"):
        choose_for_review([True, False], evidence=[False, False])
    with pytest.raises(InputError, match="at least one image"):
        choose_for_review([True], 0)
    with pytest.raises(InputError, match="one value per image"):
        choose_for_review([True, False], evidence=[True])
    with pytest.raises(InputError, match="judged twice"):
        review_weights([True, False], [0, 0])
    with pytest.raises(InputError, match="images with evidence"):
        judged_summary(by("Ann", [1], [ON]), [True, False], evidence=[True, False])


def test_right_and_wrong_answers_count_by_what_they_stand_for() -> None:
    """90 right answers of which 3 are judged, 10 wrong ones of which 2 are; every value by hand."""
    correct = np.arange(100) < 90
    said = by("Ann", [0, 1, 2, 3, 95, 99], [ON, ON, OFF, CANNOT_TELL, ON, OFF])
    found = judged_summary(said, correct, resamples=50)
    rr, rw, wr, ww, unclear = 2 * 22.5, 22.5, 5, 5, 22.5
    total = rr + rw + wr + ww
    expected = {
        "RR": rr / total,
        "RW": rw / total,
        "WR": wr / total,
        "WW": ww / total,
        "undefined": unclear / 100,
        "PT": 2 / 3,
        "IR": rr / (rr + wr),
        "accuracy": (rr + rw) / total,
        "valid": (rr + wr) / total,
        "PT_minus_valid": 2 / 3 - (rr + wr) / total,
        "IR_minus_accuracy": rr / (rr + wr) - (rr + rw) / total,
        "odds_ratio": 2.0,
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=1e-12), name
        assert found[name].low <= value <= found[name].high
    stated = {"judged_right": 4, "judged_wrong": 2, "weight_right": 22.5, "weight_wrong": 5.0, "no_evidence": 0}
    assert {name: found[name] for name in stated} == stated
    values = {name: found[name].value for name in expected}
    assert values["PT"] * values["accuracy"] == pytest.approx(values["RR"])
    assert values["IR"] * values["valid"] == pytest.approx(values["RR"])


def test_estimates_are_unbiased_and_intervals_keep_their_level() -> None:
    """Sets and reviews are drawn anew; a plain count of the judged images would be far off."""
    generator = np.random.default_rng(3)
    accuracy, valid_if = 0.9, {True: 0.8, False: 0.4}
    truth = {"PT": 0.8, "IR": 0.72 / 0.76}
    held, values, plain = dict.fromkeys(truth, 0), [], []
    repetitions = 150
    for seed in range(repetitions):
        correct = generator.random(600) < accuracy
        valid = generator.random(600) < np.where(correct, valid_if[True], valid_if[False])
        images = choose_for_review(correct, 60, seed=seed)
        found = judged_summary(by("Ann", images, np.where(valid[images], ON, OFF)), correct, resamples=400, seed=seed)
        values.append([found[name].value for name in truth])
        plain.append((correct & valid)[images].sum() / valid[images].sum())
        for name, value in truth.items():
            held[name] += found[name].low <= value <= found[name].high
    assert np.mean(values, axis=0) == pytest.approx(list(truth.values()), abs=0.012)
    assert np.mean(plain) < truth["IR"] - 0.2
    assert all(0.9 <= many / repetitions <= 0.99 for many in held.values()), held


def test_the_interval_stays_open_where_all_say_the_same() -> None:
    correct = np.arange(40) < 20
    pt = judged_summary(by("Ann", np.arange(0, 40, 2), np.zeros(20, int)), correct)["PT"]
    assert pt.value == pt.high == 1
    assert 0.7 < pt.low < 0.85  # exact binomial, one side of 10 of 10: 0.69
    paired = judged_summary(by("Ann", np.arange(0, 40, 2), np.zeros(20, int)), correct, units=np.arange(40) // 8)["PT"]
    assert paired.low < pt.low - 0.05


def test_what_nobody_judged_is_not_known() -> None:
    found = judged_summary(by("Ann", [0, 1, 2], [ON, OFF, ON]), [True, True, True, False, False], resamples=50)
    assert found["PT"].value == pytest.approx(2 / 3)
    assert np.isnan([found["IR"].value, found["IR"].low, found["RR"].value]).all()
    none_wrong = judged_summary(by("Ann", [0, 1, 2], [ON, OFF, ON]), [True, True, True], resamples=50)
    assert none_wrong["IR"].value == 1
    unclear = judged_summary(by("Ann", [0, 1], [CANNOT_TELL] * 2), [True, False], resamples=50)
    assert np.isnan(unclear["PT"].value)
    assert unclear["undefined"].value == 1


def test_reviewers_who_differ_count_half() -> None:
    both = joined(by("Ann", [0, 1, 2], [ON, ON, CANNOT_TELL]), by("Bob", [0, 1, 2], [ON, OFF, CANNOT_TELL]))
    found = judged_summary(both, [True, True, True, False], resamples=50)
    assert found["PT"].value == 0.75
    assert found["judged_right"] == 3


@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
@settings(max_examples=25, deadline=None)
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    from sklearn.metrics import cohen_kappa_score

    first, second = zip(*pairs, strict=True)
    ours = cohens_kappa(first, second)
    if len({*first, *second}) == 1:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


def test_every_two_reviewers_are_compared_on_what_both_could_tell() -> None:
    from sklearn.metrics import cohen_kappa_score

    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 80)
    words = {
        name: np.where(generator.random(80) < 0.15, generator.integers(0, len(WORDS), 80), truth) for name in "ABC"
    }
    judged = joined(*(by(name, np.arange(80), said) for name, said in words.items()))
    found = agreement_of_reviewers(judged, 100)
    assert [one.between for one in found] == list(itertools.combinations("ABC", 2))
    for one in found:
        first, second = (words[name] for name in one.between)
        told = (first < CANNOT_TELL) & (second < CANNOT_TELL)
        assert one.kappa.value == pytest.approx(cohen_kappa_score(first[told], second[told]))
        assert 0.5 < one.kappa.low < one.kappa.value < one.kappa.high <= 1
        assert one.same == pytest.approx((first == second)[told].mean())
        assert (one.images, one.left_out) == (told.sum(), (~told).sum())


def test_reviewers_are_compared_with_masks() -> None:
    mass = np.array([0.9, 0.5, 0.49, np.nan, 0.1, 0.2])
    said = by("Ann", [0, 1, 2, 3, 4], [ON, ON, ON, ON, OFF])
    (found,) = agreement_with_mass(said, mass)
    assert found.between == ("Ann", "relevance mass")
    assert found.kappa.value == pytest.approx(0.5)
    assert (found.same, found.images, found.left_out) == (0.75, 4, 1)
    assert agreement_with_mass(said, mass, threshold=0.45)[0].kappa.value == 1
    with pytest.raises(InputError, match="one value per image"):
        agreement_with_mass(said, mass[:3])


def test_reviewers_without_an_image_in_common_have_no_kappa() -> None:
    (found,) = agreement_of_reviewers(joined(by("Ann", [0], [ON]), by("Bob", [1], [ON])), 2)
    assert np.isnan([found.kappa.value, found.kappa.low, found.same]).all()
    assert found.images == 0
