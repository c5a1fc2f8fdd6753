from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from calibrant.models.checkpoints import save_model
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.tiny import load_tiny


@pytest.fixture(scope="session")
def _untrained() -> OpenClipEncoder:
    return load_tiny(random_initialisation=True)


@pytest.fixture
def tiny(_untrained: OpenClipEncoder) -> OpenClipEncoder:
    """`tiny` with random weights, free to be changed; only the tokenizer is shared."""
    network = copy.deepcopy(_untrained.network)
    return OpenClipEncoder(network, _untrained._tokenizer, _untrained.preprocessing, "tiny", _untrained.about)


@pytest.fixture(scope="session")
def saved(_untrained: OpenClipEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, in a path with a space and a non-ASCII letter."""
    folder = tmp_path_factory.mktemp("mödel folder")
    save_model(folder, _untrained.network, _untrained.preprocessing.to_config(), _untrained.about)
    return folder


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
