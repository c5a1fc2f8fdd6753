"""The density ratio against loops, SciPy's kernel estimate, and places where densities underflow."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from calibrant import Predictions
from calibrant.calibration import DensityRatio, calibrator
from calibrant.calibration.density_ratio import log_density
from calibrant.errors import InputError

RNG = np.random.default_rng(0)
LOGITS = 2 * RNG.normal(size=(150, 4))
FIT = Predictions(
    logits=LOGITS, labels=RNG.permuted(LOGITS, axis=1).argmax(axis=1), image_features=RNG.normal(size=(150, 3))
)
UNSEEN = Predictions(logits=2 * RNG.normal(size=(40, 4)), image_features=RNG.normal(size=(40, 3)))


def deviation(numbers):
    mean = sum(numbers) / len(numbers)
    return math.sqrt(sum((x - mean) ** 2 for x in numbers) / len(numbers))


def density(at, points):
    """Product kernel with the normal-reference width 1.06 s n^(-1/6) in each direction."""
    total = 1.0
    widths = [1.06 * deviation([p[d] for p in points]) * len(points) ** (-1 / 6) for d in (0, 1)]
    sums = 0.0
    for point in points:
        total = 1.0
        for d in (0, 1):
            z = (at[d] - point[d]) / widths[d]
            total *= math.exp(-z * z / 2) / (math.sqrt(2 * math.pi) * widths[d])
        sums += total
    return sums / len(points)


def nearest(one, others, k):
    return math.exp(-np.mean(sorted(float(np.sqrt(((one - other) ** 2).sum())) for other in others)[:k]))


@pytest.mark.parametrize("k", [1, 10])
def test_as_published(k):
    p, features = FIT.probabilities(), FIT.image_features
    right, wrong = [], []
    for i, row in enumerate(p):
        point = (row.max(), nearest(features[i], np.delete(features, i, 0), k))
        (right if row.argmax() == FIT.labels[i] else wrong).append(point)
    found = DensityRatio(k=k).fit(FIT)(UNSEEN)
    for n, row in enumerate(UNSEEN.probabilities()):
        at = (row.max(), nearest(UNSEEN.image_features[n], features, k))
        f1, f0 = density(at, right), density(at, wrong)
        expected = f1 / (f1 + f0 * len(wrong) / len(right))
        assert found[n].max() == pytest.approx(max(expected, 0.25), abs=1e-6)
        others = np.delete(row, row.argmax())
        if expected > 0.5:  # no other class can have reached the answer
            shared = np.delete(found[n], row.argmax())
            np.testing.assert_allclose(shared, others / others.sum() * (1 - expected), atol=1e-6)


def test_the_density_agrees_with_scipy():
    """SciPy turns its kernel along the data; along points whose directions do not correlate it is the same."""
    x, y = np.meshgrid(np.linspace(0, 1, 7), np.linspace(0, 2, 5))
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    at = np.random.default_rng(1).random((50, 2))
    widths = points.std(axis=0, ddof=1) * 0.3
    np.testing.assert_allclose(np.exp(log_density(at, points, widths)), gaussian_kde(points.T, 0.3)(at.T), rtol=1e-9)


def test_far_from_everything_there_is_still_a_ratio():
    """Where both densities underflow, 0 / max(0, 1e-10) would make the confidence 0."""
    far = replace(UNSEEN, image_features=UNSEEN.image_features + 1e3)
    p = DensityRatio().fit(FIT)(far)
    assert np.isfinite(p).all()
    narrow = DensityRatio()
    learned = {
        "right_": np.array([[0.9, 0.5]]),
        "wrong_": np.array([[0.4, 0.5]]),
        "widths_": np.full((2, 2), 1e-3),
        "reference_": FIT.image_features,
    }
    narrow.restore(learned, FIT.classes)
    at = np.array([[0.7, 0.5], [0.6, 0.5]])
    assert np.exp(log_density(at, learned["right_"], learned["widths_"][0])).max() == 0
    sure = Predictions(logits=np.log([[0.7, 0.1, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1]]), image_features=np.zeros((2, 3)))
    np.testing.assert_allclose(narrow(sure).max(axis=1), [1.0, 0.25], atol=1e-9)


def test_a_sure_answer_leaves_nothing_to_scale():
    """The rest of a saturated row is 0, and 0 times (1 - c) / 0 is no number."""
    sure = replace(FIT, logits=1e4 * FIT.logits)
    p = DensityRatio().fit(sure)(sure)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p.argmax(axis=1) == FIT.logits.argmax(axis=1)).all()
    share = (FIT.logits.argmax(axis=1) == FIT.labels).mean()
    assert p.max(axis=1).mean() == pytest.approx(max(share, 0.25), abs=0.1)


def test_unusual_images_are_trusted_less():
    rng = np.random.default_rng(1)
    far = np.arange(400) % 2 == 1
    features = rng.normal(size=(400, 3)) * np.where(far, 2.0, 0.1)[:, None]
    labels = np.where(rng.random(400) < np.where(far, 0.4, 0.95), 0, 1)
    logits = np.array([[3.0, 0.0, 0.0]]) + 0.1 * rng.normal(size=(400, 3))
    both = Predictions(logits=logits, labels=labels, image_features=features)
    p = DensityRatio(k=5).fit(both.subset(np.arange(300)))(both.subset(np.arange(300, 400))).max(axis=1)
    assert p[~far[300:]].mean() == pytest.approx(0.95, abs=0.05)
    assert p[far[300:]].mean() == pytest.approx(0.4, abs=0.12)


@pytest.mark.parametrize("label", ["right", "wrong"])
def test_both_kinds_of_answers_are_needed(label):
    answers = FIT.logits.argmax(axis=1)
    labels = answers if label == "right" else (answers + 1) % 4
    with pytest.raises(InputError, match=f"all 150 are {label}; fit on more"):
        DensityRatio().fit(replace(FIT, labels=labels))


def test_features_are_needed():
    with pytest.raises(InputError, match="needs image_features"):
        DensityRatio().fit(FIT.logits, FIT.labels)
    with pytest.raises(InputError, match="needs image_features"):
        DensityRatio().fit(FIT).predict_proba(FIT.logits)


def test_temperature_can_come_first():
    chain = calibrator("temperature+density-ratio").fit(FIT)
    scaled = chain.parts_[0].transform(FIT)
    np.testing.assert_allclose(chain(UNSEEN), DensityRatio().fit(scaled)(chain.parts_[0].transform(UNSEEN)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths_": np.zeros((2, 2))}, "four positive numbers"),
        ({"right_": np.ones((3, 3))}, "finite pairs"),
        ({"wrong_": np.zeros((0, 2))}, "finite pairs"),
        ({"reference_": np.full((2, 2), np.inf)}, "finite image features"),
    ],
)
def test_impossible_learned_values_are_refused(change, message):
    fitted = DensityRatio().fit(FIT)
    with pytest.raises(InputError, match=message):
        DensityRatio().restore(fitted.state()["fitted"] | change, FIT.classes)
