"""The line between zero-shot and tuned weights, from one run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from calibrant.cli.main import app
from calibrant.errors import InputError
from calibrant.models.checkpoints import save_model
from calibrant.models.open_clip_loading import build_network
from calibrant.models.tiny import FOLDER
from calibrant.predictions import Predictions
from calibrant.storage import read_json
from calibrant.sweep import sweep
from calibrant.tune import tune

MINI = {
    "embed_dim": 16,
    "quick_gelu": False,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
FEW_STEPS = {"solver.steps": 3, "solver.epochs": None, "solver.batch_size": 8, "solver.learning_rate": 0.01}


@pytest.fixture(scope="module", autouse=True)
def _own_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root, before = tmp_path_factory.mktemp("sweep"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALIBRANT_CACHE", str(root / "cache"))
        torch.set_num_threads(1)
        yield root
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tuned(_own_place: Path) -> Any:
    root = _own_place
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        about = {"architecture": MINI, "licence": "none", "source": "test", "limits": "random weights"}
        preprocessing = {**read_json(FOLDER / "tiny.json")["preprocess_cfg"], "size": 32}
        save_model(root / "mini", build_network(MINI), preprocessing, about)

    def run(method: str, **changes: Any) -> Any:
        return tune(
            str(root / "mini"),
            "emoji/base",
            method,
            overrides={**FEW_STEPS, **changes},
            data_options={"scenes": 18},  # too few to be called at chance
            output=root / method,
            overwrite=True,
            offline=True,
            progress=False,
        )

    return run


def test_ends_and_middle_are_those_of_the_formula(tuned: Any) -> None:
    run = tuned("ft")
    points = dict(sweep(run, alphas=(0, 0.5, 1), offline=True))
    stored = run.stored("emoji/base", "validation")
    np.testing.assert_allclose(points[0].logits, stored.zero_shot_logits, atol=1e-4)
    np.testing.assert_array_equal(points[1].logits, stored.logits)
    model = run.tuned_model(offline=True)
    start, end = model.parameterization.zero_shot_tensors(), model.tensors()
    model.load_tensors({name: (start[name].double() + end[name].double()) / 2 for name in end})
    chosen = run.open_data("emoji/base").split("validation")
    with torch.inference_mode():
        pixels = torch.stack([model.encoder.test_transform(image) for image in chosen.images[:4]])
        expected = model.logits(pixels, chosen.classes).numpy()
    np.testing.assert_allclose(points[0.5].logits[:4], expected, atol=1e-4)
    assert points[0.5].about["wise_ft_alpha"] == 0.5
    assert not np.allclose(points[0.5].logits, points[1].logits, atol=1e-3)
    np.testing.assert_array_equal(run.stored("emoji/base", "validation").logits, stored.logits)


def test_an_interpolated_run_is_taken_apart(tuned: Any) -> None:
    plain, mixed = tuned("ft"), tuned("wise-ft")
    ends = dict(sweep(mixed, alphas=(0.5, 1), offline=True))
    np.testing.assert_allclose(ends[0.5].logits, mixed.stored("emoji/base", "validation").logits, atol=1e-4)
    np.testing.assert_allclose(ends[1].logits, plain.stored("emoji/base", "validation").logits, atol=1e-3)


def test_what_cannot_be_swept_is_said_in_one_line(tuned: Any) -> None:
    coop = tuned("coop", **{"solver.views": 1})
    with pytest.raises(
        InputError, match=r"a run of method 'coop' has no points .* does not start from the zero-shot model"
    ):
        next(sweep(coop, offline=True))
    with pytest.raises(InputError, match="alphas lie from 0 to 1"):
        next(sweep(coop, alphas=(0.5, 1.5)))
    lost = tuned("wise-ft", **{"averaging.wise_ft.alpha": 0.0})
    with pytest.raises(InputError, match="did not keep its tuned weights"):
        next(sweep(lost, offline=True))


def test_the_command_prints_a_table_and_writes_predictions(tuned: Any, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tuned("ft").path, tmp_path / "run"))
    words = ["sweep", str(run), "--alpha", "0", "--alpha", "1", "--to", str(tmp_path / "points"), "--offline"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "alpha" in result.output
    assert "emoji/base validation" in result.output
    one = Predictions.load(tmp_path / "points" / "alpha-1.safetensors")
    assert one.about["wise_ft_alpha"] == 1
