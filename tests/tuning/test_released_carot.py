"""FLYP's and CaRot's losses, their gradients and the teacher give the numbers of the released code's formulas."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from calibrant.tuning import load_recipe
from calibrant.tuning.averaging import ema_momentum, moving_average
from calibrant.tuning.objectives import (
    contrastive,
    contrastive_masked,
    contrastive_multi_positive,
    contrastive_soft,
)
from calibrant.tuning.regularizers import cross_projection_norm, orthogonality, self_distillation

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "contrastive-losses.json").read_text(encoding="utf-8"))
GIVEN = {name: torch.tensor(value, dtype=torch.float64) for name, value in GOLDEN["inputs"].items()}
LABELS, STEPS = GIVEN["labels"].long(), int(GIVEN["total_steps"])
PAIRS = (GIVEN["image"], GIVEN["text"], GIVEN["logit_scale"])


def agrees(got, expected):
    torch.testing.assert_close(got, torch.tensor(expected, dtype=got.dtype), atol=1e-5, rtol=1e-5)


def terms(image, text, logit_scale, image_projection, text_projection):
    """The terms of `carot`, with the weights of the recipe."""
    parts = load_recipe("carot").stages[0].regularizers
    teacher = GIVEN["teacher_logit_scale"] * GIVEN["teacher_image"] @ GIVEN["teacher_text"].T
    values = {
        "orthogonality": orthogonality(image_projection, parts["orthogonality"]["squared"]),
        "cross_projection_norm": cross_projection_norm(image_projection, text_projection),
        "self_distillation": self_distillation(logit_scale * image @ text.T, teacher),
    }
    assert values.keys() == parts.keys()
    weighted = {name: parts[name]["weight"] * value for name, value in values.items()}
    return {"contrastive": contrastive(image, text, logit_scale), **weighted}


TRAINED = {name: GIVEN[name] for name in ("image", "text", "logit_scale", "image_projection", "text_projection")}
# the first step goes without the teacher
FIRST = [value for name, value in terms(**TRAINED).items() if name != "self_distillation"]


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("contrastive", contrastive(*PAIRS)),
        ("contrastive_label_smoothing_0.1", contrastive(*PAIRS, 0.1)),
        ("contrastive_masked", contrastive_masked(*PAIRS, LABELS)),
        ("contrastive_multi_positive", contrastive_multi_positive(*PAIRS, LABELS)),
        ("contrastive_soft", contrastive_soft(*PAIRS, LABELS)),
        ("orthogonality", orthogonality(GIVEN["image_projection"])),
        ("orthogonality_squared", orthogonality(GIVEN["image_projection"], squared=True)),
        ("cross_projection_norm", cross_projection_norm(GIVEN["image_projection"], GIVEN["text_projection"])),
        ("self_distillation", terms(**TRAINED)["self_distillation"] / 1.5),
        ("first_loss", sum(FIRST)),
        ("later_loss", sum(terms(**TRAINED).values())),
    ],
)
def test_losses(name, got):
    agrees(got, GOLDEN["outputs"][name])


def test_every_number_is_compared():
    assert {name for name, _ in test_losses.pytestmark[0].args[1]} == set(GOLDEN["outputs"])


def test_gradients_of_the_whole_loss():
    given = {name: tensor.clone().requires_grad_() for name, tensor in TRAINED.items()}
    sum(terms(**given).values()).backward()
    assert set(GOLDEN["gradients_of_later_loss"]) == set(given)
    for name, expected in GOLDEN["gradients_of_later_loss"].items():
        agrees(given[name].grad, expected)


def test_the_teacher():
    expected, settings = GOLDEN["teacher"], load_recipe("carot").stages[0].regularizers["self_distillation"]
    ramp = {name: settings[name] for name in ("start", "end", "ramp")}
    got = [ema_momentum(step, STEPS, **ramp) for step in expected["steps"]]
    agrees(torch.tensor(got, dtype=torch.float64), expected["momentum"])
    average = {"w": GIVEN["teacher_image_projection"].clone()}
    moving_average(average, {"w": GIVEN["image_projection"]}, ema_momentum(2500, STEPS, **ramp))
    agrees(average["w"], expected["image_projection_after_step_2500"])
