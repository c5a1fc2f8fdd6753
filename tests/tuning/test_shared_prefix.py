"""CoOp with a prefix that is encoded once: training and answers stay those of whole prompts."""

from __future__ import annotations

import pytest
import torch

from calibrant.tuning import fit, load_recipe

SETTINGS = {"solver.steps": 8, "solver.batch_size": 8, "solver.learning_rate": 0.01}


@pytest.mark.parametrize("start", [{}, {"parameterization.tokens": None, "parameterization.phrase": "a photo of a"}])
def test_training_has_the_same_losses_and_answers(encoder, train, cache, monkeypatch, start):
    calls = []
    original = type(encoder).encode_text_after_prefix

    def counted(self, *arguments):
        calls.append(True)
        return original(self, *arguments)

    monkeypatch.setattr(type(encoder), "encode_text_after_prefix", counted)
    losses, features = [], []
    names = [*train.classes, "a thing that was never seen"]
    for capabilities in (encoder.capabilities, encoder.capabilities - {"shared_prefix"}):
        encoder.capabilities = capabilities
        rows: list[dict] = []
        recipe = load_recipe("coop", SETTINGS | start, "tiny")
        tuned = fit(encoder, train, recipe, cache=cache, progress=False, log=rows.append)
        losses.append(torch.tensor([row["loss"] for row in rows]))
        features.append(tuned.text_features(names))
        assert len(calls) == 9  # every step and the answers; then not once more
    assert losses[0][0] != losses[0][-1]
    torch.testing.assert_close(losses[0], losses[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(features[0], features[1], atol=1e-5, rtol=0)


def test_class_specific_contexts_share_nothing(encoder, train, cache, monkeypatch):
    monkeypatch.delattr(type(encoder), "encode_text_after_prefix")
    recipe = load_recipe("coop", SETTINGS | {"parameterization.shared": False}, "tiny")
    assert fit(encoder, train, recipe, cache=cache, progress=False).text_features(["dog"]).shape == (1, 16)
