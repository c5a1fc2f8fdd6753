"""What all calibrators by bins and by maps have in common, on inputs that are easy to get wrong."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from calibrant import Predictions
from calibrant.arrays import softmax
from calibrant.calibration import calibrator, load
from calibrant.errors import InputError
from calibrant.metrics import calibration_error

MAPS = ["histogram", "isotonic", "multi-isotonic", "spline", "beta", "bbq"]
PROXIMITY_AWARE = ["bin-mean-shift", "density-ratio"]
BY_BINS = [*MAPS, *PROXIMITY_AWARE]


def drawn(seed, samples=600, classes=4, spread=2.0, dimensions=5):
    """Logits whose softmax is the law that the labels are drawn from."""
    rng = np.random.default_rng(seed)
    logits = spread * rng.normal(size=(samples, classes))
    labels = (rng.random((samples, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    return Predictions(logits=logits, labels=labels, image_features=rng.normal(size=(samples, dimensions)))


def with_features(logits, labels):
    features = np.random.default_rng(0).normal(size=(len(labels), 3))
    return Predictions(logits=logits, labels=labels, image_features=features)


RANDOM = drawn(0)
HARD = {
    "random": RANDOM,
    "float32": replace(RANDOM, logits=RANDOM.logits.astype(np.float32)),
    "two classes": drawn(1, classes=2),
    "tied": with_features(np.zeros((12, 3)), np.arange(12) % 3),
    "two values": with_features([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]] * 10, np.arange(20) % 3),
    "saturated": replace(RANDOM, logits=1000 * RANDOM.logits),
    "huge": replace(RANDOM, logits=1e15 * RANDOM.logits),
    "tiny": replace(RANDOM, logits=1e-12 * RANDOM.logits),
    "a masked class": replace(RANDOM, logits=np.hstack([RANDOM.logits[:, :3], np.full((600, 1), -1e9)])),
    "two samples": with_features([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [0, 0]),
    "a class without a sample": replace(RANDOM, labels=np.minimum(RANDOM.labels, 2)),
    "a single label": replace(RANDOM, labels=np.zeros(600, int)),
    "many classes, few samples": drawn(2, samples=10, classes=50),
    "identical images": replace(RANDOM, image_features=np.ones((600, 5))),
    "far images": replace(RANDOM, image_features=1e4 * RANDOM.image_features),
}
UNSEEN = {
    "random": drawn(3),
    "saturated": replace(RANDOM, logits=1e4 * drawn(4).logits),
    "tied": replace(RANDOM, logits=np.zeros((600, 4))),
    "very far": replace(RANDOM, image_features=1e6 + RANDOM.image_features),
}


def check(member, predictions):
    p = member(predictions)
    assert p.dtype == np.float64
    assert p.shape == predictions.logits.shape
    assert np.isfinite(p).all()
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    if member.keeps_argmax:
        assert (p.argmax(axis=1) == predictions.logits.argmax(axis=1)).all()


@pytest.mark.parametrize("name", BY_BINS)
@pytest.mark.parametrize("inputs", HARD)
def test_hard_inputs_give_probabilities(name, inputs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no overflow, no division by zero on the way
        check(calibrator(name).fit(HARD[inputs]), HARD[inputs])


@pytest.mark.parametrize("name", BY_BINS)
@pytest.mark.parametrize("inputs", UNSEEN)
def test_unlike_the_fit_gives_probabilities(name, inputs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(calibrator(name).fit(RANDOM), UNSEEN[inputs])


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("label", [0, 1])
def test_one_sample_is_enough(name, label):
    one = Predictions(logits=[[2.0, 0.0, 0.0]], labels=[label])
    check(calibrator(name).fit(one), one)


@pytest.mark.parametrize("name", BY_BINS)
@pytest.mark.parametrize("inputs", ["random", "tied", "two values", "saturated", "a single label"])
def test_the_order_of_the_samples_does_not_matter(name, inputs):
    predictions = HARD[inputs]
    turned = predictions.subset(np.random.default_rng(0).permutation(len(predictions)))
    once, again = calibrator(name).fit(predictions)(RANDOM_OF[inputs]), calibrator(name).fit(turned)(RANDOM_OF[inputs])
    np.testing.assert_allclose(once, again, atol=1e-9)


RANDOM_OF = {name: drawn(9, samples=50, classes=HARD[name].logits.shape[1], dimensions=3) for name in HARD}
RANDOM_OF = {
    name: replace(one, image_features=np.random.default_rng(1).normal(size=(50, HARD[name].image_features.shape[1])))
    for name, one in RANDOM_OF.items()
}


@pytest.mark.parametrize("name", BY_BINS)
def test_the_names_of_the_classes_do_not_matter(name):
    order = [2, 0, 3, 1]
    unseen = drawn(3)
    renamed = replace(RANDOM, logits=RANDOM.logits[:, order], labels=np.argsort(order)[RANDOM.labels])
    once = calibrator(name).fit(RANDOM)(unseen)
    again = calibrator(name).fit(renamed)(replace(unseen, logits=unseen.logits[:, order]))
    np.testing.assert_allclose(once[:, order], again, atol=1e-8)


@pytest.mark.parametrize("name", BY_BINS)
def test_the_level_of_the_logits_does_not_matter(name):
    up = replace(RANDOM, logits=RANDOM.logits + 64)
    np.testing.assert_allclose(calibrator(name).fit(up)(up), calibrator(name).fit(RANDOM)(RANDOM), atol=1e-7)


@pytest.mark.parametrize("name", MAPS)
def test_probabilities_are_not_put_through_a_softmax_again(name):
    """A released implementation of several of these takes the softmax of what are already probabilities."""
    logits, probabilities = drawn(5), Predictions.from_probabilities(softmax(drawn(5).logits), labels=drawn(5).labels)
    of_logits, of_probabilities = calibrator(name).fit(logits), calibrator(name).fit(probabilities)
    np.testing.assert_allclose(of_logits(logits), of_probabilities(probabilities), atol=1e-8)


@pytest.mark.parametrize("name", BY_BINS)
def test_over_confidence_goes_away(name):
    fit, unseen = drawn(6, samples=4000), drawn(7, samples=4000)
    fit, unseen = (replace(one, logits=3 * one.logits) for one in (fit, unseen))
    before = calibration_error(unseen.probabilities(), unseen.labels)
    after = calibration_error(calibrator(name).fit(fit)(unseen), unseen.labels)
    assert before > 0.15
    assert after < before / 4


@pytest.mark.parametrize("name", BY_BINS)
def test_what_is_calibrated_stays_nearly_the_same(name):
    fit, unseen = drawn(6, samples=4000), drawn(7, samples=4000)
    after = calibrator(name).fit(fit)(unseen)
    assert np.abs(after - unseen.probabilities()).mean() < 0.04  # bins are 0.1 wide
    assert calibration_error(after, unseen.labels) < 0.03


@pytest.mark.parametrize("name", BY_BINS)
@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_a_file_gives_it_back(name, ending, tmp_path):
    fitted = calibrator(name).fit(RANDOM)
    fitted.save(tmp_path / f"fitted{ending}")
    assert (load(tmp_path / f"fitted{ending}")(RANDOM) == fitted(RANDOM)).all()


@pytest.mark.parametrize("name", BY_BINS)
def test_new_classes_are_refused_or_calibrated(name):
    fitted, others = calibrator(name).fit(RANDOM), drawn(8, classes=7)
    if fitted.transfers:
        check(fitted, others)
    else:
        with pytest.raises(InputError, match="knows only the 4 classes"):
            fitted(others)


@pytest.mark.parametrize("name", BY_BINS)
def test_labels_are_needed(name):
    with pytest.raises(InputError, match="no labels"):
        calibrator(name).fit(replace(RANDOM, labels=None))
    with pytest.raises(InputError, match="belong to none"):
        calibrator(name).fit(replace(RANDOM, labels=np.where(np.arange(600) == 3, -1, RANDOM.labels)))


@pytest.mark.parametrize("name", BY_BINS)
def test_it_can_end_a_chain(name):
    chain = calibrator(f"temperature+{name}")
    check(chain.fit(RANDOM), RANDOM)
    alone = calibrator(name).fit(RANDOM)
    assert (chain.keeps_argmax, chain.transfers) == (alone.keeps_argmax, alone.transfers)
