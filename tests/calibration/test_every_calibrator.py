"""What every calibrator of the registry promises: its flags, its parameters, its file."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone

from calibrant import Predictions
from calibrant.arrays import softmax
from calibrant.calibration import CALIBRATORS, LogitCalibrator, TemperatureScaling, calibrator, load
from calibrant.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:cac, a reconstruction:calibrant.errors.CalibrantWarning")

RNG = np.random.default_rng(0)
READ_MORE = {"bin-mean-shift", "cac", "dac", "density-ratio", "zero-shot-temperature", "zs-norm"}
"""Those that cannot be fitted on logits and labels alone."""


def everything(samples, classes):
    """Predictions with all that a calibrator may read; the first two classes are the tuned ones."""
    text, zero_shot_text, labels = *RNG.normal(size=(2, classes, 4)), RNG.integers(classes, size=samples)
    return Predictions(
        logits=2 * RNG.normal(size=(samples, classes)) + 2 * np.eye(classes)[labels],
        labels=labels,
        zero_shot_logits=RNG.normal(size=(samples, classes)) + np.eye(classes)[labels],
        text_features=text,
        zero_shot_text_features=zero_shot_text,
        base_text_features=text[:2],
        zero_shot_base_text_features=zero_shot_text[:2],
        image_features=RNG.normal(size=(samples, 4)),
    )


PREDICTIONS = everything(200, 3)


@pytest.fixture(params=CALIBRATORS)
def member(request):
    return calibrator(request.param)


def test_gives_probabilities(member):
    probs = member.fit(PREDICTIONS)(PREDICTIONS)
    assert probs.dtype == np.float64
    assert probs.shape == (200, 3)
    assert probs.sum(axis=1) == pytest.approx(np.ones(200), abs=1e-12)


def test_takes_bare_arrays_or_says_what_else_it_needs(member):
    of_predictions = member.fit(PREDICTIONS)(PREDICTIONS)
    if member.name in READ_MORE:
        with pytest.raises(InputError, match=f"calibrator '{member.name}' needs .*, which these predictions lack"):
            clone(member).fit(PREDICTIONS.logits, PREDICTIONS.labels)
    else:
        assert (member.predict_proba(PREDICTIONS.logits) == of_predictions).all()
        assert (clone(member).fit(PREDICTIONS.logits, PREDICTIONS.labels)(PREDICTIONS) == of_predictions).all()


def test_says_what_it_reads_at_use(member):
    member.fit(PREDICTIONS)
    enough = Predictions(logits=PREDICTIONS.logits, **{name: getattr(PREDICTIONS, name) for name in member.reads})
    assert (member(enough) == member(PREDICTIONS)).all()
    for name in member.reads:
        with pytest.raises(InputError, match=f"calibrator '{member.name}' needs {name}"):
            member(replace(enough, **{name: None}))


def test_keeps_the_answers_if_it_says_so(member):
    same = member.fit(PREDICTIONS)(PREDICTIONS).argmax(axis=1) == PREDICTIONS.logits.argmax(axis=1)
    assert same.all() or not member.keeps_argmax


def test_keeps_the_order_of_the_samples_if_it_says_so(member):
    before = PREDICTIONS.probabilities().max(axis=1)
    after = member.fit(PREDICTIONS)(PREDICTIONS).max(axis=1)
    sorted_after = after[np.argsort(before, kind="stable")]
    assert not member.keeps_sample_order or (np.diff(sorted_after) >= -1e-12).all()


@pytest.mark.parametrize("rows", [[0], [0, 1]])
def test_calibrates_one_sample_as_it_does_many(member, rows):
    together = member.fit(PREDICTIONS)(PREDICTIONS)
    assert member(PREDICTIONS.subset(rows)) == pytest.approx(together[rows], abs=1e-12)


def test_remembers_the_class_list(member):
    named = replace(PREDICTIONS, classes=["cat", "dog", "fox"])
    member.fit(named)
    assert member.classes_ == ["cat", "dog", "fox"]
    assert member(named) == pytest.approx(member(PREDICTIONS), abs=1e-12)  # whose classes are only numbered
    if not member.transfers:
        with pytest.raises(InputError, match="3 others"):
            member(replace(PREDICTIONS, classes=["dog", "cat", "fox"]))


def test_refuses_use_before_fit(member):
    if member.name == "none":
        assert member(PREDICTIONS).shape == (200, 3)
    else:
        with pytest.raises(InputError, match="not fitted"):
            member(PREDICTIONS)


def test_leaves_its_input_alone(member):
    before = PREDICTIONS.logits.copy()
    member.fit(PREDICTIONS)(PREDICTIONS)
    assert (PREDICTIONS.logits == before).all()


def test_refuses_samples_of_none_of_the_classes(member):
    if member.needs_labels:
        with pytest.raises(InputError, match=r"1 belong to none, first row 0|of none of the classes"):
            member.fit(replace(PREDICTIONS, labels=np.append(-1, PREDICTIONS.labels[1:])))


def test_logit_calibrators_transform(member):
    if isinstance(member, LogitCalibrator):
        transformed = member.fit(PREDICTIONS).transform(PREDICTIONS)
        assert softmax(transformed.logits) == pytest.approx(member(PREDICTIONS), abs=1e-12)
        assert (transformed.labels == PREDICTIONS.labels).all()
    else:
        assert not hasattr(member, "transform")


def test_can_be_used_on_other_classes_if_it_says_so(member):
    others = everything(4, 7)
    member.fit(PREDICTIONS)
    if member.transfers:
        assert member(others).shape == (4, 7)
    else:
        with pytest.raises(InputError, match=f"calibrator '{member.name}' knows only the 3 classes"):
            member(others)


def test_does_without_labels_if_it_says_so(member):
    unlabelled = replace(PREDICTIONS, labels=None)
    if member.needs_labels:
        with pytest.raises(InputError, match="no labels"):
            member.fit(unlabelled)
    else:
        member.fit(unlabelled)


def test_can_be_cloned_and_set(member):
    copy = clone(member.fit(PREDICTIONS))
    assert type(copy) is type(member)
    assert copy.get_params() == member.get_params()
    assert not any(hasattr(copy, name) for name in member.fitted)
    with pytest.raises(InputError, match="unknown parameter"):
        member.set_params(temprature=2)


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_the_file_gives_the_same_calibrator(member, tmp_path, ending):
    file = tmp_path / f"with space ü{ending}"
    expected = member.fit(PREDICTIONS)(PREDICTIONS)
    member.save(file)
    assert (load(file)(PREDICTIONS) == expected).all()
    first = file.read_bytes()
    load(file).save(file)
    assert file.read_bytes() == first


def test_an_unfitted_one_is_not_saved(tmp_path):
    with pytest.raises(InputError, match="not fitted"):
        TemperatureScaling().save(tmp_path / "t.json")
    assert not (tmp_path / "t.json").exists()


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(InputError, match="unknown calibrator 'temprature'; did you mean 'temperature'"):
        calibrator("temprature")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calibrator": "temprature"}, "did you mean 'temperature'"),
        ({"format": 99}, "format 99"),
        ({"classes": None}, "not fitted"),
        ({"fitted": {}}, "stores"),
        ({"fitted": {"temperature_": -1, "at_bound_": False}}, "positive number"),
        ({"fitted": {"temperature_": "hot", "at_bound_": False}}, "positive number"),
        ({"fitted": {"temperature_": 1.0, "at_bound_": False, "more_": 1}}, "stores"),
        ({"parameters": {"bins": 3}}, "unknown parameter"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, change, message):
    file = tmp_path / "t.json"
    TemperatureScaling().fit(PREDICTIONS).save(file)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError) as caught:
        load(file)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_another_file_is_no_calibrator(tmp_path, text):
    file = tmp_path / "t.json"
    file.write_text(text)
    with pytest.raises(InputError, match=r"t\.json"):
        load(file)
