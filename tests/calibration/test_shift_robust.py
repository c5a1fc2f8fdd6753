"""TS-P: the union of sets, strengths by accuracy, noise on features and logits."""

import numpy as np
import pytest
from scaling_toy import drawn

from calibrant import Predictions
from calibrant.calibration import ShiftRobustTemperature, TemperatureScaling
from calibrant.calibration.shift_robust import has_cosine_logits, noisy_features, noisy_logits, strengths
from calibrant.errors import InputError


def cosine_predictions(seed=0, samples=600, classes=5, width=32, scale=60.0):
    """Image features near the text feature of their class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=samples)
    texts = rng.normal(size=(classes, width))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    images = texts[labels] + 0.35 * rng.normal(size=(samples, width))
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    return Predictions(
        logits=scale * images @ texts.T, labels=labels, image_features=images, text_features=texts, logit_scale=scale
    )


def test_shifted_sets_are_fitted_together_with_the_held_out_samples():
    logits, labels = drawn(0, samples=300)
    other, of_other = drawn(1, samples=100)
    robust = ShiftRobustTemperature().fit(
        Predictions(logits=2 * logits, labels=labels), shifted=[Predictions(logits=7 * other, labels=of_other)]
    )
    together = TemperatureScaling().fit(np.concatenate([2 * logits, 7 * other]), np.append(labels, of_other))
    assert robust.temperature_ == together.temperature_
    assert robust.perturbed_ == "given"


def test_without_sets_features_are_perturbed_where_logits_are_their_cosines():
    predictions = cosine_predictions()
    assert has_cosine_logits(predictions)
    assert ShiftRobustTemperature().fit(predictions).perturbed_ == "image features"
    bare = Predictions(logits=predictions.logits, labels=predictions.labels)
    assert ShiftRobustTemperature().fit(bare).perturbed_ == "logits"
    head = Predictions(
        logits=predictions.logits[:, ::-1].copy(),
        labels=predictions.labels,
        image_features=predictions.image_features,
        text_features=predictions.text_features,
        logit_scale=60.0,
    )
    assert not has_cosine_logits(head)


@pytest.mark.parametrize("source", ["features", "logits"])
def test_accuracy_falls_in_equal_steps_to_chance(source):
    predictions = cosine_predictions(samples=1500)
    perturb = noisy_features(predictions, 0) if source == "features" else noisy_logits(predictions.logits, 0)
    found = strengths(predictions.logits, predictions.labels, perturb, levels=6)
    everything = np.arange(len(predictions))
    accuracies = [(perturb(everything, one).argmax(axis=1) == predictions.labels).mean() for one in found]
    best = (predictions.logits.argmax(axis=1) == predictions.labels).mean()
    assert found == sorted(found)
    assert accuracies[:-1] == pytest.approx(np.linspace(best, 1 / 5, 6)[1:-1], abs=0.03)
    assert accuracies[-1] < 0.3


def test_it_is_less_confident_than_temperature_scaling_and_better_under_shift():
    predictions = cosine_predictions(samples=1500)
    robust, plain = ShiftRobustTemperature().fit(predictions), TemperatureScaling().fit(predictions)
    assert robust.temperature_ > plain.temperature_
    rng = np.random.default_rng(9)
    drifted = predictions.image_features + 0.25 * rng.normal(size=predictions.image_features.shape)
    drifted /= np.linalg.norm(drifted, axis=1, keepdims=True)
    logits, rows = 60 * drifted @ predictions.text_features.T, np.arange(1500)
    losses = [-np.log(one.predict_proba(logits)[rows, predictions.labels]).mean() for one in (robust, plain)]
    assert losses[0] < losses[1]


def test_the_same_seed_gives_the_same_temperature():
    predictions = cosine_predictions()
    one, same, other = (ShiftRobustTemperature(seed=seed).fit(predictions).temperature_ for seed in (0, 0, 1))
    assert one == same
    assert one == pytest.approx(other, rel=0.2)
    assert one != other


def test_perturbed_logits_keep_mean_and_spread():
    logits, _ = drawn(0, samples=400, classes=200)
    perturbed = noisy_logits(logits, 0)(np.arange(400), 2.0)
    assert perturbed.mean(axis=1) == pytest.approx(logits.mean(axis=1), abs=0.6)
    assert perturbed.std(axis=1) == pytest.approx(logits.std(axis=1), rel=0.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([Predictions(logits=np.eye(3), labels=[0, 1, 2])], "another class list"),
        ([Predictions(logits=np.ones((2, 5)))], "no labels"),
        ([np.ones((2, 5))], "list of Predictions"),
    ],
)
def test_wrong_shifted_sets_are_refused(arguments, message):
    logits, labels = drawn(0, samples=30)
    with pytest.raises(InputError, match=message):
        ShiftRobustTemperature().fit(logits, labels, shifted=arguments)


@pytest.mark.parametrize("levels", [1, 2.5, True])
def test_impossible_levels_are_refused(levels):
    with pytest.raises(InputError, match="levels of calibrator 'ts-p'"):
        ShiftRobustTemperature(levels=levels).fit(*drawn(0, samples=30))
