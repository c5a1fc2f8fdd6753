"""Explainers point at the object of real scenes better than at the middle, and only if the model has learnt it."""

from __future__ import annotations

import numpy as np
import pytest

import calibrant as cb
from calibrant.rationality import relevance_mass, resized
from calibrant.rationality.explainers.registry import explainer
from calibrant.rationality.sanity.randomised_weights import randomised
from calibrant.tuning.recipe import load_recipe
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import build

PARAMETERS = {"attention-gradient": {}, "grad-eclip": {}, "occlusion": {"window": 16, "stride": 16}}


@pytest.fixture(scope="module")
def scenes():
    return cb.load_data("emoji/hard", scenes=24).split("test")


@pytest.fixture(scope="module")
def model(scenes):
    encoder = cb.load_model("tiny", offline=True)
    return build(encoder, Task(scenes.classes, scenes.templates), load_recipe("zero-shot"), stage=0, seed=0)


def mean_mass(name: str, model, scenes) -> float:
    images = [np.asarray(image) for image in scenes.images]
    masks = np.stack([np.asarray(scenes.masks[at]) for at in range(len(scenes))])
    made = explainer(name, **PARAMETERS.get(name, {})).explain(model, images, scenes.labels, classes=scenes.classes)
    return float(np.nanmean(relevance_mass(resized(made.maps, masks.shape[1:]), masks)))


@pytest.mark.parametrize("name", list(PARAMETERS))
def test_the_maps_of_a_model_beat_the_centre_and_those_of_random_weights_do_not(name: str, model, scenes) -> None:
    centre = mean_mass("centre", model, scenes)
    assert mean_mass(name, model, scenes) > 1.3 * centre
    assert mean_mass(name, randomised(model), scenes) < centre
