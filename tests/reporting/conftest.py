"""Runs made of drawn probabilities, whose calibration is known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrant.reporting.results import Kind, RunResults, SetResult

# explained sets made of chosen numbers stand in a module of their own
sys.path.insert(0, str(Path(__file__).parent))

CLASSES = ["cat", "dog", "<b>bold</b> & sons", 'the "quoted"', "Käfer", "蝶", "owl", "hen", "bee", "ant"]


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def drawn(seed: int, n: int, classes: int = len(CLASSES)) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, classes] that are calibrated, and the labels drawn from them."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, classes)) * 3
    draws = generator.random((n, 1))
    labels = np.minimum((softmax(logits).cumsum(axis=1) < draws).sum(axis=1), classes - 1)
    return logits, labels


def pictures(ids: Sequence[str]) -> list[np.ndarray]:
    """A disc on a coloured ground for each id, of unequal sizes."""
    made = []
    for name in ids:
        generator = np.random.default_rng([ord(letter) for letter in name])
        height, width = (64, 64) if generator.random() < 0.8 else (300, 200)
        y, x = np.mgrid[:height, :width]
        ground, disc = generator.integers(40, 250, (2, 3))
        centre = generator.uniform(0.3, 0.7, 2) * (height, width)
        inside = np.hypot(y - centre[0], x - centre[1]) < 0.25 * min(height, width)
        noise = generator.integers(-12, 12, (height, width, 3))
        made.append(np.clip(np.where(inside[..., None], disc, ground) + noise, 0, 255).astype(np.uint8))
    return made


def arguments(
    name: str = "emoji/test",
    kind: Kind = "id",
    *,
    seed: int = 1,
    n: int = 1000,
    noise: float = 0.0,
    overconfidence: float = 2.0,
    leftover: float = 1.0,
    units: int | None = None,
) -> dict[str, Any]:
    """Of one set; raw probabilities are too sharp by `overconfidence`, calibrated ones still by `leftover`."""
    truth, labels = drawn(seed, n)
    generator = np.random.default_rng([seed, int(1000 * noise)])
    # the posterior of the truth given the truth plus noise, so that `leftover` 1 stays nearly calibrated
    logits = (truth + 3 * noise * generator.normal(size=truth.shape)) / (1 + noise**2)
    return {
        "name": name,
        "kind": kind,
        "labels": labels,
        "classes": CLASSES,
        "probabilities": {"none": softmax(logits * overconfidence), "temperature": softmax(logits * leftover)},
        "description": f"Drawn numbers called {name}, with <i>markup</i> & an ampersand.",
        "zero_shot": softmax(0.4 * (truth + 4 * np.random.default_rng(seed + 999).normal(size=truth.shape))),
        "ids": [f"{name}-{index}" for index in range(n)],
        "units": None if units is None else np.arange(n) % units,
        "images": pictures,
    }


def set_result(*drawn_as: Any, **how: Any) -> SetResult:
    return SetResult(**arguments(*drawn_as, **how))


def run_results(title: str = "CoOp", method: str = "coop", *, seed: int = 1, noise: float = 0.0) -> RunResults:
    """One run on four sets."""
    sets = [
        set_result("emoji/test", "id", seed=1, noise=noise, units=300),
        set_result("emoji/rendition", "ood", seed=2, noise=noise + 0.5, leftover=1.4),
        set_result("emoji/sketch", "ood", seed=3, noise=noise + 1.2, leftover=2.0),
        set_result("emoji/new", "new", seed=4, noise=noise + 0.3, leftover=1.0),
    ]
    return RunResults(
        title=title,
        method=method,
        model="tiny",
        data="emoji",
        sets=sets,
        commands=[
            f"calibrant tune tiny emoji --method {method} --shots 16 --seed {seed}",
            "calibrant report runs/a",
        ],
        warnings=["3 classes have codes for names (n0123); give words with --names"],
        licences=["tiny: Apache-2.0", "emoji: drawings of Noto Emoji (Apache-2.0), Twemoji (CC-BY 4.0)"],
        versions={"calibrant": "0.1.0", "numpy": "2.4.6"},
        seeds={"data": seed, "training": seed},
        facts={"Training images": "4,992 (16 per class)"},
    )


def four_methods() -> list[RunResults]:
    """Zero-shot and three methods, as the demo reports them."""
    return [
        run_results("zero-shot", "zero-shot", noise=1.0),
        run_results("FT", "ft", noise=0.0),
        run_results("FLYP", "flyp", noise=0.05),
        run_results("CoOp", "coop", noise=0.5),
    ]


@pytest.fixture(scope="session")
def make_set() -> Callable[..., SetResult]:
    return set_result


@pytest.fixture(scope="session")
def make_arguments() -> Callable[..., dict[str, Any]]:
    return arguments


@pytest.fixture(scope="session")
def make_run() -> Callable[..., RunResults]:
    return run_results


@pytest.fixture(scope="session")
def one_run() -> RunResults:
    return run_results()


@pytest.fixture(scope="session")
def several_runs() -> list[RunResults]:
    return four_methods()


@pytest.fixture(scope="session")
def single_page(tmp_path_factory: pytest.TempPathFactory, one_run: RunResults) -> Path:
    from calibrant.reporting import write_report

    return write_report([one_run], tmp_path_factory.mktemp("one run é") / "report.html")


@pytest.fixture(scope="session")
def several_page(tmp_path_factory: pytest.TempPathFactory, several_runs: list[RunResults]) -> Path:
    from calibrant.reporting import write_report

    return write_report(several_runs, tmp_path_factory.mktemp("several") / "report.html")


@pytest.fixture(scope="session")
def explained_page(tmp_path_factory: pytest.TempPathFactory, one_run: RunResults) -> Path:
    """A report on a run of which two sets were explained, with masks and without."""
    from explained_sets import make

    from calibrant.reporting import write_report

    explained = [make(count=6), make(masks=False)]
    return write_report([replace(one_run, explained=explained)], tmp_path_factory.mktemp("explained") / "report.html")
