"""Losses give the numbers of the released code on the same inputs; see the file of numbers for their origin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from calibrant.tuning.objectives import cross_entropy, zero_shot_normalised
from calibrant.tuning.parameterizations.feature_adapter import adapted
from calibrant.tuning.regularizers import (
    adapted_consistency,
    feature_consistency,
    logit_consistency,
    logit_range,
    margin,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "consistency-losses.json").read_text())
GIVEN = {name: torch.tensor(value, dtype=torch.float64) for name, value in GOLDEN["inputs"].items()}
LABELS = GIVEN["labels"].long()
LOGITS, ZERO_SHOT = GIVEN["logits"], GIVEN["zero_shot_logits"]


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("zero_shot_normalised", zero_shot_normalised(LOGITS, ZERO_SHOT)),
        ("zero_shot_normalised_loss", cross_entropy(zero_shot_normalised(LOGITS, ZERO_SHOT), LABELS)),
        ("cross_entropy_and_logit_range", cross_entropy(LOGITS, LABELS) + 10 * logit_range(LOGITS, ZERO_SHOT)),
        ("cross_entropy_and_margin_5", cross_entropy(LOGITS, LABELS) + 0.1 * margin(LOGITS, 5.0)),
        ("text_consistency_25", 25 * feature_consistency(GIVEN["text"], GIVEN["zero_shot_text"])),
        ("image_consistency_10", 10 * feature_consistency(GIVEN["image"], GIVEN["zero_shot_image"])),
        ("logit_consistency", logit_consistency(LOGITS, ZERO_SHOT)),
        ("adapted_features", adapted(GIVEN["features"], GIVEN["down"], GIVEN["up"], 0.1)),
        (
            "adapted_consistency",
            adapted_consistency(GIVEN["text"], GIVEN["zero_shot_text"], GIVEN["image"], GIVEN["zero_shot_image"]),
        ),
    ],
)
def test_same_numbers_as_the_released_code(name, got):
    expected = torch.tensor(GOLDEN["outputs"][name], dtype=torch.float64)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-12)


def test_every_number_is_compared():
    marks = test_same_numbers_as_the_released_code.pytestmark
    assert {name for name, _ in marks[0].args[1]} == set(GOLDEN["outputs"])
