"""The reconstructions of CAC against plain loops written from what its docstring says."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant import Predictions
from calibrant.arrays import softmax
from calibrant.calibration import ContrastAware, load
from calibrant.errors import CalibrantWarning, InputError
from calibrant.metrics import calibration_error

EVERY = [
    {},
    {"variant": "l1_sum_cos"},
    {"variant": "advanced", "lambda1": 0.9, "lambda2": 0.7},
    {"variant": "prob", "kappa": 0.5},
]
IDS = [one.get("variant", "l1_mean") for one in EVERY]


def predictions(seed=0, samples=30, classes=7, moved=4.0, scales=(100.0, 100.0), **others):
    rng = np.random.default_rng(seed)
    cosines = 0.25 + 0.03 * rng.normal(size=(samples, classes))
    tuned = cosines + moved / 100 * rng.normal(size=cosines.shape)
    return Predictions(
        logits=scales[0] * tuned,
        zero_shot_logits=scales[1] * cosines,
        logit_scale=scales[0],
        zero_shot_logit_scale=scales[1],
        **others,
    )


def looped(given_, variant="l1_mean", k=15.0, alpha=1.1, lambda1=None, lambda2=None, kappa=None):
    """The weights, one sample and class at a time."""

    def probabilities(row):
        exponentials = [math.exp(value - max(row)) for value in row]
        return [one / sum(exponentials) for one in exponentials]

    weights = []
    for tuned, before in zip(given_.logits.tolist(), given_.zero_shot_logits.tolist(), strict=True):
        pairs = list(zip(tuned, before, strict=True))
        mean = sum(abs(a * given_.zero_shot_logit_scale / given_.logit_scale - b) for a, b in pairs) / len(pairs)
        if variant == "l1_mean":
            weights.append(alpha * math.exp(-mean / k))
        elif variant == "l1_sum_cos":
            apart = sum(abs(a / given_.logit_scale - b / given_.zero_shot_logit_scale) for a, b in pairs)
            weights.append(alpha * math.exp(-apart / k))
        elif variant == "advanced":
            u = math.exp(-mean / k)
            weights.append(alpha * u if u >= lambda1 else u if u >= lambda2 else u * u)
        else:
            sides = zip(probabilities(tuned), probabilities(before), strict=True)
            weights.append(alpha * math.exp(-sum(abs(a - b) for a, b in sides) / 2 / kappa))
    return np.array(weights)


@pytest.mark.parametrize("options", EVERY, ids=IDS)
@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(2, 30), st.floats(0, 20), st.sampled_from([50.0, 100.0]))
def test_weights_are_those_of_the_definition(options, seed, samples, classes, moved, scale):
    given_ = predictions(seed, samples, classes, moved, (scale, 100.0))
    assert ContrastAware(**options).sample_weights(given_) == pytest.approx(looped(given_, **options), abs=1e-9)


def test_advanced_has_three_pieces():
    given_ = Predictions(logits=[[1.0, 0.0], [3.0, 0.0], [9.0, 0.0]], zero_shot_logits=[[1.0, 0.0]] * 3)
    u = [1.0, math.exp(-1 / 5), math.exp(-4 / 5)]
    cac = ContrastAware(variant="advanced", k=5, lambda1=0.9, lambda2=0.5)
    assert cac.sample_weights(given_) == pytest.approx([1.1, u[1], u[2] ** 2], abs=1e-12)


def test_the_crossover_is_where_the_docstring_says():
    apart = 15 * math.log(1.1)
    assert apart == pytest.approx(1.43, abs=0.005)
    given_ = Predictions(logits=[[apart, -apart]], zero_shot_logits=[[0.0, 0.0]])
    assert ContrastAware().sample_weights(given_) == pytest.approx([1.0], abs=1e-12)


def test_without_alpha_it_can_only_soften():
    given_ = predictions(1)
    cac = ContrastAware(alpha=1.0).fit(given_)
    assert (cac(given_).max(axis=1) <= softmax(given_.logits).max(axis=1)).all()


def test_models_that_agree_are_sharpened_and_others_softened():
    agree, differ = predictions(2, moved=0.1), predictions(2, moved=20)
    for given_, sign in ((agree, 1), (differ, -1)):
        change = ContrastAware().fit(given_)(given_).max(axis=1) - softmax(given_.logits).max(axis=1)
        assert (sign * change > 0).all()


def test_the_mean_does_not_depend_on_the_number_of_classes_and_the_sum_does():
    def twice(rows):
        return np.concatenate([rows, rows], axis=1)

    given_ = predictions(3)
    doubled = Predictions(
        logits=twice(given_.logits),
        zero_shot_logits=twice(given_.zero_shot_logits),
        logit_scale=100,
        zero_shot_logit_scale=100,
    )
    mean, total = ContrastAware().fit(given_), ContrastAware("l1_sum_cos", k=0.2).fit(given_)
    assert mean.sample_weights(doubled) == pytest.approx(mean.sample_weights(given_), abs=1e-12)
    assert total.sample_weights(doubled) == pytest.approx(total.sample_weights(given_) ** 2 / 1.1, abs=1e-12)
    with pytest.warns(CalibrantWarning, match="grows with the number of classes, which was 7 at fit and is 14 now"):
        total(doubled)


@pytest.mark.parametrize("options", EVERY, ids=IDS)
def test_all_logits_of_a_sample_get_its_weight(options):
    given_ = predictions(4)
    cac = ContrastAware(**options).fit(given_)
    assert cac(given_) == pytest.approx(softmax(looped(given_, **options)[:, None] * given_.logits), abs=1e-9)


@pytest.mark.parametrize("options", EVERY, ids=IDS)
@given(st.integers(0, 10_000), st.floats(0, 30), st.integers(2, 40))
def test_no_answer_changes(options, seed, moved, classes):
    given_ = predictions(seed, classes=classes, moved=moved)
    cac = ContrastAware(**options).fit(given_)
    assert (cac(given_).argmax(axis=1) == given_.logits.argmax(axis=1)).all()
    assert (cac.sample_weights(given_) > 0).all()


def test_results_say_reconstruction_and_keep_the_weights():
    given_ = predictions(5, about={"data": "pets"}, columns={"site": np.arange(30)})
    cac = ContrastAware(k=10).fit(given_)
    weighted = cac.transform(given_)
    assert weighted.about["cac"] == {"reconstruction": "l1_mean", "k": 10, "alpha": 1.1}
    assert weighted.about["data"] == "pets"
    assert set(weighted.columns) == {"site", "cac_weight"}
    assert (weighted.columns["cac_weight"] == cac.sample_weights(given_)).all()
    assert softmax(weighted.logits) == pytest.approx(cac(given_), abs=1e-15)
    for text in (ContrastAware.__doc__.splitlines()[0], ContrastAware.source):
        assert "econstruction" in text


def labelled(zero_shot_factor, tuned_factor, seed=0, samples=3000):
    """Labels drawn from the softmax of logits, and both models with these logits times a factor."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(samples, 5))
    labels = (rng.random((samples, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1).clip(max=4)
    return Predictions(logits=tuned_factor * logits, zero_shot_logits=zero_shot_factor * logits, labels=labels)


def test_labels_draw_a_warning_since_nothing_is_learned_from_them():
    with pytest.warns(CalibrantWarning, match="learns nothing from labels; .* no worse calibrated") as caught:
        ContrastAware().fit(labelled(1, 3))
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)


def test_a_worse_calibrated_zero_shot_model_draws_a_warning_with_both_errors():
    given_ = labelled(3, 1)
    zero_shot, tuned = (
        calibration_error(softmax(logits), given_.labels) for logits in (given_.zero_shot_logits, given_.logits)
    )
    with pytest.warns(CalibrantWarning, match="worse calibrated") as caught:
        ContrastAware().fit(given_)
    for error in (zero_shot, tuned):
        assert f"ECE {error:.3f}" in str(caught[0].message)


def test_without_labels_nothing_is_said():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ContrastAware().fit(predictions())
        ContrastAware().fit(predictions(labels=np.full(30, -1)))


def test_samples_of_no_class_do_not_count_in_the_comparison():
    given_ = labelled(1, 3, samples=500)
    labels = given_.labels.copy()
    labels[::2] = -1
    some = Predictions(logits=given_.logits, zero_shot_logits=given_.zero_shot_logits, labels=labels)
    with pytest.warns(CalibrantWarning, match="no worse calibrated"):
        ContrastAware().fit(some)


@pytest.mark.filterwarnings("ignore::calibrant.errors.CalibrantWarning")
def test_labels_change_nothing():
    given_ = labelled(1, 3)
    other = Predictions(logits=given_.logits, zero_shot_logits=given_.zero_shot_logits, labels=(given_.labels + 1) % 5)
    assert (ContrastAware().fit(given_)(given_) == ContrastAware().fit(other)(given_)).all()


@pytest.mark.parametrize("options", EVERY, ids=IDS)
def test_a_file_gives_the_same(options, tmp_path):
    given_ = predictions(6)
    cac = ContrastAware(**options).fit(given_)
    cac.save(tmp_path / "cac.json")
    again = load(tmp_path / "cac.json")
    assert again.reconstruction_ == cac.variant
    assert again.get_params() == cac.get_params()
    assert (again(given_) == cac(given_)).all()


BARE = {"logits": np.eye(2), "zero_shot_logits": np.eye(2)}


@pytest.mark.parametrize(
    ("options", "fields", "words"),
    [
        ({}, {"logits": np.eye(2)}, "calibrator 'cac' needs zero_shot_logits, which these predictions lack"),
        ({"variant": "l1"}, BARE, "unknown variant of calibrator 'cac' 'l1'"),
        ({"variant": "l1_sum_cos"}, BARE, "compares cosines, and needs logit_scale and zero_shot_logit_scale"),
        ({"variant": "advanced"}, BARE, "variant 'advanced' of calibrator 'cac' needs lambda1: no value is published"),
        ({"variant": "advanced", "lambda1": 0.9}, BARE, "needs lambda2"),
        ({"variant": "advanced", "lambda1": 0.5, "lambda2": 0.9}, BARE, "wants lambda2 <= lambda1 <= 1"),
        ({"variant": "advanced", "lambda1": 2, "lambda2": 0.9}, BARE, "wants lambda2 <= lambda1 <= 1"),
        ({"variant": "prob"}, BARE, "needs kappa"),
        ({"kappa": 1.0}, BARE, "kappa belongs to variant 'prob' of calibrator 'cac', not 'l1_mean'"),
        ({"lambda1": 0.9}, BARE, "lambda1 belongs to variant 'advanced'"),
        ({"k": 0}, BARE, "k of calibrator 'cac' must be a positive number, not 0"),
        ({"k": None}, BARE, "k of calibrator 'cac' must be a positive number, not None"),
        ({"k": "15"}, BARE, "must be a positive number, not '15'"),
        ({"alpha": -1.0}, BARE, "alpha of calibrator 'cac' must be a positive number"),
        ({"alpha": math.nan}, BARE, "must be a positive number, not nan"),
        ({}, {"logits": [[0.0, 1e4]], "zero_shot_logits": [[0.0, 1.0]]}, "so far apart in row 0"),
    ],
)
def test_bad_input_is_refused_in_one_line(options, fields, words):
    with pytest.raises(InputError) as caught:
        ContrastAware(**options).fit(Predictions(**fields))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_calls_itself_another_reconstruction_is_refused():
    with pytest.raises(InputError, match="variant 'l1_mean' is called 'advanced'"):
        ContrastAware().restore({"reconstruction_": "advanced"}, ["cat", "dog"])


def test_bare_logits_are_not_enough():
    cac = ContrastAware().fit(predictions())
    with pytest.raises(InputError, match="zero_shot_logits"):
        cac.predict_proba(np.zeros((1, 7)))
