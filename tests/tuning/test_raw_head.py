"""The heads of the FLCP study: random start, features that keep their norm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tuning_toy import QUICK

from calibrant.errors import InputError
from calibrant.tuning import fit, load_recipe

PLAIN = {**QUICK, "solver.precision": "fp32"}


@pytest.mark.parametrize(("method", "image_tower"), [("flcp-lp", "untouched"), ("flcp-ft", "tuned")])
def test_the_head_reads_features_of_any_norm(method, image_tower, encoder, train, pixels):
    rows = []
    model = fit(encoder, train, load_recipe(method, PLAIN, "tiny"), progress=False, log=rows.append)
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert model.about["image_tower"] == image_tower
    features = model.image_features(pixels)
    norms = features.norm(dim=1)
    assert float((norms - 1).abs().min()) > 1e-3, "the norms of the toy are not 1"
    weight, bias = (model.tensors()[name].double().numpy() for name in ("head.weight", "head.bias"))
    expected = features.double().numpy() @ weight.T + bias
    np.testing.assert_allclose(model.logits(pixels, train.classes).numpy(), expected, atol=1e-5)
    unit = features / norms[:, None]
    text = model.zero_shot.text_features(["zebra", "cat"])
    others = model.zero_shot.logit_scale * unit @ text.T
    torch.testing.assert_close(model.logits(pixels, ["zebra", "cat"]), others, atol=1e-4, rtol=0)
    if image_tower == "untouched":
        torch.testing.assert_close(unit, model.zero_shot.image_features(pixels))
        assert set(model.tensors()) == {"head.weight", "head.bias"}


def test_it_does_not_start_from_the_zero_shot_model(encoder, train):
    with pytest.raises(InputError, match="cannot be averaged with it"):
        fit(encoder, train, load_recipe("flcp-ft+wise_ft", PLAIN, "tiny"), progress=False)


def test_features_that_were_kept_have_no_norm(encoder, train, cache):
    with pytest.raises(InputError, match="set it to live"):
        fit(encoder, train, load_recipe("flcp-lp", {**PLAIN, "solver.views": 1}, "tiny"), cache=cache, progress=False)
