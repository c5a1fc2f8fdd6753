"""A dual encoder that is small enough to train in a test, and images that differ by their colour."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from calibrant.data.evaluation_set import EvaluationSet
from calibrant.models.feature_cache import FeatureCache

# the toy is imported by subprocesses too, so it is a module of its own
sys.path.insert(0, str(Path(__file__).parent))
from tuning_toy import make_encoder, make_train


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def encoder():
    return make_encoder()


@pytest.fixture
def train() -> EvaluationSet:
    return make_train()


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache")


@pytest.fixture
def pixels(encoder, train) -> torch.Tensor:
    return torch.stack([encoder.test_transform(np.asarray(image)) for image in train.images[:4]])
