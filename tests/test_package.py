"""The package as users get it: what the wheel holds, what importing it costs, what works without torch."""

from __future__ import annotations

import email
import fnmatch
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import calibrant

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src"
# Text that we wrote ourselves; everything else in the wheel needs a licence entry.
OURS = {".py", ".typed", ".j2", ".html", ".css", ".js", ".yaml"}
HEAVY = ("torch", "torchvision", "open_clip", "accelerate", "timm", "transformers")
CORE = ("errors", "storage", "predictions", "metrics", "calibration", "reporting", "data")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        yield archive


def run_python(code: str, *arguments: str) -> str:
    environment = {"PYTHONPATH": str(SOURCES), "PATH": "", "MPLBACKEND": "Agg", "SYSTEMROOT": ""}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def notice_entries() -> list[dict[str, str]]:
    text = (ROOT / "NOTICE").read_text(encoding="utf-8")
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("Files: ")]
    return [dict(line.split(": ", 1) for line in block) for block in blocks]


def test_the_wheel_is_below_60_megabytes(wheel: zipfile.ZipFile) -> None:
    assert wheel.filename is not None
    assert Path(wheel.filename).stat().st_size < 60e6


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "src/calibrant"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    expected = {Path(name).relative_to("src").as_posix() for name in tracked.split("\0") if name}
    packaged = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packaged == expected


def test_the_wheel_is_typed_and_carries_its_licences(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "calibrant/py.typed" in names
    licences = {Path(name).name for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}


def test_the_metadata_names_the_version_the_command_and_a_core_without_torch(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
    metadata = email.message_from_bytes(wheel.read(name))
    core = [line for line in metadata.get_all("Requires-Dist") or [] if "extra ==" not in line]
    assert metadata["Version"] == calibrant.__version__
    assert core
    assert not [line for line in core if line.startswith(HEAVY)]
    (points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "calibrant = calibrant.cli.main:app" in wheel.read(points).decode()


def test_every_packaged_asset_has_a_licence_entry(wheel: zipfile.ZipFile) -> None:
    patterns = [pattern for entry in notice_entries() for pattern in entry["Files"].split(", ")]
    assets = [name for name in wheel.namelist() if ".dist-info/" not in name and Path(name).suffix not in OURS]
    missing = [name for name in assets if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    assert not missing, f"add these to NOTICE: {missing}"


def test_every_licence_entry_is_complete() -> None:
    entries = notice_entries()
    assert entries
    for entry in entries:
        assert set(entry) == {"Files", "Work", "Author", "Licence", "Source", "Use"}, entry
        assert all(entry.values()), entry


def test_every_drawing_style_has_a_licence_entry_that_says_the_same() -> None:
    with zipfile.ZipFile(SOURCES / "calibrant" / "data" / "emoji" / "drawings.zip") as pack:
        styles = json.loads(pack.read("index.json"))["styles"]
    entries = notice_entries()
    for style, facts in styles.items():
        (entry,) = [entry for entry in entries if f"(style {style})" in entry["Use"]]
        assert entry["Author"] == facts["author"]
        assert entry["Licence"].partition(",")[0] == facts["spdx"]
        assert entry["Source"] == facts["source"]


@pytest.mark.parametrize("code", ["import calibrant", "import calibrant.cli.main"])
def test_importing_is_light(code: str) -> None:
    modules = json.loads(run_python(f"{code}; import json, sys; print(json.dumps(list(sys.modules)))"))
    heavy = {"sklearn", "matplotlib", "scipy", "PIL", "pydantic", "jinja2", *HEAVY}
    assert not heavy.intersection(modules)


WITHOUT_TORCH = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        package = name.partition(".")[0]
        if package in {HEAVY}:
            raise ModuleNotFoundError(f"No module named {{package!r}}", name=package)

sys.meta_path.insert(0, Absent())
"""


def test_the_core_imports_without_torch() -> None:
    code = f"""{WITHOUT_TORCH}
import importlib, pkgutil
for room in {CORE}:
    module = importlib.import_module("calibrant." + room)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
        importlib.import_module(found.name)
        print(found.name)
"""
    assert "calibrant.metrics" in run_python(code)


def test_rationality_is_measured_without_torch() -> None:
    code = f"""{WITHOUT_TORCH}
import calibrant as cb
mass = cb.rationality.relevance_mass([[[1.0, 0.0]], [[0.0, 1.0]]], [[[True, False]], [[True, False]]])
print(cb.rationality.summary([True, True], mass)["PT"])
print(cb.rationality.rank_correlation([[[1.0, 0.0]]], [[[0.0, 1.0]]])[0].round(6))
"""
    assert run_python(code).split() == ["0.5", "-1.0"]


def test_bare_logits_are_evaluated_without_torch(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 4, 200)
    logits = draw.normal(size=(200, 4)) + 2 * np.eye(4)[labels]
    np.savez(tmp_path / "logits.npz", logits=logits, labels=labels)
    code = f"{WITHOUT_TORCH}\nfrom calibrant.cli.main import app; app()"
    printed = run_python(code, "evaluate", str(tmp_path / "logits.npz"), "--json")
    assert f"{(logits.argmax(1) == labels).mean():.3f}"[:4] in printed
    json.loads(printed)


def test_without_torch_models_ask_for_the_extra_by_name() -> None:
    code = f"""{WITHOUT_TORCH}
import calibrant
try:
    calibrant.load_model("tiny")
except ImportError as error:
    print(error)
"""
    assert "calibrant[clip]" in run_python(code)
