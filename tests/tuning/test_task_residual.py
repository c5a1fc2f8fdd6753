"""TaskRes against its formula, and what it does for names that were not tuned."""

from __future__ import annotations

import numpy as np
import torch
from tuning_toy import QUICK

from calibrant.models.text import text_classifier
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.parameterizations.task_residual import with_residual


def test_the_formula():
    rng = np.random.default_rng(0)
    text, residual = rng.normal(size=(2, 4, 6))
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    expected = []
    for t, x in zip(text, residual, strict=True):
        moved = [3.0 * a + 0.5 * b for a, b in zip(t, x, strict=True)]
        length = sum(value * value for value in moved) ** 0.5
        expected.append([value / length for value in moved])
    got = with_residual(torch.from_numpy(text), torch.from_numpy(residual), 0.5, 3.0)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)


def test_tuned_names_move_wherever_they_stand_and_others_do_not(encoder, train, cache):
    recipe = load_recipe("taskres", QUICK, "tiny")
    tuned = fit(encoder, train, recipe, cache=cache, progress=False)
    got = tuned.text_features(["zebra", "tree", "cat"])
    zero_shot = text_classifier(encoder, ["zebra", "tree", "cat"], train.templates, train.words)
    assert torch.equal(got[0], zero_shot[0])
    settings = recipe.stages[0].parameterization
    for row, index in ((1, 2), (2, 0)):
        residual = tuned.tensors()["residual"][index]
        moved = settings["feature_norm"] * zero_shot[row] + settings["alpha"] * residual
        torch.testing.assert_close(got[row], moved / moved.norm())
        assert not torch.allclose(got[row], zero_shot[row], atol=1e-3)
    assert not recipe.works_for_new_classes
    assert tuned.about["text_side"] == "zero-shot"


def test_wise_ft_goes_back_to_the_zero_shot_model(encoder, train, cache, pixels):
    recipe = load_recipe("taskres+wise_ft", {**QUICK, "averaging.wise_ft.alpha": 0}, "tiny")
    tuned = fit(encoder, train, recipe, cache=cache, progress=False)
    torch.testing.assert_close(
        tuned.logits(pixels, train.classes), tuned.zero_shot.logits(pixels, train.classes), atol=1e-5, rtol=0
    )
