"""The worked example of a method of one's own: the page's recipe file and its package, as they stand there."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from calibrant.data.evaluation_set import EvaluationSet
from calibrant.models.feature_cache import FeatureCache
from calibrant.tuning import components, fit, list_recipes, load_recipe

PAGE = (Path(__file__).parents[1] / "docs" / "own-methods.md").read_text(encoding="utf-8")
sys.path.insert(0, str(Path(__file__).parent / "tuning"))
from tuning_toy import make_encoder, make_train  # noqa: E402

QUICK = {"solver.steps": 4, "solver.epochs": None, "solver.batch_size": 8, "solver.learning_rate": 0.01}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def train() -> EvaluationSet:
    return make_train()


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "gentle.yaml"
    path.write_text(blocks("yaml")[0], encoding="utf-8")
    return path


def test_the_recipe_file_tunes(recipe_file: Path, train: EvaluationSet, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file, QUICK, "tiny")
    rows: list[dict[str, object]] = []
    tuned = fit(make_encoder(), train, recipe, cache=FeatureCache(tmp_path), log=rows.append, progress=False)
    assert [sorted(row["terms"]) for row in rows] == [["contrastive", "l2_sp"]] * 4  # type: ignore[call-overload]
    assert tuned.text_features(["a name never seen"]).shape == (1, 16)


def test_its_commands_give_what_the_page_says(recipe_file: Path) -> None:
    def weights(method: str, profile: str, **changes: float) -> dict[str, object]:
        recipe = load_recipe(f"{recipe_file}{method}", changes, profile)
        return {name: part["weight"] for name, part in recipe.stages[0].regularizers.items()}

    assert weights("", "published") == {"l2_sp": 0.01}
    assert weights("@strong+dor", "published") == {"l2_sp": 1.0, "dor": 4}
    assert weights("@strong+dor", "tiny") == {"l2_sp": 1.0, "dor": 2}
    assert weights("@strong+dor", "tiny", **{"regularizers.dor.weight": 1.0}) == {"l2_sp": 1.0, "dor": 1.0}


@pytest.fixture
def installed(tmp_path: Path, recipe_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package of the page, built as its page says and unpacked as pip would leave it in a folder."""
    written = blocks("toml")[0]
    ((module,),) = (points.values() for points in tomllib.loads(written)["project"]["entry-points"].values())
    package = tmp_path / "calibrant-gather" / module
    package.mkdir(parents=True)
    (package.parent / "pyproject.toml").write_text(written, encoding="utf-8")
    (package / "__init__.py").write_text(blocks("python")[0], encoding="utf-8")
    recipe_file.rename(package / recipe_file.name)
    backend = importlib.import_module(tomllib.loads(written)["build-system"]["build-backend"])
    with monkeypatch.context() as inside:
        inside.chdir(package.parent)
        wheel = backend.build_wheel(str(tmp_path))
    site = tmp_path / "site"
    with zipfile.ZipFile(tmp_path / wheel) as archive:
        archive.extractall(site)
    components.REGULARIZERS.names()
    monkeypatch.setattr(components.REGULARIZERS, "_parts", dict(components.REGULARIZERS._parts))
    monkeypatch.syspath_prepend(str(site))
    components.plugins.cache_clear()
    yield
    components.plugins.cache_clear()
    sys.modules.pop(module, None)


@pytest.mark.usefixtures("installed")
def test_the_package_adds_its_part_and_its_recipe(train: EvaluationSet, tmp_path: Path) -> None:
    assert "gentle" in [row["name"] for row in list_recipes()]
    recipe = load_recipe("gentle+gather", QUICK)
    assert recipe.stages[0].regularizers["gather"] == {"weight": 0.5}
    rows: list[dict[str, dict[str, float]]] = []
    with torch.random.fork_rng(devices=[]):
        fit(make_encoder(), train, recipe, cache=FeatureCache(tmp_path), log=rows.append, progress=False)
    assert all(row["terms"]["gather"] >= 0 for row in rows)
    part = components.REGULARIZERS.build("gather", {}, None)
    close, apart = torch.eye(3), 2 * torch.eye(3)
    # the squared distance of each corner to the mean is 2/3, of the larger triangle four times that
    for now, before, expected in ((apart, close, 2.0), (close, apart, 0.0)):
        outputs = SimpleNamespace(
            model=SimpleNamespace(task=SimpleNamespace(classes=["a", "b", "c"])),
            text_features=lambda names, now=now: now,
            zero_shot_text_features=lambda names, before=before: before,
        )
        assert float(part.loss(outputs)) == pytest.approx(expected)
