"""A user's desk: a small model on the disk, folders of small pictures, and the command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from calibrant.cli.main import app

MINI = {
    "embed_dim": 32,
    "quick_gelu": False,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
COLOURS = {"Füchsin": (200, 30, 120), "olive green": (110, 130, 30), "sky": (90, 170, 230)}
Calibrant = Callable[..., Result]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with random weights, always the same."""
    import torch

    from calibrant.models.checkpoints import save_model
    from calibrant.models.open_clip_loading import build_network
    from calibrant.models.tiny import FOLDER
    from calibrant.storage import read_json

    folder = tmp_path_factory.mktemp("models") / "mini mödel"
    torch.manual_seed(0)
    preprocessing = {**read_json(FOLDER / "tiny.json")["preprocess_cfg"], "size": 32}
    save_model(
        folder,
        build_network(MINI),
        preprocessing,
        {"architecture": MINI, "licence": "none", "source": "test", "limits": "random weights"},
    )
    return folder


def paint(folder: Path, per_class: int, seed: int, size: int = 24) -> Path:
    """Write noisy pictures of one colour per class."""
    draw = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            stripes = draw.integers(-60, 60, (size, 1, 3)) + draw.integers(-60, 60, (1, size, 3))
            pixels = np.clip(np.array(colour) + stripes, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"bild {number} ä.png")
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three classes with twenty pictures each."""
    return paint(tmp_path_factory.mktemp("data") / "meine bilder ü", 20, seed=1)


@pytest.fixture
def new_pictures(tmp_path: Path) -> Path:
    """A folder of twelve other pictures."""
    return paint(tmp_path / "neue bilder", 4, seed=2)


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import torch

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CALIBRANT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def calibrant() -> Calibrant:
    """Run the command in this process."""

    def run(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


@pytest.fixture
def tune_words(model: Path, pictures: Path) -> list[str]:
    """A command line that tunes in a second."""
    few_steps = ["--set", "solver.steps=6", "--set", "solver.epochs=null", "--set", "solver.batch_size=8"]
    views = ["--set", "solver.views=1", "--shots", "5", "--offline"]
    return ["tune", str(model), f"folder:{pictures}", "--method", "coop", *few_steps, *views]


@pytest.fixture(scope="session")
def finished(model: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests must not change it."""
    import calibrant as cb

    os.environ.setdefault("CALIBRANT_CACHE", str(tmp_path_factory.mktemp("cache")))
    few_steps = {"solver.steps": 6, "solver.epochs": None, "solver.batch_size": 8, "solver.views": 1}
    folder = tmp_path_factory.mktemp("runs") / "fertiger läuf"
    cb.tune(str(model), f"folder:{pictures}", "coop", shots=5, overrides=few_steps, output=folder, offline=True)
    return folder
