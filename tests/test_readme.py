"""The examples in the README and the how-to pages run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
HOW_TO = [page for page in PAGES[1:] if "```python" in page.read_text(encoding="utf-8")]
DOWNLOADED = "ViT-B-32/laion2b_s34b_b79k"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands() -> list[object]:
    lines = [
        (page, line.partition("#")[0].strip())
        for page in PAGES
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.startswith("calibrant ")
    ]
    return [pytest.param(line, id=f"{page.stem}-{number}") for number, (page, line) in enumerate(lines)]


def paint(folder: Path) -> None:
    """Fill a folder with three classes of noise, each with a tint of its own."""
    draw = np.random.default_rng(0)
    for tint, name in enumerate(("badger", "red fox", "wild boar")):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            pixels = draw.integers(0, 160, (32, 32, 3))
            pixels[..., tint] += 90
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")


def run_python(code: str, folder: Path) -> None:
    # the packaged model stands in for the one that would have to be downloaded
    command = [sys.executable, "-c", code.replace(DOWNLOADED, "tiny")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder in which the examples run, with images and the run of the first example."""
    folder = tmp_path_factory.mktemp("desk")
    paint(folder / "my-images")
    run_python(blocks(ROOT / "README.md", "python")[0], folder)
    return folder


def test_the_first_example_of_the_readme_runs(desk: Path) -> None:
    assert (desk / "runs" / "mine" / "run.json").is_file()


def test_the_second_example_of_the_readme_runs(tmp_path: Path) -> None:
    run_python(blocks(ROOT / "README.md", "python")[1], tmp_path)


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_the_examples_of_the_pages_run(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    code = "".join(blocks(page, "python"))  # the examples of one page continue each other
    run_python(code, request.getfixturevalue("desk") if "runs/" in code else tmp_path)


@pytest.mark.parametrize("command", commands())
def test_the_commands_name_options_that_exist(command: str) -> None:
    from typer.main import get_command

    from calibrant.cli.main import app

    _, name, *words = shlex.split(command)
    known = get_command(app).commands[name]  # type: ignore[attr-defined]
    options = {option for parameter in known.params for option in parameter.opts}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= options


def test_the_readme_says_what_it_must() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "own folder of images" in text[:300]
    for paper in ("2311.01723", "2410.02681", "2501.19060", "2412.13333", "2402.04655"):
        assert paper in text
    assert text.count("<!-- demo-table -->") == text.count("<!-- /demo-table -->") == 1


def test_every_link_inside_the_project_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
